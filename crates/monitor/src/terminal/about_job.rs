//! All about one job: where it ran and why, why it waited, how its time was spent.

use gelato_compiler::LocalReason;
use ratatui::text::{Line, Span};

use super::figures::{bytes, span};
use super::lines::Lines;
use super::ui::Ui;
use super::{jobs, style};
use crate::model::{Cluster, HostId, JobId, Kind, State};
use crate::view::{self, JobRow};

/// Most characters of a phase's bar.
const BAR: usize = 40;

pub(super) fn lines(cluster: &Cluster, ui: &Ui, id: JobId, now: u64, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    let Some(job) = view::job(cluster, id, now) else {
        lines.said(
            "",
            "This job was forgotten: only the newest are remembered.",
        );
        return lines;
    };
    lines.said(
        "",
        if job.file.is_empty() {
            "a file whose name was not told"
        } else {
            &job.file
        },
    );
    let host = |id: Option<HostId>| {
        let host = id.and_then(|id| cluster.host(id));
        host.map_or("not known", |host| host.facts.name.as_str())
            .to_owned()
    };
    let kind = format!("{}, {}", jobs::word(&job), jobs::kind(job.kind));
    lines.styled_row("State", &kind, ui.palette.state(job.state));
    let language = job.language.as_deref().unwrap_or("language not told");
    lines.row("Job", &format!("number {}, {language}", job.number));
    lines.row("Submitter", &host(job.client));
    let slot = job
        .server
        .map_or_else(String::new, |_| format!(", slot {}", job.lane + 1));
    lines.row("Worker", &format!("{}{slot}", host(job.server)));
    if let Some(build) = job.build {
        lines.row("Build", &build.to_string());
    }
    let asked = span(now.saturating_sub(job.asked));
    lines.row(
        "Asked",
        &format!("{asked} ago, waited {}", span(job.wait_ms)),
    );
    if let Some(ms) = job.duration_ms {
        let exit = job
            .exit
            .map_or_else(String::new, |exit| format!(", exit status {exit}"));
        let word = if job.state == State::Running {
            "runs for"
        } else {
            "ran"
        };
        lines.row("Time", &format!("{word} {}{exit}", span(ms)));
    }
    if let (Some(user), Some(system)) = (job.user_ms, job.system_ms) {
        let faults = job.page_faults.unwrap_or(0);
        lines.row(
            "Processor",
            &format!(
                "user {}, system {}, {faults} page faults",
                span(user.into()),
                span(system.into())
            ),
        );
    }
    sizes(&mut lines, &job);
    if let Some(wait) = &job.waiting
        && job.state == State::Queued
    {
        lines.heading("Why it waits");
        lines.row("Place", &format!("{} in the queue", wait.position));
        lines.row("For", &format!("{}: {}", wait.reason, wait.text));
    }
    lines.heading("Why there");
    match &job.why {
        Some(why) => lines.said("", why),
        None if job.kind == Kind::Local => {
            lines.said(
                "",
                "It stayed on its submitter's machine without asking the scheduler.",
            );
        }
        None => lines.said(
            "",
            "not told: Gelato's scheduler tells it when a job is placed",
        ),
    }
    recorded(&mut lines, &job);
    lines
}

fn sizes(lines: &mut Lines, job: &JobRow) {
    for (word, raw, sent, verb) in [
        ("Source", job.in_raw, job.in_compressed, "sent"),
        ("Object", job.out_raw, job.out_compressed, "received"),
    ] {
        let (Some(raw), Some(sent)) = (raw, sent) else {
            continue;
        };
        let percent = 100.0 * f64::from(sent) / f64::from(raw.max(1));
        let (raw, sent) = (bytes(raw.into()), bytes(sent.into()));
        lines.row(word, &format!("{raw}, {sent} {verb} ({percent:.0} %)"));
    }
}

/// What only the submitter knows.
fn recorded(lines: &mut Lines, job: &JobRow) {
    let Some(record) = &job.record else {
        lines.heading("Its record");
        let text =
            "none: the submitter's client or the scheduler is Icecream's, or the job is not over";
        return lines.said("", text);
    };
    if let Some(code) = &record.reason {
        lines.heading("Why not elsewhere");
        let known = LocalReason::ALL.iter().find(|known| known.code() == code);
        let subject = record.subject.as_deref();
        let subject = subject.map_or_else(String::new, |subject| format!(" ({subject})"));
        lines.row("Reason", &format!("{code}{subject}"));
        if let Some(known) = known {
            lines.row("", known.explanation());
            lines.row("What to do", known.advice());
        }
    }
    lines.row("Trouble", &record.detail);
    lines.heading("How its time was spent");
    let parts = record.phases.parts();
    let longest = parts.iter().map(|(_, ms)| *ms).max().unwrap_or(0).max(1);
    let room = lines.width().saturating_sub(22).clamp(1, BAR);
    for (name, ms) in parts.into_iter().filter(|(_, ms)| *ms > 0) {
        let length = (ms as usize * room / longest as usize).max(1);
        lines.line(Line::from(vec![
            Span::styled(format!("{name:<11}"), style::faint()),
            Span::raw(format!("{:>8}  {}", span_fine(ms), "█".repeat(length))),
        ]));
    }
    lines.heading("Its record");
    lines.row("Verdict", record.verdict.code());
    lines.row("Compiler", &record.compiler);
    lines.row("Output", &record.file);
    lines.row("Source", &record.source);
    lines.row("Folder", &record.folder);
    lines.row("Worker", record.worker.as_deref().unwrap_or_default());
    let verified = if record.verified {
        ", several workers agreed"
    } else {
        ""
    };
    lines.row(
        "Attempts",
        &format!("{} failed elsewhere{verified}", record.retries),
    );
    lines.row(
        "Whole time",
        &format!(
            "{}, of it processor here {}",
            span_fine(record.wall),
            span_fine(record.cpu)
        ),
    );
    lines.row(
        "Bytes",
        &format!(
            "{} sent, {} received",
            bytes(record.sent),
            bytes(record.received)
        ),
    );
    lines.row("Build id", record.build.as_deref().unwrap_or_default());
    if let Some(user) = record.user {
        lines.row("User", &user.to_string());
    }
}

fn span_fine(ms: u64) -> String {
    if ms < 1000 {
        format!("{ms}ms")
    } else {
        span(ms)
    }
}
