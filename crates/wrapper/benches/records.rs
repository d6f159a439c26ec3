//! What recording costs a build: the same local compilation with somebody who takes records and without, in turns.
//!
//! `cargo bench -p gelato-wrapper --bench records [-- PAIRS]`. Without a record the wrapper becomes the compiler; with one it starts it, waits and tells. The
//! processor time is that of the wrapper and everything below it; whoever takes the records is not counted, and costs some microseconds for each.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const ICECC: &str = env!("CARGO_BIN_EXE_icecc");

const CASES: [(&str, &str, &str); 3] = [
    ("an empty C source", "gcc", "int x;\n"),
    (
        "a small C source",
        "gcc",
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f(void) { return printf(\"%p\", malloc(3)); }\n",
    ),
    (
        "a C++ source",
        "g++",
        "#include <map>\n#include <string>\n#include <iostream>\nint f() { std::map<std::string, int> m; m[\"a\"] = 1; return m.size(); }\n",
    ),
];

#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

fn main() {
    let pairs = std::env::args()
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(40);
    let folder = tempfile::tempdir().expect("a folder");
    let with = folder.path().join("with");
    let mailbox =
        UnixDatagram::bind(gelato_record::socket_beside(&with)).expect("a socket for records");
    thread::spawn(move || {
        let mut buffer = [0; gelato_record::LONGEST];
        while mailbox.recv(&mut buffer).is_ok() {}
    });
    let without = folder.path().join("without");
    for (name, compiler, source) in CASES {
        let file = if compiler == "g++" { "x.cc" } else { "x.c" };
        fs::write(folder.path().join(file), source).expect("a source");
        let run = |socket: &Path| compile(folder.path(), socket, compiler, file);
        run(&with);
        let mut costs = Vec::new();
        for pair in 0..pairs {
            let first = pair % 2 == 0;
            let one = run(if first { &with } else { &without });
            let other = run(if first { &without } else { &with });
            costs.push(if first { (one, other) } else { (other, one) });
        }
        report(name, &costs);
    }
}

fn compile(folder: &Path, socket: &Path, compiler: &str, file: &str) -> Cost {
    let before = cpu_of_children();
    let begin = Instant::now();
    let status = Command::new(ICECC)
        .args([compiler, "-O2", "-c", file, "-o", "x.o"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("GELATO_CONFIG", "")
        .env("GELATO_SOCKET", socket)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()
        .expect("the wrapper runs");
    assert!(status.success());
    Cost {
        wall: begin.elapsed(),
        cpu: cpu_of_children() - before,
    }
}

fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let sum = micros(usage.user_time()) + micros(usage.system_time());
    Duration::from_micros(u64::try_from(sum).expect("a time"))
}

fn report(name: &str, costs: &[(Cost, Cost)]) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
    };
    let of = |part: fn(&Cost) -> Duration| {
        let plain = median(costs.iter().map(|(_, without)| ms(part(without))).collect());
        let more = median(
            costs
                .iter()
                .map(|(with, without)| ms(part(with)) - ms(part(without)))
                .collect(),
        );
        format!(
            "{plain:.2} ms {more:+.3} ms ({:+.2} %)",
            more / plain * 100.0
        )
    };
    println!(
        "{name}: processor time {}, wall time {}; medians of {} pairs",
        of(|cost| cost.cpu),
        of(|cost| cost.wall),
        costs.len()
    );
}
