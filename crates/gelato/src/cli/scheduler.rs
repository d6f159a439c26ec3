//! `gelato scheduler`, also called `icecc-scheduler`: Icecream's options, and the life of the process around
//! [`gelato_scheduler`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::ArgAction;
use gelato_net::discovery::{DEFAULT_NETNAME, Identity, SCHEDULER_PORT};
use gelato_sandbox::identity::{self, User};
use gelato_scheduler::config::ControlAccess;
use gelato_scheduler::{Algorithm, Config, Scheduler, Token, token};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::daemon::access::{rule, rules};
use crate::cli::detach::{self, Detached};
use crate::cli::web::{self, WebArgs};
use crate::systemd::notify::Notifier;

/// The user a scheduler started by root becomes.
const DEFAULT_USER: &str = "icecc";

/// If there is no such user: nobody, in a group of nobody's.
const NOBODY: (u32, u32) = (65534, 65533);

/// Where the log goes with `-d` and without `-l`, if root starts it.
const SYSTEM_LOG: &str = "/var/log/icecc/scheduler.log";

/// What outlives a run, if root starts it.
const SYSTEM_STATE: &str = "/var/lib/gelato";

/// Where the number of the process is kept.
const PID_FILE: &str = "/var/run/icecc-scheduler.pid";

/// From the first signal to the end.
const LONGEST_STOP: Duration = Duration::from_secs(5);

/// How much earlier `ICECC_FAKE_STARTTIME` says we started, in seconds.
const FAKED: u64 = 1000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the network this scheduler serves
    #[arg(short, long, value_name = "NAME", default_value = DEFAULT_NETNAME)]
    netname: String,
    /// Accept only at the first IPv4 address of this interface
    #[arg(short, long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// TCP and UDP port, the text port is the next one; 0 for any free ones
    #[arg(short, long, value_name = "PORT", default_value_t = SCHEDULER_PORT, value_parser = port)]
    port: u16,
    /// Append the log to this file instead of writing it to standard error
    #[arg(short, long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Run in the background
    #[arg(short, long)]
    daemonize: bool,
    /// Started by root, become this user (name or number)
    #[arg(short, long, value_name = "USER", value_parser = user)]
    user_uid: Option<User>,
    /// Log more: warnings, information, debugging
    #[arg(short, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Do not send daemons away when a better scheduler announces itself
    #[arg(short = 'r', long)]
    persistent_client_connection: bool,
    /// How a worker is chosen: finish (earliest expected finish), compat (as Icecream's scheduler), fastest, round_robin,
    /// least_busy or random
    #[arg(short, long, value_name = "ALGORITHM", default_value = "finish", value_parser = algorithm)]
    algorithm: Algorithm,
    /// A submitter with nothing else to do keeps a job if it is at least this fast, in percent of the best other machine;
    /// 0 never
    #[arg(long, value_name = "PERCENT", default_value_t = 70)]
    own_machine_share: u32,
    /// Let other machines change things over the text port, too
    #[arg(long)]
    control_open: bool,
    /// Do not let other machines use the text port at all
    #[arg(long, conflicts_with = "control_open")]
    control_local: bool,
    /// Nobody changes anything over the text port without the control token, not even from this machine
    #[arg(long, conflicts_with = "control_open")]
    control_token_required: bool,
    /// File with the control token: who says it on the text port may change things from anywhere
    /// [default: control-token in the state folder, made at the first start]
    #[arg(long, value_name = "FILE")]
    control_token_file: Option<PathBuf>,
    /// Folder where what jobs took and how fast workers are is kept across restarts
    /// [default: /var/lib/gelato as root, gelato in the user's state folder otherwise]
    #[arg(long, value_name = "PATH")]
    state_folder: Option<PathBuf>,
    /// Ask a peer that says nothing after so many seconds whether it is still there; nine seconds later it is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    heartbeat: u64,
    /// Send a daemon that speaks a protocol below 27 a PING after so many seconds of silence
    #[arg(long, value_name = "SECONDS", default_value_t = 36, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ping_after: u64,
    /// Give it up if it says nothing for so many seconds more
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ping_grace: u64,
    /// Keep nothing across restarts
    #[arg(long)]
    forget: bool,
    /// Write down everything that happens and what is decided, to be played again; it names files and machines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Networks that may connect [default: private]
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',', value_parser = rule)]
    allow: Option<Vec<String>>,
    /// Networks that may not
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',', value_parser = rule)]
    deny: Option<Vec<String>>,
    #[command(flatten)]
    web: WebArgs,
    #[command(flatten)]
    detached: Detached,
}

