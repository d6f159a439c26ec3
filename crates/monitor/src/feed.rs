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

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_wire::msg::{MonNews, MonStats};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    async fn said(to: &mut Connection, text: &str) {
        let stats = MonStats {
            host_id: 1,
            statmsg: text.into(),
        };
        to.send(&Message::MonStats(stats)).await.unwrap();
    }

    #[tokio::test]
    async fn only_a_scheduler_that_tells_more_is_asked_to_and_only_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = async {
            let (socket, _) = listener.accept().await.unwrap();
            Connection::accept(socket, Limits::default()).await.unwrap()
        };
        let connecting = Connection::connect_as_monitor(address, Limits::default());
        let (mut scheduler, monitor) = tokio::join!(accepting, connecting);
        let (to, mut events) = mpsc::channel(100);
        let listening = tokio::spawn(async move { listen(monitor.unwrap(), &to).await });
        let mut next = async || events.recv().await.unwrap().event;

        said(&mut scheduler, "Name:a\nScheduler:finish\n").await;
        assert!(matches!(next().await, Event::Host { .. }));
        assert!(scheduler.try_receive().unwrap().is_none());

        for _ in 0..3 {
            said(&mut scheduler, "Name:a\nScheduler:gelato/2\n").await;
            next().await;
        }
        let asked = scheduler.receive(None, "a subscription").await.unwrap();
        let Message::NodeNote(note) = asked else {
            panic!("{asked:?}");
        };
        let wanted: serde_json::Value = serde_json::from_slice(note.text.as_bytes()).unwrap();
        assert_eq!(wanted["subscribe"][0], "records");

        for text in [
            "not JSON",
            r#"{"event":"lost","reason":"as if"}"#,
            r#"{"event":"explained","job":7,"why":"free"}"#,
        ] {
            let text = text.into();
            let news = Message::MonNews(MonNews { text });
            scheduler.send(&news).await.unwrap();
        }
        let why = "free".to_owned();
        assert_eq!(next().await, Event::Explained { job: 7, why });
        assert!(scheduler.try_receive().unwrap().is_none(), "asked once");
        drop(scheduler);
        assert!(listening.await.unwrap().is_some());
    }
}
