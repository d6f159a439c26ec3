//! The tests themselves; each runs in a process of its own that already is what the situation says.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use gelato_sandbox::{Exit, Jailer, JobSpec, Level, Limits, SandboxError, Step};

use super::ends::{
    death_of_the_daemon_takes_everything, death_of_the_jail_step_takes_everything,
    drop_takes_everything, end_of_the_spawning_thread_is_harmless,
    init_cannot_be_killed_from_inside, kill_after_the_end_is_harmless, kill_takes_a_forking_job,
    kill_takes_everything, orphans_end_with_the_job,
};
use super::fixture::{Fixture, Situation, feed, run, start};
use super::many::{applies, many_runs_leave_nothing};

/// Name, where it applies, test.
pub(crate) type Case = (&'static str, fn(Situation) -> bool, fn(&Fixture));

pub(crate) const ALWAYS: fn(Situation) -> bool = |_| true;
pub(crate) const NAMESPACES: fn(Situation) -> bool = Situation::namespaces;
pub(crate) const BARE: fn(Situation) -> bool = |situation| !situation.namespaces();
pub(crate) const USER_NAMESPACE: fn(Situation) -> bool =
    |situation| situation.level() == Level::UserNamespace;
pub(crate) const ROOT: fn(Situation) -> bool = Situation::root;
pub(crate) const NOT_ROOT: fn(Situation) -> bool = |situation| !situation.root();

pub(crate) const CASES: &[Case] = &[
    ("exit_codes", ALWAYS, exit_codes),
    ("signals", ALWAYS, signals),
    ("streams_carry_megabytes", ALWAYS, streams_carry_megabytes),
    (
        "signal_state_is_default",
        NAMESPACES,
        signal_state_is_default,
    ),
    ("environment_is_exact", ALWAYS, environment_is_exact),
    (
        "arguments_are_exact_and_long",
        ALWAYS,
        arguments_are_exact_and_long,
    ),
    ("folder_mask_and_niceness", ALWAYS, folder_mask_and_niceness),
    ("limits_are_in_force", ALWAYS, limits_are_in_force),
    ("file_size_limit_strikes", ALWAYS, file_size_limit_strikes),
    ("cpu_limit_strikes", ALWAYS, cpu_limit_strikes),
    (
        "process_limit_strikes",
        USER_NAMESPACE,
        process_limit_strikes,
    ),
    ("usage_is_counted", ALWAYS, usage_is_counted),
    ("kill_takes_everything", ALWAYS, kill_takes_everything),
    ("kill_takes_a_forking_job", ALWAYS, kill_takes_a_forking_job),
    (
        "kill_after_the_end_is_harmless",
        ALWAYS,
        kill_after_the_end_is_harmless,
    ),
    ("drop_takes_everything", ALWAYS, drop_takes_everything),
    ("orphans_end_with_the_job", ALWAYS, orphans_end_with_the_job),
    (
        "death_of_the_jail_step_takes_everything",
        NAMESPACES,
        death_of_the_jail_step_takes_everything,
    ),
    (
        "death_of_the_daemon_takes_everything",
        ALWAYS,
        death_of_the_daemon_takes_everything,
    ),
    (
        "end_of_the_spawning_thread_is_harmless",
        ALWAYS,
        end_of_the_spawning_thread_is_harmless,
    ),
    (
        "init_cannot_be_killed_from_inside",
        NAMESPACES,
        init_cannot_be_killed_from_inside,
    ),
    ("missing_program_is_told", ALWAYS, missing_program_is_told),
    ("missing_folder_is_told", ALWAYS, missing_folder_is_told),
    (
        "missing_jail_executable_is_told",
        ALWAYS,
        missing_jail_executable_is_told,
    ),
    (
        "wrong_jail_executable_is_told",
        ALWAYS,
        wrong_jail_executable_is_told,
    ),
    ("fifty_at_once", ALWAYS, fifty_at_once),
    ("many_runs_leave_nothing", applies, many_runs_leave_nothing),
    (
        "toolchain_without_mount_points",
        USER_NAMESPACE,
        toolchain_without_mount_points,
    ),
    ("probe_finds_the_level", ALWAYS, probe_finds_the_level),
];

fn exit_codes(fixture: &Fixture) {
    for code in [0, 1, 42, 127, 255] {
        assert_eq!(
            fixture.run(&format!("exit {code}")).outcome.exit,
            Exit::Code(code)
        );
    }
}

fn signals(fixture: &Fixture) {
    for signal in [libc::SIGTERM, libc::SIGSEGV, libc::SIGKILL, libc::SIGINT] {
        assert_eq!(
            fixture.run(&format!("kill -{signal} $$")).outcome.exit,
            Exit::Signal(signal)
        );
    }
}

fn streams_carry_megabytes(fixture: &Fixture) {
    let input: Vec<u8> = (0..8u32 << 20)
        .map(|n| b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)
        .collect();
    let finished = feed(&fixture.shell("cat; echo done >&2"), input.clone());
    assert!(
        finished.stdout.as_bytes() == input,
        "{} bytes came back",
        finished.stdout.len()
    );
    assert_eq!(finished.stderr, "done\n");
    assert_eq!(finished.outcome.exit, Exit::Code(0));
    // A program that reads nothing ends all the same.
    assert_eq!(
        feed(&fixture.shell("exit 3"), input).outcome.exit,
        Exit::Code(3)
    );
}

/// Fields of a `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
}

