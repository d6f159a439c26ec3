//! The source of one job: kept while the job waits, then fed to the compiler.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gelato_net::stream::Reader;
use gelato_wire::Message;
use gelato_wire::msg::FileChunk;

use super::Abandon;
use crate::core::vocabulary::JobReport;
use crate::worker::process::Source;

/// The submitter may say nothing for this long while it sends the source.
const SILENCE: Duration = Duration::from_secs(60);

/// Compressed source kept for a job that waits for its slot, in bytes. More is left in the network, where the
/// submitter's system gives the connection up after 9 s (`TCP_USER_TIMEOUT`), so this holds some 40 MB of source.
const MOST_WAITING: usize = 8 << 20;

/// What keeping a chunk costs besides its data, in bytes, so that many small ones are bounded too.
const CHUNK_OVERHEAD: usize = size_of::<FileChunk>() + 32;

/// Memory for the sources of jobs that wait: of all, or of one peer's within that.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
    whole: Option<Arc<Budget>>,
}

impl Budget {
    /// So many bytes. What comes beyond goes back to its submitter.
    pub(crate) fn new(bytes: usize) -> Budget {
        Budget {
            left: AtomicUsize::new(bytes),
            whole: None,
        }
    }

    /// A part of at most so many bytes, which others may use up as well.
    pub(crate) fn within(whole: &Arc<Budget>, bytes: usize) -> Budget {
        Budget {
            left: AtomicUsize::new(bytes),
            whole: Some(Arc::clone(whole)),
        }
    }

    /// Takes bytes if so many are left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok();
        if taken && self.whole.as_ref().is_some_and(|whole| !whole.take(bytes)) {
            self.left.fetch_add(bytes, Ordering::Relaxed);
            return false;
        }
        taken
    }

    /// Gives back what was taken.
    pub(crate) fn give(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give(bytes);
        }
    }

    fn left(&self) -> usize {
        let own = self.left.load(Ordering::Relaxed);
        self.whole
            .as_ref()
            .map_or(own, |whole| own.min(whole.left()))
    }
}

/// What has come of the source.
#[derive(Debug)]
pub(super) struct Intake {
    budget: Arc<Budget>,
    waiting: VecDeque<FileChunk>,
    waiting_bytes: usize,
    ended: bool,
    compressed: u64,
    uncompressed: u64,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.budget.give(self.waiting_bytes);
    }
}

impl Intake {
    /// Nothing yet. What waits is charged to `budget`.
    pub(super) fn new(budget: Arc<Budget>) -> Intake {
        Intake {
            budget,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
            compressed: 0,
            uncompressed: 0,
        }
    }

