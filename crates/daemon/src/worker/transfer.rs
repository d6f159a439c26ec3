//! One toolchain coming in: chunks from the network, through a bounded queue, to the thread that unpacks them.
//!
//! A bad archive is read to its end all the same, because the submitter listens only then; it learns of the failure when it
//! asks for verification, and avoids this machine for that toolchain.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use gelato_net::NetError;
use gelato_net::stream::Reader;
use gelato_toolchain::store::Installed;
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
#[derive(Debug)]
pub(crate) enum Transfer {
    /// All of it came; whether it could be installed.
    Ended(Result<(), String>),
    /// The connection is of no use any more.
    Broken(NetError),
    /// The peer said something else in the middle.
    Unexpected(&'static str),
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
        Err(error) => Err(error.to_string()),
    };
    if let Some(broken) = received {
        return broken;
    }
    if installed.is_ok() {
        worker.evict().await;
        // Asked for in a moment anyway; and what does not run here is not announced.
        let _known_from_now_on = if worker.verified.has_failed(toolchain) {
            worker.verify_anew(toolchain).await
        } else {
            worker.verify(toolchain).await
        };
    }
    Transfer::Ended(installed.map(|_| ()))
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
) -> Result<Installed, String> {
    let mut install = worker
        .store
        .begin_install(&toolchain.platform, &toolchain.name)
        .map_err(|error| error.to_string())?;
    loop {
        match queue.blocking_recv() {
            Some(Piece::Chunk(chunk)) => {
                let data = chunk.decompress().map_err(|error| error.to_string())?;
                install
                    .write_all(&data)
                    .map_err(|error| error.to_string())?;
                if install.has_failed() {
                    break;
                }
            }
            Some(Piece::End) => break,
            None => return Err("the transfer was broken off".to_owned()),
        }
    }
    install.finish().map_err(|error| error.to_string())
}
