//! One job from the command line to the exit code.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gelato_compiler::{LocalReason, Output, OutputRole, RemotePlan};
use gelato_record::Verdict;

use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::invocation::{Program, Run};
use crate::local::{self, Under};
use crate::log::{Level, Log};
use crate::mailbox::Mailbox;
use crate::native;
use crate::nested;
use crate::notice;
use crate::policy::{self, Policy};
use crate::probe;
use crate::record::{About, Record, milliseconds};
use crate::remote::{self, Outcome};
use crate::search::Own;
use crate::signals::Signals;
use crate::status;
use crate::toolchains;
use crate::understand;
use crate::usage::Usage;
use crate::variables::{Variables, Wish};

/// What all steps of a job need to know.
pub(crate) struct Job<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) log: &'a Log,
    /// The program as typed.
    pub(crate) called: OsString,
    /// The program behind us, for local runs.
    pub(crate) program: PathBuf,
    /// The compiler proper behind that, for everything else.
    pub(crate) compiler: PathBuf,
    /// A program that has to do the preprocessing in place of the compiler.
    pub(crate) front: Option<Front>,
    /// Its arguments as typed.
    pub(crate) words: &'a [OsString],
    /// Not a compiler, or started as icerun.
    pub(crate) custom: bool,
    pub(crate) working_directory: PathBuf,
    pub(crate) output: Option<OsString>,
    pub(crate) input: Option<OsString>,
    /// The files the command will create, wherever it is done.
    pub(crate) outputs: Vec<Output>,
    /// Needs the whole machine.
    pub(crate) full_job: bool,
    pub(crate) attempts_failed: u32,
    /// The record is written.
    finished: bool,
    pub(crate) record: Record,
    /// Who takes the record, until it is sent.
    pub(crate) mailbox: Option<Mailbox>,
}

/// A program between us and the compiler that gives it further words.
pub(crate) struct Front {
    pub(crate) program: PathBuf,
    /// The job with the words that this program is to get.
    pub(crate) plan: RemotePlan,
}

impl Job<'_> {
    /// One level deeper for commands that may start compilers, two for compilers, which must not start us.
    pub(crate) fn depth_for_child(&self) -> u32 {
        self.variables.depth + if self.custom { 1 } else { 2 }
    }

    /// The job is over: its record goes to the daemon and into the build log. Once is enough.
    pub(crate) fn finish(&mut self, code: i32) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.record
            .append(self.variables.build_log.as_deref(), code, self.name());
        let Some(mailbox) = self.mailbox.take() else {
            return;
        };
        let compiled = |output: &&Output| {
            let object = matches!(output.role, OutputRole::Object | OutputRole::Assembly);
            !output.pattern && (object || output.role == OutputRole::Linked)
        };
        let output = self.outputs.iter().find(compiled).filter(|_| code == 0);
        let about = About {
            file: self.name(),
            source: self.input.as_deref(),
            folder: &self.working_directory,
            compiler: &self.called,
            build: self.variables.build_id.as_deref(),
            exit: code,
            cpu: Usage::of_children().cpu(),
            output_bytes: output
                .and_then(|output| fs::metadata(&output.path).ok())
                .map_or(0, |metadata| metadata.len()),
        };
        mailbox.post(&self.record.for_daemon(&about));
    }

    /// Whether somebody wants to know how the job ends.
    pub(crate) fn is_recorded(&self) -> bool {
        self.mailbox.is_some() || self.variables.build_log.is_some()
    }

    /// Records why the job is not done elsewhere. What the reason is about may be known already.
    fn because(&mut self, reason: LocalReason) {
        let known = self.record.subject.take();
        let subject = known.or_else(|| {
            let program = || Some(self.program.clone().into_os_string());
            match reason {
                LocalReason::CustomCommand
                | LocalReason::Icerun
                | LocalReason::CompilerScript
                | LocalReason::CompilerConfiguration
                | LocalReason::CompilerUnknown
                | LocalReason::NoToolchain => program(),
                LocalReason::Disabled | LocalReason::NotWanted => Some("ICECC".into()),
                LocalReason::NoMatchingToolchain | LocalReason::ExtraFilesNotInToolchain => {
                    Some("ICECC_VERSION".into())
                }
                _ => None,
            }
        });
        self.record.because(reason, subject.as_deref());
    }

    /// Whether the job is local under every policy.
    fn belongs_here(&self, reason: LocalReason) -> bool {
        policy::belongs_here(reason) || policy::compiles_nothing(reason, &self.outputs)
    }

    /// What the job is about: its output, source or program.
    fn name(&self) -> &OsStr {
        self.output
            .as_deref()
            .or(self.input.as_deref())
            .unwrap_or_else(|| probe::display_name(&self.program))
    }

    /// A failed attempt: a line for the user if the infrastructure is to blame, else for those who want to know.
    pub(crate) fn tell(&self, failure: &Failure) {
        if failure.told {
            return;
        }
        let host = self.record.worker.as_deref().unwrap_or("daemon");
        if failure.is_worth_telling() {
            self.log
                .error(format_args!("got exception {} ({host})", failure.line()));
        } else {
            self.log.warning(format_args!(
                "local build forced by remote exception: {} ({host})",
                failure.line()
            ));
        }
    }

    /// The marker scripts look for before a local compilation.
    pub(crate) fn note_local(&self) {
        self.log.info(format_args!("<building_local>"));
    }
}

