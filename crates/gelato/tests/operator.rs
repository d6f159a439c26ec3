//! What an operator types, against real daemons and schedulers: status, pause, resume, drain, and a doctor that has to find
//! the fault that was put in.
//!
//! Each test has its own network name, ports and folder, all on the loopback interface.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

mod common;

use common::{free_ports, until};

const GELATO: &str = env!("CARGO_BIN_EXE_gelato");

/// A process that ends with the test.
struct Running(Child);

impl Running {
    /// Ends without being able to tidy up.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One network.
struct Field {
    folder: tempfile::TempDir,
    /// Of the scheduler; the next one is its text port.
    port: u16,
}

impl Field {
    fn new() -> Field {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // A daemon that was started as root changes its user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let port = free_ports();
        Field { folder, port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Our program with nothing of the machine's own settings.
    fn gelato(&self, args: &[&str]) -> Command {
        let mut command = Command::new(GELATO);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("GELATO_CONFIG", "")
            .env("ICECC_TESTS", "1")
            .env("ICECC_TEST_SCHEDULER_PORTS", format!("{0}:{0}", self.port))
            .env("ICECC_TEST_SOCKET", self.path("socket"))
            .env("STATE_DIRECTORY", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    fn start(&self, mut command: Command) -> Running {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Running(child.unwrap())
    }

    fn scheduler(&self, netname: &str, change: impl FnOnce(&mut Command)) -> Running {
        let port = self.port.to_string();
        let mut command = self.gelato(&["scheduler", "-p", &port, "-n", netname]);
        change(&mut command);
        let running = self.start(command);
        until("a scheduler", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port + 1)).ok()
        });
        running
    }

    /// A daemon of this name; its socket has the same. The one called `socket` is this machine's.
    fn daemon(&self, name: &str, more: &[&str]) -> Running {
        let port = free_ports().to_string();
        let base = self.path(&format!("{name}-base"));
        let socket = self.path(name);
        let scheduler = format!("127.0.0.1:{}", self.port);
        let mut args = vec!["daemon", "-N", name, "-p", &port, "-m", "2"];
        args.extend(["-b", base.to_str().unwrap()]);
        args.extend(["--socket", socket.to_str().unwrap()]);
        if !more.contains(&"-s") && !more.contains(&"-n") {
            args.extend(["-s", &scheduler, "-n", "field"]);
        }
        args.extend(more);
        let running = self.start(self.gelato(&args));
        until("a daemon", || {
            self.status(name).ok().filter(|_| socket.exists())
        });
        running
    }

    fn connected(&self, name: &str) {
        until("a connection to the scheduler", || {
            let status = self.status(name).ok()?;
            (status["scheduler"]["connected"] == true).then_some(())
        });
    }

    fn status(&self, name: &str) -> Result<Value, Output> {
        let socket = self.path(name);
        let args = ["status", "--json", "--socket", socket.to_str().unwrap()];
        let output = self.gelato(&args).output().unwrap();
        if !output.status.success() {
            return Err(output);
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn say(&self, name: &str, words: &[&str]) -> Output {
        let socket = self.path(name);
        let args = [words, &["--socket", socket.to_str().unwrap()]].concat();
        self.gelato(&args).output().unwrap()
    }

    /// What the scheduler's text port answers.
    fn control(&self, command: &str) -> String {
        let mut port = std::net::TcpStream::connect(("127.0.0.1", self.port + 1)).unwrap();
        port.write_all(format!("{command}\nquit\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        port.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Status, and what stands in findings that are not `ok`, as `check state: text | fix`.
    fn doctor(&self) -> (Option<i32>, Vec<String>) {
        self.doctor_with(|_| {})
    }

    fn doctor_with(&self, change: impl FnOnce(&mut Command)) -> (Option<i32>, Vec<String>) {
        let mut command = self.gelato(&["doctor", "--json"]);
        change(&mut command);
        judged(&command.output().unwrap())
    }
}

fn judged(output: &Output) -> (Option<i32>, Vec<String>) {
    let answer: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap_or("").to_owned();
    let findings = answer["findings"].as_array().unwrap();
    let lines = findings
        .iter()
        .filter(|finding| finding["state"] != "ok")
        .map(|finding| {
            let (check, state) = (word(finding, "check"), word(finding, "state"));
            let (text, fix) = (word(finding, "text"), word(finding, "fix"));
            assert!(!fix.is_empty(), "{check} says no remedy");
            format!("{check} {state}: {text} | {fix}")
        })
        .collect();
    (output.status.code(), lines)
}

/// The only line that begins so.
fn line<'a>(lines: &'a [String], beginning: &str) -> &'a str {
    let found: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with(beginning))
        .collect();
    match found[..] {
        [line] => line,
        _ => panic!("not one line {beginning:?} in {lines:#?}"),
    }
}

fn problems(lines: &[String]) -> Vec<&str> {
    let problems = lines.iter().filter(|line| line.contains(" problem: "));
    problems.map(String::as_str).collect()
}

#[test]
fn a_pause_is_seen_everywhere_and_survives_a_restart() {
    let field = Field::new();
    let _scheduler = field.scheduler("field", |_| {});
    let _own = field.daemon("socket", &[]);
    let other = field.daemon("other", &[]);
    field.connected("socket");
    field.connected("other");
    until("a healthy network", || {
        let (status, lines) = field.doctor();
        (status == Some(0) && problems(&lines).is_empty()).then_some(())
    });

    let told = field.say("other", &["pause", "--for", "2h", "--why", "exam"]);
    assert!(told.status.success(), "{told:?}");
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("paused (exam) until"), "{text}");
    let status = field.status("other").unwrap();
    assert_eq!(status["mode"], "paused");
    assert_eq!(status["accepting"], false);
    // All others are paused, and their reason has reached this machine over the scheduler.
    let seen = until("the doctor notices", || {
        let (status, lines) = field.doctor();
        let problems = problems(&lines).join("\n");
        (status == Some(1) && problems.contains("says: paused (exam)")).then_some(problems)
    });
    assert!(seen.starts_with("workers problem: none of the 1 other machines takes jobs: other"));

    other.kill();
    let _other = field.daemon("other", &[]);
    assert_eq!(field.status("other").unwrap()["mode"], "paused");
    assert!(field.say("other", &["resume"]).status.success());
    let drained = field.say("other", &["drain", "--wait"]);
    assert!(drained.status.success(), "{drained:?}");
    assert_eq!(field.status("other").unwrap()["mode"], "draining");
}

#[test]
fn status_names_the_sandbox_and_fits_a_terminal() {
    let field = Field::new();
    let _daemon = field.daemon("socket", &[]);
    let status = field.status("socket").unwrap();
    let level = status["sandbox"]["level"].as_str().unwrap_or("");
    let obstacles = status["sandbox"]["obstacles"].as_array().unwrap();
    assert!(!level.is_empty() || !obstacles.is_empty());
    let shown = field.say("socket", &["status"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("Sandbox"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn administrators_may_keep_the_others_out() {
    // Only root can become somebody else.
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root to be two users");
        return;
    }
    let field = Field::new();
    let _daemon = field.daemon("socket", &["--operators", "administrators"]);
    // Nobody else may be able to reach the program where it was built.
    let copy = field.path("gelato");
    fs::copy(GELATO, &copy).unwrap();
    let socket = field.path("socket");
    let as_nobody = |words: &[&str]| {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&copy)
            .args(words)
            .arg("--socket")
            .arg(&socket)
            .env("GELATO_CONFIG", "")
            .output()
            .unwrap()
    };
    let refused = as_nobody(&["pause"]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("daemon.operators"), "{text}");
    assert!(
        as_nobody(&["status"]).status.success(),
        "everybody may look"
    );
    assert!(field.say("socket", &["pause"]).status.success());
}

#[test]
fn doctor_tells_no_daemon_from_a_stale_socket() {
    let field = Field::new();
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    assert!(line(&lines, "daemon problem").contains("no daemon answers"));

    field.daemon("socket", &[]).kill();
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    let found = line(&lines, "daemon problem");
    assert!(found.contains("nobody is behind the socket"), "{found}");
}

#[test]
fn doctor_finds_that_there_is_no_scheduler() {
    let field = Field::new();
    let _daemon = field.daemon("socket", &[]);
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    let found = line(&lines, "scheduler problem");
    assert!(found.contains("gelato scheduler"), "{found}");
}

#[test]
fn doctor_finds_a_wrong_network_name() {
    let field = Field::new();
    let _scheduler = field.scheduler("theirs", |_| {});
    let _daemon = field.daemon("socket", &["-n", "ours"]);
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    let found = line(&lines, "netname problem");
    assert!(
        found.contains("no scheduler of network ours answers") && found.contains("theirs"),
        "{found}"
    );
}

#[test]
fn doctor_finds_clocks_apart() {
    let field = Field::new();
    let _scheduler = field.scheduler("field", |command| {
        command.env("ICECC_FAKE_STARTTIME", "1");
    });
    let _daemon = field.daemon("socket", &[]);
    field.connected("socket");
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    let found = line(&lines, "clock problem");
    assert!(found.contains("s behind this machine's"), "{found}");
}

#[test]
fn doctor_finds_a_toolchain_that_lost_its_assembler() {
    let field = Field::new();
    let toolchain = field.path("socket-base/toolchains/x86_64/abc");
    let assembler = toolchain.join("root/usr/bin/as");
    fs::create_dir_all(assembler.parent().unwrap()).unwrap();
    fs::write(&assembler, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&assembler, fs::Permissions::from_mode(0o755)).unwrap();
    let meta = "gelato toolchain 1\ndurable 1\nboot x\nbytes 10\nentries 4\n";
    fs::write(toolchain.join("meta"), meta).unwrap();
    let _daemon = field.daemon("socket", &[]);
    assert_eq!(field.status("socket").unwrap()["toolchains"]["count"], 1);
    let (_, lines) = field.doctor();
    assert!(
        !lines.iter().any(|line| line.starts_with("toolchains")),
        "{lines:?}"
    );
    fs::remove_file(&assembler).unwrap();
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    let found = line(&lines, "toolchains problem");
    assert!(found.contains("usr/bin/as is missing"), "{found}");
}

#[test]
fn doctor_sees_whether_compilers_lead_to_the_wrapper() {
    let field = Field::new();
    let links = field.path("links");
    fs::create_dir(&links).unwrap();
    for name in ["cc", "c++", "gcc", "g++", "clang", "clang++"] {
        symlink(GELATO, links.join(name)).unwrap();
    }
    let with_path = |path: String| {
        let doctor = field.doctor_with(|command| {
            command.env("PATH", path);
        });
        doctor.1
    };
    let links = links.display();
    let bare = with_path(format!("/usr/bin:{links}"));
    assert!(line(&bare, "wrapper note").contains(&format!("put {links} first in PATH")));
    let masked = with_path(format!("{links}:/usr/bin"));
    assert!(
        !masked.iter().any(|line| line.starts_with("wrapper")),
        "{masked:?}"
    );
}

/// In namespaces of the test's own, after these commands of a shell.
fn set_apart(command: &Command, unshare: &[&str], commands: &str) -> Command {
    let mut apart = Command::new("unshare");
    apart.args(unshare).args(["sh", "-c"]);
    apart.arg(format!("{commands}; exec \"$@\""));
    apart.arg("sh").arg(command.get_program());
    apart.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            apart.env(name, value);
        }
    }
    apart.env("PATH", "/usr/sbin:/usr/bin:/bin");
    apart
}

fn can(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn doctor_finds_forbidden_user_namespaces() {
    let unshare = ["-U", "--map-user=1000", "--keep-caps"];
    if !can("unshare", &["-U", "--map-user=1000", "--keep-caps", "true"]) {
        eprintln!("SKIPPED: no user namespaces to forbid them in");
        return;
    }
    let field = Field::new();
    let doctor = field.gelato(&["doctor", "--json"]);
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces";
    let output = set_apart(&doctor, &unshare, forbid).output().unwrap();
    let (status, lines) = judged(&output);
    assert_eq!(status, Some(1));
    let found = line(&lines, "namespaces problem");
    assert!(
        found.contains("sysctl -w user.max_user_namespaces"),
        "{found}"
    );
}

#[test]
fn doctor_finds_a_full_disk() {
    if !rustix::process::geteuid().is_root() || !can("unshare", &["-m", "true"]) {
        eprintln!("SKIPPED: a small file system needs root");
        return;
    }
    let field = Field::new();
    let base = field.path("small");
    fs::create_dir(&base).unwrap();
    let scheduler = format!("127.0.0.1:{}", field.port);
    let (port, socket) = (free_ports().to_string(), field.path("socket"));
    let mut daemon = field.gelato(&[
        "daemon",
        "-p",
        &port,
        "-s",
        &scheduler,
        "-m",
        "2",
        "--no-remote",
    ]);
    daemon.arg("-b").arg(&base).arg("--socket").arg(&socket);
    let mount = format!("mount -t tmpfs -o size=4m,mode=777 none {}", base.display());
    let _daemon = field.start(set_apart(&daemon, &["-m"], &mount));
    until("a daemon", || field.status("socket").ok());
    let (status, lines) = field.doctor();
    assert_eq!(status, Some(1));
    assert!(
        line(&lines, "disk problem").contains("too little"),
        "{lines:?}"
    );
}

#[test]
fn doctor_finds_a_blocked_port() {
    let rules = "ip link set lo up && ip rule add pref 100 lookup local && ip rule del pref 0";
    if !rustix::process::geteuid().is_root() || !can("unshare", &["-n", "sh", "-c", rules]) {
        eprintln!("SKIPPED: blocking a port needs root and ip");
        return;
    }
    let field = Field::new();
    // All of it in one network of its own, whose kernel finds no way to the daemon's port.
    let script = field.path("script");
    let port = 20_000;
    let text = format!(
        "{rules} && ip rule add pref 10 ipproto tcp dport {port} prohibit || exit 9\n\
         \"$1\" scheduler -p {0} -n field >/dev/null 2>&1 & s=$!\n\
         \"$1\" daemon -N socket -n field -s 127.0.0.1:{0} -p {port} -m 2 -b {1} --socket {2} >/dev/null 2>&1 & d=$!\n\
         for i in $(seq 300); do\n\
           \"$1\" status --json | grep -q '\"connected\": true' && break; sleep 0.05\n\
         done\n\
         \"$1\" doctor --json; code=$?\n\
         kill $s $d; wait; exit $code\n",
        field.port,
        field.path("socket-base").display(),
        field.path("socket").display(),
    );
    fs::write(&script, text).unwrap();
    let mut all = field.gelato(&[]);
    all.env("PATH", "/usr/sbin:/usr/bin:/bin");
    let output = run_apart(&all, &script);
    let (status, lines) = judged(&output);
    assert_eq!(status, Some(1));
    let found = line(&lines, "port problem");
    assert!(
        found.contains("20000") && found.contains("firewall"),
        "{found}"
    );
}

fn run_apart(environment: &Command, script: &Path) -> Output {
    let mut command = Command::new("unshare");
    command.args(["-n", "sh"]).arg(script).arg(GELATO);
    command.env_clear();
    for (name, value) in environment.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.output().unwrap()
}

#[test]
fn icecreams_daemon_is_recognised() {
    const ICECREAM: &str = "/usr/sbin/iceccd";
    if !Path::new(ICECREAM).exists() || !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs {ICECREAM} and root");
        return;
    }
    let field = Field::new();
    let _scheduler = field.scheduler("field", |_| {});
    let _own = field.daemon("socket", &[]);
    field.connected("socket");
    let base = field.path("theirs");
    fs::create_dir(&base).unwrap();
    std::os::unix::fs::chown(&base, Some(65534), Some(65534)).unwrap();
    let port = free_ports().to_string();
    let mut daemon = Command::new("setpriv");
    daemon.args(["--reuid=65534", "--regid=65534", "--clear-groups", ICECREAM]);
    daemon.args(["--no-remote", "-p", &port, "-n", "field", "-m", "1", "-b"]);
    daemon.arg(&base).env("ICECC_TESTS", "1");
    daemon.env("ICECC_TEST_SOCKET", base.join("socket"));
    daemon.args(["-s", &format!("127.0.0.1:{}", field.port)]);
    let _daemon = field.start(daemon);
    until("Icecream's daemon", || {
        base.join("socket").exists().then_some(())
    });
    let said = until("an answer", || {
        let output = field.say("theirs/socket", &["status"]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        text.contains("Icecream").then_some(text)
    });
    assert!(said.contains("cannot be asked"), "{said}");
    let paused = field.say("theirs/socket", &["pause"]);
    assert_eq!(paused.status.code(), Some(1));

    // It logs in to our scheduler and is of another version than the rest of the network.
    let mixed = until("a mix of versions", || {
        let (_, lines) = field.doctor();
        lines.into_iter().find(|line| line.starts_with("version"))
    });
    assert!(
        mixed.starts_with("version note: machines speak protocol versions 4"),
        "{mixed}"
    );
}

#[test]
fn a_worker_without_an_acceptable_sandbox_says_why() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root to become a user who cannot change roots");
        return;
    }
    let field = Field::new();
    let _scheduler = field.scheduler("field", |_| {});
    let copy = field.path("gelato");
    fs::copy(GELATO, &copy).unwrap();
    let (port, scheduler) = (
        free_ports().to_string(),
        format!("127.0.0.1:{}", field.port),
    );
    let (socket, log) = (field.path("socket"), field.path("log"));
    let template = field.gelato(&[]);
    let mut daemon = Command::new("setpriv");
    daemon.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    daemon
        .arg(&copy)
        .args(["daemon", "-N", "caged", "-n", "field", "-m", "2"]);
    daemon.args(["-p", &port, "-s", &scheduler, "--sandbox", "chroot"]);
    daemon
        .arg("-b")
        .arg(field.path("base"))
        .arg("--socket")
        .arg(&socket);
    daemon.arg("-l").arg(&log).env_clear();
    daemon.envs(
        template
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let _daemon = field.start(daemon);
    until("a daemon", || field.status("socket").ok());
    field.connected("socket");
    let why = "no chroot sandbox";

    let status = field.status("socket").unwrap();
    assert_eq!(status["accepting"], false);
    assert_eq!(status["sandbox"]["level"], Value::Null);
    let obstacles = status["sandbox"]["obstacles"].to_string();
    assert!(obstacles.contains(why), "{obstacles}");
    let (code, lines) = field.doctor();
    assert_eq!(code, Some(1));
    assert!(line(&lines, "sandbox problem").contains(why));
    assert!(fs::read_to_string(log).unwrap().contains(why));
    let listed = until("a remark", || {
        let listed = field.control("listcs");
        listed.contains(why).then_some(listed)
    });
    assert!(listed.contains("caged (127.0.0.1"), "{listed}");
}
