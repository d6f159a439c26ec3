//! Everything the core wants done, as plain data, in the order it is to be done.

use std::net::IpAddr;
use std::sync::Arc;

use crate::event::{JobResult, Readings};
use crate::explain::Why;
use crate::ids::{ClientId, ConnectionId, Environment, JobId, NodeId, Text};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The connection is this node from now on.
    Accept {
        /// As in the login.
        connection: ConnectionId,
        /// Its number.
        node: NodeId,
    },
    /// Close a connection that wanted to log in.
    Refuse {
        /// As in the login.
        connection: ConnectionId,
        /// Why.
        reason: Dropped,
    },
    /// Tell a daemon the intervals of the cluster (CS_CONF).
    Configure {
        /// Whom.
        node: NodeId,
    },
    /// Answer a request: use this worker (USE_CS).
    UseWorker {
        /// The submitter.
        node: NodeId,
        /// What to tell it.
        answer: Box<Answer>,
    },
    /// Answer a request: compile it yourself (NO_CS).
    CompileYourself {
        /// The submitter.
        node: NodeId,
        /// Its job.
        job: JobId,
        /// Its client.
        client: ClientId,
    },
    /// Ask for a sign of life.
    Ping {
        /// Whom.
        node: NodeId,
    },
    /// See whether others could connect to this node; answer with [`crate::Event::Reachability`].
    TestReachability {
        /// Whom.
        node: NodeId,
        /// Where.
        address: IpAddr,
        /// Where.
        port: u32,
    },
    /// Close a node's connection. The core has forgotten it already.
    Disconnect {
        /// Whom.
        node: NodeId,
        /// Why.
        reason: Dropped,
    },
    /// Tell monitors.
    Monitor {
        /// Which.
        to: Audience,
        /// What.
        event: MonitorEvent,
    },
    /// Something for the log.
    Note(Note),
}

/// The worker given to a submitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Our number of the job.
    pub job: JobId,
    /// The submitter's number of the client.
    pub client: ClientId,
    /// The worker.
    pub worker: NodeId,
    /// Its address as the submitter should use it.
    pub address: IpAddr,
    /// Its port.
    pub port: u32,
    /// Which of the offered toolchains to use, by platform.
    pub platform: Text,
    /// It is installed already.
    pub installed: bool,
    /// An earlier job of these two, 0 if none.
    pub matched_job: u32,
}

/// Which monitors an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everyone.
    All,
    /// A newcomer.
    One(ConnectionId),
}

/// What monitors are told.
#[derive(Debug, Clone, PartialEq)]
pub enum MonitorEvent {
    /// A node's present state.
    Stats(Box<NodeStats>),
    /// A node is gone.
    Offline(NodeId),
    /// A job was asked for.
    Requested {
        /// Its number.
        job: JobId,
        /// By whom.
        submitter: NodeId,
        /// For people, cut to three components.
        file: Text,
        /// As in the request.
        language: u32,
    },
    /// A job has started.
    Begun {
        /// Its number.
        job: JobId,
        /// Where.
        worker: NodeId,
        /// On the sender's clock.
        start_time: u32,
    },
    /// A job has ended.
    Done {
        /// Its number.
        job: JobId,
        /// How; exit code 255 and zeros if a node involved is gone.
        result: JobResult,
        /// The submitter said so.
        by_submitter: bool,
        /// As in the event.
        client_count: u32,
    },
    /// A local job has started.
    LocalBegun {
        /// Where.
        node: NodeId,
        /// Its number.
        job: JobId,
        /// On the node's clock.
        start_time: u32,
        /// For people, cut to three components.
        file: Text,
    },
    /// A local job has ended.
    LocalDone {
        /// Its number.
        job: JobId,
    },
}

/// A node's state for monitors.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStats {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: Text,
    /// Its address.
    pub address: IpAddr,
    /// Its slots; negative while it does not answer.
    pub slots: i64,
    /// It takes only its own jobs.
    pub no_remote: bool,
    /// What it runs on.
    pub platform: Text,
    /// Newest protocol version it speaks.
    pub version: u32,
    /// Feature bits.
    pub features: u32,
    /// Bytes of object per millisecond of compiler time.
    pub speed: f32,
    /// 0 to 1000.
    pub load: u32,
    /// Only if these are news.
    pub readings: Option<Readings>,
    /// Whether others can connect to it; absent as long as it never failed.
    pub accepting: Option<bool>,
}

/// Why a daemon is disconnected or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// An operator blocked it.
    Blocked,
    /// An operator removed it.
    Removed,
    /// The same machine has logged in again.
    Replaced,
    /// It does not answer PING.
    Silent,
    /// It reported a job that is not its own.
    ForeignJob(JobId),
    /// It asked for, or sent, too much of something.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is accepted.
        limit: usize,
    },
    /// Another scheduler takes over.
    Election,
    /// The scheduler ends.
    Stopping,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dropped::Blocked => f.write_str("blocked by an operator"),
            Dropped::Removed => f.write_str("removed by an operator"),
            Dropped::Replaced => f.write_str("replaced by a newer login of the same host"),
            Dropped::Silent => f.write_str("no answer to ping"),
            Dropped::ForeignJob(job) => write!(f, "reported job {job}, which is not its own"),
            Dropped::TooMuch { what, limit } => {
                write!(f, "too much of: {what} (limit {limit})")
            }
            Dropped::Election => f.write_str("another scheduler takes over"),
            Dropped::Stopping => f.write_str("scheduler is stopping"),
        }
    }
}

/// What happened, for the log. Carries names because the nodes may be gone when it is written.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the log lines")]
pub enum Note {
    Login {
        name: Text,
        version: u32,
        features: u32,
        environments: Vec<Environment>,
    },
    Relogin {
        name: Text,
        platform: Text,
        environments: Vec<Environment>,
    },
    RemoveDaemon {
        name: Text,
    },
    New {
        job: JobId,
        submitter: Text,
        environments: Arc<[Environment]>,
        file: Text,
        language: u32,
        niceness: u32,
    },
    Selected {
        job: JobId,
        node: Text,
        why: Why,
    },
    Put {
        job: JobId,
        node: Text,
        install: bool,
    },
    Delaying {
        job: JobId,
    },
    AssigningSubmitter {
        job: JobId,
    },
    Begin {
        job: JobId,
        submitter: Text,
        target: Text,
        worker: Text,
        platform: Text,
    },
    End {
        job: JobId,
        result: JobResult,
        worker: Option<Text>,
    },
    LocalBegin {
        file: Text,
        client: ClientId,
        full: bool,
    },
    LocalDone {
        client: ClientId,
    },
    ClientGone {
        job: JobId,
    },
    StoppedWhileQueued {
        job: JobId,
    },
    StoppedWhilePlaced {
        job: JobId,
    },
    NotTheServer {
        job: JobId,
    },
    NotTheSubmitter {
        job: JobId,
    },
    NotHandledBy {
        job: JobId,
        address: IpAddr,
    },
    NotPresent {
        job: JobId,
    },
    Recovered {
        job: JobId,
        number: u32,
        file: Text,
    },
    Blacklisting {
        address: Text,
        environment: Environment,
    },
    InstallTimedOut {
        node: Text,
        environment: Environment,
    },
    Reachability {
        node: Text,
        reachable: bool,
        failures: u32,
    },
}
