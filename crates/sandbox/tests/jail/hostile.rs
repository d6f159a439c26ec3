//! What a job can do to the host, to other jobs and to the toolchain, and what it sees of them; hostile toolchains.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use gelato_sandbox::{Exit, JobSpec, Level, SandboxError, Step};

use super::cases::{
    ALWAYS, BARE, Case, NAMESPACES, NOT_ROOT, NOTHING, ROOT, USER_NAMESPACE, field,
};
use super::fixture::{Fixture, Situation, read_line, run, start};

pub(crate) const CASES: &[Case] = &[
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
    ("descriptors_are_three", NAMESPACES, descriptors_are_three),
    (
        "descriptors_are_three_outside_view",
        BARE,
        descriptors_are_three_outside_view,
    ),
    (
        "toolchain_with_hostile_links",
        USER_NAMESPACE,
        toolchain_with_hostile_links,
    ),
    ("root_is_refused", ROOT, root_is_refused),
    ("other_users_are_refused", NOT_ROOT, other_users_are_refused),
];

fn root_cannot_be_written(fixture: &Fixture) {
    let finished = fixture.run("for f in /new /usr/new /usr/bin/dash /usr/bin/new /lib/new; do echo x >> $f && echo wrote $f; done; chmod 777 /; true");
    assert_eq!(finished.stdout, "", "{finished:?}");
    // Without namespaces changes of modes are only pretended.
    let mode = fs::metadata(&fixture.root).expect("root").mode();
    assert_eq!(mode & 0o7777, 0o755, "{finished:?}");
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

fn own_uid_is(uid: u32) -> bool {
    gelato_sandbox::identity::current().uid == uid
}

/// A descriptor that somebody forgot to mark.
fn leak_descriptor() -> File {
    let leaked = File::open("/dev/null").expect("device");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("inheritable");
    leaked
}
