//! The source on its way out: the preprocessor runs, and what it prints is watched, cut, compressed and kept.
//!
//! The chunks are kept for a second attempt with another worker, and so that the preprocessor never waits for the network: it holds one of the locks that limit
//! local work. Its messages are kept, too: they are shown if the job succeeds elsewhere and forgotten if the local compiler is going to say everything anyway.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use gelato_compiler::plan::Preprocessing;
use gelato_compiler::scan::{Finding, Scanner};
use gelato_compiler::{LocalReason, RemotePlan};
use gelato_wire::ProtocolVersion;
use gelato_wire::chunk::{CHUNK_SIZE, Compressor};
use gelato_wire::msg::{ChunkCodec, FileChunk};

use crate::children;
use crate::failure::Failure;
use crate::locks::CpuLock;

/// More preprocessed text than this is not sent.
const MAX_SOURCE: u64 = 512 << 20;
/// More messages than this are not kept.
const MAX_MESSAGES: usize = 16 << 20;
/// What the pipe from the preprocessor holds, so that it rarely waits.
const PIPE_SIZE: usize = 1 << 20;

/// The source of one job in one way of preprocessing.
#[derive(Debug)]
pub(crate) struct Source {
    chunks: Vec<FileChunk>,
    partial: Vec<u8>,
    total: u64,
    scanner: Option<ScannerBox>,
    messages: Vec<u8>,
    compressor: CompressorBox,
    running: Option<Running>,
    begin: Instant,
    /// How long it took, once it is over.
    took: Option<Duration>,
}

struct ScannerBox(Scanner);

impl std::fmt::Debug for ScannerBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scanner")
    }
}

struct CompressorBox(Compressor);

impl std::fmt::Debug for CompressorBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    _lock: Option<CpuLock>,
}

impl Drop for Running {
    fn drop(&mut self) {
        children::kill_and_wait(&mut self.child);
    }
}

