//! Everything that can happen to the scheduler, as plain data. The caller translates messages, timers and control
//! commands into these; see [`crate::Core::handle`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, ConnectionId, Environment, JobId, NodeId, Text};
use crate::recovered::{Abroad, Running};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A connection introduced itself as a daemon.
    Login(Box<Login>),
    /// A known daemon announced the toolchains it has now.
    Relogin {
        /// Who.
        node: NodeId,
        /// Jobs it runs at a time from now on; 0 if that is as before.
        slots: u32,
        /// All it has, by target platform.
        environments: Vec<Environment>,
    },
    /// A daemon's readings.
    Stats {
        /// Who.
        node: NodeId,
        /// 0 idle to 1000 full.
        load: u32,
        /// The rest.
        readings: Readings,
    },
    /// A daemon asks for workers for one of its clients.
    Request {
        /// The submitter.
        node: NodeId,
        /// What it needs.
        request: Box<Request>,
    },
    /// A worker, or a submitter for its own machine, has started a job.
    Begin {
        /// Who says so.
        node: NodeId,
        /// Which job.
        job: JobId,
        /// Unix seconds on the sender's clock.
        start_time: u32,
        /// The sender's client connections, where its protocol version tells.
        client_count: Option<u32>,
    },
    /// A job ended, or its client is gone.
    Done {
        /// Who says so.
        node: NodeId,
        /// Which job.
        which: DoneJob,
        /// True if the node speaks as the job's submitter, false if as its worker.
        by_submitter: bool,
        /// How it went.
        result: JobResult,
        /// The sender's client connections, where its protocol version tells.
        client_count: Option<u32>,
    },
    /// A job that was never offered to others has started on its own machine.
    LocalBegin {
        /// Where.
        node: NodeId,
        /// The daemon's number of it.
        client: ClientId,
        /// For people.
        file: Text,
        /// Unix seconds on the node's clock.
        start_time: u32,
        /// It takes the whole machine.
        full: bool,
    },
    /// A local job ended.
    LocalDone {
        /// Where.
        node: NodeId,
        /// The daemon's number of it.
        client: ClientId,
    },
    /// A submitter found that a toolchain does not work on a worker.
    Blacklist {
        /// The submitter.
        node: NodeId,
        /// The toolchain.
        environment: Environment,
        /// Address of the worker as it was handed out.
        address: Text,
    },
    /// Sign of life of a daemon below protocol 27.
    Ping {
        /// Who.
        node: NodeId,
    },
    /// A daemon's connection ended.
    Left {
        /// Who.
        node: NodeId,
    },
    /// Result of a test asked for by [`crate::Action::TestReachability`].
    Reachability {
        /// Who was tested.
        node: NodeId,
        /// Whether a connection was established.
        reachable: bool,
    },
    /// A monitor has connected and wants to know the state of things.
    MonitorJoined {
        /// The monitor.
        connection: ConnectionId,
    },
    /// An operator wants a daemon disconnected: the first whose name or address is this.
    Remove {
        /// Name or address.
        host: Text,
    },
    /// As `Remove`, and later logins are refused.
    Block {
        /// Name or address.
        host: Text,
    },
    /// Takes `Block` back.
    Unblock {
        /// Name or address.
        host: Text,
    },
    /// A node says that it answers PING.
    Watch {
        /// Who.
        node: NodeId,
    },
    /// A daemon has jobs in hand that another scheduler gave out, or this one before it was started anew.
    Recovered {
        /// Who.
        node: NodeId,
        /// What it runs for others.
        running: Vec<Running>,
        /// What others run for it.
        abroad: Vec<Abroad>,
    },
    /// A job that a worker told of by `Recovered` ended there.
    RecoveredOver {
        /// The worker.
        node: NodeId,
        /// The number it had.
        number: u32,
        /// How it went.
        result: JobResult,
    },
    /// An operator wants a host to take nothing new, now and at later logins: every daemon of this name or address. What
    /// runs there goes on.
    Rest {
        /// Name or address.
        host: Text,
    },
    /// Takes `Rest` back.
    Resume {
        /// Name or address.
        host: Text,
    },
    /// Another scheduler takes over: nothing new, and each daemon is disconnected once it is idle.
    Drain,
    /// The scheduler ends: everybody is disconnected.
    Stop,
    /// Time has passed; due at [`crate::Core::next_deadline`].
    Tick,
}

/// A daemon's introduction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The connection it came on.
    pub connection: ConnectionId,
    /// The peer's address.
    pub address: IpAddr,
    /// Our own address on that connection.
    pub local_address: IpAddr,
    /// Where it accepts jobs; 0 if nowhere.
    pub port: u32,
    /// Jobs it runs at a time.
    pub slots: u32,
    /// Installed toolchains, by target platform.
    pub environments: Vec<Environment>,
    /// May be empty: then the address is the name.
    pub name: Text,
    /// What it runs on.
    pub platform: Text,
    /// It can run foreign toolchains.
    pub chroot: bool,
    /// It takes only its own jobs.
    pub no_remote: bool,
    /// Bits: 1 unpacks xz, 2 unpacks zstd; others are kept.
    pub features: u32,
    /// Protocol version of the connection.
    pub agreed_version: u32,
    /// Newest protocol version the daemon speaks.
    pub own_version: u32,
}

/// What a daemon measured, beside its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Readings {
    /// Load averages over 1, 5 and (in spite of its name on the wire) 15 minutes, times 1000.
    pub load_averages: [u32; 3],
    /// Free memory in MiB.
    pub free_memory: u32,
}

/// What a submitter needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Toolchains it can send, by the platform they run on.
    pub environments: Vec<Environment>,
    /// For people.
    pub file: Text,
    /// Number of the language, passed on to monitors.
    pub language: u32,
    /// How many answers it wants.
    pub count: u32,
    /// The platform it wants code for.
    pub target: Text,
    /// Bits: 1 `-g`, 2 `-g3`, 4 `-O1`, 8 `-O2`, 16 other optimisation.
    pub arg_flags: u32,
    /// The daemon's number of the client.
    pub client: ClientId,
    /// Name or address of the only worker wanted; empty for any.
    pub preferred_host: Text,
    /// Newest protocol version the worker must speak at least.
    pub minimal_version: u32,
    /// Feature bits the worker must have.
    pub features: u32,
    /// Bytes of source, if the submitter knows; else 0.
    pub source_bytes: u32,
    /// 0 first, at most 20.
    pub niceness: u32,
    /// The sender's client connections; 0 if unknown.
    pub client_count: u32,
}

/// How a finished job is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoneJob {
    /// By our number.
    Id(JobId),
    /// By the client whose request we have not answered yet.
    Client(ClientId),
}

/// How a job went; all zero but the exit code if nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobResult {
    /// Exit status of the compiler or a code of the infrastructure.
    pub exit_code: i32,
    /// Wall time in milliseconds.
    pub real_ms: u32,
    /// User time in milliseconds.
    pub user_ms: u32,
    /// System time in milliseconds.
    pub sys_ms: u32,
    /// Page faults.
    pub page_faults: u32,
    /// Source as sent, in bytes.
    pub in_compressed: u32,
    /// Source, in bytes.
    pub in_uncompressed: u32,
    /// Object as sent, in bytes.
    pub out_compressed: u32,
    /// Object, in bytes.
    pub out_uncompressed: u32,
}
