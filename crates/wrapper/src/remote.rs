//! One job elsewhere: toolchain, worker, source, result; and what to do when a step fails.
//!
//! A worker that fails is replaced by another one once; after that, or when another worker could do no better, the job falls back to this machine. Source that depends
//! on date, time or file names is expanded here and sent again. What the user sees is decided at the very end, so that nothing is printed twice.

use std::borrow::Cow;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gelato_compiler::plan::Preprocessing;
use gelato_compiler::scan::{Finding, Scanner};
use gelato_compiler::{Family, LocalReason, RemotePlan};
use gelato_record::Verdict;
use gelato_toolchain::names;
use gelato_wire::Environment;
use gelato_wire::msg::{GetCs, JobDone, UseCs};
use gelato_wire::types::{features, job_done_flags, shorten};

use crate::daemon::Daemon;
use crate::failure::{Failure, Stop};
use crate::job::Job;
use crate::local;
use crate::locks;
use crate::log::Level;
use crate::nested::STARTED;
use crate::output::{self, Habit};
use crate::policy::Policy;
use crate::producer;
use crate::record::milliseconds;
use crate::signals::Signals;
use crate::source::Source;
use crate::toolchains::{self, Toolchain};
use crate::variables::DEPTH;
use crate::verify::{self, Statement};
use crate::waiting;
use crate::worker::{self, Answer, Traffic, Worker};

/// After this long no second worker is tried: the user has waited enough.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often another worker is asked for, to compare.
const WITNESS_REQUESTS: usize = 4;
/// How long each of these requests may wait: the job is done, only certainty is missing.
const WITNESS_WAIT: Duration = Duration::from_secs(10);
/// Sources larger than this are not looked into before they are preprocessed.
const MAX_FIRST_LOOK: u64 = 4 << 20;

/// How the attempt ended.
pub(crate) enum Outcome {
    /// Done, everything written and printed.
    Finished(i32),
    /// To be done here after all.
    Here(Failure),
    Interrupted,
}

/// Tries to have the job done elsewhere.
pub(crate) fn run(
    job: &mut Job<'_>,
    plan: RemotePlan,
    daemon: Daemon,
    extra_files: &[PathBuf],
    signals: &Signals,
) -> Outcome {
    let mut attempt = Attempt {
        plan,
        signals,
        offers: Vec::new(),
        source: None,
        address: None,
        failed: None,
        copies: 1,
        assigned_here: 0,
        tried: false,
        lock_wait: Duration::ZERO,
        partial: Vec::new(),
    };
    match attempt.all(job, daemon, extra_files) {
        Ok(code) => Outcome::Finished(code),
        Err(Stop::Interrupted) => {
            attempt.clean_up();
            Outcome::Interrupted
        }
        Err(Stop::Failed(failure)) => Outcome::Here(failure),
    }
}

struct Attempt<'a> {
    plan: RemotePlan,
    signals: &'a Signals,
    offers: Vec<Toolchain>,
    source: Option<Source>,
    /// The worker in use.
    address: Option<SocketAddr>,
    /// The worker that failed, and how.
    failed: Option<(Option<SocketAddr>, Failure)>,
    /// How many workers do the job, to be compared.
    copies: usize,
    /// How often the scheduler chose this machine.
    assigned_here: usize,
    /// Whether a worker was tried for the request at hand.
    tried: bool,
    /// Waiting for a lock to preprocess under.
    lock_wait: Duration,
    /// Outputs that were not there before the preprocessor started: what stands there after a signal is of no use.
    partial: Vec<PathBuf>,
}

