//! A daemon in a folder of its own, a scheduler played by the test, and the other ends of connections.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use gelato_daemon::{
    Access, Config, CourtesyTerms, Daemon, JobLimits, Reconnect, Remote, ShutdownTrigger,
};
use gelato_net::Limits;
use gelato_net::discovery::{Place, Wanted};
use gelato_net::listener::{Listener, Retry};
use gelato_net::stream::Connection;
use gelato_sandbox::{Identity, Jailer, Level, identity};
use gelato_toolchain::Compression;
use gelato_toolchain::create::{Request, create};
use gelato_wire::chunk::{CHUNK_SIZE, Compressor, DEFAULT_LEVEL};
use gelato_wire::msg::{CompileFile, CompileResult, JobDone, Login, TransferEnv, VerifyEnv};
use gelato_wire::types::features;
use gelato_wire::{Message, ProtocolVersion, Session};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// No trial takes this long unless something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(180);

thread_local! {
    /// Folders of the daemons of this trial. They go when no task of a daemon can write into them any more.
    static PARKED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Removes the folders of this thread's daemons.
pub(crate) fn clear_folders() {
    for folder in PARKED.take() {
        // Toolchains are read-only, which stops an ordinary user's plain removal.
        gelato_toolchain::unpack::remove_tree(&folder).unwrap();
    }
}

/// Blocking threads of a daemon end within this time.
pub(crate) const SHORT: Duration = Duration::from_secs(10);

/// A running daemon.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) folder: PathBuf,
}

/// The test in the role of the scheduler.
pub(crate) struct Scheduler {
    listener: Listener,
    pub(crate) link: Connection,
}

pub(crate) fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("gelato-daemon-")
        .tempdir_in("/var/tmp")
        .unwrap();
    // Jobs run as another user if the test is root.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

fn config(folder: &TempDir, scheduler: SocketAddr, slots: u32) -> Config {
    Config {
        node_name: Some("node".to_owned()),
        platform: "x86_64".to_owned(),
        max_jobs: slots,
        scheduler: Wanted {
            netname: "test".into(),
            place: Place::Host {
                name: scheduler.ip().to_string(),
                port: scheduler.port(),
            },
            wait: Duration::from_secs(1),
        },
        reconnect: Reconnect {
            first: Duration::from_millis(10),
            longest: Duration::from_millis(100),
        },
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        retry: Retry::NEVER,
        socket: folder.path().join("socket"),
        socket_mode: 0o777,
        base: folder.path().join("base"),
        cache_limit: None,
        remote: Some(Remote {
            level: Level::UserNamespace,
            jailer: Jailer::current_exe(),
            identity: identity::is_root().then_some(Identity {
                uid: 65534,
                gid: 65534,
            }),
            nice: 5,
            features: features::ENV_XZ | features::ENV_ZSTD,
            limits: JobLimits::default(),
        }),
        grace: Duration::ZERO,
        courtesy: CourtesyTerms::default(),
        obstacles: Vec::new(),
        compression: DEFAULT_LEVEL,
        access: Access::default(),
        limits: Limits::default(),
    }
}

impl Node {
    /// A daemon whose scheduler is at `scheduler`.
    pub(crate) async fn start(scheduler: SocketAddr, slots: u32) -> Node {
        Node::configured(scheduler, slots, |_| {}).await
    }

    async fn configured(
        scheduler: SocketAddr,
        slots: u32,
        change: impl FnOnce(&mut Config),
    ) -> Node {
        let folder = folder();
        let mut config = config(&folder, scheduler, slots);
        change(&mut config);
        let socket = config.socket.clone();
        let (trigger, shutdown) = gelato_daemon::shutdown();
        let daemon = Daemon::start(config).await.unwrap();
        let address = daemon.address().unwrap();
        let serving = tokio::spawn(daemon.serve(shutdown));
        let path = folder.keep();
        PARKED.with_borrow_mut(|parked| parked.push(path.clone()));
        Node {
            address,
            socket,
            trigger,
            serving,
            folder: path,
        }
    }

    /// A daemon that finds no scheduler.
    pub(crate) async fn alone(slots: u32) -> Node {
        let nobody = Listener::bind_tcp("127.0.0.1:0".parse().unwrap(), Retry::NEVER)
            .await
            .unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        Node::start(address, slots).await
    }

