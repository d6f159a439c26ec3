//! The web page of `gelato scheduler`: the server of `gelato monitor` on a thread of its own, which listens to the scheduler as any
//! other monitor does. The scheduler does not know it, and nothing that happens here can stop or delay the scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gelato_monitor::history::{self, History};
use gelato_monitor::recording::Entry;
use gelato_monitor::web::{self, Clock, Config, Port, Server, Token, WebError};
use gelato_monitor::{Event, feed};
use gelato_net::discovery::{SCHEDULER_PORT, Wanted};
use gelato_scheduler::Scheduler;
use tokio::sync::{mpsc as events, oneshot};

/// Events on their way to the picture.
const QUEUE: usize = 10_000;

/// How long the end may take.
const LONGEST_STOP: Duration = Duration::from_secs(1);

/// Whether there is a page, and where.
#[derive(clap::Args)]
pub(crate) struct WebArgs {
    /// Serve the web page here; at another address than this machine's own, every request needs the control token
    /// [default: 127.0.0.1:8767 if the scheduler has its usual port, else nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// Serve no web page, whatever else is said
    #[arg(long)]
    no_web: bool,
}

impl WebArgs {
    fn address(&self, scheduler: u16) -> Option<SocketAddr> {
        let usual = (scheduler == SCHEDULER_PORT).then_some(web::DEFAULT_ADDRESS);
        self.web.or(usual).filter(|_| !self.no_web)
    }
}

/// The page, while it is served.
pub(crate) struct Web {
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

/// Serves the page, if one is wanted. What goes wrong is a warning.
pub(crate) fn start(
    args: &WebArgs,
    scheduler: &Scheduler,
    netname: &str,
    token: Option<&str>,
    state: Option<&Path>,
) -> Option<Web> {
    let listen = args.address(scheduler.address().port())?;
    let wanted =
        match Wanted::from_environment(Some(&reachable(scheduler.address())), Some(netname)) {
            Ok(wanted) => wanted,
            Err(error) => {
                tracing::warn!("no web page: {error}");
                return None;
            }
        };
    let token = token.and_then(|digits| Token::parse(digits).ok());
    let folder = state.and_then(|state| folder_in(state, netname, scheduler.address().port()));
    let config = Config {
        listen,
        clock: Clock::Wall,
        port: Port::At(here(scheduler.control_address())),
        pass_on: token.clone(),
        token,
        history: folder
            .as_deref()
            .map(|folder| Arc::new(History::in_file(folder.join(history::FILE)))),
        folder,
    };
    let netname = netname.to_owned();
    let (stop, stopped) = oneshot::channel();
    let (alive, ended) = mpsc::channel();
    let started = thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || {
            if let Err(error) = serve(config, wanted, netname, stopped) {
                tracing::warn!("no web page: {error}");
            }
            drop(alive);
        });
    match started {
        Ok(_) => Some(Web {
            stop: Some(stop),
            ended,
        }),
        Err(error) => {
            tracing::warn!("no web page: {error}");
            None
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Nobody ever sends: this ends when the thread does.
        let _ = self.ended.recv_timeout(LONGEST_STOP);
    }
}

fn serve(
    config: Config,
    wanted: Wanted,
    netname: String,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::bind(config).await?;
        tracing::info!("web page at http://{}/", server.address());
        let (to, heard) = events::channel(QUEUE);
        tokio::spawn(feed::follow(wanted, to));
        let events = naming(heard, netname);
        let stop = async {
            let _ = stopped.await;
        };
        server.run(events, stop).await;
        Ok::<(), WebError>(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

/// The same events with the network's name, which a scheduler does not tell its monitors.
fn naming(mut heard: events::Receiver<Entry>, netname: String) -> events::Receiver<Entry> {
    let (to, events) = events::channel(1);
    tokio::spawn(async move {
        while let Some(mut entry) = heard.recv().await {
            if let Event::Connected { netname: name, .. } = &mut entry.event {
                name.get_or_insert_with(|| netname.clone());
            }
            if to.send(entry).await.is_err() {
                return;
            }
        }
    });
    events
}

/// Where a listener can be reached from this machine.
fn here(listener: SocketAddr) -> SocketAddr {
    match listener.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listener.port()),
        false => listener,
    }
}

fn reachable(listener: SocketAddr) -> String {
    here(listener).to_string()
}

/// A folder for this scheduler alone, because several may share a state folder.
fn folder_in(state: &Path, netname: &str, port: u16) -> Option<PathBuf> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let netname: String = netname.chars().take(64).map(plain).collect();
    let folder = state.join(format!("web-{netname}-{port}"));
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::warn!(
                "the page's history will be forgotten at the end: cannot make the folder {}: {error}",
                folder.display()
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_by_itself_only_beside_the_usual_port() {
        let address = |web: Option<&str>, no_web, port| {
            let web = web.map(|text| text.parse().unwrap());
            WebArgs { web, no_web }.address(port)
        };
        assert_eq!(
            address(None, false, SCHEDULER_PORT),
            Some(web::DEFAULT_ADDRESS)
        );
        assert_eq!(address(None, false, 19_000), None);
        assert_eq!(address(None, true, SCHEDULER_PORT), None);
        let elsewhere = address(Some("10.0.0.1:80"), false, 19_000);
        assert_eq!(elsewhere, "10.0.0.1:80".parse().ok());
    }
}
