//! Measures our programs beside the distribution's Icecream in one run: wrapper start-up, what local and remote jobs cost, the
//! submitter's processor time per translation unit, round trips, memory. Needs root; build it with `--release`.
//!
//! Every figure of one kind is taken in turns, so that a disturbance of the machine meets both sides.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gelato_lab::host::Host;
use gelato_lab::record::tally;
use gelato_lab::{
    Cluster, Daemon, DaemonSpec, Flavour, Layout, Programs, Task, build, programs, segment, sources,
};

const PATIENCE: Duration = Duration::from_secs(600);
const STARTS: usize = 300;
const JOBS: usize = 40;
const LOCAL_JOBS: usize = 300;
/// Runs of one command before the next has its turn.
const BATCH: usize = 5;
const IN_TURNS: &str = "--in-turns";
const EMPTY: [&str; 4] = ["-c", "empty.c", "-o", "empty.o"];

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match words.split_first() {
        // Inside a host: see `in_turns`.
        Some((first, rest)) if first == IN_TURNS => take_turns(rest),
        _ => run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gelato-lab-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    if let Some(why) = segment::obstacle() {
        bail!("{why}");
    }
    if cfg!(debug_assertions) {
        println!("(a debug build: only good for seeing that the measurement works)");
    }
    starts()?;
    let alone = Cluster::builder(Layout::Namespaces).empty()?;
    local_jobs(
        "no daemon",
        alone.scheduler_host(),
        alone.scheduler_host().folder(),
    )?;
    alone.shut_down()?;
    let clusters = [Flavour::Gelato, Flavour::Icecream].map(|flavour| (flavour, cluster(flavour)));
    let mut running = Vec::new();
    for (flavour, cluster) in clusters {
        running.push((flavour, cluster?));
    }
    nearly_empty_jobs(&running)?;
    for (flavour, cluster) in &running {
        let folder = cluster.work_folder("local")?;
        local_jobs(
            &format!("{flavour:?}'s daemon"),
            cluster.submitter().host(),
            &folder,
        )?;
    }
    for (flavour, cluster) in &mut running {
        conversation(*flavour, cluster)?;
        waiting_wrapper(*flavour, cluster)?;
    }
    for (flavour, cluster) in &running {
        project(*flavour, cluster, "lua", "lua5.4", &["-C", "src", "posix"])?;
        project(*flavour, cluster, "fmt", "fmtlib", &["-f", "units.mk"])?;
        memory(*flavour, cluster)?;
    }
    for (_, cluster) in running {
        cluster.shut_down()?;
    }
    Ok(())
}

fn cluster(flavour: Flavour) -> Result<Cluster> {
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", flavour))
        .daemon(DaemonSpec::worker("worker", flavour).slots(4))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "empty.c", "int x;\n")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    let submitter = cluster.submitter();
    submitter
        .compile("gcc", &EMPTY, &folder, PATIENCE)?
        .success()?;
    if tally(&submitter.jobs()?).remote != 1 {
        bail!(
            "{flavour:?} does not compile remotely: {:?}",
            submitter.jobs()?
        );
    }
    Ok(cluster)
}

/// From starting a program to its end, for the wrappers and for a program that does nothing.
fn starts() -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("gelato-lab-")
        .tempdir_in("/var/tmp")?;
    let ours = Programs::find(Flavour::Gelato, folder.path())?;
    let theirs = Programs::find(Flavour::Icecream, folder.path())?;
    let source = build::write(folder.path(), "nothing.c", "int main(void) { return 0; }\n")?;
    let nothing = folder.path().join("nothing");
    let linked = Command::new("gcc")
        .args(["-O2", "-static", "-o"])
        .arg(&nothing)
        .arg(&source)
        .status()?;
    if !linked.success() {
        bail!("a static program cannot be linked");
    }
    let contenders: [(&str, &Path, &[&str]); 3] = [
        ("static program that does nothing", &nothing, &[]),
        ("Gelato's icecc --version", &ours.icecc, &["--version"]),
        ("Icecream's icecc --version", &theirs.icecc, &["--version"]),
    ];
    let mut times = contenders.map(|_| Vec::new());
    for _ in 0..STARTS {
        for ((_, program, args), times) in contenders.iter().zip(&mut times) {
            let begin = Instant::now();
            let mut command = Command::new(program);
            command
                .args(*args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn()?.wait()?;
            times.push(begin.elapsed());
        }
    }
    println!("Start-up, {STARTS} times in turn, median and best:");
    for ((name, ..), times) in contenders.iter().zip(&mut times) {
        println!(
            "  {name:<36} {:>8.0} us {:>8.0} us",
            micros(median(times)),
            micros(times[0])
        );
    }
    Ok(())
}