/// Runs what `run` names.
pub(crate) fn run(variables: &Variables, run: Run) -> ExitCode {
    let log = Log::open(variables);
    if variables.depth >= 2 {
        return nested::stand_aside(variables, &run, &log);
    }
    if variables.depth == 1 {
        log.info(format_args!("recursive invocation from icerun"));
    }
    let record = Record::new();
    let own = Own::find();
    let found = match understand::find_program(&run.program, variables, &own) {
        Ok(found) => found,
        Err((name, missing)) => {
            let name = Path::new(&name).display();
            log.error(format_args!(
                "couldn't find any {name}: could not find {name} in PATH.{}",
                missing.in_parentheses()
            ));
            return ExitCode::from(status::NOT_FOUND);
        }
    };
    let mut job = Job {
        variables,
        log: &log,
        custom: run.icerun,
        called: match &run.program {
            Program::Named(name) => name.clone(),
            Program::Usual { .. } => found.path.clone().into_os_string(),
        },
        program: found.path.clone(),
        compiler: found.path.clone(),
        front: None,
        words: &run.words,
        working_directory: env::current_dir().unwrap_or_default(),
        output: None,
        input: None,
        outputs: Vec::new(),
        full_job: false,
        attempts_failed: 0,
        finished: false,
        record,
        mailbox: Mailbox::open(variables),
    };
    if log.wants(Level::Debug) {
        log.debug(format_args!("invoked as: {:?}", run.words));
    }
    let understood = understand::understand(&mut job, &run, found, &own).and_then(|plan| {
        native::resolve(plan, &job.compiler, variables).inspect_err(|_| {
            let native = |word: &&OsString| word.as_encoded_bytes().ends_with(b"=native");
            job.record.subject = job.words.iter().find(native).cloned();
        })
    });
    if !understood
        .as_ref()
        .is_err_and(|&reason| job.belongs_here(reason))
    {
        notice::broken_settings(&job);
    }
    job.record.phases.analyse = milliseconds(job.record.begin.elapsed());
    match understood {
        Ok(plan) => distribute(&mut job, plan),
        Err(reason) => stay(&mut job, reason),
    }
}

/// The job stays here.
fn stay(job: &mut Job<'_>, reason: LocalReason) -> ExitCode {
    job.because(reason);
    job.log
        .info(format_args!("local build: {}", reason.explanation().trim()));
    if let Some(code) = refused(job, reason, None) {
        return code;
    }
    notice::breakdown(job, reason);
    let signals = Signals::default();
    // What waits for another program's output must not take the slot that program may need.
    let reads_from_another = !job.custom && job.words.iter().any(|word| word == "-");
    if reads_from_another
        || matches!(
            reason,
            LocalReason::DriverQuery
                | LocalReason::NoInput
                | LocalReason::MissingValue
                | LocalReason::StandardInput
        )
    {
        return local::run(job, Under::Nothing, &signals);
    }
    let under = match job.variables.wish {
        Wish::NoDaemon => Under::Lock,
        Wish::LocalOnly | Wish::Distribute => match connect(job) {
            Ok(Some(daemon)) => Under::Daemon(daemon),
            Ok(None) => Under::Lock,
            Err(code) => return code,
        },
    };
    local::run(job, under, &signals)
}

