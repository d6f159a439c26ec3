//! The tests themselves; each runs in a process of its own that already is what the situation says.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
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
use super::fixture::{Fixture, Situation, feed, read_line, run, start};

/// Name, where it applies, test.
type Case = (&'static str, fn(Situation) -> bool, fn(&Fixture));

const ALWAYS: fn(Situation) -> bool = |_| true;
const NAMESPACES: fn(Situation) -> bool = Situation::namespaces;
const BARE: fn(Situation) -> bool = |situation| !situation.namespaces();
const USER_NAMESPACE: fn(Situation) -> bool = |situation| situation.level() == Level::UserNamespace;
const ROOT: fn(Situation) -> bool = Situation::root;
const NOT_ROOT: fn(Situation) -> bool = |situation| !situation.root();

pub(crate) const CASES: &[Case] = &[
    ("exit_codes", ALWAYS, exit_codes),
    ("signals", ALWAYS, signals),
    ("streams_carry_megabytes", ALWAYS, streams_carry_megabytes),
    ("root_cannot_be_written", ALWAYS, root_cannot_be_written),
    (
        "own_folder_can_be_written",
        ALWAYS,
        own_folder_can_be_written,
    ),
    ("host_files_are_invisible", ALWAYS, host_files_are_invisible),
    (
        "other_jobs_are_invisible",
        |situation| situation == Situation::RootChroot,
        other_jobs_are_invisible,
    ),
    ("no_network", NAMESPACES, no_network),
    (
        "dangerous_calls_are_refused",
        ALWAYS,
        dangerous_calls_are_refused,
    ),
    (
        "modes_do_not_open_the_root",
        ALWAYS,
        modes_do_not_open_the_root,
    ),
    ("neighbours_cannot_be_read", BARE, neighbours_cannot_be_read),
    ("signals_stay_inside", ALWAYS, signals_stay_inside),
    ("own_processes_only", NAMESPACES, own_processes_only),
    ("devices", NAMESPACES, devices),
    ("fixed_host_name", NAMESPACES, fixed_host_name),
    ("identity_inside", ALWAYS, identity_inside),
    ("no_privileges_inside", NAMESPACES, no_privileges_inside),
    (
        "no_privileges_outside_view",
        BARE,
        no_privileges_outside_view,
    ),
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
    ("descriptors_are_three", NAMESPACES, descriptors_are_three),
    (
        "descriptors_are_three_outside_view",
        BARE,
        descriptors_are_three_outside_view,
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
    (
        "toolchain_without_mount_points",
        USER_NAMESPACE,
        toolchain_without_mount_points,
    ),
    (
        "toolchain_with_hostile_links",
        USER_NAMESPACE,
        toolchain_with_hostile_links,
    ),
    ("root_is_refused", ROOT, root_is_refused),
    ("other_users_are_refused", NOT_ROOT, other_users_are_refused),
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

fn root_cannot_be_written(fixture: &Fixture) {
    let finished = fixture.run("for f in /new /usr/new /usr/bin/dash /usr/bin/new /lib/new; do echo x >> $f && echo wrote $f; done; chmod 777 / && echo chmod; true");
    assert_eq!(finished.stdout, "", "{finished:?}");
    if fixture.situation.namespaces() {
        assert!(
            finished.stderr.contains("Read-only file system"),
            "{finished:?}"
        );
    }
    assert!(!fixture.root.join("new").exists());
}

fn own_folder_can_be_written(fixture: &Fixture) {
    let finished = fixture.run("echo made inside > $JOB/out && cat $JOB/out");
    assert_eq!(finished.stdout, "made inside\n", "{finished:?}");
    let host = fs::read_to_string(fixture.job.join("out")).expect("the same file on the host");
    assert_eq!(host, "made inside\n");
    fs::remove_file(fixture.job.join("out")).expect("removed again");
}

fn host_files_are_invisible(fixture: &Fixture) {
    let folder = fixture.folder.display();
    let finished = fixture.run(&format!(
        "ls {folder} && echo seen; ls /etc/passwd /root /home /work && echo seen; cd ../../../../..; ls"
    ));
    let names: BTreeSet<&str> = finished.stdout.lines().collect();
    let on_host: BTreeSet<String> = fs::read_dir(&fixture.root)
        .expect("root")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("plain name")
        })
        .collect();
    if fixture.situation.namespaces() {
        assert_eq!(
            names,
            on_host.iter().map(String::as_str).collect(),
            "{finished:?}"
        );
    } else {
        // The top folder shows where the folders of other jobs are.
        assert!(names.is_empty(), "{finished:?}");
    }
}

fn other_jobs_are_invisible(fixture: &Fixture) {
    fs::create_dir(fixture.root.join("tmp/neighbour")).expect("neighbour");
    let finished = fixture.run("ls /tmp; echo x > /tmp/file || echo refused");
    assert_eq!(finished.stdout, "job\nrefused\n", "{finished:?}");
}

fn no_network(fixture: &Fixture) {
    let finished = fixture.run("cat /proc/net/dev; cat /proc/net/route /proc/net/if_inet6");
    let interfaces: Vec<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    assert_eq!(interfaces, ["lo"], "{finished:?}");
    // A loopback that is up has an address here.
    assert!(
        !finished.stdout.contains("00000000000000000000000000000001"),
        "{finished:?}"
    );
}

fn dangerous_calls_are_refused(fixture: &Fixture) {
    let finished = run(&fixture.spec("/usr/bin/probe", &["__inside", "calls"]));
    assert_eq!(finished.outcome.exit, Exit::Code(0), "{finished:?}");
    assert!(gelato_sandbox::layers().system_call_filter);
}

fn modes_do_not_open_the_root(fixture: &Fixture) {
    let finished = fixture.run(
        "echo x > /usr/open/x || echo refused; echo x > $JOB/x && mkfifo $JOB/d && chmod 600 $JOB/x && cat $JOB/x",
    );
    assert_eq!(finished.stdout, "refused\nx\n", "{finished:?}");
    assert!(!fixture.root.join("usr/open/x").exists());
}

fn neighbours_cannot_be_read(fixture: &Fixture) {
    // Made by the trial, so of the same user as the job where it is not root.
    let folder = fixture.root.join("tmp/other");
    if fs::create_dir(&folder).is_err() {
        assert!(!fixture.situation.root(), "root can");
        return;
    }
    fs::write(folder.join("secret"), "secret").expect("file");
    let finished = fixture.run("cat /tmp/other/secret; ls /tmp/other; ls /tmp; ls /usr/bin/cat");
    assert_eq!(finished.stdout, "/usr/bin/cat\n", "{finished:?}");
}

fn signals_stay_inside(fixture: &Fixture) {
    let finished = fixture.run(&format!("kill -0 {} && echo reached", std::process::id()));
    assert_eq!(finished.stdout, "", "{finished:?}");
}

fn own_processes_only(fixture: &Fixture) {
    let finished = fixture.run("ls /proc; exit 0");
    let mut pids: Vec<u32> = finished
        .stdout
        .lines()
        .filter_map(|name| name.parse().ok())
        .collect();
    pids.sort_unstable();
    assert_eq!(pids, [1, 2, 3], "init, shell and ls: {finished:?}");
    let own = std::process::id();
    assert_eq!(
        fixture.run(&format!("kill -0 {own}")).outcome.exit,
        Exit::Code(1)
    );
    let finished = fixture.run("echo 1 > /proc/sys/vm/drop_caches && echo wrote; cat /proc/1/environ && echo read; ls /proc/1/fd/ && echo listed; true");
    assert_eq!(finished.stdout, "", "{finished:?}");
}

fn devices(fixture: &Fixture) {
    let finished = fixture.run(
        "echo lost > /dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; head -c 5 /dev/random | wc -c; \
         echo x > /dev/full && echo wrote; echo out > /dev/stdout; ls /dev; echo x > /dev/new && echo wrote",
    );
    assert_eq!(
        finished.stdout,
        "3\n5\n5\nout\nfd\nfull\nnull\nrandom\nstderr\nstdin\nstdout\nurandom\nzero\n",
        "{finished:?}"
    );
}

fn fixed_host_name(fixture: &Fixture) {
    assert_eq!(fixture.run("uname -n").stdout, "gelato\n");
}

fn identity_inside(fixture: &Fixture) {
    let id = match fixture.situation.level() {
        Level::UserNamespace => 1000,
        _ => 65534,
    };
    if fixture.situation == Situation::Ordinary && !own_uid_is(65534) {
        // Supplementary groups of whoever runs the tests show as the overflow group.
        assert_eq!(fixture.run("id -u; id -g").stdout, format!("{id}\n{id}\n"));
        return;
    }
    assert_eq!(
        fixture.run("id -u; id -g; id -G").stdout,
        format!("{id}\n{id}\n{id}\n")
    );
}

fn own_uid_is(uid: u32) -> bool {
    gelato_sandbox::identity::current().uid == uid
}

/// Fields of a `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
}

