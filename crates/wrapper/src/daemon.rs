//! The conversation with the daemon of this machine.
//!
//! One connection serves one job. A daemon that does not finish the version exchange within a second is taken for absent: a hung daemon must not hold up every
//! compilation. After that, only waits of the protocol itself are long.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gelato_compiler::LocalReason;
use gelato_net::blocking::Connection;
use gelato_net::{Limits, NetError};
use gelato_wire::msg::{
    BlacklistHostEnv, CompileFile, GetCs, GetNativeEnv, JobDone, JobLocalBegin, UseCs,
};
use gelato_wire::{ByteString, Message, ProtocolVersion};

use crate::failure::{Failure, Stop};
use crate::log::Log;
use crate::signals::Signals;
use crate::variables::Variables;
use crate::waiting::{self, Ended};

/// For connecting to a socket of this machine and for the version exchange over it.
const LOCAL_HANDSHAKE: Duration = Duration::from_secs(1);
/// For the reason of a no, which comes with it or never.
const AFTERWORD_WAIT: Duration = Duration::from_secs(1);
/// Until a toolchain is packaged.
const TOOLCHAIN_WAIT: Duration = Duration::from_secs(240);
/// Until the scheduler has a worker for us.
const WORKER_WAIT: Duration = Duration::from_secs(240);
/// The same for a job that gives way to others.
const NICE_WORKER_WAIT: Duration = Duration::from_secs(3600);
/// Until the machine has a slot for a local job.
const SLOT_WAIT: Duration = Duration::from_secs(2400);
/// The same for a job that needs the whole machine.
const FULL_SLOT_WAIT: Duration = Duration::from_secs(7200);

/// A connection to the daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Boxed: it is large, and slots and verdicts carry it around.
    connection: Box<Connection>,
}

/// `ICECC_TEST_SOCKET` is set and leads nowhere.
#[derive(Debug)]
pub(crate) struct TestSocketFailed(pub(crate) String);

