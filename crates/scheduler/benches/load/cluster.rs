//! The daemons: one connection each, from an address of its own, so that answers say who was chosen.
//!
//! One thread and one epoll serve them all, with as few system calls as real daemons would need: what is to be measured
//! is the scheduler.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use gelato_wire::msg::{GetCs, JobBegin, JobDone, Login, Stats};
use gelato_wire::{Environment, Message, ProtocolVersion, Session};
use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::measure::Spread;

/// A scheduler that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Logins under way at a time.
const AT_ONCE: usize = 200;
/// No answer for so long may mean that all slots are in use.
const PAUSE: Duration = Duration::from_millis(50);
/// Requests of a steady rate are sent as often as this.
const TICK: Duration = Duration::from_micros(250);
const SLOTS: u32 = 8;

/// What is not a daemon, in epoll's events.
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// All daemons of a scheduler.
pub(crate) struct Cluster {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The scheduler tests whether daemons can be reached.
    listener: TcpListener,
    port: u16,
    daemons: Vec<Daemon>,
    /// Accepted by the scheduler.
    ready: usize,
    /// What was heard and not yet looked at.
    answers: VecDeque<(u32, Instant)>,
    /// Placed jobs, oldest first, with their workers.
    running: VecDeque<(u32, usize)>,
    /// Jobs that were to end when none was running.
    to_finish: usize,
    /// When each client asked.
    asked: Vec<Instant>,
}

/// How some jobs went.
pub(crate) struct Work {
    /// From request to answer.
    pub(crate) answer: Spread,
    /// From the moment a request was due to the moment it was sent.
    pub(crate) late: Spread,
    /// All of it.
    pub(crate) took: Duration,
}

struct Daemon {
    stream: TcpStream,
    session: Session,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Versions,
    LoggedIn,
    Ready,
    Lost,
}

