//! The one task that owns the core. It turns what it is sent into events, does what the core says, and never waits for
//! anybody.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelato_scheduler_core::{
    Action, Audience, Config, ConnectionId, Core, Dropped, Event, MonitorEvent, Node, NodeId,
    NodeStats, Past, Time, limits,
};
use gelato_wire::control::Command;
use gelato_wire::{ByteString, Message, ProtocolVersion, msg};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::about::About;
use crate::control::answers::{self, Facts};
use crate::outbox::Outbox;
use crate::pen::Pen;
use crate::reach;
use crate::records::{Bucket, Intake};
use crate::stats_text::{Known, More};
use crate::translate::{self, Said};
use crate::waiting::{LOOK_EVERY, Told};
use crate::watchers::{self, Topic, Topics, Watchers};
use crate::{news, notes, past, recovery};

/// What the tasks around the hub tell it.
pub(crate) enum Input {
    /// A daemon introduced itself.
    Daemon {
        arrival: Arrival,
        login: Box<msg::Login>,
    },
    /// A monitor introduced itself.
    Monitor { arrival: Arrival },
    /// A monitor wants more than Icecream's feed.
    Subscribed {
        connection: ConnectionId,
        topics: Topics,
    },
    /// A daemon said something.
    Message {
        connection: ConnectionId,
        message: Box<Message>,
    },
    /// A connection ended.
    Closed { connection: ConnectionId },
    /// Result of a reachability test.
    Tested { node: NodeId, reachable: bool },
    /// A command of the control port.
    Command {
        command: Command,
        may_change: bool,
        who: IpAddr,
        reply: oneshot::Sender<Answer>,
    },
    /// Somebody said a wrong token on the control port.
    WrongToken { who: IpAddr },
    /// A connection to the control port wants its greeting.
    Greeting { reply: oneshot::Sender<Vec<u8>> },
    /// A better scheduler is there: everybody is to go to it.
    Superseded,
}

/// A connection that has just introduced itself.
pub(crate) struct Arrival {
    pub(crate) connection: ConnectionId,
    pub(crate) address: IpAddr,
    pub(crate) local_address: IpAddr,
    pub(crate) version: ProtocolVersion,
    pub(crate) own_version: u32,
    pub(crate) outbox: Outbox,
}

/// Answer to a control command.
pub(crate) struct Answer {
    /// What can be said at once.
    pub(crate) text: Vec<u8>,
    /// Daemons whose own words are to follow, in this order.
    pub(crate) waiting: Vec<(ByteString, oneshot::Receiver<ByteString>)>,
}

/// See the module.
pub(crate) struct Hub {
    core: Core,
    algorithm: gelato_scheduler_core::Algorithm,
    /// Seconds of silence before a PING, as daemons are told.
    ping_after: u32,
    started: Instant,
    inputs: mpsc::Sender<Input>,
    nodes: HashMap<NodeId, Link>,
    node_of: HashMap<ConnectionId, NodeId>,
    monitors: Watchers,
    /// Which jobs monitors were told of that wait.
    told: Told,
    records: Intake,
    /// Refused commands that may still be spoken of.
    complaints: Bucket,
    /// Start of this scheduler in milliseconds since 1970.
    started_at: u64,
    /// The daemon whose login the core is looking at.
    arriving: Option<Arrival>,
    /// Where what was learned is kept.
    history: Option<PathBuf>,
    /// The last job when it was saved last.
    saved_at: u32,
    /// Events that follow from what was just done.
    following: VecDeque<Event>,
    pen: Pen,
}

/// A daemon's connection.
struct Link {
    connection: ConnectionId,
    version: ProtocolVersion,
    outbox: Outbox,
    /// GET_INTERNALS sent and not yet answered.
    asked: u32,
    /// Who waits for the answer.
    askers: Vec<oneshot::Sender<ByteString>>,
    /// What it told about itself.
    about: Option<About>,
    /// What monitors were told of it last.
    shown: Option<(Box<NodeStats>, Known)>,
    /// Records it may still send.
    records: Bucket,
}

/// How often what was learned is saved, if there is anything new.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// More questions for internals than this are not sent on to a daemon that answers none.
const MOST_ASKED: u32 = 16;