/// The whole program: 0 after a signal, 1 if it cannot start.
pub(crate) fn run(args: Args) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("icecc-scheduler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> anyhow::Result<()> {
    if args.daemonize && !args.detached.is_child() {
        return detach::start_child();
    }
    let mut config = config_of(&args)?;
    let log_file = log_file_of(&args)?;
    args.detached.leave_session();
    let state = state_folder(&args);
    if identity::is_root() {
        become_user(&args, log_file.as_deref(), state.as_deref())?;
    }
    crate::log::init(args.verbose, log_file.as_deref()).with_context(|| {
        let file = log_file.unwrap_or_default();
        format!("cannot write the log file {}", file.display())
    })?;
    tracing::info!("Debug level: {}", args.verbose);
    let folder = state.filter(|folder| is_there(folder));
    config.control_token = token(&args, folder.as_deref())?;
    let token = config.control_token.clone();
    config.history = folder.as_deref().map(|folder| history_in(folder, &args));
    super::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(async {
        let signals = Signals::new().context("cannot receive signals")?;
        let scheduler = Scheduler::bind(config).await?;
        args.detached.ready();
        let notifier = Notifier::from_environment();
        notifier.ready();
        let pid_file = PidFile::write(Path::new(PID_FILE));
        let token = token.as_ref().map(Token::digits);
        let web = web::start(
            &args.web,
            &scheduler,
            &args.netname,
            token,
            folder.as_deref(),
        );
        let stopping = async {
            signals.end(&notifier).await;
            notifier.stopping(LONGEST_STOP);
        };
        scheduler.run(stopping).await;
        drop((web, pid_file));
        Ok(())
    });
    // Tasks that wait for peers need not be waited for.
    runtime.shutdown_background();
    result
}

fn config_of(args: &Args) -> anyhow::Result<Config> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let faked = match std::env::var_os("ICECC_FAKE_STARTTIME") {
        Some(_) => FAKED,
        None => 0,
    };
    let start_time = now.as_secs().saturating_sub(faked);
    let interface = args.interface.as_deref();
    let identity =
        Identity::from_environment(args.netname.as_str(), start_time, args.port, interface)?;
    let control = if args.control_open {
        ControlAccess::Open
    } else if args.control_local {
        ControlAccess::Local
    } else {
        ControlAccess::Read
    };
    let mut config = Config {
        netname: args.netname.clone(),
        port: args.port,
        interface: args.interface.clone(),
        reach: identity.reach,
        announce_to: identity.announce_to,
        start_time,
        persistent_clients: args.persistent_client_connection,
        control,
        token_required: args.control_token_required,
        heartbeat: Duration::from_secs(args.heartbeat),
        access: rules(args.allow.as_deref(), args.deny.as_deref())?,
        trace: args.trace.clone(),
        ..Config::default()
    };
    config.core.algorithm = args.algorithm;
    config.core.own_machine_percent = args.own_machine_share;
    config.core.heartbeat = args.heartbeat;
    config.core.ping_after = args.ping_after;
    config.core.ping_grace = args.ping_grace;
    config.core.seed = u64::from(now.subsec_nanos()) ^ now.as_secs().rotate_left(32);
    Ok(config)
}

/// Absolute, because the background process leaves its folder and the file is opened again after a rotation.
fn log_file_of(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    match &args.log_file {
        Some(file) => std::path::absolute(file)
            .map(Some)
            .with_context(|| format!("cannot use the log file {}", file.display())),
        None if args.daemonize && identity::is_root() => Ok(Some(PathBuf::from(SYSTEM_LOG))),
        None => Ok(None),
    }
}

