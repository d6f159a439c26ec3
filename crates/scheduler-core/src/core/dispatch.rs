//! Giving queued jobs their workers, after every event, until nothing more can be placed.

use std::sync::Arc;

use crate::action::{Action, Answer, Note};
use crate::config::{Algorithm, NO_CS_VERSION};
use crate::core::Core;
use crate::eligible::Question;
use crate::explain::{Candidates, Decision, Why};
use crate::ids::{Environment, JobId, NodeId, Text, Time};
use crate::job::{Needs, State};
use crate::node::{Installing, Node};
use crate::place::finish::Outlook;
use crate::place::{self, Context, Outcome};
use crate::queue::{Head, Reach};

/// So many jobs are tried after one event at most. More different ones wait only if somebody means harm.
const ATTEMPTS: usize = 1000;
/// Then everything else comes first for so many milliseconds.
const PAUSE_MS: u64 = 5;

/// What is to become of a queued job.
#[expect(
    clippy::large_enum_variant,
    reason = "each lives for one decision; a box would be memory asked for each time"
)]
enum Verdict {
    Place(Placement),
    /// Somebody could take it, later.
    Wait {
        /// That was known already.
        known: bool,
        /// Who else waits for the same reason.
        reach: Reach,
    },
    /// Somebody could take it now, but it is better off waiting for this one.
    Hold {
        until: Time,
        better: NodeId,
    },
}

struct Placement {
    worker: NodeId,
    /// The offered toolchain to use; none if the submitter gets its job whether it can or not.
    environment: Option<Environment>,
    installed: bool,
    why: Why,
    candidates: Candidates,
    for_short: bool,
    eligible: usize,
}

impl Core {
    /// Tries the waiting jobs for which something may have changed: all lanes if somebody came or left, the head of each
    /// class if somebody has room, those of the submitters that were touched, and what has just been asked for.
    pub(super) fn dispatch(&mut self, now: Time, out: &mut Vec<Action>) {
        let all = self.generation != self.tried_at;
        let opened = std::mem::take(&mut self.opened);
        let unfinished = std::mem::take(&mut self.unfinished);
        let mut touched = std::mem::take(&mut self.touched);
        let mut left = ATTEMPTS;
        // A pass goes on where it was left, so that everybody is tried in the end.
        if !unfinished {
            self.pass += 1;
        }
        if !self.queue.is_empty() {
            if all || opened && self.index.open() > 0 {
                let mut line = self.queue.line(self.pass);
                while left > 0
                    && let Some(head) = self.queue.next(&mut line)
                {
                    left -= 1;
                    self.attempt(&head, all, now, out);
                }
            }
            touched.dedup();
            for submitter in touched.iter().copied() {
                let mut line = self.queue.line_of(submitter, self.pass);
                while left > 0
                    && let Some(head) = self.queue.next(&mut line)
                {
                    left -= 1;
                    self.attempt(&head, true, now, out);
                }
            }
        }
        if let Some(head) = self.newcomer.take() {
            self.place_newcomer(&head, now, out);
        }
        let mut next = 0;
        while let Some(job) = self.fresh.get(next).copied() {
            // Its lane may hold others of the same request.
            while let Some(job) = self.jobs.get(&job)
                && let Some(head) = self.queue.head_of(job, self.pass)
            {
                self.attempt(&head, true, now, out);
            }
            next += 1;
        }
        self.fresh.clear();
        // What was refreshed by placing has no more room than before.
        touched.clear();
        self.touched = touched;
        self.opened = left == 0;
        self.unfinished = left == 0;
        if left == 0 {
            let soon = Time(now.0 + PAUSE_MS);
            self.retry_at = self.retry_at.into_iter().chain([soon]).min();
        } else {
            self.tried_at = self.generation;
        }
    }

    /// Places a job that has just been asked for at once, or puts it into the queue.
    fn place_newcomer(&mut self, head: &Head, now: Time, out: &mut Vec<Action>) {
        self.index.prepare(&head.class.needs, &mut self.nodes);
        if let Some(Verdict::Place(placement)) = self.decide(head, now)
            && !placement.for_short
        {
            self.place(head.job, placement, now, out);
        } else if let Some(job) = self.jobs.get_mut(&head.job) {
            job.needs = self.queue.push(job);
            self.fresh.push(head.job);
        }
    }

