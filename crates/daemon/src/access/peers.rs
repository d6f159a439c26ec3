//! What is known of each peer: its connections, and what it did that it must not. Pure; the clock comes in.
//!
//! Offences are points that fade. A peer that collects [`ENOUGH`] of them is avoided: a minute at first, twice as long each
//! time it happens again. The table is bounded: when it is full, the peer that matters least is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::{Offence, PeerReport};
use crate::worker::job::Budget;

/// Points that make a peer one to be avoided.
const ENOUGH: u32 = 300;

/// A point fades in this time, so that [`ENOUGH`] of them are gone after half an hour.
const FADE: Duration = Duration::from_secs(6);

/// How long a peer is avoided the first time, and at most.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// After this long without an offence the next one is a first one again.
const FORGIVEN: Duration = Duration::from_secs(2 * 3600);

/// Peers that are remembered.
const MOST_PEERS: usize = 4096;

/// Peers in a report.
const MOST_REPORTED: usize = 64;

/// Why a peer may not come in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// It is avoided, for this long still.
    Avoided(Duration),
    /// It has as many connections as one peer may have.
    Peer,
    /// All have as many as all may have.
    All,
}

/// All peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    known: HashMap<IpAddr, Peer>,
    connections: usize,
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    points: u32,
    /// Up to when points have faded.
    counted: Instant,
    avoided_until: Option<Instant>,
    /// How often it has been avoided.
    times: u32,
    offence: Option<(Offence, Instant)>,
    /// For the sources of its waiting jobs, as long as there are any.
    budget: Weak<Budget>,
}

impl Peers {
    /// Counts a connection of `address`, if there is room.
    pub(crate) fn connect(
        &mut self,
        address: IpAddr,
        most: usize,
        most_of_one: usize,
        now: Instant,
    ) -> Result<(), Full> {
        if let Some(peer) = self.known.get(&address) {
            if let Some(left) = peer.avoided_for(now) {
                return Err(Full::Avoided(left));
            }
            if peer.connections >= most_of_one {
                return Err(Full::Peer);
            }
        }
        if self.connections >= most {
            return Err(Full::All);
        }
        self.connections += 1;
        self.peer(address, now).connections += 1;
        Ok(())
    }

    /// A connection counted by [`connect`](Self::connect) is over.
    pub(crate) fn disconnect(&mut self, address: IpAddr, now: Instant) {
        self.connections = self.connections.saturating_sub(1);
        if let Some(peer) = self.known.get_mut(&address) {
            peer.connections = peer.connections.saturating_sub(1);
            if peer.is_forgettable(now) {
                self.known.remove(&address);
            }
        }
    }

    /// Counts an offence; how long the peer is avoided if this was one too many.
    pub(crate) fn offend(
        &mut self,
        address: IpAddr,
        offence: Offence,
        now: Instant,
    ) -> Option<Duration> {
        let peer = self.peer(address, now);
        peer.fade(now);
        if let Some((_, last)) = peer.offence
            && now.saturating_duration_since(last) >= FORGIVEN
        {
            peer.times = 0;
        }
        peer.offence = Some((offence, now));
        // What was already under way when it began to be avoided counts no more.
        if peer.avoided_for(now).is_some() {
            return None;
        }
        peer.points = peer.points.saturating_add(offence.points());
        if peer.points < ENOUGH {
            return None;
        }
        let long = FIRST.saturating_mul(1 << peer.times.min(16)).min(LONGEST);
        peer.points = 0;
        peer.times = peer.times.saturating_add(1);
        peer.avoided_until = now.checked_add(long);
        Some(long)
    }

    /// What a peer is to be remembered for: memory of the sources it has waiting, shared by its connections.
    pub(crate) fn budget(&mut self, address: IpAddr, now: Instant) -> &mut Weak<Budget> {
        &mut self.peer(address, now).budget
    }

    /// Connections now.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// The peers worth a line, the worst first.
    pub(crate) fn report(&self, now: Instant) -> Vec<PeerReport> {
        let mut peers: Vec<PeerReport> = self
            .known
            .iter()
            .map(|(address, peer)| PeerReport {
                address: *address,
                connections: peer.connections,
                points: peer.points_at(now),
                avoided_for: peer.avoided_for(now),
                offence: peer.offence.map(|(offence, _)| offence),
            })
            .filter(|peer| peer.connections > 0 || peer.points > 0 || peer.avoided_for.is_some())
            .collect();
        peers.sort_by_key(|peer| {
            std::cmp::Reverse((
                peer.avoided_for,
                peer.points,
                peer.connections,
                peer.address,
            ))
        });
        peers.truncate(MOST_REPORTED);
        peers
    }

    fn peer(&mut self, address: IpAddr, now: Instant) -> &mut Peer {
        if self.known.len() >= MOST_PEERS && !self.known.contains_key(&address) {
            self.make_room(now);
        }
        self.known.entry(address).or_insert_with(|| Peer {
            connections: 0,
            points: 0,
            counted: now,
            avoided_until: None,
            times: 0,
            offence: None,
            budget: Weak::new(),
        })
    }

