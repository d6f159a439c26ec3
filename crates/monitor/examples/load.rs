//! A server under the load of a large cluster: 1 000 hosts, 5 000 jobs in flight, 2 000 events a second, one browser that looks and one that
//! never reads. Prints what that takes of one processor, and of memory. On a quiet machine:
//! `cargo run --release -p gelato-monitor --example load -- [SECONDS]`

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use gelato_monitor::event::Figures;
use gelato_monitor::recording::Entry;
use gelato_monitor::web::{Clock, Config, Port, Server};
use gelato_monitor::{Event, HostFacts, feed};
use tokio::sync::mpsc::{Sender, channel};

const HOSTS: u32 = 1_000;
const LIVE: usize = 5_000;
/// Times a second that events are told.
const STEPS: u32 = 20;
/// Events in each of them.
const EVENTS: u32 = 2_000 / STEPS;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let seconds: u32 = seconds.unwrap_or(30);
    let (to, events) = channel(100_000);
    let (say, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            clock: Clock::Wall,
            port: Port::None,
            token: None,
            pass_on: None,
            folder: None,
            history: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let server = Server::bind(config).await.expect("a port");
            say.send(server.address()).expect("somebody waits");
            server.run(events, std::future::pending()).await;
        });
    });
    let address = address.recv().expect("an address");
    let mut load = Load::begin(&to);
    std::thread::sleep(Duration::from_secs(2));
    let nobody = measure(&mut load, &to, seconds / 3);
    println!("nobody looks:             {nobody}");
    let _stalled = watch(address);
    let mut good = watch(address);
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        while let Ok(read @ 1..) = good.read(&mut buffer) {
            bytes += read;
            if bytes > 1 << 40 {
                break;
            }
        }
    });
    let looked = measure(&mut load, &to, seconds);
    println!("one looks, one is stuck:  {looked}");
    drop((to, reader));
}

fn watch(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server");
    let head = "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the server");
    stream
}

/// Tells events at their pace, and says what the server's thread took meanwhile.
fn measure(load: &mut Load, to: &Sender<Entry>, seconds: u32) -> String {
    let (began, cpu) = (Instant::now(), server_ticks());
    for step in 1..=seconds * STEPS {
        load.step(to);
        let next = Duration::from_secs(1) * step / STEPS;
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    let ticks = server_ticks() - cpu;
    let percent = ticks as f64 / 100.0 / began.elapsed().as_secs_f64() * 100.0;
    let memory = resident() >> 20;
    format!(
        "{percent:.1} % of a processor, {memory} MiB, {} jobs in flight",
        load.live.len()
    )
}

/// Hundredths of a second all threads but this one and the reader's took: the first child thread is the server's.
fn server_ticks() -> u64 {
    let main = std::process::id();
    let mut threads: Vec<u32> = std::fs::read_dir("/proc/self/task")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|thread| *thread != main)
        .collect();
    threads.sort_unstable();
    let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", threads[0]));
    let stat = stat.expect("/proc");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let tick = |index: usize| fields[index].parse::<u64>().unwrap_or(0);
    tick(11) + tick(12)
}

/// Bytes of this process in memory, the generator's included.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

struct Load {
    live: VecDeque<u32>,
    next: u32,
    told: u32,
}

impl Load {
    fn begin(to: &Sender<Entry>) -> Load {
        tell(
            to,
            Event::Connected {
                scheduler: "10.0.0.1:8765".to_owned(),
                netname: None,
                protocol: 44,
            },
        );
        for host in 1..=HOSTS {
            tell(to, describe(host, 100));
        }
        let mut load = Load {
            live: VecDeque::new(),
            next: 1,
            told: 0,
        };
        while load.live.len() < LIVE {
            load.start(to);
        }
        load
    }

    fn start(&mut self, to: &Sender<Entry>) {
        let job = self.next;
        self.next += 1;
        let queued = Event::Queued {
            job,
            client: job % 50 + 1,
            file: format!("src/module{}/unit{}.cpp", job % 40, job % 3_000),
            language: 1,
        };
        tell(to, queued);
        let host = job % HOSTS + 1;
        tell(to, Event::Begun { job, host });
        self.live.push_back(job);
        self.told += 2;
    }

    /// One step: jobs begin and end, and a few hosts say how they are.
    fn step(&mut self, to: &Sender<Entry>) {
        let until = self.told + EVENTS;
        for _ in 0..HOSTS / STEPS / 5 {
            tell(
                to,
                describe(self.next.wrapping_mul(7919) % HOSTS + 1, self.told % 1000),
            );
            self.told += 1;
        }
        while self.told < until {
            if let Some(job) = self.live.pop_front() {
                let figures = Figures {
                    real_ms: 7_000,
                    user_ms: 6_500,
                    in_raw: 2_000_000,
                    in_compressed: 300_000,
                    out_raw: 200_000,
                    out_compressed: 60_000,
                    ..Figures::default()
                };
                tell(to, Event::Done { job, figures });
                self.told += 1;
            }
            self.start(to);
        }
    }
}

fn describe(host: u32, load: u32) -> Event {
    Event::Host {
        host,
        facts: HostFacts {
            name: format!("host{host}"),
            ip: format!("10.0.{}.{}", host / 250, host % 250 + 1),
            slots: 8,
            platform: "x86_64".to_owned(),
            protocol: 44,
            features: vec!["env_xz".to_owned(), "env_zstd".to_owned()],
            speed: 300.0,
            load,
            averages: Some([1000; 3]),
            free_memory: Some(8_000),
            ..HostFacts::default()
        },
    }
}

fn tell(to: &Sender<Entry>, event: Event) {
    let at = feed::now();
    to.blocking_send(Entry { at, event }).expect("the server");
}
