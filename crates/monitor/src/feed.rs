//! Events from a scheduler, Icecream's or ours: finds it, listens, and finds it again, for as long as somebody wants to know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelato_net::Limits;
use gelato_net::discovery::{self, Wanted};
use gelato_net::stream::Connection;
use gelato_wire::Message;
use gelato_wire::msg::NodeNote;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use crate::event::Event;
use crate::knock;
use crate::recording::Entry;

/// How the line `Scheduler` of a host's text begins if the scheduler has more to tell to those who ask.
const TELLS_MORE: &str = "gelato/";

/// What is asked of such a scheduler.
const SUBSCRIPTION: &str = r#"{"subscribe":["records","explanations"]}"#;

/// Between two tries to find a scheduler.
const PAUSE: Duration = Duration::from_secs(2);

/// Milliseconds since 1970 on this machine's clock.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sends what happens until nobody receives it any more.
pub async fn follow(wanted: Wanted, to: Sender<Entry>) {
    let mut lost = None;
    loop {
        let reason = match connect(&wanted).await {
            Ok((connection, connected)) => {
                lost = None;
                if tell(&to, connected).await.is_none() {
                    return;
                }
                match listen(connection, &to).await {
                    Some(reason) => reason,
                    None => return,
                }
            }
            Err(reason) => reason,
        };
        // Once for each loss: the picture shows since when.
        if lost.as_ref() != Some(&reason) {
            lost = Some(reason.clone());
            if tell(&to, Event::Lost { reason }).await.is_none() {
                return;
            }
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = to.closed() => return,
        }
    }
}

async fn connect(wanted: &Wanted) -> Result<(Connection, Event), String> {
    let found = discovery::find(wanted)
        .await
        .map_err(|error| error.to_string())?;
    let mut connection = knock::connect(found.address, Limits::default())
        .await
        .map_err(|error| error.to_string())?;
    connection
        .send(&Message::MonLogin)
        .await
        .map_err(|error| error.to_string())?;
    // A scheduler that was named and did not answer a question does not say which network it serves.
    let netname = found
        .reply
        .map(|reply| reply.netname.to_string_lossy().into_owned());
    let connected = Event::Connected {
        scheduler: found.address.to_string(),
        netname: netname.filter(|netname| !netname.is_empty()),
        protocol: connection.version().number(),
    };
    Ok((connection, connected))
}

/// Passes on what a scheduler says; the reason why it stopped, or `None` if nobody receives.
async fn listen(mut connection: Connection, to: &Sender<Entry>) -> Option<String> {
    let mut subscribed = false;
    loop {
        let message = tokio::select! {
            message = connection.receive(None, "news of the cluster") => message,
            () = to.closed() => return None,
        };
        match message {
            Ok(message) => {
                let Some(event) = Event::of_message(message) else {
                    continue;
                };
                if !subscribed && tells_more(&event) {
                    subscribed = true;
                    let text = SUBSCRIPTION.into();
                    let asked = Message::NodeNote(NodeNote { text });
                    if let Err(error) = connection.send(&asked).await {
                        return Some(error.to_string());
                    }
                }
                tell(to, event).await?;
            }
            Err(error) => return Some(error.to_string()),
        }
    }
}

fn tells_more(event: &Event) -> bool {
    let Event::Host { facts, .. } = event else {
        return false;
    };
    let said = facts.others.get("Scheduler");
    said.is_some_and(|said| said.starts_with(TELLS_MORE))
}

async fn tell(to: &Sender<Entry>, event: Event) -> Option<()> {
    to.send(Entry { at: now(), event }).await.ok()
}
