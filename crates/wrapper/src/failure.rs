//! What can go wrong with a remote attempt, with Icecream's error numbers for those who read its log lines.

use gelato_compiler::LocalReason;
use gelato_net::NetError;

use crate::signals::Interrupted;

/// One failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the record.
    pub(crate) reason: LocalReason,
    /// Icecream's number, if it has one for this.
    pub(crate) number: Option<u32>,
    /// For people.
    pub(crate) text: String,
    /// Whether another worker may do better.
    pub(crate) another_worker: bool,
    /// The user has been told.
    pub(crate) told: bool,
}

impl Failure {
    /// A failure that another worker would share.
    pub(crate) fn here(reason: LocalReason, text: impl Into<String>) -> Failure {
        Failure {
            reason,
            number: None,
            text: text.into(),
            another_worker: false,
            told: false,
        }
    }

    /// A failure of this worker or the way to it.
    pub(crate) fn there(reason: LocalReason, text: impl Into<String>) -> Failure {
        Failure {
            another_worker: true,
            ..Failure::here(reason, text)
        }
    }

    /// The same after the user was told and another worker was asked for.
    pub(crate) fn told(self) -> Failure {
        Failure {
            told: true,
            another_worker: false,
            ..self
        }
    }

    /// The same with a number of Icecream's.
    pub(crate) fn numbered(self, number: u32) -> Failure {
        Failure {
            number: Some(number),
            ..self
        }
    }

    /// Whether the user should be told: the infrastructure failed. What the compiler will say by itself is not told twice.
    pub(crate) fn is_worth_telling(&self) -> bool {
        !matches!(
            self.reason,
            LocalReason::RemoteOutput
                | LocalReason::RemoteFailure
                | LocalReason::WorkerOutOfMemory
                | LocalReason::PreprocessorFailed
                | LocalReason::PreprocessorOutput
                | LocalReason::ContextualSource
                | LocalReason::AssembledFile
                | LocalReason::OutputNotWritable
                | LocalReason::LayoutWarning
                | LocalReason::MacroPragma
                | LocalReason::SourceUnreadable
                | LocalReason::SourceTooLarge
                | LocalReason::AssignedHere
                | LocalReason::NoToolchain
                | LocalReason::NoMatchingToolchain
        )
    }

    /// The text as Icecream would put it.
    pub(crate) fn line(&self) -> String {
        match self.number {
            Some(number) => format!("Error {number} - {}", self.text),
            None => self.text.clone(),
        }
    }
}

/// Why an attempt stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    Interrupted,
    Failed(Failure),
}

impl From<Interrupted> for Stop {
    fn from(_: Interrupted) -> Stop {
        Stop::Interrupted
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// A connection error of a worker as the reason it stands for.
pub(crate) fn worker_lost(error: &NetError, number: u32) -> Failure {
    let reason = match error {
        NetError::Protocol { .. } => LocalReason::WorkerGarbage,
        NetError::TimedOut { .. } | NetError::Stalled { .. } => LocalReason::WorkerTimeout,
        NetError::Connect { .. } => LocalReason::WorkerUnreachable,
        _ => LocalReason::WorkerLost,
    };
    Failure::there(reason, error.to_string()).numbered(number)
}
