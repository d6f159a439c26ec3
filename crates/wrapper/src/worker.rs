//! The conversation with the worker that compiles for us.
//!
//! Toolchain first if the worker lacks it, then the job, then the source while the preprocessor still runs, then the result, which is kept in memory until all of
//! it is here. Nothing a worker does can make us wait longer than the protocol's own limits.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use gelato_compiler::{Family, LocalReason, RemotePlan, diagnostics};
use gelato_net::Limits;
use gelato_net::blocking::Connection;
use gelato_wire::chunk::{CHUNK_SIZE, Compressor};
use gelato_wire::msg::{CompileFile, CompileResult, TransferEnv, VerifyEnv};
use gelato_wire::{ByteString, Message, ProtocolVersion};
use rustix::event::PollFlags;

use crate::failure::{Failure, Stop, handed_back, worker_lost};
use crate::log::Log;
use crate::signals::Signals;
use crate::source::Source;
use crate::toolchains::Toolchain;
use crate::waiting::{self, Ended};
use crate::whole::is_whole;

/// For the connection, and then for the version exchange. Both are matters of milliseconds; a machine that takes longer is
/// gone or stands still, and another one is asked (Icecream: 10 s and 15 s).
const GREETING_WAIT: Duration = Duration::from_secs(5);
/// For the reason of a no, which comes with it or never.
const AFTERWORD_WAIT: Duration = Duration::from_secs(1);
/// For the verdict on a toolchain after it was sent.
const VERIFY_WAIT: Duration = Duration::from_secs(60);
/// For the result after the source was sent.
const RESULT_WAIT: Duration = Duration::from_secs(720);
/// Between two messages of the result.
const CHUNK_WAIT: Duration = Duration::from_secs(40);
/// For the worker's reason after it stopped listening.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);
/// Larger results are not accepted.
const MAX_RESULT: usize = 1 << 30;

/// Bytes and times for the record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Chunk data sent, as compressed.
    pub(crate) sent: u64,
    /// Chunk data received, as compressed.
    pub(crate) received: u64,
    /// Sending the toolchain until it is known whether it runs there.
    pub(crate) install_time: Duration,
    /// Sending the source.
    pub(crate) send_time: Duration,
    /// Between the end of the source and the result.
    pub(crate) compile_time: Duration,
    /// Receiving the outputs.
    pub(crate) receive_time: Duration,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The outputs, and what the compiler printed.
    Success {
        object: Vec<u8>,
        dwo: Option<Vec<u8>>,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    /// The user's program is wrong; the text is what the local compiler would say.
    CompileError {
        status: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
}

/// A connection to the worker.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    connection: Connection,
    signals: &'a Signals,
    log: &'a Log,
    pub(crate) traffic: Traffic,
}