pub(crate) const NOTHING: &str = "0000000000000000";

fn signal_state_is_default(fixture: &Fixture) {
    // SAFETY: no handler is installed; the daemon may have been started by nohup.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    let status = run(&fixture.spec("/usr/bin/cat", &["/proc/self/status"])).stdout;
    assert_eq!(field(&status, "SigIgn"), NOTHING);
    assert_eq!(field(&status, "SigBlk"), NOTHING);
    assert_eq!(field(&status, "SigCgt"), NOTHING);
}

fn environment_is_exact(fixture: &Fixture) {
    let mut spec = fixture.spec("/usr/bin/env", &[]);
    spec.env = vec![
        ("ZULU".into(), "1".into()),
        ("ALPHA".into(), "a=b c\td".into()),
        ("EMPTY".into(), "".into()),
        ("PATH".into(), "/nowhere".into()),
    ];
    assert_eq!(
        run(&spec).stdout,
        "ZULU=1\nALPHA=a=b c\td\nEMPTY=\nPATH=/nowhere\n"
    );
    assert_eq!(
        run(&JobSpec {
            env: Vec::new(),
            ..spec
        })
        .stdout,
        ""
    );
}

fn arguments_are_exact_and_long(fixture: &Fixture) {
    let script = "printf '[%s]' \"$0\" \"$1\" \"$2\"; shift 2; echo $#";
    let many: Vec<String> = (0..5000)
        .map(|n| format!("-DNAME_{n}={}", "x".repeat(100)))
        .collect();
    let mut args = vec!["-c", script, "zero", "", "a b\nc"];
    args.extend(many.iter().map(String::as_str));
    assert_eq!(
        run(&fixture.spec("/usr/bin/sh", &args)).stdout,
        "[zero][][a b\nc]5000\n"
    );
    // More than the kernel takes is an error of this job, not of the machine.
    let too_long = "x".repeat(3 << 20);
    let error = start(&fixture.spec("/usr/bin/true", &[&too_long])).expect_err("too long");
    assert!(
        matches!(&error, SandboxError::Exec { source, .. } if source.raw_os_error() == Some(libc::E2BIG)),
        "{error}"
    );
}

fn folder_mask_and_niceness(fixture: &Fixture) {
    let own = run(&fixture.spec("/usr/bin/nice", &[]))
        .stdout
        .trim()
        .parse::<i32>()
        .expect("number");
    let spec = JobSpec {
        nice: 3,
        cwd: "/usr/bin".into(),
        ..fixture.shell("pwd; umask; nice")
    };
    assert_eq!(
        run(&spec).stdout,
        format!("/usr/bin\n0022\n{}\n", (own + 3).min(19))
    );
}

