//! All about one build: how far it is, how well it is spread, and what bounded it.

use ratatui::text::{Line, Span};

use super::builds::{bound, state};
use super::figures::{bytes, span, sparkline};
use super::lines::Lines;
use super::ui::Ui;
use super::{jobs, style};
use crate::model::{Cluster, State};
use crate::view::{self, BuildRow, JobRow};

/// Jobs of each list.
const MOST_JOBS: usize = 10;

pub(super) fn lines(cluster: &Cluster, ui: &Ui, id: u64, now: u64, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    let Some(build) = view::build(cluster, id, now) else {
        lines.said(
            "",
            "This build was forgotten: only the newest are remembered.",
        );
        return lines;
    };
    let client = cluster.host(build.client);
    let name = client.map_or("?", |client| client.facts.name.as_str());
    let user = build
        .user
        .map_or_else(String::new, |user| format!(", user {user}"));
    lines.line(Line::from(vec![
        Span::styled(
            format!("Build {} of {name}{user}", build.id),
            style::heading(),
        ),
        Span::raw(format!("   {}", state(&build))),
    ]));
    let key = build.key.as_deref().unwrap_or_default();
    let guessed = if build.guessed {
        " (guessed from jobs without a longer pause)"
    } else {
        ""
    };
    lines.row("Id", &format!("{key}{guessed}"));
    let left = build.estimate_ms;
    let left = left.map_or_else(String::new, |ms| format!(", about {} left", span(ms)));
    lines.row("Wall time", &format!("{}{left}", span(build.wall_ms)));
    lines.row(
        "Jobs",
        &format!(
            "{} begun, {} run now, {} different files",
            build.jobs, build.running, build.files
        ),
    );
    let share = build.remote_percent;
    let share = share.map_or_else(String::new, |share| format!(" ({share:.0} %)"));
    lines.row(
        "Where",
        &format!(
            "{} remote{share}, {} own, {} local",
            build.remote, build.own, build.local
        ),
    );
    let troubles = [
        (build.failed, "failed"),
        (build.lost, "lost"),
        (build.failed_over, "done here after a failure elsewhere"),
        (build.refused, "refused"),
    ];
    let troubles: Vec<String> = troubles
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    lines.styled_row("Trouble", &troubles.join(", "), ui.palette.bad());
    if let Some(factor) = build.speed_up {
        let serial = span(build.serial_ms);
        lines.row(
            "Speed-up",
            &format!("{factor:.1} times one after the other ({serial})"),
        );
    }
    lines.row(
        "Bytes",
        &format!(
            "{} sent, {} received",
            bytes(build.sent),
            bytes(build.received)
        ),
    );
    let least = if build.critical_path_exact {
        ""
    } else {
        "at least "
    };
    lines.row(
        "Longest way",
        &format!(
            "{least}{}, however many slots there are",
            span(build.critical_path_ms)
        ),
    );
    curve(&mut lines, &build);

    lines.heading("What bounded it");
    match &build.verdict {
        Some(verdict) => {
            lines.row("Bound by", bound(verdict.bound));
            lines.said("", &verdict.sentence);
            for evidence in &verdict.evidence {
                let value = measure(evidence.value, &evidence.unit);
                lines.line(Line::raw(format!("  {value:>9}  {}", evidence.what)));
            }
            for what_if in &verdict.what_if {
                lines.line(Line::raw(format!(
                    "  {:>9}  at best, with {} slots",
                    span(what_if.wall_ms),
                    what_if.slots
                )));
            }
        }
        None if build.open => lines.said("", "That is told when the build is over."),
        None => lines.said("", "Not known: its jobs have no records."),
    }
    if !build.reasons.is_empty() {
        lines.heading("Why jobs were not done elsewhere");
        let mut reasons: Vec<_> = build.reasons.iter().collect();
        reasons.sort_by(|one, two| two.1.cmp(one.1));
        for (code, count) in reasons {
            lines.line(Line::raw(format!("  {count:>9}  {code}")));
        }
    }
    let mut all = view::jobs_of_build(cluster, id, now);
    all.sort_by_key(|job| std::cmp::Reverse(job.duration_ms));
    let failed: Vec<&JobRow> = all
        .iter()
        .filter(|job| matches!(job.state, State::Failed | State::Lost))
        .take(MOST_JOBS)
        .collect();
    list(&mut lines, cluster, "Failed and lost jobs", &failed);
    let slowest: Vec<&JobRow> = all.iter().take(MOST_JOBS).collect();
    list(&mut lines, cluster, "Its longest jobs", &slowest);
    lines
}

fn measure(value: f64, unit: &str) -> String {
    match unit {
        "ms" => span(value.max(0.0) as u64),
        "B" => bytes(value.max(0.0) as u64),
        "%" => format!("{value:.0} %"),
        "" => format!("{value:.0}"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// Jobs that ran at the same time.
fn curve(lines: &mut Lines, build: &BuildRow) {
    let most = build.parallel.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let room = lines.width().saturating_sub(12).max(1);
    let group = build.parallel.len().div_ceil(room);
    let levels: Vec<f64> = build
        .parallel
        .chunks(group.max(1))
        .map(|chunk| chunk.iter().copied().map(f64::from).sum::<f64>() / chunk.len() as f64)
        .collect();
    lines.line(Line::from(vec![
        Span::styled(format!("{:<12}", format!("At once {most}")), style::faint()),
        Span::raw(sparkline(&levels, f64::from(most))),
    ]));
}

fn list(lines: &mut Lines, cluster: &Cluster, title: &str, jobs: &[&JobRow]) {
    if jobs.is_empty() {
        return;
    }
    lines.heading(title);
    for job in jobs {
        let server = job.server.and_then(|server| cluster.host(server));
        let server = server.map_or("-", |server| server.facts.name.as_str());
        let time = span(job.duration_ms.unwrap_or(0));
        let word = jobs::word(job);
        lines.line(Line::raw(format!(
            "  {time:>9}  {word:<9} {server:<12} {}",
            job.file
        )));
    }
}
