//! One toolchain being received: bytes in, one installation out, however many submitters send it.
//!
//! The first sender's bytes go through a bounded pipe to a thread that unpacks them; later senders of the same
//! toolchain only wait for its result. Whoever gives up, or sends a bad archive, leaves nothing behind.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Entry, InUse, Inner, Installed, Key, MAX_ARRIVING, StoreError, disk};
use crate::unpack::{UnpackError, unpack};

/// Pieces and their size between the sender and the unpacking thread: enough to keep both busy.
const PIPE_PIECES: usize = 16;
const PIECE_BYTES: usize = 128 << 10;
/// How long a second sender waits for the first: Icecream's clients give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// A toolchain being received. Write the archive's bytes, then call [`Install::finish`]; dropping it instead gives the
/// transfer up and removes what was unpacked. Writing blocks while the unpacking thread is behind, and so do `finish`
/// and `drop` for as long as it takes to write or delete files.
pub struct Install {
    role: Role,
}

enum Role {
    /// Unpacks what is written.
    First {
        pipe: Option<SyncSender<Piece>>,
        thread: Option<JoinHandle<()>>,
        arrival: Arc<Arrival>,
    },
    /// Discards what is written, and waits for the first.
    Later(Arc<Arrival>),
    /// Discards what is written; it is there already and stays there.
    Present { _guard: InUse, installed: Installed },
}

enum Piece {
    Data(Vec<u8>),
    End,
}

impl Install {
    pub(super) fn begin(inner: &Arc<Inner>, key: Key) -> Result<Self, StoreError> {
        // One look under one lock: between two, another sender could finish, and its toolchain would be replaced under
        // the jobs that run in it.
        let arrival = {
            let mut state = inner.lock();
            if let Some(entry) = state.installed.get(&key) {
                if disk::has_assembler(&inner.disk.root_of(&key)) {
                    let installed = key.installed(entry.size);
                    let guard = inner.hold(&mut state, &key)?;
                    return Ok(Self {
                        role: Role::Present {
                            _guard: guard,
                            installed,
                        },
                    });
                }
                if entry.users > 0 {
                    return Err(key.damaged());
                }
                state.installed.remove(&key);
            }
            if let Some(arrival) = state.arriving.get(&key) {
                return Ok(Self {
                    role: Role::Later(Arc::clone(arrival)),
                });
            }
            if state.arriving.len() >= MAX_ARRIVING {
                return Err(StoreError::Busy);
            }
            let arrival = Arc::new(Arrival::default());
            state.arriving.insert(key.clone(), Arc::clone(&arrival));
            arrival
        };
        let work = Work {
            inner: Arc::clone(inner),
            key,
            arrival: Arc::clone(&arrival),
            folder: None,
        };
        work.start()
    }

    /// Whether the archive was refused already, so that the rest need not be sent.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match &self.role {
            Role::First { arrival, .. } | Role::Later(arrival) => {
                matches!(*arrival.lock(), Some(Err(_)))
            }
            Role::Present { .. } => false,
        }
    }

    /// Says that the archive is complete, and waits until it is installed.
    ///
    /// # Errors
    /// [`StoreError::Unpack`] for a bad archive; whatever went wrong for the sender whose bytes were used.
    pub fn finish(mut self) -> Result<Installed, StoreError> {
        match &mut self.role {
            Role::Present { installed, .. } => Ok(installed.clone()),
            Role::Later(arrival) => arrival.wait(PATIENCE),
            Role::First {
                pipe,
                thread,
                arrival,
            } => {
                if let Some(pipe) = pipe.take() {
                    // A thread that is gone has left its reason in `arrival`.
                    let _gone = pipe.send(Piece::End);
                }
                if let Some(thread) = thread.take() {
                    let _panicked = thread.join();
                }
                arrival.wait(Duration::ZERO)
            }
        }
    }
}

