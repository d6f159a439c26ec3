//! One toolchain coming in: chunks from the network, through a bounded queue, to the thread that unpacks them.
//!
//! A bad archive is read to its end all the same, because the submitter listens only then; it learns of the failure when it
//! asks for verification, and avoids this machine for that toolchain. If only this machine is to blame, a full disk for
//! instance, it is told so in words and avoids nothing.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use gelato_net::NetError;
use gelato_net::stream::Reader;
use gelato_toolchain::store::{Kept, StoreError};
use gelato_toolchain::unpack::UnpackError;
use gelato_wire::Message;
use gelato_wire::msg::FileChunk;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::Worker;
use crate::core::vocabulary::Toolchain;

/// The peer may say nothing for this long.
const SILENCE: Duration = Duration::from_secs(30);

/// A transfer that takes longer ties up resources for nothing: the scheduler gives up after 2 minutes.
const LONGEST: Duration = Duration::from_secs(600);

/// Chunks between the network and the unpacking thread.
const QUEUE: usize = 16;

/// What a transfer came to.
pub(crate) enum Transfer {
    /// All of it came; whether it could be installed. It stays in place as long as this is kept.
    Ended(Result<Kept, Refusal>),
    /// The connection is of no use any more.
    Broken(NetError),
    /// The peer said something else in the middle.
    Unexpected(&'static str),
}

/// Why a toolchain was not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For people.
    pub(crate) reason: String,
    /// Whether this machine is to blame, so that the same may work later.
    pub(crate) for_now: bool,
    /// Whether the archive is nothing a toolchain could be by accident.
    pub(crate) hostile: bool,
}

impl Refusal {
    fn for_now(reason: impl Into<String>) -> Refusal {
        Refusal {
            reason: reason.into(),
            for_now: true,
            hostile: false,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let for_now = match &error {
            StoreError::Busy
            | StoreError::OtherTransferStuck
            | StoreError::Damaged { .. }
            | StoreError::InUse { .. }
            | StoreError::Locked(_)
            | StoreError::Io { .. } => true,
            StoreError::Unpack(error) => {
                matches!(error, UnpackError::Io { .. } | UnpackError::Aborted)
            }
            StoreError::BadName { .. } | StoreError::NotInstalled { .. } => false,
        };
        let hostile = matches!(
            error,
            StoreError::Unpack(UnpackError::Refused { .. } | UnpackError::OtherContent { .. })
        );
        Refusal {
            reason: error.to_string(),
            for_now,
            hostile,
        }
    }
}

enum Piece {
    Chunk(FileChunk),
    End,
}

/// Takes a toolchain until its end and installs it.
pub(crate) async fn receive(
    reader: &mut Reader,
    worker: &Arc<Worker>,
    toolchain: &Toolchain,
) -> Transfer {
    let (pieces, queue) = mpsc::channel(QUEUE);
    let installing = {
        let worker = Arc::clone(worker);
        let toolchain = toolchain.clone();
        spawn_blocking(move || install(&worker, &toolchain, queue))
    };
    let received = feed(reader, &pieces).await;
    drop(pieces);
    let installed = match installing.await {
        Ok(result) => result,
        Err(error) => Err(Refusal::for_now(error.to_string())),
    };
    if let Some(broken) = received {
        return broken;
    }
    if installed.is_ok() {
        worker.evict();
        // Asked for in a moment anyway; and what does not run here is not announced.
        let _known_from_now_on = if worker.verified.has_failed(toolchain) {
            worker.verify_anew(toolchain).await
        } else {
            worker.verify(toolchain).await
        };
    }
    Transfer::Ended(installed)
}

/// Passes chunks on until the end. A refusal of the other side is noticed there, not here.
async fn feed(reader: &mut Reader, pieces: &mpsc::Sender<Piece>) -> Option<Transfer> {
    let deadline = Instant::now() + LONGEST;
    loop {
        let next = reader.receive(Some(SILENCE), "the next piece of a toolchain");
        match timeout_at(deadline, next).await {
            Ok(Ok(Message::FileChunk(chunk))) => {
                let _refused_already = pieces.send(Piece::Chunk(chunk)).await;
            }
            Ok(Ok(Message::End)) => {
                let _refused_already = pieces.send(Piece::End).await;
                return None;
            }
            Ok(Ok(other)) => return Some(Transfer::Unexpected(other.name())),
            Ok(Err(error)) => return Some(Transfer::Broken(error)),
            Err(_) => {
                return Some(Transfer::Broken(NetError::TimedOut {
                    peer: reader.peer().clone(),
                    waiting_for: "the end of a toolchain",
                    after: LONGEST,
                }));
            }
        }
    }
}

/// Runs on a thread of its own. Without [`Piece::End`] nothing is installed.
fn install(
    worker: &Worker,
    toolchain: &Toolchain,
    mut queue: mpsc::Receiver<Piece>,
) -> Result<Kept, Refusal> {
    let mut install = worker
        .store
        .begin_install(&toolchain.platform, &toolchain.name)?;
    loop {
        match queue.blocking_recv() {
            Some(Piece::Chunk(chunk)) => {
                let data = chunk.decompress().map_err(|error| Refusal {
                    reason: error.to_string(),
                    for_now: false,
                    hostile: true,
                })?;
                install
                    .write_all(&data)
                    .map_err(|error| Refusal::for_now(error.to_string()))?;
                if install.has_failed() {
                    break;
                }
            }
            Some(Piece::End) => break,
            None => return Err(Refusal::for_now("the transfer was broken off")),
        }
    }
    Ok(install.keep()?)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_the_archives_own_faults_last() {
        let for_now = |error: StoreError| Refusal::from(error).for_now;
        let full = UnpackError::Io {
            path: "/x".into(),
            source: Arc::new(io::ErrorKind::StorageFull.into()),
        };
        assert!(for_now(full.into()) && for_now(StoreError::Busy));
        assert!(for_now(UnpackError::Aborted.into()));
        assert!(!for_now(UnpackError::Truncated("a file").into()));
        assert!(!for_now(UnpackError::NotAToolchain("usr/bin/as").into()));
    }

    #[test]
    fn an_accident_is_not_hostile() {
        let hostile = |error: UnpackError| Refusal::from(StoreError::from(error)).hostile;
        assert!(hostile(UnpackError::Refused {
            entry: "../x".into(),
            why: "it leads outside",
        }));
        assert!(!hostile(UnpackError::Truncated("a file")));
        assert!(!hostile(UnpackError::Damaged("bits".into())));
        assert!(!hostile(UnpackError::Aborted));
    }
}
