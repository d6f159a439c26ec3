//! The live stream: a snapshot, then changes, written down once for all who look.
//!
//! [`Hub`] keeps the last changes as they go over the wire. Each browser has a place in that row; one that lost its place because it read
//! too slowly begins anew with a snapshot. What a browser that does not read keeps alive is the few frames already handed to its
//! connection, and the next one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::guard::Refusal;
use super::state::Shared;

/// Browsers that look at the same time.
const MOST_CLIENTS: usize = 64;

/// Frames that are kept for browsers a little behind.
const KEPT_FRAMES: usize = 32;

/// Bytes of them.
const KEPT_BYTES: usize = 8 << 20;

/// After so long without news a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Frames that wait for a connection.
const WAITING: usize = 1;

/// What all browsers get.
#[derive(Debug)]
pub(super) struct Hub {
    row: Mutex<Row>,
    /// Number of the newest frame.
    newest: watch::Sender<u64>,
    clients: AtomicUsize,
}

#[derive(Debug, Default)]
struct Row {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Number of the newest frame, with which `frames` ends.
    newest: u64,
    /// A snapshot, and the number of the newest frame when it was taken.
    snapshot: Option<(u64, Bytes)>,
}

/// What a browser is to get next.
#[derive(Debug, PartialEq)]
enum Next {
    Frame(Bytes),
    Nothing,
    Snapshot,
}

impl Hub {
    pub(super) fn new() -> Hub {
        Hub {
            row: Mutex::default(),
            newest: watch::Sender::new(0),
            clients: AtomicUsize::new(0),
        }
    }

    /// Browsers that look.
    pub(super) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Adds a change for all.
    pub(super) fn publish(&self, frame: Bytes) {
        let mut row = self.row();
        row.push(frame);
        let newest = row.newest;
        drop(row);
        self.newest.send_replace(newest);
    }

    /// Changes were not written down, because nobody looked: what is kept is of no use any more.
    pub(super) fn forget(&self) {
        let mut row = self.row();
        row.frames.clear();
        row.bytes = 0;
        row.snapshot = None;
    }

    /// A snapshot that the frames that are kept continue, or that `make` makes. Nobody may publish meanwhile: the caller holds the
    /// cluster's lock.
    pub(super) fn snapshot(&self, make: impl FnOnce() -> Bytes) -> (u64, Bytes) {
        let mut row = self.row();
        if let Some((at, snapshot)) = &row.snapshot
            && row.reaches(*at)
        {
            return (*at, snapshot.clone());
        }
        let made = (row.newest, make());
        row.snapshot = Some(made.clone());
        made
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn push(&mut self, frame: Bytes) {
        self.newest += 1;
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.frames.len() > KEPT_FRAMES || (self.bytes > KEPT_BYTES && self.frames.len() > 1)
        {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= oldest.len();
            }
        }
        // One that nobody can continue from only takes room.
        if let Some((at, _)) = &self.snapshot
            && !self.reaches(*at)
        {
            self.snapshot = None;
        }
    }

    /// Whether all frames after number `at` are here.
    fn reaches(&self, at: u64) -> bool {
        self.newest.saturating_sub(at) <= self.frames.len() as u64
    }

    fn after(&self, at: u64) -> Next {
        let behind = self.newest.saturating_sub(at);
        if behind == 0 {
            return Next::Nothing;
        }
        let index = (self.frames.len() as u64).checked_sub(behind);
        let frame = index.and_then(|index| self.frames.get(usize::try_from(index).ok()?));
        match frame {
            Some(frame) => Next::Frame(frame.clone()),
            None => Next::Snapshot,
        }
    }
}

/// An event as it goes over the wire.
pub(super) fn frame(event: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {event}\ndata: ").into_bytes();
    if let Err(error) = serde_json::to_writer(&mut text, data) {
        tracing::error!("web: cannot write the event {event}: {error}");
        return Bytes::new();
    }
    text.extend_from_slice(b"\n\n");
    Bytes::from(text)
}

