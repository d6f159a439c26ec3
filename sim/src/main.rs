//! `gelato-sim [SEED | FIRST-LAST] [-v]`: plays the standard scenarios and prints how they went; with `-v`, on what grounds our jobs went
//! where they went; with many seeds, how far the ratios spread.

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
                let seeds = word.split_once('-').map(|(a, b)| (a.parse(), b.parse()));
                if let Some((Ok(first), Ok(last))) = seeds {
                    print!("{}", report::table_of_many(first..=last));
                    return ExitCode::SUCCESS;
                }
                eprintln!("usage: gelato-sim [SEED | FIRST-LAST] [-v]");
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