impl Hub {
    pub(crate) fn new(
        config: Config,
        history: Option<PathBuf>,
        trace: Option<&Path>,
        inputs: mpsc::Sender<Input>,
    ) -> Hub {
        let algorithm = config.algorithm;
        let ping_after = u32::try_from(config.ping_after).unwrap_or(u32::MAX);
        let mut core = Core::new(config.clone());
        let mut known = Past::default();
        if let Some(path) = &history {
            match past::load(path) {
                Ok(None) => {}
                Ok(Some(past)) => {
                    tracing::info!(
                        "remembering {} files and {} workers",
                        past.files.len(),
                        past.workers.len()
                    );
                    if trace.is_some() {
                        known = past.clone();
                    }
                    core.remember(past);
                }
                Err(error) => tracing::warn!("learning everything anew: {error}"),
            }
        }
        Hub {
            algorithm,
            ping_after,
            core,
            history,
            saved_at: 0,
            started: Instant::now(),
            inputs,
            nodes: HashMap::new(),
            node_of: HashMap::new(),
            monitors: Watchers::default(),
            told: Told::default(),
            records: Intake::new(Instant::now()),
            complaints: Bucket::counting(10, 1, Instant::now()),
            started_at: since_1970(),
            arriving: None,
            following: VecDeque::new(),
            pen: trace.map_or_else(Pen::default, |path| Pen::begin(path, &config, &known)),
        }
    }

