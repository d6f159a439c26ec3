//! Records find the jobs they are about: by the scheduler's number, else by the submitter and the file; a record of which nothing had
//! been heard is a job of its own.

use std::sync::Arc;

use gelato_record::{JobRecord, Verdict};
use gelato_wire::types::Language;

use super::{Cluster, HostId, Job, JobId, Kind, State, Totals};
use crate::event::Figures;

/// Bytes of records that are kept with their jobs.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// How long a record may take to arrive and its end still be taken for the submitter's clock's, in ms.
const TRAVEL: u64 = 2_000;

/// Reasons of work that is not a compilation: that it is done here says nothing about the cluster.
const NO_COMPILATION: [&str; 8] = [
    "custom-command",
    "icerun",
    "preprocess-only",
    "driver-query",
    "no-compile-step",
    "no-input",
    "configure-probe",
    "standard-input",
];

/// Reasons that say that a toolchain did not reach a worker.
const NOT_INSTALLED: [&str; 3] = ["no-toolchain", "toolchain-unreadable", "toolchain-rejected"];

impl Cluster {
    pub(super) fn recorded(&mut self, now: u64, number: u32, record: JobRecord) {
        let Some(client) = self.numbers.get(&number).copied() else {
            return;
        };
        let record = Arc::new(record);
        if let Some(host) = self.hosts.get_mut(&client) {
            host.recorded(now, record.end);
            self.changes.host(client);
        }
        if self.reasons.count(now, &record) {
            self.changes.reasons();
        }
        self.people.count(now, client, &record);
        self.durations.recorded(&record);
        self.results.recorded(&record);
        self.count_recent(now, &record);
        let joined = self.job_of(client, &record);
        let id = match joined {
            Some(id) => Some(id),
            None => self.invent(now, client, &record),
        };
        let thought = joined
            .and_then(|id| self.jobs.get(&id))
            .and_then(|job| job.build);
        let build = self.builds.recorded(now, client, thought, &record);
        if let Some(id) = id {
            self.attach(now, id, build, &record);
        }
        // What came after the attempt elsewhere had failed is another job of the feed, and the same of the user.
        if record.verdict == Verdict::FailedOver
            && joined.is_some()
            && let Some(again) = self
                .local_job_of(client, &record)
                .filter(|again| Some(*again) != id)
        {
            self.attach(now, again, build, &record);
        }
        self.changes.build(build);
        self.tell_forgotten_builds();
    }

    fn attach(&mut self, now: u64, id: JobId, build: u64, record: &Arc<JobRecord>) {
        self.done_after_all(id, record);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.build != Some(build) && job.begun.is_some() {
            if let Some(from) = job.build {
                self.changes.build(from);
            }
            self.builds.moved(now, job, build);
            job.build = Some(build);
        }
        job.record = Some(Arc::clone(record));
        if let Some(host) = job.client.and_then(|client| self.hosts.get_mut(&client)) {
            host.record_came(id);
        }
        self.changes.job(id);
        self.records_bytes += cost(record);
        self.records.push_back((id, cost(record)));
        while self.records_bytes > KEPT_BYTES
            && let Some((oldest, bytes)) = self.records.pop_front()
        {
            self.records_bytes -= bytes;
            if let Some(job) = self.jobs.get_mut(&oldest) {
                job.record = None;
            }
        }
    }