impl Write for Install {
    /// Takes everything, also after a failure: [`Install::finish`] tells.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Role::First { pipe, .. } = &mut self.role {
            for piece in data.chunks(PIECE_BYTES) {
                let sent = pipe
                    .as_ref()
                    .is_some_and(|pipe| pipe.send(Piece::Data(piece.to_vec())).is_ok());
                if !sent {
                    *pipe = None;
                }
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        if let Role::First { pipe, thread, .. } = &mut self.role {
            drop(pipe.take());
            if let Some(thread) = thread.take() {
                let _panicked = thread.join();
            }
        }
    }
}

/// Where those who wait for one installation meet.
#[derive(Default)]
pub(super) struct Arrival {
    result: Mutex<Option<Result<Installed, StoreError>>>,
    done: Condvar,
}

impl Arrival {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Result<Installed, StoreError>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, result: Result<Installed, StoreError>) {
        self.lock().get_or_insert(result);
        self.done.notify_all();
    }

    fn wait(&self, patience: Duration) -> Result<Installed, StoreError> {
        let (result, _) = self
            .done
            .wait_timeout_while(self.lock(), patience, |result| result.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        result
            .clone()
            .unwrap_or(Err(StoreError::OtherTransferStuck))
    }
}

/// What the unpacking thread owns. However it ends, dropping it tells those who wait and removes what is unfinished.
struct Work {
    inner: Arc<Inner>,
    key: Key,
    arrival: Arc<Arrival>,
    folder: Option<PathBuf>,
}

impl Work {
    fn start(mut self) -> Result<Install, StoreError> {
        match self.inner.disk.prepare() {
            Ok(folder) => self.folder = Some(folder),
            Err(error) => {
                self.arrival.set(Err(error.clone()));
                return Err(error);
            }
        }
        let arrival = Arc::clone(&self.arrival);
        let (pipe, receiver) = sync_channel(PIPE_PIECES);
        let thread = std::thread::Builder::new()
            .name("toolchain-unpack".to_owned())
            .spawn(move || self.run(receiver))
            .map_err(|error| StoreError::io("a new thread".as_ref(), error))?;
        Ok(Install {
            role: Role::First {
                pipe: Some(pipe),
                thread: Some(thread),
                arrival,
            },
        })
    }

    fn run(mut self, receiver: Receiver<Piece>) {
        let result = self.install(receiver);
        if let Ok(installed) = &result {
            let mut state = self.inner.lock();
            let last_use = state.tick();
            state.arriving.remove(&self.key);
            state.installed.insert(
                self.key.clone(),
                Entry {
                    size: installed.size,
                    last_use,
                    users: 0,
                },
            );
        } else {
            // Before anybody hears of the failure.
            self.clean_up();
        }
        self.arrival.set(result);
    }

    fn install(&mut self, receiver: Receiver<Piece>) -> Result<Installed, StoreError> {
        let Some(folder) = self.folder.clone() else {
            return Err(UnpackError::Aborted.into());
        };
        let source = PipeReader {
            receiver,
            piece: io::Cursor::new(Vec::new()),
            ended: false,
        };
        let unpacked = unpack(
            source,
            Some(&self.key.name),
            &folder.join("root"),
            self.inner.limits,
        )?;
        self.inner.disk.publish(&folder, &self.key, unpacked)?;
        self.folder = None;
        Ok(self.key.installed(unpacked.bytes))
    }

    fn clean_up(&mut self) {
        if let Some(folder) = self.folder.take() {
            // What cannot be removed now is in `tmp`, which is cleared at the next start.
            let _cleared_later = disk::delete(&folder);
        }
        let mut state = self.inner.lock();
        let ours = state
            .arriving
            .get(&self.key)
            .is_some_and(|arrival| Arc::ptr_eq(arrival, &self.arrival));
        if ours {
            state.arriving.remove(&self.key);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.clean_up();
        self.arrival.set(Err(UnpackError::Aborted.into()));
    }
}

/// The unpacking thread's end of the pipe. A sender that disappears is an error, not the end.
struct PipeReader {
    receiver: Receiver<Piece>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || self.ended || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(Piece::Data(data)) => self.piece = io::Cursor::new(data),
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
}
