//! Rows of jobs.

use gelato_record::JobRecord;
use serde::{Deserialize, Serialize};

use crate::model::{Cluster, HostId, Job, JobId, Kind, State, Wait};

/// One job. What is not known, or not yet, is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// For as long as the watcher lives; later jobs have greater ones.
    pub id: JobId,
    /// The scheduler's number of it, not unique over time; 0 if it has none.
    pub number: u32,
    /// The file, shortened.
    pub file: String,
    /// Its language.
    pub language: Option<String>,
    /// The submitter.
    pub client: Option<HostId>,
    /// Where it runs or ran.
    pub server: Option<HostId>,
    /// Row of its bar among those of the same host.
    pub lane: u16,
    /// What became of it.
    pub state: State,
    /// Where it runs, as seen from its submitter; `remote` while it waits.
    pub kind: Kind,
    /// The number of its build, or of the one it is thought to belong to.
    pub build: Option<u64>,
    /// When it was asked for.
    pub asked: u64,
    /// When it began.
    pub begun: Option<u64>,
    /// When it was over.
    pub ended: Option<u64>,
    /// From being asked for to beginning, or to now.
    pub wait_ms: u64,
    /// How long it ran, or has run up to now.
    pub duration_ms: Option<u64>,
    /// Exit status; 255 of a job that was lost.
    pub exit: Option<i32>,
    /// User CPU time.
    pub user_ms: Option<u32>,
    /// System CPU time.
    pub system_ms: Option<u32>,
    /// Page faults.
    pub page_faults: Option<u32>,
    /// Bytes of source.
    pub in_raw: Option<u32>,
    /// Bytes of source as sent.
    pub in_compressed: Option<u32>,
    /// Bytes of the result.
    pub out_raw: Option<u32>,
    /// Bytes of the result as sent.
    pub out_compressed: Option<u32>,
    /// Why it was placed where it was, if the scheduler told.
    pub why: Option<String>,
    /// What it waits for, if the scheduler told.
    pub waiting: Option<Wait>,
    /// What its submitter recorded.
    pub record: Option<JobRecord>,
}

/// One job.
pub fn job(from: &Cluster, id: JobId, now: u64) -> Option<JobRow> {
    from.job(id).map(|job| row(now, id, job))
}

/// All jobs that are remembered, the oldest first.
pub fn jobs(from: &Cluster, now: u64) -> Vec<JobRow> {
    from.jobs().map(|(id, job)| row(now, id, job)).collect()
}

/// The jobs of a build that are remembered, the oldest first.
pub fn jobs_of_build(from: &Cluster, build: u64, now: u64) -> Vec<JobRow> {
    let jobs = from.jobs().filter(|(_, job)| job.build == Some(build));
    jobs.map(|(id, job)| row(now, id, job)).collect()
}

/// Jobs that are not over and the newest that are, the oldest first.
pub fn live_and_newest(from: &Cluster, now: u64, newest: usize) -> Vec<JobRow> {
    let mut left = newest;
    let mut rows: Vec<JobRow> = from
        .jobs()
        .rev()
        .filter(|(_, job)| {
            let wanted = !job.is_over() || left > 0;
            left = left.saturating_sub(usize::from(job.is_over()));
            wanted
        })
        .map(|(id, job)| row(now, id, job))
        .collect();
    rows.reverse();
    rows
}

fn row(now: u64, id: JobId, job: &Job) -> JobRow {
    let figures = &job.figures;
    // A lost job and a local one have none.
    let measured = job.is_over() && job.state != State::Lost && job.state != State::Cancelled;
    let said = |value: u32| (measured && (value > 0 || job.kind != Kind::Local)).then_some(value);
    let unfiled = job.file.is_empty();
    let record = job.record.as_deref();
    JobRow {
        id,
        number: job.number,
        file: match record {
            Some(record) if unfiled => record.file.clone(),
            _ => job.file.clone(),
        },
        language: language(job),
        client: job.client,
        server: job.server,
        lane: job.lane,
        state: job.state,
        kind: job.kind,
        build: job.build,
        asked: job.asked,
        begun: job.begun,
        ended: job.ended,
        wait_ms: job.wait(now),
        duration_ms: job.begun.map(|_| job.duration(now)),
        exit: job.is_over().then_some(match job.state {
            State::Lost => 255,
            _ => figures.exit,
        }),
        user_ms: said(figures.user_ms),
        system_ms: said(figures.system_ms),
        page_faults: said(figures.page_faults),
        in_raw: said(figures.in_raw),
        in_compressed: said(figures.in_compressed),
        out_raw: said(figures.out_raw),
        out_compressed: said(figures.out_compressed),
        why: job.why.clone(),
        waiting: job.waiting.clone(),
        record: record.cloned(),
    }
}

fn language(job: &Job) -> Option<String> {
    if let Some(told) = job
        .record
        .as_ref()
        .and_then(|record| record.language.clone())
    {
        return Some(told);
    }
    // Local jobs come without a language.
    if job.kind == Kind::Local || job.file.is_empty() {
        return None;
    }
    let word = match job.language {
        0 => "c",
        1 => "c++",
        2 => "objective-c",
        3 => "objective-c++",
        _ => return None,
    };
    Some(word.to_owned())
}
