//! One job of another machine, from the message that names it to the last byte of its result.
//!
//! Takes over the submitter's connection. Tells the dispatcher once: that the job is over, from when on its slot is free, or
//! that the submitter left before it began.

mod bench;
mod intake;

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use gelato_net::NetError;
use gelato_net::stream::{Reader, Writer};
use gelato_sandbox::{Outcome, Running};
use gelato_wire::Message;
use gelato_wire::msg::{CompileResult, StatusText};
use gelato_wire::types::exit_codes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use super::process::{Said, Source, attach, reap};
use super::pulse::process_of;
use super::reason::Reason;
use super::watchdog::Watchdog;
use super::{Worker, WorkerError, result};
use crate::access::Offence;
use crate::core::vocabulary::{Event, JobReport, JobRequest};
use crate::ids::ClientId;
use crate::notice::{Notice, Order};
use bench::{Begun, Bench, begin, hand_back};
pub(crate) use intake::Budget;
use intake::Intake;

/// A job's connection and its way to the dispatcher.
pub(crate) struct Line<'a> {
    /// The submitter.
    pub(crate) id: ClientId,
    /// From it.
    pub(crate) reader: &'a mut Reader,
    /// To it.
    pub(crate) writer: &'a mut Writer,
    /// From the dispatcher.
    pub(crate) orders: &'a mut mpsc::Receiver<Order>,
    /// To the dispatcher.
    pub(crate) notices: &'a mpsc::Sender<Notice>,
    /// Memory for the source while the job waits.
    pub(crate) budget: Arc<Budget>,
    /// What the submitter did that counts against it.
    pub(crate) offence: Option<Offence>,
}

/// Why a job ends without a result.
#[derive(Debug)]
pub(super) enum Abandon {
    /// The submitter closed the connection.
    Gone,
    /// The submitter said something after the source, which means "stop".
    Cancelled,
    /// The submitter sent what cannot be used, or nothing for too long.
    Broken(String),
    /// The submitter sent what is no message, or no source.
    Garbage(String),
    /// The dispatcher gave the order.
    Aborted,
    /// Too much source waits already.
    NoRoom,
}

impl From<NetError> for Abandon {
    fn from(error: NetError) -> Abandon {
        if error.is_closed() {
            Abandon::Gone
        } else {
            match error {
                NetError::Protocol { .. } => Abandon::Garbage(error.to_string()),
                _ => Abandon::Broken(error.to_string()),
            }
        }
    }
}

/// What a submitter is told whose source cannot be kept.
const NO_ROOM: Reason = Reason::busy("too many jobs wait at the worker");

enum Admission {
    Start,
    HandBack(Reason),
    Over,
}

/// Carries out a job; what its submitter did that counts against it.
pub(crate) async fn run(
    mut line: Line<'_>,
    worker: &Arc<Worker>,
    request: &JobRequest,
) -> Option<Offence> {
    let mut intake = Intake::new(Arc::clone(&line.budget));
    let held = worker.hold(&request.toolchain).await;
    match line.wait_for_slot(&mut intake).await {
        Admission::Over => {}
        Admission::Start => line.carry_out(worker, request, intake).await,
        Admission::HandBack(reason) => {
            line.hand_back_unstarted(worker, intake, exit_codes::OUT_OF_MEMORY, reason)
                .await;
        }
    }
    // Remembers the last use on disk.
    let _given_back = spawn_blocking(move || drop(held)).await;
    line.offence
}