/// What a local job costs beyond the compiler: a link, and a line of 500 words, of a compiler that does nothing.
fn local_jobs(what: &str, host: &Host, folder: &Path) -> Result<()> {
    let ours = Programs::find(Flavour::Gelato, folder)?.icecc;
    let theirs = Programs::find(Flavour::Icecream, folder)?.icecc;
    let compiler = folder.join("nothing/gcc");
    fs::create_dir_all(folder.join("nothing"))?;
    let source = build::write(folder, "nothing.c", "int main(void) { return 0; }\n")?;
    let done = Command::new("gcc")
        .args(["-O2", "-static", "-o"])
        .args([&compiler, &source])
        .status()?;
    if !done.success() {
        bail!("a static program cannot be linked");
    }
    build::write(folder, "x.o", "")?;
    let short: Vec<String> = ["x.o", "-o", "x"].map(str::to_owned).into();
    let mut long = short.clone();
    for number in 0..(500 - short.len()) / 4 {
        long.extend([
            format!("-I/usr/include/folder-{number}"),
            format!("-DNAME_{number}=value"),
            "-Wall".to_owned(),
            format!("-Lfolder/{number}"),
        ]);
    }
    for (name, words) in [("a link", &short), ("500 words", &long)] {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let command = |wrapper: Option<&Path>| -> Vec<OsString> {
            let front = wrapper.into_iter().chain([compiler.as_path()]);
            let front = front.map(Path::as_os_str).chain(words.iter().copied());
            front.map(OsStr::to_owned).collect()
        };
        let contenders = [
            ("bare compiler", command(None)),
            ("Gelato's icecc", command(Some(&ours))),
            ("Icecream's icecc", command(Some(&theirs))),
        ];
        let times = in_turns(host, folder, &contenders.each_ref().map(|(_, words)| words))?;
        println!(
            "Local job ({name}, {what}), {LOCAL_JOBS} times in turn, median wall, mean user + system:"
        );
        let base = times[0];
        for ((name, _), (wall, cpu)) in contenders.iter().zip(&times) {
            println!(
                "  {name:<36} {wall:>8.0} us ({:+.0}), {cpu:>8.0} us ({:+.0})",
                wall - base.0,
                cpu - base.1
            );
        }
    }
    Ok(())
}

/// Runs commands in turns in a host's namespace, without the time it takes to get there: median wall time and mean processor time of
/// each, in microseconds.
fn in_turns(host: &Host, folder: &Path, commands: &[&Vec<OsString>]) -> Result<Vec<(f64, f64)>> {
    // A host has a `/tmp` of its own, where we may come from.
    let own = folder.join("in-turns");
    fs::copy(std::env::current_exe()?, &own)?;
    let mut task = Task::new(own).arg(IN_TURNS).folder(folder);
    for command in commands {
        task = task.args(command.iter().cloned()).arg(IN_TURNS);
    }
    let done = host.run(&task, PATIENCE)?.success()?;
    done.out()
        .lines()
        .map(|line| {
            let (wall, cpu) = line.split_once(' ').context("no two times")?;
            Ok((wall.parse()?, cpu.parse()?))
        })
        .collect()
}

/// The other end of [`in_turns`]: each command is followed by the same word.
fn take_turns(words: &[OsString]) -> Result<()> {
    let commands: Vec<&[OsString]> = words
        .split(|word| word == IN_TURNS)
        .filter(|command| !command.is_empty())
        .collect();
    let mut wall = vec![Vec::new(); commands.len()];
    let mut ticks = vec![0; commands.len()];
    for round in 0..LOCAL_JOBS / BATCH + 1 {
        for (index, command) in commands.iter().enumerate() {
            let before = ticks_of_children()?;
            for _ in 0..BATCH {
                let begin = Instant::now();
                let status = Command::new(&command[0])
                    .args(&command[1..])
                    .stdin(Stdio::null())
                    .status()?;
                if !status.success() {
                    bail!("{:?}: {status}", command[0]);
                }
                // The first round warms up.
                if round > 0 {
                    wall[index].push(begin.elapsed());
                }
            }
            if round > 0 {
                ticks[index] += ticks_of_children()? - before;
            }
        }
    }
    let per_second = rustix::param::clock_ticks_per_second();
    for (wall, ticks) in wall.iter_mut().zip(ticks) {
        let cpu = Duration::from_micros(ticks * 1_000_000 / per_second / LOCAL_JOBS as u64);
        println!("{} {}", micros(median(wall)), micros(cpu));
    }
    Ok(())
}

