//! One client as the daemon knows it: its state, what it may say in that state, and what its end means to the
//! scheduler. Pure data and tables.

use std::time::Instant;

use gelato_wire::msg::{JobDone, JobLocalDone, UseCs};
use gelato_wire::types::{exit_codes, job_done_flags};
use gelato_wire::{ByteString, Message, ProtocolVersion};

use super::vocabulary::{JobRequest, Origin, Toolchain};
use crate::ids::{ClientId, Generation};

/// The environment name that means "I compile it on my own".
pub(crate) const OWN_COMPILE: &str = "__client";

/// States, named as `internals` prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Has said nothing yet, or finished a transfer or a verification.
    Unknown,
    /// Knows its archive.
    GotNative,
    /// Is to compile on its own and waits for a slot.
    PendingUseCs,
    /// Has reported its own compilation.
    JobDone,
    /// A local job waits for a slot.
    LinkJob,
    /// Sends a toolchain.
    ToInstall,
    /// Waits to hear whether a toolchain runs here.
    Verifying,
    /// A job of another machine waits for a slot.
    ToCompile,
    /// Waits for the scheduler.
    WaitForCs,
    /// Compiles on another machine.
    WaitCompile,
    /// Holds a slot.
    ClientWork,
    /// A job of another machine runs.
    WaitForChild,
    /// Waits for its archive.
    WaitCreateEnv,
}

impl State {
    /// The name Icecream's users know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Unknown | State::Verifying => "unknown",
            State::GotNative => "gotnative",
            State::PendingUseCs => "pending_use_cs",
            State::JobDone => "jobdone",
            State::LinkJob => "linkjob",
            State::ToInstall => "toinstall",
            State::ToCompile => "tocompile",
            State::WaitForCs => "waitforcs",
            State::WaitCompile => "waitcompile",
            State::ClientWork => "clientwork",
            State::WaitForChild => "waitforchild",
            State::WaitCreateEnv => "waitcreateenv",
        }
    }

    /// Whether a client in this state may send this message. `END` is a good-bye in every state it may be sent in.
    pub(crate) fn accepts(self, message: &Message) -> bool {
        use Message as M;
        match self {
            State::Unknown => matches!(
                message,
                M::GetNativeEnv(_)
                    | M::GetCs(_)
                    | M::JobLocalBegin(_)
                    | M::TransferEnv(_)
                    | M::VerifyEnv(_)
                    | M::CompileFile(_)
                    | M::BlacklistHostEnv(_)
                    | M::End
            ),
            State::GotNative => matches!(message, M::GetCs(_) | M::JobLocalBegin(_) | M::End),
            State::WaitForCs
            | State::PendingUseCs
            | State::LinkJob
            | State::WaitCreateEnv
            | State::JobDone => {
                matches!(message, M::End)
            }
            State::WaitCompile | State::ClientWork => match message {
                M::CompileFile(job) => job.environment == OWN_COMPILE,
                other => matches!(other, M::JobDone(_) | M::BlacklistHostEnv(_) | M::End),
            },
            State::ToInstall | State::Verifying | State::ToCompile | State::WaitForChild => false,
        }
    }
}

/// Whether this kind of request may come from there. Slots, archives and reports are for the users of this machine.
pub(crate) fn allowed_from(origin: Origin, message: &Message) -> bool {
    use Message as M;
    match origin {
        Origin::Socket | Origin::Loopback => true,
        Origin::Network(_) => !matches!(
            message,
            M::GetNativeEnv(_)
                | M::GetCs(_)
                | M::JobLocalBegin(_)
                | M::JobDone(_)
                | M::BlacklistHostEnv(_)
        ),
    }
}

/// A compilation of this client that has been given a place.
#[derive(Clone, Debug)]
pub(crate) struct PlacedJob {
    /// The scheduler's number, or the client's own without a scheduler.
    pub(crate) id: u32,
    /// The connection to the scheduler it came from; none if this daemon made it up.
    pub(crate) generation: Option<Generation>,
    /// Where.
    pub(crate) place: Place,
}

/// Where a compilation happens.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On another machine.
    Elsewhere {
        /// Its address.
        host: ByteString,
    },
    /// Here, as soon as there is a slot; this answer will be sent then.
    HereLater(UseCs),
    /// Here, and the client knows.
    Here,
}

