//! Sockets from a service manager, what it hears, logs, and one daemon after another.

use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::daemon::{Daemon, User, connect, folder, inherit, shakes_hands, until};

/// Turns a command into one that gets sockets, as a service manager gives them.
fn with_sockets(command: &mut Command, sockets: &[OwnedFd]) {
    let mut words: Vec<_> = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(ToOwned::to_owned));
    let moved: String = sockets
        .iter()
        .enumerate()
        .map(|(index, socket)| {
            let number = socket.as_raw_fd();
            format!("exec {}<&{number} {number}<&-; ", index + 3)
        })
        .collect();
    let script = format!(
        "{moved} export LISTEN_FDS={} LISTEN_PID=$$; exec \"$@\"",
        sockets.len()
    );
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).arg("bash").args(words);
    shell.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    *command = shell;
}

#[test]
fn a_service_manager_opens_the_sockets_and_hears_how_we_are() {
    for &user in User::all() {
        let folder = folder();
        let path = folder.path().join("manager");
        let unix = UnixListener::bind(&path).unwrap();
        let only_me = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&path, only_me).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let inherited = [inherit(&unix), inherit(&tcp)];
        let log = folder.path().join("stderr");
        // Connections that were made before there was a daemon are served, too.
        let early = UnixStream::connect(&path).unwrap();
        let mut daemon = Daemon::spawn(folder, user, &[], |command| {
            with_sockets(command, &inherited);
            let file = std::fs::File::options().append(true).open(&log).unwrap();
            let about = file.metadata().unwrap();
            command
                .env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()))
                .env("WATCHDOG_USEC", "180000000")
                .stderr(file);
        });
        daemon.hears("READY=1");
        let status = daemon.hears("STATUS=");
        assert!(status.contains("slots in use"), "{status}");
        assert!(!status.contains('\n'));
        daemon.hears("WATCHDOG=1");
        assert!(shakes_hands(early));
        assert!(shakes_hands(UnixStream::connect(&path).unwrap()));
        let records = std::fs::metadata(path.with_extension("records")).unwrap();
        assert_eq!(records.mode() & 0o777, 0o700, "for the same people");
        let address = tcp.local_addr().unwrap();
        assert!(shakes_hands(connect("127.0.0.1", address)));
        assert!(
            !daemon.folder.path().join("socket").exists(),
            "no other socket is opened"
        );

        daemon.signal(Signal::HUP);
        assert!(daemon.hears("RELOADING=1").contains("MONOTONIC_USEC="));
        daemon.hears("READY=1");
        let status = daemon.stop();
        daemon.hears("STOPPING=1");
        assert!(status.success());
        let log = daemon.log();
        assert!(log.contains("<6>ICECREAM daemon"), "{log}");
        assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
        // They belong to the service manager, and the next daemon gets them.
        let _waiting = UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn the_log_is_opened_anew_whenever_it_is_asked_for() {
    for &user in User::all() {
        let folder = folder();
        let log = folder.path().join("log");
        let file = log.to_str().unwrap().to_owned();
        let mut daemon = Daemon::spawn(folder, user, &["-l", &file], |_| {});
        daemon.hears("READY=1");
        let busy = daemon.connect("127.0.0.1");
        let old = log.with_extension("1");
        std::fs::rename(&log, &old).unwrap();
        daemon.signal(Signal::HUP);
        daemon.hears("RELOADING=1");
        daemon.hears("READY=1");
        until("the new log", || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.contains("reopened the log"))
        });
        let text = std::fs::read_to_string(&old).unwrap();
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with('[') && first.contains("ICECREAM daemon"),
            "{first}"
        );
        assert!(!text.contains("reopened"));
        drop(busy);
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_daemon_waits_for_the_one_before_it() {
    let folder = folder();
    let base = folder.path().join("base");
    std::fs::create_dir(&base).unwrap();
    // As a daemon holds it that still finishes its jobs and takes no more connections.
    let lock = std::fs::File::create(base.join("lock")).unwrap();
    lock.set_permissions(PermissionsExt::from_mode(0o666))
        .unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut daemon = Daemon::spawn(folder, User::Same, &[], |_| {});
    daemon.logs("waiting for the daemon before this one");
    assert!(!daemon.has_heard("READY=1"));
    drop(lock);
    daemon.hears("READY=1");
    assert!(shakes_hands(daemon.connect("127.0.0.1")));
}

#[test]
fn a_second_daemon_of_the_same_folder_says_so_at_once() {
    let first = Daemon::start(User::Same, &[]);
    let base = first.folder.path().join("base");
    let socket = first.folder.path().join("socket");
    let options = [
        "-b",
        base.to_str().unwrap(),
        "--socket",
        socket.to_str().unwrap(),
    ];
    let second = Daemon::spawn(folder(), User::Same, &options, |_| {});
    second.logs("in use by another daemon");
    assert!(shakes_hands(first.connect("127.0.0.1")));
}

#[test]
fn stopping_leaves_no_connection_hanging() {
    for &user in User::all() {
        let mut daemon = Daemon::start(user, &[]);
        let waiting = daemon.connect("127.0.0.2");
        assert!(shakes_hands(&waiting));
        let local = UnixStream::connect(daemon.folder.path().join("socket")).unwrap();
        assert!(shakes_hands(&local));
        assert!(daemon.stop().success());
        for peer in [
            crate::daemon::is_sent_away(waiting),
            std::io::Read::read(&mut &local, &mut [0]).unwrap_or(0) == 0,
        ] {
            assert!(peer);
        }
        daemon.hears("STOPPING=1");
        assert!(!daemon.has_heard("READY=1"));
    }
}

#[test]
fn sockets_of_others_are_left_alone() {
    // The variables of another process, as a program started by a service sees them.
    let mut daemon = Daemon::spawn(folder(), User::Same, &[], |command| {
        command.env("LISTEN_FDS", "2").env("LISTEN_PID", "1");
    });
    daemon.hears("READY=1");
    assert!(shakes_hands(daemon.connect("127.0.0.1")));
}
