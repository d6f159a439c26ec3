//! INT, TERM, HUP and QUIT while there is something to clean up.
//!
//! The handlers come from signal-hook: they set a flag and write a byte into a pipe, which every wait of ours includes in its poll. The one who waits returns
//! [`Interrupted`], destructors remove what must not stay (the preprocessor, temporary files), and at the very end the signal is raised again with its default
//! action. A second signal ends the program at once. Most runs never get here: they end in exec.
//!
//! rustix has no safe way to block signals, which signalfd would need, and a handler written here would need `unsafe`; that is why a crate does it. Signals that
//! were ignored when we started (nohup) stay ignored; only SIGCHLD does not, because the end of a child could not be told then. Programs we become or start get
//! the default action for whatever has a handler here.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

/// A signal arrived; give up and clean up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted;

/// The handlers, once there is something to clean up; before that, signals simply end the program.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    handlers: OnceCell<Handlers>,
}

#[derive(Debug)]
struct Handlers {
    caught: Arc<AtomicUsize>,
    /// The next signal ends the program at once.
    at_once: Arc<AtomicBool>,
    pipe: UnixStream,
}

impl Signals {
    /// Puts the handlers in place for the rest of the program. If that fails, signals go on ending the program at once.
    pub(crate) fn install(&self) {
        if self.handlers.get().is_none()
            && let Ok(handlers) = Handlers::register()
        {
            let _ = self.handlers.set(handlers);
        }
    }

    /// The signal that arrived, if any.
    pub(crate) fn caught(&self) -> Option<i32> {
        match self.handlers.get()?.caught.load(Ordering::SeqCst) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        match self.caught() {
            Some(_) => Err(Interrupted),
            None => Ok(()),
        }
    }

    /// Becomes readable when a signal has arrived; `None` without handlers.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.handlers.get().map(|handlers| handlers.pipe.as_fd())
    }

    /// Does what cannot be interrupted; meanwhile a signal ends the program at once, so there must be nothing to clean up.
    pub(crate) fn unguarded<T>(&self, work: impl FnOnce() -> T) -> Result<T, Interrupted> {
        let Some(handlers) = self.handlers.get() else {
            return Ok(work());
        };
        handlers.at_once.store(true, Ordering::SeqCst);
        self.check()?;
        let result = work();
        handlers.at_once.store(false, Ordering::SeqCst);
        Ok(result)
    }

    /// Ends the program by the signal that arrived, if one did. Call it when everything is cleaned up.
    pub(crate) fn die_if_caught(&self) {
        if let Some(signal) = self.caught() {
            let _ = low_level::emulate_default_handler(signal);
        }
    }
}

/// Ends the program as a child of ours has ended, so that whoever waits for us sees the same. There is one core file already, if any: a limit of one byte
/// prevents another one, also where cores go into a pipe, which 0 does not.
pub(crate) fn die_by(signal: i32) {
    let no_core = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    if setrlimit(Resource::Core, no_core).is_ok() {
        let _ = low_level::emulate_default_handler(signal);
    }
}

impl Handlers {
    fn register() -> io::Result<Handlers> {
        let (pipe, write_end) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let caught = Arc::new(AtomicUsize::new(0));
        let at_once = Arc::new(AtomicBool::new(false));
        let ignored = ignored_signals();
        let is_ignored = |signal: i32| ignored & (1 << (signal - 1)) != 0;
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            if is_ignored(signal) {
                continue;
            }
            flag::register_conditional_default(signal, Arc::clone(&at_once))?;
            flag::register(signal, Arc::clone(&at_once))?;
            flag::register_usize(signal, Arc::clone(&caught), signal.unsigned_abs() as usize)?;
            low_level::pipe::register(signal, write_end.try_clone()?)?;
        }
        if is_ignored(SIGCHLD) {
            flag::register(SIGCHLD, Arc::default())?;
        }
        Ok(Handlers {
            caught,
            at_once,
            pipe,
        })
    }
}

/// Bit n-1 for signal n, of those this process ignores.
fn ignored_signals() -> u64 {
    ignored_in("/proc/self/status")
}

fn ignored_in(path: &str) -> u64 {
    let mut buffer = [0; 4096];
    let mut read = || {
        // All of it comes at once; asking for it piece by piece costs as much each time.
        let length = File::open(path).ok()?.read(&mut buffer).ok()?;
        let begin = buffer.get(..length)?;
        if length < buffer.len() {
            return mask_of_ignored(begin);
        }
        // Somebody in many groups.
        mask_of_ignored(&fs::read(path).ok()?)
    };
    read().unwrap_or(0)
}

fn mask_of_ignored(status: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(status);
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_many_groups_ignores_signals_like_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("status");
        for groups in [1, 310, 311, 312, 313, 314, 315, 5000] {
            let groups = "1234567890 123 ".repeat(groups);
            let text = format!("Name:\tx\nGroups:\t{groups}\nSigIgn:\t0000000000000006\nx:\t1\n");
            fs::write(&path, text).expect("a file");
            assert_eq!(ignored_in(path.to_str().expect("a name")), 6);
        }
    }
}
