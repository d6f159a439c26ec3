//! Everything a scheduler tells its monitors, free of the wire's oddities.
//!
//! The numbers of hosts and jobs are the scheduler's and start anew with it; [`Cluster`](crate::Cluster) turns them into
//! identities that last.

use std::collections::BTreeMap;

use gelato_record::JobRecord;
use gelato_wire::{ByteString, Message};
use serde::{Deserialize, Serialize};

use crate::text::presentable;

/// Lines of a host's text that are kept; ours has about twenty.
const MOST_LINES: usize = 64;

/// Longest piece of news that is read, in bytes: the names of thousands of blocked hosts.
const LONGEST_NEWS: usize = 128 * 1024;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The connection to a scheduler stands; what it told before is void.
    Connected {
        /// Its address.
        scheduler: String,
        /// The network's name, if it said.
        netname: Option<String>,
        /// The agreed protocol version.
        protocol: u32,
    },
    /// The connection is gone.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// What is known of a daemon.
    Host {
        /// The scheduler's number of it.
        host: u32,
        /// All that was said.
        facts: HostFacts,
    },
    /// A daemon left.
    HostGone {
        /// The scheduler's number of it.
        host: u32,
    },
    /// A job was asked for.
    Queued {
        /// The scheduler's number of the job.
        job: u32,
        /// Its submitter.
        client: u32,
        /// The file, shortened to its last folders.
        file: String,
        /// Number of a [`Language`](gelato_wire::types::Language).
        language: u32,
    },
    /// A job began to run.
    Begun {
        /// The job.
        job: u32,
        /// Where.
        host: u32,
    },
    /// A job is over.
    Done {
        /// The job.
        job: u32,
        /// How it went.
        figures: Figures,
    },
    /// A submitter began something on its own machine that cannot travel, a link for instance.
    LocalBegun {
        /// The job.
        job: u32,
        /// The machine.
        host: u32,
        /// The output, shortened.
        file: String,
    },
    /// That is over.
    LocalDone {
        /// The job.
        job: u32,
    },
    /// Who the scheduler is; only Gelato's tells.
    Scheduler {
        /// Its program and version.
        version: String,
        /// When it started, in ms since 1970.
        started: u64,
        /// How it chooses workers.
        algorithm: String,
        /// Names and addresses of hosts that an operator blocked: they are not heard of otherwise.
        #[serde(default)]
        blocked: Vec<String>,
    },
    /// The record of a job that is over; only Gelato's scheduler tells.
    Record {
        /// The scheduler's number of the submitter.
        host: u32,
        /// The record.
        record: Box<JobRecord>,
    },
    /// Why a job was placed where it was; only Gelato's scheduler tells.
    Explained {
        /// The job.
        job: u32,
        /// One line.
        why: String,
    },
    /// What a job waits for; only Gelato's scheduler tells.
    Waiting {
        /// The job.
        job: u32,
        /// Its place among those that wait, from 1.
        position: u32,
        /// A stable word.
        reason: String,
        /// One line.
        text: String,
    },
    /// Somebody changed something over the control port; only Gelato's scheduler tells.
    Operator {
        /// From where.
        who: String,
        /// What was asked for.
        command: String,
        /// What came of it.
        result: String,
    },
}

/// What is told when a job is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The compiler's exit status, or [`Figures::LOST`].
    pub exit: i32,
    /// Wall time in ms.
    pub real_ms: u32,
    /// User CPU time in ms.
    pub user_ms: u32,
    /// System CPU time in ms.
    pub system_ms: u32,
    /// Page faults.
    pub page_faults: u32,
    /// Bytes of source as sent.
    pub in_compressed: u32,
    /// Bytes of source.
    pub in_raw: u32,
    /// Bytes of the result as sent.
    pub out_compressed: u32,
    /// Bytes of the result.
    pub out_raw: u32,
}

