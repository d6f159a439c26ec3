//! What one running job occupies, how it is set up, and what is made of its end.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gelato_sandbox::{Exit, Outcome, Running};
use gelato_toolchain::store::InUse;
use gelato_wire::ByteString;
use gelato_wire::msg::CompileResult;
use gelato_wire::types::exit_codes;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::intake::Intake;
use crate::core::vocabulary::{JobReport, JobRequest};
use crate::worker::command::{Plan, plan};
use crate::worker::process::Said;
use crate::worker::reason::Reason;
use crate::worker::scratch::Scratch;
use crate::worker::verdict::{Observed, Verdict, judge};
use crate::worker::{Task, Worker, WorkerError};

/// A job's place: its folder and its toolchain, both given back when dropped. Dropping blocks.
pub(super) struct Bench {
    // Dropped first: with a plain chroot it lies inside the toolchain.
    scratch: Scratch,
    _in_use: InUse,
    plan: Plan,
    started: Instant,
}

/// A job whose compiler runs.
pub(super) struct Begun {
    pub(super) running: Running,
    pub(super) bench: Bench,
}

/// What the submitter, the scheduler and the log get of a job.
pub(super) struct Finished {
    pub(super) result: CompileResult,
    pub(super) files: Vec<File>,
    /// Bytes in the files.
    pub(super) bytes: u64,
    pub(super) log_line: String,
    /// Why it goes back, if it does.
    pub(super) reason: Option<Reason>,
    /// Whether the toolchain may be damaged.
    pub(super) suspect: bool,
}

/// Starts the compiler of a toolchain that has been verified.
pub(super) async fn begin(
    worker: &Arc<Worker>,
    request: &JobRequest,
) -> Result<Begun, WorkerError> {
    let worker = Arc::clone(worker);
    let request = request.clone();
    let begun = spawn_blocking(move || {
        let in_use = worker.acquire(&request.toolchain)?;
        let scratch = worker.scratch(in_use.root())?;
        let plan = plan(&request.command, scratch.inside())?;
        for folder in &plan.folders {
            scratch.make_folders(folder).map_err(WorkerError::Scratch)?;
        }
        log_command(&request, &plan);
        let task = Task {
            program: plan.program.clone(),
            args: plan.args.clone(),
            cwd: plan.cwd.clone(),
        };
        let running = worker.spawn(in_use.root(), &scratch, task)?;
        let bench = Bench {
            scratch,
            _in_use: in_use,
            plan,
            started: Instant::now(),
        };
        Ok(Begun { running, bench })
    });
    begun.await.map_err(|_| WorkerError::Interrupted)?
}

fn log_command(request: &JobRequest, plan: &Plan) {
    let sent: Vec<_> = request
        .command
        .args
        .iter()
        .map(ByteString::to_string_lossy)
        .collect();
    debug!("remote compile arguments: {}", sent.join(" "));
    let all: Vec<_> = plan.args.iter().map(|arg| arg.to_string_lossy()).collect();
    debug!(
        "final arguments: {} {}",
        plan.program.display(),
        all.join(" ")
    );
}

impl Bench {
    /// The job's folder on the host.
    pub(super) fn folder(&self) -> &Path {
        self.scratch.host()
    }

    /// What is known of the job's course. The exit code is still missing.
    pub(super) fn report(&self, intake: &Intake, outcome: Option<&Outcome>) -> JobReport {
        let known = JobReport {
            exit_code: exit_codes::GENERAL_FAILURE,
            real: self.started.elapsed(),
            ..intake.report()
        };
        match outcome {
            Some(outcome) => JobReport {
                user: outcome.user,
                system: outcome.system,
                page_faults: outcome.page_faults,
                peak_memory: outcome.max_rss_bytes,
                ..known
            },
            None => known,
        }
    }

    /// Judges the end and opens the results. Blocks.
    pub(super) fn finish(
        self,
        outcome: Result<Outcome, WorkerError>,
        said: Said,
        handed_back: Option<Reason>,
    ) -> (Bench, Finished) {
        let out_of_memory = outcome.as_ref().is_ok_and(|outcome| outcome.out_of_memory);
        let exit = outcome.map(|outcome| outcome.exit);
        let log_line = match &exit {
            Ok(Exit::Code(0)) => "Remote compilation completed with exit code 0".to_owned(),
            Ok(Exit::Code(code)) => format!("Remote compilation exited with exit code {code}"),
            Ok(Exit::Signal(signal)) => {
                format!("Remote compilation aborted with exit code {}", 128 + signal)
            }
            Err(error) => format!("Remote compilation was lost: {error}"),
        };
        let object = self.scratch.output(&self.plan.object);
        let verdict = match (&exit, handed_back) {
            (_, Some(reason)) => Verdict::HandBack(reason),
            (Err(_), None) => Verdict::HandBack(Reason::crashed(
                "the sandbox did not report the compiler's end",
            )),
            (Ok(exit), None) => judge(&Observed {
                exit: *exit,
                out_of_memory,
                stderr: &said.stderr.bytes,
                diagnostics_fit: said.stdout.fits() && said.stderr.fits(),
                has_object: object.is_some(),
                disk_free: self.scratch.disk_free(),
            }),
        };
        let mut finished = Finished {
            result: CompileResult::default(),
            files: Vec::new(),
            bytes: 0,
            log_line,
            reason: None,
            suspect: false,
        };
        match verdict {
            Verdict::Success => {
                let dwo = self
                    .plan
                    .dwo
                    .as_ref()
                    .and_then(|path| self.scratch.output(path));
                finished.result = compile_result(said, 0);
                finished.result.have_dwo = dwo.is_some();
                for output in object.into_iter().chain(dwo) {
                    finished.bytes += output.size;
                    finished.files.push(output.file);
                }
            }
            Verdict::Refused(status) => finished.result = compile_result(said, status),
            Verdict::HandBack(reason) => {
                finished.suspect = handed_back.is_none() && mentions_exec(&said.stderr.bytes);
                finished.result = hand_back(reason, said);
                finished.reason = Some(reason);
            }
        }
        (self, finished)
    }
}

/// The result that makes the submitter compile by itself.
pub(super) fn hand_back(reason: Reason, said: Said) -> CompileResult {
    let mut result = compile_result(said, exit_codes::OUT_OF_MEMORY);
    let mut stderr = result.stderr.as_bytes().to_vec();
    if !stderr.is_empty() && !stderr.ends_with(b"\n") {
        stderr.push(b'\n');
    }
    stderr.extend_from_slice(reason.line().as_bytes());
    result.stderr = ByteString::from_bytes(stderr);
    result.out_of_memory = true;
    result
}

fn compile_result(said: Said, status: i32) -> CompileResult {
    CompileResult {
        stderr: ByteString::from_bytes(said.stderr.bytes),
        stdout: ByteString::from_bytes(said.stdout.bytes),
        status,
        out_of_memory: false,
        have_dwo: false,
    }
}

/// The driver could not start a part of the compiler.
fn mentions_exec(stderr: &[u8]) -> bool {
    [
        "cannot execute",
        "error trying to exec",
        "error while loading shared libraries",
    ]
    .iter()
    .any(|text| {
        stderr
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}
