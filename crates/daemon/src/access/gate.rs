//! The door of the TCP port: asked for each connection, and told when it ends and what its peer did wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gelato_net::access::{Refusals, canonical};
use tracing::{debug, warn};

use super::peers::{Full, Peers};
use super::{Access, AccessReport, Offence};
use crate::worker::job::Budget;

/// Shared by all that accept and serve connections.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Access,
    /// For sources of all jobs that wait.
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    peers: Peers,
    refusals: Refusals,
}

/// One connection that was let in; it counts as long as this lives.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    address: IpAddr,
    budget: Arc<Budget>,
}

impl Gate {
    /// A gate nobody has passed yet.
    pub(crate) fn new(access: Access) -> Gate {
        Gate {
            budget: Arc::new(Budget::new(access.waiting_source)),
            access,
            state: Mutex::default(),
        }
    }

    /// Lets a connection from `address` in, or says in the log why not.
    pub(crate) fn admit(self: &Arc<Gate>, address: IpAddr) -> Option<Ticket> {
        let address = canonical(address);
        let now = Instant::now();
        let mut state = self.lock();
        if !self.access.rules.permits(address) {
            if state.refusals.note(address, now) {
                warn!(
                    "refused a connection from {address}: it is in no network that may connect; \
                     the setting daemon.allow says which may"
                );
            }
            return None;
        }
        let (most, most_of_one) = (self.access.connections, self.access.peer_connections);
        if let Err(full) = state.peers.connect(address, most, most_of_one, now) {
            if state.refusals.note(address, now) {
                match full {
                    Full::Avoided(left) => debug!(
                        "refused a connection from {address}, which is avoided for {} s more",
                        left.as_secs()
                    ),
                    Full::Peer => warn!(
                        "refused a connection from {address}: it has {most_of_one} already, see the setting \
                         daemon.peer-connections"
                    ),
                    Full::All => warn!(
                        "refused a connection from {address}: there are {most} already, see the setting \
                         daemon.connections"
                    ),
                }
            }
            return None;
        }
        let shared = state.peers.budget(address, now);
        let budget = shared.upgrade().unwrap_or_else(|| {
            let limit = self.access.peer_waiting_source;
            let budget = Arc::new(Budget::within(&self.budget, limit));
            *shared = Arc::downgrade(&budget);
            budget
        });
        Some(Ticket {
            gate: Arc::clone(self),
            address,
            budget,
        })
    }

    /// Memory for sources of jobs that came over the local socket.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What is known of the peers.
    pub(crate) fn report(&self) -> AccessReport {
        let state = self.lock();
        AccessReport {
            connections: state.peers.connections(),
            refused: state.refusals.count(),
            peers: state.peers.report(Instant::now()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Memory for sources of this peer's jobs that wait.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Counts what the peer did. This machine itself is never avoided: its users must not be able to lock each other out.
    pub(crate) fn offend(&self, offence: Offence) {
        if is_this_machine(self.address) {
            return;
        }
        let avoided = self
            .gate
            .lock()
            .peers
            .offend(self.address, offence, Instant::now());
        if let Some(long) = avoided {
            warn!(
                "{} {}: its connections are refused for {} s",
                self.address,
                offence.description(),
                long.as_secs()
            );
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate
            .lock()
            .peers
            .disconnect(self.address, Instant::now());
    }
}

/// The address local programs have if they say nothing else.
fn is_this_machine(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use gelato_net::access::Rules;

    use super::*;

    fn gate() -> Arc<Gate> {
        Arc::new(Gate::new(Access {
            rules: Rules::new(&["127.0.0.0/8"], &["127.0.0.9"]).unwrap(),
            peer_connections: 2,
            waiting_source: 100,
            peer_waiting_source: 60,
            ..Access::default()
        }))
    }

    #[test]
    fn tickets_count_as_long_as_they_live() {
        let gate = gate();
        let here = IpAddr::from([127, 0, 0, 2]);
        let mapped = "::ffff:127.0.0.2".parse().unwrap();
        let first = gate.admit(here).unwrap();
        let _second = gate.admit(mapped).unwrap();
        assert!(gate.admit(here).is_none());
        drop(first);
        assert!(gate.admit(here).is_some());
        assert!(gate.admit([127, 0, 0, 9].into()).is_none());
        assert!(gate.admit([10, 0, 0, 1].into()).is_none());
        let report = gate.report();
        assert_eq!((report.connections, report.refused), (1, 3));
    }

    #[test]
    fn this_machine_is_never_avoided_and_others_are() {
        let gate = gate();
        for (address, avoided) in [([127, 0, 0, 1], false), ([127, 0, 0, 2], true)] {
            let ticket = gate.admit(address.into()).unwrap();
            for _ in 0..10 {
                ticket.offend(Offence::Forbidden);
            }
            drop(ticket);
            assert_eq!(gate.admit(address.into()).is_none(), avoided, "{address:?}");
        }
        let report = gate.report();
        let offence = report.peers.first().and_then(|peer| peer.offence);
        assert_eq!(offence, Some(Offence::Forbidden));
    }

    #[test]
    fn connections_of_a_peer_share_its_memory() {
        let gate = gate();
        let first = gate.admit([127, 0, 0, 2].into()).unwrap();
        let second = gate.admit([127, 0, 0, 2].into()).unwrap();
        let other = gate.admit([127, 0, 0, 3].into()).unwrap();
        assert!(first.budget().take(40));
        assert!(!second.budget().take(30), "beyond what one peer may have");
        assert!(other.budget().take(60));
        assert!(!second.budget().take(1), "beyond what all may have");
        assert!(!gate.budget().take(1));
        other.budget().give(60);
        assert!(second.budget().take(20));
    }
}
