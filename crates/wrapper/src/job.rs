//! One job from the command line to the exit code.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gelato_compiler::decide::{Compiler, Decision};
use gelato_compiler::{
    Family, Language, LocalReason, RemotePlan, Settings, Verdict, decide, names, respfile,
};

use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::files::RealFiles;
use crate::invocation::{Program, Run};
use crate::local::{self, Under};
use crate::log::{Level, Log};
use crate::probe;
use crate::record::{Place, Record};
use crate::remote::{self, Outcome};
use crate::search::{self, Own};
use crate::signals::Signals;
use crate::status;
use crate::toolchains;
use crate::variables::{Variables, Wish};

/// What all steps of a job need to know.
pub(crate) struct Job<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) log: &'a Log,
    /// The program behind us.
    pub(crate) program: PathBuf,
    /// Its arguments as typed.
    pub(crate) words: &'a [OsString],
    /// Not a compiler, or started as icerun.
    pub(crate) custom: bool,
    pub(crate) working_directory: PathBuf,
    pub(crate) output: Option<OsString>,
    pub(crate) input: Option<OsString>,
    /// Needs the whole machine.
    pub(crate) full_job: bool,
    pub(crate) attempts_failed: u32,
    pub(crate) record: Record,
}

impl Job<'_> {
    /// One level deeper for commands that may start compilers, two for compilers, which must not start us.
    pub(crate) fn depth_for_child(&self) -> u32 {
        self.variables.depth + if self.custom { 1 } else { 2 }
    }

    /// Writes the line of the build log.
    pub(crate) fn finish(&self, code: i32) {
        let name = self
            .output
            .as_deref()
            .or(self.input.as_deref())
            .unwrap_or_else(|| probe::display_name(&self.program));
        self.record
            .append(self.variables.build_log.as_deref(), code, name);
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
    let log = Log::from_environment();
    if variables.depth >= 2 {
        log.error(format_args!(
            "icecream seems to have invoked itself recursively!"
        ));
        return ExitCode::from(status::RECURSION);
    }
    if variables.depth == 1 {
        log.info(format_args!("recursive invocation from icerun"));
    }
    let own = Own::find();
    let Some(program) = find_program(&run.program, variables, &own) else {
        let name = match &run.program {
            Program::Named(name) => Path::new(name).display().to_string(),
            Program::Usual { cxx: true } => "g++".to_owned(),
            Program::Usual { cxx: false } => "gcc".to_owned(),
        };
        log.error(format_args!("couldn't find any {name}"));
        log.error(format_args!("could not find {name} in PATH."));
        return ExitCode::from(status::NOT_FOUND);
    };
    let mut job = Job {
        variables,
        log: &log,
        custom: run.icerun,
        program,
        words: &run.words,
        working_directory: env::current_dir().unwrap_or_default(),
        output: None,
        input: None,
        full_job: false,
        attempts_failed: 0,
        record: Record::new(),
    };
    if log.wants(Level::Debug) {
        log.debug(format_args!("invoked as: {:?}", run.words));
    }
    match understand(&mut job, &run, &own) {
        Ok(plan) => distribute(&mut job, plan),
        Err(reason) => stay(&mut job, reason),
    }
}

fn find_program(program: &Program, variables: &Variables, own: &Own) -> Option<PathBuf> {
    let path = variables.path.as_deref();
    match program {
        Program::Named(name) => search::find(name, path, own),
        Program::Usual { cxx } => {
            let candidates = if *cxx { ["g++", "c++"] } else { ["gcc", "cc"] };
            candidates
                .iter()
                .find_map(|name| search::find(OsStr::new(name), path, own))
        }
    }
}

