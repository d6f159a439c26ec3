//! What waits to be written to one peer. Putting something in never waits; a peer that does not take what it is sent fills
//! its outbox and is given up, so a stuck peer costs a bounded amount of memory and delays nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gelato_net::stream::Writer;
use gelato_wire::Message;
use tokio::sync::mpsc;

/// Bytes that may wait for one peer.
const LIMIT: usize = 4 * 1024 * 1024;

/// Bytes given to a connection at once.
const WRITE_AT_ONCE: usize = 64 * 1024;

/// The hub's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: mpsc::UnboundedSender<Batch>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

/// The writing task's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    messages: mpsc::UnboundedReceiver<Batch>,
    waiting: Arc<AtomicUsize>,
}

/// Messages that belong together; what goes to all monitors is kept once.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    messages: Arc<[Message]>,
    cost: usize,
}

/// More waits for this peer than it may have waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Both ends of a new outbox.
pub(crate) fn outbox() -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        messages: sender,
        waiting: Arc::clone(&waiting),
        limit: LIMIT,
    };
    let outgoing = Outgoing {
        messages: receiver,
        waiting,
    };
    (outbox, outgoing)
}

impl Batch {
    pub(crate) fn new(messages: Vec<Message>) -> Batch {
        Batch {
            cost: messages.iter().map(cost).sum(),
            messages: messages.into(),
        }
    }
}

impl From<Message> for Batch {
    fn from(message: Message) -> Self {
        Batch::new(vec![message])
    }
}

impl Outbox {
    /// Puts a batch in.
    pub(crate) fn send(&self, batch: Batch) -> Result<(), Full> {
        let cost = batch.cost;
        let before = self.waiting.fetch_add(cost, Ordering::Relaxed);
        // A writer that has ended reads no more; its reader tells the hub.
        let _ = self.messages.send(batch);
        if before + cost > self.limit {
            Err(Full)
        } else {
            Ok(())
        }
    }

    /// Puts a batch in that the peer asked for, however large; the bound holds for what comes on top.
    pub(crate) fn send_asked_for(&mut self, batch: Batch) {
        self.limit += batch.cost;
        let _ = self.send(batch);
    }
}

/// Writes what comes until the hub drops its end, then closes the connection.
pub(crate) async fn write(mut writer: Writer, mut outgoing: Outgoing) {
    while let Some(batch) = outgoing.messages.recv().await {
        let mut cost = batch.cost;
        queue(&mut writer, &batch);
        while writer.queued() < WRITE_AT_ONCE
            && let Ok(batch) = outgoing.messages.try_recv()
        {
            cost += batch.cost;
            queue(&mut writer, &batch);
        }
        if let Err(error) = writer.flush().await {
            tracing::debug!("{error}");
            break;
        }
        outgoing.waiting.fetch_sub(cost, Ordering::Relaxed);
    }
    writer.close();
}

#[cfg(test)]
impl Outgoing {
    /// Takes everything, as a writer does; how many batches that were.
    pub(crate) fn drain(&mut self) -> usize {
        let mut taken = 0;
        while let Ok(batch) = self.messages.try_recv() {
            self.waiting.fetch_sub(batch.cost, Ordering::Relaxed);
            taken += 1;
        }
        taken
    }
}

fn queue(writer: &mut Writer, batch: &Batch) {
    for message in batch.messages.iter() {
        // Only messages the peer's version has are made; one that is not is a mistake of ours and no reason to drop it.
        if let Err(error) = writer.queue(message) {
            tracing::warn!("{error}");
        }
    }
}

/// About how many bytes a message holds.
fn cost(message: &Message) -> usize {
    let text = match message {
        Message::MonStats(stats) => stats.statmsg.len(),
        Message::MonGetCs(job) => job.filename.len(),
        Message::MonLocalJobBegin(job) => job.file.len(),
        Message::MonNews(news) => news.text.len(),
        Message::UseCs(answer) => answer.hostname.len() + answer.host_platform.len(),
        _ => 0,
    };
    text + std::mem::size_of::<Message>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_wire::msg::MonStats;

    fn stats(bytes: usize) -> Batch {
        Message::MonStats(MonStats {
            host_id: 1,
            statmsg: "x".repeat(bytes).into(),
        })
        .into()
    }

    #[test]
    fn a_peer_that_takes_nothing_is_full_some_day() {
        let (outbox, _outgoing) = outbox();
        let batch = stats(1000);
        let sent = (0..10_000)
            .take_while(|_| outbox.send(batch.clone()).is_ok())
            .count();
        assert!((3000..4200).contains(&sent), "{sent}");
    }

    #[test]
    fn what_was_asked_for_does_not_count() {
        let (mut outbox, _outgoing) = outbox();
        outbox.send_asked_for(stats(20_000_000));
        assert_eq!(outbox.send(stats(1000)), Ok(()));
        assert_eq!(outbox.send(stats(LIMIT)), Err(Full));
    }
}