impl Line<'_> {
    /// Takes in the source until the dispatcher decides.
    async fn wait_for_slot(&mut self, intake: &mut Intake) -> Admission {
        loop {
            tokio::select! {
                // A job that was started is reported as one, also if its submitter leaves at this moment.
                biased;
                order = self.orders.recv() => match order {
                    Some(Order::Start) => return Admission::Start,
                    Some(Order::HandBack(reason)) => {
                        return Admission::HandBack(reason);
                    }
                    _ => return Admission::Over,
                },
                message = self.reader.receive(None, "the source"), if intake.has_room() => {
                    let broken = match message {
                        Ok(message) => intake.push(message).err(),
                        Err(error) => Some(error.into()),
                    };
                    let broken = match broken {
                        None => continue,
                        Some(Abandon::NoRoom) => return Admission::HandBack(NO_ROOM),
                        Some(Abandon::Broken(reason)) => Some(reason),
                        Some(Abandon::Garbage(reason)) => {
                            self.offence = Some(Offence::Garbage);
                            Some(reason)
                        }
                        Some(_) => {
                            self.offence = Some(Offence::Abort);
                            None
                        }
                    };
                    self.tell(Event::Gone { id: self.id, broken }).await;
                    return Admission::Over;
                }
            }
        }
    }

    async fn carry_out(&mut self, worker: &Arc<Worker>, request: &JobRequest, mut intake: Intake) {
        match self.verify(worker, request, &mut intake).await {
            Checked::Runs => {}
            Checked::Doubtful(error) => {
                return self.not_begun(worker, request, intake, &error).await;
            }
            Checked::HandBack(reason) => {
                return self
                    .hand_back_unstarted(worker, intake, exit_codes::OUT_OF_MEMORY, reason)
                    .await;
            }
            Checked::Abandoned(abandon) => {
                return self.abandoned(request, intake.report(), abandon).await;
            }
        }
        let Begun { mut running, bench } = match begin(worker, request).await {
            Ok(begun) => begun,
            Err(error) => return self.not_begun(worker, request, intake, &error).await,
        };
        let (mut source, ending) = match attach(&mut running) {
            Ok(streams) => streams,
            Err(error) => {
                running.kill();
                if let Err(error) = reap(running).await {
                    debug!("{error}");
                }
                discard(bench).await;
                return self.not_begun(worker, request, intake, &error).await;
            }
        };
        let limits = worker.terms.limits;
        let process = process_of(running.pidfd.as_fd());
        let listed = process.map(|process| worker.live.enter(self.id, process));
        let pulse = Arc::clone(&source.pulse);
        let watchdog = Watchdog::new(limits, bench.folder(), pulse, process);
        let collecting = ending.collect(limits.printed);
        let watched = self
            .watch(&running, &mut source, collecting, watchdog, &mut intake)
            .await;
        if watched.is_err() {
            running.kill();
        }
        drop(source);
        let outcome = reap(running).await;
        drop(listed);
        let report = bench.report(&intake, outcome.as_ref().ok());
        match watched {
            Ok(watched) => {
                self.deliver(worker, request, bench, report, outcome, watched)
                    .await
            }
            Err(abandon) => {
                self.abandoned(request, report, abandon).await;
                discard(bench).await;
            }
        }
    }

    /// Takes in the source until it is known whether the toolchain runs here, which may take longer than a connection
    /// nobody reads from lives.
    async fn verify(
        &mut self,
        worker: &Arc<Worker>,
        request: &JobRequest,
        intake: &mut Intake,
    ) -> Checked {
        // In a task of its own: others may wait for the same answer when this submitter leaves.
        let mut checking = tokio::spawn({
            let worker = Arc::clone(worker);
            let toolchain = request.toolchain.clone();
            async move { worker.verify(&toolchain).await }
        });
        loop {
            tokio::select! {
                checked = &mut checking => return match checked {
                    Ok(Ok(())) => Checked::Runs,
                    Ok(Err(doubt)) => Checked::Doubtful(doubt.into()),
                    Err(_) => Checked::Doubtful(WorkerError::Interrupted),
                },
                order = self.orders.recv() => match order {
                    Some(Order::HandBack(reason)) => return Checked::HandBack(reason),
                    None | Some(Order::Abort | Order::Close) => {
                        return Checked::Abandoned(Abandon::Aborted);
                    }
                    Some(_) => {}
                },
                message = self.reader.receive(None, "the source"), if intake.has_room() => {
                    let taken = match message {
                        Ok(message) => intake.push(message),
                        Err(error) => Err(error.into()),
                    };
                    match taken {
                        Ok(()) => {}
                        Err(Abandon::NoRoom) => return Checked::HandBack(NO_ROOM),
                        Err(abandon) => return Checked::Abandoned(abandon),
                    }
                }
            }
        }
    }

    /// Feeds the compiler and collects what it says, until both are over.
    async fn watch(
        &mut self,
        running: &Running,
        source: &mut Source,
        collecting: impl Future<Output = Said>,
        watchdog: Watchdog,
        intake: &mut Intake,
    ) -> Result<Watched, Abandon> {
        let Line { reader, orders, .. } = self;
        let too_far = watchdog.bark();
        tokio::pin!(collecting, too_far);
        let mut said = None;
        let mut handed_back = None;
        {
            let feeding = intake.feed(reader, source);
            tokio::pin!(feeding);
            loop {
                tokio::select! {
                    order = orders.recv() => stop(order, running, &mut handed_back)?,
                    reason = &mut too_far, if handed_back.is_none() => {
                        running.kill();
                        handed_back = Some(reason);
                    }
                    over = &mut collecting, if said.is_none() => said = Some(over),
                    fed = &mut feeding => {
                        fed?;
                        break;
                    }
                }
            }
        }
        loop {
            if let Some(said) = said {
                return Ok(Watched { said, handed_back });
            }
            tokio::select! {
                order = orders.recv() => stop(order, running, &mut handed_back)?,
                reason = &mut too_far, if handed_back.is_none() => {
                    running.kill();
                    handed_back = Some(reason);
                }
                over = &mut collecting => said = Some(over),
                message = reader.receive(None, "the end of the job") => {
                    return Err(message.map_or_else(Abandon::from, |_| Abandon::Cancelled));
                }
            }
        }
    }

    async fn deliver(
        &mut self,
        worker: &Arc<Worker>,
        request: &JobRequest,
        bench: Bench,
        report: JobReport,
        outcome: Result<Outcome, WorkerError>,
        watched: Watched,
    ) {
        let Watched { said, handed_back } = watched;
        let finished = spawn_blocking(move || bench.finish(outcome, said, handed_back)).await;
        let Ok((bench, finished)) = finished else {
            return self.over(report).await;
        };
        info!("{}", finished.log_line);
        if let Some(reason) = finished.reason {
            warn!(
                "job {} goes back to its submitter: {reason}",
                request.job_id
            );
        }
        let exit_code = finished.result.status;
        self.over(JobReport {
            exit_code,
            out_uncompressed: finished.bytes,
            ..report
        })
        .await;
        self.send(worker, finished.result, finished.files).await;
        discard(bench).await;
        if finished.suspect {
            self.suspect(worker, request);
        }
    }

    /// The compiler did not even start.
    async fn not_begun(
        &mut self,
        worker: &Arc<Worker>,
        request: &JobRequest,
        intake: Intake,
        error: &WorkerError,
    ) {
        warn!("job {}: compiler did not start: {error}", request.job_id);
        if !error.is_toolchains_fault() {
            return self
                .hand_back_unstarted(
                    worker,
                    intake,
                    exit_codes::NOT_STARTED,
                    Reason::crashed("the worker could not start the compiler"),
                )
                .await;
        }
        self.over(JobReport {
            exit_code: exit_codes::TOOLCHAIN_MISSING,
            ..intake.report()
        })
        .await;
        if self.writer.version().at_least(22) {
            let text = format!("compiler did not start: {error}").into();
            if let Err(error) = self
                .writer
                .send(&Message::StatusText(StatusText { text }))
                .await
            {
                debug!("{error}");
            }
        }
        self.suspect(worker, request);
    }

    /// A result that makes the submitter compile by itself. It listens only after its last byte of source.
    async fn hand_back_unstarted(
        &mut self,
        worker: &Arc<Worker>,
        mut intake: Intake,
        exit_code: i32,
        reason: Reason,
    ) {
        let drained = {
            let draining = intake.drain(self.reader);
            tokio::pin!(draining);
            loop {
                tokio::select! {
                    drained = &mut draining => break drained,
                    order = self.orders.recv() => match order {
                        None | Some(Order::Abort | Order::Close) => break Err(Abandon::Aborted),
                        // The dispatcher may not know yet that the job goes back.
                        Some(_) => {}
                    }
                }
            }
        };
        self.over(JobReport {
            exit_code,
            ..intake.report()
        })
        .await;
        if drained.is_ok() {
            self.send(worker, hand_back(reason, Said::default()), Vec::new())
                .await;
        }
    }

    async fn abandoned(&mut self, request: &JobRequest, report: JobReport, abandon: Abandon) {
        self.offence = match &abandon {
            Abandon::Gone | Abandon::Cancelled => Some(Offence::Abort),
            Abandon::Garbage(_) => Some(Offence::Garbage),
            Abandon::Broken(_) | Abandon::Aborted | Abandon::NoRoom => None,
        };
        let job = request.job_id;
        let exit_code = match abandon {
            Abandon::Cancelled => {
                info!("job {job}: client cancelled");
                exit_codes::CLIENT_VANISHED
            }
            Abandon::Gone => {
                info!("job {job}: its submitter is gone");
                exit_codes::CLIENT_GONE
            }
            Abandon::Broken(reason) | Abandon::Garbage(reason) => {
                warn!("job {job}: {reason}");
                exit_codes::CLIENT_GONE
            }
            Abandon::Aborted | Abandon::NoRoom => exit_codes::CLIENT_GONE,
        };
        self.over(JobReport {
            exit_code,
            ..report
        })
        .await;
    }

    async fn over(&mut self, report: JobReport) {
        self.tell(Event::JobOver {
            id: self.id,
            report,
        })
        .await;
    }

    async fn tell(&mut self, event: Event) {
        // Without a dispatcher the daemon is ending, and so is this.
        let _daemon_ends = self.notices.send(event.into()).await;
    }

    /// Sends a result unless the dispatcher wants the connection to end.
    async fn send(&mut self, worker: &Arc<Worker>, result: CompileResult, files: Vec<File>) {
        let compression = worker.terms.compression;
        let sending = result::send(self.writer, result, files, compression);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => {
                    if let Err(error) = sent {
                        info!("a result did not arrive: {error}");
                    }
                    return;
                }
                order = self.orders.recv() => match order {
                    None | Some(Order::Abort | Order::Close) => return,
                    Some(_) => {}
                }
            }
        }
    }

    /// Looks at the toolchain in the background; the scheduler hears if it is gone.
    fn suspect(&self, worker: &Arc<Worker>, request: &JobRequest) {
        let worker = Arc::clone(worker);
        let toolchain = request.toolchain.clone();
        let notices = self.notices.clone();
        tokio::spawn(async move {
            worker.suspect(&toolchain).await;
            let _daemon_ends = notices
                .send(Event::Toolchains(worker.toolchains()).into())
                .await;
        });
    }
}

/// What came of looking at the toolchain.
enum Checked {
    Runs,
    Doubtful(WorkerError),
    HandBack(Reason),
    Abandoned(Abandon),
}

struct Watched {
    said: Said,
    handed_back: Option<Reason>,
}

fn stop(
    order: Option<Order>,
    running: &Running,
    handed_back: &mut Option<Reason>,
) -> Result<(), Abandon> {
    match order {
        Some(Order::HandBack(reason)) => {
            running.kill();
            *handed_back = Some(reason);
            Ok(())
        }
        None | Some(Order::Abort | Order::Close) => Err(Abandon::Aborted),
        Some(_) => Ok(()),
    }
}

/// Removing a job's folder blocks.
async fn discard(bench: Bench) {
    let _removed = spawn_blocking(move || drop(bench)).await;
}
