//! What the text port answers. The old commands answer byte for byte as Icecream's do.

use std::collections::BTreeMap;
use std::time::Duration;

use gelato_scheduler_core::{
    Candidate, Core, Decision, Forecast, Job, JobId, Node, NodeId, Rescued, State, Time,
};
use gelato_wire::ByteString;
use gelato_wire::control::{
    self, Command, Greeting, HELP, HostLine, JobLine, JobState, WHICH_HOST,
};

use crate::records::Tally;
use crate::server::release;
use crate::translate::bytes;
use crate::waiting;

/// What a new connection is told.
pub(crate) fn greeting(core: &Core, uptime: Duration) -> Vec<u8> {
    let mut text = Vec::new();
    Greeting {
        release: release().to_owned(),
        uptime: uptime.as_secs(),
        hosts: core.nodes().count(),
        jobs: core.job_count() + core.recovered().count(),
        total: core.last_job(),
    }
    .write(&mut text);
    text
}

/// What the answers need beside the core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The time.
    pub(crate) now: Time,
    /// Since the scheduler started.
    pub(crate) uptime: Duration,
    /// What became of the records of jobs.
    pub(crate) records: Tally,
    /// Monitors that are connected.
    pub(crate) monitors: usize,
}

/// A command that changes something, as it is told to others.
pub(crate) fn changing(command: &Command) -> Option<String> {
    let (word, hosts) = match command {
        Command::RemoveCs(hosts) => ("removecs", hosts),
        Command::BlockCs(hosts) => ("blockcs", hosts),
        Command::UnblockCs(hosts) => ("unblockcs", hosts),
        Command::Other {
            word, arguments, ..
        } if matches!(word.as_str(), "drain" | "undrain") => (word.as_str(), arguments),
        _ => return None,
    };
    let mut words = vec![word];
    words.extend(hosts.iter().map(String::as_str));
    Some(words.join(" "))
}

/// The answer to a command that changes nothing. `about` is what a daemon told about itself, for the end of its line.
pub(crate) fn reading(
    core: &Core,
    command: &Command,
    facts: &Facts,
    about: impl Fn(NodeId) -> String,
) -> Vec<u8> {
    let mut text = Vec::new();
    let now = facts.now;
    match command {
        Command::ListCs => {
            for node in core.nodes() {
                let more = about(node.id());
                host_line(node, now, more).write(&mut text);
                for job in node.jobs().filter_map(|job| core.job(job)) {
                    job_line(core, job).write_below_host(&mut text);
                }
                for job in node.recovered() {
                    recovered_line(core, node.id(), job).write_below_host(&mut text);
                }
            }
        }
        Command::ListJobs => {
            for job in core.jobs() {
                job_line(core, job).write(&mut text);
            }
            for (worker, job) in core.recovered() {
                recovered_line(core, worker, job).write(&mut text);
            }
        }
        Command::ListBlocks => {
            for host in core.blocked() {
                control::blocked(&mut text, &host.to_string());
            }
        }
        Command::Help => text.extend_from_slice(HELP.as_bytes()),
        Command::Other {
            word,
            arguments,
            line,
        } => match (word.as_str(), &arguments[..]) {
            ("why", [job]) => text.extend_from_slice(why(core, job, now).as_bytes()),
            ("stats", []) => text.extend_from_slice(stats(core, facts).as_bytes()),
            ("stats", [option]) if option == "--json" => {
                text.extend_from_slice(stats_json(core, facts).as_bytes());
            }
            ("slots", []) => text.extend_from_slice(slots(core).as_bytes()),
            ("slots", [option]) if option == "--json" => {
                text.extend_from_slice(slots_json(core).as_bytes());
            }
            ("listdrained", []) => {
                for host in core.resting() {
                    control::blocked(&mut text, &host.to_string());
                }
            }
            ("commands", []) => text.extend_from_slice(COMMANDS.as_bytes()),
            ("why", _) => text.extend_from_slice(b"401 Sure. But which job?\n"),
            _ => control::invalid(&mut text, line),
        },
        // Answered by the hub or the connection.
        Command::RemoveCs(_)
        | Command::BlockCs(_)
        | Command::UnblockCs(_)
        | Command::Internals(_)
        | Command::Quit => {}
    }
    text
}

/// What this scheduler is and has in hand, one fact per line.
fn stats(core: &Core, facts: &Facts) -> String {
    let waiting = core.jobs().filter(|job| job.worker().is_none()).count();
    format!(
        " release: {}\n algorithm: {}\n uptime: {}s\n hosts: {}\n slots: {}\n jobs waiting: {waiting}\n \
         jobs placed: {}\n jobs so far: {}\n \
         records taken: {}\n records dropped: {}\n monitors: {}\n",
        release(),
        core.algorithm().name().to_ascii_lowercase(),
        facts.uptime.as_secs(),
        core.nodes().count(),
        core.nodes().map(Node::shown_slots).sum::<i64>(),
        core.job_count() - waiting,
        core.last_job(),
        facts.records.taken,
        facts.records.dropped,
        facts.monitors,
    )
}

