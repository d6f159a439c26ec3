//! Keeps the picture: takes events in as they come, and a few times a second tells browsers what changed.
//!
//! Changes are written down once for all browsers, and not at all while nobody looks. The more that costs, the less often it is done:
//! never more than [`SHARE`] of the time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use super::state::Shared;
use super::stream::frame;
use crate::history::Sampler;
use crate::recording::Entry;
use crate::view;

/// Shortest time between two changes told.
const TICK: Duration = Duration::from_millis(250);

/// Longest time, whatever it costs.
const LONGEST_TICK: Duration = Duration::from_secs(5);

/// The time between two changes is at least so many times what writing one down took.
const SHARE: u32 = 40;

/// Even if nothing changed, the time is told.
const QUIET: Duration = Duration::from_secs(1);

/// Between two looks at what goes wrong, and two samples for the history.
const SECOND: Duration = Duration::from_secs(1);

/// Events taken in at once, so that requests are answered in between.
const BATCH: usize = 500;

/// Runs for ever. After the last event the picture stays.
pub(super) async fn keep(shared: Arc<Shared>, mut events: Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut ends = false;
    let mut sampler = Sampler::new();
    let mut teller = Teller(Instant::now());
    let mut next_tell = Instant::now();
    let mut next_second = Instant::now();
    loop {
        tokio::select! {
            count = events.recv_many(&mut batch, BATCH), if !ends => {
                ends = count == 0;
                shared.apply(batch.drain(..));
            }
            () = sleep_until(next_tell) => {
                let began = Instant::now();
                teller.tell(&shared, began);
                next_tell = Instant::now() + (began.elapsed() * SHARE).clamp(TICK, LONGEST_TICK);
            }
            () = sleep_until(next_second) => {
                second(&shared, &mut sampler);
                next_second = Instant::now() + SECOND;
            }
        }
    }
}

fn second(shared: &Shared, sampler: &mut Sampler) {
    let mut picture = shared.picture();
    let now = picture.now();
    picture.cluster.tick(now);
    if let Some(history) = &shared.history
        && let Some(batch) = sampler.look(&picture.cluster, now)
    {
        drop(picture);
        history.add(batch);
    }
}

/// When something was told last.
struct Teller(Instant);

impl Teller {
    fn tell(&mut self, shared: &Shared, at: Instant) {
        let mut picture = shared.picture();
        if shared.hub.clients() == 0 {
            if picture.told.take().is_some() {
                shared.hub.forget();
            }
            return;
        }
        // Set by the first snapshot.
        let Some(since) = picture.told else { return };
        if picture.cluster.revision() == since && at.duration_since(self.0) < QUIET {
            return;
        }
        let delta = view::delta(&picture.cluster, picture.now(), since);
        picture.told = Some(delta.revision);
        self.0 = at;
        // Under the picture's lock, so that no snapshot is taken between the change and its number.
        shared.hub.publish(frame("delta", &delta));
    }
}
