//! Two schedulers and, on both, the same daemons.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gelato_net::discovery::Reach;
use gelato_scheduler::{Algorithm, Config, Scheduler};
use gelato_wire::msg::{GetCs, JobBegin, JobDone, Login, Stats};
use gelato_wire::{Environment, Message, ProtocolVersion, Session};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// The network of all schedulers here.
pub(crate) const NETWORK: &str = "differential";

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Pair {
    ours: Side,
    theirs: Side,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    icecream: Child,
    names: Vec<String>,
    ports: Vec<u32>,
    clients: u32,
}

/// What both said to a request.
pub(crate) struct Answer {
    pub(crate) job: u32,
    pub(crate) worker: usize,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// One scheduler.
struct Side {
    daemons: Vec<Peer>,
    control: Control,
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) session: Session,
}

pub(crate) struct Control {
    reader: BufReader<TcpStream>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.icecream.kill();
        let _ = self.icecream.wait();
        if let Some((end, running)) = self.end.take() {
            let _ = end.send(());
            let _ = running.join();
        }
    }
}

impl Pair {
    /// Both schedulers, with daemons `d0`, `d1`, ... of so many slots, logged in in this order.
    pub(crate) fn start(slots: &[u32]) -> Pair {
        let listeners: Vec<TcpListener> = slots
            .iter()
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect();
        let ports: Vec<u32> = listeners
            .iter()
            .map(|listener| u32::from(listener.local_addr().unwrap().port()))
            .collect();
        for listener in listeners {
            // Tests whether the daemon can be reached. Ends with the process.
            std::thread::spawn(move || while listener.accept().is_ok() {});
        }
        let names: Vec<String> = (0..slots.len())
            .map(|number| format!("d{number}"))
            .collect();
        let (icecream, port) = start_icecream(&[]);
        let theirs = (Ipv4Addr::LOCALHOST, port).into();
        let theirs_control = (Ipv4Addr::LOCALHOST, port + 1).into();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut config = Config {
            port: 0,
            interface: Some("lo".to_owned()),
            reach: Reach::Addresses(Vec::new()),
            ..Config::default()
        };
        config.core.algorithm = Algorithm::Compat;
        let scheduler = runtime.block_on(Scheduler::bind(config)).unwrap();
        let (ours, ours_control) = (scheduler.address(), scheduler.control_address());
        // One thread: what comes first is looked at first.
        let (end, ended) = oneshot::channel();
        let running = std::thread::spawn(move || {
            runtime.block_on(scheduler.run(async {
                let _ = ended.await;
            }));
        });
        Pair {
            ours: Side::start(ours, ours_control, slots, &names, &ports),
            theirs: Side::start(theirs, theirs_control, slots, &names, &ports),
            end: Some((end, running)),
            icecream,
            names,
            ports,
            clients: 0,
        }
    }

    pub(crate) fn stats(&mut self, daemon: usize, load: u32) {
        self.say(
            daemon,
            &Message::Stats(Stats {
                load,
                free_mem: 10_000,
                ..Stats::default()
            }),
        );
    }

    pub(crate) fn begin(&mut self, daemon: usize, job_id: u32) {
        self.say(
            daemon,
            &Message::JobBegin(JobBegin {
                job_id,
                start_time: 1,
                client_count: 1,
            }),
        );
    }

    pub(crate) fn done(&mut self, daemon: usize, job_id: u32, exit: u32, user: u32, size: u32) {
        self.say(
            daemon,
            &Message::JobDone(JobDone {
                job_id,
                exitcode: exit as i32,
                real_msec: user,
                user_msec: user,
                out_uncompressed: size,
                client_count: 1,
                ..JobDone::default()
            }),
        );
    }

    /// Asks both for a worker.
    pub(crate) fn ask(
        &mut self,
        submitter: usize,
        preferred: Option<usize>,
        arg_flags: u32,
        client_count: u32,
    ) -> Answer {
        self.clients += 1;
        let preferred = preferred.map(|host| self.names[host].clone());
        let request = Message::GetCs(GetCs {
            environments: vec![environment()],
            filename: "a/b/c.cpp".into(),
            language: 1,
            count: 1,
            target: "x86_64".into(),
            arg_flags,
            client_id: self.clients,
            client_count,
            preferred_host: preferred.unwrap_or_default().into(),
            ..GetCs::default()
        });
        for side in [&mut self.ours, &mut self.theirs] {
            side.daemons[submitter].send(&request);
        }
        let mut said = [&mut self.ours, &mut self.theirs].map(|side| {
            match side.daemons[submitter].receive() {
                Message::UseCs(answer) => {
                    let worker = self.ports.iter().position(|port| *port == answer.port);
                    let text = format!(
                        "{}: use d{} env={} client={} matched={} platform={}",
                        answer.job_id,
                        worker.unwrap(),
                        answer.got_env,
                        answer.client_id,
                        answer.matched_job_id,
                        answer.host_platform
                    );
                    (answer.job_id, worker.unwrap(), text)
                }
                Message::NoCs(answer) => {
                    let text = format!("{}: yourself client={}", answer.job_id, answer.client_id);
                    (answer.job_id, submitter, text)
                }
                other => panic!("{other:?}"),
            }
        });
        let (job, worker, ours) = std::mem::take(&mut said[0]);
        Answer {
            job,
            worker,
            ours,
            theirs: std::mem::take(&mut said[1].2),
        }
    }