fn stats_json(core: &Core, facts: &Facts) -> String {
    let waiting = core.jobs().filter(|job| job.worker().is_none()).count();
    let stats = serde_json::json!({
        "release": release(),
        "algorithm": core.algorithm().name().to_ascii_lowercase(),
        "uptime_s": facts.uptime.as_secs(),
        "hosts": core.nodes().count(),
        "slots": core.nodes().map(Node::shown_slots).sum::<i64>(),
        "jobs_waiting": waiting,
        "jobs_placed": core.job_count() - waiting,
        "jobs_so_far": core.last_job(),
        "records_taken": facts.records.taken,
        "records_dropped": facts.records.dropped,
        "monitors": facts.monitors,
    });
    format!("{stats}\n")
}

/// Slots of a platform.
#[derive(Default)]
struct Slots {
    hosts: u64,
    all: u64,
    in_use: u64,
    free: u64,
}

/// By platform, those that take jobs.
fn platforms(core: &Core) -> BTreeMap<String, Slots> {
    let mut platforms: BTreeMap<String, Slots> = BTreeMap::new();
    for node in core.nodes() {
        let slots = u64::try_from(node.shown_slots()).unwrap_or(0);
        if slots == 0 || node.is_draining() {
            continue;
        }
        let platform = platforms.entry(node.platform().to_string()).or_default();
        platform.hosts += 1;
        platform.all += slots;
        platform.in_use += node.occupied().min(slots);
        platform.free += slots.saturating_sub(node.occupied());
    }
    platforms
}

fn slots(core: &Core) -> String {
    let line = |(platform, slots): (String, Slots)| {
        let Slots {
            hosts,
            all,
            in_use,
            free,
        } = slots;
        format!(" {platform}: {all} slots of {hosts} hosts, {in_use} in use, {free} free\n")
    };
    platforms(core).into_iter().map(line).collect()
}

fn slots_json(core: &Core) -> String {
    let platforms: Vec<_> = platforms(core)
        .into_iter()
        .map(|(platform, slots)| {
            serde_json::json!({
                "platform": platform, "hosts": slots.hosts, "slots": slots.all,
                "in_use": slots.in_use, "free": slots.free,
            })
        })
        .collect();
    format!("{}\n", serde_json::json!({ "platforms": platforms }))
}

/// The answer to `unblockcs`.
pub(crate) fn unblocked(hosts: &[String]) -> Vec<u8> {
    if hosts.is_empty() {
        WHICH_HOST.as_bytes().to_vec()
    } else {
        Vec::new()
    }
}

/// The whole answer to the right token.
pub(crate) const TOKEN_ACCEPTED: &str = "200 done\n";

/// The answer to a wrong token.
pub(crate) const WRONG_TOKEN: &str = "403 Wrong token.\n";

/// The answer to any token if there is none.
pub(crate) const NO_TOKEN: &str =
    "403 This scheduler has no control token; see --control-token-file.\n";

/// The answer to a changing command of somebody who may not.
pub(crate) fn not_allowed() -> Vec<u8> {
    b"403 Only after 'token HEX' with the scheduler's control token, or from its own machine if it was not started with \
      --control-token-required.\n"
        .to_vec()
}

/// The answer to `commands`: ours as well, with what they do.
const COMMANDS: &str = "\
listcs                the machines and the jobs on them
listjobs              all jobs
listblocks            machines that may not log in
listdrained           machines that take nothing new
why JOB               why a job went where it went, or what it waits for
stats [--json]        what the scheduler is doing
slots [--json]        slots and free ones of each platform
internals [HOST...]   what daemons say of themselves
token HEX             the right to change things, from elsewhere
drain HOST...         nothing new for these; what runs there goes on
undrain HOST...       these take jobs again
removecs HOST...      disconnect these
blockcs HOST...       disconnect these and refuse them from now on
unblockcs HOST...     accept these again
help                  Icecream's commands
commands              this list
quit                  good-bye
";

/// The answer to `drain` and `undrain` without names.
pub(crate) const DRAIN_WHOM: &str = "401 Sure. But which hosts?\n";

/// The answer to a command that names more hosts than may be blocked.
pub(crate) fn block_list_full() -> Vec<u8> {
    b"403 The list of blocked hosts is full: unblock some first.\n".to_vec()
}

/// All that another machine is told with `--control-local`.
pub(crate) fn not_for_others() -> Vec<u8> {
    b"403 Only from the scheduler's own machine: it was started with --control-local.\n".to_vec()
}

