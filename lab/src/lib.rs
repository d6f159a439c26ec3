//! Test clusters of real processes: schedulers, daemons and wrappers of ours and of the distribution's Icecream, on
//! hosts that are network namespaces or ports of the loopback interface.
//!
//! | module | what |
//! |---|---|
//! | [`spec`] | saying what a cluster shall be |
//! | [`cluster`] | a cluster: starting, breaking and ending its roles, with a look at what was left |
//! | [`daemon`] | one daemon of it |
//! | [`host`] | one machine and programs running on it |
//! | [`segment`] | network namespaces joined by a bridge |
//! | [`programs`] | where the programs of each flavour come from |
//! | [`build`] | compiling through a cluster and beside it, and comparing |
//! | [`record`] | which job ran where |
//! | [`corpus`] | real command lines, bare and through a cluster, with everything compared |
//! | [`soak`] | builds while everything fails at random |
//! | [`control`] | the scheduler's text port |
//! | [`sources`] | projects to compile that nobody here wrote |
//! | [`log`], [`proc`], [`wait`] | log files, processes, deadlines |

pub mod build;
pub mod cluster;
pub mod control;
pub mod corpus;
pub mod daemon;
mod guard;
pub mod host;
mod leak;
pub mod log;
pub mod proc;
pub mod programs;
pub mod record;
pub mod segment;
pub mod soak;
pub mod sources;
pub mod spec;
pub mod wait;

pub use cluster::Cluster;
pub use daemon::Daemon;
pub use host::{Done, RunAs, Task};
pub use programs::{Flavour, Programs};
pub use record::{JobRecord, Tally, Verdict};
pub use spec::{Builder, DaemonSpec, Layout};

/// Says that a test was not carried out, and why.
///
/// # Panics
/// If `GELATO_LAB_REQUIRE` is set: on a machine that has everything, nothing may be left out in silence.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("GELATO_LAB_REQUIRE").is_none(),
        "cannot be tested here: {reason}"
    );
    eprintln!("SKIPPED: {reason}");
}
