//! What the caller may choose, and the constants of the field with their sources.

use serde::{Deserialize, Serialize};

/// How a worker is chosen among those that could take a job now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ours: the earliest expected finish of each job by what is known of its file, its worker and the memory there, with
    /// fair shares between submitters.
    #[default]
    Finish,
    /// The worker that would soonest finish a job of mean size, by Icecream's measure of speed.
    Fastest,
    /// The one that has waited longest for a job.
    RoundRobin,
    /// The smallest ratio of jobs to slots.
    LeastBusy,
    /// Uniform.
    Random,
    /// As Icecream's own scheduler ranks, oddities included; also called `upstream`.
    Compat,
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Finish,
        Algorithm::Fastest,
        Algorithm::RoundRobin,
        Algorithm::LeastBusy,
        Algorithm::Random,
        Algorithm::Compat,
    ];

    /// As log lines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Finish => "FINISH",
            Algorithm::Fastest => "FASTEST",
            Algorithm::RoundRobin => "ROUND_ROBIN",
            Algorithm::LeastBusy => "LEAST_BUSY",
            Algorithm::Random => "RANDOM",
            Algorithm::Compat => "COMPAT",
        }
    }

    /// By name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("upstream") {
            return Some(Algorithm::Compat);
        }
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

/// Policy of one scheduler.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Start value of the generator behind every random choice.
    pub seed: u64,
    /// See [`Algorithm`].
    pub algorithm: Algorithm,
    /// `Fastest` and `Finish` only: in so many of 100 decisions the worker that has waited longest gets the job (with
    /// `Finish` only if that is ten minutes ago and costs little), so that a machine that was slow once is measured again.
    pub exploration_percent: u32,
    /// `Fastest` and `Finish` only: a submitter with nothing else in flight keeps its job if its own speed is at least this share of
    /// the best remote one, transfer included (Icecream's manual promises 70). 0 switches the rule off.
    pub own_machine_percent: u32,
    /// What sending and unpacking a missing toolchain is taken to cost, in milliseconds, where it has not been measured.
    pub transfer_cost_ms: u32,
    /// `Finish` only: a job of at most so many milliseconds (on a worker of mean speed) stays where it was submitted while
    /// a slot is free there.
    pub small_job_ms: u32,
    /// `Finish` only: about so many files are remembered.
    pub history_kept: usize,
    /// How many decisions are remembered for explanation.
    pub decisions_kept: usize,
    /// Seconds of silence after which a peer below protocol 27 is sent PING; newer ones have keepalive.
    pub ping_after: u64,
    /// Seconds it then has to answer.
    pub ping_grace: u64,
    /// The same for peers that say that they answer PING, whatever their version: a keepalive is answered by the system even
    /// if the program stands still.
    pub heartbeat: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            algorithm: Algorithm::Finish,
            exploration_percent: 5,
            own_machine_percent: 70,
            transfer_cost_ms: 3000,
            small_job_ms: 150,
            history_kept: 65_536,
            decisions_kept: 2048,
            ping_after: 36,
            ping_grace: 6,
            heartbeat: 5,
        }
    }
}

/// Load at which a node takes nothing from others; also the load of a node that has not reported yet.
pub(crate) const LOAD_FULL: u32 = 1000;
/// Highest niceness; a higher one counts as this.
pub(crate) const NICENESS_MAX: u32 = 20;
/// From this protocol version on TCP keepalive replaces PING.
pub(crate) const KEEPALIVE_VERSION: u32 = 27;
/// First protocol version with CS_CONF.
pub(crate) const CONFIGURATION_VERSION: u32 = 24;
/// First protocol version with NO_CS.
pub(crate) const NO_CS_VERSION: u32 = 37;
/// Seconds after PING in which a peer that answers it still gets jobs.
pub(crate) const ANSWER_TIME: u64 = 1;
/// Seconds an installation may take.
pub(crate) const INSTALL_TIMEOUT: u64 = 120;
/// Seconds a worker is not offered a toolchain it failed to install in time.
pub(crate) const AVOID_AFTER_TIMEOUT: u64 = 300;
/// Seconds between successful reachability tests.
pub(crate) const TEST_AGAIN: u64 = 60;
/// Longest pause between failing reachability tests, in seconds; the first pause is 2 and doubles.
pub(crate) const TEST_PAUSE_MAX: u64 = 300;
/// Seconds running jobs get when the cluster moves to another scheduler.
pub(crate) const DRAIN_TIME: u64 = 60;

/// Bounds on what one peer may make us keep; exceeding one drops the peer.
pub mod limits {
    /// Answers asked for by one request.
    pub const COUNT: u32 = 256;
    /// Live jobs submitted by one node.
    pub const JOBS: usize = 10_000;
    /// Different needs of the waiting jobs of one node. Each is tried after every event, so many would make everybody wait.
    pub const DIFFERENT_NEEDS: usize = 256;
    /// Local jobs of one node.
    pub const LOCAL_JOBS: usize = 4096;
    /// Bytes of a file name; of a longer one the end is kept, for it is only shown.
    pub const FILE_NAME: usize = 4096;
    /// Bytes of a node's name, a platform, the name of a toolchain (these two become folder names on workers).
    pub const NAME: usize = 255;
    /// Toolchains installed on one node.
    pub const INSTALLED: usize = 1024;
    /// Toolchains offered by one request.
    pub const OFFERED: usize = 64;
    /// Jobs of another scheduler that one node runs, or has elsewhere.
    pub const INHERITED: usize = 4096;
    /// Pairs one submitter may blacklist.
    pub const BLACKLIST: usize = 1024;
    /// Workers whose speed is remembered across restarts.
    pub const PAST_WORKERS: usize = 20_000;
    /// Hosts that may not log in.
    pub const BLOCKED: usize = 10_000;
    /// Slots of one node; a higher number counts as this.
    pub const SLOTS: u32 = 10_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_found_in_any_case() {
        assert_eq!(
            Algorithm::from_name("Round_Robin"),
            Some(Algorithm::RoundRobin)
        );
        assert_eq!(Algorithm::from_name("fastest"), Some(Algorithm::Fastest));
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("upstream"), Some(Algorithm::Compat));
        assert_eq!(Algorithm::from_name(""), None);
        assert_eq!(Algorithm::from_name("foo"), None);
    }
}
