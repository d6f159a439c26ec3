//! The operator's requests over the local socket: what the daemon says of itself, and the changes people may make. Also
//! what the scheduler is told for people.
//!
//! Pure. What only the machine can tell (free disk, memory of running jobs, peers) is added by [`crate::outside`]. The words are read by `gelato status` and by scripts: members are added, never renamed.

use gelato_wire::msg::{Answer, GELATO_SCHEDULER, NodeNote, RECORDS_SINCE};
use gelato_wire::{ByteString, Message};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::Core;
use super::client::{Client, Place, PlacedJob, State};
use super::vocabulary::{Action, JobReport, Origin};
use crate::access::Operators;
use crate::courtesy::Mode;
use crate::ids::ClientId;
use crate::load::FULL;
use crate::records::desk::Question;

/// Requests are small; more is no request.
const LONGEST_REQUEST: usize = 4096;

/// Jobs and toolchains that are listed; more are only counted.
const MOST_LISTED: usize = 256;

/// The protocol version that has `NODE_NOTE`.
const NOTES_SINCE: u32 = 44;

/// The longest pause that has an end, in seconds: a year.
const LONGEST_PAUSE: u64 = 366 * 86_400;

/// What the daemon is and does not change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// Release of the program.
    pub(crate) version: &'static str,
    /// Name of the network.
    pub(crate) netname: String,
    /// The sandbox in force, as `namespaces+cgroup`; none if no jobs of others can be run.
    pub(crate) sandbox: Option<String>,
    /// What it is made of.
    pub(crate) layers: Vec<&'static str>,
    /// Why there is no stronger one.
    pub(crate) obstacles: Vec<String>,
    /// Whether the settings want jobs of others.
    pub(crate) remote_wanted: bool,
    /// Bytes of toolchains that are kept.
    pub(crate) cache_limit: u64,
    /// Folder of toolchains and jobs.
    pub(crate) base: String,
    /// The user the daemon runs as.
    pub(crate) user: u32,
    /// Who may change what it does.
    pub(crate) operators: Operators,
    /// When it began, in seconds since 1970.
    pub(crate) started: u32,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    foreign: u64,
    foreign_failed: u64,
    handed_back: u64,
    local: u64,
    own: u64,
    elsewhere: u64,
}

impl Counters {
    /// A job of another machine is over.
    pub(super) fn foreign_over(&mut self, report: &JobReport) {
        self.foreign += 1;
        self.foreign_failed += u64::from(report.exit_code != 0);
    }

    /// A job of another machine goes back to it.
    pub(super) fn handed_back(&mut self) {
        self.handed_back += 1;
    }

    /// A link or the like of this machine got its slot.
    pub(super) fn local_begun(&mut self) {
        self.local += 1;
    }

    /// A compilation of this machine is over.
    pub(super) fn own_over(&mut self, place: &Place) {
        match place {
            Place::Elsewhere { .. } => self.elsewhere += 1,
            Place::Here | Place::HereLater(_) => self.own += 1,
        }
    }

    /// A client has ended. Nobody reports compilations elsewhere here but the end of their client.
    pub(super) fn ended(&mut self, client: &Client) {
        let elsewhere = |job: &&PlacedJob| matches!(job.place, Place::Elsewhere { .. });
        let jobs = client.jobs.iter().filter(elsewhere).count();
        self.elsewhere += u64::try_from(jobs).unwrap_or(0);
    }

    fn json(self) -> Value {
        json!({
            "foreign": self.foreign,
            "foreign_failed": self.foreign_failed,
            "handed_back": self.handed_back,
            "local": self.local,
            "own": self.own,
            "elsewhere": self.elsewhere,
        })
    }
}

/// What is remembered only to be told.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) counters: Counters,
    /// The scheduler that was tried last.
    scheduler: Option<String>,
    /// Why there is none.
    no_scheduler: Option<String>,
    /// When it was found or lost, in seconds since 1970.
    since: u32,
    /// It is Gelato's and takes notes.
    is_ours: bool,
    /// The newest extension it knows; 0 of Icecream's.
    extension: u32,
    /// What it was told last.
    noted: Option<String>,
}

