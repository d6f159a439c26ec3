//! How often a refusal is logged: a peer that is not wanted must not fill the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two lines about the same address.
const PAUSE: Duration = Duration::from_secs(60);

/// Addresses that are remembered. From a flood of addresses only these many lines come a minute.
const MOST: usize = 1024;

/// Which refusals have been said already.
#[derive(Debug, Default)]
pub struct Refusals {
    said: HashMap<IpAddr, Instant>,
    count: u64,
}

impl Refusals {
    /// Counts a refusal; true if it is to be logged.
    pub fn note(&mut self, address: IpAddr, now: Instant) -> bool {
        self.count = self.count.saturating_add(1);
        let recent = |at: &Instant| now.saturating_duration_since(*at) < PAUSE;
        if self.said.get(&address).is_some_and(recent) {
            return false;
        }
        if self.said.len() >= MOST {
            self.said.retain(|_, at| recent(at));
        }
        if self.said.len() >= MOST {
            return false;
        }
        self.said.insert(address, now);
        true
    }

    /// Refusals so far.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_for_each_address() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let (a, b) = (IpAddr::from([8, 8, 8, 8]), IpAddr::from([9, 9, 9, 9]));
        assert!(refusals.note(a, start));
        assert!(!refusals.note(a, start + PAUSE / 2));
        assert!(refusals.note(b, start + PAUSE / 2));
        assert!(refusals.note(a, start + PAUSE));
        assert_eq!(refusals.count(), 4);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let said = (0..10_000u32)
            .filter(|number| refusals.note(IpAddr::from(number.to_be_bytes()), start))
            .count();
        assert_eq!((said, refusals.said.len()), (MOST, MOST));
        assert!(refusals.note(IpAddr::from([1, 2, 3, 4]), start + PAUSE));
        assert_eq!(refusals.said.len(), 1);
    }
}