impl Figures {
    /// The exit status that, with all figures zero, says that the scheduler lost the worker or the submitter.
    pub const LOST: i32 = 255;

    /// Whether the job was lost and did not fail by itself.
    pub fn is_lost(&self) -> bool {
        let lost = Figures {
            exit: Figures::LOST,
            ..Figures::default()
        };
        *self == lost
    }
}

/// What a scheduler says of a daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Name of the node.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Slots, as said: may be negative.
    pub slots: i32,
    /// Whether it takes no jobs of others.
    pub no_remote: bool,
    /// Platform, for instance `x86_64`.
    pub platform: String,
    /// Its protocol version.
    pub protocol: u32,
    /// Names of its features; none if it has none.
    pub features: Vec<String>,
    /// Speed as the scheduler has it.
    pub speed: f64,
    /// Load, 0 to 1000.
    pub load: u32,
    /// Load averages times 1000 over 1, 5 and 15 minutes, if they were said.
    pub averages: Option<[u32; 3]>,
    /// Free memory in MiB, if it was said.
    pub free_memory: Option<u32>,
    /// Every other line.
    pub others: BTreeMap<String, String>,
}

impl Event {
    /// What a message to a monitor says; `None` for one that says nothing to monitors.
    ///
    /// Schedulers newer than Icecream's 1.4 send two messages under the numbers of others, with the monitors' contents:
    /// the session already reads them as what they are.
    pub fn of_message(message: Message) -> Option<Event> {
        let word = |text: &ByteString| presentable(&text.to_string_lossy());
        Some(match message {
            Message::MonStats(stats) => {
                let host = stats.host_id;
                match HostFacts::read(&stats.statmsg.to_string_lossy()) {
                    Some(facts) => Event::Host { host, facts },
                    None => Event::HostGone { host },
                }
            }
            Message::MonGetCs(asked) => Event::Queued {
                job: asked.job_id,
                client: asked.host_id,
                file: word(&asked.filename),
                language: asked.language,
            },
            Message::MonJobBegin(begun) => Event::Begun {
                job: begun.job_id,
                host: begun.host_id,
            },
            Message::MonJobDone(done) => Event::Done {
                job: done.job_id,
                figures: Figures {
                    exit: done.exitcode,
                    real_ms: done.real_msec,
                    user_ms: done.user_msec,
                    system_ms: done.sys_msec,
                    page_faults: done.page_faults,
                    in_compressed: done.in_compressed,
                    in_raw: done.in_uncompressed,
                    out_compressed: done.out_compressed,
                    out_raw: done.out_uncompressed,
                },
            },
            Message::MonLocalJobBegin(begun) => Event::LocalBegun {
                job: begun.job_id,
                host: begun.host_id,
                file: word(&begun.file),
            },
            Message::JobLocalDone(done) => Event::LocalDone { job: done.job_id },
            Message::MonNews(news) => return Event::of_news(news.text.as_bytes()),
            _ => return None,
        })
    }

    /// What a piece of news says, a JSON object; `None` if it is too long, makes no sense, or says what has a message of its own.
    pub fn of_news(json: &[u8]) -> Option<Event> {
        if json.len() > LONGEST_NEWS {
            return None;
        }
        let event: Event = serde_json::from_slice(json).ok()?;
        let is_news = matches!(
            event,
            Event::Scheduler { .. }
                | Event::Record { .. }
                | Event::Explained { .. }
                | Event::Waiting { .. }
                | Event::Operator { .. }
        );
        is_news.then(|| event.presentable())
    }

