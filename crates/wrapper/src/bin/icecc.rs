//! `icecc`, and whatever other name it is called by.

use std::process::ExitCode;

fn main() -> ExitCode {
    gelato_wrapper::run(std::env::args_os().collect())
}
