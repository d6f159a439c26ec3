//! What the user wants done outside of the screen: looking for schedulers and telling one what to do. On a thread of its own, as
//! networks take their time.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelato_net::discovery::{self, Place, Wanted};

use super::dialog::Order;
use super::figures::span;
use super::ui::{Network, Outcome};
use crate::control::{self, ControlError};
use crate::web::Token;

/// How long schedulers have to answer.
const SEARCH: Duration = Duration::from_secs(1);

/// Something to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Find schedulers.
    Search(Wanted),
    /// Tell the scheduler, whose address is given.
    Operate {
        scheduler: SocketAddr,
        order: Order,
        token: Option<Token>,
    },
}

/// Does one thing after the other.
#[derive(Debug)]
pub(super) struct Worker {
    to: Sender<Job>,
    from: Receiver<Outcome>,
}

impl Worker {
    pub(super) fn start() -> Worker {
        let (to, jobs) = channel();
        let (outcomes, from) = channel();
        std::thread::spawn(move || work(&jobs, &outcomes));
        Worker { to, from }
    }

    pub(super) fn ask(&self, job: Job) {
        // It lives as long as we do.
        let _ = self.to.send(job);
    }

    pub(super) fn heard(&self) -> Option<Outcome> {
        self.from.try_recv().ok()
    }
}

fn work(jobs: &Receiver<Job>, outcomes: &Sender<Outcome>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    for job in jobs {
        let outcome = match &runtime {
            Ok(runtime) => runtime.block_on(done(job)),
            Err(error) => Outcome::Said(format!("this cannot be done here: {error}")),
        };
        if outcomes.send(outcome).is_err() {
            return;
        }
    }
}

async fn done(job: Job) -> Outcome {
    match job {
        Job::Search(wanted) => Outcome::Networks(search(&wanted).await),
        Job::Operate {
            scheduler,
            order,
            token,
        } => operate(scheduler, order, token).await,
    }
}

/// The best scheduler of each network that answers.
async fn search(wanted: &Wanted) -> Vec<Network> {
    let mut names = match wanted.place {
        Place::Network { .. } => discovery::survey(wanted, SEARCH).await,
        // One that was named is not asked; it stands alone.
        Place::Host { .. } => vec![wanted.netname.clone()],
    };
    names.sort();
    names.dedup();
    let mut networks = Vec::new();
    for name in names {
        let of_name = Wanted {
            netname: name.clone(),
            wait: SEARCH,
            ..wanted.clone()
        };
        let Ok(found) = discovery::find(&of_name).await else {
            continue;
        };
        let about = found.reply.as_ref().map_or_else(String::new, |reply| {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let up = now.as_secs().saturating_sub(reply.start_time);
            match reply.start_time {
                0 => format!("protocol {}", reply.version),
                _ => format!("protocol {}, up {}", reply.version, span(up * 1000)),
            }
        });
        networks.push(Network {
            name: crate::text::presentable(&name.to_string_lossy()),
            address: found.address.to_string(),
            about,
        });
    }
    networks
}

async fn operate(scheduler: SocketAddr, order: Order, token: Option<Token>) -> Outcome {
    let Some(port) = scheduler.port().checked_add(1) else {
        return Outcome::Said("this scheduler has no text port".to_owned());
    };
    let address = SocketAddr::new(scheduler.ip(), port);
    let command = format!("{} {}", order.action.command(), order.host);
    match control::say(address, token.as_ref(), &command).await {
        Ok(_) => Outcome::Said(format!("{command}: done")),
        // What was typed is not asked for again without a word.
        Err(ControlError::Refused(why)) if token.is_none() && why.contains("token") => {
            Outcome::TokenWanted(order)
        }
        Err(error) => Outcome::Said(format!("{command}: {error}")),
    }
}