impl Attempt<'_> {
    fn all(
        &mut self,
        job: &mut Job<'_>,
        mut daemon: Daemon,
        extra_files: &[PathBuf],
    ) -> Result<i32, Stop> {
        let begin = Instant::now();
        match first_look(&self.plan) {
            Finding::Plain => {}
            Finding::Contextual => self.plan = expanded(&self.plan)?,
            worse => {
                if let Some(reason) = worse.reason() {
                    return Err(Failure::here(reason, reason.explanation().trim()).into());
                }
            }
        }
        self.plan = producer::resolve(self.plan.clone(), &job.compiler, job.variables);
        let mut files = self.plan.extra_files.clone();
        files.extend_from_slice(extra_files);
        job.record.phases.analyse += milliseconds(begin.elapsed());
        let asked = Instant::now();
        let offers = toolchains::offers(job, &self.plan, &files, &mut daemon, self.signals);
        job.record.phases.toolchain += milliseconds(asked.elapsed());
        self.offers = offers?;
        self.copies = verify::copies(job.variables, &mut self.plan);
        let mut restarted = false;
        loop {
            let failure = match self.once(job, &mut daemon) {
                Ok(code) => return Ok(code),
                Err(Stop::Interrupted) => return Err(Stop::Interrupted),
                Err(Stop::Failed(failure)) => failure,
            };
            drop(daemon);
            job.record.retries += u32::from(std::mem::take(&mut self.tried));
            let expand = failure.reason == LocalReason::ContextualSource
                && self.plan.preprocessing == Preprocessing::Merge
                && !restarted;
            let policy = job.variables.policy;
            let retry = failure.another_worker
                && job.attempts_failed < policy.further_workers()
                && begin.elapsed() < PATIENCE;
            let pause = policy
                .pause_before_asking_again(self.assigned_here)
                .filter(|_| failure.reason == LocalReason::AssignedHere);
            if expand {
                restarted = true;
                job.record.retries = job.record.retries.saturating_sub(1);
                self.source = None;
                self.plan = expanded(&self.plan)?;
                job.log
                    .info(format_args!("{}, expanding macros here", failure.text));
            } else if retry {
                job.attempts_failed += 1;
                job.tell(&failure);
                job.record.detail.clone_from(&failure.text);
                // What counts if no other worker is found.
                job.record.because(failure.reason, None);
                self.failed = Some((self.address, failure.told()));
            } else if let Some(pause) = pause {
                waiting::wait(&[], Instant::now().checked_add(pause), self.signals)?;
            } else {
                return Err(failure.into());
            }
            match Daemon::connect(job.variables, job.log, self.signals) {
                Ok(Some(new)) => daemon = new,
                _ if self.signals.caught().is_some() => return Err(Stop::Interrupted),
                _ => {
                    return Err(Failure::here(
                        LocalReason::DaemonFailed,
                        "the daemon is gone after a failed attempt",
                    )
                    .into());
                }
            }
        }
    }

    /// After a signal: ends the preprocessor and removes what it wrote. Files that were there before stay, whatever is in them: without an old dependency file a
    /// build would take an old object for a fresh one.
    fn clean_up(&mut self) {
        self.source = None;
        for path in &self.partial {
            let _ = fs::remove_file(path);
        }
    }

    /// Asks for a worker and has it do the job.
    fn once(&mut self, job: &mut Job<'_>, daemon: &mut Daemon) -> Result<i32, Stop> {
        let asked = Instant::now();
        let answer = daemon.worker(self.request(job), self.signals);
        job.record.phases.wait += milliseconds(asked.elapsed());
        let answer = answer?;
        job.record.number = Some(answer.job_id);
        if is_this_machine(job, &answer) {
            self.assigned_here += 1;
            let policy = job.variables.policy;
            let unwelcome = policy
                .pause_before_asking_again(self.assigned_here)
                .is_some();
            if unwelcome || policy == Policy::Require {
                let text = "the scheduler chose this machine";
                return Err(Failure::here(LocalReason::AssignedHere, text).into());
            }
            return self.own_job(job, daemon, &answer);
        }
        job.record.worker = Some(format!("{}:{}", answer.hostname, answer.port));
        job.record.verdict = Verdict::FailedOver;
        job.log.info(format_args!(
            "Have to use host {}:{} - job {}, environment installed: {}",
            answer.hostname, answer.port, answer.job_id, answer.got_env
        ));
        let answer = self.elsewhere(job, daemon, &answer)?;
        if self.copies > 1 {
            self.verify(job, &answer)?;
        }
        let begin = Instant::now();
        let code = self.deliver(answer)?;
        job.record.phases.receive += milliseconds(begin.elapsed());
        if code == 0 {
            daemon.end();
        }
        self.tried = false;
        job.record.verdict = Verdict::Remote;
        job.record.reason = None;
        job.record.subject = None;
        Ok(code)
    }

    fn request(&self, job: &Job<'_>) -> GetCs {
        let variables = job.variables;
        let mut minimal = worker::minimal_version(&self.plan);
        if variables.only_verifying_workers {
            minimal = minimal.max(31);
        }
        let wanted_features = match variables.toolchain_compression.as_deref() {
            Some(name) if name == "xz" => features::ENV_XZ,
            Some(name) if name == "zstd" => features::ENV_ZSTD,
            _ => 0,
        };
        if wanted_features != 0 {
            minimal = minimal.max(42);
        }
        let nice = rustix::process::getpriority_process(None).unwrap_or(0);
        GetCs {
            environments: self
                .offers
                .iter()
                .map(|offer| Environment {
                    platform: offer.platform.as_str().into(),
                    name: offer.name.as_str().into(),
                })
                .collect(),
            filename: shorten(&(&self.plan.display_name(&job.working_directory)).into()),
            language: self.plan.language.number(),
            count: 1,
            target: names::platform().into(),
            arg_flags: self.plan.arg_flags,
            client_id: 0,
            preferred_host: variables
                .preferred_host
                .as_deref()
                .unwrap_or_default()
                .into(),
            ignore_unverified: minimal >= 31,
            minimal_host_version: minimal.cast_signed(),
            client_count: 0,
            required_features: wanted_features,
            niceness: nice.clamp(0, 20).unsigned_abs(),
        }
    }

    /// The scheduler wants the job done here: run it and report how it went.
    fn own_job(
        &mut self,
        job: &mut Job<'_>,
        daemon: &mut Daemon,
        answer: &UseCs,
    ) -> Result<i32, Stop> {
        job.log
            .info(format_args!("building myself, but telling localhost"));
        let platform = names::platform();
        daemon.begin_own_job(worker::job_description(
            &self.plan,
            answer.job_id,
            "__client",
            &platform,
            &job.working_directory,
        ))?;
        job.note_local();
        // A preprocessor of an earlier attempt has nothing to do any more.
        self.source = None;
        let (status, usage) = local::supervise(job, None, self.signals).map_err(|error| {
            Failure::here(
                LocalReason::AssignedHere,
                format!("cannot run the compiler: {error}"),
            )
        })?;
        let code = local::code_of(status);
        let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        let mut written = size(Path::new(&self.plan.output));
        if self.plan.split_dwarf {
            written += size(Path::new(&self.plan.dwo_file()));
        }
        let short = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        daemon.own_job_done(
            JobDone {
                job_id: answer.job_id,
                exitcode: code,
                real_msec: short(usage.real),
                user_msec: short(usage.user),
                sys_msec: short(usage.system),
                page_faults: u32::try_from(usage.page_faults).unwrap_or(u32::MAX),
                out_uncompressed: u32::try_from(written).unwrap_or(u32::MAX),
                flags: job_done_flags::FROM_SUBMITTER,
                ..JobDone::default()
            },
            code == 0,
        );
        job.record.cpu_time = usage.cpu();
        job.record.phases.local += milliseconds(usage.real);
        if job.attempts_failed == 0 {
            job.record.verdict = Verdict::Own;
            job.record.worker = None;
        }
        job.record.reason.get_or_insert(LocalReason::AssignedHere);
        Ok(code)
    }

    fn elsewhere(
        &mut self,
        job: &mut Job<'_>,
        daemon: &mut Daemon,
        answer: &UseCs,
    ) -> Result<Answer, Stop> {
        let address = address_of(answer)?;
        if let Some((_, failure)) = self.failed.take_if(|(failed, _)| *failed == Some(address)) {
            return Err(failure.into());
        }
        self.address = Some(address);
        self.tried = true;
        let begin = Instant::now();
        let worker = Worker::connect(address, job.variables.limits(), self.signals, job.log);
        job.record.phases.connect += milliseconds(begin.elapsed());
        let mut worker = worker?;
        let result = self.exchange(job, daemon, answer, &mut worker);
        self.note(job, &worker.traffic);
        result
    }

    /// Adds what an attempt took to the record.
    fn note(&mut self, job: &mut Job<'_>, traffic: &Traffic) {
        let record = &mut job.record;
        record.sent += traffic.sent;
        record.received += traffic.received;
        let phases = &mut record.phases;
        phases.slot += milliseconds(std::mem::take(&mut self.lock_wait));
        phases.install += milliseconds(traffic.install_time);
        phases.send += milliseconds(traffic.send_time);
        phases.compile = milliseconds(traffic.compile_time);
        phases.receive += milliseconds(traffic.receive_time);
        if let Some(source) = &self.source {
            phases.preprocess = milliseconds(source.took());
            record.source_bytes = source.total();
        }
    }

    /// Has the job done by further workers and compares. That there is nobody to compare with is no reason for anything.
    fn verify(&mut self, job: &mut Job<'_>, answer: &Answer) -> Result<(), Stop> {
        let mut seen: Vec<SocketAddr> = self.address.into_iter().collect();
        let first = job.record.worker.clone().unwrap_or_default();
        for _ in 1..self.copies {
            let other = match self.another_opinion(job, &mut seen) {
                Ok(answer) => Some(answer),
                Err(Stop::Failed(failure)) if failure.reason == LocalReason::RemoteOutput => None,
                Err(Stop::Failed(failure)) => {
                    job.log
                        .info(format_args!("not verified: {}", failure.line()));
                    return Ok(());
                }
                Err(Stop::Interrupted) => return Err(Stop::Interrupted),
            };
            let second = seen.last().map(SocketAddr::to_string).unwrap_or_default();
            let statements = [(&first, Some(answer)), (&second, other.as_ref())]
                .map(|(worker, answer)| Statement { worker, answer });
            verify::compare(job.variables, &self.plan, self.source.as_ref(), statements)
                .inspect_err(|failure| job.log.error(format_args!("{}", failure.text)))
                .map_err(Failure::told)?;
            job.log
                .info(format_args!("{first} and {second} made the same"));
        }
        job.record.verified = true;
        Ok(())
    }

    /// The answer of a worker that has not been seen, which then stands last.
    fn another_opinion(
        &mut self,
        job: &mut Job<'_>,
        seen: &mut Vec<SocketAddr>,
    ) -> Result<Answer, Stop> {
        // What was assigned is held until another worker is found: the scheduler then thinks of others.
        let mut held = Vec::new();
        for _ in 0..WITNESS_REQUESTS {
            let Ok(Some(mut daemon)) = Daemon::connect(job.variables, job.log, self.signals) else {
                self.signals.check()?;
                break;
            };
            let request = GetCs {
                preferred_host: Default::default(),
                ..self.request(job)
            };
            let use_cs = daemon.worker_within(WITNESS_WAIT, request, self.signals)?;
            if is_this_machine(job, &use_cs) {
                break;
            }
            let address = address_of(&use_cs)?;
            if seen.contains(&address) {
                held.push(daemon);
                continue;
            }
            held.clear();
            seen.push(address);
            job.log.info(format_args!(
                "comparing with {address} - job {}",
                use_cs.job_id
            ));
            let mut worker =
                Worker::connect(address, job.variables.limits(), self.signals, job.log)?;
            let answer = self.exchange(job, &mut daemon, &use_cs, &mut worker);
            job.record.sent += worker.traffic.sent;
            job.record.received += worker.traffic.received;
            let answer = answer?;
            if matches!(answer, Answer::Success { .. }) {
                daemon.end();
            }
            return Ok(answer);
        }
        Err(Failure::here(LocalReason::SchedulerSilent, "no other worker was offered").into())
    }

    fn exchange(
        &mut self,
        job: &Job<'_>,
        daemon: &mut Daemon,
        answer: &UseCs,
        worker: &mut Worker<'_>,
    ) -> Result<Answer, Stop> {
        if worker.version().number() < worker::minimal_version(&self.plan) {
            return Err(Failure::there(
                LocalReason::WorkerTooOld,
                format!(
                    "the worker speaks only protocol {}",
                    worker.version().number()
                ),
            )
            .into());
        }
        let variables = job.variables;
        if variables.only_verifying_workers && !worker.version().at_least(31) {
            return Err(Failure::there(
                LocalReason::WorkerTooOld,
                "environment not supported on host, too old to verify",
            )
            .numbered(26)
            .into());
        }
        let toolchain = self.toolchain_for(answer)?;
        let target = names::platform();
        if !answer.got_env {
            let refused = job.log.block("Transfer Environment", || {
                worker.transfer(&toolchain, &target, variables.compression_level)
            })?;
            if let Some(reason) = refused {
                daemon.blacklist(&toolchain.name, &target, &answer.hostname);
                return Err(Failure::there(
                    LocalReason::ToolchainRejected,
                    format!("the worker refuses the toolchain: {reason}"),
                )
                .numbered(24)
                .into());
            }
        }
        if self.source.is_none() {
            self.source = Some(self.preprocess(job, worker)?);
        }
        worker.begin(worker::job_description(
            &self.plan,
            answer.job_id,
            &toolchain.name,
            &target,
            &job.working_directory,
        ))?;
        let Some(source) = &mut self.source else {
            return Err(Failure::here(LocalReason::SourceUnreadable, "no source").into());
        };
        job.log
            .block("write_fd_to_server from cpp", || worker.stream(source))?;
        if !source.messages().is_empty()
            && (self.plan.family == Family::Clang || io::stderr().is_terminal())
        {
            return Err(Failure::here(
                LocalReason::PreprocessorOutput,
                "the preprocessor has messages",
            )
            .into());
        }
        worker.finish(&self.plan, job.variables.caret_workaround)
    }

    fn preprocess(&mut self, job: &Job<'_>, worker: &Worker<'_>) -> Result<Source, Stop> {
        if self.partial.is_empty() {
            let absent = |path: &PathBuf| fs::symlink_metadata(path).is_err();
            let names = job.outputs.iter().filter(|output| !output.pattern);
            let paths = names.map(|output| PathBuf::from(&output.path));
            self.partial = paths.filter(absent).collect();
        }
        let lock = match self.plan.preprocessing {
            Preprocessing::Already => None,
            Preprocessing::Merge | Preprocessing::Full => {
                let asked = Instant::now();
                let lock = locks::acquire(job.variables, job.log, self.signals)?;
                self.lock_wait += asked.elapsed();
                lock
            }
        };
        let (program, plan) = self.preprocessor(job);
        if job.log.wants(Level::Info) {
            let mut line = program.clone().into_os_string();
            for word in plan.preprocessor_words() {
                line.push(" ");
                line.push(word);
            }
            job.log
                .info(format_args!("preparing source to send: {}", line.display()));
        }
        self.signals.install();
        let mut command = Command::new(&program);
        command.env(DEPTH, job.depth_for_child().to_string());
        command.env(STARTED, &program);
        Ok(Source::start(
            &plan,
            command,
            worker.version(),
            job.variables.compression_level,
            lock,
        )?)
    }

    /// The program that preprocesses, and the job as that program is to see it.
    fn preprocessor<'a>(&'a self, job: &'a Job<'_>) -> (PathBuf, Cow<'a, RemotePlan>) {
        let Some(front) = &job.front else {
            let program = local::program_path(&job.compiler);
            return (program, Cow::Borrowed(&self.plan));
        };
        let plan = if self.plan.preprocessing == Preprocessing::Full {
            Cow::Owned(front.plan.with_full_preprocessing())
        } else {
            Cow::Borrowed(&front.plan)
        };
        (local::program_path(&front.program), plan)
    }

    fn toolchain_for(&self, answer: &UseCs) -> Result<Toolchain, Failure> {
        let wanted = answer.host_platform.as_bytes();
        self.offers
            .iter()
            .find(|offer| offer.platform.as_bytes() == wanted)
            .cloned()
            .ok_or_else(|| {
                Failure::here(
                    LocalReason::ToolchainUnreadable,
                    format!("no toolchain for platform {}", answer.host_platform),
                )
                .numbered(4)
            })
    }

    /// Writes outputs and messages. Until here nothing the user can see has changed.
    fn deliver(&mut self, answer: Answer) -> Result<i32, Stop> {
        let (code, stdout, stderr) = match answer {
            Answer::CompileError {
                status,
                stdout,
                stderr,
            } => {
                // Clang removes what an earlier run left; GCC's objects are the assembler's, which does not run.
                let output = Path::new(&self.plan.output);
                let removes = self.plan.family == Family::Clang || self.plan.assembly;
                if removes && fs::symlink_metadata(output).is_ok_and(|m| m.is_file()) {
                    let _ = fs::remove_file(output);
                }
                (status, stdout, stderr)
            }
            Answer::Success {
                object,
                dwo,
                stdout,
                stderr,
            } => {
                self.signals.check()?;
                let object = match &self.plan.producer {
                    None => object,
                    Some(producer) => producer.restore(object, self.plan.assembly).ok_or_else(
                        || {
                            Failure::here(
                                LocalReason::RecordsCommandLine,
                                "the debug information cannot be made that of the local compiler",
                            )
                        },
                    )?,
                };
                let habit = match (self.plan.family, self.plan.assembly) {
                    (Family::Clang, _) => Habit::Rename,
                    (Family::Gcc, true) => Habit::Rewrite,
                    (Family::Gcc, false) => Habit::Unlink,
                };
                if let Some(dwo) = dwo {
                    write_output(Path::new(&self.plan.dwo_file()), &dwo, habit)?;
                }
                write_output(Path::new(&self.plan.output), &object, habit)?;
                (0, stdout, stderr)
            }
        };
        let _ = io::stdout().write_all(&stdout);
        let _ = io::stdout().flush();
        if let Some(source) = &self.source {
            let _ = io::stderr().write_all(source.messages());
        }
        let _ = io::stderr().write_all(&stderr);
        Ok(code)
    }
}

