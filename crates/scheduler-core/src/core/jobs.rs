//! The life of jobs as daemons report it.

use std::sync::Arc;

use crate::action::{Action, Dropped, MonitorEvent, Note};
use crate::admission;
use crate::config::{Algorithm, NICENESS_MAX, limits};
use crate::core::Core;
use crate::core::membership::{acceptable_environments, tell_all, within};
use crate::estimate::{countable, shown_speed};
use crate::event::{DoneJob, JobResult, Request};
use crate::history::{Basis, Forecast, Kind};
use crate::ids::{ClientId, JobId, NodeId, Text, Time};
use crate::job::{Job, State, short_name};
use crate::node::LocalJob;

/// Long jobs come first, so that none is left over at the end, but no job waits behind one that was asked for much later.
fn urgency(now: Time, forecast: Forecast) -> i64 {
    const AHEAD: f32 = 4.0;
    i64::try_from(now.0).unwrap_or(i64::MAX) - (forecast.work_ms * AHEAD) as i64
}

/// Longer times between placing and begin say nothing about sending.
const LONGEST_SEND_MS: f32 = 10_000.0;

impl Core {
    pub(super) fn request(
        &mut self,
        now: Time,
        id: NodeId,
        request: Request,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let lanes = self.queue.lanes_of(id);
        let accepted = acceptable(&request, node.submitted.len())
            .and_then(|()| within("different needs", lanes, limits::DIFFERENT_NEEDS));
        if let Err(reason) = accepted {
            self.remove(id, Some(reason), out);
            return;
        }
        node.client_count = request.client_count;
        let has_free_slot = node.has_free_slot();
        let seemed_over = !node.keeps_asking();
        node.ended_since_asked = 0;
        let submitter = node.name.clone();
        let kind = Kind::of(&request);
        let (forecast, memory) = if self.config.algorithm == Algorithm::Finish {
            let forecast = self.history.forecast(kind);
            (forecast, admission::step(forecast.memory))
        } else {
            (Forecast::default(), 0)
        };
        let needs = self.queue.needs_of(&request, node.address.is_ipv6());
        let file = bounded(request.file);
        let count = request.count;
        let siblings: Option<Arc<[JobId]>> =
            (count > 1).then(|| (0..count).map(|_| self.next_job()).collect());
        let niceness = request.niceness.min(NICENESS_MAX) as u8;
        let may_be_placed =
            count == 1 && self.newcomer.is_none() && (self.index.free() > 0 || has_free_slot);
        for number in 0..count as usize {
            let job = match &siblings {
                Some(siblings) => siblings[number],
                None => self.next_job(),
            };
            self.arrivals += 1;
            let mut job = Job {
                id: job,
                client: request.client,
                submitter: id,
                state: State::Queued,
                needs: Arc::clone(&needs),
                arg_flags: request.arg_flags,
                file: file.clone(),
                language: request.language,
                niceness,
                arrival: self.arrivals,
                memory,
                kind,
                forecast,
                placed_at: now,
                begun_at: None,
                expected_ms: 0.0,
                straight: false,
                crowded: false,
                held: None,
                urgency: match self.config.algorithm {
                    Algorithm::Finish => urgency(now, forecast),
                    _ => 0,
                },
                siblings: siblings.clone(),
                requested_at: now,
            };
            // Most are placed at once, and need not stand in line for that.
            if may_be_placed && let Some(head) = self.queue.newcomer(&job) {
                job.needs = Arc::clone(&head.class.needs);
                self.newcomer = Some(head);
            } else {
                job.needs = self.queue.push(&job);
            }
            self.backlog.waiting += f64::from(forecast.work_ms);
            out.push(Action::Note(Note::New {
                job: job.id,
                submitter: submitter.clone(),
                environments: Arc::clone(&needs.environments),
                file: job.file.clone(),
                language: job.language,
                niceness: u32::from(niceness),
            }));
            out.push(tell_all(MonitorEvent::Requested {
                job: job.id,
                submitter: id,
                file: short_name(&job.file),
                language: job.language,
            }));
            if let Some(node) = self.nodes.get_mut(&id) {
                node.submitted.insert(job.id);
            }
            if self.newcomer.as_ref().is_none_or(|head| head.job != job.id) {
                self.fresh.push(job.id);
            }
            self.jobs.insert(job.id, job);
        }
        if seemed_over {
            self.touched.push(id);
        }
    }

