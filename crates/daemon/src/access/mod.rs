//! Who is let in over the network, how much one machine may take up here, and who is avoided for a while.
//!
//! - [`Access`]: the settings of all this
//! - [`peers`]: what is known of each peer (pure)
//! - [`gate`]: the same for the tasks that accept and serve connections
//!
//! A peer is an address: machines behind one address share its limits. The local socket is not looked at here; who may
//! open it is a matter of file permissions. What a peer that is in may ask for is decided in `core`.

pub(crate) mod gate;
pub(crate) mod peers;

use std::net::IpAddr;
use std::time::Duration;

use gelato_net::access::Rules;

/// Who may connect, and how much one peer may take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Which addresses may connect over TCP.
    pub rules: Rules,
    /// Connections over TCP at the same time; more are closed at once, so that local wrappers always find a descriptor.
    pub connections: usize,
    /// The same from one address.
    pub peer_connections: usize,
    /// Jobs of one address that run or wait here; without it three quarters of what all may have.
    pub peer_jobs: Option<usize>,
    /// Toolchains on their way from one address at the same time.
    pub peer_transfers: usize,
    /// Bytes of source of jobs that wait; the rest goes back to its submitter.
    pub waiting_source: usize,
    /// The same of one address.
    pub peer_waiting_source: usize,
    /// Who of this machine may pause, drain and resume.
    pub operators: Operators,
}

/// Who of this machine may change what the daemon does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operators {
    /// Every user.
    #[default]
    Anyone,
    /// Root and the user the daemon runs as.
    Administrators,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            rules: Rules::default(),
            connections: 2000,
            peer_connections: 256,
            peer_jobs: None,
            peer_transfers: 32,
            waiting_source: 256 << 20,
            peer_waiting_source: 128 << 20,
            operators: Operators::Anyone,
        }
    }
}

/// What a peer did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// Gave up a job. Everybody may, but hardly hundreds within minutes.
    Abort,
    /// Connected and said nothing until the time for the version exchange was over.
    Silence,
    /// Sent what is no message.
    Garbage,
    /// Sent a message that has no place where it came, or that only this machine's programs may send.
    Forbidden,
    /// Sent a toolchain that tries to get out of its folder, or is not what its name says.
    Archive,
}

impl Offence {
    /// How much it counts; [`peers`] says what for.
    pub(crate) fn points(self) -> u32 {
        match self {
            Offence::Abort => 1,
            Offence::Silence => 5,
            Offence::Garbage | Offence::Forbidden => 100,
            Offence::Archive => 150,
        }
    }

    /// What happened, as the end of a sentence that begins with the peer.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Offence::Abort => "gave up hundreds of jobs",
            Offence::Silence => "connects and says nothing",
            Offence::Garbage => "breaks the protocol",
            Offence::Forbidden => "asks for what it may not have",
            Offence::Archive => "sends toolchains that are refused",
        }
    }
}

/// What is known of the peers, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessReport {
    /// Connections over TCP now.
    pub connections: usize,
    /// Connections refused since the start.
    pub refused: u64,
    /// Peers that are connected or misbehaved, the worst first, then the busiest; not more than 64.
    pub peers: Vec<PeerReport>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// Who.
    pub address: IpAddr,
    /// Its connections now.
    pub connections: usize,
    /// What it did lately, in points; with 300 it is avoided for a while.
    pub points: u32,
    /// How long it will still be avoided.
    pub avoided_for: Option<Duration>,
    /// Its last offence.
    pub offence: Option<Offence>,
}
