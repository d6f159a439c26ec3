//! One client's connection: messages to the dispatcher, orders from it, and the long work of one client done in its own
//! task. Knows no states; what a message means is decided by the dispatcher.

use std::sync::Arc;
use std::time::Duration;

use gelato_net::stream::{Connection, Reader, Socket, Writer};
use gelato_net::{Limits, NetError, Peer};
use gelato_toolchain::store::Kept;
use gelato_wire::Message;
use gelato_wire::msg::{StatusText, VerifyEnvResult};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use crate::access::Offence;
use crate::access::gate::{Gate, Ticket};
use crate::core::client::OWN_COMPILE;
use crate::core::vocabulary::{Event, Origin, Toolchain};
use crate::ids::{ClientId, ClientIds};
use crate::notice::{Notice, Order};
use crate::worker::Worker;
use crate::worker::job::{self, Line};
use crate::worker::transfer::{self, Refusal, Transfer};
use crate::worker::verify::Doubt;

/// Orders waiting for a client. A client that leaves more unread is dropped by the dispatcher.
const ORDERS: usize = 64;

/// Another machine may be connected this long without doing anything.
const IDLE: Duration = Duration::from_secs(600);

/// The same before its first request.
const FIRST_IDLE: Duration = Duration::from_secs(60);

/// After our last word the peer may go on sending for this long before it sees a reset instead of that word.
const LINGER: Duration = Duration::from_secs(5);

/// How long a toolchain waits for the job it was sent for, safe from those that need room for theirs.
const KEEP: Duration = Duration::from_secs(60);

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) ids: Arc<ClientIds>,
    pub(crate) notices: mpsc::Sender<Notice>,
    /// Told last, whatever happens to the task.
    pub(crate) departures: mpsc::UnboundedSender<ClientId>,
    pub(crate) worker: Option<Arc<Worker>>,
    pub(crate) limits: Limits,
    /// For those that come over the network.
    pub(crate) gate: Arc<Gate>,
}

/// Reports the end of a connection's task, also if it panics.
struct Departure {
    id: ClientId,
    departures: mpsc::UnboundedSender<ClientId>,
}

impl Drop for Departure {
    fn drop(&mut self) {
        // Without a dispatcher the daemon is ending.
        let _daemon_ends = self.departures.send(self.id);
    }
}

/// Serves an accepted connection to its end.
/// `ticket` is what the gate gave it, if it came over the network.
pub(crate) async fn serve(socket: Socket, ticket: Option<Ticket>, surroundings: Surroundings) {
    let connection = match Connection::accept(socket, surroundings.limits).await {
        Ok(connection) => connection,
        // Schedulers try every minute whether we can be reached.
        Err(NetError::NeverSpoke { .. }) => return,
        Err(error) => {
            let offence = match &error {
                NetError::TimedOut { .. } => Some(Offence::Silence),
                NetError::Protocol { .. } => Some(Offence::Garbage),
                _ => None,
            };
            if let (Some(ticket), Some(offence)) = (ticket, offence) {
                ticket.offend(offence);
            }
            return debug!("{error}");
        }
    };
    let id = surroundings.ids.next();
    let _departure = Departure {
        id,
        departures: surroundings.departures.clone(),
    };
    let origin = origin(connection.peer());
    let (orders, order_queue) = mpsc::channel(ORDERS);
    let hello = Notice::Hello {
        id,
        origin,
        version: connection.version(),
        orders,
    };
    if surroundings.notices.send(hello).await.is_err() {
        return;
    }
    let (reader, writer) = connection.split();
    let mut client = Client {
        id,
        origin,
        reader,
        writer,
        orders: order_queue,
        surroundings,
        ticket,
        refused: None,
        kept: None,
    };
    if client.converse().await {
        client.linger().await;
    }
}

fn origin(peer: &Peer) -> Origin {
    match peer.address() {
        None => Origin::Socket,
        Some(address) if address.ip().is_loopback() => Origin::Loopback,
        Some(address) => Origin::Network(address.ip()),
    }
}

struct Client {
    id: ClientId,
    origin: Origin,
    reader: Reader,
    writer: Writer,
    orders: mpsc::Receiver<Order>,
    surroundings: Surroundings,
    ticket: Option<Ticket>,
    /// The toolchain that came last and was not taken, and why.
    refused: Option<(Toolchain, Refusal)>,
    /// The toolchain that came last and was taken, and until when it stays for certain.
    kept: Option<(Kept, Instant)>,
}