impl Cluster {
    /// Logs so many daemons in, of which one is connected already.
    pub(crate) fn connect(first: TcpStream, size: usize) -> io::Result<Cluster> {
        let scheduler = first.peer_addr()?;
        first.set_nonblocking(true)?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let readable = epoll::EventFlags::IN;
        epoll::add(
            &epoll,
            &listener,
            epoll::EventData::new_u64(LISTENER),
            readable,
        )?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), readable)?;
        let mut cluster = Cluster {
            epoll,
            timer,
            port: listener.local_addr()?.port(),
            listener,
            daemons: Vec::new(),
            ready: 0,
            answers: VecDeque::new(),
            running: VecDeque::new(),
            to_finish: 0,
            asked: Vec::new(),
        };
        cluster.add(first)?;
        let end = Instant::now() + PATIENCE;
        while cluster.ready < size {
            while cluster.daemons.len() < size.min(cluster.ready + AT_ONCE) {
                cluster.open(&scheduler)?;
            }
            cluster.poll(PAUSE)?;
            if Instant::now() > end || cluster.lost() {
                return Err(io::Error::other("could not log all of them in"));
            }
        }
        Ok(cluster)
    }

    /// Asks for so many jobs that all go on running.
    pub(crate) fn fill(&mut self, jobs: usize) -> io::Result<()> {
        for done in 0..jobs {
            self.ask(done)?;
            if self.asked.len().is_multiple_of(64) {
                self.answered(&mut Spread::default(), 64)?;
            }
        }
        self.answered(&mut Spread::default(), jobs % 64)
    }

    /// Ends a job and asks for another, so many times, with so many unanswered.
    pub(crate) fn work(&mut self, jobs: usize, at_a_time: usize) -> io::Result<Work> {
        let mut answer = Spread::default();
        let start = Instant::now();
        let mut asked = 0;
        while answer.count() < jobs {
            while asked < jobs && asked - answer.count() < at_a_time {
                self.finish();
                self.ask(asked)?;
                asked += 1;
            }
            self.answered(&mut answer, 1)?;
        }
        Ok(Work {
            answer,
            late: Spread::default(),
            took: start.elapsed(),
        })
    }

    /// Ends jobs and asks for others at a rate, whether answers come or not.
    pub(crate) fn work_at(&mut self, rate: u32, span: Duration) -> io::Result<Work> {
        let (mut answer, mut late) = (Spread::default(), Spread::default());
        self.set_timer(TICK)?;
        let start = Instant::now();
        let mut asked = 0;
        while start.elapsed() < span {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as usize;
            while asked < due {
                let moment = start + Duration::from_secs_f64(asked as f64 / f64::from(rate));
                late.add(moment.elapsed());
                self.finish();
                self.ask(asked)?;
                asked += 1;
            }
            self.poll(PAUSE)?;
            self.take_answers(&mut answer);
        }
        self.set_timer(Duration::ZERO)?;
        let left = asked - answer.count();
        self.answered(&mut answer, left)?;
        Ok(Work {
            answer,
            late,
            took: start.elapsed(),
        })
    }

    fn ask(&mut self, number: usize) -> io::Result<()> {
        let client = u32::try_from(self.asked.len()).unwrap_or(0);
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
        let submitter = number * 7 % self.daemons.len();
        self.asked.push(Instant::now());
        self.send(submitter, &Message::GetCs(request));
        if self.lost() {
            return Err(io::Error::other("the scheduler dropped a connection"));
        }
        Ok(())
    }

    /// The oldest job ends.
    fn finish(&mut self) {
        let Some((job_id, worker)) = self.running.pop_front() else {
            self.to_finish += 1;
            return;
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
        self.send(worker, &Message::JobDone(done));
    }

    /// Waits for so many answers.
    fn answered(&mut self, spread: &mut Spread, count: usize) -> io::Result<()> {
        let wanted = spread.count() + count;
        let mut quiet = Instant::now();
        loop {
            self.take_answers(spread);
            if spread.count() >= wanted {
                return Ok(());
            }
            let before = self.answers.len();
            self.poll(PAUSE)?;
            if self.answers.len() > before {
                quiet = Instant::now();
            } else if quiet.elapsed() >= PATIENCE {
                return Err(io::Error::other("the scheduler answers no more"));
            } else if quiet.elapsed() >= PAUSE {
                // All slots may be in use.
                self.finish();
            }
        }
    }

    fn take_answers(&mut self, spread: &mut Spread) {
        while let Some((client, at)) = self.answers.pop_front() {
            if let Some(asked) = self.asked.get(client as usize) {
                spread.add(at - *asked);
            }
            if self.to_finish > 0 {
                self.to_finish -= 1;
                self.finish();
            }
        }
    }

    /// Waits until something is heard, at most for so long, and takes all of it in.
    fn poll(&mut self, limit: Duration) -> io::Result<()> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 256];
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        let events = match epoll::wait(&self.epoll, &mut space, Some(&limit)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        for event in events {
            match event.data.u64() {
                LISTENER => while self.listener.accept().is_ok() {},
                TIMER => {
                    let _ = rustix::io::read(&self.timer, &mut [0; 8]);
                }
                number => self.hear(usize::try_from(number).unwrap_or(usize::MAX)),
            }
        }
        Ok(())
    }

    fn hear(&mut self, number: usize) {
        let Some(daemon) = self.daemons.get_mut(number) else {
            return;
        };
        if daemon.state == State::Connecting {
            let data = epoll::EventData::new_u64(number as u64);
            let _ = epoll::modify(&self.epoll, &daemon.stream, data, epoll::EventFlags::IN);
            daemon.state = State::Versions;
            daemon.flush();
            return;
        }
        let mut buffer = [0; 4096];
        let received = match daemon.stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(length) if length > 0 => daemon.session.receive(&buffer[..length]).is_ok(),
            _ => false,
        };
        if !received {
            daemon.state = State::Lost;
            self.ready = 0;
            return;
        }
        if daemon.state == State::Versions {
            daemon.flush();
            if daemon.session.version().is_none() {
                return;
            }
            daemon.state = State::LoggedIn;
            daemon.send(&login(number, self.port));
        }
        let mut answers = Vec::new();
        while let Ok(Some(message)) = daemon.session.next_message() {
            match message {
                // Only who has been accepted is configured.
                Message::CsConf(_) if daemon.state == State::LoggedIn => {
                    daemon.state = State::Ready;
                    self.ready += 1;
                    daemon.send(&stats());
                }
                Message::Ping => daemon.send(&stats()),
                Message::UseCs(answer) => {
                    let host = answer.hostname.to_string();
                    let worker = number_of(&host).unwrap_or(number);
                    answers.push((answer.job_id, answer.client_id, worker));
                }
                Message::NoCs(answer) => answers.push((answer.job_id, answer.client_id, number)),
                _ => {}
            }
        }
        for (job, client, worker) in answers {
            self.answers.push_back((client, Instant::now()));
            self.running.push_back((job, worker));
            let begin = JobBegin {
                job_id: job,
                start_time: 1,
                client_count: 1,
            };
            self.send(worker, &Message::JobBegin(begin));
        }
    }

    fn send(&mut self, daemon: usize, message: &Message) {
        if let Some(daemon) = self.daemons.get_mut(daemon) {
            daemon.send(message);
        }
    }

    fn open(&mut self, scheduler: &SocketAddr) -> io::Result<()> {
        let socket = socket(self.daemons.len())?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        // A scheduler with a short queue lets connections wait.
        match rustix::net::connect(&socket, scheduler) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.add(TcpStream::from(socket))
    }

    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        let number = self.daemons.len();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::OUT)?;
        self.daemons.push(Daemon {
            stream,
            session: Session::new(ProtocolVersion::NEWEST),
            state: State::Connecting,
        });
        Ok(())
    }

    fn lost(&self) -> bool {
        self.ready == 0 && self.daemons.iter().any(|one| one.state == State::Lost)
    }

    fn set_timer(&self, interval: Duration) -> io::Result<()> {
        let interval = Timespec::try_from(interval).map_err(io::Error::other)?;
        let times = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times)?;
        Ok(())
    }
}