    /// A daemon and its scheduler, logged in, with the login.
    pub(crate) async fn with_scheduler(slots: u32) -> (Node, Scheduler, Login) {
        Node::with_scheduler_and(slots, |_| {}).await
    }

    /// The same with other terms for jobs.
    pub(crate) async fn with_scheduler_and(
        slots: u32,
        change: impl FnOnce(&mut Remote),
    ) -> (Node, Scheduler, Login) {
        Node::configured_with_scheduler(slots, |config| {
            if let Some(remote) = &mut config.remote {
                change(remote);
            }
        })
        .await
    }

    /// The same with another configuration.
    pub(crate) async fn configured_with_scheduler(
        slots: u32,
        change: impl FnOnce(&mut Config),
    ) -> (Node, Scheduler, Login) {
        let mut listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap(), Retry::NEVER)
            .await
            .unwrap();
        let node = Node::configured(listener.local_addr().unwrap(), slots, change).await;
        let link = Connection::accept(listener.accept().await, Limits::default())
            .await
            .unwrap();
        let mut scheduler = Scheduler { listener, link };
        let login = scheduler.login().await;
        (node, scheduler, login)
    }

    /// A local wrapper.
    pub(crate) async fn wrapper(&self) -> Connection {
        Connection::connect_unix(&self.socket, Limits::default())
            .await
            .unwrap()
    }

    /// A submitter.
    pub(crate) async fn submitter(&self) -> Connection {
        Connection::connect_tcp(self.address, Limits::default())
            .await
            .unwrap()
    }
}

impl Scheduler {
    /// The next message but `STATS`, which come when they like.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match next(&mut self.link).await {
                Message::Stats(_) => {}
                other => return other,
            }
        }
    }

    pub(crate) async fn login(&mut self) -> Login {
        match self.next().await {
            Message::Login(login) => login,
            other => panic!("{other:?} instead of a login"),
        }
    }

    /// `JOB_DONE` as job, code, flags.
    pub(crate) async fn done(&mut self) -> JobDone {
        match self.next().await {
            Message::JobDone(done) => done,
            other => panic!("{other:?} instead of the end of a job"),
        }
    }

    pub(crate) async fn expect(&mut self, name: &str) -> Message {
        let message = self.next().await;
        assert_eq!(message.name(), name, "{message:?}");
        message
    }

    pub(crate) async fn say(&mut self, message: Message) {
        self.link.send(&message).await.unwrap();
    }

    /// Drops the connection and takes the next one.
    pub(crate) async fn restart(self) -> Scheduler {
        let Scheduler { mut listener, link } = self;
        drop(link);
        let link = Connection::accept(listener.accept().await, Limits::default())
            .await
            .unwrap();
        Scheduler { listener, link }
    }
}

/// The next message of any connection.
pub(crate) async fn next(connection: &mut Connection) -> Message {
    connection.receive(Some(LONG), "a message").await.unwrap()
}

/// The connection ends without another message.
pub(crate) async fn ended(connection: &mut Connection) {
    let end = connection.receive(Some(LONG), "the end").await;
    assert!(end.is_err(), "{end:?}");
}

/// An archive of the C compiler of this machine, uncompressed, and its name; made once.
pub(crate) fn archive() -> (&'static [u8], &'static str) {
    static ARCHIVE: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    let (bytes, name) = ARCHIVE.get_or_init(|| {
        let folder = folder();
        let request = Request {
            compilers: vec!["/usr/bin/gcc".into()],
            extra_files: Vec::new(),
            compression: Compression::None,
        };
        let archive = create(&request, folder.path()).unwrap();
        (std::fs::read(archive.path).unwrap(), archive.name)
    });
    (bytes, name)
}

/// Sends a toolchain's first `length` bytes without the end.
pub(crate) async fn send_toolchain(connection: &mut Connection, name: &str, bytes: &[u8]) {
    let transfer = TransferEnv {
        name: name.into(),
        target: "x86_64".into(),
    };
    connection
        .send(&Message::TransferEnv(transfer))
        .await
        .unwrap();
    send_file(connection, bytes).await;
}