/// User and system time of all that was waited for, in clock ticks: good enough for the sum of many runs.
fn ticks_of_children() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(") ").context("no name in stat")?;
    let fields = fields.split(' ').skip(13).take(2);
    Ok(fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

fn nearly_empty_jobs(clusters: &[(Flavour, Cluster)]) -> Result<()> {
    let mut plain = Vec::new();
    let mut through: Vec<Vec<Duration>> = clusters.iter().map(|_| Vec::new()).collect();
    for _ in 0..JOBS {
        for ((_, cluster), times) in clusters.iter().zip(&mut through) {
            let folder = cluster.work_folder("work")?;
            let submitter = cluster.submitter();
            let local = Task::new("gcc").args(EMPTY).folder(&folder);
            plain.push(submitter.host().run(&local, PATIENCE)?.success()?.wall);
            times.push(
                submitter
                    .compile("gcc", &EMPTY, &folder, PATIENCE)?
                    .success()?
                    .wall,
            );
        }
    }
    println!(
        "A nearly empty C file, {JOBS} times in turn, median wall time (start of a host's namespace included in all):"
    );
    let base = median(&mut plain);
    println!("  {:<36} {:>8.1} ms", "plain gcc", millis(base));
    for ((flavour, _), times) in clusters.iter().zip(&mut through) {
        let time = median(times);
        let added = millis(time) - millis(base);
        println!(
            "  {:<36} {:>8.1} ms, {added:+.1} ms",
            format!("through {flavour:?}"),
            millis(time)
        );
    }
    Ok(())
}

/// How often the wrapper turns from sending to receiving on one socket: each such turn is a round trip it waited for.
fn conversation(flavour: Flavour, cluster: &Cluster) -> Result<()> {
    if programs::in_path("strace").is_none() {
        println!("Round trips: strace is not installed");
        return Ok(());
    }
    let folder = cluster.work_folder("work")?;
    let submitter = cluster.submitter();
    let trace = folder.join("trace");
    let task = Task::new("strace")
        .args([
            "-f",
            "-yy",
            "-s",
            "0",
            "-e",
            "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg",
            "-o",
        ])
        .arg(&trace)
        .arg(&submitter.programs().icecc)
        .args(["gcc"])
        .args(EMPTY)
        .folder(&folder);
    submitter
        .host()
        .run(&submitter.wrapped(task), PATIENCE)?
        .success()?;
    let text = fs::read_to_string(&trace)?;
    println!(
        "{flavour:?}: {} round trips of the wrapper per job",
        round_trips(&text)
    );
    Ok(())
}

fn round_trips(trace: &str) -> usize {
    let mut sent: std::collections::BTreeMap<&str, bool> = std::collections::BTreeMap::new();
    let mut turns = 0;
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once('(') else {
            continue;
        };
        let Some(socket) = rest
            .split_once('<')
            .and_then(|(_, rest)| rest.split(">").next())
        else {
            continue;
        };
        if !(socket.starts_with("TCP") || socket.starts_with("UNIX")) || line.contains("EAGAIN") {
            continue;
        }
        let call = call.rsplit(' ').next().unwrap_or(call);
        let sends = call.starts_with("write") || call.starts_with("send");
        if sent.insert(socket, sends) == Some(true) && !sends {
            turns += 1;
        }
    }
    turns
}

/// Memory of a wrapper that waits for its result.
fn waiting_wrapper(flavour: Flavour, cluster: &mut Cluster) -> Result<()> {
    let folder = cluster.work_folder("work")?;
    let submitter = cluster.submitter();
    let running = submitter.host().start(&submitter.compile_task(
        "gcc",
        &["-O2", "-c", "slow.c"],
        &folder,
    ))?;
    let held = cluster.hold_job(1, PATIENCE)?;
    let (now, most) = resident(running.pid())?;
    println!("{flavour:?}: a waiting wrapper has {now} KiB, at most {most} KiB");
    held.release();
    running.wait(PATIENCE)?.success()?;
    Ok(())
}

