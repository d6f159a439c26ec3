//! `gelato top`: the cluster in a terminal, or once for a script.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gelato_monitor::anonymous::anonymous;
use gelato_monitor::model::Link;
use gelato_monitor::recording::Entry;
use gelato_monitor::terminal::{self, Clock, Options, Page, Palette, once};
use gelato_monitor::web::Token;
use gelato_monitor::{Cluster, Event, feed};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout_at;

use super::source::{SourceArgs, cluster};

/// After this much silence the picture is complete; Icecream's schedulers speak in lumps 200 ms apart.
const SILENCE: Duration = Duration::from_millis(400);

/// On a busy network there is never silence; what a newcomer is told at once has come by then.
const BUSY: Duration = Duration::from_secs(2);

/// Events on their way to the screen.
const QUEUE: usize = 10_000;

/// Options of `gelato top`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The first page, or the one that is printed
    #[arg(long, value_name = "PAGE", default_value = "hosts", value_parser = page)]
    page: Page,
    /// Print the page once the picture is complete, and end
    #[arg(long)]
    once: bool,
    /// The same as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// The same as CSV
    #[arg(long)]
    csv: bool,
    /// Longest wait for a complete picture
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    wait: f64,
    /// Show other names in place of hosts, files and people
    #[arg(long)]
    anonymize: bool,
    /// File with the scheduler's control token, to block, unblock and drain hosts from afar
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

fn page(name: &str) -> Result<Page, String> {
    let pages = Page::ALL.into_iter();
    let names: Vec<&str> = Page::ALL.iter().map(|page| page.name()).collect();
    pages
        .into_iter()
        .find(|page| page.name() == name)
        .ok_or_else(|| format!("one of {}", names.join(", ")))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.1..=3600.0).contains(&value) => Ok(value),
        _ => Err("a number of seconds from 0.1 to 3600 is needed".to_owned()),
    }
}

/// Watches until the user leaves, or prints once.
pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome = if args.once || args.json || args.csv {
        print(args)
    } else {
        watch(args)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gelato top: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn watch(args: &Args) -> anyhow::Result<()> {
    let events = shown(args.source.open()?, args.anonymize);
    let variable = |name| std::env::var(name).ok();
    let palette = Palette::from_variables(
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
        variable("COLORTERM").as_deref(),
    );
    let token = match &args.token_file {
        Some(file) => {
            let token = Token::read(file);
            Some(token.with_context(|| format!("cannot read the token in {}", file.display()))?)
        }
        None => None,
    };
    let anonymize = args.anonymize;
    let networks = match args.source.may_change() {
        true => {
            let watch: terminal::Watch = Box::new(move |wanted| {
                let events = cluster(wanted, None).map_err(std::io::Error::other)?;
                Ok(shown(events, anonymize))
            });
            Some((args.source.network()?, watch))
        }
        false => None,
    };
    let options = Options {
        palette,
        clock: clock(args),
        page: args.page,
        networks,
        token,
    };
    terminal::run(events, options).context("the terminal cannot be used")
}

fn clock(args: &Args) -> Clock {
    if args.source.is_live() {
        Clock::Wall
    } else {
        Clock::Events
    }
}

/// The events as they come, or as strangers may see them.
fn shown(mut events: Receiver<Entry>, anonymize: bool) -> Receiver<Entry> {
    if !anonymize {
        return events;
    }
    let (to, shown) = channel(QUEUE);
    std::thread::spawn(move || {
        while let Some(Entry { at, event }) = events.blocking_recv() {
            let event = anonymous(event);
            if to.blocking_send(Entry { at, event }).is_err() {
                return;
            }
        }
    });
    shown
}

fn print(args: &Args) -> anyhow::Result<()> {
    let events = shown(args.source.hurried()?, args.anonymize);
    let (cluster, last) = complete(events, args)?;
    let now = match clock(args) {
        Clock::Wall => feed::now(),
        Clock::Events => last,
    };
    let text = if args.json {
        format!("{:#}\n", once::json(&cluster, args.page, now))
    } else if args.csv {
        once::csv(&cluster, args.page, now)
    } else {
        once::text(&cluster, args.page, now)
    };
    let written = std::io::stdout().write_all(text.as_bytes());
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write"),
    }
}

/// Listens until the picture is complete: a recording to its end, a scheduler until it has told what a newcomer is told.
fn complete(mut events: Receiver<Entry>, args: &Args) -> anyhow::Result<(Cluster, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let started = Instant::now();
    let deadline = started + Duration::from_secs_f64(args.wait);
    let mut cluster = Cluster::new();
    let mut last = 0;
    let mut until = deadline;
    runtime.block_on(async {
        let mut most = deadline;
        while let Ok(Some(Entry { at, event })) = timeout_at(until.into(), events.recv()).await {
            let is_lost = matches!(event, Event::Lost { .. });
            let is_connected = matches!(event, Event::Connected { .. });
            last = at;
            // The end of a recording is not what it shows last.
            if is_lost && !args.source.is_live() {
                break;
            }
            cluster.apply(at, event);
            if is_lost {
                break;
            }
            if args.source.is_live() {
                if is_connected {
                    most = deadline.min(Instant::now() + BUSY);
                }
                until = most.min(Instant::now() + SILENCE);
            }
        }
    });
    match cluster.link() {
        Link::Up { .. } => Ok((cluster, last)),
        Link::Down { reason, .. } => bail!("{reason}"),
        Link::Searching => bail!("no scheduler answered within {} s", args.wait),
    }
}
