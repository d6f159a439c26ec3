//! What can happen to the daemon and what it can decide to do about it: the words between [`Core`](super::Core) and the
//! tasks around it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use gelato_wire::msg::{CompileFile, GetNativeEnv};
use gelato_wire::{ByteString, Message, ProtocolVersion};

use super::operator::Asker;
use crate::access::Offence;
use crate::courtesy::appetite::Kind;
use crate::courtesy::{MemoryLook, Mode};
use crate::ids::{ClientId, Generation};
use crate::load::Readings;
use crate::records::desk::Question;
use crate::worker::reason::Reason;

/// Where a client sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// On the unix socket: a wrapper of this machine.
    Socket,
    /// TCP from this machine: wrappers that found no unix socket.
    Loopback,
    /// Another machine.
    Network(IpAddr),
}

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client finished the version exchange.
    Connected {
        id: ClientId,
        origin: Origin,
        version: ProtocolVersion,
    },
    /// A client sent a message.
    Message { id: ClientId, message: Message },
    /// An operator's command asks for something; `asker` is the user it runs as, where known.
    Ask {
        id: ClientId,
        asker: Asker,
        request: ByteString,
    },
    /// A scheduler was looked for: its address, or why there is none.
    Sought(Result<String, String>),
    /// A client's connection ended or broke; `broken` says how if it was not an ordinary end of file.
    Gone {
        id: ClientId,
        broken: Option<String>,
    },
    /// The archive a client asked for is there, or cannot be had.
    NativeArchive {
        id: ClientId,
        result: Result<PathBuf, String>,
    },
    /// A client has sent a toolchain.
    Received {
        id: ClientId,
        result: Result<(), String>,
        toolchains: Vec<InstalledToolchain>,
    },
    /// A toolchain was looked at for a client, which has the answer already.
    Verified { id: ClientId },
    /// A job is over; its result is on the way to the client.
    JobOver { id: ClientId, report: JobReport },
    /// What is installed, after it changed or before the first login.
    Toolchains(Vec<InstalledToolchain>),
    /// A scheduler took us in.
    LinkUp {
        generation: Generation,
        version: ProtocolVersion,
        own_address: IpAddr,
    },
    /// The scheduler is gone.
    LinkDown { generation: Generation },
    /// The scheduler sent a message.
    Scheduler {
        generation: Generation,
        message: Message,
    },
    /// A look at the machine.
    Sample(Readings),
    /// A look at its memory alone.
    Look(MemoryLook),
    /// Somebody who may says whether jobs of others are wanted.
    Operate(Mode),
    /// Time passed that [`Core::deadline`](super::Core::deadline) named.
    Deadline,
    /// No new work; hand back what waits.
    Drain,
    /// Stop the jobs that still run and hand them back.
    HandBackAll,
}

/// Do this.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Send a message to a client.
    Send(ClientId, Message),
    /// End a client's connection after what was sent.
    Close(ClientId),
    /// Find or build an archive; [`Event::NativeArchive`] is the answer.
    BuildNative(ClientId, GetNativeEnv),
    /// Take a toolchain; [`Event::Received`] is the answer.
    Receive(ClientId, Toolchain),
    /// Look whether a toolchain runs here and tell the client; [`Event::Verified`] is the answer.
    Verify(ClientId, Toolchain),
    /// Take in the source of a job until it may start; [`Event::JobOver`] or [`Event::Gone`] is the answer.
    Admit(ClientId, Box<JobRequest>),
    /// Start the admitted job.
    StartJob(ClientId),
    /// Do not start the admitted job, or stop it: the submitter is to compile it.
    HandBack(ClientId, Reason),
    /// Kill the job; nobody wants its result.
    Abort(ClientId),
    /// A client did what it must not.
    Misbehaved(ClientId, Offence),
    /// Answer a command with this, and what else the machine can tell.
    Describe(ClientId, Box<serde_json::Value>),
    /// Answer a question about records of jobs.
    Recall(ClientId, Question),
    /// Send a message to the scheduler.
    Report(Message),
    /// Log in to the scheduler with this; the node's name is looked up on the way.
    Login(gelato_wire::msg::Login),
    /// The scheduler breaks the protocol: leave it.
    DropLink(String),
    /// Take samples this often.
    SampleEvery(Duration),
    /// Look at the memory now; [`Event::Look`] is the answer.
    Look,
    /// Remember over a restart what somebody said.
    KeepMode(Mode),
}

