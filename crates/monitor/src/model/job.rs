//! One job of the picture.

use std::sync::Arc;

use gelato_record::JobRecord;
use serde::{Deserialize, Serialize};

use super::HostId;
use crate::event::Figures;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// It runs.
    Running,
    /// The compiler said 0.
    Finished,
    /// The compiler said something else.
    Failed,
    /// Its worker or submitter vanished.
    Lost,
    /// It ended before it began.
    Cancelled,
}

/// Where a job runs, as seen from its submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// On another machine; also while it waits.
    Remote,
    /// On the submitter's own, by the scheduler's choice.
    Own,
    /// On the submitter's own, because it cannot travel.
    Local,
}

/// What a job waits for, as the scheduler told last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Its place among those that wait, from 1.
    pub position: u32,
    /// A stable word.
    pub reason: String,
    /// One line.
    pub text: String,
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The scheduler's number of it, not unique over time.
    pub number: u32,
    /// The file, shortened; empty if it was asked for before the picture began.
    pub file: String,
    /// Number of a language on the wire.
    pub language: u32,
    /// The submitter, if known.
    pub client: Option<HostId>,
    /// Where it runs or ran.
    pub server: Option<HostId>,
    /// Row of its bar among those of the same host, from 0.
    pub lane: u16,
    /// What became of it.
    pub state: State,
    /// Where it runs, as seen from its submitter.
    pub kind: Kind,
    /// When it was asked for.
    pub asked: u64,
    /// When it began.
    pub begun: Option<u64>,
    /// When it was over.
    pub ended: Option<u64>,
    /// What was told at its end.
    pub figures: Figures,
    /// The number of the build it belongs to, or is thought to.
    pub build: Option<u64>,
    /// Why it was placed where it was, if the scheduler told.
    pub why: Option<String>,
    /// What it waits for, if the scheduler told; none once it runs.
    pub waiting: Option<Wait>,
    /// Its submitter's record of it, if one was told and is still kept.
    pub record: Option<Arc<JobRecord>>,
}

impl Job {
    pub(super) fn queued(
        now: u64,
        number: u32,
        client: Option<HostId>,
        file: String,
        language: u32,
    ) -> Job {
        Job {
            number,
            file,
            language,
            client,
            server: None,
            lane: 0,
            state: State::Queued,
            kind: Kind::Remote,
            asked: now,
            begun: None,
            ended: None,
            figures: Figures::default(),
            build: None,
            why: None,
            waiting: None,
            record: None,
        }
    }

    pub(super) fn begin(&mut self, now: u64, kind: Kind, server: HostId) {
        self.state = State::Running;
        self.kind = kind;
        self.server = Some(server);
        self.begun = Some(now);
        self.waiting = None;
    }

    pub(super) fn end(&mut self, now: u64, state: State, figures: Figures) {
        self.state = state;
        self.ended = Some(now);
        self.figures = figures;
        self.waiting = None;
    }

    /// Milliseconds from being asked for to beginning, or to now.
    pub fn wait(&self, now: u64) -> u64 {
        let until = self.begun.or(self.ended).unwrap_or(now);
        until.saturating_sub(self.asked)
    }

    /// Milliseconds it ran: what the worker measured, else from beginning to end or now.
    pub fn duration(&self, now: u64) -> u64 {
        if self.figures.real_ms > 0 {
            return u64::from(self.figures.real_ms);
        }
        let until = self.ended.unwrap_or(now);
        self.begun.map_or(0, |begun| until.saturating_sub(begun))
    }

    /// Whether it neither waits nor runs.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}