impl<'a> Worker<'a> {
    pub(crate) fn connect(
        address: SocketAddr,
        limits: Limits,
        signals: &'a Signals,
        log: &'a Log,
    ) -> Result<Worker<'a>, Stop> {
        let limits = Limits {
            connect: GREETING_WAIT,
            handshake: GREETING_WAIT,
            ..limits
        };
        let connection = Connection::connect_tcp_unless(address, limits, signals.fd())
            .map_err(|error| worker_lost(&error, 2));
        signals.check()?;
        Ok(Worker {
            connection: connection?,
            signals,
            log,
            traffic: Traffic::default(),
        })
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.connection.version()
    }

    /// Sends the toolchain and has it tried. `Some` with the reason if the worker says that it does not run.
    pub(crate) fn transfer(
        &mut self,
        toolchain: &Toolchain,
        target: &str,
        level: i32,
    ) -> Result<Option<String>, Stop> {
        let begin = Instant::now();
        let result = self.install(toolchain, target, level);
        self.traffic.install_time += begin.elapsed();
        result
    }

    fn install(
        &mut self,
        toolchain: &Toolchain,
        target: &str,
        level: i32,
    ) -> Result<Option<String>, Stop> {
        let unreadable = |number: u32, error: &dyn std::fmt::Display| {
            let text = format!("{}: {error}", toolchain.archive.display());
            Failure::here(LocalReason::ToolchainUnreadable, text).numbered(number)
        };
        let mut archive = File::open(&toolchain.archive).map_err(|e| unreadable(5, &e))?;
        let mut compressor =
            Compressor::new(self.version(), level).map_err(|e| unreadable(16, &e))?;
        self.send(
            &Message::TransferEnv(TransferEnv {
                name: toolchain.name.as_str().into(),
                target: target.into(),
            }),
            6,
        )?;
        let mut buffer = vec![0; CHUNK_SIZE];
        loop {
            let length = fill(&mut archive, &mut buffer).map_err(|e| unreadable(16, &e))?;
            if length == 0 {
                break;
            }
            let chunk = compressor
                .compress(buffer.get(..length).unwrap_or_default())
                .map_err(|e| unreadable(16, &e))?;
            self.traffic.sent += chunk.data.len() as u64;
            self.send(&Message::FileChunk(chunk), 6)?;
        }
        self.send(&Message::End, 8)?;
        if !self.version().at_least(31) {
            return Ok(None);
        }
        self.send(
            &Message::VerifyEnv(VerifyEnv {
                environment: toolchain.name.as_str().into(),
                target: target.into(),
            }),
            22,
        )?;
        match self.receive(VERIFY_WAIT, "the check of the toolchain", 25)? {
            Message::VerifyEnvResult(result) if result.ok => Ok(None),
            Message::VerifyEnvResult(_) => self.afterword().map(Some),
            other => Err(unexpected(&other, 25).into()),
        }
    }

    /// What a worker of ours says after a no, when Icecream's wrappers have stopped listening.
    fn afterword(&mut self) -> Result<String, Stop> {
        let waiting_for = "the reason";
        match waiting::receive(
            &mut self.connection,
            AFTERWORD_WAIT,
            waiting_for,
            self.signals,
        ) {
            Ok(Message::StatusText(status)) => Ok(status.text.to_string_lossy().into_owned()),
            Err(Ended::Interrupted) => Err(Stop::Interrupted),
            _ => Ok("it does not run there".to_owned()),
        }
    }

    /// Announces the job.
    pub(crate) fn begin(&mut self, job: CompileFile) -> Result<(), Stop> {
        self.log.block("send compile_file", || {
            self.send(&Message::CompileFile(job), 9)
        })
    }

    /// Sends the source while it comes out of the preprocessor.
    pub(crate) fn stream(&mut self, source: &mut Source) -> Result<(), Stop> {
        let begin = Instant::now();
        let result = self.send_source(source);
        self.traffic.send_time += begin.elapsed();
        result
    }

    fn send_source(&mut self, source: &mut Source) -> Result<(), Stop> {
        let mut sent = 0;
        loop {
            source.advance()?;
            let pending = sent < source.len();
            if source.is_complete() && !pending {
                return Ok(());
            }
            // Reading comes first: the preprocessor holds a lock, the network does not.
            let mut wanted: Vec<_> = source.pipes().map(|fd| (fd, PollFlags::IN)).collect();
            let pipes = wanted.len();
            if pending {
                wanted.push((self.connection.as_fd(), PollFlags::OUT));
            }
            let ready = waiting::wait(&wanted, None, self.signals)?;
            if pending && ready & (1 << pipes) != 0 {
                let chunk = source.chunk(sent, self.version())?;
                self.traffic.sent += chunk.data.len() as u64;
                self.send(&Message::FileChunk(chunk), 15)?;
                sent += 1;
            }
        }
    }

    /// Ends the source and takes the result. Without `caret_workaround` the user wants what GCC says elsewhere, with or without source lines.
    pub(crate) fn finish(
        &mut self,
        plan: &RemotePlan,
        caret_workaround: bool,
    ) -> Result<Answer, Stop> {
        self.send(&Message::End, 12)?;
        let source_sent = Instant::now();
        let message = self.log.block("wait for cs", || {
            self.receive(RESULT_WAIT, "the result of the compilation", 14)
        });
        self.traffic.compile_time = source_sent.elapsed();
        let message = message?;
        let Message::CompileResult(result) = message else {
            return Err(unexpected(&message, 13).into());
        };
        let CompileResult {
            stderr,
            stdout,
            status,
            out_of_memory,
            have_dwo,
        } = result;
        let stdout = stdout.as_bytes().to_vec();
        let stderr = stderr.as_bytes().to_vec();
        let prints = !stdout.is_empty() || !stderr.is_empty();
        if status != 0 && out_of_memory {
            return Err(handed_back(&stderr).numbered(101).into());
        }
        let exact = plan.remote_text_is_exact() && !diagnostics::quotes_merged_text(&stderr);
        let exact = exact || (plan.family == Family::Gcc && !caret_workaround);
        let exact = exact
            || (plan.is_without_carets()
                && !diagnostics::names_the_other_machine(&stdout, &stderr)
                && speaks_plainly());
        if prints && !exact {
            return Err(Failure::here(
                LocalReason::RemoteOutput,
                "command needs stdout/stderr workaround, recompiling locally",
            )
            .numbered(102)
            .into());
        }
        if status != 0 {
            if exact && diagnostics::is_compile_error(status, &stdout, &stderr) {
                return Ok(Answer::CompileError {
                    status,
                    stdout,
                    stderr,
                });
            }
            return Err(Failure::here(
                LocalReason::RemoteFailure,
                format!(
                    "the remote compiler failed with status {status} for no reason of the source"
                ),
            )
            .numbered(104)
            .into());
        }
        let object = self.receive_file()?;
        if object.is_empty() {
            return Err(Failure::there(
                LocalReason::WorkerGarbage,
                "the worker sent an empty result",
            )
            .numbered(20)
            .into());
        }
        let dwo = match have_dwo {
            true => Some(self.receive_file()?),
            false => None,
        };
        if !is_whole(&object) || !dwo.as_deref().is_none_or(is_whole) {
            return Err(Failure::there(
                LocalReason::WorkerGarbage,
                "the worker sent an object that is cut short",
            )
            .numbered(20)
            .into());
        }
        Ok(Answer::Success {
            object,
            dwo,
            stdout,
            stderr,
        })
    }

    fn receive_file(&mut self) -> Result<Vec<u8>, Stop> {
        let begin = Instant::now();
        let result = self.receive_chunks();
        self.traffic.receive_time += begin.elapsed();
        result
    }

    fn receive_chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut content = Vec::new();
        loop {
            match self.receive(CHUNK_WAIT, "the output of the compilation", 19)? {
                Message::FileChunk(chunk) => {
                    self.traffic.received += chunk.data.len() as u64;
                    let data = chunk.decompress().map_err(|error| {
                        Failure::there(LocalReason::WorkerGarbage, error.to_string()).numbered(20)
                    })?;
                    content.extend_from_slice(&data);
                    if content.len() > MAX_RESULT {
                        return Err(Failure::here(
                            LocalReason::ResultTooLarge,
                            format!("the result is larger than {MAX_RESULT} bytes"),
                        )
                        .into());
                    }
                }
                Message::End => return Ok(content),
                other => return Err(unexpected(&other, 20).into()),
            }
        }
    }

    /// One message; if the worker has stopped listening, it may have said why.
    fn send(&mut self, message: &Message, number: u32) -> Result<(), Stop> {
        self.signals.check()?;
        let Err(error) = self.connection.send_unless(message, self.signals.fd()) else {
            return Ok(());
        };
        self.signals.check()?;
        if let Some(text) = self.connection.last_words(LAST_WORDS_WAIT) {
            return Err(refused(&text).into());
        }
        Err(worker_lost(&error, number).into())
    }

    fn receive(
        &mut self,
        silence: Duration,
        waiting_for: &'static str,
        number: u32,
    ) -> Result<Message, Stop> {
        match waiting::receive(&mut self.connection, silence, waiting_for, self.signals) {
            Ok(Message::StatusText(status)) => Err(refused(&status.text.to_string_lossy()).into()),
            Ok(message) => Ok(message),
            Err(Ended::Interrupted) => Err(Stop::Interrupted),
            Err(Ended::Net(error)) => Err(worker_lost(&error, number).into()),
        }
    }
}

