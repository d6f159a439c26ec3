//! Where the events that are shown come from: a scheduler, a recording or the demo. The same options for every face.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use gelato_monitor::demo::{Demo, STEP};
use gelato_monitor::recording::{Entries, Entry, Recorder};
use gelato_monitor::{Event, feed};
use gelato_net::discovery::Wanted;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events on their way to whoever shows them.
const QUEUE: usize = 10_000;

/// Longest wait between two events of a recording, in ms: nobody wants to watch a night.
const LONGEST_PAUSE: u64 = 5_000;

/// Options that say what is watched.
#[derive(clap::Args)]
pub(crate) struct SourceArgs {
    /// Host of the scheduler, perhaps with its port [default: ask the network]
    #[arg(short = 's', long, value_name = "HOST[:PORT]")]
    scheduler: Option<String>,
    /// Name of the network to watch [default: ICECREAM]
    #[arg(short = 'n', long, value_name = "NAME")]
    netname: Option<String>,
    /// Keep all events in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["replay", "demo"])]
    record: Option<PathBuf>,
    /// Show the events of a file in place of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scheduler", "netname", "demo"])]
    replay: Option<PathBuf>,
    /// Show an invented cluster
    #[arg(long, conflicts_with_all = ["scheduler", "netname"])]
    demo: bool,
    /// Hosts of the invented cluster
    #[arg(long, value_name = "N", default_value_t = 10, requires = "demo")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    hosts: u16,
    /// Seed of the invented cluster: the same one, the same events
    #[arg(long, value_name = "N", default_value_t = 1, requires = "demo")]
    seed: u64,
    /// How fast a recording or the demo runs
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.01..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.01 to 1000 is needed".to_owned()),
    }
}

impl SourceArgs {
    /// Whether a cluster is watched as it is now, and not a recording or the demo.
    pub(crate) fn is_live(&self) -> bool {
        !self.demo && self.replay.is_none()
    }

    /// Names of the hosts of the invented cluster, and its seed.
    pub(crate) fn invented(&self) -> Option<(Vec<String>, u64)> {
        let first = || Demo::new(self.seed, self.hosts.into(), feed::now()).step();
        let name = |event| match event {
            Event::Host { facts, .. } => Some(facts.name),
            _ => None,
        };
        self.demo
            .then(|| (first().into_iter().filter_map(name).collect(), self.seed))
    }

    /// Whether another cluster may be watched in its place: a recording has one.
    pub(crate) fn may_change(&self) -> bool {
        self.is_live() && self.record.is_none()
    }

    /// Where schedulers are looked for, whatever was named: the network.
    pub(crate) fn network(&self) -> anyhow::Result<Wanted> {
        Ok(Wanted::new(None, self.netname.as_deref(), |name| {
            let of_tests = name.starts_with("ICECC_TEST");
            of_tests.then(|| std::env::var(name).ok()).flatten()
        })?)
    }

    /// A recording without its pauses, for who wants only its end.
    pub(crate) fn hurried(&self) -> anyhow::Result<Receiver<Entry>> {
        match &self.replay {
            Some(file) => replay(file, f64::INFINITY),
            None => self.open(),
        }
    }

    /// Events as they come, until the receiver is dropped.
    pub(crate) fn open(&self) -> anyhow::Result<Receiver<Entry>> {
        if self.demo {
            Ok(demo(self))
        } else if let Some(file) = &self.replay {
            replay(file, self.speed)
        } else {
            let wanted =
                Wanted::from_environment(self.scheduler.as_deref(), self.netname.as_deref())?;
            cluster(wanted, self.record.as_deref())
        }
    }
}

fn demo(args: &SourceArgs) -> Receiver<Entry> {
    let (to, events) = channel(QUEUE);
    let mut demo = Demo::new(args.seed, args.hosts.into(), feed::now());
    let pause = Duration::from_millis(STEP).div_f64(args.speed);
    thread::spawn(move || {
        loop {
            let at = demo.now();
            for event in demo.step() {
                if to.blocking_send(Entry { at, event }).is_err() {
                    return;
                }
            }
            thread::sleep(pause);
        }
    });
    events
}

/// A recording at the pace at which it was made. One that turns out to be damaged ends there, with the scheduler shown as lost.
fn replay(path: &Path, speed: f64) -> anyhow::Result<Receiver<Entry>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let entries =
        Entries::open(BufReader::new(file)).with_context(|| path.display().to_string())?;
    let (to, events) = channel(QUEUE);
    thread::spawn(move || {
        let mut before = None;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let reason = format!("the recording ends: {error}");
                    let at = before.unwrap_or(0);
                    let event = Event::Lost { reason };
                    let _ = to.blocking_send(Entry { at, event });
                    return;
                }
            };
            let pause = entry
                .at
                .saturating_sub(before.unwrap_or(entry.at))
                .min(LONGEST_PAUSE);
            thread::sleep(Duration::from_millis(pause).div_f64(speed));
            before = Some(entry.at);
            if to.blocking_send(entry).is_err() {
                return;
            }
        }
        let reason = "the recording is over".to_owned();
        let at = before.unwrap_or(0);
        let event = Event::Lost { reason };
        let _ = to.blocking_send(Entry { at, event });
    });
    Ok(events)
}

/// What a scheduler says, and says again after it was lost; kept in a file, too, if one is named.
pub(crate) fn cluster(wanted: Wanted, record: Option<&Path>) -> anyhow::Result<Receiver<Entry>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (to, events) = channel(QUEUE);
    match record {
        None => {
            thread::spawn(move || runtime.block_on(feed::follow(wanted, to)));
        }
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            let recorder = Recorder::begin(BufWriter::new(file))?;
            let (tee, heard) = channel(QUEUE);
            thread::spawn(move || runtime.block_on(feed::follow(wanted, tee)));
            thread::spawn(move || keep(recorder, heard, &to));
        }
    }
    Ok(events)
}

/// Writes events down before they are shown. A full disk ends the recording, and is shown.
fn keep(mut recorder: Recorder<BufWriter<File>>, mut heard: Receiver<Entry>, to: &Sender<Entry>) {
    let mut writes = true;
    while let Some(entry) = heard.blocking_recv() {
        if writes
            && let Err(error) = recorder
                .add(entry.at, &entry.event)
                .and_then(|()| recorder.flush())
        {
            writes = false;
            let reason = format!("the recording cannot be written: {error}");
            let event = Event::Lost { reason };
            let _ = to.blocking_send(Entry {
                at: entry.at,
                event,
            });
        }
        if to.blocking_send(entry).is_err() {
            return;
        }
    }
}