impl Daemon {
    fn send(&mut self, message: &Message) {
        if self.session.send(message).is_ok() {
            self.flush();
        }
    }

    /// Messages are small: the socket always has room for them.
    fn flush(&mut self) {
        let bytes = self.session.output();
        if !bytes.is_empty() && self.stream.write_all(bytes).is_err() {
            self.state = State::Lost;
        }
        bytes.clear();
    }
}

/// The connection of the first daemon, if the scheduler takes any.
pub(crate) fn first(port: u16) -> io::Result<TcpStream> {
    let socket = socket(0)?;
    rustix::net::connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(TcpStream::from(socket))
}

fn socket(number: usize) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddr::from((address(number), 0)))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

fn login(number: usize, port: u16) -> Message {
    Message::Login(Login {
        port: u32::from(port),
        max_kids: SLOTS,
        environments: vec![environment()],
        nodename: format!("node{number}").into(),
        host_platform: "x86_64".into(),
        chroot_possible: true,
        noremote: false,
        supported_features: 3,
    })
}

fn stats() -> Message {
    Message::Stats(Stats {
        load: 50,
        free_mem: 30_000,
        ..Stats::default()
    })
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + u32::try_from(number).unwrap_or(0))
}

fn number_of(address: &str) -> Option<usize> {
    let address: Ipv4Addr = address.parse().ok()?;
    usize::try_from(u32::from(address).checked_sub(FIRST)?).ok()
}

/// 127.1.0.1
const FIRST: u32 = 0x7f01_0001;

fn environment() -> Environment {
    Environment {
        platform: "x86_64".into(),
        name: "8b59cf5c35b2033fe114a01a619d2eea".into(),
    }
}
