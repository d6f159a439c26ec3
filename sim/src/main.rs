//! `gelato-sim [SEED] [-v]`: plays the standard scenarios and prints how they went; with `-v`, on what grounds our jobs went
//! where they went.

use std::process::ExitCode;

use gelato_scheduler_core::Algorithm;
use gelato_sim::{report, run, scenario};

fn main() -> ExitCode {
    let mut seed = 1;
    let mut grounds = false;
    for word in std::env::args().skip(1) {
        match (word.as_str(), word.parse()) {
            ("-v", _) => grounds = true,
            (_, Ok(number)) => seed = number,
            _ => {
                eprintln!("usage: gelato-sim [SEED] [-v]");
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