/// The job may travel.
fn distribute(job: &mut Job<'_>, plan: RemotePlan) -> ExitCode {
    match job.variables.wish {
        Wish::NoDaemon => return stay(job, LocalReason::Disabled),
        Wish::LocalOnly => return stay(job, LocalReason::NotWanted),
        Wish::Distribute => {}
    }
    let mut extra_files = Vec::new();
    if let Some(list) = &job.variables.extra_files {
        match toolchains::extra_files(list, &job.working_directory) {
            Ok(files) => extra_files = files,
            Err(missing) => {
                job.log.warning(format_args!(
                    "file for argument ICECC_EXTRAFILES missing, building locally: {}",
                    missing.display()
                ));
                job.record.subject = Some(missing.into_os_string());
                return stay(job, LocalReason::ExtraFileMissing);
            }
        }
    }
    let daemon = match connect(job) {
        Ok(Some(daemon)) => daemon,
        Ok(None) => {
            job.because(LocalReason::NoDaemon);
            if let Some(code) = refused(job, LocalReason::NoDaemon, None) {
                return code;
            }
            notice::breakdown(job, LocalReason::NoDaemon);
            job.log
                .warning(format_args!("no local daemon found, building here"));
            return local::run(job, Under::Lock, &Signals::default());
        }
        Err(code) => return code,
    };
    let signals = Signals::default();
    if job.is_recorded() {
        signals.install();
    }
    match remote::run(job, plan, daemon, &extra_files, &signals) {
        Outcome::Finished(code) => {
            job.finish(code);
            signals.die_if_caught();
            local::exit_code(code)
        }
        Outcome::Interrupted => {
            let code = 128 + signals.caught().unwrap_or(2);
            job.record.because(LocalReason::Interrupted, None);
            job.finish(code);
            signals.die_if_caught();
            local::exit_code(code)
        }
        Outcome::Here(failure) => {
            job.tell(&failure);
            job.because(failure.reason);
            job.record.detail.clone_from(&failure.text);
            if job.record.verdict == Verdict::Remote {
                job.record.verdict = Verdict::FailedOver;
            }
            if let Some(code) = refused(job, failure.reason, Some(&failure.text)) {
                return code;
            }
            notice::breakdown(job, failure.reason);
            let under = match Daemon::connect(job.variables, job.log, &signals) {
                Ok(Some(daemon)) => Under::Daemon(daemon),
                _ => Under::Lock,
            };
            local::run(job, under, &signals)
        }
    }
}

/// The status of a job that must not be done here, after the user was told.
fn refused(job: &mut Job<'_>, reason: LocalReason, detail: Option<&str>) -> Option<ExitCode> {
    let variables = job.variables;
    if variables.policy != Policy::Require || job.belongs_here(reason) {
        return None;
    }
    let name = job.name().display();
    let explanation = reason.explanation().trim();
    let detail = detail.map_or_else(String::new, |text| format!(": {text}"));
    job.log.verdict(format_args!(
        "{name} must be compiled by another machine and cannot be: {explanation} ({reason}{detail})"
    ));
    job.log.verdict(format_args!(
        "{} Or have it compiled here with GELATO_POLICY=prefer; the policy require comes from {}.",
        reason.advice().trim(),
        variables.policy_origin
    ));
    job.record.verdict = Verdict::Refused;
    job.finish(i32::from(status::REFUSED));
    Some(ExitCode::from(status::REFUSED))
}

fn connect(job: &Job<'_>) -> Result<Option<Daemon>, ExitCode> {
    Daemon::connect(job.variables, job.log, &Signals::default()).map_err(|failed| {
        job.log.error(format_args!(
            "ICECC_TEST_SOCKET leads to no daemon: {}",
            failed.0
        ));
        ExitCode::from(status::TEST_SOCKET)
    })
}