impl Source {
    /// Starts the preprocessor of `plan`. `version` is that of the first worker; `lock` is given back as soon as the preprocessor has ended.
    pub(crate) fn start(
        plan: &RemotePlan,
        mut command: Command,
        version: ProtocolVersion,
        level: i32,
        lock: Option<CpuLock>,
    ) -> Result<Source, Failure> {
        let compressor = Compressor::new(version, level)
            .map_err(|error| Failure::here(LocalReason::SourceUnreadable, error.to_string()))?;
        let mut source = Source {
            chunks: Vec::new(),
            partial: Vec::with_capacity(CHUNK_SIZE),
            total: 0,
            scanner: None,
            messages: Vec::new(),
            compressor: CompressorBox(compressor),
            running: None,
            begin: Instant::now(),
            took: None,
        };
        match plan.preprocessing {
            Preprocessing::Already => {
                source.scanner = Some(ScannerBox(Scanner::for_plan(plan)));
                source.read_file(Path::new(&plan.input))?;
                return Ok(source);
            }
            Preprocessing::Full => source.scanner = Some(ScannerBox(Scanner::for_plan(plan))),
            Preprocessing::Merge => source.scanner = Some(ScannerBox(Scanner::for_plan(plan))),
        }
        let not_started = |error: std::io::Error| {
            Failure::here(LocalReason::PreprocessorNotStarted, error.to_string()).numbered(18)
        };
        let mut child = command
            .args(plan.preprocessor_words())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let running = Running {
            child,
            stdout,
            stderr,
            _lock: lock,
        };
        if let Some(pipe) = &running.stdout {
            let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE);
            rustix::io::ioctl_fionbio(pipe, true).map_err(|e| not_started(e.into()))?;
        }
        if let Some(pipe) = &running.stderr {
            rustix::io::ioctl_fionbio(pipe, true).map_err(|e| not_started(e.into()))?;
        }
        source.running = Some(running);
        Ok(source)
    }

    /// Everything has been read and the preprocessor has ended well.
    pub(crate) fn is_complete(&self) -> bool {
        self.running.is_none()
    }

    /// What to wait for while the preprocessor runs.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.running.as_ref();
        let stdout = running.and_then(|r| r.stdout.as_ref()).map(AsFd::as_fd);
        let stderr = running.and_then(|r| r.stderr.as_ref()).map(AsFd::as_fd);
        stdout.into_iter().chain(stderr)
    }

    /// What the preprocessor printed for the user.
    pub(crate) fn messages(&self) -> &[u8] {
        &self.messages
    }

    /// Bytes so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How long the preprocessor ran, or has run until now.
    pub(crate) fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.begin.elapsed())
    }

    /// Number of chunks so far.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Writes the text so far, for people to look at.
    pub(crate) fn write_to(&self, path: &Path) -> std::io::Result<()> {
        let mut file = File::create(path)?;
        for chunk in &self.chunks {
            let text = chunk.decompress().map_err(std::io::Error::other)?;
            file.write_all(&text)?;
        }
        Ok(())
    }

    /// One chunk, in a form a peer of this version understands.
    pub(crate) fn chunk(
        &self,
        index: usize,
        version: ProtocolVersion,
    ) -> Result<FileChunk, Failure> {
        let unpackable = |error: &dyn std::fmt::Display| {
            Failure::here(LocalReason::SourceUnreadable, error.to_string())
        };
        let Some(chunk) = self.chunks.get(index) else {
            return Err(unpackable(&"no such chunk"));
        };
        if chunk.codec == ChunkCodec::Lzo || version.at_least(40) {
            return Ok(chunk.clone());
        }
        let data = chunk.decompress().map_err(|e| unpackable(&e))?;
        Compressor::new(version, 1)
            .and_then(|mut compressor| compressor.compress(&data))
            .map_err(|e| unpackable(&e))
    }

    /// Takes what the preprocessor has printed so far, without waiting for more, and notices when it has ended.
    pub(crate) fn advance(&mut self) -> Result<(), Failure> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let result = self.read_pipes(&mut running);
        let ended = running.stdout.is_none() && running.stderr.is_none();
        if result.is_err() || !ended {
            self.running = Some(running);
            return result;
        }
        let status = running.child.wait().map_err(unreadable)?;
        drop(running);
        self.took = Some(self.begin.elapsed());
        if !status.success() {
            return Err(
                Failure::here(LocalReason::PreprocessorFailed, "the preprocessor failed")
                    .numbered(103),
            );
        }
        self.finish()
    }

    fn read_pipes(&mut self, running: &mut Running) -> Result<(), Failure> {
        let mut buffer = [0; 1 << 16];
        while let Some(pipe) = &mut running.stdout {
            match pipe.read(&mut buffer) {
                Ok(0) => running.stdout = None,
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        while let Some(pipe) = &mut running.stderr {
            match pipe.read(&mut buffer) {
                Ok(0) => running.stderr = None,
                Ok(count) => {
                    self.messages
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.messages.len() > MAX_MESSAGES {
                        return Err(Failure::here(
                            LocalReason::PreprocessorOutput,
                            "the preprocessor prints too much",
                        ));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let mut file = File::open(path).map_err(unreadable)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => {
                    self.took = Some(self.begin.elapsed());
                    return self.finish();
                }
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    fn take(&mut self, mut text: &[u8]) -> Result<(), Failure> {
        self.total += text.len() as u64;
        if self.total > MAX_SOURCE {
            return Err(Failure::here(
                LocalReason::SourceTooLarge,
                format!("more than {MAX_SOURCE} bytes of preprocessed source"),
            ));
        }
        while !text.is_empty() {
            let room = CHUNK_SIZE - self.partial.len();
            let (now, later) = text.split_at(room.min(text.len()));
            self.partial.extend_from_slice(now);
            text = later;
            if self.partial.len() == CHUNK_SIZE {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.partial.is_empty() {
            Ok(())
        } else {
            self.cut()
        }
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let finding = match &mut self.scanner {
            Some(scanner) => scanner.0.feed(&self.partial),
            None => Finding::Plain,
        };
        if let Some(reason) = finding.reason() {
            return Err(Failure::here(reason, reason.explanation().trim()));
        }
        let chunk = self
            .compressor
            .0
            .compress(&self.partial)
            .map_err(|error| Failure::here(LocalReason::SourceUnreadable, error.to_string()))?;
        self.partial.clear();
        self.chunks.push(chunk);
        Ok(())
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::here(LocalReason::SourceUnreadable, error.to_string()).numbered(16)
}