/// What the command line asks for, and by which compiler.
fn understand(job: &mut Job<'_>, run: &Run, own: &Own) -> Result<RemotePlan, LocalReason> {
    if run.icerun {
        return Err(LocalReason::Icerun);
    }
    let typed = match &run.program {
        Program::Named(name) => name.as_os_str(),
        Program::Usual { .. } => job.program.as_os_str(),
    };
    let Some(tool) = names::parse(typed) else {
        job.custom = true;
        return Err(LocalReason::CustomCommand);
    };
    let words = respfile::expand(job.words, &RealFiles)?;
    let mut decision = read(job, &words, tool.cxx)?;
    if let Some(other) = replacement(job.variables, &decision, tool.cxx) {
        let path = job.variables.path.as_deref();
        job.program = search::find(other, path, own).unwrap_or_else(|| PathBuf::from(other));
        let cxx = names::parse(job.program.as_os_str()).map_or(tool.cxx, |other| other.cxx);
        decision = read(job, &words, cxx)?;
    }
    job.full_job = decision.full_job;
    if decision.full_job {
        let option = words
            .iter()
            .find(|word| word.as_encoded_bytes().starts_with(b"-flto"))
            .map_or("-flto".into(), |word| word.to_string_lossy());
        job.log.info(format_args!(
            "{option} and no -c, building with all local slots"
        ));
    }
    job.output = decision.output;
    job.input = decision.input;
    match decision.verdict {
        Verdict::Remote(plan) if job.working_directory.as_os_str().is_empty() => {
            drop(plan);
            Err(LocalReason::Environment)
        }
        Verdict::Remote(_) if probe::is_script(&job.program) => Err(LocalReason::CompilerScript),
        Verdict::Remote(plan) => Ok(*plan),
        Verdict::Local(reason) => {
            if reason == LocalReason::MissingFile {
                job.log.warning(format_args!(
                    "file for argument {} missing, building locally",
                    OsString::from_iter(
                        words.iter().flat_map(|w| [w.as_os_str(), OsStr::new(" ")])
                    )
                    .display()
                ));
            }
            Err(reason)
        }
    }
}

/// Reads the words as the compiler would. The compiler is only asked for what its name does not tell, and only if that matters.
fn read(job: &Job<'_>, words: &[OsString], cxx: bool) -> Result<Decision, LocalReason> {
    let family = probe::family_by_name(&job.program);
    let mut compiler = Compiler {
        family: family.unwrap_or(Family::Gcc),
        cxx,
        default_target: None,
    };
    let as_family = |compiler: &Compiler| {
        let settings = Settings::from_environment(
            |name| env::var_os(name),
            compiler.family,
            std::io::stderr().is_terminal(),
            job.working_directory.clone(),
        );
        decide(compiler, words, &settings, &RealFiles)
    };
    let first = as_family(&compiler);
    let undecided = match &first.verdict {
        Verdict::Remote(plan) => family.is_none() || plan.family == Family::Clang,
        Verdict::Local(reason) => *reason == LocalReason::CompilerUnknown,
    };
    if !undecided {
        return Ok(first);
    }
    let Some(answer) = probe::ask(&job.program, job.variables) else {
        return Err(LocalReason::CompilerUnknown);
    };
    if answer.configured {
        return Err(LocalReason::CompilerConfiguration);
    }
    compiler.family = answer.family;
    compiler.default_target = Some(answer.target);
    Ok(as_family(&compiler))
}

/// The compiler `ICECC_CC` or `ICECC_CXX` names for the language of the job.
fn replacement<'a>(
    variables: &'a Variables,
    decision: &Decision,
    driver_is_cxx: bool,
) -> Option<&'a OsString> {
    let language = match &decision.verdict {
        Verdict::Remote(plan) => plan.language,
        Verdict::Local(_) if driver_is_cxx => Language::Cxx,
        Verdict::Local(_) => Language::C,
    };
    match language {
        Language::C => variables.cc.as_ref(),
        Language::Cxx => variables.cxx.as_ref(),
        Language::ObjectiveC | Language::ObjectiveCxx => None,
    }
}

/// The job stays here.
fn stay(job: &mut Job<'_>, reason: LocalReason) -> ExitCode {
    job.record.reason = Some(reason);
    job.log
        .info(format_args!("local build: {}", reason.explanation().trim()));
    let signals = Signals::default();
    if matches!(
        reason,
        LocalReason::DriverQuery | LocalReason::NoInput | LocalReason::MissingValue
    ) {
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
                return stay(job, LocalReason::ExtraFileMissing);
            }
        }
    }
    let daemon = match connect(job) {
        Ok(Some(daemon)) => daemon,
        Ok(None) => {
            job.record.reason = Some(LocalReason::NoDaemon);
            job.log
                .warning(format_args!("no local daemon found, building here"));
            return local::run(job, Under::Lock, &Signals::default());
        }
        Err(code) => return code,
    };
    let signals = Signals::default();
    match remote::run(job, plan, daemon, &extra_files, &signals) {
        Outcome::Finished(code) => {
            job.finish(code);
            signals.die_if_caught();
            local::exit_code(code)
        }
        Outcome::Interrupted => {
            let code = 128 + signals.caught().unwrap_or(2);
            job.finish(code);
            signals.die_if_caught();
            local::exit_code(code)
        }
        Outcome::Here(failure) => {
            job.tell(&failure);
            job.record.reason = Some(failure.reason);
            if job.record.place == Place::Remote {
                job.record.place = Place::FailedOver;
            }
            let under = match Daemon::connect(job.variables, job.log, &signals) {
                Ok(Some(daemon)) => Under::Daemon(daemon),
                _ => Under::Lock,
            };
            local::run(job, under, &signals)
        }
    }
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
