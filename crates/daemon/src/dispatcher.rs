//! The one task that owns the daemon's state: takes notices in order, lets [`Core`] decide, and carries its decisions to the
//! tasks that do the work. Never waits for any of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gelato_wire::Message;
use gelato_wire::msg::{Answer, GetNativeEnv, JobRecords};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::access::gate::Gate;
use crate::core::vocabulary::{Action, Event};
use crate::core::{Core, Now, Settings};
use crate::courtesy::{MemoryLook, Mode};
use crate::ids::{ClientId, Generation};
use crate::native::NativeArchives;
use crate::notice::{Notice, Order};
use crate::outside::Outside;
use crate::readings::jobs::Live;
use crate::readings::{self, Sources};
use crate::records::Shelf;
use crate::records::desk::Question;
use crate::shutdown::Shutdown;
use crate::summary::Summary;

/// Time between two looks at the machine until a scheduler says otherwise.
const SAMPLE: Duration = Duration::from_secs(3);

/// How long handed-back results may take to be sent when the daemon stops.
const LAST_RESULTS: Duration = Duration::from_secs(10);

/// How long records wait for others to go to the scheduler with them.
const GATHER: Duration = Duration::from_millis(500);

/// How long the last reports to the scheduler may take.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// The owner of the daemon's state.
pub(crate) struct Dispatcher {
    core: Core,
    notices: mpsc::Receiver<Notice>,
    departures: mpsc::UnboundedReceiver<ClientId>,
    /// For tasks started here.
    sender: mpsc::Sender<Notice>,
    clients: HashMap<ClientId, mpsc::Sender<Order>>,
    link: Option<(Generation, mpsc::Sender<Message>)>,
    native: Arc<NativeArchives>,
    node_name: Option<String>,
    base: PathBuf,
    sample_every: Duration,
    sources: Sources,
    live: Arc<Live>,
    gate: Arc<Gate>,
    records: Shelf,
    /// When records go to the scheduler.
    send_records_at: Option<Instant>,
    looked_at: Instant,
    look_now: bool,
    summary: watch::Sender<Summary>,
    looks: u64,
}

/// The file in the base folder that keeps a pause over a restart.
const PAUSE: &str = "paused";

/// The ends of the mail that the dispatcher holds.
pub(crate) struct Mailbox {
    /// From everywhere.
    pub(crate) notices: mpsc::Receiver<Notice>,
    /// Clients whose task has ended.
    pub(crate) departures: mpsc::UnboundedReceiver<ClientId>,
    /// The other end of `notices`.
    pub(crate) sender: mpsc::Sender<Notice>,
}

/// What others keep and the dispatcher looks at.
pub(crate) struct Shared {
    /// Processes of running jobs.
    pub(crate) live: Arc<Live>,
    /// Peers.
    pub(crate) gate: Arc<Gate>,
    /// Records of this machine's jobs.
    pub(crate) records: Shelf,
}

impl Dispatcher {
    /// A dispatcher without clients.
    pub(crate) fn new(
        settings: Settings,
        mailbox: Mailbox,
        native: Arc<NativeArchives>,
        node_name: Option<String>,
        base: PathBuf,
        shared: Shared,
        summary: watch::Sender<Summary>,
    ) -> Dispatcher {
        let mut core = Core::new(settings, now());
        core.set_node_name(current_name(node_name.as_deref()));
        Dispatcher {
            core,
            notices: mailbox.notices,
            departures: mailbox.departures,
            sender: mailbox.sender,
            clients: HashMap::new(),
            link: None,
            native,
            node_name,
            base,
            sample_every: SAMPLE,
            sources: Sources::default(),
            live: shared.live,
            gate: shared.gate,
            records: shared.records,
            send_records_at: None,
            looked_at: Instant::now(),
            look_now: false,
            summary,
            looks: 0,
        }
    }

    /// Runs until asked to stop, then drains: running jobs get `grace`, then they are handed back. `stop_accepting` is called
    /// first.
    pub(crate) async fn run(
        mut self,
        mut shutdown: Shutdown,
        grace: Duration,
        stop_accepting: impl FnOnce(),
    ) {
        if let Some(mode) = self.kept_mode() {
            self.handle(Event::Operate(mode));
        }
        self.sample();
        tokio::select! {
            () = self.serve() => {}
            () = shutdown.drain() => {}
        }
        stop_accepting();
        self.handle(Event::Drain);
        let drained = tokio::select! {
            done = self.serve_until_idle(grace) => done,
            () = shutdown.now() => false,
        };
        if !drained {
            warn!("jobs still run: they go back to their submitters");
            self.handle(Event::HandBackAll);
            tokio::select! {
                _ = self.serve_until_idle(LAST_RESULTS) => {}
                () = shutdown.now() => {}
            }
        }
        self.leave().await;
    }