/// `GET /api/v1/stream`.
pub(super) async fn stream(State(shared): State<Arc<Shared>>) -> Response {
    let Some(place) = Place::take(&shared) else {
        return Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MOST_CLIENTS} others are looking"),
            "close a page, or ask /api/v1/cluster now and then",
        )
        .into_response();
    };
    let (to, frames) = mpsc::channel(WAITING);
    tokio::spawn(feed(place, to));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // Proxies shall not collect events.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::new(Frames(frames))).into_response()
}

/// A browser that is counted for as long as it looks.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Place> {
        let more = |count| (count < MOST_CLIENTS).then_some(count + 1);
        shared
            .hub
            .clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Place(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.hub.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands one browser what it is to get until it leaves.
async fn feed(place: Place, to: mpsc::Sender<Bytes>) {
    let shared = &place.0;
    let mut news = shared.hub.newest.subscribe();
    let mut at = None;
    loop {
        news.mark_unchanged();
        let next = match at {
            None => Next::Snapshot,
            Some(at) => shared.hub.row().after(at),
        };
        let frame = match next {
            Next::Snapshot => {
                let (number, snapshot) = shared.snapshot();
                at = Some(number);
                snapshot
            }
            Next::Frame(frame) => {
                at = at.map(|at| at + 1);
                frame
            }
            Next::Nothing => {
                let changed = tokio::select! {
                    changed = timeout(ALIVE, news.changed()) => changed,
                    () = to.closed() => return,
                };
                match changed {
                    Ok(_) => continue,
                    Err(_) => Bytes::from_static(b": alive\n\n"),
                }
            }
        };
        if to.send(frame).await.is_err() {
            return;
        }
    }
}

/// The body of an answer that goes on.
struct Frames(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|frame| frame.map(|frame| Ok(Frame::data(frame))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(frames: u64) -> Row {
        let mut row = Row::default();
        for number in 1..=frames {
            row.push(Bytes::from(number.to_string()));
        }
        row
    }

    #[test]
    fn everybody_gets_every_frame_in_order_or_begins_anew() {
        let kept = KEPT_FRAMES as u64;
        let row = row_of(100);
        assert_eq!(row.after(100), Next::Nothing);
        for at in 100 - kept..100 {
            let next = (at + 1).to_string();
            assert_eq!(row.after(at), Next::Frame(Bytes::from(next)));
        }
        assert_eq!(row.after(100 - kept - 1), Next::Snapshot);
        assert_eq!(row.after(0), Next::Snapshot);
    }

    #[test]
    fn what_is_kept_is_bounded_by_count_and_bytes() {
        let mut row = row_of(10_000);
        assert_eq!(row.frames.len(), KEPT_FRAMES);
        for _ in 0..20 {
            row.push(Bytes::from(vec![b'x'; 1 << 20]));
        }
        assert!(row.bytes <= KEPT_BYTES && !row.frames.is_empty());
        row.push(Bytes::from(vec![b'x'; 2 * KEPT_BYTES]));
        assert_eq!(row.frames.len(), 1);
    }

    #[test]
    fn a_snapshot_is_shared_while_the_frames_continue_it() {
        let hub = Hub::new();
        let (at, first) = hub.snapshot(|| Bytes::from_static(b"one"));
        hub.publish(Bytes::from_static(b"frame"));
        assert_eq!(
            hub.snapshot(|| Bytes::from_static(b"two")),
            (at, first.clone())
        );
        for _ in 0..KEPT_FRAMES {
            hub.publish(Bytes::from_static(b"frame"));
        }
        let (later, second) = hub.snapshot(|| Bytes::from_static(b"two"));
        assert_eq!((later, second), (1 + KEPT_FRAMES as u64, "two".into()));
        hub.forget();
        let (_, third) = hub.snapshot(|| Bytes::from_static(b"three"));
        assert_eq!(third, "three");
    }
}
