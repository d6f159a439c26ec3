//! The page and its management through the real programs: against our scheduler and the distribution's.
//!
//! Each test has its own network name, ports and folder, all on the loopback interface.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod common;

use common::{LONG, free_ports, until};

const GELATO: &str = env!("CARGO_BIN_EXE_gelato");

/// The distribution's scheduler.
const ICECREAM: &str = "/usr/sbin/icecc-scheduler";

/// How long Icecream's scheduler looks at nobody new, and some more.
const ACCEPT_PAUSE: Duration = Duration::from_millis(1500);

/// A process that ends with the test.
struct Running(Child);

impl Running {
    /// Asks it to end; how long that took.
    fn end(mut self) -> Duration {
        let began = Instant::now();
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
        began.elapsed()
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
        // Programs that are started as root change their user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Field {
            folder,
            port: free_ports(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gelato(&self, args: &[&str]) -> Command {
        let mut command = Command::new(GELATO);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("GELATO_CONFIG", "")
            .env("ICECC_TESTS", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts a scheduler and waits until it answers.
    fn scheduler(&self, mut command: Command) -> Running {
        let running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        until("a scheduler", || {
            let listens = TcpListener::bind(("127.0.0.1", self.port + 1)).is_err();
            (listens && self.control("listblocks").contains("200 done")).then_some(())
        });
        running
    }

    fn daemon(&self, name: &str) -> Running {
        let port = free_ports().to_string();
        let scheduler = format!("127.0.0.1:{}", self.port);
        let (base, socket) = (self.path("base"), self.path("socket"));
        let mut command =
            self.gelato(&["daemon", "-N", name, "-p", &port, "-m", "2", "-n", "field"]);
        command.args(["-s", &scheduler, "-b"]).arg(base);
        command.arg("--socket").arg(socket);
        Running(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// A monitor of this scheduler, and where its page is.
    fn monitor(&self) -> (Running, Page) {
        let scheduler = format!("127.0.0.1:{}", self.port);
        let mut command = self.gelato(&["monitor", "-s", &scheduler, "--listen", "127.0.0.1:0"]);
        command.arg("--state-folder").arg(self.path("state"));
        monitor(command)
    }

    /// What the scheduler's text port answers.
    fn control(&self, command: &str) -> String {
        let mut port = TcpStream::connect(("127.0.0.1", self.port + 1)).unwrap();
        port.write_all(format!("{command}\nquit\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        port.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Starts a monitor and reads where its page is.
fn monitor(mut command: Command) -> (Running, Page) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line
        .trim()
        .strip_prefix("listening on http://")
        .and_then(|rest| rest.strip_suffix('/'))
        .unwrap_or_else(|| panic!("{line}"));
    (Running(child), Page(address.to_owned()))
}

/// A page, by its address.
struct Page(String);

impl Page {
    fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(&format!("GET {path} HTTP/1.1\r\n"), "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn manage(&self, token: &Path, order: &Value) -> (u16, Value) {
        let token = fs::read_to_string(token).unwrap();
        let head = format!(
            "POST /api/v1/manage HTTP/1.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            token.trim()
        );
        let (status, body) = self.ask(&head, &order.to_string());
        (status, serde_json::from_str(&body).unwrap())
    }

    fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let length = body.len();
        let rest = format!(
            "Host: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream
            .write_all((head.to_owned() + &rest).as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The host of this name, once it is here or gone.
    fn host(&self, name: &str, here: bool) -> Value {
        until("the host", || {
            let hosts = self.get("/api/v1/hosts");
            let mut hosts = hosts["hosts"].as_array().unwrap().iter();
            let host = hosts.find(|host| host["name"] == name && host["here"] == here);
            host.cloned()
        })
    }
}

#[test]
fn our_scheduler_serves_the_page_and_takes_orders_from_it() {
    let field = Field::new();
    let state = field.path("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let (port, web) = (
        field.port.to_string(),
        format!("127.0.0.1:{}", free_ports()),
    );
    let mut command = field.gelato(&["scheduler", "-p", &port, "-n", "field", "--web", &web]);
    command.arg("--state-folder").arg(&state);
    let scheduler = field.scheduler(command);
    let _daemon = field.daemon("alpha");
    until("the page", || TcpStream::connect(&web).ok());
    let page = Page(web);
    page.host("alpha", true);
    let cluster = until("the scheduler's own words", || {
        let cluster = page.get("/api/v1/cluster");
        cluster["version"].is_string().then_some(cluster)
    });
    assert_eq!(cluster["netname"], "field");

    let token = state.join("control-token");
    let drain = json!({"action": "drain", "host": "alpha", "reason": "a new fan"});
    assert_eq!(page.manage(&token, &drain).0, 200);
    until("draining", || {
        let host = page.host("alpha", true);
        (host["draining"] == true).then_some(())
    });
    let undrain = json!({"action": "undrain", "host": "alpha"});
    assert_eq!(page.manage(&token, &undrain).0, 200);

    let block = json!({"action": "block", "host": "alpha", "reason": "hot", "for_s": 1});
    let (status, answer) = page.manage(&token, &block);
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    page.host("alpha", false);
    let entries = until("the end of the block", || {
        let audit = page.get("/api/v1/audit");
        let entries = audit["audit"].as_array().unwrap().clone();
        (entries[0]["action"] == "unblock").then_some(entries)
    });
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    // What the scheduler tells of these commands is not written down a second time.
    assert_eq!(actions, ["unblock", "block", "undrain", "drain"]);
    assert_eq!(entries[1]["reason"], "hot");
    assert_eq!(entries[0]["who"], "end of the block");
    assert!(!field.control("listblocks").contains("   alpha"));

    // What somebody types at the text port is written down as well.
    field.control("removecs alpha");
    until("what was typed", || {
        let audit = page.get("/api/v1/audit");
        (audit["audit"][0]["action"] == "removecs").then_some(())
    });
    let nobody = json!({"action": "block", "host": "nobody"});
    assert_eq!(page.manage(&token, &nobody).0, 404);
    assert!(scheduler.end() < Duration::from_secs(5));
}

/// Icecream's scheduler of this network.
fn icecream(field: &Field) -> Running {
    let port = field.port.to_string();
    let mut command = Command::new(ICECREAM);
    command
        .args(["-i", "lo", "-n", "field", "-p", &port])
        .env("ICECC_TESTS", "1")
        .stderr(Stdio::null());
    field.scheduler(command)
}

#[test]
fn icecreams_scheduler_is_watched() {
    let field = Field::new();
    let _scheduler = icecream(&field);
    let _daemon = field.daemon("alpha");
    // Icecream's scheduler looks at nobody new for a second after each connection, and then not before anything else happens.
    until("the login", || {
        std::thread::sleep(ACCEPT_PAUSE);
        field.control("listcs").contains(" alpha ").then_some(())
    });
    let (monitor, page) = field.monitor();
    let host = page.host("alpha", true);
    assert_eq!(
        (&host["slots"], &host["samples"]),
        (&json!(2), &Value::Null)
    );
    let cluster = page.get("/api/v1/cluster");
    assert_eq!(
        (&cluster["link"], &cluster["has_records"]),
        (&json!("up"), &json!(false))
    );
    assert!(monitor.end() < Duration::from_secs(5));
}

#[test]
fn a_block_of_icecreams_scheduler_ends_after_a_restart_of_the_monitor() {
    let field = Field::new();
    let _scheduler = icecream(&field);
    field.control("blockcs beta gamma");
    assert!(field.control("listblocks").contains("   beta"));
    let state = field.path("state");
    fs::create_dir(&state).unwrap();
    // What a monitor left behind that was killed.
    let block = |host: &str, until: Value| json!({"host": host, "reason": "hot", "who": "127.0.0.1", "since": 1, "until": until});
    let left = json!([block("beta", json!(2)), block("gamma", Value::Null)]);
    fs::write(state.join("blocks.json"), left.to_string()).unwrap();
    let (monitor, page) = field.monitor();
    let audit = until("the end of the block", || {
        let audit = page.get("/api/v1/audit");
        let newest = &audit["audit"][0];
        (newest["action"] == "unblock" && newest["ok"] == true).then_some(audit)
    });
    assert_eq!(audit["audit"][0]["host"], "beta");
    until("only the other block", || {
        let blocks = page.get("/api/v1/audit")["blocks"].clone();
        (blocks.as_array()?.len() == 1 && blocks[0]["host"] == "gamma").then_some(())
    });
    std::thread::sleep(ACCEPT_PAUSE);
    let blocked = field.control("listblocks");
    assert!(
        !blocked.contains("beta") && blocked.contains("gamma"),
        "{blocked}"
    );
    let token = state.join("control-token");
    let (status, answer) = page.manage(&token, &json!({"action": "unblock", "host": "gamma"}));
    assert_eq!(status, 200, "{answer}");
    assert!(monitor.end() < Duration::from_secs(5));
}

#[test]
fn the_demo_needs_nothing() {
    let field = Field::new();
    let mut command = field.gelato(&["monitor", "--demo", "--listen", "127.0.0.1:0"]);
    command.env("XDG_STATE_HOME", field.path("state"));
    let (running, page) = monitor(command);
    until("jobs", || {
        let cluster = page.get("/api/v1/cluster");
        (cluster["running"].as_u64() > Some(0)).then_some(())
    });
    let past = until("a past", || {
        let (status, body) = page.ask("GET /api/v1/history?step=3600000 HTTP/1.1\r\n", "");
        (status == 200).then_some(body)
    });
    let past: Value = serde_json::from_str(&past).unwrap();
    assert!(past["points"].as_array().unwrap().len() >= 24);
    let (_, table) = page.ask("GET /api/v1/export/hosts.csv HTTP/1.1\r\n", "");
    assert!(table.contains("ada"));
    assert!(running.end() < Duration::from_secs(5));
}
