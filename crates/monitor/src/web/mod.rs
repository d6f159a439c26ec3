//! The face in a browser: the page, the API and the live stream it needs, management, and figures for Prometheus.
//!
//! One server for all programs: it takes [`Entry`]s from wherever they come, a scheduler, a recording or the demo, and knows nothing of
//! the process around it. Whoever looks is a stranger: requests, connections, time and memory are bounded, and a browser that does not read
//! costs a few frames and delays nobody.
//!
//! - [`connection`]: accepting, with all bounds on connections
//! - [`guard`]: in front of every request: names, token, headers; [`auth`]: the token, sessions, the brake on guessing
//! - [`keeper`]: events in, changes out; [`stream`]: changes for all browsers
//! - [`api`]: what is answered; [`assets`]: the page
//! - [`manage`]: what operators do, over the scheduler's text port ([`control`](crate::control)), with [`audit`] and [`blocks`] as its books

mod api;
mod assets;
mod audit;
mod auth;
mod blocks;
mod connection;
mod guard;
mod keeper;
mod manage;
mod metrics;
mod session;
mod state;
mod stream;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;

pub use assets::is_there as page_is_there;
pub use auth::{TOKEN_FILE, Token};

use crate::history::History;
use crate::recording::Entry;
use auth::Keys;
use manage::Operator;
use state::Shared;

/// Where the page is served unless somebody says otherwise: a port beside the scheduler's.
pub const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8767);

/// How long the history may take to be written at the end.
const LONGEST_CLOSE: Duration = Duration::from_millis(500);

/// Where a token is offered for a session.
const SESSION_PATH: &str = "/api/v1/session";

/// What the time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// That of this machine.
    Wall,
    /// That of the last event, for recordings and the demo.
    Events,
}

/// Where operators' commands go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nowhere: nothing is there to be changed.
    None,
    /// The text port at this address.
    At(SocketAddr),
    /// The text port beside the port of the scheduler that is heard.
    Beside,
}

/// One server.
#[derive(Debug)]
pub struct Config {
    /// Where browsers connect. Not only this machine's: then every request needs the token.
    pub listen: SocketAddr,
    /// What the time is.
    pub clock: Clock,
    /// Where operators' commands go.
    pub port: Port,
    /// What operators must say; nobody may change anything without one.
    pub token: Option<Token>,
    /// What our schedulers must be told at their text port, if anything.
    pub pass_on: Option<Token>,
    /// Where the audit log and the list of blocked hosts are kept; only in memory if nowhere.
    pub folder: Option<PathBuf>,
    /// What was, if it is kept.
    pub history: Option<Arc<History>>,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum WebError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Open to other machines, and nothing to ask them for.
    #[error(
        "{0} can be reached from other machines, and there is no token to keep strangers out; \
         give one with --token-file or a state folder, or listen on 127.0.0.1"
    )]
    NoToken(SocketAddr),
}

/// A server whose socket is open.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Opens the socket.
    ///
    /// # Errors
    /// The address cannot be used, or is open to others without a token.
    pub async fn bind(config: Config) -> Result<Server, WebError> {
        let is_open = !config.listen.ip().is_loopback();
        if is_open && config.token.is_none() {
            return Err(WebError::NoToken(config.listen));
        }
        let unusable = |error| WebError::Listen {
            address: config.listen,
            error,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        if is_open {
            tracing::warn!(
                "the web page at {address} is OPEN TO OTHER MACHINES, unencrypted; whoever has the token may see and change the cluster"
            );
        }
        let operator = Operator::new(config.port, config.pass_on, config.folder.as_deref());
        let keys = Keys::new(config.token);
        Ok(Server {
            listener,
            address,
            shared: Arc::new(Shared::new(
                config.clock,
                is_open,
                keys,
                operator,
                config.history,
            )),
        })
    }

    /// Where browsers connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then ends every connection at once. When no more events come, the last picture stays.
    pub async fn run(self, events: Receiver<Entry>, shutdown: impl Future<Output = ()>) {
        let Server {
            listener, shared, ..
        } = self;
        let router = api::router(Arc::clone(&shared));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keeper::keep(Arc::clone(&shared), events));
        tasks.spawn(manage::expire(Arc::clone(&shared)));
        tasks.spawn(connection::serve(listener, router));
        shutdown.await;
        tasks.shutdown().await;
        if let Some(history) = &shared.history {
            history.close(LONGEST_CLOSE);
        }
    }
}
