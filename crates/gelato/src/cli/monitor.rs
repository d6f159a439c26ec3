//! `gelato monitor`: the cluster in a browser, from a scheduler, a recording or the demo.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use gelato_monitor::feed;
use gelato_monitor::history::{self, History};
use gelato_monitor::web::{self, Clock, Config, Port, Server, TOKEN_FILE, Token};
use gelato_sandbox::identity;
use tokio::signal::unix::{SignalKind, signal};

use super::source::SourceArgs;

/// Where a monitor of root keeps things: not below the scheduler's folder, which belongs to another user, who could plant links.
const SYSTEM_STATE: &str = "/var/lib/gelato-monitor";

/// Where the scheduler of this machine keeps its things, if root started it.
const SCHEDULERS_STATE: &str = "/var/lib/gelato";

/// The folder of monitors in the state folder of all programs.
const OWN_FOLDER: &str = "monitor";

/// Information: where the page is, and what cannot be kept.
const INFORMATION: u8 = 2;

/// Options of `gelato monitor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Where browsers connect; at another address than this machine's own, every request needs the token
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = web::DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// Folder for the history, the audit log and the token
    /// [default: /var/lib/gelato-monitor as root, gelato/monitor in the user's state folder otherwise]
    #[arg(long, value_name = "PATH")]
    state_folder: Option<PathBuf>,
    /// The token that operators must say, in a file; also said to the scheduler, as its control token
    /// [default: control-token in the state folder, made if there is none]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Keep nothing across restarts
    #[arg(long)]
    forget: bool,
}

/// Serves until a signal.
pub(crate) fn run(args: &Args) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gelato monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> anyhow::Result<()> {
    crate::log::init(INFORMATION, None).context("cannot log")?;
    super::raise_descriptor_limit();
    let config = config_of(args)?;
    let is_open = !config.listen.ip().is_loopback();
    let events = args.source.open()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot receive signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot receive signals")?;
        let server = Server::bind(config).await?;
        // Scripts read the first line. Nobody may be listening any more.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "listening on http://{}/", server.address());
        if is_open {
            let _ = writeln!(out, "OPEN TO OTHER MACHINES: every request needs the token");
        }
        let _ = out.flush();
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        server.run(events, stop).await;
        Ok(())
    });
    // Threads that wait for a scheduler need not be waited for.
    runtime.shutdown_background();
    result
}

fn config_of(args: &Args) -> anyhow::Result<Config> {
    let folder = state_folder(args).filter(|folder| match std::fs::create_dir_all(folder) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(
                "history and audit log will be forgotten at the end: cannot make the folder {}: {error}; \
                 choose another with --state-folder",
                folder.display()
            );
            false
        }
    });
    let (token, pass_on) = tokens(args, folder.as_deref())?;
    let is_live = args.source.is_live();
    Ok(Config {
        listen: args.listen,
        clock: if is_live { Clock::Wall } else { Clock::Events },
        port: if is_live { Port::Beside } else { Port::None },
        token,
        pass_on,
        history: history_of(args, folder.as_deref()).map(Arc::new),
        // What is done to an invented cluster is not worth keeping.
        folder: folder.filter(|_| is_live),
    })
}

/// The past of the cluster, if it can be kept; an invented one for the demo.
fn history_of(args: &Args, folder: Option<&Path>) -> Option<History> {
    if let Some((hosts, seed)) = args.source.invented() {
        let past = move |store: &_| history::invent(store, &hosts, feed::now(), seed);
        return Some(History::in_memory(past));
    }
    let folder = folder.filter(|_| args.source.is_live())?;
    Some(History::in_file(folder.join(history::FILE)))
}

/// What operators must say, and what the scheduler is told: only a token that was chosen, because others mean nothing to it.
fn tokens(args: &Args, folder: Option<&Path>) -> anyhow::Result<(Option<Token>, Option<Token>)> {
    if let Some(file) = &args.token_file {
        let token = Token::read(file)
            .with_context(|| format!("cannot use the token in {}", file.display()))?;
        return Ok((Some(token.clone()), Some(token)));
    }
    // On the scheduler's own machine, and as its user, its token is at hand.
    let beside = folder
        .filter(|_| args.state_folder.is_none())
        .and_then(|folder| match folder == Path::new(SYSTEM_STATE) {
            true => Some(Path::new(SCHEDULERS_STATE)),
            false => folder.parent(),
        })
        .and_then(|folder| Token::read(&folder.join(TOKEN_FILE)).ok());
    if beside.is_some() {
        return Ok((beside, None));
    }
    let made = folder.map(Token::of_folder);
    match made {
        Some(Err(error)) => {
            tracing::warn!("nobody can change anything from the page: no token: {error}");
            Ok((None, None))
        }
        Some(Ok(token)) => Ok((Some(token), None)),
        None => Ok((None, None)),
    }
}

fn state_folder(args: &Args) -> Option<PathBuf> {
    if args.forget {
        return None;
    }
    if let Some(folder) = &args.state_folder {
        return std::path::absolute(folder).ok();
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = if let Some(folders) = variable("STATE_DIRECTORY") {
        std::env::split_paths(&folders).next()?
    } else if identity::is_root() {
        return Some(PathBuf::from(SYSTEM_STATE));
    } else if let Some(state) = variable("XDG_STATE_HOME") {
        PathBuf::from(state).join("gelato")
    } else {
        PathBuf::from(variable("HOME")?).join(".local/state/gelato")
    };
    state.is_absolute().then(|| state.join(OWN_FOLDER))
}