impl Desk {
    /// A scheduler was looked for.
    pub(super) fn sought(&mut self, found: Result<String, String>) {
        match found {
            Ok(address) => self.scheduler = Some(address),
            Err(reason) => self.no_scheduler = Some(reason),
        }
    }

    /// A scheduler took us in.
    pub(super) fn link_up(&mut self, now: u32) {
        self.since = now;
        self.is_ours = false;
        self.extension = 0;
        self.noted = None;
    }

    /// It is gone.
    pub(super) fn link_down(&mut self, now: u32) {
        self.since = now;
        self.is_ours = false;
        self.extension = 0;
        let lost = self.scheduler.as_deref().unwrap_or("the scheduler");
        self.no_scheduler = Some(format!("lost the connection to {lost}"));
    }

    /// What it says of itself in its configuration.
    pub(super) fn greeted(&mut self, banner: &ByteString) {
        let number = banner.as_bytes().strip_prefix(GELATO_SCHEDULER.as_bytes());
        self.is_ours = number.is_some();
        self.extension = number
            .and_then(|number| std::str::from_utf8(number).ok())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
    }
}

/// Who asks, by the credentials of the local socket.
pub(crate) type Asker = Option<u32>;

impl Core {
    /// The operator asks for something. `asker` is the user behind the local socket, where known.
    pub(super) fn on_ask(&mut self, id: ClientId, asker: Asker, request: &ByteString) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if matches!(client.origin, Origin::Network(_)) {
            warn!("refused ASK of client {id}: only programs of this machine may ask for that");
            return self.violation(id);
        }
        if client.state != State::Unknown {
            return self.violation(id);
        }
        let request = match parse(request) {
            Ok(request) => request,
            Err(text) => return self.answer(id, &refusal("malformed", &text)),
        };
        let ask = request.get("ask").and_then(Value::as_str).unwrap_or("");
        if ask == "status" {
            let status = Box::new(self.status());
            return self.actions.push(Action::Describe(id, status));
        }
        if matches!(ask, "records" | "builds") {
            return self.on_question(id, asker, &request);
        }
        if !matches!(ask, "pause" | "resume" | "drain") {
            let text = format!("this daemon does not know the request {ask:?}");
            return self.answer(id, &refusal("unknown-request", &text));
        }
        if !self.may_operate(asker) {
            let text = "only root and the daemon's user may do that here: the setting daemon.operators is \
                        \"administrators\"";
            return self.answer(id, &refusal("not-allowed", text));
        }
        if let Err(text) = self.operate(ask, &request) {
            return self.answer(id, &refusal("malformed", &text));
        }
        let by = asker.map_or_else(|| "somebody".to_owned(), |user| format!("user {user}"));
        info!("{ask} by {by}");
        let standing = self.standing();
        self.answer(id, &standing);
    }

    /// Records name files, so they are for those whose jobs they are about.
    fn on_question(&mut self, id: ClientId, asker: Asker, request: &Value) {
        let user = match asker {
            Some(user) if self.is_administrator(user) => None,
            Some(user) => Some(user),
            None => {
                let text = "records are for those whose jobs they are about, and over TCP nobody can tell who asks: use \
                            the local socket";
                return self.answer(id, &refusal("not-allowed", text));
            }
        };
        match Question::read(request, user) {
            Ok(question) => self.actions.push(Action::Recall(id, question)),
            Err(text) => self.answer(id, &refusal("malformed", &text)),
        }
    }

    fn is_administrator(&self, user: u32) -> bool {
        user == 0 || user == self.settings.about.user
    }

    /// Whether the scheduler wants records of jobs.
    pub(crate) fn scheduler_takes_records(&self) -> bool {
        self.desk.extension >= RECORDS_SINCE
            && self
                .link
                .is_some_and(|link| link.version.at_least(NOTES_SINCE))
    }

    fn may_operate(&self, asker: Asker) -> bool {
        match self.settings.about.operators {
            Operators::Anyone => true,
            Operators::Administrators => asker.is_some_and(|user| self.is_administrator(user)),
        }
    }

    fn answer(&mut self, id: ClientId, value: &Value) {
        let text = value.to_string().into();
        self.actions
            .push(Action::Send(id, Message::Answer(Answer { text })));
    }

    /// All that is known, for people and programs.
    fn status(&self) -> Value {
        let about = &self.settings.about;
        let mut status = json!({
            "version": about.version,
            "node": self.node_name,
            "netname": about.netname,
            "platform": self.settings.platform,
            "pid": std::process::id(),
            "user": about.user,
            "started": about.started,
            "now": self.now.unix,
            "port": self.settings.port,
            "scheduler": self.scheduler_json(),
            "sandbox": {
                "level": about.sandbox,
                "layers": about.layers,
                "obstacles": about.obstacles,
            },
            "toolchains": self.toolchains_json(),
            "jobs": self.jobs_json(),
            "counters": self.desk.counters.json(),
            "load": self.load_json(),
            "base": about.base,
        });
        if let (Value::Object(status), Value::Object(standing)) = (&mut status, self.standing()) {
            status.extend(standing);
        }
        status
    }

    /// What is offered to others now, and why not more: the part that pause, resume and drain change.
    fn standing(&self) -> Value {
        let capacity = self.courtesy.capacity();
        let (until, why) = match self.courtesy.mode() {
            Mode::Paused { until, why } => (*until, Some(why.as_str())),
            Mode::Running | Mode::Draining => (None, None),
        };
        let reasons: Vec<Value> = capacity
            .reasons
            .iter()
            .map(|reason| {
                json!({
                    "code": reason.code(),
                    "refuses": reason.refuses(),
                    "text": reason.to_string(),
                })
            })
            .collect();
        let waiting = |foreign: bool| {
            let waits = |client: &&Client| match client.state {
                State::ToCompile => foreign,
                State::LinkJob | State::PendingUseCs => !foreign,
                _ => false,
            };
            self.clients.values().filter(waits).count()
        };
        let foreign = self.slots.foreign();
        json!({
            "mode": self.courtesy.mode().name(),
            "until": until,
            "why": why,
            "accepting": capacity.accepting && !self.settings.no_remote,
            "remote_wanted": self.settings.about.remote_wanted,
            "reasons": reasons,
            "slots": {
                "configured": self.settings.max_jobs,
                "offered": capacity.slots,
                "cpus": self.settings.cpus,
                "foreign": foreign,
                "local": self.slots.used().saturating_sub(foreign),
                "waiting_foreign": waiting(true),
                "waiting_local": waiting(false),
            },
        })
    }

    fn operate(&mut self, ask: &str, request: &Value) -> Result<(), String> {
        let mode = match ask {
            "pause" => {
                let until = pause_end(request.get("for"), u64::from(self.now.unix))?;
                let why = request.get("why").and_then(Value::as_str).unwrap_or("");
                Mode::paused(until, why)
            }
            "drain" => Mode::Draining,
            _ => Mode::Running,
        };
        self.on_operate(mode);
        Ok(())
    }

    fn scheduler_json(&self) -> Value {
        match &self.link {
            Some(link) => json!({
                "connected": true,
                "address": self.desk.scheduler,
                "since": self.desk.since,
                "protocol": link.version.number(),
                "gelato": self.desk.is_ours,
                "known_as": link.own_address.to_string(),
            }),
            None => json!({
                "connected": false,
                "since": self.desk.since,
                "reason": self.desk.no_scheduler,
            }),
        }
    }

    fn toolchains_json(&self) -> Value {
        let list: Vec<Value> = self
            .toolchains
            .iter()
            .take(MOST_LISTED)
            .map(|installed| {
                let users = self.clients.values().filter(|client| {
                    client.state == State::WaitForChild
                        && client
                            .foreign
                            .as_ref()
                            .is_some_and(|job| job.request.toolchain == installed.toolchain)
                });
                json!({
                    "platform": installed.toolchain.platform,
                    "name": installed.toolchain.name,
                    "size": installed.size,
                    "jobs": users.count(),
                })
            })
            .collect();
        let used: u64 = self.toolchains.iter().map(|installed| installed.size).sum();
        json!({
            "count": self.toolchains.len(),
            "used": used,
            "limit": self.settings.about.cache_limit,
            "list": list,
        })
    }

    fn jobs_json(&self) -> Value {
        let listed = |client: &Client| {
            let job = client.foreign.as_ref()?;
            let state = match client.state {
                State::WaitForChild => "running",
                State::ToCompile => "waiting",
                _ => return None,
            };
            let age = self.now.instant.duration_since(job.since).as_secs();
            Some(json!({
                "client": client.id.number(),
                "from": match client.origin {
                    Origin::Network(address) => address.to_string(),
                    Origin::Socket | Origin::Loopback => "this machine".to_owned(),
                },
                "job": job.request.job_id,
                "compiler": job.request.command.compiler,
                "file": job.request.command.input_file.to_string_lossy(),
                "state": state,
                "age": age,
            }))
        };
        self.clients
            .values()
            .filter_map(listed)
            .take(MOST_LISTED)
            .collect()
    }

    fn load_json(&self) -> Value {
        let stats = self.meter.current();
        let average = |thousandths: u32| f64::from(thousandths) / 1000.0;
        json!({
            "load": if self.courtesy.capacity().accepting { stats.load } else { FULL },
            "averages": [
                average(stats.load_avg_1),
                average(stats.load_avg_5),
                average(stats.load_avg_10),
            ],
            "free_memory": u64::from(stats.free_mem) << 20,
            "idle": f64::from(self.meter.cpu_idle()) / 1000.0,
        })
    }

    /// Tells a scheduler of our own what people should know of this machine, if that has changed. Others never get it.
    pub(super) fn note_node(&mut self) {
        if self
            .link
            .is_none_or(|link| !link.version.at_least(NOTES_SINCE))
            || !self.desk.is_ours
        {
            return;
        }
        let about = &self.settings.about;
        let capacity = self.courtesy.capacity();
        let mut remarks: Vec<String> = capacity.reasons.iter().map(ToString::to_string).collect();
        if about.sandbox.is_none() && about.remote_wanted {
            remarks.push(format!(
                "no acceptable sandbox, so no jobs of others: {}",
                about.obstacles.join("; ")
            ));
        }
        let text = json!({
            "version": about.version,
            "sandbox": about.sandbox,
            "mode": self.courtesy.mode().name(),
            "remarks": remarks,
            "answers": ["ping"],
        })
        .to_string();
        if self.desk.noted.as_ref() != Some(&text) {
            let note = NodeNote {
                text: text.as_str().into(),
            };
            self.desk.noted = Some(text);
            self.report(Message::NodeNote(note));
        }
    }
}

