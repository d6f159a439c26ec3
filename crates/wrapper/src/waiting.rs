//! Waiting for messages and descriptors so that a signal ends the wait.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use gelato_net::NetError;
use gelato_net::blocking::Connection;
use gelato_wire::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::signals::{Interrupted, Signals};

/// Why a wait for a message ended without one.
#[derive(Debug)]
pub(crate) enum Ended {
    Interrupted,
    Net(NetError),
}

impl From<Interrupted> for Ended {
    fn from(_: Interrupted) -> Ended {
        Ended::Interrupted
    }
}

/// The next message. `silence` starts anew with everything that arrives.
pub(crate) fn receive(
    connection: &mut Connection,
    silence: Duration,
    waiting_for: &'static str,
    signals: &Signals,
) -> Result<Message, Ended> {
    if signals.fd().is_none() {
        return connection.receive(silence, waiting_for).map_err(Ended::Net);
    }
    let mut deadline = Instant::now().checked_add(silence);
    loop {
        signals.check()?;
        match connection.receive(Duration::ZERO, waiting_for) {
            Ok(message) => return Ok(message),
            Err(NetError::TimedOut { .. }) => {}
            Err(error) => return Err(Ended::Net(error)),
        }
        let ready = wait(&[(connection.as_fd(), PollFlags::IN)], deadline, signals)?;
        if ready == 0 {
            return Err(Ended::Net(NetError::TimedOut {
                peer: connection.peer().clone(),
                waiting_for,
                after: silence,
            }));
        }
        deadline = Instant::now().checked_add(silence);
    }
}

/// Waits until one of at most 60 descriptors is ready; bit n of the result is descriptor n. 0 when the deadline has passed.
pub(crate) fn wait(
    wanted: &[(BorrowedFd<'_>, PollFlags)],
    deadline: Option<Instant>,
    signals: &Signals,
) -> Result<u64, Interrupted> {
    let mut fds: Vec<PollFd<'_>> = wanted
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    if let Some(fd) = signals.fd() {
        fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    }
    loop {
        signals.check()?;
        let timeout = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            .and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(0),
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => continue,
            // Out of memory: whoever waits will see by trying.
            Err(_) => return Ok(u64::MAX),
        }
        signals.check()?;
        let ready = fds
            .iter()
            .take(wanted.len())
            .enumerate()
            .filter(|(_, fd)| !fd.revents().is_empty())
            .fold(0, |bits, (index, _)| bits | 1 << index);
        if ready != 0 {
            return Ok(ready);
        }
    }
}