    /// Works until `shutdown` is ready, then says good-bye to everybody.
    pub(crate) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut saving = None;
        let mut save = interval_at(Instant::now() + SAVE_EVERY, SAVE_EVERY);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.core.next_deadline().map(|at| self.instant(at));
            let alarm = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                () = alarm => self.happen(Event::Tick),
                _ = look.tick(), if self.monitors.want(Topic::Explanations) => {
                    let news = self.told.news(&self.core, self.now(), Instant::now());
                    self.monitors.publish(Topic::Explanations, news);
                }
                _ = save.tick() => {
                    if self.saved_at != self.core.last_job()
                        && let Some((path, past)) = self.learned()
                    {
                        saving = Some(tokio::task::spawn_blocking(move || keep(&path, &past)));
                    }
                }
            }
        }
        if let Some(saving) = saving {
            let _ = saving.await;
        }
        if let Some((path, past)) = self.learned() {
            keep(&path, &past);
        }
        self.happen(Event::Stop);
    }

    /// What was learned, and where it is to go, if there is any of it.
    fn learned(&mut self) -> Option<(PathBuf, Past)> {
        let path = self.history.clone()?;
        if self.core.last_job() == 0 {
            return None;
        }
        self.saved_at = self.core.last_job();
        Some((path, self.core.past()))
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Daemon { arrival, login } => {
                let event = Event::Login(Box::new(translate::login(
                    &login,
                    arrival.version,
                    arrival.own_version,
                    arrival.connection,
                    arrival.address,
                    arrival.local_address,
                )));
                self.arriving = Some(arrival);
                self.happen(event);
                self.arriving = None;
            }
            Input::Monitor { arrival } => {
                let connection = arrival.connection;
                self.monitors.add(connection, arrival.outbox);
                self.happen(Event::MonitorJoined { connection });
            }
            Input::Subscribed { connection, topics } => {
                if self.monitors.subscribe(connection, topics) {
                    let news = watchers::message(&self.described());
                    self.monitors.tell_one(connection, vec![news]);
                }
            }
            Input::Message {
                connection,
                message,
            } => {
                if let Some(node) = self.node_of.get(&connection).copied() {
                    self.hear(node, *message);
                }
            }
            Input::Closed { connection } => {
                self.monitors.remove(connection);
                if let Some(node) = self.node_of.get(&connection).copied() {
                    self.unlink(node);
                    self.happen(Event::Left { node });
                }
            }
            Input::Tested { node, reachable } => {
                self.happen(Event::Reachability { node, reachable });
            }
            Input::Command {
                command,
                may_change,
                who,
                reply,
            } => {
                let answer = self.obey(command, may_change, who);
                let _ = reply.send(answer);
            }
            Input::WrongToken { who } => {
                if self.complaints.take(1, Instant::now()) {
                    tracing::warn!("operator {who}: wrong control token");
                    let news = news::operator(&who.to_string(), "token", "wrong");
                    self.monitors.publish(Topic::Any, vec![news]);
                }
            }
            Input::Greeting { reply } => {
                let uptime = self.started.elapsed();
                let _ = reply.send(answers::greeting(&self.core, uptime));
            }
            Input::Superseded => {
                self.monitors.clear();
                self.happen(Event::Drain);
            }
        }
    }

    fn hear(&mut self, node: NodeId, message: Message) {
        let Some(link) = self.nodes.get_mut(&node) else {
            return;
        };
        let name = message.name();
        match translate::said(node, link.version, message) {
            Said::Event(event) => self.happen(*event),
            Said::Internals(text) if link.asked > 0 => {
                link.asked -= 1;
                for asker in link.askers.drain(..) {
                    let _ = asker.send(text.clone());
                }
            }
            Said::Note(text) => self.note(node, &text),
            Said::Records(text) => {
                let records = self.records.take(&text, &mut link.records, Instant::now());
                if self.monitors.want(Topic::Records) {
                    let news = records.iter().map(|record| news::record(node, record));
                    self.monitors.publish(Topic::Records, news.collect());
                }
            }
            Said::Leaves => {
                self.unlink(node);
                self.happen(Event::Left { node });
            }
            Said::Internals(_) | Said::Unexpected => {
                tracing::info!("Invalid message type arrived {name}");
                self.unlink(node);
                self.happen(Event::Left { node });
            }
        }
    }

    fn happen(&mut self, event: Event) {
        self.following.push_back(event);
        while let Some(event) = self.following.pop_front() {
            let now = self.now();
            self.pen.before(now, &event);
            let actions = self.core.handle(now, event);
            self.pen.after(&actions);
            self.perform(actions);
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let mut for_all = Vec::new();
        let mut for_newcomer = Vec::new();
        let mut decided = Vec::new();
        let mut changed = Vec::new();
        let explain = self.monitors.want(Topic::Explanations);
        for action in actions {
            match &action {
                Action::UseWorker { answer, .. } => {
                    decided.extend(explain.then_some(answer.job));
                    changed.extend((!answer.installed).then_some(answer.worker));
                }
                Action::CompileYourself { job, .. } => decided.extend(explain.then_some(*job)),
                Action::Configure { node } => changed.push(*node),
                _ => {}
            }
            match action {
                Action::Accept { node, .. } => self.link(node),
                Action::Refuse { reason, .. } => {
                    if let Some(arrival) = self.arriving.take() {
                        tracing::info!("refused a login from {}: {reason}", arrival.address);
                    }
                }
                Action::Configure { node } => {
                    self.send(node, translate::configuration(self.ping_after));
                }
                Action::UseWorker { node, answer } => self.send(node, translate::use_cs(&answer)),
                Action::CompileYourself { node, job, client } => self.send(
                    node,
                    Message::NoCs(msg::NoCs {
                        job_id: job.0,
                        client_id: client.0,
                    }),
                ),
                Action::Ping { node } => {
                    if let Some(node) = self.core.node(node) {
                        tracing::debug!("send ping {}", node.name());
                    }
                    self.send(node, Message::Ping);
                }
                Action::TestReachability {
                    node,
                    address,
                    port,
                } => self.test(node, address, port),
                Action::Disconnect { node, reason } => {
                    self.unlink(node);
                    report(&reason);
                }
                Action::Monitor { to, event } => {
                    self.remember_shown(&event);
                    match to {
                        Audience::All if self.monitors.is_empty() => {}
                        Audience::All => for_all.push(self.for_monitors(&event)),
                        Audience::One(monitor) => {
                            for_newcomer.push((monitor, self.for_monitors(&event)));
                        }
                    }
                }
                Action::Note(note) => notes::log(&note, self.algorithm),
            }
        }
        if let Some((monitor, _)) = for_newcomer.first() {
            let monitor = *monitor;
            let messages = for_newcomer.into_iter().map(|(_, message)| message);
            self.monitors.tell_one(monitor, messages.collect());
        }
        if !self.monitors.is_empty() {
            for node in changed {
                for_all.extend(self.shown_anew(node));
            }
        }
        self.monitors.tell(for_all);
        let explained = decided.into_iter().filter_map(|job| {
            let why = answers::explanation(&self.core, self.core.decision(job)?);
            Some(news::explained(job, &why))
        });
        let explained = explained.collect();
        self.monitors.publish(Topic::Explanations, explained);
    }

    /// The text about a daemon, if what is known of it is not what monitors were told.
    fn shown_anew(&mut self, node: NodeId) -> Option<Message> {
        let known = self.known(node);
        let (stats, before) = self.nodes.get_mut(&node)?.shown.as_mut()?;
        if *before == known {
            return None;
        }
        *before = known;
        let event = MonitorEvent::Stats(stats.clone());
        Some(self.for_monitors(&event))
    }

    fn known(&self, node: NodeId) -> Known {
        self.core.node(node).map_or_else(Known::default, |node| {
            Known::of(node, self.core.is_blocked(node))
        })
    }

    /// What this scheduler says of itself.
    fn described(&self) -> String {
        let algorithm = self.algorithm.name().to_ascii_lowercase();
        let blocked = self.core.blocked().map(ToString::to_string);
        news::scheduler(self.started_at, &algorithm, blocked)
    }

    fn link(&mut self, node: NodeId) {
        if let Some(arrival) = self.arriving.take() {
            self.node_of.insert(arrival.connection, node);
            self.nodes.insert(
                node,
                Link {
                    connection: arrival.connection,
                    version: arrival.version,
                    outbox: arrival.outbox,
                    asked: 0,
                    askers: Vec::new(),
                    about: None,
                    shown: None,
                    records: Bucket::of_one(Instant::now()),
                },
            );
        }
    }

    /// A daemon tells about itself: monitors hear of it at once.
    fn note(&mut self, node: NodeId, text: &ByteString) {
        if let Some(events) = recovery::events(node, text, since_1970() / 1000) {
            for event in events {
                self.happen(event);
            }
            return;
        }
        let Some(link) = self.nodes.get_mut(&node) else {
            return;
        };
        let about = About::parse(text);
        if about.is_none() {
            tracing::debug!("node {node} sent a note that makes no sense");
        }
        if link.about == about {
            return;
        }
        let answers_ping = about.as_ref().is_some_and(|about| about.answers_ping);
        link.about = about;
        if answers_ping {
            self.happen(Event::Watch { node });
        }
        let Some(link) = self.nodes.get(&node) else {
            return;
        };
        if let Some((stats, _)) = link.shown.clone()
            && !self.monitors.is_empty()
        {
            let message = self.for_monitors(&MonitorEvent::Stats(stats));
            self.monitors.tell(vec![message]);
        }
    }

    fn remember_shown(&mut self, event: &MonitorEvent) {
        if let MonitorEvent::Stats(stats) = event {
            let known = self.known(stats.node);
            if let Some(link) = self.nodes.get_mut(&stats.node) {
                link.shown = Some((stats.clone(), known));
            }
        }
    }

    fn for_monitors(&self, event: &MonitorEvent) -> Message {
        let mut more = More {
            algorithm: self.algorithm,
            ..More::default()
        };
        if let MonitorEvent::Stats(stats) = event {
            more.known = self.known(stats.node);
            let link = self.nodes.get(&stats.node);
            more.about = link.and_then(|link| link.about.as_ref());
        }
        translate::for_monitors(event, &more)
    }

    /// Forgets a daemon's connection. Its writer sends what is left and closes it.
    fn unlink(&mut self, node: NodeId) {
        if let Some(link) = self.nodes.remove(&node) {
            self.node_of.remove(&link.connection);
        }
    }

    fn send(&mut self, node: NodeId, message: Message) {
        if let Some(link) = self.nodes.get(&node)
            && link.outbox.send(message.into()).is_err()
        {
            tracing::warn!("node {node} does not read what it is sent, removing it");
            self.unlink(node);
            self.following.push_back(Event::Left { node });
        }
    }

    fn test(&self, node: NodeId, address: IpAddr, port: u32) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let reachable = reach::can_connect(address, port).await;
            let _ = inputs.send(Input::Tested { node, reachable }).await;
        });
    }

    /// Does what the control port was told, and says so to whom it may concern.
    fn obey(&mut self, command: Command, may_change: bool, who: IpAddr) -> Answer {
        let changing = answers::changing(&command);
        let blocked = self.core.blocked().count();
        let answer = self.answer(command, may_change);
        if let Some(words) = changing {
            let result = match answer.text.starts_with(b"40") {
                true => String::from_utf8_lossy(&answer.text).trim().to_owned(),
                false => "ok".to_owned(),
            };
            if may_change || self.complaints.take(1, Instant::now()) {
                tracing::info!("operator {who}: {words}: {result}");
                let news = news::operator(&who.to_string(), &words, &result);
                self.monitors.publish(Topic::Any, vec![news]);
            }
        }
        if self.core.blocked().count() != blocked {
            let news = self.described();
            self.monitors.publish(Topic::Any, vec![news]);
        }
        answer
    }

    fn answer(&mut self, command: Command, may_change: bool) -> Answer {
        let mut waiting = Vec::new();
        let text = match command {
            command if !may_change && answers::changing(&command).is_some() => {
                answers::not_allowed()
            }
            Command::RemoveCs(hosts) => self.drop_hosts(&hosts, |host| Event::Remove { host }),
            Command::BlockCs(hosts)
                if hosts.len() + self.core.blocked().count() > limits::BLOCKED =>
            {
                answers::block_list_full()
            }
            Command::BlockCs(hosts) => self.drop_hosts(&hosts, |host| Event::Block { host }),
            Command::UnblockCs(hosts) => {
                for host in &hosts {
                    let host = host.as_str().into();
                    self.happen(Event::Unblock { host });
                }
                answers::unblocked(&hosts)
            }
            Command::Other {
                word, arguments, ..
            } if matches!(word.as_str(), "drain" | "undrain") => {
                self.drain_hosts(&arguments, word == "drain")
            }
            Command::Internals(hosts) => {
                waiting = self.ask_internals(&hosts);
                Vec::new()
            }
            reading => {
                let about = |node| {
                    let link = self.nodes.get(&node);
                    let told = link.and_then(|link| link.about.as_ref());
                    let draining = self.core.node(node).is_some_and(Node::is_draining);
                    let suffix = told.map_or_else(String::new, About::suffix);
                    if draining {
                        format!(" draining{suffix}")
                    } else {
                        suffix
                    }
                };
                let facts = Facts {
                    now: self.now(),
                    uptime: self.started.elapsed(),
                    records: self.records.tally(),
                    monitors: self.monitors.len(),
                };
                answers::reading(&self.core, &reading, &facts, about)
            }
        };
        Answer { text, waiting }
    }

    fn drop_hosts(
        &mut self,
        hosts: &[String],
        event: impl Fn(gelato_scheduler_core::Text) -> Event,
    ) -> Vec<u8> {
        let mut text = Vec::new();
        if hosts.is_empty() {
            text.extend_from_slice(gelato_wire::control::WHICH_HOSTS.as_bytes());
        }
        for host in hosts {
            if self.core.find(host.as_bytes()).is_some() {
                gelato_wire::control::removing(&mut text, host);
            }
            self.happen(event(host.as_str().into()));
        }
        text
    }

    fn drain_hosts(&mut self, hosts: &[String], drain: bool) -> Vec<u8> {
        if hosts.is_empty() {
            return answers::DRAIN_WHOM.as_bytes().to_vec();
        }
        if drain && hosts.len() + self.core.resting().count() > limits::BLOCKED {
            return answers::block_list_full();
        }
        for host in hosts {
            let host = host.as_str().into();
            self.happen(match drain {
                true => Event::Rest { host },
                false => Event::Resume { host },
            });
        }
        Vec::new()
    }

    /// Asks the named daemons, or all, for their own description.
    fn ask_internals(
        &mut self,
        hosts: &[String],
    ) -> Vec<(ByteString, oneshot::Receiver<ByteString>)> {
        let named = |node: &gelato_scheduler_core::Node| {
            hosts.is_empty() || hosts.iter().any(|host| node.answers_to(host.as_bytes()))
        };
        let nodes: Vec<(NodeId, ByteString)> = self
            .core
            .nodes()
            .filter(|node| named(node))
            .map(|node| (node.id(), translate::bytes(node.name())))
            .collect();
        let mut waiting = Vec::new();
        for (node, name) in nodes {
            let (sender, receiver) = oneshot::channel();
            waiting.push((name, receiver));
            if let Some(link) = self.nodes.get_mut(&node)
                && link.asked < MOST_ASKED
            {
                link.asked += 1;
                link.askers.retain(|asker| !asker.is_closed());
                link.askers.push(sender);
                self.send(node, Message::GetInternals);
            }
        }
        waiting
    }

    fn now(&self) -> Time {
        let passed = self.started.elapsed().as_millis();
        Time(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn instant(&self, at: Time) -> Instant {
        let far = || self.started + Duration::from_secs(86_400 * 365);
        self.started
            .checked_add(Duration::from_millis(at.0))
            .unwrap_or_else(far)
    }
}

fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn keep(path: &Path, past: &Past) {
    if let Err(error) = past::save(path, past) {
        tracing::warn!(
            "cannot keep what was learned in {}: {error}",
            path.display()
        );
    }
}

fn report(reason: &Dropped) {
    match reason {
        Dropped::ForeignJob(_) | Dropped::TooMuch { .. } => {
            tracing::warn!("disconnected a daemon: it {reason}");
        }
        _ => tracing::debug!("disconnected a daemon: {reason}"),
    }
}
