//! One toolchain being received: bytes in, one installation out, however many submitters send it.
//!
//! The first sender's bytes go through a bounded pipe to a thread that unpacks them. Later senders of the same toolchain
//! wait for its result, and their bytes are kept meanwhile ([`Spool`]): if the first goes away, falls silent or sends a bad
//! archive, one of them takes its place. Whoever gives up, or sends a bad archive, leaves nothing behind.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::spool::Spool;
use super::{Entry, InUse, Inner, Installed, Key, MAX_ARRIVING, StoreError, disk};
use crate::unpack::{UnpackError, unpack};

/// Pieces and their size between the sender and the unpacking thread: enough to keep both busy.
const PIPE_PIECES: usize = 16;
const PIECE_BYTES: usize = 128 << 10;
/// How long a sender that has sent everything waits for one that has not, before its own bytes are used: Icecream's clients
/// give up after 60 s, and unpacking must fit into the rest.
const PATIENCE: Duration = Duration::from_secs(20);

/// A toolchain being received. Write the archive's bytes, then call [`Install::finish`]; dropping it instead gives the
/// transfer up and removes what was unpacked. Writing blocks while the unpacking thread is behind, and so do `finish`
/// and `drop` for as long as it takes to write or delete files.
pub struct Install {
    role: Role,
}

enum Role {
    /// Unpacks what is written.
    First(Unpacking),
    /// Keeps what is written, and waits for the first.
    Later(Waiting),
    /// Discards what is written; it is there already and stays there.
    Present(Kept),
}

/// A toolchain that has been received, and that stays in place as long as this lives: until the job comes that it was
/// sent for.
#[derive(Clone)]
pub struct Kept {
    /// What was installed.
    pub installed: Installed,
    _in_use: Arc<InUse>,
}

impl Kept {
    fn new(installed: Installed, in_use: InUse) -> Kept {
        Kept {
            installed,
            _in_use: Arc::new(in_use),
        }
    }
}

/// What a sender finds.
enum Claim {
    Present(Kept),
    Arriving(Arc<Arrival>),
    Ours(Work),
}

/// One look under one lock: between two, another sender could finish, and its toolchain would be replaced under the jobs
/// that run in it. The place of a `stuck` sender is taken.
fn claim(inner: &Arc<Inner>, key: &Key, stuck: Option<&Arc<Arrival>>) -> Result<Claim, StoreError> {
    let mut state = inner.lock();
    if let Some(entry) = state.installed.get(key) {
        if disk::has_assembler(&inner.disk.root_of(key)) {
            let installed = key.installed(entry.size);
            let in_use = inner.hold(&mut state, key)?;
            return Ok(Claim::Present(Kept::new(installed, in_use)));
        }
        if entry.users > 0 {
            return Err(key.damaged());
        }
        state.installed.remove(key);
    }
    if let Some(arrival) = state.arriving.get(key)
        && stuck.is_none_or(|stuck| !Arc::ptr_eq(stuck, arrival))
    {
        return Ok(Claim::Arriving(Arc::clone(arrival)));
    }
    if state.unpacking >= MAX_ARRIVING {
        return Err(StoreError::Busy);
    }
    state.unpacking += 1;
    let arrival = Arc::new(Arrival::default());
    state.arriving.insert(key.clone(), Arc::clone(&arrival));
    Ok(Claim::Ours(Work {
        inner: Arc::clone(inner),
        key: key.clone(),
        arrival,
        folder: None,
        is_over: false,
    }))
}

impl Install {
    pub(super) fn begin(inner: &Arc<Inner>, key: Key) -> Result<Self, StoreError> {
        let role = match claim(inner, &key, None)? {
            Claim::Present(kept) => Role::Present(kept),
            Claim::Ours(work) => Role::First(work.start()?),
            Claim::Arriving(arrival) => Role::Later(Waiting {
                spool: Spool::new(inner),
                inner: Arc::clone(inner),
                key,
                arrival,
            }),
        };
        Ok(Self { role })
    }

    /// Whether the archive was refused already, so that the rest need not be sent.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match &self.role {
            Role::First(unpacking) => matches!(*unpacking.arrival.lock(), Some(Err(_))),
            Role::Later(_) | Role::Present(_) => false,
        }
    }

    /// Says that the archive is complete, and waits until it is installed.
    ///
    /// # Errors
    /// [`StoreError::Unpack`] for a bad archive, and whatever else went wrong.
    pub fn finish(self) -> Result<Installed, StoreError> {
        self.keep().map(|kept| kept.installed)
    }

    /// As [`Install::finish`], and keeps the toolchain in place from the moment it is there.
    ///
    /// # Errors
    /// As [`Install::finish`].
    pub fn keep(self) -> Result<Kept, StoreError> {
        match self.role {
            Role::Present(kept) => Ok(kept),
            Role::First(unpacking) => unpacking.finish(),
            Role::Later(waiting) => waiting.finish(),
        }
    }
}