    /// A job whose worker vanished before it began, and that its submitter then did itself: the scheduler only told that it is over.
    fn done_after_all(&mut self, id: JobId, record: &JobRecord) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (State::Cancelled, Verdict::Own, Some(ended), Some(client)) =
            (job.state, record.verdict, job.ended, job.client)
        else {
            return;
        };
        let wall = record.wall.saturating_sub(record.phases.wait);
        job.begin(ended.saturating_sub(wall).max(job.asked), Kind::Own, client);
        let state = match record.exit {
            0 => State::Finished,
            _ => State::Failed,
        };
        job.end(ended, state, figures(record));
        self.totals.cancelled = self.totals.cancelled.saturating_sub(1);
        self.totals.own += 1;
        self.totals.failed += u64::from(state == State::Failed);
        if let Some(host) = self.hosts.get_mut(&client) {
            host.jobs_own += 1;
        }
    }

    fn job_of(&self, client: HostId, record: &JobRecord) -> Option<JobId> {
        let free = |id: &JobId| {
            let job = self.jobs.get(id);
            job.is_some_and(|job| job.record.is_none() && job.client.is_none_or(|of| of == client))
        };
        let numbered = record
            .job
            .and_then(|number| self.numbered.get(&number).copied());
        numbered
            .filter(free)
            .or_else(|| self.local_job_of(client, record))
    }

    /// The oldest job of the submitter on its own machine with this file and without a record.
    fn local_job_of(&self, client: HostId, record: &JobRecord) -> Option<JobId> {
        if !matches!(
            record.verdict,
            Verdict::Local | Verdict::Own | Verdict::FailedOver
        ) {
            return None;
        }
        let names = [last_part(&record.file), last_part(&record.source)];
        let mut waiting = self.hosts.get(&client)?.unrecorded();
        waiting.find(|id| {
            let job = self.jobs.get(id).filter(|job| job.record.is_none());
            job.is_some_and(|job| !job.file.is_empty() && names.contains(&last_part(&job.file)))
        })
    }

    /// A job that only its record tells of.
    fn invent(&mut self, now: u64, client: HostId, record: &JobRecord) -> Option<JobId> {
        let fresh = record.end <= now && now - record.end <= TRAVEL;
        let end = if fresh { record.end } else { now };
        let begun = end.saturating_sub(record.wall);
        let kind = match record.verdict {
            Verdict::Remote => Kind::Remote,
            Verdict::Own => Kind::Own,
            Verdict::Local | Verdict::FailedOver | Verdict::Refused => Kind::Local,
        };
        let mut job = Job::queued(
            begun,
            record.job.unwrap_or(0),
            Some(client),
            record.file.clone(),
            language(record.language.as_deref()),
        );
        job.kind = kind;
        if record.verdict != Verdict::Refused {
            job.begin(begun, kind, client);
            if kind == Kind::Remote {
                job.server = None;
            }
        }
        let state = match record.exit {
            0 => State::Finished,
            _ => State::Failed,
        };
        job.end(end, state, figures(record));
        self.results.ended_as(&job);
        if job.begun.is_some() {
            count(&mut self.totals, kind);
            if state == State::Failed {
                self.totals.failed += 1;
            }
        }
        let id = self.next_id();
        self.jobs.insert(id, job);
        self.remember_ended(id);
        Some(id)
    }

    fn count_recent(&mut self, now: u64, record: &JobRecord) {
        let reason = record.reason.as_deref().unwrap_or_default();
        let minute = self.recent.minute(now);
        match record.verdict {
            Verdict::FailedOver => {
                minute.failed_over += 1;
                minute.here += 1;
            }
            Verdict::Local if !NO_COMPILATION.contains(&reason) => minute.here += 1,
            _ => {}
        }
        if NOT_INSTALLED.contains(&reason) {
            minute.not_installed += 1;
        }
    }
}

pub(super) fn count(totals: &mut Totals, kind: Kind) {
    match kind {
        Kind::Remote => totals.remote += 1,
        Kind::Own => totals.own += 1,
        Kind::Local => totals.local += 1,
    }
}

/// About how many bytes a record takes.
fn cost(record: &JobRecord) -> usize {
    let words = [
        &record.reason,
        &record.subject,
        &record.language,
        &record.build,
        &record.worker,
    ];
    let words: usize = words
        .iter()
        .filter_map(|word| word.as_ref())
        .map(String::len)
        .sum();
    let texts = [
        &record.file,
        &record.source,
        &record.folder,
        &record.detail,
        &record.compiler,
    ];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    size_of::<JobRecord>() + words + texts
}

fn figures(record: &JobRecord) -> Figures {
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Figures {
        exit: record.exit,
        real_ms: small(record.wall),
        user_ms: small(record.cpu),
        in_compressed: small(record.sent),
        in_raw: small(record.source_bytes),
        out_compressed: small(record.received),
        out_raw: small(record.output_bytes),
        ..Figures::default()
    }
}

/// The wire's number of a language; what is none is no compilation.
fn language(name: Option<&str>) -> u32 {
    let language = match name {
        Some("c" | "c-header" | "cpp-output") => Language::C,
        Some("objective-c++") => Language::ObjectiveCxx,
        Some("objective-c") => Language::ObjectiveC,
        Some(name) if name.starts_with("c++") => Language::Cxx,
        _ => Language::Custom,
    };
    language.number()
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