/// Sends pieces of a file without the end.
pub(crate) async fn send_file(connection: &mut Connection, bytes: &[u8]) {
    let mut compressor = Compressor::new(connection.version(), DEFAULT_LEVEL).unwrap();
    for piece in bytes.chunks(CHUNK_SIZE) {
        let chunk = compressor.compress(piece).unwrap();
        connection.send(&Message::FileChunk(chunk)).await.unwrap();
    }
}

/// Asks whether a toolchain runs there.
pub(crate) async fn verify(connection: &mut Connection, name: &str) -> bool {
    let verify = VerifyEnv {
        environment: name.into(),
        target: "x86_64".into(),
    };
    connection.send(&Message::VerifyEnv(verify)).await.unwrap();
    match next(connection).await {
        Message::VerifyEnvResult(result) => result.ok,
        other => panic!("{other:?} instead of the verdict"),
    }
}

/// Installs the compiler of this machine on a node that has a scheduler.
pub(crate) async fn install(node: &Node, scheduler: &mut Scheduler) -> &'static str {
    let (bytes, name) = archive();
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, name, bytes).await;
    submitter.send(&Message::End).await.unwrap();
    assert!(verify(&mut submitter, name).await);
    let login = scheduler.login().await;
    assert_eq!(login.environments.len(), 1);
    name
}

/// A job for the installed compiler.
pub(crate) fn job(job_id: u32, name: &str, args: &[&str]) -> CompileFile {
    CompileFile {
        job_id,
        args: args.iter().map(|arg| (*arg).into()).collect(),
        environment: name.into(),
        target: "x86_64".into(),
        compiler_name: "gcc".into(),
        input_file: "x.c".into(),
        working_directory: "/w".into(),
        output_file: "x.o".into(),
        ..CompileFile::default()
    }
}

/// Sends a job with its source and takes the result.
pub(crate) async fn compile(
    connection: &mut Connection,
    job: CompileFile,
    source: &str,
) -> CompileResult {
    connection.send(&Message::CompileFile(job)).await.unwrap();
    send_file(connection, source.as_bytes()).await;
    connection.send(&Message::End).await.unwrap();
    result(connection).await
}

/// The result of a job.
pub(crate) async fn result(connection: &mut Connection) -> CompileResult {
    match next(connection).await {
        Message::CompileResult(result) => result,
        other => panic!("{other:?} instead of a result"),
    }
}

/// A file of a result.
pub(crate) async fn receive_file(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match next(connection).await {
            Message::FileChunk(chunk) => bytes.extend(chunk.decompress().unwrap()),
            Message::End => return bytes,
            other => panic!("{other:?} in a file"),
        }
    }
}

/// That this program, started again for a single test, ran it and was content.
pub(crate) fn assert_one_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the compiler of this machine makes of the source itself.
pub(crate) fn compile_here(source: &str, args: &[&str]) -> Vec<u8> {
    let folder = folder();
    std::fs::write(folder.path().join("x.i"), source).unwrap();
    let made = Command::new("/usr/bin/gcc")
        .args(args)
        .args(["-c", "x.i", "-o", "x.o"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read(folder.path().join("x.o")).unwrap()
}

/// A peer of another protocol version.
pub(crate) struct OldPeer {
    session: Session,
    stream: TcpStream,
}

impl OldPeer {
    pub(crate) async fn connect(address: SocketAddr, version: u32) -> OldPeer {
        let version = ProtocolVersion::new(version).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut peer = OldPeer {
            session: Session::new(version),
            stream,
        };
        while peer.session.version().is_none() {
            peer.flush().await;
            peer.read().await;
        }
        peer.flush().await;
        peer
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.session.version().unwrap()
    }

    pub(crate) async fn send(&mut self, message: &Message) {
        self.session.send(message).unwrap();
        self.flush().await;
    }

    pub(crate) async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.session.next_message().unwrap() {
                return message;
            }
            self.read().await;
        }
    }

    async fn flush(&mut self) {
        let bytes = std::mem::take(self.session.output());
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn read(&mut self) {
        let mut buffer = vec![0; 65536];
        let n = self.stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "the connection ended early");
        self.session.receive(&buffer[..n]).unwrap();
    }
}
