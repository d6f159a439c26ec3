//! A past for the demo: thirty days of an invented cluster, with working hours, nightly builds and free weekends.
//!
//! The same seed gives the same past.

use super::sample::{Batch, Sample};
use super::store::{HistoryError, Store};

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// Days of the past.
const DAYS: u64 = 30;

/// Slots of each host.
const SLOTS: f64 = 8.0;

/// Fills a store with what hosts of these names did before `now`: hour by hour, then minute by minute, then as it is kept of a real
/// cluster.
///
/// # Errors
/// The store cannot be written.
pub fn invent(store: &Store, hosts: &[String], now: u64, seed: u64) -> Result<(), HistoryError> {
    let mut random = fastrand::Rng::with_seed(seed);
    let hour = now - now % HOUR;
    let spans = [
        (
            hour.saturating_sub(DAYS * 24 * HOUR),
            hour.saturating_sub(24 * HOUR),
            HOUR,
        ),
        (
            hour.saturating_sub(24 * HOUR),
            hour.saturating_sub(HOUR),
            60_000,
        ),
        (hour.saturating_sub(HOUR), now, 10_000),
    ];
    let moments = spans.into_iter().flat_map(|(from, to, step)| {
        let count = to.saturating_sub(from).div_ceil(step);
        (0..count).map(move |number| (from + number * step, step))
    });
    store.add_all(moments.map(|(at, step)| moment(hosts, at, step, &mut random)))
}

fn moment(hosts: &[String], at: u64, step: u64, random: &mut fastrand::Rng) -> Batch {
    let wanted = demand(at) * (0.8 + 0.4 * random.f64());
    let seconds = step as f64 / 1000.0;
    let slots = SLOTS * hosts.len() as f64;
    let shares: Vec<(String, f64)> = hosts
        .iter()
        .enumerate()
        .map(|(index, name)| {
            // The first ones are the fast ones, and get more.
            let favour = 1.2 - 0.6 * index as f64 / hosts.len() as f64;
            let share = (wanted * favour * (0.7 + 0.6 * random.f64())).clamp(0.0, 1.0);
            (name.clone(), share)
        })
        .collect();
    let busy = shares.iter().map(|(_, share)| share * SLOTS).sum::<f64>();
    let jobs = busy * seconds / 2.5;
    let queued = (wanted - 0.75).max(0.0) * slots;
    let count = |share: f64| (jobs * share).round() as u64;
    Batch {
        at,
        sample: Sample {
            seconds,
            slots,
            busy,
            queued,
            hosts: hosts.len() as f64,
            remote: count(0.86),
            own: count(0.05),
            local: count(0.09),
            failed: count(0.012),
            lost: u64::from(random.u32(..400) == 0),
            cancelled: count(0.002),
            waited_ms: (jobs * (20.0 + queued * 60.0)) as u64,
            waits: count(0.91),
        },
        hosts: shares,
        ..Batch::default()
    }
}

/// The part of the cluster that is wanted at a time of the week.
fn demand(at: u64) -> f64 {
    let hour = at as f64 / HOUR as f64;
    let of_day = hour % 24.0;
    // The first day of 1970 was a Thursday.
    let is_weekend = matches!((hour / 24.0) as u64 % 7, 2 | 3);
    let nightly = if (2.0..3.5).contains(&of_day) {
        0.85
    } else {
        0.02
    };
    if is_weekend {
        return nightly;
    }
    let work = (-((of_day - 11.0) / 2.2).powi(2)).exp() * 0.75
        + (-((of_day - 15.5) / 2.0).powi(2)).exp() * 0.9;
    nightly.max(work)
}

#[cfg(test)]
mod tests {
    use super::super::Question;
    use super::*;

    #[test]
    fn the_same_past_for_the_same_seed_without_gaps() {
        let now = 20_000 * 24 * HOUR + 15 * HOUR + 1234;
        let hosts = ["ada".to_owned(), "grace".to_owned()];
        let past = |seed| {
            let store = Store::in_memory().unwrap();
            invent(&store, &hosts, now, seed).unwrap();
            let month = Question::new(Some(now - 29 * 24 * HOUR), None, Some(HOUR), now);
            store.range(&month).unwrap()
        };
        let month = past(1);
        let first = |seed| moment(&hosts, now, HOUR, &mut fastrand::Rng::with_seed(seed)).sample;
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        assert!(
            month.points.len() > 29 * 24 && month.points.iter().all(|point| point.busy.is_some())
        );
        let busy = month.points.iter().filter_map(|point| point.busy);
        let busiest = busy.fold(0.0, f64::max);
        assert!(busiest > 8.0 && busiest <= 16.0, "{busiest}");
    }
}