    /// Forgets who has done nothing lately, else the one that matters least. Those with connections stay: there are not
    /// more of them than connections.
    fn make_room(&mut self, now: Instant) {
        self.known.retain(|_, peer| !peer.is_forgettable(now));
        if self.known.len() < MOST_PEERS {
            return;
        }
        let least = self
            .known
            .iter()
            .filter(|(_, peer)| peer.connections == 0)
            .min_by_key(|(_, peer)| (peer.avoided_for(now), peer.points_at(now)))
            .map(|(address, _)| *address);
        if let Some(address) = least {
            self.known.remove(&address);
        }
    }
}

impl Peer {
    fn points_at(&self, now: Instant) -> u32 {
        let past = now.saturating_duration_since(self.counted).as_secs() / FADE.as_secs();
        self.points
            .saturating_sub(u32::try_from(past).unwrap_or(u32::MAX))
    }

    fn fade(&mut self, now: Instant) {
        self.points = self.points_at(now);
        let rest = now.saturating_duration_since(self.counted).as_secs() % FADE.as_secs();
        self.counted = now.checked_sub(Duration::from_secs(rest)).unwrap_or(now);
    }

    fn avoided_for(&self, now: Instant) -> Option<Duration> {
        self.avoided_until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        let forgiven = self.offence.is_none_or(|(_, last)| {
            self.times == 0 || now.saturating_duration_since(last) >= FORGIVEN
        });
        self.connections == 0
            && self.points_at(now) == 0
            && self.avoided_for(now).is_none()
            && forgiven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const SECOND: Duration = Duration::from_secs(1);

    fn connect(peers: &mut Peers, address: IpAddr, now: Instant) -> Result<(), Full> {
        peers.connect(address, 5, 3, now)
    }

    fn offend_until_avoided(peers: &mut Peers, now: Instant) -> Duration {
        (0..1000)
            .find_map(|_| peers.offend(A, Offence::Garbage, now))
            .unwrap()
    }

    #[test]
    fn connections_are_counted_for_each_and_for_all() {
        let now = Instant::now();
        let mut peers = Peers::default();
        for _ in 0..3 {
            assert_eq!(connect(&mut peers, A, now), Ok(()));
        }
        assert_eq!(connect(&mut peers, A, now), Err(Full::Peer));
        assert_eq!(connect(&mut peers, B, now), Ok(()));
        assert_eq!(connect(&mut peers, B, now), Ok(()));
        assert_eq!(connect(&mut peers, B, now), Err(Full::All));
        peers.disconnect(A, now);
        assert_eq!(connect(&mut peers, B, now), Ok(()));
        for address in [A, A, B, B, B] {
            peers.disconnect(address, now);
        }
        assert_eq!(peers.connections(), 0);
        assert!(
            peers.known.is_empty(),
            "nothing is kept of who did nothing wrong"
        );
    }

    #[test]
    fn some_offences_make_a_peer_avoided_for_a_while_and_each_time_longer() {
        let mut now = Instant::now();
        let mut peers = Peers::default();
        assert_eq!(peers.offend(A, Offence::Garbage, now), None);
        assert_eq!(peers.offend(A, Offence::Garbage, now), None);
        assert_eq!(peers.offend(A, Offence::Garbage, now), Some(FIRST));
        assert_eq!(connect(&mut peers, A, now), Err(Full::Avoided(FIRST)));
        assert_eq!(connect(&mut peers, B, now), Ok(()));
        now += FIRST;
        assert_eq!(connect(&mut peers, A, now), Ok(()));
        assert_eq!(offend_until_avoided(&mut peers, now), FIRST * 2);
        for _ in 0..20 {
            now += LONGEST;
            offend_until_avoided(&mut peers, now);
        }
        now += LONGEST;
        assert_eq!(offend_until_avoided(&mut peers, now), LONGEST);
        now += FORGIVEN;
        assert_eq!(offend_until_avoided(&mut peers, now), FIRST);
    }

    #[test]
    fn offences_fade() {
        let mut now = Instant::now();
        let mut peers = Peers::default();
        for _ in 0..100 {
            assert_eq!(peers.offend(A, Offence::Garbage, now), None);
            now += 600 * SECOND;
        }
        for _ in 0..10_000 {
            assert_eq!(
                peers.offend(B, Offence::Abort, now),
                None,
                "one every six seconds"
            );
            now += FADE;
        }
        let at_once = (0..300).filter_map(|_| peers.offend(B, Offence::Abort, now));
        assert_eq!(at_once.count(), 1);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_matters() {
        let now = Instant::now();
        let mut peers = Peers::default();
        offend_until_avoided(&mut peers, now);
        assert_eq!(connect(&mut peers, B, now), Ok(()));
        for number in 0..20_000u32 {
            let address = IpAddr::from((0x0b00_0000 + number).to_be_bytes());
            peers.offend(address, Offence::Silence, now);
        }
        assert!(peers.known.len() <= MOST_PEERS);
        assert_eq!(connect(&mut peers, A, now), Err(Full::Avoided(FIRST)));
        assert_eq!(peers.known.get(&B).map(|peer| peer.connections), Some(1));
        let report = peers.report(now);
        assert_eq!(report.len(), MOST_REPORTED);
        assert_eq!(report.first().map(|peer| peer.address), Some(A));
    }
}
