//! A scripted daemon and workers on loopback. The honest worker compiles as the protocol prescribes, somewhere else, with another clock and environment.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gelato_wire::chunk::Compressor;
use gelato_wire::msg::{
    CompileFile, CompileResult, JobLocalBegin, NativeEnv, StatusText, UseCs, VerifyEnvResult,
};
use gelato_wire::{Message, ProtocolVersion, Session};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::fixture::Fixture;

const NEWEST: u32 = 44;

/// A stream of either kind.
trait Stream: Read + Write + Send + AsFd {
    /// Bytes that have arrived and were not read.
    fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(self.as_fd()).expect("a socket")
    }

    /// Whether the other end is still there.
    fn is_open(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::RDHUP)];
        rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
    }
}
impl Stream for std::net::TcpStream {}
impl Stream for std::os::unix::net::UnixStream {}

/// The other end of the wrapper's connections, at any version.
struct Connection {
    stream: Box<dyn Stream>,
    session: Session,
}

impl Connection {
    /// After the version exchange; `None` if the wrapper left.
    fn accept(stream: impl Stream + 'static, version: u32) -> Option<Connection> {
        let version = ProtocolVersion::new(version).expect("a version");
        let mut connection = Connection {
            stream: Box::new(stream),
            session: Session::new(version),
        };
        while connection.session.version().is_none() {
            connection.flush()?;
            connection.read()?;
        }
        connection.flush()?;
        Some(connection)
    }

    fn flush(&mut self) -> Option<()> {
        let output = std::mem::take(self.session.output());
        self.stream.write_all(&output).ok()
    }

    fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).ok().filter(|&n| n > 0)?;
        self.session
            .receive(&buffer[..count])
            .expect("the wrapper speaks the protocol");
        Some(())
    }

    fn version(&self) -> ProtocolVersion {
        self.session.version().expect("agreed")
    }

    fn receive(&mut self) -> Option<Message> {
        loop {
            let message = self.session.next_message();
            if let Some(message) = message.expect("the wrapper speaks the protocol") {
                return Some(message);
            }
            self.read()?;
        }
    }

    /// Reads nothing more. An event says that the system has taken all it takes, another one that the wrapper has left.
    fn wait_until_full(&mut self, events: &Events) {
        let mut last = 0;
        let mut unchanged = 0;
        loop {
            thread::sleep(Duration::from_millis(5));
            let now = self.stream.unread();
            unchanged = if now == last { unchanged + 1 } else { 0 };
            last = now;
            if now > 0 && unchanged == 20 {
                events.add("full");
                break;
            }
        }
        // The bytes themselves are never taken.
        while self.stream.is_open() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn send(&mut self, message: &Message) -> bool {
        self.session.send(message).expect("encodable");
        self.flush().is_some()
    }
}

/// What a worker does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Compiles.
    Honest,
    /// Leaves when the job is announced.
    DiesAtOnce,
    /// Leaves when the source is complete.
    DiesAfterSource,
    /// Leaves in the middle of the object.
    DiesInObject,
    /// Says no and leaves.
    Refuses,
    /// Answers with something that is no message.
    Garbage,
    /// Answers with the wrong message.
    WrongMessage,
    /// Says that the toolchain does not run.
    RejectsToolchain,
    /// Has no memory.
    OutOfMemory,
    /// Gives the job back with this line, as Gelato's workers do.
    GivesBack(&'static str),
    /// Fails with this status and nothing to say.
    Fails(i32),
    /// Sends an empty object.
    EmptyObject,
    /// Sends a chunk that cannot be unpacked.
    BadChunk,
    /// Takes the job and the source and never answers.
    Silent,
    /// Compiles, and changes one byte of the object.
    Lies,
    /// Compiles, and says something that was not asked for.
    Chats,
    /// Stops reading when the job is announced.
    StopsAtSource,
    /// Stops reading when a toolchain is announced.
    StopsAtToolchain,
}

/// What the daemon and the workers saw, one word per event.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn add(&self, event: impl Into<String>) {
        self.0.lock().expect("not poisoned").push(event.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.all().iter().filter(|e| *e == event).count()
    }

    /// Waits until the event has happened.
    pub(crate) fn wait_for(&self, event: &str) {
        for _ in 0..2000 {
            if self.count(event) > 0 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{event} never happened: {:?}", self.all());
    }
}

/// Answers to requests for a worker.
#[derive(Clone, Debug)]
pub(crate) enum Assign {
    /// This worker, which has the toolchain or not.
    Worker(SocketAddr, bool),
    /// The submitter itself.
    Here,
    /// No answer at all: the connection is closed.
    Nobody,
    /// No answer, neither to requests for a worker nor to those for a slot.
    Silence,
}

/// A daemon for one test.
pub(crate) struct Cluster {
    pub(crate) events: Events,
    answers: Arc<Mutex<VecDeque<Assign>>>,
}

impl Cluster {
    /// A daemon that gives these answers in turn, the last for ever.
    pub(crate) fn start(fixture: &Fixture, answers: Vec<Assign>) -> Cluster {
        Cluster::start_at(fixture, answers, NEWEST)
    }

