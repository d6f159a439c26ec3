//! Runs one process in a root of its own, with limits, and knows when all of it is over.
//!
//! Three processes make a job. The caller starts its own executable anew as `__jail` ([`spawn`], [`jail_main`]): a small
//! single-threaded *jail step* that may do what a daemon full of threads must not. It makes the namespaces and forks the
//! *init*, which builds the root, gives up every privilege, forks the *job*, reaps what the job leaves behind and reports how
//! it ended. The jail step stays outside and waits for three things: the end of init, the caller's wish to kill, and the
//! caller's death; each ends the whole tree.
//!
//! | | namespaces ([`Level::UserNamespace`], or [`Level::Chroot`] with `CAP_SYS_ADMIN`) | bare [`Level::Chroot`] |
//! |---|---|---|
//! | toolchain | read-only bind mount, old root detached | plain `chroot`: as writable as its owner and modes say |
//! | `/tmp`, `/dev`, `/proc` | the job's folder; null, zero, full, random, urandom; own processes only | as found in the root |
//! | network, IPC, host name | none, none, `gelato` | the host's |
//! | other processes | invisible | those of the same user can be signalled |
//! | kill | end of the PID namespace: nothing survives | child subreaper and sweep; a process that forks faster than the sweep, or that kills the jail step and then hides in its own session, survives |
//! | privileges | none, `no_new_privs`, empty bounding set | none, `no_new_privs`, bounding set as the daemon left it if the daemon is not root |
//!
//! On top of either: Landlock as far as the kernel has it (writes to the job's folder only, no TCP, no signals and abstract sockets
//! to the outside; at the bare level also nothing of other jobs' folders), and a system call filter. [`layers()`] tells what is in force.
//!
//! Not here: cgroups; how many jobs run; time limits (the caller kills).
//!
//! - [`Jailer`], [`Running`]: start, kill, wait
//! - [`JobSpec`], [`Outcome`]: what goes in, what comes out
//! - [`probe()`]: what this machine and user can do
//! - [`identity`]: users, and giving up root for good

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox needs Linux");

mod capabilities;
mod child;
mod confine;
mod error;
mod filter;
pub mod identity;
mod init;
mod job;
mod mounts;
mod namespaces;
mod probe;
mod recipe;
mod rlimit;
mod spawn;

pub use child::jail_main;
pub use error::{SandboxError, Step};
pub use job::{Exit, Identity, JobSpec, Level, Limits, Outcome};
pub use probe::{Layers, Probe, layers, probe};
pub use spawn::{Jailer, Running, spawn};
