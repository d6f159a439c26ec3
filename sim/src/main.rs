//! `gelato-sim [SEED | FIRST-LAST] [-v]`, `gelato-sim --replay FILE`: plays the standard scenarios and prints how they went; with `-v`, on what grounds our jobs went
//! where they went; with many seeds, how far the ratios spread. With `--replay`, a trace of a real scheduler (`gelato scheduler --trace FILE`).

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use gelato_scheduler_core::Algorithm;
use gelato_scheduler_core::trace::Trace;
use gelato_sim::{replay, report, run, scenario};

/// Plays a trace, and what each algorithm would have made of it.
fn replay(path: &str) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let file = File::open(path).map_err(|error| told(&error))?;
    let trace = Trace::open(BufReader::new(file)).map_err(|error| told(&error))?;
    let replay = replay::play(trace).map_err(|error| told(&error))?;
    Ok(report::replayed(&replay))
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if let (Some("--replay"), Some(path), None) =
        (words.next().as_deref(), words.next(), words.next())
    {
        return match replay(&path) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("gelato-sim: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let mut seed = 1;
    let mut grounds = false;
    for word in std::env::args().skip(1) {
        match (word.as_str(), word.parse()) {
            ("-v", _) => grounds = true,
            (_, Ok(number)) => seed = number,
            _ => {
                let seeds = word.split_once('-').map(|(a, b)| (a.parse(), b.parse()));
                if let Some((Ok(first), Ok(last))) = seeds {
                    print!("{}", report::table_of_many(first..=last));
                    return ExitCode::SUCCESS;
                }
                eprintln!("usage: gelato-sim [SEED | FIRST-LAST] [-v] | --replay FILE");
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{}", report::table(seed));
    if grounds {
        for scenario in scenario::all(seed) {
            println!("{}:", scenario.name);
            for (why, count) in run(&scenario, Algorithm::Finish).grounds {
                println!("  {count:6} {why}");
            }
        }
    }
    ExitCode::SUCCESS
}
