//! A scheduler for one test, and peers that speak to it byte by byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gelato_net::discovery::Reach;
use gelato_scheduler::{Config, Scheduler};
use gelato_wire::msg::{GetCs, JobBegin, JobDone, Login, Stats, UseCs};
use gelato_wire::{Environment, Message, ProtocolVersion, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than anything here takes, and less than what Icecream's scheduler could take to accept.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running scheduler.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) control: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(crate) fn config() -> Config {
    Config {
        port: 0,
        interface: Some("lo".to_owned()),
        reach: Reach::Addresses(Vec::new()),
        ..Config::default()
    }
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        Cluster::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Cluster {
        let scheduler = Scheduler::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (address, control) = (scheduler.address(), scheduler.control_address());
        let task = tokio::spawn(scheduler.run(async {
            let _ = stopped.await;
        }));
        Cluster {
            address,
            control,
            stop,
            task,
        }
    }

    /// Ends the scheduler and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }

    pub(crate) async fn connect(&self) -> Peer {
        self.connect_as(ProtocolVersion::NEWEST).await
    }

    pub(crate) async fn connect_as(&self, version: ProtocolVersion) -> Peer {
        Peer::connect(self.address, Session::new(version)).await
    }

    pub(crate) async fn monitor(&self) -> Peer {
        let mut monitor = self.connect().await;
        monitor.send(&Message::MonLogin).await;
        monitor
    }

    /// A daemon that is logged in and idle.
    pub(crate) async fn daemon(&self, name: &str, slots: u32) -> Daemon {
        self.daemon_with(name, slots, |_| ()).await
    }

    pub(crate) async fn daemon_with(
        &self,
        name: &str,
        slots: u32,
        change: impl FnOnce(&mut Login),
    ) -> Daemon {
        self.daemon_as(ProtocolVersion::NEWEST, name, slots, change)
            .await
    }

    pub(crate) async fn daemon_as(
        &self,
        version: ProtocolVersion,
        name: &str,
        slots: u32,
        change: impl FnOnce(&mut Login),
    ) -> Daemon {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut login = Login {
            port: u32::from(listener.local_addr().unwrap().port()),
            max_kids: slots,
            environments: vec![environment()],
            nodename: name.into(),
            host_platform: "x86_64".into(),
            chroot_possible: true,
            noremote: false,
            supported_features: 3,
        };
        change(&mut login);
        let mut peer = self.connect_as(version).await;
        peer.send(&Message::Login(login)).await;
        let configuration = peer.receive().await;
        assert!(
            matches!(&configuration, Message::CsConf(c) if c.max_scheduler_pong == 3 && [1, 36].contains(&c.max_scheduler_ping))
        );
        let mut daemon = Daemon { peer, listener };
        daemon.load(0).await;
        daemon
    }

    /// A daemon that only asks.
    pub(crate) async fn asker(&self, name: &str) -> Daemon {
        self.daemon_with(name, 0, |login| login.noremote = true)
            .await
    }

    /// A submitter `a` whose job 1 has been given to the worker `w` with one slot.
    pub(crate) async fn placed(&self) -> (Daemon, Daemon) {
        let mut asker = self.asker("a").await;
        let worker = self.daemon("w", 1).await;
        self.until("listcs\n", |text| text.contains("load=0")).await;
        asker.ask(1).await;
        asker.use_cs().await;
        (asker, worker)
    }

    /// Everything the control port says to these lines.
    pub(crate) async fn control(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        stream.write_all(lines.as_bytes()).await.unwrap();
        stream.write_all(b"quit\n").await.unwrap();
        let mut text = String::new();
        timeout(SOON, stream.read_to_string(&mut text))
            .await
            .unwrap()
            .unwrap();
        let (_, after_greeting) = text.split_once("to quit.\n").unwrap();
        after_greeting
            .strip_suffix("200 Good Bye!\n")
            .unwrap()
            .to_owned()
    }

    /// Asks the control port again until the answer is as wanted; events of several connections come in any order.
    pub(crate) async fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let again = async {
            loop {
                let text = self.control(line).await;
                if wanted(&text) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, again).await.expect("the wanted state")
    }
}

pub(crate) fn environment() -> Environment {
    Environment {
        platform: "x86_64".into(),
        name: "gcc".into(),
    }
}

pub(crate) fn get_cs(client: u32) -> GetCs {
    GetCs {
        environments: vec![environment()],
        filename: "/a/b/c/d/x.cpp".into(),
        language: 1,
        count: 1,
        target: "x86_64".into(),
        client_id: client,
        minimal_host_version: 21,
        ..GetCs::default()
    }
}

/// One connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) session: Session,
    /// All bytes received after the version exchange, frames whole.
    pub(crate) frames: Vec<u8>,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr, session: Session) -> Peer {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut peer = Peer {
            stream,
            session,
            frames: Vec::new(),
        };
        timeout(SOON, async {
            loop {
                peer.flush().await;
                if peer.session.version().is_some() {
                    break;
                }
                assert!(peer.read().await > 0, "closed during the version exchange");
            }
        })
        .await
        .expect("the version exchange");
        peer.frames.clear();
        peer
    }

    pub(crate) async fn send(&mut self, message: &Message) {
        self.session.send(message).unwrap();
        self.flush().await;
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Message {
        self.next().await.expect("the connection is open")
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        timeout(SOON, async {
            loop {
                if let Some(message) = self.session.next_message().unwrap() {
                    return Some(message);
                }
                if self.read().await == 0 {
                    return None;
                }
            }
        })
        .await
        .expect("a message or the end")
    }

    /// Waits for the end of the connection, whatever comes before.
    pub(crate) async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }

    async fn flush(&mut self) {
        let output = std::mem::take(self.session.output());
        // The scheduler may have closed already; reading tells.
        let _ = self.stream.write_all(&output).await;
    }

    async fn read(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.frames.extend_from_slice(&buffer[..length]);
        self.session.receive(&buffer[..length]).unwrap();
        length
    }
}

/// A logged-in daemon with the port it is tested at.
pub(crate) struct Daemon {
    pub(crate) peer: Peer,
    pub(crate) listener: TcpListener,
}

impl Daemon {
    pub(crate) async fn load(&mut self, load: u32) {
        let stats = Stats {
            load,
            load_avg_1: 100,
            load_avg_5: 200,
            load_avg_10: 300,
            free_mem: 400,
        };
        self.peer.send(&Message::Stats(stats)).await;
    }

    /// Another login on the same connection, which changes the slots.
    pub(crate) async fn relogin(&mut self, name: &str, slots: u32) {
        let login = Login {
            max_kids: slots,
            environments: vec![environment()],
            nodename: name.into(),
            host_platform: "x86_64".into(),
            chroot_possible: true,
            ..Login::default()
        };
        self.peer.send(&Message::Login(login)).await;
    }

    pub(crate) async fn ask(&mut self, client: u32) {
        self.peer.send(&Message::GetCs(get_cs(client))).await;
    }

    pub(crate) async fn use_cs(&mut self) -> UseCs {
        match self.peer.receive().await {
            Message::UseCs(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn begin(&mut self, job_id: u32) {
        let begin = JobBegin {
            job_id,
            start_time: 77,
            client_count: 1,
        };
        self.peer.send(&Message::JobBegin(begin)).await;
    }

    pub(crate) async fn done(&mut self, job_id: u32, exitcode: i32) {
        let done = JobDone {
            job_id,
            exitcode,
            real_msec: 1000,
            user_msec: 900,
            out_uncompressed: 50_000,
            ..JobDone::default()
        };
        self.peer.send(&Message::JobDone(done)).await;
    }
}