/// A job of another machine.
#[derive(Debug)]
pub(crate) struct ForeignJob {
    /// What to do, until it has been handed to the executor.
    pub(crate) request: Box<JobRequest>,
    /// The connection to the scheduler at the time it came.
    pub(crate) generation: Option<Generation>,
    /// When it came.
    pub(crate) since: Instant,
    /// Whether it is being handed back already.
    pub(crate) handed_back: bool,
    /// The connection to a scheduler that did not give it out and was told of it by a note.
    pub(crate) told: Option<Generation>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its number.
    pub(crate) id: ClientId,
    /// Where it sits.
    pub(crate) origin: Origin,
    /// The agreed version.
    pub(crate) version: ProtocolVersion,
    /// What it is doing.
    pub(crate) state: State,
    /// 0 to 20, from `GET_CS`.
    pub(crate) niceness: u32,
    /// Answers still expected from the scheduler, and from which connection to it.
    pub(crate) awaited: Option<(Generation, u32)>,
    /// File of the last `GET_CS`, shortened.
    pub(crate) file: ByteString,
    /// Platform wanted in the pending `GET_CS`.
    pub(crate) target: ByteString,
    /// Compilations with a place.
    pub(crate) jobs: Vec<PlacedJob>,
    /// A local job's output and whether it takes the whole machine.
    pub(crate) local: Option<(ByteString, bool)>,
    /// The connection to the scheduler that was told of the local job.
    pub(crate) local_reported: Option<Generation>,
    /// A job of another machine.
    pub(crate) foreign: Option<ForeignJob>,
    /// Toolchain on its way.
    pub(crate) transfer: Option<Toolchain>,
    /// What archive it asked for.
    pub(crate) native: String,
}

impl Client {
    /// A client that has just connected.
    pub(crate) fn new(id: ClientId, origin: Origin, version: ProtocolVersion) -> Client {
        Client {
            id,
            origin,
            version,
            state: State::Unknown,
            niceness: 0,
            awaited: None,
            file: ByteString::default(),
            target: ByteString::default(),
            jobs: Vec::new(),
            local: None,
            local_reported: None,
            foreign: None,
            transfer: None,
            native: String::new(),
        }
    }

    /// The state that follows from the compilations it has.
    pub(crate) fn settle(&mut self) {
        let here = |job: &PlacedJob| !matches!(job.place, Place::Elsewhere { .. });
        self.state = if self
            .jobs
            .iter()
            .any(|job| matches!(job.place, Place::HereLater(_)))
        {
            State::PendingUseCs
        } else if self.jobs.iter().any(here) {
            State::ClientWork
        } else if !self.jobs.is_empty() {
            State::WaitCompile
        } else if self.awaited.is_some() {
            State::WaitForCs
        } else {
            State::JobDone
        };
    }