const NOTHING: &str = "0000000000000000";

fn no_privileges_inside(fixture: &Fixture) {
    let status = fixture.run("cat /proc/self/status").stdout;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), NOTHING, "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    // Init has no more.
    let status = fixture.run("cat /proc/1/status").stdout;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), NOTHING, "{set} of init");
    }
}

/// Where `/proc` is not to be had inside, the host's shows the job.
fn no_privileges_outside_view(fixture: &Fixture) {
    let mut job = start(&fixture.shell("echo $$; exec cat")).expect("job");
    let pid = read_line(&mut File::from(job.stdout.take().expect("not taken yet")));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(&status, set), NOTHING, "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    assert_eq!(field(&status, "SigIgn"), NOTHING);
    assert_eq!(field(&status, "SigBlk"), NOTHING);
    assert_eq!(job.wait().expect("outcome").exit, Exit::Code(0));
}

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

/// A descriptor that somebody forgot to mark.
fn leak_descriptor() -> File {
    let leaked = File::open("/dev/null").expect("device");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("inheritable");
    leaked
}

fn descriptors_are_three(fixture: &Fixture) {
    let _leaked = leak_descriptor();
    let finished = run(&fixture.spec("/usr/bin/ls", &["/proc/self/fd"]));
    assert_eq!(
        finished.stdout, "0\n1\n2\n3\n",
        "the last is the listing's own: {finished:?}"
    );
}