    /// With every text fit to be shown, wherever it came from.
    #[must_use]
    pub fn presentable(mut self) -> Event {
        let clean = |texts: &mut [&mut String]| {
            for text in texts {
                **text = presentable(text);
            }
        };
        match &mut self {
            Event::Connected {
                scheduler, netname, ..
            } => {
                clean(&mut [scheduler]);
                clean(&mut netname.as_mut().into_iter().collect::<Vec<_>>());
            }
            Event::Lost { reason } => clean(&mut [reason]),
            Event::Host { facts, .. } => facts.make_presentable(),
            Event::Queued { file, .. } | Event::LocalBegun { file, .. } => clean(&mut [file]),
            Event::Scheduler {
                version,
                algorithm,
                blocked,
                ..
            } => {
                clean(&mut [version, algorithm]);
                clean(&mut blocked.iter_mut().collect::<Vec<_>>());
            }
            Event::Record { record, .. } => make_record_presentable(record),
            Event::Explained { why, .. } => clean(&mut [why]),
            Event::Waiting { reason, text, .. } => clean(&mut [reason, text]),
            Event::Operator {
                who,
                command,
                result,
            } => clean(&mut [who, command, result]),
            Event::HostGone { .. }
            | Event::Begun { .. }
            | Event::Done { .. }
            | Event::LocalDone { .. } => {}
        }
        self
    }
}

fn make_record_presentable(record: &mut JobRecord) {
    *record = std::mem::take(record).bounded();
    let texts = [
        &mut record.file,
        &mut record.source,
        &mut record.folder,
        &mut record.detail,
        &mut record.compiler,
    ];
    let words = [
        &mut record.reason,
        &mut record.subject,
        &mut record.language,
        &mut record.build,
        &mut record.worker,
    ];
    let words = words.into_iter().filter_map(Option::as_mut);
    for text in texts.into_iter().chain(words) {
        *text = presentable(text);
    }
}

impl HostFacts {
    fn make_presentable(&mut self) {
        for text in [&mut self.name, &mut self.ip, &mut self.platform] {
            *text = presentable(text);
        }
        for feature in &mut self.features {
            *feature = presentable(feature);
        }
        let others = std::mem::take(&mut self.others)
            .into_iter()
            .take(MOST_LINES);
        self.others = others
            .map(|(key, value)| (presentable(&key), presentable(&value)))
            .collect();
        if !self.speed.is_finite() {
            self.speed = 0.0;
        }
        self.load = self.load.min(1000);
    }

