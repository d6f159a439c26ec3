//! The monitors: who watches, and who subscribed to what Icecream's feed cannot say. One that does not take what it is
//! sent is given up.

use std::collections::BTreeMap;

use gelato_scheduler_core::ConnectionId;
use gelato_wire::{ByteString, Message, msg};
use serde_json::Value;

use crate::outbox::{Batch, Outbox};

/// A note of a monitor longer than this is not looked at.
const LONGEST_NOTE: usize = 4096;

/// What may be subscribed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Topics {
    /// Records of finished jobs.
    pub(crate) records: bool,
    /// Why jobs went where they went, and why they wait.
    pub(crate) explanations: bool,
}

impl Topics {
    /// Reads a note of a monitor; topics of other releases are passed by.
    pub(crate) fn parse(note: &ByteString) -> Topics {
        if note.as_bytes().len() > LONGEST_NOTE {
            return Topics::default();
        }
        let note: Value = serde_json::from_slice(note.as_bytes()).unwrap_or_default();
        let wanted = |topic: &str| {
            let list = note.get("subscribe").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(topic)))
        };
        Topics {
            records: wanted("records"),
            explanations: wanted("explanations"),
        }
    }

    pub(crate) fn is_none(self) -> bool {
        self == Topics::default()
    }

    /// Both together.
    pub(crate) fn and(self, other: Topics) -> Topics {
        Topics {
            records: self.records || other.records,
            explanations: self.explanations || other.explanations,
        }
    }

    fn includes(self, topic: Topic) -> bool {
        match topic {
            Topic::Any => !self.is_none(),
            Topic::Records => self.records,
            Topic::Explanations => self.explanations,
        }
    }
}

/// Which subscribers something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// All.
    Any,
    /// Of records.
    Records,
    /// Of explanations.
    Explanations,
}

/// All monitors.
#[derive(Debug, Default)]
pub(crate) struct Watchers(BTreeMap<ConnectionId, Watcher>);

#[derive(Debug)]
struct Watcher {
    outbox: Outbox,
    topics: Topics,
}

impl Watchers {
    pub(crate) fn add(&mut self, connection: ConnectionId, outbox: Outbox) {
        let topics = Topics::default();
        self.0.insert(connection, Watcher { outbox, topics });
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody would be told.
    pub(crate) fn want(&self, topic: Topic) -> bool {
        self.0
            .values()
            .any(|watcher| watcher.topics.includes(topic))
    }

    /// Adds to what a monitor wants; false if it is none, or it wanted all that before.
    pub(crate) fn subscribe(&mut self, connection: ConnectionId, topics: Topics) -> bool {
        let Some(watcher) = self.0.get_mut(&connection) else {
            return false;
        };
        let before = watcher.topics;
        watcher.topics = before.and(topics);
        watcher.topics != before
    }

    /// Tells one monitor what it asked for, however much that is.
    pub(crate) fn tell_one(&mut self, connection: ConnectionId, messages: Vec<Message>) {
        if let Some(watcher) = self.0.get_mut(&connection) {
            watcher.outbox.send_asked_for(Batch::new(messages));
        }
    }

    /// Tells all.
    pub(crate) fn tell(&mut self, messages: Vec<Message>) {
        self.send(messages, |_| true);
    }

    /// Tells those that subscribed.
    pub(crate) fn publish(&mut self, topic: Topic, news: Vec<String>) {
        self.send(news.iter().map(|news| message(news)).collect(), |watcher| {
            watcher.topics.includes(topic)
        });
    }

    fn send(&mut self, messages: Vec<Message>, to: impl Fn(&Watcher) -> bool) {
        if messages.is_empty() {
            return;
        }
        let batch = Batch::new(messages);
        self.0.retain(|_, watcher| {
            let fits = !to(watcher) || watcher.outbox.send(batch.clone()).is_ok();
            if !fits {
                tracing::debug!("monitor is blocking... removing");
            }
            fits
        });
    }
}

/// News as they are sent.
pub(crate) fn message(news: &str) -> Message {
    Message::MonNews(msg::MonNews { text: news.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::outbox;

    #[test]
    fn topics_are_read_and_nonsense_is_none() {
        let parse = |text: &str| Topics::parse(&text.into());
        let both = parse("{\"subscribe\":[\"explanations\",\"weather\",\"records\"]}");
        assert!(both.records && both.explanations);
        assert!(parse("{\"subscribe\":[\"records\"]}").records);
        let long = format!(
            "{{\"subscribe\":[\"records\"],\"x\":\"{}\"}}",
            "x".repeat(5000)
        );
        for text in [
            "",
            "[]",
            "{\"subscribe\":\"records\"}",
            "{\"subscribe\":[7]}",
            &long,
        ] {
            assert!(parse(text).is_none(), "{text:.40}");
        }
    }

    #[test]
    fn only_subscribers_are_told_and_only_a_slow_one_is_given_up() {
        let mut watchers = Watchers::default();
        let (plain, mut plain_end) = outbox();
        let (reading, mut reading_end) = outbox();
        let (slow, _slow_end) = outbox();
        for (number, outbox) in [(1, plain), (2, reading), (3, slow)] {
            watchers.add(ConnectionId(number), outbox);
        }
        let records = Topics {
            records: true,
            ..Topics::default()
        };
        assert!(!watchers.want(Topic::Any));
        assert!(watchers.subscribe(ConnectionId(2), records));
        assert!(!watchers.subscribe(ConnectionId(2), records));
        assert!(watchers.subscribe(ConnectionId(3), records));
        assert!(!watchers.subscribe(ConnectionId(4), records));
        assert!(watchers.want(Topic::Records) && !watchers.want(Topic::Explanations));
        let news = vec!["x".repeat(100_000)];
        for _ in 0..100 {
            watchers.publish(Topic::Records, news.clone());
            assert_eq!(reading_end.drain(), 1);
        }
        assert_eq!(plain_end.drain(), 0);
        assert_eq!(watchers.0.len(), 2);
    }
}