impl Daemon {
    /// The first daemon that answers; `None` if there is none, or if a signal arrived.
    pub(crate) fn connect(
        variables: &Variables,
        log: &Log,
        signals: &Signals,
    ) -> Result<Option<Daemon>, TestSocketFailed> {
        let limits = Limits {
            connect: LOCAL_HANDSHAKE,
            handshake: LOCAL_HANDSHAKE,
            ..variables.limits()
        };
        let try_socket = |path: &Path| {
            Connection::connect_unix_unless(path, limits, signals.fd())
                .map(Daemon::over)
                .inspect_err(|error| log.debug(format_args!("{error}")))
        };
        if let Some(path) = &variables.socket {
            return Ok(try_socket(path).ok());
        }
        if let Some(path) = &variables.test_socket {
            return try_socket(path)
                .map(Some)
                .map_err(|error| TestSocketFailed(error.to_string()));
        }
        for path in variables.daemon_sockets() {
            match try_socket(&path) {
                Ok(daemon) => return Ok(Some(daemon)),
                Err(NetError::Connect { .. }) => {}
                // Somebody is there and does not speak: the others would be the same daemon.
                Err(_) => return Ok(None),
            }
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 10245));
        match Connection::connect_tcp_unless(address, limits, signals.fd()) {
            Ok(connection) => Ok(Some(Daemon::over(connection))),
            Err(error) => {
                log.debug(format_args!("{error}"));
                Ok(None)
            }
        }
    }

    fn over(connection: Connection) -> Daemon {
        Daemon {
            connection: Box::new(connection),
        }
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.connection.version()
    }

    /// Asks for a toolchain archive with `compiler` and `extra_files`; the path of the archive.
    pub(crate) fn toolchain(
        &mut self,
        compiler: &Path,
        family_word: &str,
        extra_files: &[PathBuf],
        compression: Option<&OsStr>,
        signals: &Signals,
    ) -> Result<PathBuf, Stop> {
        let names_compiler = self.version().at_least(41);
        if !names_compiler && !is_default_compiler(compiler) {
            return Err(
                no_toolchain("the daemon is too old for any compiler but the default one").into(),
            );
        }
        if !self.version().at_least(32) && !extra_files.is_empty() {
            return Err(no_toolchain("the daemon is too old to add files to a toolchain").into());
        }
        let request = GetNativeEnv {
            compiler: if names_compiler {
                compiler.as_os_str().into()
            } else {
                family_word.into()
            },
            extra_files: extra_files
                .iter()
                .map(|file| file.as_os_str().into())
                .collect(),
            compression: compression.unwrap_or_default().into(),
        };
        self.send(&Message::GetNativeEnv(request))?;
        match self.receive(TOOLCHAIN_WAIT, "a toolchain", signals)? {
            Message::NativeEnv(answer) if !answer.path.is_empty() => {
                Ok(PathBuf::from(answer.path.as_os_str()))
            }
            _ => Err(self.why_no_toolchain(signals)?.into()),
        }
    }

    /// What a daemon of ours says after its no, when Icecream's wrappers have stopped listening.
    fn why_no_toolchain(&mut self, signals: &Signals) -> Result<Failure, Stop> {
        let text = "the daemon could not make a toolchain for this compiler";
        let waiting_for = "the reason";
        match waiting::receive(&mut self.connection, AFTERWORD_WAIT, waiting_for, signals) {
            Ok(Message::StatusText(status)) => {
                let reason = status.text.to_string_lossy();
                Ok(no_toolchain(&format!("{text}: {reason}")))
            }
            Err(Ended::Interrupted) => Err(Stop::Interrupted),
            _ => Ok(no_toolchain(text)),
        }
    }

    /// Asks for a worker.
    pub(crate) fn worker(&mut self, request: GetCs, signals: &Signals) -> Result<UseCs, Stop> {
        let wait = if request.niceness > 0 {
            NICE_WORKER_WAIT
        } else {
            WORKER_WAIT
        };
        self.worker_within(wait, request, signals)
    }

    /// Asks for a worker, but not for ever.
    pub(crate) fn worker_within(
        &mut self,
        wait: Duration,
        request: GetCs,
        signals: &Signals,
    ) -> Result<UseCs, Stop> {
        self.connection
            .send(&Message::GetCs(request))
            .map_err(|error| silent(error.to_string()).numbered(24))?;
        match waiting::receive(&mut self.connection, wait, "a worker", signals) {
            Ok(Message::UseCs(answer)) => Ok(answer),
            Ok(Message::NoCs(answer)) => Ok(UseCs {
                job_id: answer.job_id,
                hostname: "127.0.0.1".into(),
                got_env: true,
                ..UseCs::default()
            }),
            Ok(other) => Err(silent(format!("asked for a worker and got {}", other.name())).into()),
            Err(Ended::Interrupted) => Err(Stop::Interrupted),
            Err(Ended::Net(error)) => Err(silent(error.to_string()).into()),
        }
    }

    /// Says that the worker cannot run the toolchain.
    pub(crate) fn blacklist(&mut self, environment: &str, target: &str, hostname: &ByteString) {
        let message = Message::BlacklistHostEnv(BlacklistHostEnv {
            environment: environment.into(),
            target: target.into(),
            hostname: hostname.clone(),
        });
        if self.version().at_least(31) {
            let _ = self.connection.send(&message);
        }
    }

    /// Says that the job the scheduler gave to this machine begins.
    pub(crate) fn begin_own_job(&mut self, job: CompileFile) -> Result<(), Failure> {
        self.connection
            .send(&Message::CompileFile(job))
            .map_err(|error| {
                Failure::here(LocalReason::DaemonFailed, error.to_string()).numbered(29)
            })
    }

    /// Says how that job ended.
    pub(crate) fn own_job_done(&mut self, done: JobDone, success: bool) {
        let _ = self.connection.send(&Message::JobDone(done));
        if success {
            self.end();
        }
    }

    /// The job ended well; without this the daemon reports a lost client.
    pub(crate) fn end(&mut self) {
        let _ = self.connection.send(&Message::End);
    }

    /// Waits for a slot for a local job. The slot lasts as long as the connection.
    pub(crate) fn local_slot(
        &mut self,
        output: &OsStr,
        full_job: bool,
        signals: &Signals,
    ) -> Result<(), Stop> {
        let start_time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as u32);
        self.send(&Message::JobLocalBegin(JobLocalBegin {
            start_time,
            outfile: output.into(),
            id: 0,
            full_job,
        }))?;
        let wait = if full_job { FULL_SLOT_WAIT } else { SLOT_WAIT };
        match self.receive(wait, "a slot", signals)? {
            Message::JobLocalBegin(_) => Ok(()),
            other => Err(failed(format!("asked for a slot and got {}", other.name())).into()),
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        self.connection
            .send(message)
            .map_err(|error| failed(error.to_string()))
    }

    fn receive(
        &mut self,
        silence: Duration,
        waiting_for: &'static str,
        signals: &Signals,
    ) -> Result<Message, Stop> {
        match waiting::receive(&mut self.connection, silence, waiting_for, signals) {
            Ok(message) => Ok(message),
            Err(Ended::Interrupted) => Err(Stop::Interrupted),
            Err(Ended::Net(error)) => Err(failed(error.to_string()).into()),
        }
    }
}

impl AsFd for Daemon {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Daemons before protocol 41 know only these.
fn is_default_compiler(compiler: &Path) -> bool {
    ["gcc", "g++", "cc", "c++", "clang", "clang++"]
        .iter()
        .any(|name| compiler == Path::new("/usr/bin").join(name))
}

fn no_toolchain(text: &str) -> Failure {
    Failure::here(LocalReason::NoToolchain, text)
}

fn silent(text: String) -> Failure {
    Failure::here(LocalReason::SchedulerSilent, text).numbered(1)
}

fn failed(text: String) -> Failure {
    Failure::here(LocalReason::DaemonFailed, text)
}
