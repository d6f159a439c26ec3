//! Whose fault a failed compilation is. Pure.
//!
//! What the source is to blame for is passed on as it is. What this machine or its toolchain may be to blame for is handed
//! back with the flag that makes the submitter compile by itself: a slow answer is better than a wrong one.

use gelato_sandbox::Exit;

use super::reason::Reason;

/// Less than this many free bytes after a failure means that the disk was full.
const DISK_FULL: u64 = 10 << 20;

/// What compilers and their libraries say when memory or disk runs out.
const SHORTAGE: [&str; 8] = [
    "memory exhausted",
    "out of memory",
    "annot allocate memory",
    "failed to map segment from shared object",
    "Assertion `NewElts && \"Out of memory\"' failed",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "llvm::MallocSlabAllocator::Allocate",
    "o space left on device",
];

/// What a killed, crashed or incomplete compiler leaves behind.
const CRASH: [&str; 6] = [
    "signal terminated program",
    "internal compiler error",
    "PLEASE submit a bug report",
    "cannot execute",
    "error trying to exec",
    "error while loading shared libraries",
];

/// What became of the compiler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed<'a> {
    /// How it ended.
    pub(crate) exit: Exit,
    /// Whether the job was killed, or a part of it, because it had used up its memory.
    pub(crate) out_of_memory: bool,
    /// What it said on standard error.
    pub(crate) stderr: &'a [u8],
    /// Whether everything it said fits into a result.
    pub(crate) diagnostics_fit: bool,
    /// Whether it left an object with something in it.
    pub(crate) has_object: bool,
    /// Free bytes where it wrote.
    pub(crate) disk_free: Option<u64>,
}

/// The answer to the submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An object was made.
    Success,
    /// The compiler refused the source with this exit status.
    Refused(i32),
    /// Not the source's fault, or not certain: the submitter is to compile it.
    HandBack(Reason),
}

/// Judges a compilation that was not interrupted by us.
pub(crate) fn judge(observed: &Observed<'_>) -> Verdict {
    if observed.out_of_memory && observed.exit != Exit::Code(0) {
        let text = "the compiler used up its memory";
        return Verdict::HandBack(Reason::shortage(text));
    }
    let code = match observed.exit {
        Exit::Signal(_) => return Verdict::HandBack(Reason::crashed("the compiler was killed")),
        Exit::Code(code) => code,
    };
    if !observed.diagnostics_fit {
        let text = "the compiler said more than a result can carry";
        return Verdict::HandBack(Reason::odd(text));
    }
    if code == 0 {
        return if observed.has_object {
            Verdict::Success
        } else {
            let text = "the compiler succeeded without an object";
            Verdict::HandBack(Reason::odd(text))
        };
    }
    let says = |texts: &[&str]| {
        let mut texts = texts.iter();
        texts.any(|text| contains(observed.stderr, text.as_bytes()))
    };
    if says(&SHORTAGE) {
        let text = "the compiler ran out of memory or disk";
        return Verdict::HandBack(Reason::shortage(text));
    }
    if observed.disk_free.is_some_and(|free| free < DISK_FULL) {
        let text = "the disk of the worker is full";
        return Verdict::HandBack(Reason::shortage(text));
    }
    if code >= 128 {
        let text = "a part of the compiler was killed";
        return Verdict::HandBack(Reason::crashed(text));
    }
    if says(&CRASH) {
        let text = "the compiler crashed, was killed, or is incomplete";
        return Verdict::HandBack(Reason::crashed(text));
    }
    Verdict::Refused(code)
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|part| part == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Observed<'static> = Observed {
        exit: Exit::Code(0),
        out_of_memory: false,
        stderr: b"",
        diagnostics_fit: true,
        has_object: true,
        disk_free: Some(1 << 40),
    };

    fn handed_back(observed: &Observed<'_>) -> bool {
        matches!(judge(observed), Verdict::HandBack(_))
    }

    #[test]
    fn the_sources_own_errors_are_passed_on() {
        assert_eq!(judge(&FINE), Verdict::Success);
        let error = Observed {
            exit: Exit::Code(1),
            stderr: b"x.c:1:1: error: expected ';'",
            has_object: false,
            ..FINE
        };
        assert_eq!(judge(&error), Verdict::Refused(1));
    }

    #[test]
    fn d1_killed_compilers_are_handed_back() {
        assert!(handed_back(&Observed {
            exit: Exit::Signal(9),
            ..FINE
        }));
        assert!(handed_back(&Observed {
            exit: Exit::Code(137),
            ..FINE
        }));
        let driver = b"g++: fatal error: Killed signal terminated program cc1plus";
        assert!(handed_back(&Observed {
            exit: Exit::Code(1),
            stderr: driver,
            ..FINE
        }));
    }

    #[test]
    fn d31_a_job_without_memory_says_so_however_it_ended() {
        let text = |exit| match judge(&Observed {
            exit,
            out_of_memory: true,
            ..FINE
        }) {
            Verdict::HandBack(reason) => reason.line(),
            other => format!("{other:?}"),
        };
        for exit in [Exit::Signal(9), Exit::Code(1), Exit::Code(4)] {
            assert!(
                text(exit).starts_with("gelato: worker-out-of-memory: "),
                "{exit:?}"
            );
        }
        // What was killed may have been of no importance.
        assert_eq!(text(Exit::Code(0)), "Success");
    }

    #[test]
    fn d41_success_needs_an_object() {
        assert!(handed_back(&Observed {
            has_object: false,
            ..FINE
        }));
    }

    #[test]
    fn d18_cut_diagnostics_are_handed_back_whatever_the_status() {
        assert!(handed_back(&Observed {
            diagnostics_fit: false,
            ..FINE
        }));
        assert!(handed_back(&Observed {
            diagnostics_fit: false,
            exit: Exit::Code(1),
            ..FINE
        }));
    }

    #[test]
    fn memory_and_disk_are_not_the_sources_fault() {
        let failed = Observed {
            exit: Exit::Code(1),
            has_object: false,
            ..FINE
        };
        for stderr in [
            "cc1plus: out of memory allocating 65536 bytes",
            "as: No space left on device",
        ] {
            assert!(
                handed_back(&Observed {
                    stderr: stderr.as_bytes(),
                    ..failed
                }),
                "{stderr}"
            );
        }
        assert!(handed_back(&Observed {
            disk_free: Some(1 << 20),
            ..failed
        }));
    }
}
