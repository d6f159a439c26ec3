//! Four builds with a bottleneck made on purpose, through the programs a user starts: the verdict on their records names it.

mod common;

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, build, programs};
use gelato_monitor::verdict::{self, Bound, Facts};
use gelato_record::JobRecord;

const WIDE: u32 = 4;
const NARROW: u32 = 1;
/// One megabyte per second for all together, and a system that takes no more than that for sent.
const SLOW_LINK: &str = "tc qdisc add dev eth0 root tbf rate 8mbit burst 32kb latency 200ms && \
                         echo 4096 16384 32768 > /proc/sys/net/ipv4/tcp_wmem";

#[test]
fn the_verdict_names_the_bottleneck_of_four_builds() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    for program in ["tc", "taskset"] {
        if programs::in_path(program).is_none() {
            gelato_lab::skip(&format!("{program} is not installed"));
            return Ok(());
        }
    }
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(
            DaemonSpec::worker("wide", Flavour::Gelato)
                .slots(WIDE)
                .steady_load(),
        )
        .daemon(
            DaemonSpec::worker("narrow", Flavour::Gelato)
                .slots(NARROW)
                .steady_load(),
        )
        .start()?;
    let both = Facts {
        processors: 2,
        slots: WIDE + NARROW,
    };

    // Toolchains are in place before anything is judged.
    let project = project(&cluster, "first")?;
    sources(&project, 10, "-O0", |number| format!("int unit{number};\n"))?;
    run(&cluster, &project, &[])?;

    let project = self::project(&cluster, "links")?;
    slow_links(&project)?;
    let records = run(&cluster, &project, &[])?;
    judged(&records, both, Bound::Links)?;

    let project = self::project(&cluster, "preprocessing")?;
    expensive_headers(&project)?;
    let records = run(&cluster, &project, &["taskset", "-c", "0"])?;
    judged(
        &records,
        Facts {
            processors: 1,
            ..both
        },
        Bound::SubmitterCpu,
    )?;

    let project = self::project(&cluster, "network")?;
    large_sources(&project)?;
    on_submitter(&cluster, SLOW_LINK)?;
    let records = run(&cluster, &project, &[])?;
    on_submitter(&cluster, "tc qdisc del dev eth0 root")?;
    judged(&records, both, Bound::Network)?;

    // One slot for all that remains.
    cluster.kill_daemon(1);
    let project = self::project(&cluster, "slots")?;
    slow_sources(&project)?;
    let records = run(&cluster, &project, &[])?;
    judged(
        &records,
        Facts {
            slots: NARROW,
            ..both
        },
        Bound::Slots,
    )?;
    cluster.shut_down()
}

fn judged(records: &[JobRecord], facts: Facts, wanted: Bound) -> Result<()> {
    let verdict = verdict::of(records, facts);
    let all: Vec<String> = records.iter().map(JobRecord::to_json).collect();
    ensure!(
        verdict.bound == wanted,
        "{verdict:#?}\nin place of {wanted:?}, from\n{}",
        all.join("\n")
    );
    eprintln!("{wanted:?}: {}", verdict.sentence);
    Ok(())
}

fn project(cluster: &Cluster, name: &str) -> Result<PathBuf> {
    cluster.work_folder(name)
}

/// `gelato build -- PREFIX make`, and the records of its jobs as the daemon has them.
fn run(cluster: &Cluster, project: &Path, prefix: &[&str]) -> Result<Vec<JobRecord>> {
    let submitter = cluster.submitter();
    let name = project.file_name().unwrap_or_default();
    let id = format!("lab-{}", name.to_string_lossy());
    let gelato = submitter.programs().gelato.clone().context("no gelato")?;
    let build = Task::new(&gelato)
        .args(["build", "-j", "8", "--"])
        .args(prefix.iter().copied())
        .args(["make", "-s"])
        .env("GELATO_BUILD_ID", &id)
        .folder(project);
    let done = submitter.host().run(&build, FIRST_JOB)?.success()?;
    let why = Task::new(&gelato).args(["why", "--json", "--build", &id]);
    let told = submitter.host().run(&why, SOON)?.success()?;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    let records: Vec<JobRecord> = serde_json::from_value(told["records"].clone())?;
    let jobs = told["build"]["jobs"].as_u64();
    ensure!(
        jobs == Some(records.len() as u64) && records.iter().all(|record| record.exit == 0),
        "{told:#}\n{}",
        done.err()
    );
    Ok(records)
}

/// `unitN.c` by number, and a makefile.
fn sources(
    project: &Path,
    count: usize,
    flags: &str,
    text: impl Fn(usize) -> String,
) -> Result<()> {
    let mut objects = String::new();
    for number in 0..count {
        build::write(project, &format!("unit{number}.c"), &text(number))?;
        let _ = write!(objects, " unit{number}.o");
    }
    let makefile = format!("all:{objects}\n%.o: %.c\n\tgcc {flags} -c $< -o $@\n");
    build::write(project, "Makefile", &makefile)?;
    Ok(())
}

/// Preprocessing takes long and leaves next to nothing to compile.
fn expensive_headers(project: &Path) -> Result<()> {
    let mut header = String::new();
    for number in 0..150_000 {
        let _ = write!(header, "#if (__LINE__ * 3 + {number}) % 7 == 8\n#endif\n");
    }
    build::write(project, "header.h", &header)?;
    sources(project, 8, "-O0", |number| {
        format!("#include \"header.h\"\nint unit{number};\n")
    })
}

/// Hundreds of kilobytes that no compressor makes smaller than half, and that leave no trace in the object.
fn large_sources(project: &Path) -> Result<()> {
    sources(project, 6, "-O1", |number| {
        let mut state = 88_172_645_463_325_252_u64 + number as u64;
        let mut text = format!("int unit{number};\n");
        for line in 0..10_000 {
            let _ = write!(text, "static const char text{line}[] = \"");
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let _ = write!(text, "{state:016x}");
            }
            text.push_str("\";\n");
        }
        text
    })
}

fn slow_sources(project: &Path) -> Result<()> {
    let all = build::slow_source();
    let some: String = all.split_inclusive("\n}\n").take(15).collect();
    sources(project, 6, "-O1", |number| {
        format!("{some}int unit{number};\n")
    })
}

/// Three programs, each linked when the one before it is there, by a linker that takes its time.
fn slow_links(project: &Path) -> Result<()> {
    let linker = build::write(
        project,
        "tools/ld",
        "#!/bin/sh\nsleep 0.7\nexec /usr/bin/ld \"$@\"\n",
    )?;
    fs::set_permissions(linker, Permissions::from_mode(0o755))?;
    build::write(project, "main.c", "int main(void) { return 0; }\n")?;
    let link = "gcc -Btools/ main.o -o $@";
    let makefile = format!(
        "all: third\nmain.o: main.c\n\tgcc -c main.c\nfirst: main.o\n\t{link}\nsecond: first\n\t{link}\nthird: second\n\t{link}\n"
    );
    build::write(project, "Makefile", &makefile)?;
    Ok(())
}

fn on_submitter(cluster: &Cluster, script: &str) -> Result<()> {
    let task = Task::new("sh").args(["-c", script]);
    cluster.submitter().host().run(&task, SOON)?.success()?;
    Ok(())
}
