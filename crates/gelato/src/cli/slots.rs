//! `gelato slots`: one number for `-j`, and the grounds for it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use gelato_monitor::model::Link;
use gelato_monitor::slots::{self, Machine, Slots};
use gelato_monitor::{Cluster, glance};
use serde_json::{Value, json};

use super::operate::Place;
use crate::build::cluster::{self, Here};

/// Longest wait for a scheduler's list of machines.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `gelato slots`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Say how the number comes about, on standard error
    #[arg(short, long)]
    verbose: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Host of the scheduler, perhaps with its port [default: the daemon's, else ask the network]
    #[arg(short = 's', long, value_name = "HOST[:PORT]")]
    scheduler: Option<String>,
    /// Name of the network [default: ICECREAM]
    #[arg(short = 'n', long, value_name = "NAME")]
    netname: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Status 0 if there is a number: always, unless options make no sense.
pub(crate) fn run(args: &Args) -> ExitCode {
    match count(args) {
        Ok((slots, seen)) => {
            show(args, &slots, &seen);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gelato slots: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the scheduler told, or why there was none.
type Seen = Result<Cluster, String>;

fn count(args: &Args) -> anyhow::Result<(Slots, Seen)> {
    let Here {
        mut machine,
        scheduler,
    } = cluster::here(args.place.socket.as_ref());
    let wanted = match scheduler {
        Some(address) if args.scheduler.is_none() && args.netname.is_none() => cluster::at(address),
        _ => {
            let settings = super::settings::load();
            cluster::wanted(
                &settings,
                args.scheduler.as_deref(),
                args.netname.as_deref(),
            )?
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let seen = runtime.block_on(glance::glance(wanted, PATIENCE));
    runtime.shutdown_background();
    let nothing = Cluster::new();
    let picture = seen.as_ref().unwrap_or(&nothing);
    machine.joins = joins(picture, &machine);
    Ok((slots::of(picture, &machine), seen))
}

/// `gelato build` starts a daemon where there is none.
fn joins(picture: &Cluster, machine: &Machine) -> bool {
    machine.node.is_none() && picture.hosts().any(|(_, host)| host.is_here())
}

fn show(args: &Args, slots: &Slots, seen: &Seen) {
    if args.json {
        println!("{:#}", as_json(slots, seen));
        return;
    }
    if let Err(reason) = seen {
        eprintln!("gelato slots: {reason}; the number is this machine's alone");
    }
    if args.verbose {
        if let Ok(cluster) = seen
            && let Some((scheduler, netname)) = address(cluster)
        {
            let network = netname.map_or_else(String::new, |name| format!(", network {name}"));
            eprintln!("scheduler {scheduler}{network}");
        }
        for line in slots.reasoning() {
            eprintln!("{line}");
        }
    }
    println!("{}", slots.suggestion);
}

fn as_json(slots: &Slots, seen: &Seen) -> Value {
    let mut object = json!(slots);
    let (scheduler, reason) = match seen {
        Ok(cluster) => (address(cluster), None),
        Err(reason) => (None, Some(reason)),
    };
    object["scheduler"] = json!(scheduler.map(|(address, _)| address));
    object["netname"] = json!(scheduler.and_then(|(_, netname)| netname));
    object["no_scheduler"] = json!(reason);
    object["reasoning"] = json!(slots.reasoning());
    object
}

fn address(cluster: &Cluster) -> Option<(&str, Option<&str>)> {
    match cluster.link() {
        Link::Up {
            scheduler, netname, ..
        } => Some((scheduler, netname.as_deref())),
        _ => None,
    }
}