fn host_line(node: &Node, now: Time, more: String) -> HostLine {
    HostLine {
        name: bytes(node.name()),
        address: node.address().to_string(),
        port: node.port(),
        platform: bytes(node.platform()),
        speed: f64::from(node.speed()),
        jobs: usize::try_from(node.occupied()).unwrap_or(usize::MAX),
        max_jobs: node.shown_slots(),
        load: node.load(),
        installing_since: node
            .installing_since()
            .map(|since| now.seconds_since(since)),
        more,
    }
}

fn job_line(core: &Core, job: &Job) -> JobLine {
    let name = |node: Option<&Node>| node.map(|node| bytes(node.name()));
    JobLine {
        id: job.id().0,
        state: match job.state() {
            State::Queued => JobState::Pending,
            State::Placed { .. } => JobState::WaitingForClient,
            State::Compiling { .. } => JobState::Compiling,
        },
        submitter: name(core.node(job.submitter())).unwrap_or_default(),
        worker: job.worker().and_then(|worker| name(core.node(worker))),
        file: ByteString::from_bytes(job.file().as_bytes()),
    }
}

/// A job of before: its submitter may not be here.
fn recovered_line(core: &Core, worker: NodeId, job: &Rescued) -> JobLine {
    let name = |node| core.node(node).map(|node| bytes(node.name()));
    JobLine {
        id: job.id.0,
        state: JobState::Compiling,
        submitter: job.submitter.and_then(name).unwrap_or_default(),
        worker: name(worker),
        file: ByteString::from_bytes(job.file.as_bytes()),
    }
}

/// Why a job went where it went, or why it waits.
fn why(core: &Core, job: &str, now: Time) -> String {
    let Ok(number) = job.parse().map(JobId) else {
        return "401 Sure. But which job?\n".to_owned();
    };
    let name = |node| waiting::name(core, node);
    let Some(live) = core.job(number) else {
        return match core.decision(number) {
            Some(decision) => decided(decision, &name),
            None => format!(" {number} is not known, or too long ago\n"),
        };
    };
    if let Some(decision) = core.decision(number) {
        return decided(decision, &name);
    }
    if live.worker().is_some() {
        return format!(" {number} was placed, but too long ago\n");
    }
    let mut text = format!(
        " {number} waits since {:.1}s, {}\n",
        now.0.saturating_sub(live.requested_at().0) as f64 / 1000.0,
        forecast(live.forecast())
    );
    if let Some(better) = live.held_for() {
        text += &format!(
            "   for {}: it will be done there sooner than by anyone who is free\n",
            name(better)
        );
    }
    for (node, obstacle) in core.obstacles(number, now) {
        text += &format!("   {}: {obstacle}\n", name(node));
    }
    text
}

/// Why a job went where it went, on one line.
pub(crate) fn explanation(core: &Core, decision: &Decision) -> String {
    let name = |node| waiting::name(core, node);
    let mut text = format!(
        "{}: {} ({} of {} hosts could take it)",
        name(decision.worker),
        decision.why,
        decision.eligible,
        decision.nodes
    );
    if let Some(expected) = decision.forecast {
        text += &format!("; {}", forecast(expected));
    }
    if decision.waited_ms > 0 {
        text += &format!("; waited {:.1}s", decision.waited_ms as f64 / 1000.0);
    }
    for candidate in &decision.candidates {
        text += &format!("; {}{}", name(candidate.node), figures(candidate));
    }
    text
}

fn decided(decision: &Decision, name: &dyn Fn(NodeId) -> String) -> String {
    let mut text = format!(
        " {} on:{} because: {} ({} of {} hosts could take it)\n",
        decision.job,
        name(decision.worker),
        decision.why,
        decision.eligible,
        decision.nodes
    );
    if let Some(expected) = decision.forecast {
        text += &format!("   {}\n", forecast(expected));
    }
    if decision.waited_ms > 0 {
        text += &format!("   waited {:.1}s\n", decision.waited_ms as f64 / 1000.0);
    }
    for candidate in &decision.candidates {
        text += &format!("   {}{}\n", name(candidate.node), figures(candidate));
    }
    text
}

fn figures(candidate: &Candidate) -> String {
    let mut text = format!(" expected={:.0}ms", candidate.expected_ms);
    for (what, ms) in [("send", candidate.send_ms), ("wait", candidate.wait_ms)] {
        if ms > 0.0 {
            text += &format!(" {what}={ms:.0}ms");
        }
    }
    text += match (candidate.free, candidate.installed) {
        (true, true) => "",
        (false, true) => " full",
        (true, false) => " toolchain missing",
        (false, false) => " full toolchain missing",
    };
    text
}

fn forecast(forecast: Forecast) -> String {
    format!(
        "forecast: {:.0}ms of work, {} MiB, by {}",
        forecast.work_ms, forecast.memory, forecast.basis
    )
}
