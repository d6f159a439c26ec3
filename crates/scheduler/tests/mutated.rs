//! Hundreds of thousands of hostile messages and lines against a whole scheduler: it stays up, serves the others, and does not
//! grow. `GELATO_MUTATED_FRAMES=1000000` sends as many.
//!
//! Most messages are well formed with hostile values, so that connections live long enough to reach the state behind the
//! decoder; every fiftieth has bytes changed, cut off or added.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use gelato_net::discovery::Reach;
use gelato_scheduler::{Config, Scheduler};
use gelato_wire::msg::{
    BlacklistHostEnv, GetCs, JobBegin, JobDone, JobLocalBegin, JobLocalDone, JobRecords, Login,
    NodeNote, Stats, StatusText,
};
use gelato_wire::{ByteString, Environment, Message, ProtocolVersion, Session};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

const FRAMES: usize = 50_000;
const LINES: usize = 10_000;
/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(60);
/// What allocators and caches may take on top once all sorts of things have happened.
const SLACK_MIB: usize = 64;

#[test]
fn mutated_messages_harm_nobody() {
    let frames = std::env::var("GELATO_MUTATED_FRAMES").ok();
    let frames = frames
        .and_then(|frames| frames.parse().ok())
        .unwrap_or(FRAMES);
    let server = Server::start();
    let mut random = Random(20_260_101);
    let mut bystander = Peer::connect(server.address).expect("accepted");
    bystander.send(&login("bystander"));
    let watching = watch(server.address);
    let (mut sent, mut connections, mut warm) = (0, 0, None);
    while sent < frames {
        connections += 1;
        sent += attack(&server, &mut random);
        if connections % 100 == 0 {
            assert!(bystander.is_served());
        }
        if warm.is_none() && sent > frames / 5 {
            warm = Some(resident_mib());
        }
    }
    assert!(bystander.is_served());
    let grown = resident_mib().saturating_sub(warm.unwrap_or_default());
    eprintln!(
        "{sent} messages on {connections} connections, {grown} MiB more than after a fifth of them"
    );
    assert!(grown < SLACK_MIB, "{grown} MiB more");
    server.stop();
    let read = watching.join().expect("it reads to the end");
    assert!(read > 0);
}

/// A monitor that subscribed to everything and reads; how many bytes that were.
fn watch(address: SocketAddr) -> JoinHandle<u64> {
    let mut monitor = Peer::connect(address).expect("accepted");
    monitor.send(&Message::MonLogin);
    monitor.send(&Message::NodeNote(NodeNote {
        text: "{\"subscribe\":[\"records\",\"explanations\"]}".into(),
    }));
    monitor.stream.set_read_timeout(None).unwrap();
    std::thread::spawn(move || {
        std::io::copy(&mut monitor.stream, &mut std::io::sink()).unwrap_or(1)
    })
}

#[test]
fn hostile_control_lines_harm_nobody() {
    let server = Server::start();
    let mut random = Random(7);
    let mut bystander = Peer::connect(server.address).expect("accepted");
    bystander.send(&login("bystander"));
    let (mut sent, mut warm) = (0, None);
    while sent < LINES {
        if sent > LINES / 5 {
            warm = warm.or_else(|| Some(resident_mib()));
        }
        let mut stream = TcpStream::connect(server.control).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut lines = Vec::new();
        for _ in 0..100 {
            lines.extend(hostile_line(&mut random));
            lines.push(b"\n\r\0"[random.below(3)]);
            sent += 1;
        }
        lines.extend_from_slice(b"\nquit\n");
        // It may close in the middle.
        let writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            let mut writer = writer;
            let _ = writer.write_all(&lines);
        });
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers);
        writing.join().unwrap();
        assert!(answers.starts_with(b"200-ICECC "), "{answers:?}");
        assert!(bystander.is_served());
    }
    let grown = resident_mib().saturating_sub(warm.unwrap_or_default());
    assert!(grown < SLACK_MIB, "{grown} MiB more");
    server.stop();
}

/// One connection's worth of messages; how many there were.
fn attack(server: &Server, random: &mut Random) -> usize {
    let Some(mut peer) = Peer::connect(server.address) else {
        return 0;
    };
    if random.below(20) > 0 {
        peer.send(&login(["a", "b", "c"][random.below(3)]));
    }
    let mut taken = 0;
    for _ in 0..25 {
        let mut bytes = Vec::new();
        let mut whole = true;
        for _ in 0..8 {
            let frame = encoded(&mut peer.session, &hostile_message(random));
            if random.below(50) == 0 {
                whole = false;
                bytes.extend(mutated(frame, random));
                break;
            }
            bytes.extend(frame);
            taken += 1;
        }
        // It may have been disconnected.
        let _ = peer.stream.write_all(&bytes);
        if !whole {
            // What follows would only be taken for the rest of it.
            let _ = peer.stream.shutdown(Shutdown::Write);
            let _ = peer.stream.read_to_end(&mut Vec::new());
            return taken + 1;
        }
        // Only what has been understood counts.
        if !peer.is_served() {
            return taken - 7;
        }
    }
    taken
}

