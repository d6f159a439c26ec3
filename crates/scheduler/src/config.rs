//! What the caller chooses. Plain data; command lines are read elsewhere.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelato_net::access::Rules;
use gelato_net::discovery::{DEFAULT_NETNAME, Reach, SCHEDULER_PORT};
use gelato_scheduler_core as core;

use crate::token::Token;

/// One scheduler.
#[derive(Debug, Clone)]
pub struct Config {
    /// The network it serves.
    pub netname: String,
    /// TCP and UDP port; the control port is the next one. 0: any free ones.
    pub port: u16,
    /// Accept only at the first address of each kind of this interface, which must have one of IPv4.
    pub interface: Option<String>,
    /// Where it is found and announces itself.
    pub reach: Reach,
    /// Ports it announces itself to; its own if there are none.
    pub announce_to: Vec<u16>,
    /// When it says it started, Unix time in seconds: the oldest scheduler of a network wins.
    pub start_time: u64,
    /// Keep all connections when a better scheduler announces itself.
    pub persistent_clients: bool,
    /// Who may use the control port.
    pub control: ControlAccess,
    /// Who says this on the control port may change things from anywhere; nobody if there is none.
    pub control_token: Option<Token>,
    /// Nobody changes anything without the token, not even from this machine.
    pub token_required: bool,
    /// Which addresses may connect, and ask for this scheduler.
    pub access: Rules,
    /// Silence after which a peer is asked by the system whether it is still there; one that vanished is given up nine seconds
    /// later.
    pub heartbeat: Duration,
    /// How long a connection has to introduce itself.
    pub login_limit: Duration,
    /// Where what was learned is kept across restarts; nowhere if there is none.
    pub history: Option<PathBuf>,
    /// Where everything that happens is written down, to be played again; nowhere if there is none.
    pub trace: Option<PathBuf>,
    /// How decisions are made.
    pub core: core::Config,
}

/// Who may use the control port. This machine always may, unless a token is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ControlAccess {
    /// Others may read, not change.
    #[default]
    Read,
    /// Others may do everything.
    Open,
    /// Others may do nothing.
    Local,
}

impl Default for Config {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Config {
            netname: DEFAULT_NETNAME.to_owned(),
            port: SCHEDULER_PORT,
            interface: None,
            reach: Reach::Everywhere,
            announce_to: Vec::new(),
            start_time: now.map_or(0, |since| since.as_secs()),
            persistent_clients: false,
            control: ControlAccess::default(),
            control_token: None,
            token_required: false,
            access: Rules::default(),
            heartbeat: Duration::from_secs(5),
            login_limit: Duration::from_secs(10),
            history: None,
            trace: None,
            core: core::Config::default(),
        }
    }
}