fn limits_are_in_force(fixture: &Fixture) {
    let mut spec = fixture.shell("ulimit -c; ulimit -v; ulimit -f; ulimit -t; ulimit -H -v");
    spec.limits = Limits {
        memory_bytes: Some(1 << 30),
        job_memory_bytes: None,
        processes: None,
        file_size: Some(10 << 20),
        cpu_seconds: Some(100),
    };
    assert_eq!(
        run(&spec).stdout,
        format!("0\n{}\n{}\n100\n{}\n", 1 << 20, 10 << 11, 1 << 20)
    );
    // Not asked: as the daemon has it.
    let own = Command::new("/bin/sh")
        .args(["-c", "ulimit -v; ulimit -f; ulimit -t"])
        .output()
        .expect("shell");
    assert_eq!(
        fixture
            .run("ulimit -v; ulimit -f; ulimit -t")
            .stdout
            .as_bytes(),
        own.stdout
    );
}

fn file_size_limit_strikes(fixture: &Fixture) {
    let mut spec = fixture.shell("exec cat > $JOB/big");
    spec.limits.file_size = Some(100_000);
    let finished = feed(&spec, vec![b'x'; 1 << 20]);
    assert_eq!(finished.outcome.exit, Exit::Signal(libc::SIGXFSZ));
    assert_eq!(
        fs::metadata(fixture.job.join("big")).expect("file").len(),
        100_000
    );
    fs::remove_file(fixture.job.join("big")).expect("removed again");
}

fn cpu_limit_strikes(fixture: &Fixture) {
    let mut spec = fixture.shell("while :; do :; done");
    spec.limits.cpu_seconds = Some(1);
    assert_eq!(run(&spec).outcome.exit, Exit::Signal(libc::SIGXCPU));
}

fn process_limit_strikes(fixture: &Fixture) {
    let mut spec = fixture.shell("for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all");
    spec.limits.processes = Some(5);
    let finished = run(&spec);
    assert!(
        finished.stderr.contains("Cannot fork") || finished.stderr.contains("fork"),
        "{finished:?}"
    );
    assert_eq!(finished.stdout, "");
    spec.limits.processes = Some(9);
    assert_eq!(run(&spec).stdout, "all\n");
}

fn usage_is_counted(fixture: &Fixture) {
    // The work is done by a grandchild.
    let outcome = fixture
        .run("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true")
        .outcome;
    assert!(outcome.user > Duration::from_millis(5), "{outcome:?}");
    assert!(
        outcome.page_faults > 10 && outcome.max_rss_bytes > 100_000,
        "{outcome:?}"
    );
}

fn missing_program_is_told(fixture: &Fixture) {
    let kind = |program: &str| match start(&fixture.spec(program, &[])) {
        Err(SandboxError::Exec {
            program: named,
            source,
        }) => {
            assert_eq!(named.to_str(), Some(program));
            source.kind()
        }
        other => panic!("{program}: {other:?}"),
    };
    assert_eq!(kind("/usr/bin/no-such-compiler"), io::ErrorKind::NotFound);
    assert_eq!(kind("/usr/bin"), io::ErrorKind::PermissionDenied);
    // On the host only.
    assert_eq!(kind("/usr/bin/gcc"), io::ErrorKind::NotFound);
}

fn missing_folder_is_told(fixture: &Fixture) {
    let step = |spec: &JobSpec| match start(spec) {
        Err(SandboxError::Setup { step, source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::NotFound);
            step
        }
        other => panic!("{other:?}"),
    };
    let good = fixture.spec("/usr/bin/true", &[]);
    assert_eq!(
        step(&JobSpec {
            cwd: "/no/such/folder".into(),
            ..good.clone()
        }),
        Step::WorkingDirectory
    );
    let nowhere = fixture.folder.join("nowhere");
    let expected = if fixture.situation.namespaces() {
        Step::BindRoot
    } else {
        Step::Chroot
    };
    let without_root = JobSpec {
        root: nowhere.clone(),
        ..good.clone()
    };
    match fixture.situation.level() {
        Level::UserNamespace => {
            assert_eq!(step(&without_root), expected);
            assert_eq!(
                step(&JobSpec {
                    tmp: nowhere,
                    ..good
                }),
                Step::MountTmp
            );
        }
        _ => {
            // The job's folder is inside the root and misses with it.
            let both = JobSpec {
                tmp: nowhere.join("tmp/job"),
                ..without_root
            };
            assert!(matches!(step(&both), Step::MountTmp | Step::Chroot));
        }
    }
}