    fn attempt(&mut self, head: &Head, only_lane: bool, now: Time, out: &mut Vec<Action>) {
        self.index.prepare(&head.class.needs, &mut self.nodes);
        let verdict = self.decide(head, now);
        let too_long = match &verdict {
            Some(Verdict::Place(placement)) => placement.for_short && !self.is_overdue(head, now),
            Some(Verdict::Hold { .. }) => true,
            _ => false,
        };
        if too_long
            && let Some(job) = self.jobs.get(&head.job)
            && let Some(short) = self.queue.shortest(job)
            && let Some(Verdict::Place(placement)) = self.decide(&short, now)
        {
            return self.place(short.job, placement, now, out);
        }
        let reach = match verdict {
            Some(Verdict::Place(placement)) => return self.place(head.job, placement, now, out),
            Some(Verdict::Wait { known, reach }) => {
                if !known {
                    out.push(Action::Note(Note::Delaying { job: head.job }));
                }
                reach
            }
            Some(Verdict::Hold { until, better }) => {
                if let Some(job) = self.jobs.get_mut(&head.job) {
                    let since = job.held.map_or(now, |(since, _)| since);
                    job.held = Some((since, better));
                }
                self.retry_at = self.retry_at.into_iter().chain([until]).min();
                Reach::Lane
            }
            None => Reach::Lane,
        };
        let reach = if only_lane { Reach::Lane } else { reach };
        self.queue.wait(head, self.pass, reach, self.generation);
    }

    /// A job that has waited for longer than it takes gets the next worker, fast or slow.
    fn is_overdue(&self, head: &Head, now: Time) -> bool {
        self.jobs.get(&head.job).is_some_and(|job| {
            now.0.saturating_sub(job.requested_at.0) as f32 > 2.0 * job.forecast.work_ms
        })
    }

    fn decide(&mut self, head: &Head, now: Time) -> Option<Verdict> {
        let job = self.jobs.get(&head.job)?;
        let submitter = self.nodes.get(&job.submitter)?;
        let needs = &*head.class.needs;
        let question = Question {
            needs,
            submitter,
            now,
        };
        let on_submitter = |environment: Option<&Environment>, why| {
            Verdict::Place(Placement {
                worker: submitter.id,
                environment: environment.cloned(),
                installed: true,
                why,
                candidates: Candidates::default(),
                for_short: false,
                eligible: 0,
            })
        };
        if submitter.draining {
            return Some(on_submitter(None, Why::Draining));
        }
        let preferred = match needs.preferred_host.is_empty() {
            true => Vec::new(),
            false => self.hosts.called(&needs.preferred_host),
        };
        let context = Context {
            question,
            config: &self.config,
            cluster: &self.cluster,
            index: &self.index,
            nodes: &self.nodes,
            preferred: &preferred,
        };
        let outlook = Outlook {
            jobs: &self.jobs,
            backlog: self.backlog,
            forecast: job.forecast,
            language: job.kind.language(),
            memory: job.forecast.memory,
            ahead_again: head.ahead_again,
            held_since: job.held.map(|(since, _)| since),
            others_waiting: self.queue.len() - usize::from(head.queued),
        };
        if self.config.algorithm == Algorithm::Finish
            && self.index.free() == 0
            && now < head.ahead_again
            && head.hopeful_at == Some(self.generation)
            && preferred.is_empty()
            && !submitter.has_free_slot()
        {
            // What a closer look would find.
            self.retry_at = self.retry_at.into_iter().chain([head.ahead_again]).min();
            return Some(Verdict::Wait {
                known: true,
                reach: reach_of(submitter),
            });
        }
        match place::choose(&context, &outlook, &mut self.random) {
            Outcome::Take(choice) => {
                return Some(Verdict::Place(Placement {
                    worker: choice.chosen.node.id,
                    environment: Some(choice.chosen.usable.environment.clone()),
                    installed: choice.chosen.usable.installed,
                    why: choice.why,
                    candidates: choice.candidates,
                    for_short: choice.for_short,
                    eligible: choice.eligible,
                }));
            }
            Outcome::Hold { until, better } => return Some(Verdict::Hold { until, better }),
            Outcome::Nobody { again } => {
                self.retry_at = self.retry_at.into_iter().chain(again).min();
                if let Some(again) = again {
                    self.queue.not_ahead_before(&head.class, again);
                }
            }
        }
        if needs.preferred_host.is_empty()
            && (submitter.jobs.is_empty() || submitter.memory.left() >= outlook.memory)
            && let Ok(usable) = question.own_machine()
        {
            return Some(on_submitter(Some(usable.environment), Why::OwnSlot));
        }
        let reach = reach_of(submitter);
        if head.hopeful_at == Some(self.generation) {
            return Some(Verdict::Wait { known: true, reach });
        }
        let hope = if needs.preferred_host.is_empty() {
            question.ever(submitter) || self.nodes.in_any_order().any(|node| question.ever(node))
        } else {
            let mut nodes = preferred.iter().filter_map(|id| self.nodes.get(id));
            nodes.any(|node| question.ever(node))
        };
        if hope {
            return Some(Verdict::Wait {
                known: head.hopeful_at.is_some(),
                reach,
            });
        }
        Some(on_submitter(None, Why::Nobody))
    }