    /// What the scheduler of connection `link` must hear when this client ends with `code`. `version` and `client_count` are
    /// those of that connection.
    pub(crate) fn farewell(
        &self,
        code: i32,
        link: Generation,
        version: ProtocolVersion,
        client_count: u32,
    ) -> Vec<Message> {
        let end = |job_id: u32, exitcode: i32, flags: u32| JobDone {
            job_id,
            exitcode,
            flags,
            client_count,
            ..JobDone::default()
        };
        let done = |job_id, exitcode, flags| Message::JobDone(end(job_id, exitcode, flags));
        let mut messages = Vec::new();
        if let Some(job) = &self.foreign
            && matches!(self.state, State::ToCompile | State::WaitForChild)
        {
            let number = job.request.job_id;
            if job.generation == Some(link) {
                messages.push(done(number, code, 0));
            } else if job.told == Some(link) {
                messages.push(super::recovery::ended(&end(number, code, 0)));
            }
        }
        if self
            .awaited
            .is_some_and(|(generation, _)| generation == link)
        {
            let code = if version.at_least(39) {
                code
            } else {
                exit_codes::UNKNOWN_JOB_ID
            };
            let flags = job_done_flags::FROM_SUBMITTER | job_done_flags::UNKNOWN_JOB_ID;
            messages.push(done(self.id.number(), code, flags));
        }
        for job in self.jobs.iter().filter(|job| job.generation == Some(link)) {
            let other_daemon_reports =
                matches!(job.place, Place::Elsewhere { .. }) && code == exit_codes::ENDED_EARLY;
            if !other_daemon_reports {
                messages.push(done(job.id, code, job_done_flags::FROM_SUBMITTER));
            }
        }
        if self.local_reported == Some(link) {
            messages.push(Message::JobLocalDone(JobLocalDone {
                job_id: self.id.number(),
            }));
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use gelato_wire::msg::*;

    use super::*;

    const LINK: Generation = Generation(1);

    fn client() -> Client {
        Client::new(ClientId::new(7), Origin::Socket, ProtocolVersion::NEWEST)
    }

    fn every_client_message() -> Vec<Message> {
        vec![
            Message::GetNativeEnv(GetNativeEnv::default()),
            Message::GetCs(GetCs::default()),
            Message::JobLocalBegin(JobLocalBegin::default()),
            Message::TransferEnv(TransferEnv::default()),
            Message::VerifyEnv(VerifyEnv::default()),
            Message::CompileFile(CompileFile::default()),
            Message::CompileFile(CompileFile {
                environment: OWN_COMPILE.into(),
                ..CompileFile::default()
            }),
            Message::BlacklistHostEnv(BlacklistHostEnv::default()),
            Message::JobDone(JobDone::default()),
            Message::FileChunk(FileChunk::default()),
            Message::End,
        ]
    }

    #[test]
    fn the_table_of_states() {
        let accepted = |state: State| -> Vec<usize> {
            let messages = every_client_message();
            (0..messages.len())
                .filter(|at| state.accepts(&messages[*at]))
                .collect()
        };
        assert_eq!(accepted(State::Unknown), [0, 1, 2, 3, 4, 5, 6, 7, 10]);
        assert_eq!(accepted(State::GotNative), [1, 2, 10]);
        for state in [
            State::WaitForCs,
            State::PendingUseCs,
            State::LinkJob,
            State::WaitCreateEnv,
            State::JobDone,
        ] {
            assert_eq!(accepted(state), [10], "{state:?}");
        }
        for state in [State::WaitCompile, State::ClientWork] {
            assert_eq!(accepted(state), [6, 7, 8, 10], "{state:?}");
        }
        for state in [
            State::ToInstall,
            State::Verifying,
            State::ToCompile,
            State::WaitForChild,
        ] {
            assert_eq!(accepted(state), [0; 0], "{state:?}");
        }
    }

    #[test]
    fn the_network_gets_no_slots_and_no_archives() {
        let network = Origin::Network([10, 0, 0, 1].into());
        let allowed: Vec<bool> = every_client_message()
            .iter()
            .map(|message| allowed_from(network, message))
            .collect();
        assert_eq!(
            allowed,
            [
                false, false, false, true, true, true, true, false, false, true, true
            ]
        );
        assert!(
            every_client_message()
                .iter()
                .all(|message| allowed_from(Origin::Loopback, message))
        );
    }

    fn placed(id: u32, place: Place) -> PlacedJob {
        PlacedJob {
            id,
            generation: Some(LINK),
            place,
        }
    }

    fn done(messages: &[Message]) -> Vec<(u32, i32, u32)> {
        messages
            .iter()
            .map(|message| match message {
                Message::JobDone(done) => (done.job_id, done.exitcode, done.flags),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn farewells_follow_the_state() {
        let newest = ProtocolVersion::NEWEST;
        let mut waiting = client();
        waiting.awaited = Some((LINK, 1));
        waiting.settle();
        assert_eq!(waiting.state, State::WaitForCs);
        assert_eq!(done(&waiting.farewell(118, LINK, newest, 1)), [(7, 118, 3)]);
        let old = ProtocolVersion::new(38).unwrap();
        assert_eq!(done(&waiting.farewell(118, LINK, old, 1)), [(7, 200, 3)]);
        assert_eq!(
            waiting.farewell(118, Generation(2), newest, 1),
            [],
            "another scheduler knows nothing of it"
        );

        let mut remote = client();
        remote.jobs.push(placed(
            40,
            Place::Elsewhere {
                host: "10.0.0.2".into(),
            },
        ));
        remote.settle();
        assert_eq!(remote.state, State::WaitCompile);
        assert_eq!(
            remote.farewell(119, LINK, newest, 1),
            [],
            "the worker reports"
        );
        assert_eq!(done(&remote.farewell(118, LINK, newest, 1)), [(40, 118, 1)]);

        let mut own = client();
        own.jobs.push(placed(41, Place::Here));
        own.settle();
        assert_eq!(own.state, State::ClientWork);
        assert_eq!(done(&own.farewell(119, LINK, newest, 1)), [(41, 119, 1)]);

        let mut local = client();
        local.local_reported = Some(LINK);
        assert_eq!(
            local.farewell(118, LINK, newest, 1),
            [Message::JobLocalDone(JobLocalDone { job_id: 7 })]
        );
        assert_eq!(client().farewell(118, LINK, newest, 1), []);
    }

    #[test]
    fn a_repeated_job_reports_each_of_its_parts() {
        let mut client = client();
        client.jobs.push(placed(
            1,
            Place::Elsewhere {
                host: "10.0.0.2".into(),
            },
        ));
        client
            .jobs
            .push(placed(2, Place::HereLater(UseCs::default())));
        client.awaited = Some((LINK, 1));
        client.settle();
        assert_eq!(client.state, State::PendingUseCs);
        let messages = client.farewell(118, LINK, ProtocolVersion::NEWEST, 1);
        assert_eq!(done(&messages), [(7, 118, 3), (1, 118, 1), (2, 118, 1)]);
    }
}