fn parse(request: &ByteString) -> Result<Value, String> {
    if request.as_bytes().len() > LONGEST_REQUEST {
        return Err(format!("requests have at most {LONGEST_REQUEST} bytes"));
    }
    match serde_json::from_slice(request.as_bytes()) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("a request is a JSON object".to_owned()),
        Err(error) => Err(format!("the request is no JSON: {error}")),
    }
}

fn refusal(code: &str, text: &str) -> Value {
    json!({ "error": { "code": code, "text": text } })
}

/// The end of a pause, in seconds since 1970.
fn pause_end(wanted: Option<&Value>, now: u64) -> Result<Option<u64>, String> {
    match wanted {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds @ 1..=LONGEST_PAUSE) => Ok(Some(now.saturating_add(seconds))),
            _ => Err(format!(
                "a pause is for 1 to {LONGEST_PAUSE} seconds, not for {value}"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_objects_of_bounded_size() {
        assert!(parse(&"{\"ask\":\"status\"}".into()).is_ok());
        assert!(parse(&"[]".into()).is_err());
        assert!(parse(&"{".into()).is_err());
        assert!(parse(&format!("{{\"why\":\"{}\"}}", "x".repeat(5000)).into()).is_err());
        // Deeply nested input must not exhaust the stack.
        assert!(parse(&"[".repeat(4000).into()).is_err());
    }

    #[test]
    fn pauses_end_within_a_year_or_never() {
        assert_eq!(pause_end(None, 100), Ok(None));
        assert_eq!(pause_end(Some(&json!(60)), 100), Ok(Some(160)));
        for wrong in [json!(0), json!(-5), json!("2h"), json!(LONGEST_PAUSE + 1)] {
            assert!(pause_end(Some(&wrong), 100).is_err(), "{wrong}");
        }
    }
}
