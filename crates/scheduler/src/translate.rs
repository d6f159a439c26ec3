//! Messages of daemons to events of the core, and actions of the core to messages. Nothing is decided here.

use gelato_scheduler_core as core;
use gelato_scheduler_core::{
    ClientId, DoneJob, Event, JobId, JobResult, MonitorEvent, NodeId, Readings, Text,
};
use gelato_wire::types::{exit_codes, job_done_flags};
use gelato_wire::{ByteString, Environment, Message, ProtocolVersion, msg};

use crate::stats_text::{self, More};

/// Seconds between a daemon's readings, as daemons are told.
const PONG: u32 = 3;

/// What we understand beyond Icecream's protocol: 1 is `NODE_NOTE` of daemons; 2 is `JOB_RECORDS` of daemons, `NODE_NOTE` of
/// monitors and `MON_NEWS` for them.
pub(crate) const EXTENSION: u32 = msg::RECORDS_SINCE;

/// The version from which `JOB_DONE` says by a flag that it names a client.
const CLIENT_FLAG_SINCE: u32 = 39;

/// What a message of a logged-in daemon means.
pub(crate) enum Said {
    /// Something for the core.
    Event(Box<Event>),
    /// Its answer to GET_INTERNALS.
    Internals(ByteString),
    /// Good-bye.
    Leaves,
    /// A message that has no place here.
    Unexpected,
    /// What people should know of it.
    Note(ByteString),
    /// Its jobs that are over.
    Records(ByteString),
}

/// Understands a message of the daemon `node`.
pub(crate) fn said(node: NodeId, version: ProtocolVersion, message: Message) -> Said {
    let client_count = |count: u32| version.at_least(CLIENT_FLAG_SINCE).then_some(count);
    Said::Event(Box::new(match message {
        Message::Ping => Event::Ping { node },
        Message::Stats(stats) => Event::Stats {
            node,
            load: stats.load,
            readings: Readings {
                load_averages: [stats.load_avg_1, stats.load_avg_5, stats.load_avg_10],
                free_memory: stats.free_mem,
            },
        },
        Message::GetCs(request) => Event::Request {
            node,
            request: Box::new(request_of(request)),
        },
        Message::JobBegin(begin) => Event::Begin {
            node,
            job: JobId(begin.job_id),
            start_time: begin.start_time,
            client_count: client_count(begin.client_count),
        },
        Message::JobDone(done) => {
            let names_client = if version.at_least(CLIENT_FLAG_SINCE) {
                done.job_id_is_client_id()
            } else {
                done.exitcode == exit_codes::UNKNOWN_JOB_ID
            };
            Event::Done {
                node,
                which: if names_client {
                    DoneJob::Client(ClientId(done.job_id))
                } else {
                    DoneJob::Id(JobId(done.job_id))
                },
                by_submitter: done.flags & job_done_flags::FROM_SUBMITTER != 0,
                result: JobResult {
                    exit_code: done.exitcode,
                    real_ms: done.real_msec,
                    user_ms: done.user_msec,
                    sys_ms: done.sys_msec,
                    page_faults: done.page_faults,
                    in_compressed: done.in_compressed,
                    in_uncompressed: done.in_uncompressed,
                    out_compressed: done.out_compressed,
                    out_uncompressed: done.out_uncompressed,
                },
                client_count: client_count(done.client_count),
            }
        }
        Message::JobLocalBegin(begin) => Event::LocalBegin {
            node,
            client: ClientId(begin.id),
            file: text(&begin.outfile),
            start_time: begin.start_time,
            full: begin.full_job,
        },
        Message::JobLocalDone(done) => Event::LocalDone {
            node,
            client: ClientId(done.job_id),
        },
        Message::Login(login) => Event::Relogin {
            node,
            // Icecream's daemons say nothing of themselves again, and their number of slots is whatever was in memory.
            slots: if login.host_platform.is_empty() {
                0
            } else {
                login.max_kids
            },
            environments: environments(&login.environments),
        },
        Message::BlacklistHostEnv(blacklist) => Event::Blacklist {
            node,
            environment: core::Environment {
                platform: text(&blacklist.target),
                name: text(&blacklist.environment),
            },
            address: text(&blacklist.hostname),
        },
        Message::StatusText(status) => return Said::Internals(status.text),
        Message::End => return Said::Leaves,
        Message::NodeNote(note) => return Said::Note(note.text),
        Message::JobRecords(records) => return Said::Records(records.text),
        _ => return Said::Unexpected,
    }))
}