fn descriptors_are_three_outside_view(fixture: &Fixture) {
    let leaked = leak_descriptor();
    let mut job = start(&fixture.shell("echo $$; exec cat")).expect("job");
    let pid = read_line(&mut File::from(job.stdout.take().expect("not taken yet")));
    let mut open: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("own user's process")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_str()
                .expect("number")
                .parse()
                .expect("number")
        })
        .collect();
    open.sort_unstable();
    assert_eq!(open, [0, 1, 2], "leaked {}", leaked.as_raw_fd());
    assert_eq!(job.wait().expect("outcome").exit, Exit::Code(0));
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

fn toolchain_with_hostile_links(fixture: &Fixture) {
    let hostile = fixture.job.join("hostile");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&fixture.root)
        .arg(&hostile)
        .status()
        .expect("cp");
    assert!(copied.success());
    let victim = fixture.job.join("victim");
    fs::create_dir(&victim).expect("folder");
    fs::write(victim.join("secret"), "host").expect("file");
    let replace = |name: &str| {
        fs::remove_dir(hostile.join(name)).expect("empty folder");
        symlink(&victim, hostile.join(name)).expect("link");
    };
    // Not essential: goes without.
    replace("dev");
    replace("proc");
    let spec = JobSpec {
        root: hostile.clone(),
        ..fixture.shell("cat /dev/secret /proc/secret && echo seen; echo x > /tmp/x; echo end")
    };
    assert_eq!(run(&spec).stdout, "end\n");
    // Essential: refused.
    replace("tmp");
    match start(&spec) {
        Err(SandboxError::Setup {
            step: Step::MountTmp,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

fn root_is_refused(fixture: &Fixture) {
    use gelato_sandbox::Identity;
    let good = fixture.spec("/usr/bin/true", &[]);
    for identity in [
        None,
        Some(Identity { uid: 0, gid: 65534 }),
        Some(Identity { uid: 65534, gid: 0 }),
    ] {
        let error = start(&JobSpec {
            identity,
            ..good.clone()
        })
        .expect_err("root");
        assert!(matches!(error, SandboxError::RunsAsRoot), "{error}");
    }
}

fn other_users_are_refused(fixture: &Fixture) {
    use gelato_sandbox::{Identity, identity};
    let good = fixture.spec("/usr/bin/true", &[]);
    let own = identity::current();
    assert_eq!(
        run(&JobSpec {
            identity: Some(own),
            ..good.clone()
        })
        .outcome
        .exit,
        Exit::Code(0)
    );
    let other = Some(Identity {
        uid: own.uid + 1,
        gid: own.gid,
    });
    let error = start(&JobSpec {
        identity: other,
        ..good
    })
    .expect_err("another user");
    assert!(matches!(error, SandboxError::BadSpec(_)), "{error}");
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