fn hostile_message(random: &mut Random) -> Message {
    let job = |random: &mut Random| match random.below(4) {
        // A job of somebody else ends the connection.
        0 => random.below(3000) as u32,
        _ => random.number(),
    };
    match random.below(15) {
        0..=2 => Message::GetCs(GetCs {
            environments: environments(random),
            filename: text(random),
            language: random.number(),
            count: match random.below(200) {
                0 => random.number(),
                1 => 256,
                some => some as u32 % 3,
            },
            target: text(random),
            arg_flags: random.number(),
            client_id: 1000 + random.below(20) as u32,
            preferred_host: [
                ByteString::default(),
                "a".into(),
                "127.0.0.1".into(),
                text(random),
            ][random.below(4)]
            .clone(),
            minimal_host_version: random.number() as i32 % 50,
            client_count: random.number(),
            required_features: random.below(8) as u32,
            niceness: random.number(),
            ..GetCs::default()
        }),
        3 => Message::JobBegin(JobBegin {
            job_id: job(random),
            start_time: random.number(),
            client_count: random.number(),
        }),
        4 | 5 => Message::JobDone(JobDone {
            job_id: job(random),
            exitcode: random.number() as i32,
            real_msec: random.number(),
            user_msec: random.number(),
            sys_msec: random.number(),
            page_faults: random.number(),
            in_uncompressed: random.number(),
            out_uncompressed: random.number(),
            flags: random.below(4) as u32,
            client_count: random.number(),
            ..JobDone::default()
        }),
        6 => Message::Stats(Stats {
            load: random.number() % 1500,
            load_avg_1: random.number(),
            load_avg_5: random.number(),
            load_avg_10: random.number(),
            free_mem: random.number(),
        }),
        7 => Message::JobLocalBegin(JobLocalBegin {
            outfile: text(random),
            start_time: random.number(),
            id: random.below(5000) as u32,
            full_job: random.below(2) == 0,
        }),
        8 => Message::JobLocalDone(JobLocalDone {
            job_id: random.below(5000) as u32,
        }),
        9 => Message::Login(Login {
            max_kids: random.number(),
            environments: environments(random),
            host_platform: text(random),
            ..Login::default()
        }),
        10 => Message::BlacklistHostEnv(BlacklistHostEnv {
            environment: text(random),
            target: text(random),
            hostname: "127.0.0.1".into(),
        }),
        11 => Message::NodeNote(NodeNote { text: note(random) }),
        12 => Message::JobRecords(JobRecords {
            text: format!("[{},{}]", json(random), json(random))
                .as_str()
                .into(),
        }),
        _ if random.below(60) == 0 => Message::StatusText(StatusText { text: text(random) }),
        _ => Message::Ping,
    }
}

/// A note that makes sense up to its values, or none at all.
fn note(random: &mut Random) -> ByteString {
    let member = [
        "running",
        "away",
        "ended",
        "answers",
        "remarks",
        "subscribe",
    ][random.below(6)];
    let text = match random.below(4) {
        0 => json(random),
        1 => format!("{{\"{member}\":{}}}", json(random)),
        _ => {
            let one = |random: &mut Random| {
                format!(
                    "{{\"job\":{},\"client\":\"127.0.0.1\",\"host\":\"127.0.0.1\",\"since_ms\":{},\"exit\":{},\"file\":{}}}",
                    random.below(20),
                    random.number(),
                    json(random),
                    json(random)
                )
            };
            let all: Vec<String> = (0..random.below(20)).map(|_| one(random)).collect();
            format!("{{\"{member}\":[{}]}}", all.join(","))
        }
    };
    text.as_str().into()
}

fn json(random: &mut Random) -> String {
    match random.below(7) {
        0 => "[".repeat(random.below(3000)),
        1 => format!("\"{}\"", "é\\u0000".repeat(random.below(500))),
        2 => "{\"file\":\"a.o\",\"verdict\":\"remote\",\"end\":5}".to_owned(),
        3 => format!("-{}e{}", random.number(), random.below(400)),
        4 => "null".to_owned(),
        5 => "[\"ping\",\"records\",\"explanations\"]".to_owned(),
        _ => random.number().to_string(),
    }
}

/// Bytes changed, cut off, or added.
fn mutated(mut frame: Vec<u8>, random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => frame.truncate(random.below(frame.len())),
        1 => frame.extend((0..random.below(40)).map(|at| at as u8)),
        2 => {
            // A length that fits, of a body that does not.
            frame.truncate(8 + random.below(frame.len() - 7));
            let length = (frame.len() as u32 - 4).to_be_bytes();
            frame[..4].copy_from_slice(&length);
        }
        _ => {
            for _ in 0..=random.below(4) {
                let at = random.below(frame.len());
                frame[at] = random.number() as u8;
            }
        }
    }
    frame
}

