//! What to do with a compilation that would be local: the setting `policy`.
//!
//! - `auto`: one other worker is tried, then it is done here. A job the scheduler gives to this machine is done here.
//! - `prefer`: three other workers are tried, and a scheduler that chose this machine is asked again a few times.
//! - `require`: as `prefer`, but then the job fails with its reason.
//!
//! What no farm can take away from this machine is no failure under any policy ([`belongs_here`]): commands that compile nothing, tests of configuration tools,
//! which must see the compiler's own answer, command lines the compiler itself will refuse, and what the user keeps here by `ICECC=no`.

use std::time::Duration;

use gelato_compiler::{LocalReason, Output, OutputRole};

/// The setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Auto,
    Prefer,
    Require,
}

impl Policy {
    /// How many other workers are tried after the first has failed.
    pub(crate) fn further_workers(self) -> u32 {
        match self {
            Policy::Auto => 1,
            Policy::Prefer | Policy::Require => 3,
        }
    }

    /// How long to wait before the scheduler, having chosen this machine `times` times, is asked once more. `None`: it has been asked often enough.
    pub(crate) fn pause_before_asking_again(self, times: usize) -> Option<Duration> {
        const PAUSES: [u64; 3] = [100, 300, 1000];
        match self {
            Policy::Auto => None,
            Policy::Prefer | Policy::Require => PAUSES
                .get(times.checked_sub(1)?)
                .map(|&pause| Duration::from_millis(pause)),
        }
    }
}

/// Whether a job with this reason is local under every policy.
pub(crate) fn belongs_here(reason: LocalReason) -> bool {
    use LocalReason as R;
    match reason {
        // Nothing is compiled, or not from a source a worker could take.
        R::CustomCommand
        | R::Icerun
        | R::PreprocessOnly
        | R::DriverQuery
        | R::NoCompileStep
        | R::NoInput
        | R::UnsupportedLanguage
        | R::UnknownSuffix => true,
        // Somebody wants to know what the compiler says.
        R::ConfigureProbe | R::StandardInput | R::OutputIsStandardOutput | R::OutputNotRegular => {
            true
        }
        // The compiler is going to say what is wrong, in its own words.
        R::MissingValue
        | R::ResponseFile
        | R::MissingFile
        | R::PreprocessorFailed
        | R::OutputNotWritable => true,
        // It was compiled elsewhere, or would be, and only the compiler's messages are wanted from here.
        R::RemoteOutput | R::PreprocessorOutput => true,
        // The user says so, for this command.
        R::Disabled | R::NotWanted => true,
        _ => false,
    }
}

/// Whether an option that keeps the job here makes it one that compiles nothing: `-M`, `-fsyntax-only`.
pub(crate) fn compiles_nothing(reason: LocalReason, outputs: &[Output]) -> bool {
    let compiled = |output: &Output| {
        matches!(
            output.role,
            OutputRole::Object
                | OutputRole::Assembly
                | OutputRole::Linked
                | OutputRole::PrecompiledHeader
                | OutputRole::Report
        )
    };
    matches!(
        reason,
        LocalReason::DependencyOption | LocalReason::LocalOption
    ) && !outputs.iter().any(compiled)
}

/// Whether something on this machine or around it does not work, of which the user would otherwise hear nothing.
pub(crate) fn is_breakdown(reason: LocalReason) -> bool {
    use LocalReason as R;
    matches!(
        reason,
        R::NoDaemon
            | R::DaemonFailed
            | R::NoToolchain
            | R::ToolchainUnreadable
            | R::NoMatchingToolchain
            | R::ExtraFileMissing
            | R::SchedulerSilent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_gives_up_soon_and_the_others_end_too() {
        assert_eq!(Policy::Auto.pause_before_asking_again(1), None);
        for policy in [Policy::Prefer, Policy::Require] {
            assert_eq!(policy.pause_before_asking_again(0), None);
            assert!(policy.pause_before_asking_again(1).is_some());
            assert_eq!(policy.pause_before_asking_again(4), None);
            assert!(policy.further_workers() > Policy::Auto.further_workers());
        }
    }

    #[test]
    fn an_option_that_keeps_an_object_here_is_no_excuse() {
        let output = |role| Output {
            role,
            path: "x".into(),
            pattern: false,
        };
        let dependencies = output(OutputRole::Dependencies);
        let object = output(OutputRole::Object);
        let reason = LocalReason::LocalOption;
        assert!(compiles_nothing(reason, &[]));
        assert!(compiles_nothing(
            reason,
            std::slice::from_ref(&dependencies)
        ));
        assert!(!compiles_nothing(reason, &[dependencies, object]));
        assert!(!compiles_nothing(LocalReason::NoDaemon, &[]));
    }

    #[test]
    fn what_does_not_work_never_belongs_here() {
        for &reason in LocalReason::ALL {
            assert!(!(belongs_here(reason) && is_breakdown(reason)), "{reason}");
        }
    }
}
