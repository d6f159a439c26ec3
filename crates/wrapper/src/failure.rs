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
                | LocalReason::WorkerBusy
                | LocalReason::WorkerLimit
                | LocalReason::WorkerCrashed
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

/// A result that says that the job is not done, and that the source is not to blame. Gelato's workers say more in the last
/// line of what the compiler printed: `gelato: CODE: SENTENCE`.
pub(crate) fn handed_back(stderr: &[u8]) -> Failure {
    const ELSEWHERE: [LocalReason; 4] = [
        LocalReason::WorkerBusy,
        LocalReason::WorkerLimit,
        LocalReason::WorkerCrashed,
        LocalReason::WorkerOutOfMemory,
    ];
    let text = String::from_utf8_lossy(stderr);
    let said = text
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("gelato: "));
    if let Some((code, sentence)) = said.and_then(|said| said.split_once(": ")) {
        let sentence: String = sentence
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let text = format!("the worker gave the job back: {sentence}");
        if let Some(reason) = ELSEWHERE.into_iter().find(|reason| reason.code() == code) {
            return Failure::there(reason, text);
        }
        if code == LocalReason::RemoteFailure.code() {
            return Failure::here(LocalReason::RemoteFailure, text);
        }
    }
    let text = "the worker ran out of memory or disk";
    Failure::there(LocalReason::WorkerOutOfMemory, text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_of_a_job_it_gives_back_is_recorded() {
        let crashed =
            b"x.c:1: internal compiler error\ngelato: worker-crashed: the compiler crashed\n";
        let failure = handed_back(crashed);
        assert_eq!(failure.reason, LocalReason::WorkerCrashed);
        assert!(failure.another_worker && failure.text.ends_with(": the compiler crashed"));
        let odd = handed_back(b"gelato: remote-failure: no object\n");
        assert_eq!(odd.reason, LocalReason::RemoteFailure);
        assert!(!odd.another_worker);
        for other in [
            &b""[..],
            b"cc1: out of memory",
            b"gelato: the worker has no time for it\n",
            b"gelato: no-such-code: text\n",
            b"gelato: worker-busy: not the last line\nend\n",
            b"\xff\xfe\n",
        ] {
            assert_eq!(handed_back(other).reason, LocalReason::WorkerOutOfMemory);
        }
        let long = [b"gelato: worker-busy: \x1b[31m".as_slice(), &[b'x'; 9999]].concat();
        let text = handed_back(&long).text;
        assert!(text.len() < 300 && !text.contains('\x1b'));
    }
}
