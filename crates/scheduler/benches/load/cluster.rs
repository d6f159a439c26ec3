//! The daemons: one connection each, from an address of its own, so that answers say who was chosen.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use gelato_wire::msg::{GetCs, JobBegin, JobDone, Login, Stats};
use gelato_wire::{Environment, Message, ProtocolVersion, Session};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, timeout};

use crate::measure::Spread;

/// A scheduler that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Logins under way at a time.
const AT_ONCE: usize = 200;
/// No answer for so long may mean that all slots are in use.
const PAUSE: Duration = Duration::from_millis(50);
const SLOTS: u32 = 8;

/// All daemons of a scheduler.
pub(crate) struct Cluster {
    daemons: Vec<Daemon>,
    of_address: HashMap<String, usize>,
    heard: mpsc::UnboundedReceiver<(usize, Message)>,
    tasks: JoinSet<()>,
    local: LocalSet,
    /// Placed jobs, oldest first, with their workers.
    running: VecDeque<(u32, usize)>,
    /// Jobs that were to end when none was running.
    to_finish: usize,
    /// When each client asked.
    asked: HashMap<u32, Instant>,
    next: u32,
}

/// How some jobs went.
pub(crate) struct Work {
    /// From request to answer.
    pub(crate) answer: Spread,
    /// All of it.
    pub(crate) took: Duration,
}

struct Daemon {
    stream: Rc<TcpStream>,
    session: Rc<RefCell<Session>>,
}

impl Cluster {
    /// Logs so many daemons in.
    pub(crate) async fn connect(port: u16, size: usize) -> Option<Cluster> {
        let (say, heard) = mpsc::unbounded_channel();
        let mut cluster = Cluster {
            daemons: Vec::new(),
            of_address: HashMap::new(),
            heard,
            tasks: JoinSet::new(),
            local: LocalSet::new(),
            running: VecDeque::new(),
            to_finish: 0,
            asked: HashMap::new(),
            next: 0,
        };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
        let own_port = listener.local_addr().ok()?.port();
        // The scheduler's tests whether daemons can be reached.
        cluster.tasks.spawn_local_on(
            async move { while listener.accept().await.is_ok() {} },
            &cluster.local,
        );
        let numbers: Vec<usize> = (0..size).collect();
        for some in numbers.chunks(AT_ONCE) {
            let mut logins = JoinSet::new();
            for number in some.iter().copied() {
                logins.spawn_local_on(login(port, own_port, number), &cluster.local);
            }
            let mut those = Vec::new();
            let all = async {
                while let Some(done) = logins.join_next().await {
                    those.push(done.ok()??);
                }
                Some(())
            };
            timeout(PATIENCE, cluster.local.run_until(all))
                .await
                .ok()??;
            those.sort_by_key(|(number, _)| *number);
            for (number, daemon) in those {
                cluster
                    .of_address
                    .insert(address(number).to_string(), number);
                let (stream, session) = (Rc::clone(&daemon.stream), Rc::clone(&daemon.session));
                let say = say.clone();
                cluster
                    .tasks
                    .spawn_local_on(listen(number, stream, session, say), &cluster.local);
                cluster.daemons.push(daemon);
            }
        }
        Some(cluster)
    }

    /// Asks for so many jobs that all go on running.
    pub(crate) async fn fill(&mut self, jobs: usize) {
        let mut under_way = 0;
        for _ in 0..jobs {
            self.ask();
            under_way += 1;
            if under_way >= 64 {
                self.answer(&mut Spread::default()).await;
                under_way -= 1;
            }
        }
        while under_way > 0 {
            self.answer(&mut Spread::default()).await;
            under_way -= 1;
        }
    }

    /// Ends a job and asks for another, so many times, with so many unanswered.
    pub(crate) async fn work(&mut self, jobs: usize, at_a_time: usize) -> Work {
        let mut answer = Spread::default();
        let start = Instant::now();
        let mut asked = 0;
        while answer.count() < jobs {
            while asked < jobs && asked - answer.count() < at_a_time {
                self.finish();
                self.ask();
                asked += 1;
            }
            self.answer(&mut answer).await;
        }
        Work {
            answer,
            took: start.elapsed(),
        }
    }

    /// Ends jobs and asks for others at a rate, whether answers come or not.
    pub(crate) async fn work_at(&mut self, rate: u32, span: Duration) -> Work {
        let mut answer = Spread::default();
        let start = Instant::now();
        let mut asked = 0;
        while start.elapsed() < span {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as usize;
            while asked < due {
                self.finish();
                self.ask();
                asked += 1;
            }
            let next = start + Duration::from_secs_f64((asked + 1) as f64 / f64::from(rate));
            let _ = tokio::time::timeout_at(next, self.answer(&mut answer)).await;
        }
        while answer.count() < asked {
            self.answer(&mut answer).await;
        }
        Work {
            answer,
            took: start.elapsed(),
        }
    }

    fn ask(&mut self) {
        self.next += 1;
        let client = self.next;
        let request = GetCs {
            environments: vec![environment()],
            filename: format!("src/module/file{}.cpp", client % 1000).into(),
            language: 1,
            count: 1,
            target: "x86_64".into(),
            arg_flags: 8,
            client_id: client,
            client_count: 1,
            ..GetCs::default()
        };
        let submitter = client as usize * 7 % self.daemons.len();
        self.asked.insert(client, Instant::now());
        self.send(submitter, &Message::GetCs(request));
    }