    pub(super) fn begin(
        &mut self,
        now: Time,
        id: NodeId,
        job: JobId,
        start_time: u32,
        client_count: Option<u32>,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let Some(known) = self.jobs.get_mut(&job) else {
            out.push(Action::Note(Note::NotPresent { job }));
            return;
        };
        if known.worker() != Some(id) {
            out.push(Action::Note(Note::NotHandledBy {
                job,
                address: node.address,
            }));
            return;
        }
        if let Some(count) = client_count {
            node.client_count = count;
        }
        known.state = State::Compiling {
            worker: id,
            start_time,
        };
        if known.begun_at.is_none() {
            known.begun_at = Some(now);
            if known.straight && known.submitter != id {
                let took = now.0.saturating_sub(known.placed_at.0) as f32;
                node.send_ms += (took.min(LONGEST_SEND_MS) - node.send_ms) / 8.0;
            }
        }
        let (worker, platform) = (node.name.clone(), node.platform.clone());
        let target = known.needs.target.clone();
        let submitter = self
            .nodes
            .get(&known.submitter)
            .map(|node| node.name.clone())
            .unwrap_or_default();
        out.push(Action::Note(Note::Begin {
            job,
            submitter,
            target,
            worker,
            platform,
        }));
        self.foresee(id);
        out.push(tell_all(MonitorEvent::Begun {
            job,
            worker: id,
            start_time,
        }));
    }

    pub(super) fn done(
        &mut self,
        id: NodeId,
        which: DoneJob,
        by_submitter: bool,
        result: JobResult,
        client_count: Option<u32>,
        out: &mut Vec<Action>,
    ) {
        if let (Some(node), Some(count)) = (self.nodes.get_mut(&id), client_count) {
            node.client_count = count;
        }
        let count = client_count.unwrap_or(0);
        match which {
            DoneJob::Client(client) => {
                for job in self.queued_for(id, client) {
                    out.push(Action::Note(Note::ClientGone { job }));
                    self.finish(job, by_submitter, result, count, out);
                }
            }
            DoneJob::Id(job) => {
                let Some(known) = self.jobs.get(&job) else {
                    out.push(Action::Note(Note::NotPresent { job }));
                    return;
                };
                let own = known.submitter == id;
                let honest = match known.worker() {
                    // Nobody compiles it, so whatever its submitter says means that it is not wanted any more.
                    None => own,
                    Some(_) if by_submitter => own,
                    Some(worker) => worker == id,
                };
                if honest {
                    self.finish(job, by_submitter, result, count, out);
                } else {
                    out.push(Action::Note(if by_submitter {
                        Note::NotTheSubmitter { job }
                    } else {
                        Note::NotTheServer { job }
                    }));
                    self.remove(id, Some(Dropped::ForeignJob(job)), out);
                }
            }
        }
    }

    pub(super) fn local_begin(
        &mut self,
        id: NodeId,
        client: ClientId,
        file: &Text,
        start_time: u32,
        full: bool,
        out: &mut Vec<Action>,
    ) {
        let job = self.next_job();
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if let Err(reason) = within("local jobs", node.local.len() + 1, limits::LOCAL_JOBS) {
            self.remove(id, Some(reason), out);
            return;
        }
        out.push(Action::Note(Note::LocalBegin {
            file: file.clone(),
            client,
            full,
        }));
        let file = bounded(short_name(file));
        let local = LocalJob {
            id: job,
            full,
            file: file.clone(),
            start_time,
        };
        if let Some(replaced) = node.add_local(client, local) {
            out.push(tell_all(MonitorEvent::LocalDone { job: replaced.id }));
        }
        out.push(tell_all(MonitorEvent::LocalBegun {
            node: id,
            job,
            start_time,
            file,
        }));
        self.refresh(id);
    }

    pub(super) fn local_done(&mut self, id: NodeId, client: ClientId, out: &mut Vec<Action>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        out.push(Action::Note(Note::LocalDone { client }));
        let job = node.remove_local(client).map_or(JobId(0), |local| local.id);
        out.push(tell_all(MonitorEvent::LocalDone { job }));
        self.refresh(id);
    }

    /// Takes a job out of every list; its worker is free for another.
    pub(super) fn forget_job(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        if let Some(submitter) = self.nodes.get_mut(&job.submitter) {
            submitter.submitted.remove(&id);
        }
        let work = f64::from(job.forecast.work_ms);
        match job.worker() {
            None => {
                self.queue.remove(&job);
                self.backlog.waiting -= work;
            }
            Some(worker) => {
                self.backlog.placed -= work;
                if worker != job.submitter {
                    self.count_away(job.submitter, false);
                }
                let mut sending = false;
                if let Some(node) = self.nodes.get_mut(&worker) {
                    node.jobs.remove(&id);
                    node.memory.release(job.forecast.memory);
                    sending = node.installing.as_ref().is_some_and(|i| i.job == id);
                }
                if sending {
                    self.end_installation(worker);
                }
                self.refresh(worker);
            }
        }
        Some(job)
    }

