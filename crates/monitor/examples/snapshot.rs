//! Prints what a page is shown of the demo: `cargo run -p gelato-monitor --example snapshot -- --seed 1 --hosts 12 --seconds 120`.
//!
//! With `--deltas` there follows one line for each further second, with what changed in it.

use std::error::Error;
use std::io::{self, Write};

use gelato_monitor::demo::{Demo, STEP};
use gelato_monitor::{Cluster, view};

/// When the demo begins, so that every run prints the same.
const START: u64 = 1_800_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut seed, mut hosts, mut seconds, mut deltas) = (1, 12, 120, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a number"));
        match word.as_str() {
            "--seed" => seed = value()?.parse()?,
            "--hosts" => hosts = value()?.parse()?,
            "--seconds" => seconds = value()?.parse()?,
            "--deltas" => deltas = value()?.parse()?,
            _ => {
                return Err(format!("{word} is not --seed, --hosts, --seconds or --deltas").into());
            }
        }
    }
    let mut demo = Demo::new(seed, hosts, START);
    let mut cluster = Cluster::new();
    run(&mut demo, &mut cluster, seconds);
    let mut out = io::stdout().lock();
    let now = demo.now();
    let snapshot = view::snapshot(&cluster, now);
    serde_json::to_writer_pretty(&mut out, &snapshot)?;
    writeln!(out)?;
    let mut revision = snapshot.revision;
    for _ in 0..deltas {
        run(&mut demo, &mut cluster, 1);
        let delta = view::delta(&cluster, demo.now(), revision);
        revision = delta.revision;
        serde_json::to_writer(&mut out, &delta)?;
        writeln!(out)?;
    }
    Ok(())
}

fn run(demo: &mut Demo, cluster: &mut Cluster, seconds: u64) {
    for _ in 0..seconds * 1000 / STEP {
        let now = demo.now();
        for event in demo.step() {
            cluster.apply(now, event);
        }
    }
}