    fn start_at(fixture: &Fixture, answers: Vec<Assign>, version: u32) -> Cluster {
        let archive = fixture
            .root()
            .join("0123456789abcdef0123456789abcdef.tar.gz");
        fs::write(&archive, [7; 250_000]).expect("an archive");
        let cluster = Cluster {
            events: Events::default(),
            answers: Arc::new(Mutex::new(answers.into())),
        };
        let listener = UnixListener::bind(fixture.root().join("socket")).expect("a socket");
        let events = cluster.events.clone();
        let answers = Arc::clone(&cluster.answers);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let events = events.clone();
                let answers = Arc::clone(&answers);
                let archive = archive.clone();
                thread::spawn(move || {
                    let Some(mut connection) = Connection::accept(socket, version) else {
                        return;
                    };
                    while let Some(message) = connection.receive() {
                        events.add(message.name());
                        if !answer(&mut connection, message, &answers, &archive) {
                            return;
                        }
                    }
                });
            }
        });
        cluster
    }

    /// A worker for this cluster.
    pub(crate) fn worker(events: &Events, behaviour: Behaviour) -> SocketAddr {
        Cluster::worker_at(events, behaviour, NEWEST)
    }

    fn worker_at(events: &Events, behaviour: Behaviour, version: u32) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        if matches!(
            behaviour,
            Behaviour::StopsAtSource | Behaviour::StopsAtToolchain
        ) {
            // Soon full.
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 1 << 16);
        }
        let address = listener.local_addr().expect("an address");
        let events = events.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let events = events.clone();
                thread::spawn(move || {
                    let Some(connection) = Connection::accept(socket, version) else {
                        return;
                    };
                    events.add("worker");
                    work(connection, behaviour, &events);
                });
            }
        });
        address
    }

    /// A daemon and one worker that has the toolchain.
    pub(crate) fn with(fixture: &Fixture, behaviour: Behaviour) -> Cluster {
        Cluster::at_version(fixture, behaviour, NEWEST)
    }

    /// The same of an older version.
    pub(crate) fn at_version(fixture: &Fixture, behaviour: Behaviour, version: u32) -> Cluster {
        let events = Events::default();
        let address = Cluster::worker_at(&events, behaviour, version);
        let cluster = Cluster::start_at(fixture, vec![Assign::Worker(address, true)], version);
        Cluster {
            events: {
                // Both write into the daemon's list.
                let daemon = cluster.events.clone();
                let worker = events;
                thread::spawn({
                    let daemon = daemon.clone();
                    move || {
                        let mut seen = 0;
                        loop {
                            let all = worker.all();
                            for event in all.get(seen..).unwrap_or_default() {
                                daemon.add(event.clone());
                            }
                            seen = all.len();
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                });
                daemon
            },
            ..cluster
        }
    }
}

fn answer(
    connection: &mut Connection,
    message: Message,
    answers: &Mutex<VecDeque<Assign>>,
    archive: &Path,
) -> bool {
    match message {
        Message::GetNativeEnv(_) => connection.send(&Message::NativeEnv(NativeEnv {
            path: archive.as_os_str().into(),
        })),
        Message::GetCs(request) => {
            let mut answers = answers.lock().expect("not poisoned");
            let next = match answers.len() {
                0 => Assign::Nobody,
                1 => answers[0].clone(),
                _ => answers.pop_front().expect("not empty"),
            };
            drop(answers);
            let (hostname, port, got_env) = match next {
                Assign::Worker(address, got) => (address.ip().to_string(), address.port(), got),
                Assign::Here => ("127.0.0.1".to_owned(), 0, true),
                Assign::Nobody => return false,
                Assign::Silence => return true,
            };
            connection.send(&Message::UseCs(UseCs {
                job_id: 17,
                port: u32::from(port),
                hostname: hostname.into(),
                host_platform: request.target,
                got_env,
                client_id: 1,
                matched_job_id: 0,
            }))
        }
        Message::JobLocalBegin(_) => {
            let first = answers.lock().expect("not poisoned").front().cloned();
            if matches!(first, Some(Assign::Silence)) {
                return true;
            }
            connection.send(&Message::JobLocalBegin(JobLocalBegin::default()))
        }
        _ => true,
    }
}

fn work(mut connection: Connection, behaviour: Behaviour, events: &Events) {
    let mut source = Vec::new();
    let mut job: Option<CompileFile> = None;
    let mut unpacking = false;
    while let Some(message) = connection.receive() {
        match message {
            Message::TransferEnv(_) => {
                events.add("toolchain");
                if behaviour == Behaviour::StopsAtToolchain {
                    connection.wait_until_full(events);
                    return;
                }
                unpacking = true;
            }
            Message::FileChunk(_) if unpacking => {}
            Message::End if unpacking => unpacking = false,
            Message::VerifyEnv(_) => {
                let ok = behaviour != Behaviour::RejectsToolchain;
                let answer = Message::VerifyEnvResult(VerifyEnvResult { ok });
                if !connection.send(&answer) {
                    return;
                }
            }
            Message::CompileFile(file) => {
                events.add("job");
                match behaviour {
                    Behaviour::DiesAtOnce => return,
                    Behaviour::Refuses => {
                        let _ = connection.send(&Message::StatusText(StatusText {
                            text: "no room here".into(),
                        }));
                        return;
                    }
                    Behaviour::StopsAtSource => {
                        connection.wait_until_full(events);
                        events.add("client gone");
                        return;
                    }
                    _ => job = Some(file),
                }
            }
            Message::FileChunk(chunk) => {
                source.extend(chunk.decompress().expect("the source unpacks"));
            }
            Message::End => {
                events.add("source");
                let job = job.take().expect("a job before the source");
                finish(&mut connection, behaviour, &job, &source);
                if behaviour == Behaviour::Silent {
                    continue;
                }
                return;
            }
            other => panic!("a worker got {}", other.name()),
        }
    }
    events.add("client gone");
}

fn finish(connection: &mut Connection, behaviour: Behaviour, job: &CompileFile, source: &[u8]) {
    let failed = |status, out_of_memory| {
        Message::CompileResult(CompileResult {
            status,
            out_of_memory,
            ..CompileResult::default()
        })
    };
    match behaviour {
        Behaviour::DiesAfterSource | Behaviour::Silent => {}
        Behaviour::Garbage => {
            let _ = connection.stream.write_all(&[0xff; 64]);
        }
        Behaviour::WrongMessage => {
            let _ = connection.send(&Message::Ping);
        }
        Behaviour::OutOfMemory => {
            let _ = connection.send(&failed(105, true));
        }
        Behaviour::GivesBack(line) => {
            let mut result = failed(105, true);
            if let Message::CompileResult(result) = &mut result {
                result.stderr = line.into();
            }
            let _ = connection.send(&result);
        }
        Behaviour::Fails(status) => {
            let _ = connection.send(&failed(status, false));
        }
        _ => {
            let (mut result, mut object) = compile(job, source);
            match behaviour {
                Behaviour::Lies => {
                    if let Some(byte) = object.last_mut() {
                        *byte ^= 1;
                    }
                }
                Behaviour::Chats => result.stdout = "hello".into(),
                _ => {}
            }
            let success = result.status == 0;
            let _ = connection.send(&Message::CompileResult(result));
            if success {
                send_object(connection, behaviour, &object);
            }
        }
    }
}

fn send_object(connection: &mut Connection, behaviour: Behaviour, object: &[u8]) {
    let mut compressor = Compressor::new(connection.version(), 1).expect("a compressor");
    for part in object.chunks(1000) {
        if behaviour == Behaviour::EmptyObject {
            break;
        }
        let mut chunk = compressor.compress(part).expect("compressed");
        if behaviour == Behaviour::BadChunk {
            chunk.uncompressed_len += 1;
        }
        let _ = connection.send(&Message::FileChunk(chunk));
        if behaviour == Behaviour::DiesInObject {
            return;
        }
    }
    let _ = connection.send(&Message::End);
}

/// As a worker runs the compiler: source on standard input, another folder, hardly any environment.
fn compile(job: &CompileFile, source: &[u8]) -> (CompileResult, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("result.o");
    let language = ["c", "c++", "objective-c", "objective-c++"][job.language as usize];
    let compiler = match job.compiler_name.as_bytes() {
        // Before version 30 the language decides.
        b"" if language == "c++" => "g++".into(),
        b"" => "gcc".into(),
        _ => job.compiler_name.as_os_str().to_owned(),
    };
    let clang = compiler == "clang";
    let mut command = Command::new(PathBuf::from("/usr/bin").join(compiler));
    command
        .env_clear()
        .env("PATH", "/usr/bin")
        .current_dir(folder.path());
    command.args(["-x", language]);
    if clang {
        for (option, value) in [
            ("-main-file-name", &job.input_file),
            ("-fdebug-compilation-dir", &job.working_directory),
        ] {
            command
                .args(["-Xclang", option, "-Xclang"])
                .arg(value.as_os_str());
        }
    }
    let words = job
        .args
        .iter()
        .chain(&job.remote_args)
        .chain(&job.rest_args);
    command.args(words.map(|word| word.as_os_str()));
    if !clang {
        command.arg("-fpreprocessed");
    }
    command.arg("-").arg("-o").arg(&object);
    if clang {
        command.arg("-no-canonical-prefixes");
    } else {
        command.args([
            "--param",
            "ggc-min-expand=30",
            "--param",
            "ggc-min-heapsize=4096",
        ]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a compiler");
    let mut stdin = child.stdin.take().expect("a pipe");
    let source = source.to_vec();
    let feeder = thread::spawn(move || {
        let _ = stdin.write_all(&source);
    });
    let output = child.wait_with_output().expect("an end");
    let _ = feeder.join();
    let result = CompileResult {
        stderr: gelato_wire::ByteString::from_bytes(output.stderr),
        stdout: gelato_wire::ByteString::from_bytes(output.stdout),
        status: output.status.code().unwrap_or(105),
        out_of_memory: false,
        have_dwo: false,
    };
    (result, fs::read(object).unwrap_or_default())
}
