//! The source of one job: kept while the job waits, then fed to the compiler.

use std::collections::VecDeque;
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

/// What has come of the source.
#[derive(Debug, Default)]
pub(super) struct Intake {
    waiting: VecDeque<FileChunk>,
    waiting_bytes: usize,
    ended: bool,
    compressed: u64,
    uncompressed: u64,
}

impl Intake {
    /// Whether more may be taken in while the job waits.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes < MOST_WAITING
    }

    /// Keeps a message that came while the job waits.
    pub(super) fn push(&mut self, message: Message) -> Result<(), Abandon> {
        match message {
            _ if self.ended => return Err(Abandon::Cancelled),
            Message::FileChunk(chunk) => {
                self.waiting_bytes += chunk.data.len();
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
        while let Some(chunk) = self.next(reader).await? {
            let data = chunk
                .decompress()
                .map_err(|error| Abandon::Broken(error.to_string()))?;
            self.compressed += chunk.data.len() as u64;
            self.uncompressed += data.len() as u64;
            source.write(&data).await;
        }
        source.close();
        Ok(())
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

fn out_of_place(message: &Message) -> Abandon {
    Abandon::Broken(format!("{} in the middle of the source", message.name()))
}