/// Where to keep what outlives a run; nowhere if that is not wanted, or nobody says where.
fn state_folder(args: &Args) -> Option<PathBuf> {
    if args.forget {
        return None;
    }
    if let Some(folder) = &args.state_folder {
        return std::path::absolute(folder).ok();
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    // Service managers may give several folders; ours is the first.
    if let Some(folders) = variable("STATE_DIRECTORY") {
        return std::env::split_paths(&folders).next();
    }
    if identity::is_root() {
        return Some(PathBuf::from(SYSTEM_STATE));
    }
    let state = match variable("XDG_STATE_HOME") {
        Some(state) => PathBuf::from(state),
        None => PathBuf::from(variable("HOME")?).join(".local/state"),
    };
    state.is_absolute().then(|| state.join("gelato"))
}

/// Whether the state folder is there by now. A scheduler works without one.
fn is_there(folder: &Path) -> bool {
    let made = std::fs::create_dir_all(folder);
    if let Err(error) = &made {
        tracing::warn!(
            "what is learned will be forgotten at the end: cannot make the folder {}: {error}; \
             choose another with --state-folder",
            folder.display()
        );
    }
    made.is_ok()
}

/// The control token: of the file that was named, which must hold one, or of the state folder, where a scheduler that
/// can do without is content with none.
fn token(args: &Args, folder: Option<&Path>) -> anyhow::Result<Option<Token>> {
    let result = match (&args.control_token_file, folder) {
        (Some(file), _) => return Ok(Some(Token::load(file)?)),
        (None, Some(folder)) => Token::load_or_make(&folder.join(token::FILE)),
        (None, None) if args.control_token_required => {
            anyhow::bail!(
                "--control-token-required, but there is no token: name a file with --control-token-file"
            )
        }
        (None, None) => return Ok(None),
    };
    match result {
        Ok(token) => Ok(Some(token)),
        Err(error) if args.control_token_required => Err(error.into()),
        Err(error) => {
            tracing::warn!("without a control token: {error}");
            Ok(None)
        }
    }
}

/// The file of this scheduler in the state folder.
fn history_in(folder: &Path, args: &Args) -> PathBuf {
    // The network's name is anything.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let netname: String = args.netname.chars().take(64).map(plain).collect();
    folder.join(format!("scheduler-{netname}-{}.history", args.port))
}

/// Gives up root, after the last thing that needs it.
fn become_user(args: &Args, log_file: Option<&Path>, state: Option<&Path>) -> anyhow::Result<()> {
    let user = match &args.user_uid {
        Some(user) => user.clone(),
        None => identity::lookup_user(DEFAULT_USER).unwrap_or_else(|| {
            eprintln!(
                "icecc-scheduler: no user {DEFAULT_USER} on this machine, running as nobody; see -u"
            );
            number(NOBODY)
        }),
    };
    if log_file == Some(Path::new(SYSTEM_LOG)) {
        own_log_folder(Path::new(SYSTEM_LOG), &user).with_context(|| {
            format!("cannot make the folder of {SYSTEM_LOG}; choose a log file with -l")
        })?;
    }
    // A folder that was named is its owner's affair. What fails here is said when the folder is used.
    if args.state_folder.is_none()
        && let Some(state) = state
    {
        let _ = own_folder(state, &user);
    }
    identity::drop_privileges(&user, false)
        .with_context(|| format!("cannot become user {}", user.name.display()))
}

fn own_log_folder(file: &Path, user: &User) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => own_folder(folder, user),
        None => Ok(()),
    }
}

fn own_folder(folder: &Path, user: &User) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "a port is a number from 0 to 65534".to_owned())
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(text).ok_or_else(|| {
        format!("{text} is an unknown scheduler algorithm; there are finish, compat, fastest, round_robin, least_busy and random")
    })
}

fn user(text: &str) -> Result<User, String> {
    let found = match text.parse() {
        Ok(uid) => Some(number((uid, uid))),
        Err(_) => identity::lookup_user(text),
    };
    match found {
        None => Err(format!("there is no user {text} on this machine")),
        Some(user) if user.uid == 0 || user.gid == 0 => {
            Err("it must not be root: nothing in the scheduler needs that".to_owned())
        }
        Some(user) => Ok(user),
    }
}

fn number((uid, gid): (u32, u32)) -> User {
    User {
        uid,
        gid,
        name: uid.to_string().into(),
        home: PathBuf::from("/"),
    }
}

/// The signals a scheduler knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    alarm: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            alarm: signal(SignalKind::alarm())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ready when the scheduler is to end. The next such signal ends it at once.
    async fn end(mut self, notifier: &Notifier) {
        self.wait(Some(notifier)).await;
        tokio::spawn(async move {
            self.wait(None).await;
            eprintln!("forced exit.");
            std::process::exit(1);
        });
    }

    /// Waits for a signal to end; the others are answered meanwhile.
    async fn wait(&mut self, notifier: Option<&Notifier>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.alarm.recv() => return,
                _ = self.hangup.recv() => {
                    notifier.inspect(|notifier| notifier.reloading());
                    reopen_log();
                    notifier.inspect(|notifier| notifier.ready());
                }
            }
        }
    }
}

fn reopen_log() {
    if let Err(error) = crate::log::reopen() {
        tracing::error!("cannot reopen the log file: {error}");
    }
    // Test suites mark places in the log this way.
    for variable in ["ICECC_TEST_LOG_HEADER", "ICECC_TEST_FLUSH_LOG_MARK"] {
        if let Some(file) = std::env::var_os(variable)
            && let Ok(text) = std::fs::read_to_string(file)
        {
            for line in text.lines() {
                tracing::error!("{line}");
            }
        }
    }
}

/// A file with our process number, for init scripts. Nobody depends on it, so failing to write it is no error.
struct PidFile<'a>(Option<&'a Path>);

impl<'a> PidFile<'a> {
    fn write(path: &'a Path) -> PidFile<'a> {
        let written = std::fs::write(path, format!("{}\n", std::process::id()));
        PidFile(written.is_ok().then_some(path))
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
