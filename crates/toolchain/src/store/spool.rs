//! What a sender sends while somebody else sends the same toolchain: kept in a file without a name, so that it is there if
//! the other one fails and gone after a crash. A convenience, not a promise: without room there is none.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Inner;

/// Bytes of one sender.
pub(super) struct Spool {
    inner: Arc<Inner>,
    file: Option<File>,
    kept: u64,
}

/// Bytes all senders may have kept together.
pub(super) struct Room(AtomicU64);

impl Room {
    pub(super) fn new(bytes: u64) -> Room {
        Room(AtomicU64::new(bytes))
    }

    fn take(&self, bytes: u64) -> bool {
        let left = |left: u64| left.checked_sub(bytes);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }

    fn give(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Spool {
    pub(super) fn new(inner: &Arc<Inner>) -> Spool {
        let path = inner.disk.fresh("waiting");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .ok();
        // From here on it has no name. One that keeps it is cleared at the next start.
        let _named = std::fs::remove_file(&path);
        Spool {
            inner: Arc::clone(inner),
            file,
            kept: 0,
        }
    }

    /// Keeps a piece, or gives up keeping anything.
    pub(super) fn keep(&mut self, data: &[u8]) {
        let length = data.len() as u64;
        let Some(file) = &mut self.file else { return };
        if !self.inner.room.take(length) {
            self.file = None;
            return;
        }
        self.kept += length;
        if file.write_all(data).is_err() {
            self.file = None;
        }
    }

    /// Everything from the beginning; the room stays taken as long as the file is open.
    pub(super) fn into_bytes(mut self) -> Option<Bytes> {
        let mut file = self.file.take()?;
        file.rewind().ok()?;
        Some(Bytes { file, _room: self })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.inner.room.give(self.kept);
    }
}

/// What was kept, for reading.
pub(super) struct Bytes {
    file: File,
    _room: Spool,
}

impl std::io::Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer)
    }
}
