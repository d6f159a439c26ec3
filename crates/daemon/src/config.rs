//! What the daemon is told at its start: plain data, already checked by whoever read it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::access::Access;
use crate::courtesy::CourtesyTerms;
use gelato_net::Limits;
use gelato_net::discovery::Wanted;
use gelato_net::listener::Retry;
use gelato_sandbox::{Identity, Jailer, Level};

/// Everything the daemon needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the node; the host name of the moment if not set.
    pub node_name: Option<String>,
    /// This machine's platform, for instance `x86_64`.
    pub platform: String,
    /// Slots announced to the scheduler. With 0 the node takes no jobs and still links its own programs.
    pub max_jobs: u32,
    /// Which scheduler.
    pub scheduler: Wanted,
    /// How long to wait for a scheduler after losing one or not finding any.
    pub reconnect: Reconnect,
    /// TCP addresses to listen on; none without remote jobs. With port 0 any free one, the first of which is announced. That
    /// of all IPv6 addresses is left out where there are none.
    pub listen: Vec<SocketAddr>,
    /// How often to try an address in use.
    pub retry: Retry,
    /// The local socket.
    pub socket: PathBuf,
    /// Its permission bits.
    pub socket_mode: u32,
    /// Folder for toolchains, archives and jobs.
    pub base: PathBuf,
    /// Bytes of toolchains to keep; a share of the disk if not set.
    pub cache_limit: Option<u64>,
    /// How jobs of others are run; none if they are refused.
    pub remote: Option<Remote>,
    /// Why jobs of others are refused or not kept apart better, in sentences with what to do about it.
    pub obstacles: Vec<String>,
    /// How long running jobs may go on after the daemon was asked to stop.
    pub grace: Duration,
    /// What is considered before jobs of others are taken.
    pub courtesy: CourtesyTerms,
    /// Level of zstd for what is sent.
    pub compression: i32,
    /// Limits of connections.
    pub limits: Limits,
    /// Who may connect, and how much one peer may take up.
    pub access: Access,
}

/// Sockets that were opened for the daemon, by a service manager, and listen already. Those of one kind take the place of all
/// that the configuration names of that kind.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For wrappers of this machine.
    pub unix: Vec<std::os::unix::net::UnixListener>,
    /// For other machines; the port of the first is announced.
    pub tcp: Vec<std::net::TcpListener>,
}

/// How jobs of other machines are run.
#[derive(Clone, Debug)]
pub struct Remote {
    /// How they are kept apart.
    pub level: Level,
    /// What starts them: this executable in a program, another one in tests.
    pub jailer: Jailer,
    /// Whom they run as if the daemon is root.
    pub identity: Option<Identity>,
    /// Added to the daemon's niceness.
    pub nice: i32,
    /// Bits of [`features`](gelato_wire::types::features): the compressions of toolchains that are taken.
    pub features: u32,
    /// What one job may use up.
    pub limits: JobLimits,
}

/// What ends a job of another machine early. It then goes back to its submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// From start to end.
    pub time: Duration,
    /// Without a sign of life: nothing printed, nothing read, no CPU time used. Waiting for its submitter does not count.
    pub silence: Duration,
    /// Bytes on disk in the job's folder.
    pub disk: u64,
    /// Bytes the compiler may print; beyond that it finds its output closed.
    pub printed: u64,
    /// Bytes of memory; what the machine has, at least 4 GiB, if not set.
    pub memory: Option<u64>,
}

impl Default for JobLimits {
    /// Submitters wait 12 minutes for a result; no object is as large, and no result carries as much text. A compiler
    /// that does nothing for 5 minutes waits for something that does not come.
    fn default() -> JobLimits {
        JobLimits {
            time: Duration::from_secs(30 * 60),
            silence: Duration::from_secs(5 * 60),
            disk: 8 << 30,
            printed: 64 << 20,
            memory: None,
        }
    }
}

/// Waiting between two tries to find a scheduler: doubled from `first` up to `longest`, and each wait is between half of that
/// and all of it, so that the nodes of a network do not come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Reconnect {
    /// The ordinary waits.
    pub const PATIENT: Reconnect = Reconnect {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
    };
    /// For tests (`ICECC_TESTS`).
    pub const EAGER: Reconnect = Reconnect {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(3),
    };
}