    fn finish(
        &mut self,
        id: JobId,
        by_submitter: bool,
        result: JobResult,
        client_count: u32,
        out: &mut Vec<Action>,
    ) {
        let Some(job) = self.forget_job(id) else {
            return;
        };
        let worker = job.worker();
        if let Some(submitter) = self.nodes.get_mut(&job.submitter) {
            submitter.ended_since_asked = submitter.ended_since_asked.saturating_add(1);
        }
        self.learn(&job, &result);
        if let Some(worker) = worker.and_then(|worker| self.nodes.get_mut(&worker))
            && let Some((size, user_ms)) = countable(&result, job.arg_flags)
        {
            let present = shown_speed(worker);
            worker.compiled.add(id, size, user_ms, present);
            self.cluster.add(size, user_ms);
            if let Some(submitter) = self.nodes.get_mut(&job.submitter) {
                submitter.requested.add(id);
            }
        }
        out.push(Action::Note(Note::End {
            job: id,
            result,
            worker: worker
                .and_then(|worker| self.nodes.get(&worker))
                .map(|node| node.name.clone()),
        }));
        out.push(tell_all(MonitorEvent::Done {
            job: id,
            result,
            by_submitter,
            client_count,
        }));
    }

    /// What a finished job tells of its file and its worker.
    fn learn(&mut self, job: &Job, result: &JobResult) {
        let worker = job.worker().and_then(|worker| self.nodes.get_mut(&worker));
        let Some(worker) = worker else { return };
        let took = match result.real_ms {
            0 => result.user_ms.saturating_add(result.sys_ms),
            real => real,
        };
        let told = result.exit_code == 0 && took > 0 && result.user_ms > 0;
        if self.config.algorithm != Algorithm::Finish || !told {
            return;
        }
        let own = worker.id == job.submitter;
        let share = if own { 1.0 } else { worker.share_of_machine() };
        let time = took as f32 * share;
        let language = job.kind.language();
        let speed = worker.pace.speed(language, job.crowded);
        if job.forecast.basis != Basis::Nothing {
            let expected = self.history.expected(job.kind, result);
            worker.pace.learn(language, job.crowded, expected, time);
        }
        self.history.learn(job.kind, time * speed, result);
    }

    /// A submitter has one job more, or less, on the machine of another.
    pub(super) fn count_away(&mut self, submitter: NodeId, more: bool) {
        if let Some(node) = self.nodes.get_mut(&submitter) {
            node.away = if more {
                node.away + 1
            } else {
                node.away.saturating_sub(1)
            };
            let away = node.away;
            self.queue.set_running(submitter, away);
        } else {
            self.queue.set_running(submitter, 0);
        }
    }

    /// Jobs of a client that has not been answered. Several if it asked for several.
    fn queued_for(&self, submitter: NodeId, client: ClientId) -> Vec<JobId> {
        let Some(node) = self.nodes.get(&submitter) else {
            return Vec::new();
        };
        node.submitted
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .filter(|job| job.client == client && job.state == State::Queued)
            .map(|job| job.id)
            .collect()
    }

    /// Numbers go up by one and start again after 2^32; 0 and numbers still in use are passed over.
    pub(crate) fn next_job(&mut self) -> JobId {
        loop {
            self.last_job = self.last_job.wrapping_add(1);
            let id = JobId(self.last_job);
            if id.0 != 0 && !self.jobs.contains_key(&id) {
                return id;
            }
        }
    }
}

fn acceptable(request: &Request, live: usize) -> Result<(), Dropped> {
    within(
        "answers to one request",
        request.count as usize,
        limits::COUNT as usize,
    )?;
    within("jobs", live + request.count as usize, limits::JOBS)?;
    within("bytes in the target", request.target.len(), limits::NAME)?;
    let preferred = request.preferred_host.len();
    within("bytes in the preferred host", preferred, limits::NAME)?;
    acceptable_environments(&request.environments, limits::OFFERED)
}

/// The end of a file name; it is only shown.
fn bounded(file: Text) -> Text {
    match file.len().checked_sub(limits::FILE_NAME) {
        Some(excess) if excess > 0 => Text::from(&file.as_bytes()[excess..]),
        _ => file,
    }
}