    /// Takes notices for ever.
    async fn serve(&mut self) {
        let mut samples = interval(self.sample_every);
        let mut period = self.sample_every;
        loop {
            if period != self.sample_every {
                period = self.sample_every;
                samples = interval(period);
            }
            let deadline = self.core.deadline();
            let look_at = self.core.look_again().map(|period| self.looked_at + period);
            tokio::select! {
                Some(notice) = self.notices.recv() => self.take(notice),
                Some(id) = self.departures.recv() => self.depart(id),
                _ = samples.tick() => self.sample(),
                () = sleep_until(look_at.unwrap_or_else(Instant::now).into()), if look_at.is_some() => {
                    self.look();
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                    self.handle(Event::Deadline);
                }
                () = self.records.added(), if self.send_records_at.is_none() => {
                    self.send_records_at = Some(Instant::now() + GATHER);
                }
                () = sleep_until(self.send_records_at.unwrap_or_else(Instant::now).into()), if self.send_records_at.is_some() => {
                    self.send_records();
                }
            }
        }
    }

    /// Takes notices until no job of another machine is left; false if that takes too long.
    async fn serve_until_idle(&mut self, limit: Duration) -> bool {
        let until_idle = async {
            while !self.clients.is_empty() && self.core.foreign_clients() > 0 {
                tokio::select! {
                    Some(notice) = self.notices.recv() => self.take(notice),
                    Some(id) = self.departures.recv() => self.depart(id),
                }
            }
        };
        timeout(limit, until_idle).await.is_ok()
    }

