//! Which of several answers to take, and when enough have been heard.
//!
//! Icecream waits the whole time for answers. Here the first suitable one opens a window of 300 ms: on one network
//! all schedulers have answered by then, and a daemon is back at work ten times sooner.
//!
//! Pure: time comes in as the time since the question.

use std::net::SocketAddr;
use std::time::Duration;

use gelato_wire::ByteString;
use gelato_wire::datagram::{Reply, better};

/// How long answers better than the first suitable one are waited for.
pub const WINDOW: Duration = Duration::from_millis(300);

/// Foreign network names that are remembered; the rest is a flood.
const MOST_OTHERS: usize = 64;

/// The answers so far.
#[derive(Clone, Debug)]
pub struct Choice {
    netname: ByteString,
    wait: Duration,
    first: Option<Duration>,
    best: Option<(SocketAddr, Reply)>,
    others: Vec<ByteString>,
}

impl Choice {
    /// Looks for `netname` for at most `wait`.
    pub fn new(netname: ByteString, wait: Duration) -> Choice {
        Choice {
            netname,
            wait,
            first: None,
            best: None,
            others: Vec::new(),
        }
    }

    /// Takes an answer that came `after` the question.
    pub fn offer(&mut self, from: SocketAddr, reply: Reply, after: Duration) {
        if !reply.serves(&self.netname) {
            if !self.others.contains(&reply.netname) && self.others.len() < MOST_OTHERS {
                self.others.push(reply.netname);
            }
            return;
        }
        self.first.get_or_insert(after);
        // Schedulers that started in the same second are told apart by their address, so that all daemons choose alike.
        match &self.best {
            Some((address, best))
                if better(best, &reply) || (!better(&reply, best) && *address <= from) => {}
            _ => self.best = Some((from, reply)),
        }
    }

    /// When to stop waiting, measured from the question.
    pub fn deadline(&self) -> Duration {
        match self.first {
            Some(first) => self.wait.min(first.saturating_add(WINDOW)),
            None => self.wait,
        }
    }

    /// The answer to take so far.
    pub fn best(&self) -> Option<&(SocketAddr, Reply)> {
        self.best.as_ref()
    }

    /// Other networks that answered, in order.
    pub fn others(&self) -> &[ByteString] {
        &self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn offer(choice: &mut Choice, port: u16, version: u32, start_time: u64, netname: &str) {
        let reply = Reply {
            version,
            start_time,
            netname: netname.into(),
        };
        choice.offer(([10, 0, 0, 1], port).into(), reply, 100 * MS);
    }

    fn best_port(choice: &Choice) -> Option<u16> {
        choice.best().map(|(from, _)| from.port())
    }

    #[test]
    fn version_then_age_then_address_decide() {
        let mut choice = Choice::new("ICECREAM".into(), 3000 * MS);
        offer(&mut choice, 1, 43, 10, "ICECREAM");
        assert_eq!(best_port(&choice), Some(1));
        offer(&mut choice, 2, 44, 30, "icecream");
        offer(&mut choice, 3, 44, 20, "ICECREAM");
        offer(&mut choice, 4, 44, 20, "ICECREAM");
        assert_eq!(best_port(&choice), Some(3));
        offer(&mut choice, 2, 44, 20, "ICECREAM");
        assert_eq!(best_port(&choice), Some(2), "whatever came first");
        offer(&mut choice, 3, 44, 20, "ICECREAM");
        offer(&mut choice, 5, 32, 0, "ICECREAM");
        assert_eq!(best_port(&choice), Some(2));
    }

    #[test]
    fn other_networks_are_noted_and_do_not_count() {
        let mut choice = Choice::new("ICECREAM".into(), 3000 * MS);
        offer(&mut choice, 1, 44, 10, "lab");
        offer(&mut choice, 2, 44, 10, "lab");
        assert_eq!(best_port(&choice), None);
        assert_eq!(choice.others(), [ByteString::from("lab")]);
        assert_eq!(choice.deadline(), 3000 * MS);
        for port in 0..1000 {
            offer(&mut choice, port, 44, 10, &format!("flood {port}"));
        }
        assert_eq!(choice.others().len(), MOST_OTHERS);
    }

    #[test]
    fn the_first_suitable_answer_opens_a_short_window() {
        let mut choice = Choice::new("ICECREAM".into(), 3000 * MS);
        offer(&mut choice, 1, 43, 10, "ICECREAM");
        assert_eq!(choice.deadline(), 400 * MS);
        offer(&mut choice, 2, 44, 10, "ICECREAM");
        assert_eq!(
            choice.deadline(),
            400 * MS,
            "later answers do not prolong it"
        );

        let mut impatient = Choice::new("ICECREAM".into(), 200 * MS);
        offer(&mut impatient, 1, 43, 10, "ICECREAM");
        assert_eq!(impatient.deadline(), 200 * MS);
    }
}