/// A daemon's introduction; the caller adds what only the connection knows.
pub(crate) fn login(
    message: &msg::Login,
    version: ProtocolVersion,
    own_version: u32,
    connection: core::ConnectionId,
    address: std::net::IpAddr,
    local_address: std::net::IpAddr,
) -> core::Login {
    core::Login {
        connection,
        address,
        local_address,
        port: message.port,
        slots: message.max_kids,
        environments: environments(&message.environments),
        name: text(&message.nodename),
        platform: text(&message.host_platform),
        chroot: message.chroot_possible,
        no_remote: message.noremote,
        features: message.supported_features,
        agreed_version: version.number(),
        own_version,
    }
}

/// The intervals daemons keep, and that we are Gelato's. `ping_after`: seconds of silence before a PING.
pub(crate) fn configuration(ping_after: u32) -> Message {
    Message::CsConf(msg::CsConf {
        max_scheduler_pong: PONG,
        max_scheduler_ping: ping_after,
        bench_source: format!("{}{EXTENSION}", msg::GELATO_SCHEDULER).into(),
    })
}

/// A worker for a submitter.
pub(crate) fn use_cs(answer: &core::Answer) -> Message {
    Message::UseCs(msg::UseCs {
        job_id: answer.job.0,
        port: answer.port,
        hostname: answer.address.to_string().into(),
        host_platform: bytes(&answer.platform),
        got_env: answer.installed,
        client_id: answer.client.0,
        matched_job_id: answer.matched_job,
    })
}

/// What monitors are told. `more` is what only our monitors look for.
pub(crate) fn for_monitors(event: &MonitorEvent, more: &More<'_>) -> Message {
    match event {
        MonitorEvent::Stats(stats) => Message::MonStats(msg::MonStats {
            host_id: stats.node.0,
            statmsg: stats_text::render(stats, more),
        }),
        MonitorEvent::Offline(node) => Message::MonStats(msg::MonStats {
            host_id: node.0,
            statmsg: stats_text::OFFLINE.into(),
        }),
        MonitorEvent::Requested {
            job,
            submitter,
            file,
            language,
        } => Message::MonGetCs(msg::MonGetCs {
            filename: bytes(file),
            language: *language,
            count: 1,
            job_id: job.0,
            host_id: submitter.0,
            ..msg::MonGetCs::default()
        }),
        MonitorEvent::Begun {
            job,
            worker,
            start_time,
        } => Message::MonJobBegin(msg::MonJobBegin {
            job_id: job.0,
            start_time: *start_time,
            host_id: worker.0,
        }),
        MonitorEvent::Done {
            job,
            result,
            by_submitter,
            client_count,
        } => Message::MonJobDone(msg::JobDone {
            job_id: job.0,
            exitcode: result.exit_code,
            real_msec: result.real_ms,
            user_msec: result.user_ms,
            sys_msec: result.sys_ms,
            page_faults: result.page_faults,
            in_compressed: result.in_compressed,
            in_uncompressed: result.in_uncompressed,
            out_compressed: result.out_compressed,
            out_uncompressed: result.out_uncompressed,
            flags: if *by_submitter {
                job_done_flags::FROM_SUBMITTER
            } else {
                0
            },
            client_count: *client_count,
        }),
        MonitorEvent::LocalBegun {
            node,
            job,
            start_time,
            file,
        } => Message::MonLocalJobBegin(msg::MonLocalJobBegin {
            host_id: node.0,
            job_id: job.0,
            start_time: *start_time,
            file: bytes(file),
        }),
        MonitorEvent::LocalDone { job } => {
            Message::JobLocalDone(msg::JobLocalDone { job_id: job.0 })
        }
    }
}

