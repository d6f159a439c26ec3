//! One daemon, and peers of it.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Everything here is over much sooner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Who runs the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Who runs the test.
    Same,
    /// Nobody.
    Ordinary,
}

impl User {
    /// Both, if the test can become another.
    pub(crate) fn all() -> &'static [User] {
        if rustix::process::geteuid().is_root() {
            &[User::Same, User::Ordinary]
        } else {
            &[User::Same]
        }
    }
}

pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    child: Child,
    notices: UnixDatagram,
    /// Notices that came already.
    heard: Vec<String>,
}

/// A folder in which every user may make files.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("gelato-service-")
        .tempdir_in("/var/tmp")
        .unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// `gelato` with nothing of the machine's settings.
pub(crate) fn gelato(user: User, folder: &Path) -> Command {
    let program = env!("CARGO_BIN_EXE_gelato");
    let mut command = match user {
        User::Same => Command::new(program),
        User::Ordinary => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
            command
        }
    };
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("GELATO_CONFIG", "")
        .env("ICECC_TESTS", "1");
    command
}

impl Daemon {
    /// A daemon that serves, with these options.
    pub(crate) fn start(user: User, options: &[&str]) -> Daemon {
        let mut daemon = Daemon::spawn(folder(), user, options, |_| {});
        daemon.hears("READY=1");
        daemon
    }

    /// A daemon that may not serve yet.
    pub(crate) fn spawn(
        folder: TempDir,
        user: User,
        options: &[&str],
        more: impl FnOnce(&mut Command),
    ) -> Daemon {
        let port = free_port();
        let path = folder.path();
        let notices = UnixDatagram::bind(path.join("notify")).unwrap();
        std::fs::set_permissions(path.join("notify"), PermissionsExt::from_mode(0o777)).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = std::fs::File::create(path.join("stderr")).unwrap();
        let mut command = gelato(user, path);
        command
            .args(["daemon", "-vvv", "-s", "127.0.0.1:1"])
            .args(["-p", &port.to_string()])
            .args(options)
            .env("NOTIFY_SOCKET", path.join("notify"))
            .stdin(Stdio::null())
            .stderr(log);
        for (option, file) in [("-b", "base"), ("--socket", "socket")] {
            if !options.contains(&option) {
                command.arg(option).arg(path.join(file));
            }
        }
        more(&mut command);
        Daemon {
            child: command.spawn().unwrap(),
            port,
            notices,
            heard: Vec::new(),
            folder,
        }
    }

    /// Waits for a notice with this text in it.
    pub(crate) fn hears(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.heard.iter().position(|notice| notice.contains(text)) {
                return self.heard.remove(at);
            }
            let mut buffer = [0; 4096];
            match self.notices.recv(&mut buffer) {
                Ok(length) => self
                    .heard
                    .push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                Err(error) => panic!("no {text}: {error}; {:?}\n{}", self.heard, self.log()),
            }
        }
    }

    /// Whether a notice with this text has come.
    pub(crate) fn has_heard(&mut self, text: &str) -> bool {
        self.notices.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notices.recv(&mut buffer) {
            self.heard
                .push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        self.notices.set_nonblocking(false).unwrap();
        self.heard.iter().any(|notice| notice.contains(text))
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Waits until the log has this text.
    pub(crate) fn logs(&self, text: &str) {
        until(&format!("{text} in the log"), || self.log().contains(text));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut status = None;
        until("its end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Connects from an address of this machine.
    pub(crate) fn connect(&self, from: &str) -> TcpStream {
        connect(from, ([127, 0, 0, 1], self.port).into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn connect(from: &str, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let from: IpAddr = from.parse().unwrap();
    let family = if from.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Exchanges versions; false if the daemon hung up.
pub(crate) fn shakes_hands(mut peer: impl io::Read + io::Write) -> bool {
    let greeting = |version: u8| [version, 0, 0, 0];
    let answered = |peer: &mut dyn io::Read| {
        let mut answer = [0; 4];
        peer.read_exact(&mut answer).is_ok()
    };
    // Ours, theirs; then the agreed one from both.
    peer.write_all(&greeting(44)).is_ok()
        && answered(&mut peer)
        && peer.write_all(&greeting(44)).is_ok()
        && answered(&mut peer)
}

/// Whether the daemon hangs up without a word.
pub(crate) fn is_sent_away(mut peer: TcpStream) -> bool {
    match peer.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// Whether the daemon hangs up some time, whatever it says before.
pub(crate) fn is_left(mut peer: TcpStream) -> bool {
    match peer.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// After the versions something that is no message.
pub(crate) fn breaks_the_protocol(mut peer: TcpStream) -> bool {
    shakes_hands(&peer) && peer.write_all(&[0xff; 64]).is_ok() && is_left(peer)
}

/// Lets children have a socket, under a number that is out of the way.
pub(crate) fn inherit(socket: &impl AsFd) -> OwnedFd {
    let copy = fcntl_dupfd_cloexec(socket, 100).unwrap();
    fcntl_setfd(&copy, FdFlags::empty()).unwrap();
    copy
}