fn hostile_line(random: &mut Random) -> Vec<u8> {
    let command = [
        "listcs",
        "listjobs",
        "listblocks",
        "blockcs",
        "unblockcs",
        "removecs",
        "why",
        "drain",
        "undrain",
        "listdrained",
        "token",
        "slots",
        "stats",
        "commands",
    ][random.below(14)];
    match random.below(5) {
        0 => (0..random.below(200))
            .map(|_| random.number() as u8)
            .collect(),
        1 => format!("{command} {}", "x ".repeat(random.below(300))).into_bytes(),
        2 => format!("{command} {}", random.number()).into_bytes(),
        3 => [command.as_bytes(), b" ", &vec![b'y'; random.below(3000)]].concat(),
        _ => [b"help\t\x7f", command.as_bytes(), &[0xff; 9]].concat(),
    }
}

fn environments(random: &mut Random) -> Vec<Environment> {
    let some = |random: &mut Random| Environment {
        platform: ["x86_64".into(), text(random)][usize::from(random.below(8) == 0)].clone(),
        name: ["gcc".into(), text(random)][random.below(2)].clone(),
    };
    (0..random.below(4)).map(|_| some(random)).collect()
}

fn text(random: &mut Random) -> ByteString {
    match random.below(6) {
        0 => ByteString::default(),
        1 => ByteString::from_bytes(
            (0..random.below(60))
                .map(|_| 1 + random.number() as u8 % 255)
                .collect::<Vec<u8>>(),
        ),
        2 => {
            // Longer ones end the connection.
            let most = if random.below(40) == 0 { 3000 } else { 256 };
            "z".repeat(random.below(most)).into()
        }
        3 => "name\nName:forged".into(),
        _ => ["x86_64", "a/b/c.cpp", "gcc"][random.below(3)].into(),
    }
}

fn login(name: &str) -> Message {
    Message::Login(Login {
        port: 0,
        max_kids: if name == "bystander" { 0 } else { 4 },
        nodename: name.into(),
        host_platform: "x86_64".into(),
        chroot_possible: true,
        noremote: name == "bystander",
        supported_features: 3,
        environments: Vec::new(),
    })
}

fn encoded(session: &mut Session, message: &Message) -> Vec<u8> {
    session.send(message).unwrap();
    std::mem::take(session.output())
}

struct Server {
    address: SocketAddr,
    control: SocketAddr,
    end: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    fn start() -> Server {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let config = Config {
            port: 0,
            interface: Some("lo".to_owned()),
            reach: Reach::Addresses(Vec::new()),
            ..Config::default()
        };
        let scheduler = runtime.block_on(Scheduler::bind(config)).unwrap();
        let (address, control) = (scheduler.address(), scheduler.control_address());
        let (end, ended) = oneshot::channel();
        let running = std::thread::spawn(move || {
            runtime.block_on(scheduler.run(async {
                let _ = ended.await;
            }));
        });
        Server {
            address,
            control,
            end,
            running,
        }
    }

    /// It has not panicked.
    fn stop(self) {
        self.end.send(()).expect("it is still there");
        self.running.join().expect("it ended in peace");
    }
}

struct Peer {
    stream: TcpStream,
    session: Session,
    clients: u32,
}

impl Peer {
    fn connect(address: SocketAddr) -> Option<Peer> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        stream.set_write_timeout(Some(SOON)).ok()?;
        let mut peer = Peer {
            stream,
            session: Session::new(ProtocolVersion::NEWEST),
            clients: 1_000_000,
        };
        while peer.session.version().is_none() {
            peer.flush().ok()?;
            let mut buffer = [0; 64];
            let length = peer.stream.read(&mut buffer).ok()?;
            peer.session.receive(buffer.get(..length)?).ok()?;
            if length == 0 {
                return None;
            }
        }
        peer.flush().ok()?;
        Some(peer)
    }

    fn send(&mut self, message: &Message) {
        self.session.send(message).unwrap();
        let _ = self.flush();
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let output = std::mem::take(self.session.output());
        self.stream.write_all(&output)
    }

    /// It asks, and is told to compile for itself: nobody else has its toolchain. False if it has been disconnected.
    fn is_served(&mut self) -> bool {
        self.clients += 1;
        let client = self.clients;
        self.send(&Message::GetCs(GetCs {
            environments: vec![Environment {
                platform: "sparc".into(),
                name: "its own".into(),
            }],
            filename: "b/y/stander.c".into(),
            count: 1,
            target: "sparc".into(),
            client_id: client,
            ..GetCs::default()
        }));
        loop {
            while let Some(message) = self.session.next_message().unwrap() {
                if matches!(&message, Message::NoCs(answer) if answer.client_id == client) {
                    return true;
                }
            }
            let mut buffer = [0; 4096];
            let length = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no answer in time")
                }
                // Closed, or closed with something unread.
                Ok(0) | Err(_) => return false,
                Ok(length) => length,
            };
            self.session.receive(&buffer[..length]).unwrap();
        }
    }
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap() / 1024
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }

    fn below(&mut self, bound: usize) -> usize {
        self.number() as usize % bound
    }
}