/// A toolchain as jobs name it. Both names are safe as names of folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Toolchain {
    /// Platform it is installed under.
    pub(crate) platform: String,
    /// Name of the archive without suffix.
    pub(crate) name: String,
}

impl std::fmt::Display for Toolchain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.platform, self.name)
    }
}

/// A toolchain that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledToolchain {
    /// Which.
    pub(crate) toolchain: Toolchain,
    /// Unpacked size in bytes.
    pub(crate) size: u64,
}

/// A job of another machine, all names checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobRequest {
    /// The scheduler's number.
    pub(crate) job_id: u32,
    /// What to compile with.
    pub(crate) toolchain: Toolchain,
    /// Language, compiler and arguments.
    pub(crate) command: JobCommand,
    /// The agreed version with the submitter.
    pub(crate) version: ProtocolVersion,
}

impl JobRequest {
    /// Jobs that need as much memory as this one.
    pub(crate) fn kind(&self) -> Kind {
        Kind {
            toolchain: self.toolchain.clone(),
            language: self.command.language,
        }
    }
}

/// What to run, in the submitter's terms.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct JobCommand {
    /// What follows `-x`.
    pub(crate) language: &'static str,
    /// Name below `/usr/bin` of the toolchain; safe as a file name.
    pub(crate) compiler: String,
    /// Arguments in their order.
    pub(crate) args: Vec<ByteString>,
    /// As on the submitter's command line.
    pub(crate) input_file: ByteString,
    /// The submitter's folder.
    pub(crate) working_directory: ByteString,
    /// As on the submitter's command line.
    pub(crate) output_file: ByteString,
    /// Whether a `.dwo` is wanted beside the object.
    pub(crate) split_dwarf: bool,
}

/// How a job went, as the scheduler is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobReport {
    /// Exit status of the compiler or a code of the protocol; 0 only if an object was made.
    pub(crate) exit_code: i32,
    /// From start to end.
    pub(crate) real: Duration,
    /// User time.
    pub(crate) user: Duration,
    /// System time.
    pub(crate) system: Duration,
    /// Page faults.
    pub(crate) page_faults: u64,
    /// Source bytes as received.
    pub(crate) in_compressed: u64,
    /// Source bytes.
    pub(crate) in_uncompressed: u64,
    /// Bytes of object and `.dwo`.
    pub(crate) out_uncompressed: u64,
    /// The most memory its processes had at one time, in bytes, as far as known.
    pub(crate) peak_memory: u64,
}

/// The fields of `COMPILE_FILE` that older peers spell otherwise, brought into one form: the arguments in order and the
/// compiler's name.
pub(crate) fn arguments_and_compiler(
    job: &CompileFile,
    version: ProtocolVersion,
) -> (Vec<ByteString>, ByteString) {
    let mut args = if version.at_least(41) {
        job.args.clone()
    } else {
        [job.remote_args.as_slice(), job.rest_args.as_slice()].concat()
    };
    if !version.at_least(41) && job.dwarf_fission {
        args.push("-gsplit-dwarf".into());
    }
    if version.at_least(30) {
        return (args, job.compiler_name.clone());
    }
    let compiler = if args.first().is_some_and(|first| *first == "clang") {
        args.remove(0);
        "clang"
    } else if job.language == gelato_wire::types::Language::Cxx.number() {
        "g++"
    } else {
        "gcc"
    };
    (args, compiler.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u32, job: &CompileFile) -> (String, String) {
        let version = ProtocolVersion::new(version).unwrap();
        let (args, compiler) = arguments_and_compiler(job, version);
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        (args.join(" "), compiler.to_string())
    }

    #[test]
    fn older_submitters_spell_a_job_otherwise() {
        let job = CompileFile {
            language: 1,
            args: vec!["-O2".into(), "-DX".into(), "-c".into()],
            remote_args: vec!["-c".into()],
            rest_args: vec!["-O2".into(), "-DX".into()],
            compiler_name: "g++".into(),
            dwarf_fission: true,
            ..CompileFile::default()
        };
        assert_eq!(at(41, &job), ("-O2 -DX -c".into(), "g++".into()));
        assert_eq!(
            at(40, &job),
            ("-c -O2 -DX -gsplit-dwarf".into(), "g++".into())
        );
        assert_eq!(at(29, &job).1, "g++", "by language, as there is no name");
        let clang = CompileFile {
            remote_args: vec!["clang".into(), "-c".into()],
            dwarf_fission: false,
            ..job
        };
        assert_eq!(at(29, &clang), ("-c -O2 -DX".into(), "clang".into()));
    }
}