    /// The oldest job begins and ends.
    fn finish(&mut self) {
        let Some((job_id, worker)) = self.running.pop_front() else {
            self.to_finish += 1;
            return;
        };
        let begin = JobBegin {
            job_id,
            start_time: 1,
            client_count: 1,
        };
        let user_msec = 1000 + worker as u32 % 7 * 100;
        let done = JobDone {
            job_id,
            real_msec: user_msec,
            user_msec,
            out_uncompressed: 100_000,
            client_count: 1,
            ..JobDone::default()
        };
        self.send(worker, &Message::JobBegin(begin));
        self.send(worker, &Message::JobDone(done));
    }

    fn send(&mut self, daemon: usize, message: &Message) {
        let Some(daemon) = self.daemons.get(daemon) else {
            return;
        };
        let mut session = daemon.session.borrow_mut();
        if session.send(message).is_ok() {
            let bytes = std::mem::take(session.output());
            // Messages are small: the socket always has room for them.
            let _ = daemon.stream.try_write(&bytes);
        }
    }

    /// Waits for one answer.
    async fn answer(&mut self, spread: &mut Spread) {
        let (daemon, message) = loop {
            let heard = timeout(PAUSE, self.local.run_until(self.heard.recv()));
            let Ok(heard) = heard.await else {
                // All slots may be in use.
                self.finish();
                continue;
            };
            let Some((daemon, message)) = heard else {
                return;
            };
            if matches!(message, Message::UseCs(_) | Message::NoCs(_)) {
                break (daemon, message);
            }
        };
        let (job, client, worker) = match message {
            Message::UseCs(answer) => {
                let host = answer.hostname.to_string();
                let worker = self.of_address.get(&host).copied().unwrap_or(daemon);
                (answer.job_id, answer.client_id, worker)
            }
            Message::NoCs(answer) => (answer.job_id, answer.client_id, daemon),
            _ => return,
        };
        if let Some(asked) = self.asked.remove(&client) {
            spread.add(asked.elapsed());
        }
        self.running.push_back((job, worker));
        if self.to_finish > 0 {
            self.to_finish -= 1;
            self.finish();
        }
    }
}

async fn login(port: u16, own_port: u16, number: usize) -> Option<(usize, Daemon)> {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = loop {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind((address(number), 0).into()).ok()?;
        match socket.connect(target).await {
            Ok(stream) => break stream,
            // It has not opened its sockets yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let _ = stream.set_nodelay(true);
    let daemon = Daemon {
        stream: Rc::new(stream),
        session: Rc::new(RefCell::new(Session::new(ProtocolVersion::NEWEST))),
    };
    let mut buffer = [0; 1024];
    let (stream, session) = (&daemon.stream, &daemon.session);
    let flush = || {
        let bytes = std::mem::take(session.borrow_mut().output());
        bytes.is_empty() || stream.try_write(&bytes).is_ok()
    };
    stream.writable().await.ok()?;
    while session.borrow().version().is_none() {
        flush();
        let length = read(stream, &mut buffer).await?;
        session.borrow_mut().receive(buffer.get(..length)?).ok()?;
    }
    let login = Login {
        port: u32::from(own_port),
        max_kids: SLOTS,
        environments: vec![environment()],
        nodename: format!("node{number}").into(),
        host_platform: "x86_64".into(),
        chroot_possible: true,
        noremote: false,
        supported_features: 3,
    };
    session.borrow_mut().send(&Message::Login(login)).ok()?;
    flush();
    // Only who has been accepted is configured.
    let configured = loop {
        let message = session.borrow_mut().next_message().ok()?;
        match message {
            Some(message) => break matches!(message, Message::CsConf(_)),
            None => {
                let length = read(stream, &mut buffer).await?;
                session.borrow_mut().receive(buffer.get(..length)?).ok()?;
            }
        }
    };
    let stats = Stats {
        load: 50,
        free_mem: 30_000,
        ..Stats::default()
    };
    session.borrow_mut().send(&Message::Stats(stats)).ok()?;
    flush();
    configured.then_some((number, daemon))
}

async fn listen(
    number: usize,
    stream: Rc<TcpStream>,
    session: Rc<RefCell<Session>>,
    say: mpsc::UnboundedSender<(usize, Message)>,
) {
    let mut buffer = [0; 4096];
    while let Some(length) = read(&stream, &mut buffer).await {
        let mut session = session.borrow_mut();
        if session.receive(&buffer[..length]).is_err() {
            return;
        }
        while let Ok(Some(message)) = session.next_message() {
            if say.send((number, message)).is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        stream.readable().await.ok()?;
        match stream.try_read(buffer) {
            Ok(0) => return None,
            Ok(length) => return Some(length),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

fn address(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::from(0x7f01_0001 + number))
}

fn environment() -> Environment {
    Environment {
        platform: "x86_64".into(),
        name: "8b59cf5c35b2033fe114a01a619d2eea".into(),
    }
}