impl Drop for Worker<'_> {
    /// After a signal the worker hears of the end at once, not after all that waits to be sent.
    fn drop(&mut self) {
        if self.signals.caught().is_some() {
            let now = Some(Duration::ZERO);
            let _ = rustix::net::sockopt::set_socket_linger(&self.connection, now);
        }
    }
}

/// The job as the worker is told.
pub(crate) fn job_description(
    plan: &RemotePlan,
    job_id: u32,
    environment: &str,
    target: &str,
    working_directory: &std::path::Path,
) -> CompileFile {
    let strings = |words: Vec<std::ffi::OsString>| -> Vec<ByteString> {
        words.iter().map(ByteString::from).collect()
    };
    CompileFile {
        language: plan.language.number(),
        job_id,
        args: strings(plan.remote_words()),
        remote_args: strings(plan.remote_only_words()),
        rest_args: strings(plan.rest_words()),
        environment: environment.into(),
        target: target.into(),
        compiler_name: plan.remote_compiler().into(),
        input_file: (&plan.input).into(),
        working_directory: working_directory.as_os_str().into(),
        output_file: (&plan.output).into(),
        dwarf_fission: plan.split_dwarf,
    }
}

/// Whether GCC would say here what it says there: in the plain locale, to no terminal, in its own colours.
fn speaks_plainly() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let plain = |category| {
        set("LC_ALL")
            .or_else(|| set(category))
            .or_else(|| set("LANG"))
            .is_none_or(|value| value == "C" || value == "POSIX")
    };
    plain("LC_MESSAGES")
        && plain("LC_CTYPE")
        && set("GCC_COLORS").is_none()
        && !std::io::stderr().is_terminal()
}

/// The lowest version a worker must have for this job. Clang needs to be told the name of the source, which begins with 34.
pub(crate) fn minimal_version(plan: &RemotePlan) -> u32 {
    use gelato_compiler::{Family, Language};
    let mut version = 21;
    if plan.family == Family::Clang {
        version = 34;
    }
    if plan.split_dwarf {
        version = version.max(35);
    }
    if matches!(plan.language, Language::ObjectiveC | Language::ObjectiveCxx) {
        version = version.max(38);
    }
    version
}

fn unexpected(message: &Message, number: u32) -> Failure {
    Failure::there(
        LocalReason::WorkerGarbage,
        format!("unexpected {} from the worker", message.name()),
    )
    .numbered(number)
}

fn refused(text: &str) -> Failure {
    Failure::there(
        LocalReason::WorkerRefused,
        format!("the worker refused: {}", text.trim_end()),
    )
    .numbered(23)
}

/// Fills the buffer as far as the file goes.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