impl Write for Install {
    /// Takes everything, also after a failure: [`Install::finish`] tells.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.role {
            Role::First(unpacking) => unpacking.send(data),
            Role::Later(waiting) => waiting.spool.keep(data),
            Role::Present(_) => {}
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sender's end of the pipe. Dropping it gives the transfer up.
struct Unpacking {
    pipe: Option<SyncSender<Piece>>,
    thread: Option<JoinHandle<()>>,
    arrival: Arc<Arrival>,
}

enum Piece {
    Data(Vec<u8>),
    End,
}

impl Unpacking {
    fn send(&mut self, data: &[u8]) {
        for piece in data.chunks(PIECE_BYTES) {
            let sent = self
                .pipe
                .as_ref()
                .is_some_and(|pipe| pipe.send(Piece::Data(piece.to_vec())).is_ok());
            if !sent {
                self.pipe = None;
                return;
            }
        }
    }

    fn finish(mut self) -> Result<Kept, StoreError> {
        if let Some(pipe) = self.pipe.take() {
            // A thread that is gone has left its reason in `arrival`.
            let _gone = pipe.send(Piece::End);
        }
        self.join();
        self.arrival.wait(Duration::ZERO)
    }

    fn join(&mut self) {
        drop(self.pipe.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        self.join();
    }
}

/// A sender of what somebody else sends already.
struct Waiting {
    inner: Arc<Inner>,
    key: Key,
    arrival: Arc<Arrival>,
    spool: Spool,
}

impl Waiting {
    fn finish(self) -> Result<Kept, StoreError> {
        let Waiting {
            inner,
            key,
            mut arrival,
            spool,
        } = self;
        let mut bytes = spool.into_bytes();
        loop {
            let failure = match arrival.wait(PATIENCE) {
                Err(failure) => failure,
                kept => return kept,
            };
            let Some(bytes) = &mut bytes else {
                return Err(failure);
            };
            let stuck = matches!(failure, StoreError::OtherTransferStuck).then_some(&arrival);
            match claim(&inner, &key, stuck)? {
                Claim::Present(kept) => return Ok(kept),
                Claim::Arriving(other) => arrival = other,
                Claim::Ours(work) => return unpack_all(work, bytes),
            }
        }
    }
}

fn unpack_all(work: Work, mut bytes: impl Read) -> Result<Kept, StoreError> {
    let mut unpacking = work.start()?;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return unpacking.finish(),
            Ok(length) => unpacking.send(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::io("what was sent".as_ref(), error)),
        }
    }
}

/// What a sender does that has waited long enough for `stuck`.
#[cfg(test)]
pub(super) fn take_over(
    inner: &Arc<Inner>,
    key: &Key,
    stuck: &Arc<Arrival>,
    bytes: &[u8],
) -> Result<Kept, StoreError> {
    match claim(inner, key, Some(stuck))? {
        Claim::Present(kept) => Ok(kept),
        Claim::Ours(work) => unpack_all(work, bytes),
        Claim::Arriving(other) => other.wait(PATIENCE),
    }
}

/// Where those who wait for one installation meet.
#[derive(Default)]
pub(super) struct Arrival {
    result: Mutex<Option<Result<Kept, StoreError>>>,
    done: Condvar,
}

impl Arrival {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Result<Kept, StoreError>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, result: Result<Kept, StoreError>) {
        self.lock().get_or_insert(result);
        self.done.notify_all();
    }

    fn wait(&self, patience: Duration) -> Result<Kept, StoreError> {
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
    /// Whether its place has been given back.
    is_over: bool,
}

impl Work {
    fn start(mut self) -> Result<Unpacking, StoreError> {
        match self.inner.disk.prepare() {
            Ok(folder) => self.folder = Some(folder),
            Err(error) => {
                self.clean_up();
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
        Ok(Unpacking {
            pipe: Some(pipe),
            thread: Some(thread),
            arrival,
        })
    }

    fn run(mut self, receiver: Receiver<Piece>) {
        let result = self.install(receiver);
        // Before anybody hears of the result.
        self.clean_up();
        self.arrival.set(result);
    }

    fn install(&mut self, receiver: Receiver<Piece>) -> Result<Kept, StoreError> {
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
        let mut state = self.inner.lock();
        // Somebody who did not want to wait for us may have been quicker, and jobs may run in that one.
        if !state.installed.contains_key(&self.key) {
            self.inner.disk.publish(&folder, &self.key, unpacked)?;
            self.folder = None;
            let last_use = state.tick();
            state.installed.insert(
                self.key.clone(),
                Entry {
                    size: unpacked.bytes,
                    last_use,
                    users: 0,
                    retired: None,
                },
            );
        }
        let in_use = self.inner.hold(&mut state, &self.key)?;
        drop(state);
        Ok(Kept::new(self.key.installed(unpacked.bytes), in_use))
    }

    fn clean_up(&mut self) {
        if let Some(folder) = self.folder.take() {
            // What cannot be removed now is in `tmp`, which is cleared at the next start.
            let _cleared_later = disk::delete(&folder);
        }
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut state = self.inner.lock();
        state.unpacking = state.unpacking.saturating_sub(1);
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