/// A text of the wire for the core.
pub(crate) fn text(bytes: &ByteString) -> Text {
    Text::from(bytes.as_bytes())
}

/// A text of the core for the wire.
pub(crate) fn bytes(text: &Text) -> ByteString {
    ByteString::from_bytes(text.as_bytes())
}

fn environments(list: &[Environment]) -> Vec<core::Environment> {
    list.iter()
        .map(|environment| core::Environment {
            platform: text(&environment.platform),
            name: text(&environment.name),
        })
        .collect()
}

fn request_of(request: msg::GetCs) -> core::Request {
    /// Negative nice values travel as large numbers.
    fn niceness(value: u32) -> u32 {
        u32::try_from(value as i32).unwrap_or(0)
    }
    /// A job that needs verification needs a worker that can do it.
    const VERIFIES_SINCE: u32 = 31;
    let stated = u32::try_from(request.minimal_host_version).unwrap_or(0);
    let least = if request.ignore_unverified {
        VERIFIES_SINCE
    } else {
        0
    };
    core::Request {
        environments: environments(&request.environments),
        file: text(&request.filename),
        language: request.language,
        count: request.count,
        target: text(&request.target),
        arg_flags: request.arg_flags,
        // The protocol does not tell.
        source_bytes: 0,
        client: ClientId(request.client_id),
        preferred_host: text(&request.preferred_host),
        minimal_version: stated.max(least),
        features: request.required_features,
        niceness: niceness(request.niceness),
        client_count: request.client_count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: u32, message: Message) -> Event {
        match said(NodeId(1), ProtocolVersion::new(version).unwrap(), message) {
            Said::Event(event) => *event,
            _ => panic!("no event"),
        }
    }

    fn done(exitcode: i32, flags: u32) -> Message {
        Message::JobDone(msg::JobDone {
            job_id: 5,
            exitcode,
            flags,
            client_count: 9,
            ..msg::JobDone::default()
        })
    }

    #[test]
    fn a_client_is_named_by_flag_or_by_code_200() {
        let which = |version, message| match event(version, message) {
            Event::Done {
                which,
                client_count,
                ..
            } => (which, client_count),
            other => panic!("{other:?}"),
        };
        let client = DoneJob::Client(ClientId(5));
        let job = DoneJob::Id(JobId(5));
        assert_eq!(which(44, done(118, 3)), (client, Some(9)));
        assert_eq!(which(44, done(200, 1)), (job, Some(9)));
        assert_eq!(which(38, done(200, 3)), (client, None));
        assert_eq!(which(38, done(118, 3)), (job, None));
    }

    #[test]
    fn odd_numbers_of_requests_are_put_right() {
        let request = |change: &dyn Fn(&mut msg::GetCs)| {
            let mut get_cs = msg::GetCs::default();
            change(&mut get_cs);
            match event(44, Message::GetCs(get_cs)) {
                Event::Request { request, .. } => *request,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(request(&|form| form.niceness = u32::MAX).niceness, 0);
        assert_eq!(request(&|form| form.niceness = 10).niceness, 10);
        let version = |ignore, minimal| {
            request(&|form| {
                form.ignore_unverified = ignore;
                form.minimal_host_version = minimal;
            })
            .minimal_version
        };
        assert_eq!(version(true, 21), 31);
        assert_eq!(version(true, 42), 42);
        assert_eq!(version(false, -5), 0);
    }

    #[test]
    fn messages_for_others_have_no_place_here() {
        let version = ProtocolVersion::NEWEST;
        for message in [Message::MonLogin, Message::GetInternals] {
            assert!(matches!(
                said(NodeId(1), version, message),
                Said::Unexpected
            ));
        }
        assert!(matches!(
            said(NodeId(1), version, Message::End),
            Said::Leaves
        ));
    }
}
