//! What can go wrong between a [`crate::JobSpec`] and its end, with the step's name and, where there is one, the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a job could not be started or its end not be learnt. Never the job's own failure: that is an [`crate::Exit`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The program does not exist in the root, may not be executed, or its interpreter is missing.
    #[error("cannot execute {}: {source}", program.display())]
    Exec {
        /// The program as named in the job, a path inside the root.
        program: PathBuf,
        /// What the kernel said: `NotFound`, `PermissionDenied`, or a wrong format.
        source: io::Error,
    },
    /// A step on the way to the job failed; nothing of the job runs.
    #[error("failed to {step}: {source}{}", hint_suffix(*hint))]
    Setup {
        /// Which step.
        step: Step,
        /// What the kernel said.
        source: io::Error,
        /// What the administrator can do about it.
        hint: Option<&'static str>,
    },
    /// The jail step itself could not be started (no more processes, descriptors or memory).
    #[error("failed to start the jail step {}: {source}", program.display())]
    Start {
        /// The executable that should have become the jail step.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The job's description cannot be carried out by anybody.
    #[error("unusable job description: {0}")]
    BadSpec(&'static str),
    /// The daemon is root and the job's identity is missing or root.
    #[error("refusing to run a job as root: an unprivileged identity is needed")]
    RunsAsRoot,
    /// The jail step did not report within the time; it has been killed.
    #[error("the jail step did not report within {} s", after.as_secs())]
    NoAnswer {
        /// How long it was waited for.
        after: Duration,
    },
    /// The jail step or the job's init ended without a report, killed from outside or out of memory.
    #[error("the jail step ended without a report")]
    Lost,
    /// Reading the report or waiting failed.
    #[error("failed to wait for the job: {0}")]
    Wait(#[source] io::Error),
}

impl SandboxError {
    /// What the administrator can do about it, if anything is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SandboxError::Setup { hint, .. } => *hint,
            _ => None,
        }
    }
}

/// A failed step inside the jail, before it has become a [`SandboxError`] on the caller's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) step: Step,
    pub(crate) errno: i32,
}

/// Names the step in which a system call failed.
pub(crate) trait At<T> {
    fn at(self, step: Step) -> Result<T, Failed>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failed> {
        self.map_err(|error| Failed {
            step,
            errno: error.raw_os_error().unwrap_or(libc::EINVAL),
        })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failed> {
        self.map_err(|errno| Failed {
            step,
            errno: errno.raw_os_error(),
        })
    }
}

fn hint_suffix(hint: Option<&'static str>) -> String {
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}

macro_rules! steps {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// The steps of making a jail, in about the order they are taken. Display completes "failed to …".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Step { $(#[doc = $text] $name = $number,)* }

        impl Step {
            pub(crate) fn from_number(number: u8) -> Option<Step> {
                match number { $($number => Some(Step::$name),)* _ => None }
            }
        }

        impl fmt::Display for Step {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Step::$name => $text,)* })
            }
        }
    };
}

steps! {
    ReadRecipe = 1, "read the recipe of the jail";
    SwitchIdentity = 2, "switch to the job's user and group";
    UserNamespace = 3, "create a user namespace";
    MapIdentity = 4, "map the user and group id into the user namespace";
    Namespaces = 5, "create the mount, PID, network, IPC and UTS namespaces";
    Supervise = 6, "start the job's init process";
    PrivateMounts = 7, "keep mounts from spreading to the host";
    BindRoot = 8, "bind the toolchain as the new root";
    ReadOnlyRoot = 9, "make the new root read-only";
    MountTmp = 10, "mount the job's folder";
    PivotRoot = 11, "change to the new root";
    DetachOldRoot = 12, "detach the old root";
    Chroot = 13, "change the root directory";
    HostName = 14, "set the host name of the jail";
    DropCapabilities = 15, "drop all capabilities";
    NoNewPrivileges = 16, "forbid gaining privileges";
    Limit = 17, "set a resource limit";
    Nice = 18, "set the niceness";
    Streams = 19, "connect standard input and output";
    WorkingDirectory = 20, "enter the working directory";
    CloseDescriptors = 21, "close inherited descriptors";
    Exec = 22, "execute the program";
    Confine = 23, "restrict what the job may reach with Landlock";
    SystemCallFilter = 24, "put the system call filter in force";
    ControlGroup = 25, "make and enter the job's control group";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_their_number() {
        for number in 1..=25 {
            let step = Step::from_number(number).expect("numbers are dense");
            assert_eq!(step as u8, number);
        }
        assert_eq!(Step::from_number(0), None);
        assert_eq!(Step::from_number(26), None);
    }

    #[test]
    fn hint_is_part_of_the_sentence() {
        let error = SandboxError::Setup {
            step: Step::UserNamespace,
            source: io::Error::from_raw_os_error(libc::ENOSPC),
            hint: Some("raise user.max_user_namespaces"),
        };
        let text = error.to_string();
        assert!(
            text.starts_with("failed to create a user namespace: No space left"),
            "{text}"
        );
        assert!(text.ends_with("(raise user.max_user_namespaces)"), "{text}");
    }
}