    /// Reads lines `Key:value`; `None` if they say that the host is gone. A line that makes no sense is passed over.
    pub fn read(text: &str) -> Option<HostFacts> {
        let mut facts = HostFacts::default();
        let mut averages = [None; 3];
        for (key, value) in text
            .lines()
            .take(MOST_LINES)
            .filter_map(|line| line.split_once(':'))
        {
            match key {
                "State" if value == "Offline" => return None,
                "Name" => facts.name = presentable(value),
                "IP" => facts.ip = presentable(value),
                "MaxJobs" => facts.slots = value.parse().unwrap_or(0),
                "NoRemote" => facts.no_remote = value == "true",
                "Platform" => facts.platform = presentable(value),
                "Version" => facts.protocol = value.parse().unwrap_or(0),
                "Features" => {
                    let names = value.split_whitespace().filter(|name| *name != "--");
                    facts.features = names.map(presentable).collect();
                }
                "Speed" => {
                    facts.speed = value
                        .parse()
                        .ok()
                        .filter(|speed: &f64| speed.is_finite())
                        .unwrap_or(0.0)
                }
                "Load" => facts.load = value.parse().unwrap_or(0).min(1000),
                "LoadAvg1" => averages[0] = value.parse().ok(),
                "LoadAvg5" => averages[1] = value.parse().ok(),
                "LoadAvg10" => averages[2] = value.parse().ok(),
                "FreeMem" => facts.free_memory = value.parse().ok(),
                _ => {
                    facts.others.insert(presentable(key), presentable(value));
                }
            }
        }
        if let [Some(one), Some(five), Some(fifteen)] = averages {
            facts.averages = Some([one, five, fifteen]);
        }
        Some(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_wire::msg::{JobDone, MonStats};

    const TEXT: &str = "Name:alpha\nIP:10.77.0.2\nMaxJobs:-4\nNoRemote:false\nPlatform:x86_64\nVersion:44\n\
        Features:env_xz env_zstd\nSpeed:238.628006\nLoad:350\nLoadAvg1:1200\nLoadAvg5:900\nLoadAvg10:700\nFreeMem:1000\n\
        Sandbox:namespaces\n";

    #[test]
    fn all_that_is_said_of_a_host_is_kept() {
        let facts = HostFacts::read(TEXT).unwrap();
        assert_eq!(
            (facts.name.as_str(), facts.ip.as_str()),
            ("alpha", "10.77.0.2")
        );
        assert_eq!((facts.slots, facts.load, facts.protocol), (-4, 350, 44));
        assert_eq!(facts.features, ["env_xz", "env_zstd"]);
        assert_eq!(facts.averages, Some([1200, 900, 700]));
        assert_eq!(facts.free_memory, Some(1000));
        assert_eq!(facts.others["Sandbox"], "namespaces");
    }

    #[test]
    fn nonsense_is_passed_over() {
        let facts = HostFacts::read("Speed:NaN\nLoad:99999\nMaxJobs:many\nno colon\nFeatures:--\n")
            .unwrap();
        assert_eq!((facts.speed, facts.load, facts.slots), (0.0, 1000, 0));
        assert!(facts.features.is_empty() && facts.averages.is_none());
    }

    #[test]
    fn offline_is_the_end_of_a_host() {
        let message = Message::MonStats(MonStats {
            host_id: 7,
            statmsg: "State:Offline\n".into(),
        });
        assert_eq!(
            Event::of_message(message),
            Some(Event::HostGone { host: 7 })
        );
    }

    #[test]
    fn news_say_only_what_no_message_says() {
        let read = |text: &str| Event::of_news(text.as_bytes());
        let why = Event::Explained {
            job: 3,
            why: "alpha\u{fffd}: free".to_owned(),
        };
        assert_eq!(
            read(r#"{"event":"explained","job":3,"why":"alpha\u0007: free","since":2}"#),
            Some(why)
        );
        let record = read(r#"{"event":"record","host":7,"record":{"file":"a\u202e.o","wall":9}}"#);
        let Some(Event::Record { host: 7, record }) = record else {
            panic!("{record:?}");
        };
        assert_eq!((record.file.as_str(), record.wall), ("a\u{fffd}.o", 9));
        for other in [
            "",
            "[]",
            r#"{"event":"lost","reason":"x"}"#,
            r#"{"event":"host-gone","host":1}"#,
            r#"{"event":"weather"}"#,
            r#"{"event":"record","host":-1,"record":{}}"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        let names: Vec<String> = (0..3000)
            .map(|host| format!("host-{host}.example"))
            .collect();
        let text = serde_json::json!({
            "event": "scheduler", "version": "gelato-0.1.0", "started": 1, "algorithm": "finish", "blocked": names,
        });
        let Some(Event::Scheduler { blocked, .. }) = read(&text.to_string()) else {
            panic!("many blocked hosts are not read");
        };
        assert_eq!(blocked, names);
        let long = "x".repeat(LONGEST_NEWS);
        assert_eq!(
            read(&format!(
                r#"{{"event":"explained","job":1,"why":"{long}"}}"#
            )),
            None
        );
    }

    #[test]
    fn a_lost_job_is_told_from_a_failed_one() {
        let done = |exitcode, real_msec| {
            Event::of_message(Message::MonJobDone(JobDone {
                exitcode,
                real_msec,
                ..JobDone::default()
            }))
        };
        let is_lost =
            |event| matches!(event, Some(Event::Done { figures, .. }) if figures.is_lost());
        assert!(is_lost(done(255, 0)));
        assert!(!is_lost(done(255, 3)));
        assert!(!is_lost(done(1, 0)));
    }
}