    fn place(&mut self, id: JobId, placement: Placement, now: Time, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        self.queue.placed(job);
        job.state = State::Placed {
            worker: placement.worker,
        };
        let (client, submitter, siblings) = (job.client, job.submitter, job.siblings.clone());
        let work = f64::from(job.forecast.work_ms);
        self.backlog.waiting -= work;
        self.backlog.placed += work;
        let waited_ms = now.0.saturating_sub(job.requested_at.0);
        let forecast = (self.config.algorithm == Algorithm::Finish).then_some(job.forecast);
        self.placements += 1;
        let installs = !placement.installed && placement.worker != submitter;
        let Some(worker) = self.nodes.get_mut(&placement.worker) else {
            return;
        };
        let own = worker.id == submitter;
        job.placed_at = now;
        job.held = None;
        job.straight = placement.installed && worker.has_free_slot();
        job.crowded = worker.crowded_with_one_more();
        let speed = worker.pace.speed(job.kind.language(), job.crowded);
        let share = if own { 1.0 } else { worker.share_of_machine() };
        job.expected_ms = job.forecast.work_ms / (speed * share).max(0.01);
        worker.memory.promise(job.forecast.memory);
        worker.last_placed_at = now;
        worker.jobs.insert(id);
        worker.last_placement = self.placements;
        worker.placements += 1;
        let platform = worker.platform.clone();
        if placement.why == Why::Nobody {
            out.push(Action::Note(Note::AssigningSubmitter { job: id }));
        } else {
            out.push(Action::Note(Note::Selected {
                job: id,
                node: worker.name.clone(),
                why: placement.why,
            }));
        }
        out.push(Action::Note(Note::Put {
            job: id,
            node: worker.name.clone(),
            install: installs,
        }));
        out.extend(self.answer(id, client, submitter, &placement));
        if installs && let Some(environment) = placement.environment {
            self.begin_installation(
                placement.worker,
                Installing {
                    environment,
                    job: id,
                    since: now,
                },
            );
        }
        self.refresh(placement.worker);
        if !own {
            self.count_away(submitter, true);
        }
        if let Some(siblings) = siblings {
            self.narrow(&siblings, &platform);
        }
        self.decisions.add(Decision {
            at: now,
            job: id,
            submitter,
            worker: placement.worker,
            why: placement.why,
            candidates: placement.candidates,
            eligible: placement.eligible,
            nodes: self.nodes.len(),
            forecast,
            waited_ms,
        });
    }

    fn answer(
        &self,
        job: JobId,
        client: crate::ClientId,
        submitter: NodeId,
        placement: &Placement,
    ) -> Option<Action> {
        let (asker, worker) = (
            self.nodes.get(&submitter)?,
            self.nodes.get(&placement.worker)?,
        );
        if submitter == placement.worker && asker.agreed_version >= NO_CS_VERSION {
            return Some(Action::CompileYourself {
                node: submitter,
                job,
                client,
            });
        }
        let platform = match &placement.environment {
            Some(environment) => environment.platform.clone(),
            None => worker.platform.clone(),
        };
        Some(Action::UseWorker {
            node: submitter,
            answer: Box::new(Answer {
                job,
                client,
                worker: worker.id,
                address: worker.address_for(asker),
                port: worker.port,
                platform,
                installed: placement.installed,
                matched_job: asker
                    .requested
                    .matched(&worker.compiled)
                    .map_or(0, |job| job.0),
            }),
        })
    }

    /// All jobs of one request must use the same toolchain: once one has gone to a machine of `platform`, the others offer
    /// only the toolchain for that, if there is one.
    fn narrow(&mut self, siblings: &[JobId], platform: &Text) {
        for id in siblings {
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            let offered = &job.needs.environments;
            if job.state != State::Queued || offered.len() < 2 {
                continue;
            }
            let Some(same) = offered.iter().find(|offer| offer.platform == *platform) else {
                continue;
            };
            self.queue.remove(job);
            job.needs = Needs {
                environments: Arc::from([same.clone()]),
                ..(*job.needs).clone()
            }
            .marked();
            job.needs = self.queue.push(job);
            self.fresh.push(*id);
        }
    }
}

/// Another submitter could be served where this one's blacklist stands in the way.
fn reach_of(submitter: &Node) -> Reach {
    if submitter.blacklist.is_empty() {
        Reach::Class
    } else {
        Reach::Lane
    }
}