impl Client {
    /// Until either side ends it; true if we had the last word and the peer may not have read it.
    async fn converse(&mut self) -> bool {
        // After some messages the next is not looked at before the dispatcher has said what to do.
        let mut undecided = false;
        let is_far = matches!(self.origin, Origin::Network(_));
        let may_be_idle = |long| is_far.then_some(long);
        let mut silence = may_be_idle(FIRST_IDLE);
        loop {
            let order = tokio::select! {
                order = self.orders.recv() => order,
                () = expiry(self.kept.as_ref().map(|(_, until)| *until)) => {
                    self.kept = None;
                    continue;
                }
                message = self.reader.receive(silence, "a request"), if !undecided => {
                    match message {
                        Ok(message) => {
                            silence = may_be_idle(IDLE);
                            undecided = awaits_decision(&message);
                            self.tell(self.event(message)).await;
                        }
                        Err(error) => {
                            if matches!(error, NetError::Protocol { .. }) {
                                self.offend(Offence::Garbage);
                            }
                            let broken = (!error.is_closed()).then(|| error.to_string());
                            self.tell(Event::Gone { id: self.id, broken }).await;
                            return false;
                        }
                    }
                    continue;
                }
            };
            match order {
                Some(Order::Send(message)) => {
                    if let Err(error) = self.writer.send(&message).await {
                        self.tell(Event::Gone {
                            id: self.id,
                            broken: Some(error.to_string()),
                        })
                        .await;
                        return false;
                    }
                }
                Some(Order::Receive(toolchain)) => {
                    undecided = false;
                    if !self.receive(&toolchain).await {
                        return true;
                    }
                }
                Some(Order::Verify(toolchain)) => {
                    undecided = false;
                    if !self.verify(&toolchain).await {
                        return false;
                    }
                }
                Some(Order::Admit(request)) => {
                    let Some(worker) = self.surroundings.worker.clone() else {
                        return true;
                    };
                    let budget = match &self.ticket {
                        Some(ticket) => ticket.budget(),
                        None => self.surroundings.gate.budget(),
                    };
                    let line = Line {
                        id: self.id,
                        reader: &mut self.reader,
                        writer: &mut self.writer,
                        orders: &mut self.orders,
                        notices: &self.surroundings.notices,
                        budget: Arc::clone(budget),
                        offence: None,
                    };
                    if let Some(offence) = job::run(line, &worker, &request).await {
                        self.offend(offence);
                    }
                    self.kept = None;
                    if worker.evict() {
                        self.tell(Event::Toolchains(worker.toolchains())).await;
                    }
                    return true;
                }
                Some(Order::Misbehaved(offence)) => self.offend(offence),
                Some(Order::Close) | None => return true,
                Some(Order::Start | Order::HandBack(_) | Order::Abort) => return false,
            }
        }
    }

    /// False if the connection is of no use afterwards.
    async fn receive(&mut self, toolchain: &Toolchain) -> bool {
        let Some(worker) = self.surroundings.worker.clone() else {
            return false;
        };
        let transfer = transfer::receive(&mut self.reader, &worker, toolchain).await;
        let (result, usable) = match transfer {
            Transfer::Ended(Ok(kept)) => {
                self.kept = Some((kept, Instant::now() + KEEP));
                self.refused = None;
                (Ok(()), true)
            }
            Transfer::Ended(Err(refusal)) => {
                if refusal.hostile {
                    self.offend(Offence::Archive);
                }
                let reason = refusal.reason.clone();
                self.refused = Some((toolchain.clone(), refusal));
                (Err(reason), true)
            }
            Transfer::Broken(error) => {
                if matches!(error, NetError::Protocol { .. }) {
                    self.offend(Offence::Garbage);
                }
                (Err(error.to_string()), false)
            }
            Transfer::Unexpected(name) => {
                self.offend(Offence::Forbidden);
                if let Err(error) = self.writer.send(&Message::End).await {
                    debug!("{error}");
                }
                (Err(format!("{name} in the middle of it")), false)
            }
        };
        let toolchains = worker.toolchains();
        self.tell(Event::Received {
            id: self.id,
            result,
            toolchains,
        })
        .await;
        usable
    }

    async fn verify(&mut self, toolchain: &Toolchain) -> bool {
        let fault = match &self.surroundings.worker {
            // A no is remembered by the submitter: what could not be tried is tried again with the job.
            Some(worker) => match worker.verify(toolchain).await {
                Err(Doubt::Bad(reason)) => Some(reason),
                Ok(()) | Err(Doubt::Unknown(_)) => None,
            },
            None => Some("this machine runs no jobs of others".to_owned()),
        };
        let ok = fault.is_none();
        let refusal = self
            .refused
            .take()
            .filter(|(refused, _)| refused == toolchain);
        let (reason, for_now) = match (fault, refusal) {
            (None, _) => (None, false),
            (Some(_), Some((_, refusal))) => (Some(refusal.reason), refusal.for_now),
            (Some(fault), None) => (Some(fault), false),
        };
        let mut sent = Ok(());
        if !for_now {
            let answer = Message::VerifyEnvResult(VerifyEnvResult { ok });
            sent = self.writer.send(&answer).await;
        }
        if let (Ok(()), Some(reason)) = (&sent, reason) {
            // After the answer: Icecream's wrappers do not expect it and have hung up by then. In its place they take
            // it for this one job.
            let text = reason.into();
            sent = self
                .writer
                .send(&Message::StatusText(StatusText { text }))
                .await;
        }
        if let Err(error) = &sent {
            warn!("{error}");
        }
        self.tell(Event::Verified { id: self.id }).await;
        sent.is_ok()
    }

    /// Commands are told with the user who gave them.
    fn event(&self, message: Message) -> Event {
        match message {
            Message::Ask(ask) => Event::Ask {
                id: self.id,
                asker: self.reader.peer().user(),
                request: ask.request,
            },
            message => Event::Message {
                id: self.id,
                message,
            },
        }
    }

    fn offend(&self, offence: Offence) {
        if let Some(ticket) = &self.ticket {
            ticket.offend(offence);
        }
    }

    async fn tell(&self, event: Event) {
        // Without a dispatcher the daemon is ending, and so is this.
        let _daemon_ends = self.surroundings.notices.send(event.into()).await;
    }

    /// Closing with input unread would throw away what the peer has not read yet, so the rest of the input is read first.
    async fn linger(self) {
        let Client {
            mut reader, writer, ..
        } = self;
        drop(writer);
        let rest = async { while reader.receive(None, "the end").await.is_ok() {} };
        // Whoever still sends after that time will not read either.
        let _in_time = timeout(LINGER, rest).await;
    }
}

/// Never if there is nothing to wait for.
async fn expiry(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn awaits_decision(message: &Message) -> bool {
    match message {
        Message::TransferEnv(_) | Message::VerifyEnv(_) => true,
        Message::CompileFile(job) => job.environment != OWN_COMPILE,
        _ => false,
    }
}
