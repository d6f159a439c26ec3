//! What a probe is told about: files, processes, sockets and shared memory that it is to reach.
//!
//! A process of the job's own user stands by with a secret in its memory, its files and its environment. It is everybody's victim.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gelato_sandbox::identity;
use rustix::process::{Pid, Signal, kill_process};

use super::bait::Bait;
use super::situations::NOBODY;

/// Everything probes need to know.
pub(crate) struct World {
    pub(crate) bait: Bait,
    /// First words of the secret file.
    pub(crate) token: String,
    /// A value in the environment of the daemon and the victim.
    pub(crate) variable: String,
    /// Stands in the command line of every process of a probe.
    pub(crate) mark: String,
    /// Processes of others: the victim, and a job if there is one.
    pub(crate) pids: Vec<i32>,
    pub(crate) port: u16,
    pub(crate) abstract_name: String,
    /// The daemon's local socket.
    pub(crate) socket: String,
    /// Of shared memory.
    pub(crate) key: u32,
    /// Where folders of jobs may lie.
    pub(crate) neighbours: Vec<String>,
    /// Set-user-id programs of root.
    pub(crate) set_user_id: Vec<String>,
    /// Files to plant on the host.
    pub(crate) plants: Vec<String>,
    /// Whether something is expected to stop the probes.
    pub(crate) confined: bool,
    victim: Child,
    /// Kept open to be reached.
    _open: (TcpListener, UdpSocket, [UnixListener; 2]),
}

impl World {
    /// `name` tells situations apart that are tried at the same time.
    pub(crate) fn make(bait: Bait, name: &str, confined: bool) -> World {
        let token = fs::read_to_string(bait.path("secret")).expect("secret");
        let token = token.trim().to_owned();
        let mark = format!("{name}-{}", std::process::id());
        let key = 0x6e1a_0000 | (std::process::id() & 0xffff);
        let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = tcp.local_addr().expect("bound").port();
        let udp = UdpSocket::bind(("127.0.0.1", port)).expect("loopback");
        let abstract_name = format!("gelato-escape-{mark}");
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("short name");
        let unix = UnixListener::bind_addr(&address).expect("abstract socket");
        let folder = bait.path("drop").join(&mark);
        fs::create_dir(&folder).expect("folder of the victim");
        super::bait::mode(&folder, 0o777).expect("mode");
        // In place of a daemon's, where there is none.
        let path = folder.join("socket");
        let standing = UnixListener::bind(&path).expect("socket");
        super::bait::mode(&path, 0o777).expect("mode");
        let variable = std::env::var(VARIABLE).expect("set by the parent");
        let victim = ordinary(&bait.hostile())
            .args([
                "-probe=hold".to_owned(),
                format!("-with={key}"),
                format!("-with={token}"),
            ])
            .current_dir(&folder)
            .spawn()
            .expect("victim");
        await_file(&folder.join("neighbour"));
        let plants =
            ["/tmp", "/var/tmp", "/dev/shm"].map(|folder| format!("{folder}/gelato-escape-{mark}"));
        let plants = plants
            .into_iter()
            .chain([format!("{}/planted", folder.display())])
            .collect();
        World {
            token,
            variable,
            pids: vec![i32::try_from(victim.id()).expect("small")],
            port,
            abstract_name,
            socket: path.to_str().expect("plain name").to_owned(),
            key,
            neighbours: vec![bait.text("drop"), "/tmp".to_owned()],
            set_user_id: vec![bait.text("root")],
            plants,
            confined,
            mark,
            victim,
            _open: (tcp, udp, [unix, standing]),
            bait,
        }
    }

    pub(crate) fn secret(&self) -> String {
        self.bait.text("secret")
    }

    /// The files of this list that are there; they are removed.
    pub(crate) fn planted(&self) -> Vec<String> {
        let there = |plant: &&String| fs::remove_file(plant).is_ok();
        self.plants.iter().filter(there).cloned().collect()
    }

    /// Whether what everybody attacks is still there.
    pub(crate) fn victim_lives(&mut self) -> bool {
        matches!(self.victim.try_wait(), Ok(None))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = ordinary(&self.bait.hostile())
            .args(["-probe=forget".to_owned(), format!("-with={}", self.key)])
            .status();
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        self.planted();
    }
}

/// The variable of the daemon's environment that nobody may see.
pub(crate) const VARIABLE: &str = "GELATO_ESCAPE_SECRET";

/// A program under the user of the jobs, without a sandbox.
pub(crate) fn ordinary(program: &Path) -> Command {
    let mut command = Command::new(program);
    if identity::is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    command
}

/// Nothing tells when another process has made a file, so this looks again and again.
pub(crate) fn await_file(path: &Path) {
    await_that(
        || {
            fs::metadata(path)
                .is_ok_and(|file| file.len() > 0)
                .then_some(())
        },
        path,
    );
}

pub(crate) fn await_that<T>(look: impl Fn() -> Option<T>, what: &Path) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "waited in vain for {}",
            what.display()
        );
        sleep(Duration::from_millis(2));
    }
}

/// Processes with these words in their command lines.
pub(crate) fn processes(words: &[&str]) -> Vec<i32> {
    let numbers = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let line = fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        words.iter().all(|word| line.contains(word))
    };
    numbers.filter(has).collect()
}

/// Ends processes a probe without a sandbox has left.
pub(crate) fn end(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