/// Processor time the submitter spends on a project: everything below `make` and the submitter's daemon.
fn project(
    flavour: Flavour,
    cluster: &Cluster,
    name: &str,
    package: &str,
    words: &[&str],
) -> Result<()> {
    let source = match sources::fetch(package) {
        Ok(source) => source,
        Err(error) => {
            println!("{name}: {error:#}");
            return Ok(());
        }
    };
    let folder = cluster.work_folder("projects")?.join(name);
    sources::copy(&source, &folder)?;
    build::write(
        &folder,
        "units.mk",
        "units: src/format.o src/os.o\n%.o: %.cc\n\tg++ -O2 -Iinclude -c -o $@ $<\n",
    )?;
    let submitter = cluster.submitter();
    let task = || {
        Task::new("make")
            .args(["-s", "-j4"])
            .args(words)
            .folder(&folder)
    };

    let (local, _) = processor_time(submitter, &task())?;
    let units = build::files(&folder, ".o")?;
    for path in units.keys() {
        fs::remove_file(folder.join(path))?;
    }
    submitter.forget_jobs()?;
    let (ours, wall) = processor_time(submitter, &submitter.wrapped(task()))?;
    let counts = tally(&submitter.jobs()?);
    let per_unit =
        |time: Duration| millis(time) / f64::from(u32::try_from(units.len()).unwrap_or(u32::MAX));
    println!(
        "{flavour:?}: {name}, {} units, {counts:?}: submitter {:.1} ms per unit (locally {:.1} ms), wall {:.1} s",
        units.len(),
        per_unit(ours),
        per_unit(local),
        wall.as_secs_f64()
    );
    Ok(())
}

/// User and system time of a task with all it starts and of the submitter's daemon, and wall time.
fn processor_time(submitter: &Daemon, task: &Task) -> Result<(Duration, Duration)> {
    let times = submitter.host().folder().join("times");
    let daemon = daemon_time(submitter)?;
    let timed = task.clone().inside(
        "sh",
        &["-c", "\"$@\"; code=$?; times >\"$0\"; exit $code"],
        &times,
    );
    let done = submitter.host().run(&timed, PATIENCE)?.success()?;
    let text = fs::read_to_string(&times)?;
    let children = text.lines().nth(1).context("no times of children")?;
    let sum: f64 = children
        .split_ascii_whitespace()
        .filter_map(minutes_and_seconds)
        .sum();
    let spent = Duration::from_secs_f64(sum) + daemon_time(submitter)?.saturating_sub(daemon);
    Ok((spent, done.wall))
}

/// `1m2.5s` in seconds.
fn minutes_and_seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

/// Processor time of the submitter's daemon so far, without what it starts.
fn daemon_time(submitter: &Daemon) -> Result<Duration> {
    let pid = submitter.process()?.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("no name in stat")?;
    let ticks = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(
        ticks * 1000 / rustix::param::clock_ticks_per_second(),
    ))
}

fn memory(flavour: Flavour, cluster: &Cluster) -> Result<()> {
    let scheduler = cluster.scheduler().context("no scheduler")?;
    let worker = &cluster.workers()[0];
    for (name, pid) in [
        ("scheduler", scheduler.pid()),
        ("submitter's daemon", cluster.submitter().process()?.pid()),
        ("worker's daemon", worker.process()?.pid()),
    ] {
        let (now, most) = resident(pid)?;
        println!("{flavour:?}: {name} has {now} KiB, at most {most} KiB");
    }
    Ok(())
}

/// Resident memory now and its peak, in KiB.
fn resident(pid: i32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("no {name}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_turns_per_socket() {
        let trace = "1 sendto(3<UNIX-STREAM:[1->2]>, \"\"..., 4) = 4\n\
                     1 recvfrom(3<UNIX-STREAM:[1->2]>, \"\"..., 4) = 4\n\
                     1 sendto(5<TCP:[a->b]>, \"\"..., 4) = 4\n\
                     1 read(4</etc/passwd>, \"\"..., 4) = 4\n\
                     1 recvfrom(5<TCP:[a->b]>, 0x1, 4) = -1 EAGAIN (x)\n\
                     1 recvfrom(5<TCP:[a->b]>, \"\"..., 4) = 4\n\
                     1 recvfrom(5<TCP:[a->b]>, \"\"..., 4) = 4\n";
        assert_eq!(round_trips(trace), 2);
    }

    #[test]
    fn reads_times_of_the_shell() {
        assert_eq!(minutes_and_seconds("1m2.5s"), Some(62.5));
    }
}
