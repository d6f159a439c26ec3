//! Telling a service manager how we are: `NOTIFY_SOCKET`, `WATCHDOG_USEC`.
//!
//! Nobody depends on it, so what cannot be said is not said.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The longest text of a status line, in bytes.
const LONGEST_STATUS: usize = 500;

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The service manager of this process.
    pub(crate) fn from_environment() -> Notifier {
        let variable = |name: &str| std::env::var(name).ok();
        Notifier {
            socket: std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
                let socket = UnixDatagram::unbound().ok()?;
                socket.set_nonblocking(true).ok()?;
                Some((socket, address(&path)?))
            }),
            watchdog: watchdog(
                variable("WATCHDOG_USEC").as_deref(),
                variable("WATCHDOG_PID").as_deref(),
                std::process::id(),
            ),
        }
    }

    /// How often [`alive`](Self::alive) must be said at least, if at all.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// We serve.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// We read our files anew; [`ready`](Self::ready) ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// We stop, which may take as long as jobs have to finish.
    pub(crate) fn stopping(&self, at_most: Duration) {
        let microseconds = at_most.as_micros();
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}"));
    }

    /// What we do, in one line.
    pub(crate) fn status(&self, text: &str) {
        self.say(&format!("STATUS={}", one_line(text)));
    }

    /// We are alive.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            let _nobody_listens = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// A path, or `@` and an abstract name.
fn address(path: &OsStr) -> Option<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(path).ok(),
        _ => None,
    }
}

fn watchdog(microseconds: Option<&str>, for_pid: Option<&str>, pid: u32) -> Option<Duration> {
    let is_for_us = for_pid.is_none_or(|text| text.parse() == Ok(pid));
    microseconds
        .and_then(|text| text.parse().ok())
        .filter(|&number| is_for_us && number > 0)
        .map(Duration::from_micros)
}

fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let end = (0..=LONGEST_STATUS.min(line.len()))
        .rev()
        .find(|&at| line.is_char_boundary(at));
    line.truncate(end.unwrap_or(0));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sockets_are_known() {
        assert!(address(OsStr::new("/run/systemd/notify")).is_some());
        let name = address(OsStr::new("@abstract")).unwrap();
        assert_eq!(name.as_abstract_name(), Some(b"abstract".as_slice()));
        assert!(address(OsStr::new("vsock:2:1234")).is_none());
        assert!(address(OsStr::new("")).is_none());
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(Some("1000000"), None, 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("7"), 7), second);
        for (time, pid) in [
            (Some("1000000"), Some("8")),
            (Some("0"), None),
            (Some("x"), None),
            (None, None),
        ] {
            assert_eq!(watchdog(time, pid, 7), None);
        }
    }

    #[test]
    fn a_status_is_one_short_line() {
        assert_eq!(one_line("a\nREADY=1\tb"), "a READY=1 b");
        let long = one_line(&"é".repeat(LONGEST_STATUS));
        assert!(long.len() <= LONGEST_STATUS && long.chars().all(|c| c == 'é'));
    }
}