    /// What both show of daemons and jobs, which is the same.
    pub(crate) fn shown(&mut self) -> String {
        let [ours, theirs] =
            [&mut self.ours, &mut self.theirs].map(|side| side.control.ask("listcs"));
        assert_eq!(ours, theirs);
        ours
    }

    /// Tells both, and waits until they have understood: a repeated login changes nothing and is answered.
    fn say(&mut self, daemon: usize, message: &Message) {
        for side in [&mut self.ours, &mut self.theirs] {
            let peer = &mut side.daemons[daemon];
            peer.send(message);
            peer.send(&Message::Login(Login {
                environments: vec![environment()],
                ..Login::default()
            }));
            assert!(matches!(peer.receive(), Message::CsConf(_)));
        }
    }
}

impl Side {
    fn start(
        address: SocketAddr,
        control: SocketAddr,
        slots: &[u32],
        names: &[String],
        ports: &[u32],
    ) -> Side {
        let mut control = Control::connect(control);
        let streams: Vec<TcpStream> = slots.iter().map(|_| connect(address)).collect();
        let mut daemons = Vec::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let mut peer = Peer {
                stream,
                session: Session::new(ProtocolVersion::NEWEST),
            };
            peer.introduce(&mut control);
            peer.send(&Message::Login(Login {
                port: ports[number],
                max_kids: slots[number],
                environments: vec![environment()],
                nodename: names[number].as_str().into(),
                host_platform: "x86_64".into(),
                chroot_possible: true,
                noremote: false,
                supported_features: 3,
            }));
            assert!(matches!(peer.receive(), Message::CsConf(_)));
            daemons.push(peer);
        }
        Side { daemons, control }
    }
}

impl Peer {
    /// The exchange of versions. Icecream's scheduler accepts late on a quiet network, so it is kept awake.
    pub(crate) fn introduce(&mut self, control: &mut Control) {
        let until = Instant::now() + SOON;
        let wait = Duration::from_millis(200);
        self.stream.set_read_timeout(Some(wait)).unwrap();
        while self.session.version().is_none() {
            assert!(Instant::now() < until, "not accepted");
            self.flush();
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("closed"),
                Ok(length) => self.session.receive(&buffer[..length]).unwrap(),
                Err(_) => drop(control.ask("listblocks")),
            }
        }
        self.flush();
        self.stream.set_read_timeout(Some(SOON)).unwrap();
    }

    pub(crate) fn send(&mut self, message: &Message) {
        self.session.send(message).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        let output = std::mem::take(self.session.output());
        self.stream.write_all(&output).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Message {
        loop {
            if let Some(message) = self.session.next_message().unwrap() {
                return message;
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).expect("an answer in time");
            assert!(length > 0, "closed");
            self.session.receive(&buffer[..length]).unwrap();
        }
    }
}

impl Peer {
    /// Waits for the end of the connection.
    pub(crate) fn ends(&mut self) {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).expect("the end in time") > 0 {}
    }
}

impl Control {
    pub(crate) fn connect(address: SocketAddr) -> Control {
        let stream = connect(address);
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut control = Control {
            reader: BufReader::new(stream),
        };
        control.read_until("200 Use 'help'");
        control
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        let line = format!("{command}\n");
        self.reader.get_mut().write_all(line.as_bytes()).unwrap();
        self.read_until("200 done")
    }

    fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let length = self.reader.read_line(&mut line).expect("a line in time");
            assert!(length > 0, "closed after {text}");
            if line.starts_with(end) {
                return text;
            }
            text += &line;
        }
    }
}

/// Icecream's scheduler with these options on top, and its port.
pub(crate) fn start_icecream(more: &[&str]) -> (Child, u16) {
    for _ in 0..20 {
        let port = {
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            probe.local_addr().unwrap().port()
        };
        if port == u16::MAX {
            continue;
        }
        let mut child = Command::new(crate::ICECREAM)
            .args(["-i", "lo", "-n", NETWORK, "-p", &port.to_string()])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + SOON;
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
                return (child, port);
            }
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("Icecream's scheduler does not start");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn environment() -> Environment {
    Environment {
        platform: "x86_64".into(),
        name: "8b59cf5c35b2033fe114a01a619d2eea".into(),
    }
}
