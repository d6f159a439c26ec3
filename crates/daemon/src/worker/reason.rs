//! Why a job goes back to its submitter: a word for its records and a sentence for people.
//!
//! Icecream's result has no field for it, only the flag that makes the submitter compile by itself; so it is the last line of
//! what the compiler said, which Icecream's wrappers throw away with the rest: `gelato: CODE: SENTENCE`.

use std::fmt;

/// A reason. The codes are those of Gelato's build log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    code: &'static str,
    text: &'static str,
}

impl Reason {
    /// The worker has no time or no room for the job.
    pub(crate) const fn busy(text: &'static str) -> Reason {
        let code = "worker-busy";
        Reason { code, text }
    }

    /// The job went beyond what this worker allows.
    pub(crate) const fn limit(text: &'static str) -> Reason {
        let code = "worker-limit";
        Reason { code, text }
    }

    /// The compiler crashed, was killed, or lacks a part of itself.
    pub(crate) const fn crashed(text: &'static str) -> Reason {
        let code = "worker-crashed";
        Reason { code, text }
    }

    /// Memory or disk ran out.
    pub(crate) const fn shortage(text: &'static str) -> Reason {
        let code = "worker-out-of-memory";
        Reason { code, text }
    }

    /// What came out is no answer, and would be none elsewhere.
    pub(crate) const fn odd(text: &'static str) -> Reason {
        let code = "remote-failure";
        Reason { code, text }
    }

    /// The line for the submitter.
    pub(crate) fn line(self) -> String {
        format!("gelato: {}: {}\n", self.code, self.text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}