fn missing_jail_executable_is_told(fixture: &Fixture) {
    let jailer = Jailer::new("/no/such/executable", ["__jail"]);
    let error = jailer
        .spawn(&fixture.spec("/usr/bin/true", &[]))
        .expect_err("nothing to start");
    assert!(
        matches!(&error, SandboxError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound),
        "{error}"
    );
}

fn wrong_jail_executable_is_told(fixture: &Fixture) {
    // Something that ends without having understood.
    let jailer = Jailer::new("/usr/bin/true", ["__jail"]);
    let error = jailer
        .spawn(&fixture.spec("/usr/bin/true", &[]))
        .expect_err("no jail step");
    assert!(matches!(error, SandboxError::Lost), "{error}");
}

fn fifty_at_once(fixture: &Fixture) {
    thread::scope(|scope| {
        for thread in 0..10 {
            scope.spawn(move || {
                for round in 0..5 {
                    let number = thread * 5 + round;
                    let finished = feed(
                        &fixture.shell(&format!("cat; exit {number}")),
                        format!("job {number}").into(),
                    );
                    assert_eq!(finished.outcome.exit, Exit::Code(number));
                    assert_eq!(finished.stdout, format!("job {number}"));
                }
            });
        }
    });
}

fn toolchain_without_mount_points(fixture: &Fixture) {
    let lean = fixture.job.join("lean");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&fixture.root)
        .arg(&lean)
        .status()
        .expect("cp");
    assert!(copied.success());
    for name in ["tmp", "dev", "proc"] {
        fs::remove_dir(lean.join(name)).expect("empty folder");
    }
    fs::write(lean.join("marker"), "at the top").expect("file");
    let spec = JobSpec { root: lean.clone(), ..fixture.shell("cat /marker; echo; echo x > /tmp/x; echo x > /dev/null; ls /; (echo x > /new) 2>/dev/null || echo refused; (echo x > /usr/new) 2>/dev/null || echo refused; (echo x > /marker) 2>/dev/null || echo refused; cat /proc/self/comm") };
    let finished = run(&spec);
    let host: BTreeSet<String> = fs::read_dir(&fixture.root)
        .expect("root")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("plain name")
        })
        .chain(["marker".to_owned()])
        .collect();
    let mut listing = String::new();
    for name in host {
        listing.push_str(&name);
        listing.push('\n');
    }
    assert_eq!(
        finished.stdout,
        format!("at the top\n{listing}refused\nrefused\nrefused\ncat\n"),
        "{finished:?}"
    );
    // The toolchain itself was not touched.
    assert!(!lean.join("tmp").exists() && !lean.join("proc").exists());
}

fn probe_finds_the_level(fixture: &Fixture) {
    let level = fixture.situation.level();
    let probe = Jailer::current_exe().probe(Some(level));
    assert_eq!(probe.level, Some(level), "{probe:?}");
    assert!(probe.obstacles.is_empty(), "{probe:?}");
    assert_eq!(
        Jailer::current_exe().probe(None).level,
        Some(Level::UserNamespace)
    );
    if fixture.situation == Situation::Ordinary {
        let probe = Jailer::current_exe().probe(Some(Level::Chroot));
        assert_eq!(probe.level, None);
        let [obstacle] = probe.obstacles.as_slice() else {
            panic!("{probe:?}")
        };
        assert!(
            obstacle.starts_with("no chroot sandbox: failed to change the root directory: "),
            "{obstacle}"
        );
        assert!(obstacle.contains("CAP_SYS_CHROOT"), "{obstacle}");
    }
    let left = fs::read_dir(std::env::temp_dir())
        .expect("temporary folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .any(|name| name.starts_with(&format!("gelato-probe-{}-", std::process::id())));
    assert!(!left, "the rehearsal's folder is still there");
}
