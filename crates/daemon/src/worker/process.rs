//! The compiler's process as the event loop sees it: standard input with back-pressure, both outputs with a limit, the end.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use gelato_sandbox::{Outcome, Running};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;
use tokio::task::spawn_blocking;

use super::WorkerError;
use super::pulse::Pulse;

/// Bytes of each stream that a result carries: two of them fit into one message.
pub(crate) const MOST_DIAGNOSTICS: usize = 450_000;

/// One of the compiler's outputs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Captured {
    /// What fits.
    pub(crate) bytes: Vec<u8>,
    /// Whether something did not.
    pub(crate) cut: bool,
}

impl Captured {
    /// Whether a result can carry it whole.
    pub(crate) fn fits(&self) -> bool {
        !self.cut && !self.bytes.contains(&0)
    }
}

/// Where the source goes.
#[derive(Debug)]
pub(crate) struct Source {
    pipe: Option<pipe::Sender>,
    /// Of the whole job.
    pub(crate) pulse: Arc<Pulse>,
}

/// What the compiler says and that it ended.
#[derive(Debug)]
pub(crate) struct Ending {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    pulse: Arc<Pulse>,
    pidfd: AsyncFd<OwnedFd>,
}

/// Everything the compiler said, once it is over.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Standard output.
    pub(crate) stdout: Captured,
    /// Standard error.
    pub(crate) stderr: Captured,
}

/// Takes the streams of a job that has just been started.
pub(crate) fn attach(running: &mut Running) -> Result<(Source, Ending), WorkerError> {
    let interrupted = |_| WorkerError::Interrupted;
    let pidfd = running.pidfd.try_clone().map_err(interrupted)?;
    let source = running
        .stdin
        .take()
        .map(pipe::Sender::from_owned_fd)
        .transpose()
        .map_err(interrupted)?;
    let pulse = Arc::<Pulse>::default();
    let ending = Ending {
        pulse: Arc::clone(&pulse),
        stdout: running
            .stdout
            .take()
            .map(pipe::Receiver::from_owned_fd)
            .transpose()
            .map_err(interrupted)?,
        stderr: running
            .stderr
            .take()
            .map(pipe::Receiver::from_owned_fd)
            .transpose()
            .map_err(interrupted)?,
        pidfd: watch(pidfd).map_err(interrupted)?,
    };
    Ok((
        Source {
            pipe: source,
            pulse,
        },
        ending,
    ))
}

#[expect(
    deprecated,
    reason = "sound for a descriptor the watcher owns; the replacement is unsafe to call for the sake of others"
)]
fn watch(pidfd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

impl Source {
    /// Hands over a piece. A compiler that does not read any more is no error: the rest is dropped.
    pub(crate) async fn write(&mut self, piece: &[u8]) {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(piece).await.is_err()
        {
            self.pipe = None;
        }
        self.pulse.beat(piece.len());
    }

    /// The end of the source.
    pub(crate) fn close(&mut self) {
        self.pipe = None;
    }
}

impl Ending {
    /// Collects both outputs until everything of the job is over. Each is closed after so many bytes.
    pub(crate) async fn collect(self, most: u64) -> Said {
        let Ending {
            stdout,
            stderr,
            pulse,
            pidfd,
        } = self;
        let (stdout, stderr) =
            tokio::join!(capture(stdout, most, &pulse), capture(stderr, most, &pulse));
        // Fails only if the runtime is going away.
        let _ended = pidfd.readable().await;
        Said { stdout, stderr }
    }
}

async fn capture(pipe: Option<pipe::Receiver>, most: u64, pulse: &Pulse) -> Captured {
    let mut captured = Captured::default();
    let mut total = 0;
    let Some(mut pipe) = pipe else {
        return captured;
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return captured,
            Ok(n) => {
                pulse.beat(n);
                let room = MOST_DIAGNOSTICS - captured.bytes.len();
                let piece = buffer.get(..n.min(room)).unwrap_or_default();
                captured.bytes.extend_from_slice(piece);
                captured.cut |= n > room;
                total += n as u64;
                if total > most {
                    captured.cut = true;
                    return captured;
                }
            }
        }
    }
}

/// Kills whatever still runs of the job, and learns how it ended.
pub(crate) async fn reap(running: Running) -> Result<Outcome, WorkerError> {
    spawn_blocking(move || running.wait())
        .await
        .map_err(|_| WorkerError::Interrupted)?
        .map_err(WorkerError::Sandbox)
}