    /// The last reports go out before the connection to the scheduler ends.
    async fn leave(mut self) {
        self.clients.clear();
        self.send_records();
        if let Some((_, messages)) = self.link.take() {
            let capacity = messages.max_capacity();
            let sent = async {
                while messages.capacity() < capacity {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let _in_time = timeout(LAST_REPORTS, sent).await;
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Hello {
                id,
                origin,
                version,
                orders,
            } => {
                self.clients.insert(id, orders);
                self.handle(Event::Connected {
                    id,
                    origin,
                    version,
                });
            }
            Notice::Link {
                generation,
                version,
                own_address,
                messages,
            } => {
                self.link = Some((generation, messages));
                self.handle(Event::LinkUp {
                    generation,
                    version,
                    own_address,
                });
            }
            Notice::Event(event) => {
                if let Event::LinkDown { generation } = &*event
                    && self
                        .link
                        .as_ref()
                        .is_some_and(|(current, _)| current == generation)
                {
                    self.link = None;
                }
                self.handle(*event);
            }
        }
    }

    /// The task of a client has ended. What it said before that comes first.
    fn depart(&mut self, id: ClientId) {
        while let Ok(notice) = self.notices.try_recv() {
            self.take(notice);
        }
        self.clients.remove(&id);
        self.handle(Event::Gone { id, broken: None });
    }

    fn sample(&mut self) {
        self.look();
        self.handle(Event::Sample(readings::take(&self.sources, &self.base)));
    }

    fn look(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        self.looked_at = Instant::now();
        self.handle(Event::Look(MemoryLook {
            memory: readings::memory(&self.sources),
            jobs: self.live.memory(&self.sources),
        }));
    }

    fn handle(&mut self, event: Event) {
        let mut too_slow = Vec::new();
        for action in self.core.handle(now(), event) {
            self.carry_out(action, &mut too_slow);
        }
        for id in too_slow {
            let broken = Some("it does not read what it is told".to_owned());
            self.handle(Event::Gone { id, broken });
        }
        self.publish();
        if std::mem::take(&mut self.look_now) {
            self.look();
        }
    }

    /// To a scheduler that wants them; others never hear of them.
    fn send_records(&mut self) {
        self.send_records_at = None;
        if !self.core.scheduler_takes_records() {
            return self.records.open().forget_unsent();
        }
        let (messages, more) = self.records.open().next_messages();
        for text in messages {
            let text = text.into();
            self.report(Message::JobRecords(JobRecords { text }));
        }
        if more {
            self.send_records_at = Some(Instant::now() + GATHER);
        }
    }

    fn recall(&self, id: ClientId, question: Question) {
        let Some(orders) = self.clients.get(&id).cloned() else {
            return;
        };
        let records = self.records.clone();
        // There may be much to write.
        tokio::spawn(async move {
            let text = question.answer(&records).to_string().into();
            let answer = Message::Answer(Answer { text });
            // Who does not listen any more has no use for it.
            let _gone = orders.try_send(Order::Send(answer));
        });
    }

    fn kept_mode(&self) -> Option<Mode> {
        match std::fs::read_to_string(self.base.join(PAUSE)) {
            Ok(text) => Some(Mode::from_kept(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            // Somebody wanted a pause.
            Err(_) => Some(Mode::paused(None, "")),
        }
    }

    fn keep_mode(&self, mode: &Mode) {
        let path = self.base.join(PAUSE);
        let kept = match mode.kept() {
            Some(text) => {
                let new = path.with_extension("new");
                std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path))
            }
            None => std::fs::remove_file(&path).or_else(|error| {
                (error.kind() == std::io::ErrorKind::NotFound)
                    .then_some(())
                    .ok_or(error)
            }),
        };
        if let Err(error) = kept {
            warn!(
                "a restart will not know what was said now: {}: {error}",
                path.display()
            );
        }
    }

    fn publish(&self) {
        let summary = Summary {
            looks: self.looks,
            ..self.core.summary()
        };
        self.records.connected(summary.connected);
        self.summary.send_if_modified(|known| {
            let changed = *known != summary;
            *known = summary;
            changed
        });
    }

    fn carry_out(&mut self, action: Action, too_slow: &mut Vec<ClientId>) {
        let (id, order) = match action {
            Action::Send(id, message) => (id, Order::Send(message)),
            Action::Close(id) => (id, Order::Close),
            Action::Receive(id, toolchain) => (id, Order::Receive(toolchain)),
            Action::Verify(id, toolchain) => (id, Order::Verify(toolchain)),
            Action::Admit(id, request) => (id, Order::Admit(request)),
            Action::StartJob(id) => (id, Order::Start),
            Action::HandBack(id, reason) => (id, Order::HandBack(reason)),
            Action::Abort(id) => (id, Order::Abort),
            Action::Misbehaved(id, offence) => (id, Order::Misbehaved(offence)),
            Action::BuildNative(id, request) => return self.build_native(id, request),
            Action::Describe(id, status) => {
                let text = self.outside().complete(*status).to_string();
                let answer = Answer { text: text.into() };
                (id, Order::Send(Message::Answer(answer)))
            }
            Action::Recall(id, question) => return self.recall(id, question),
            Action::Report(message) => return self.report(message),
            Action::Login(mut login) => {
                let name = current_name(self.node_name.as_deref());
                login.nodename = name.as_str().into();
                self.core.set_node_name(name);
                return self.report(Message::Login(login));
            }
            Action::DropLink(reason) => {
                warn!("{reason}; leaving it");
                self.link = None;
                return;
            }
            Action::Look => {
                self.look_now = true;
                return;
            }
            Action::KeepMode(mode) => return self.keep_mode(&mode),
            Action::SampleEvery(period) => {
                self.sample_every = period;
                return;
            }
        };
        let last = matches!(order, Order::Close | Order::Abort);
        let Some(orders) = self.clients.get(&id) else {
            return;
        };
        let sent = orders.try_send(order);
        if last {
            // Everything queued is still carried out; then the task sees that nobody is left to give orders.
            self.clients.remove(&id);
        } else if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            self.clients.remove(&id);
            too_slow.push(id);
        }
    }

    fn outside(&self) -> Outside<'_> {
        Outside {
            base: &self.base,
            gate: &self.gate,
            jobs: self.live.memory(&self.sources),
        }
    }

    fn report(&mut self, message: Message) {
        let Some((_, messages)) = &self.link else {
            return;
        };
        debug!("to the scheduler: {}", message.name());
        if let Err(mpsc::error::TrySendError::Full(_)) = messages.try_send(message) {
            warn!("the scheduler does not read; leaving it");
            self.link = None;
        }
    }

    fn build_native(&mut self, id: ClientId, request: GetNativeEnv) {
        let native = Arc::clone(&self.native);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let result = native.archive(request).await;
            if let Ok(path) = &result {
                info!(
                    "the toolchain archive for client {id} is {}",
                    path.display()
                );
            }
            let _daemon_ends = sender
                .send(Event::NativeArchive { id, result }.into())
                .await;
        });
    }
}

fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Now {
        instant: Instant::now(),
        unix: u32::try_from(unix).unwrap_or(u32::MAX),
    }
}

/// The given name, or the host's, which may change while the daemon runs.
fn current_name(given: Option<&str>) -> String {
    match given {
        Some(name) => name.to_owned(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}