fn write_output(path: &Path, content: &[u8], habit: Habit) -> Result<(), Failure> {
    output::write(path, content, habit).map_err(|error| {
        Failure::here(
            LocalReason::OutputNotWritable,
            format!("cannot write {}: {error}", path.display()),
        )
        .numbered(31)
    })
}

fn is_this_machine(job: &Job<'_>, answer: &UseCs) -> bool {
    answer.hostname == "127.0.0.1" && !(job.variables.test_remote_build && answer.port != 0)
}

/// Addresses come as numbers; names would have to be looked up, for which the wrapper has no time.
fn address_of(answer: &UseCs) -> Result<SocketAddr, Failure> {
    let host: Option<IpAddr> = answer.hostname.to_string_lossy().parse().ok();
    let port = u16::try_from(answer.port).ok().filter(|&port| port != 0);
    match (host, port) {
        (Some(host), Some(port)) => Ok(SocketAddr::from((host, port))),
        _ => Err(Failure::there(
            LocalReason::WorkerUnreachable,
            format!(
                "{}:{} is no address of a worker",
                answer.hostname, answer.port
            ),
        )
        .numbered(2)),
    }
}

/// The same job with macros expanded here. Where they were, the columns of debug information would change.
fn expanded(plan: &RemotePlan) -> Result<RemotePlan, Failure> {
    const DEBUG: u32 = 1 | 2;
    if plan.preprocessing == Preprocessing::Merge && plan.arg_flags & DEBUG != 0 {
        let reason = LocalReason::ContextualSource;
        return Err(Failure::here(reason, reason.explanation().trim()));
    }
    Ok(plan.with_full_preprocessing())
}

/// What the source itself says about how it can travel; headers show only in the merged text.
fn first_look(plan: &RemotePlan) -> Finding {
    let input = Path::new(&plan.input);
    let small = fs::metadata(input).is_ok_and(|m| m.is_file() && m.len() <= MAX_FIRST_LOOK);
    if !small {
        return Finding::Plain;
    }
    let mut scanner = Scanner::first_look(plan);
    fs::read(input).map_or(Finding::Plain, |text| scanner.feed(&text))
}
