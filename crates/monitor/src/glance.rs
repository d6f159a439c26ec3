//! One look at a cluster, for commands that ask once: the picture as soon as it is complete.

use std::time::Duration;

use gelato_net::discovery::Wanted;
use tokio::sync::mpsc::channel;
use tokio::time::{Instant, timeout_at};

use crate::event::Event;
use crate::feed;
use crate::model::Cluster;
use crate::recording::Entry;

/// A newcomer is told of all hosts at once; after this much silence the picture is complete. Icecream's schedulers speak in lumps
/// up to 200 ms apart.
const SILENCE: Duration = Duration::from_millis(300);

/// On a busy network there is never silence; whatever a newcomer is told at once has come by then.
const BUSY: Duration = Duration::from_secs(1);

/// Events on their way.
const QUEUE: usize = 10_000;

/// What a scheduler tells a newcomer, at most for `patience`.
///
/// # Errors
/// Why there is no picture, as a sentence: no scheduler was found, or it does not answer.
pub async fn glance(wanted: Wanted, patience: Duration) -> Result<Cluster, String> {
    let deadline = Instant::now() + patience;
    let mut complete = deadline;
    let mut cluster = Cluster::new();
    let (to, mut events) = channel(QUEUE);
    // The sender ends when nobody receives any more.
    let following = tokio::spawn(feed::follow(wanted, to));
    let mut heard = None;
    loop {
        let until = match heard {
            Some(heard) => complete.min(heard + SILENCE),
            None => deadline,
        };
        match timeout_at(until, events.recv()).await {
            Ok(Some(Entry { at, event })) => {
                match &event {
                    Event::Lost { reason } => {
                        following.abort();
                        return Err(reason.clone());
                    }
                    Event::Connected { .. } => complete = deadline.min(Instant::now() + BUSY),
                    _ => {}
                }
                cluster.apply(at, event);
                heard = Some(Instant::now());
            }
            Ok(None) | Err(_) => break,
        }
    }
    following.abort();
    match heard {
        Some(_) => Ok(cluster),
        None => Err(format!("no scheduler answered within {patience:?}")),
    }
}
