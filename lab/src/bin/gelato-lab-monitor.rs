//! Measures what `gelato monitor` costs in a large cluster: a scheduler that is none tells it of a thousand hosts, five thousand
//! jobs in flight and two thousand events a second, over the real protocol. One browser reads, another never does.
//!
//! Prints processor time and memory of the server, what the reading browser got, and how soon questions are answered.
//! Arguments: seconds measured (10), events a second (2000), hosts (1000), jobs in flight (5000).

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use gelato_lab::{Flavour, Programs, wait};
use gelato_wire::msg::{JobDone, MonGetCs, MonJobBegin, MonNews, MonStats};
use gelato_wire::{Message, ProtocolVersion, Session};

/// Each job is asked for, begins, ends and has a record.
const EVENTS_PER_JOB: u32 = 4;
/// Of so many events one is a host's readings.
const STATS_OF: u32 = 5;
/// Events are sent as often as this.
const STEP: Duration = Duration::from_millis(10);
const FILES: u32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Size {
    seconds: u64,
    events: u32,
    hosts: u32,
    jobs: u32,
}

fn main() -> ExitCode {
    let arguments: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let argument = |place: usize, default| arguments.get(place).copied().unwrap_or(default);
    let size = Size {
        seconds: argument(0, 10).into(),
        events: argument(1, 2000),
        hosts: argument(2, 1000),
        jobs: argument(3, 5000),
    };
    match measure(size) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gelato-lab-monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(size: Size) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("gelato-lab-")
        .tempdir_in("/var/tmp")?;
    let gelato = Programs::find(Flavour::Gelato, folder.path())?.gelato;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let scheduler = listener.local_addr()?;
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            // A monitor that leaves ends its stream.
            std::thread::spawn(move || tell(stream, size, &counter));
        }
    });
    let mut monitor = Monitor::start(&gelato.context("no gelato")?, scheduler, folder.path())?;
    let _stalled = monitor.ask("/api/v1/stream", "1.1")?;
    let reader = Arc::new(Reader::default());
    let stream = monitor.ask("/api/v1/stream", "1.1")?;
    let counts = Arc::clone(&reader);
    std::thread::spawn(move || counts.read(stream));

    let wanted = format!("\"running\":{}", size.jobs);
    wait::until_slowly(PATIENCE, "all jobs in flight", || {
        let cluster = monitor.get("/api/v1/cluster")?.replace(' ', "");
        let some = size.jobs * 9 / 10..=size.jobs;
        Ok((cluster.contains(&wanted) || some.contains(&running(&cluster))).then_some(()))
    })?;

    reader.longest.store(0, Ordering::Relaxed);
    let before = (
        monitor.cpu()?,
        told.load(Ordering::Relaxed),
        reader.counts(),
    );
    let begin = Instant::now();
    let mut answers = Vec::new();
    let mut most = 0;
    while begin.elapsed() < Duration::from_secs(size.seconds) {
        let asked = Instant::now();
        monitor.get("/api/v1/cluster")?;
        answers.push(asked.elapsed());
        most = most.max(monitor.memory()?);
        wait::until_moment(asked + Duration::from_millis(200));
    }
    let took = begin.elapsed().as_secs_f64();
    let after = (
        monitor.cpu()?,
        told.load(Ordering::Relaxed),
        reader.counts(),
    );
    answers.sort();
    let at = |percent: usize| answers[(answers.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let got = |place: usize| after.2[place] - before.2[place];
    println!(
        "gelato monitor, {} hosts, {} jobs in flight, {:.0} events/s: {:.1} % of a core, {} MiB; a browser that reads gets {:.1} \
         deltas/s of {:.0} KiB, {} snapshots, longest silence {} ms; /api/v1/cluster p50 {:.1} ms, p99 {:.1} ms; another browser reads nothing",
        size.hosts,
        size.jobs,
        (after.1 - before.1) as f64 / took,
        (after.0 - before.0).as_secs_f64() / took * 100.0,
        most / 1024,
        got(0) as f64 / took,
        got(1) as f64 / 1024.0 / got(0).max(1) as f64,
        got(2),
        reader.longest.load(Ordering::Relaxed),
        at(50),
        at(99),
    );
    monitor.end()
}

/// Jobs that run, by the answer about the cluster.
fn running(cluster: &str) -> u32 {
    let rest = cluster
        .split_once("\"running\":")
        .map_or("", |(_, rest)| rest);
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The server that is measured.
struct Monitor {
    child: Child,
    address: SocketAddr,
}

impl Monitor {
    fn start(
        gelato: &std::path::Path,
        scheduler: SocketAddr,
        folder: &std::path::Path,
    ) -> Result<Monitor> {
        let mut child = Command::new(gelato)
            .args([
                "monitor",
                "--listen",
                "127.0.0.1:0",
                "-s",
                &scheduler.to_string(),
            ])
            .arg("--state-folder")
            .arg(folder.join("state"))
            .env("GELATO_CONFIG", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().context("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            bail!("gelato monitor said {line:?}");
        };
        Ok(Monitor { child, address })
    }

    fn ask(&self, path: &str, version: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/{version}\r\nHost: {}\r\n\r\n",
            self.address
        )?;
        Ok(stream)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut answer = String::new();
        self.ask(path, "1.0")?.read_to_string(&mut answer)?;
        if !answer.contains(" 200 ") {
            bail!("GET {path}: {answer}");
        }
        Ok(answer)
    }

    fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?.flatten() {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().and_then(|word| word.parse().ok());
            sum += first.unwrap_or(0);
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Resident kilobytes.
    fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        kilobytes.context("it ended")
    }

    fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A browser that takes what it gets.
#[derive(Default)]
struct Reader {
    deltas: AtomicU64,
    snapshots: AtomicU64,
    bytes: AtomicU64,
    /// Longest time without a byte, in ms.
    longest: AtomicU64,
}

impl Reader {
    fn counts(&self) -> [u64; 3] {
        [&self.deltas, &self.bytes, &self.snapshots].map(|count| count.load(Ordering::Relaxed))
    }

    fn read(&self, mut stream: TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        let mut last = Instant::now();
        let mut end = Vec::new();
        while let Ok(length) = stream.read(&mut buffer) {
            if length == 0 {
                return;
            }
            let silence = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.longest.fetch_max(silence, Ordering::Relaxed);
            last = Instant::now();
            self.bytes.fetch_add(length as u64, Ordering::Relaxed);
            end.extend_from_slice(&buffer[..length]);
            for (word, count) in [
                ("event: delta", &self.deltas),
                ("event: snaps", &self.snapshots),
            ] {
                let word = word.as_bytes();
                let found = end.windows(word.len()).filter(|part| *part == word).count();
                count.fetch_add(found as u64, Ordering::Relaxed);
            }
            // A word that is cut in two is found with the next piece.
            end.drain(..end.len().saturating_sub("event: delta".len() - 1));
        }
    }
}

/// What is told to one monitor.
struct Teller {
    stream: TcpStream,
    session: Session,
    size: Size,
    told: u64,
    next: u32,
    /// Those in flight, oldest first.
    jobs: VecDeque<u32>,
}

/// Speaks to whoever connects, if it is a monitor.
fn tell(stream: TcpStream, size: Size, told: &AtomicU64) -> Result<()> {
    let mut teller = Teller {
        stream,
        session: Session::new(ProtocolVersion::NEWEST),
        size,
        told: 0,
        next: 0,
        jobs: VecDeque::new(),
    };
    teller.greet()?;
    for host in 1..=size.hosts {
        teller.host(host)?;
    }
    for _ in 0..size.jobs {
        teller.begin()?;
    }
    teller.flush()?;
    let begin = Instant::now();
    let mut carried = 0;
    let before = teller.told;
    for step in 1.. {
        wait::until_moment(begin + STEP * step);
        let due = begin.elapsed().as_secs_f64() * f64::from(size.events);
        while ((teller.told - before) as f64) < due {
            carried += 1;
            if carried % (STATS_OF * EVENTS_PER_JOB) < EVENTS_PER_JOB {
                teller.host(1 + carried % size.hosts)?;
            } else {
                teller.end()?;
                teller.begin()?;
            }
        }
        teller.flush()?;
        told.store(teller.told, Ordering::Relaxed);
    }
    Ok(())
}

impl Teller {
    fn greet(&mut self) -> Result<()> {
        let mut buffer = [0; 1024];
        loop {
            self.flush()?;
            if let Ok(Some(message)) = self.session.next_message() {
                match message {
                    Message::MonLogin => return Ok(()),
                    other => bail!("a monitor began with {}", other.name()),
                }
            }
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                bail!("it left");
            }
            self.session.receive(&buffer[..length])?;
        }
    }

    fn host(&mut self, host_id: u32) -> Result<()> {
        let text = format!(
            "Name:node{host_id}\nIP:10.{}.{}.7\nMaxJobs:8\nNoRemote:false\nPlatform:x86_64\nVersion:44\nFeatures:env_xz env_zstd\n\
             Speed:{}.5\nLoad:{}\nLoadAvg1:200\nLoadAvg5:190\nLoadAvg10:180\nFreeMem:{}\nScheduler:gelato/2\n",
            host_id / 256,
            host_id % 256,
            100 + host_id % 200,
            self.told % 900,
            4000 + self.told % 1000,
        );
        let statmsg = text.as_str().into();
        self.say(&Message::MonStats(MonStats { host_id, statmsg }))
    }

    /// A job is asked for and begins.
    fn begin(&mut self) -> Result<()> {
        self.next += 1;
        let job_id = self.next;
        let job = MonGetCs {
            filename: file(job_id).as_str().into(),
            language: 1,
            job_id,
            host_id: self.client(job_id),
            ..MonGetCs::default()
        };
        self.say(&Message::MonGetCs(job))?;
        self.jobs.push_back(job_id);
        let begin = MonJobBegin {
            job_id,
            start_time: 1,
            host_id: self.server(job_id),
        };
        self.say(&Message::MonJobBegin(begin))
    }

    /// The oldest ends, and its record follows.
    fn end(&mut self) -> Result<()> {
        let Some(job_id) = self.jobs.pop_front() else {
            return Ok(());
        };
        let done = JobDone {
            job_id,
            real_msec: 9000,
            user_msec: 8000,
            in_compressed: 90_000,
            in_uncompressed: 400_000,
            out_compressed: 30_000,
            out_uncompressed: 100_000,
            ..JobDone::default()
        };
        self.say(&Message::MonJobDone(done))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let client = self.client(job_id);
        let text = format!(
            "{{\"event\":\"record\",\"host\":{client},\"record\":{{\"end\":{now},\"verdict\":\"remote\",\"file\":\"{}\",\
             \"build\":\"build-{}-{}\",\"job\":{job_id},\"worker\":\"node{}:10245\",\"wall\":9100,\"cpu\":300,\"user\":1000,\
             \"phases\":{{\"wait\":20,\"preprocess\":200,\"send\":100,\"compile\":8600,\"receive\":20}},\"sent\":90000,\
             \"received\":30000,\"source_bytes\":400000,\"output_bytes\":100000}}}}",
            file(job_id),
            client,
            job_id / 20_000,
            self.server(job_id),
        );
        let text = text.as_str().into();
        self.say(&Message::MonNews(MonNews { text }))
    }

    /// A tenth of all hosts build.
    fn client(&self, job: u32) -> u32 {
        1 + job % (self.size.hosts / 10).max(1)
    }

    fn server(&self, job: u32) -> u32 {
        1 + job * 7 % self.size.hosts
    }

    fn say(&mut self, message: &Message) -> Result<()> {
        self.session.send(message)?;
        self.told += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let output = self.session.output();
        self.stream.write_all(output)?;
        output.clear();
        Ok(())
    }
}

fn file(job: u32) -> String {
    format!("src/module{}/file{}.cpp", job % 100, job % FILES)
}