    /// Whether more may be taken in while the job waits.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes < MOST_WAITING
    }

    /// Whether more may be taken in while the compiler reads. Leaving it in the network costs nothing then.
    fn may_read_ahead(&self) -> bool {
        let most = gelato_wire::msg::MAX_FRAME + CHUNK_OVERHEAD;
        self.has_room() && self.budget.left() > most
    }

    /// Keeps a message that came while the job waits.
    pub(super) fn push(&mut self, message: Message) -> Result<(), Abandon> {
        match message {
            _ if self.ended => return Err(Abandon::Cancelled),
            Message::FileChunk(chunk) => {
                let bytes = cost(&chunk);
                if !self.budget.take(bytes) {
                    return Err(Abandon::NoRoom);
                }
                self.waiting_bytes += bytes;
                self.waiting.push_back(chunk);
            }
            Message::End => self.ended = true,
            other => return Err(out_of_place(&other)),
        }
        Ok(())
    }

    /// Feeds the compiler until the end of the source. A compiler that stops reading does not stop this: the submitter
    /// sends everything before it listens.
    pub(super) async fn feed(
        &mut self,
        reader: &mut Reader,
        source: &mut Source,
    ) -> Result<(), Abandon> {
        loop {
            source.pulse.waits_for_source(true);
            let next = self.next(reader).await?;
            source.pulse.waits_for_source(false);
            let Some(chunk) = next else { break };
            let data = chunk
                .decompress()
                .map_err(|error| Abandon::Garbage(error.to_string()))?;
            self.compressed += chunk.data.len() as u64;
            self.uncompressed += data.len() as u64;
            self.write(&data, reader, source).await?;
        }
        source.close();
        Ok(())
    }

    /// Writes one chunk. A compiler that is slow to read must not hide that its submitter has gone, so meanwhile more of
    /// the source is taken in.
    async fn write(
        &mut self,
        data: &[u8],
        reader: &mut Reader,
        source: &mut Source,
    ) -> Result<(), Abandon> {
        let writing = source.write(data);
        tokio::pin!(writing);
        loop {
            tokio::select! {
                biased;
                () = &mut writing => return Ok(()),
                message = reader.receive(None, "the source"), if self.may_read_ahead() => {
                    self.push(message?)?;
                }
            }
        }
    }

    /// Reads to the end of the source and drops it.
    pub(super) async fn drain(&mut self, reader: &mut Reader) -> Result<(), Abandon> {
        while let Some(chunk) = self.next(reader).await? {
            self.compressed += chunk.data.len() as u64;
            self.uncompressed += u64::from(chunk.uncompressed_len);
        }
        Ok(())
    }

    /// The part of the report that is known here.
    pub(super) fn report(&self) -> JobReport {
        JobReport {
            in_compressed: self.compressed,
            in_uncompressed: self.uncompressed,
            ..JobReport::default()
        }
    }

    async fn next(&mut self, reader: &mut Reader) -> Result<Option<FileChunk>, Abandon> {
        if let Some(chunk) = self.waiting.pop_front() {
            let bytes = cost(&chunk);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
            self.budget.give(bytes);
            return Ok(Some(chunk));
        }
        if self.ended {
            return Ok(None);
        }
        match reader.receive(Some(SILENCE), "the source").await? {
            Message::FileChunk(chunk) => Ok(Some(chunk)),
            Message::End => {
                self.ended = true;
                Ok(None)
            }
            other => Err(out_of_place(&other)),
        }
    }
}

fn cost(chunk: &FileChunk) -> usize {
    chunk.data.len() + CHUNK_OVERHEAD
}

fn out_of_place(message: &Message) -> Abandon {
    Abandon::Garbage(format!("{} in the middle of the source", message.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: usize) -> Message {
        Message::FileChunk(FileChunk {
            data: vec![0; bytes],
            ..FileChunk::default()
        })
    }

    #[test]
    fn all_waiting_jobs_share_one_budget() {
        let most = 10 * (1000 + CHUNK_OVERHEAD);
        let budget = Arc::new(Budget::new(most));
        let mut jobs: Vec<Intake> = (0..5).map(|_| Intake::new(Arc::clone(&budget))).collect();
        for job in &mut jobs {
            assert!(job.push(chunk(1000)).is_ok() && job.push(chunk(1000)).is_ok());
        }
        let mut late = Intake::new(Arc::clone(&budget));
        assert!(matches!(late.push(chunk(1)), Err(Abandon::NoRoom)));
        jobs.pop();
        assert!(late.push(chunk(1)).is_ok());
        drop((jobs, late));
        assert_eq!(budget.left(), most, "everything is given back");
    }

    #[test]
    fn empty_chunks_are_not_free() {
        let budget = Arc::new(Budget::new(2 * MOST_WAITING));
        let mut intake = Intake::new(Arc::clone(&budget));
        let mut chunks = 0;
        while intake.has_room() {
            intake.push(chunk(0)).unwrap();
            chunks += 1;
        }
        assert!(chunks * size_of::<FileChunk>() <= MOST_WAITING);
        drop(intake);
        assert_eq!(budget.left(), 2 * MOST_WAITING);
    }

    #[test]
    fn a_word_after_the_end_cancels() {
        let mut intake = Intake::new(Arc::new(Budget::new(1)));
        intake.push(Message::End).unwrap();
        assert!(matches!(intake.push(Message::End), Err(Abandon::Cancelled)));
    }
}
