//! All about one host.

use ratatui::text::{Line, Span};

use super::figures::{span, sparkline};
use super::hosts::{said, slots, state};
use super::lines::Lines;
use super::ui::Ui;
use super::{jobs, style};
use crate::model::{Cluster, HostId, JobId, State};
use crate::view::{self, TallyRow};

/// Jobs of each list.
const MOST_JOBS: usize = 200;

/// Ended jobs of each list.
const MOST_ENDED: usize = 10;

pub(super) fn lines(cluster: &Cluster, ui: &Ui, id: HostId, now: u64, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    let Some(host) = view::host(cluster, id, now) else {
        lines.said("", "This host was forgotten.");
        return lines;
    };
    let mark = ui.palette.mark(host.mark);
    lines.line(Line::from(vec![
        Span::styled(
            format!("{} {}", style::letter(host.mark), host.name),
            mark.patch(style::heading()),
        ),
        Span::raw(format!(
            "   {}   {}   {}",
            host.ip,
            host.platform,
            state(&host)
        )),
    ]));
    let since = span(now.saturating_sub(host.left.unwrap_or(host.since)));
    let presence = if host.here { "here" } else { "gone" };
    let number = host
        .number
        .map_or_else(String::new, |number| format!(", number {number}"));
    lines.row("Since", &format!("{presence} for {since}{number}"));
    let software = host.software.as_deref().unwrap_or("software not told");
    lines.row("Speaks", &format!("protocol {}, {software}", host.protocol));
    lines.row(
        "Slots",
        &format!(
            "{} of {} busy, {} of them with local work",
            host.running, host.slots, host.busy_local
        ),
    );
    let averages = host
        .averages
        .map_or_else(String::new, |[one, five, fifteen]| {
            format!(", averages {one:.2} {five:.2} {fifteen:.2}")
        });
    let memory = host
        .free_memory_mb
        .map_or_else(String::new, |mib| format!(", {mib} MiB of memory free"));
    lines.row("Load", &format!("{} of 1000{averages}{memory}", host.load));
    let samples = host.samples.map_or_else(String::new, |samples| {
        let unsure = if samples < 7 { ", which is few" } else { "" };
        format!(", from {samples} jobs{unsure}")
    });
    lines.row(
        "Speed",
        &format!("{:.1} kB of object per second{samples}", host.speed),
    );
    let mut standing = Vec::new();
    for (is, text) in [
        (host.no_remote, "takes no jobs of others"),
        (host.blocked, "blocked by an operator"),
        (host.draining, "draining: gets nothing new"),
        (
            host.accepting == Some(false),
            "the scheduler cannot connect to it",
        ),
    ] {
        if is {
            standing.push(text);
        }
    }
    lines.styled_row("Standing", &standing.join("; "), ui.palette.notice());
    let features = match host.features.is_empty() {
        true => "none".to_owned(),
        false => host.features.join(" "),
    };
    lines.row("Features", &features);
    for (role, tally) in [
        ("As worker", &host.as_server),
        ("As client", &host.as_client),
    ] {
        lines.row(role, &tally_text(tally));
    }
    lines.row(
        "Begun",
        &format!(
            "{} jobs of others here, {} of its own elsewhere, {} own, {} local",
            host.jobs_in, host.jobs_out, host.jobs_own, host.jobs_local
        ),
    );
    let levels: Vec<f64> = host.strip.iter().map(|level| f64::from(*level)).collect();
    lines.line(Line::from(vec![
        Span::styled(format!("{:<12}", "Last 2 min"), style::faint()),
        Span::styled(sparkline(&levels, f64::from(host.slots.max(1))), mark),
    ]));

    lines.heading("Slots");
    for slot in slots(cluster, now, &host) {
        lines.line(Line::raw(slot));
    }
    let of = |is: &dyn Fn(&crate::model::Job) -> bool| -> Vec<JobId> {
        let all = cluster.jobs().rev().filter(|(_, job)| is(job));
        let mut ended = 0;
        all.filter(|(_, job)| {
            ended += usize::from(job.is_over());
            !job.is_over() || ended <= MOST_ENDED
        })
        .map(|(id, _)| id)
        .take(MOST_JOBS)
        .collect()
    };
    let outgoing = of(&|job| job.client == Some(id) && job.server != Some(id));
    list(&mut lines, cluster, now, "Outgoing jobs", &outgoing, true);
    let incoming =
        of(&|job| job.server == Some(id) && job.client != Some(id) && job.state != State::Queued);
    list(&mut lines, cluster, now, "Incoming jobs", &incoming, false);

    lines.heading("Toolchains");
    let told = view::toolchains(cluster);
    let told = told
        .iter()
        .flat_map(|row| &row.hosts)
        .find(|row| row.host == id);
    match told {
        Some(row) => lines.said(
            "",
            &format!("{} kept, {} being installed", row.count, row.installing),
        ),
        None => lines.said("", "not told by this scheduler"),
    }
    let said = said(&host);
    if !said.is_empty() {
        lines.heading("It says");
        for text in said {
            lines.said("", &text);
        }
    }
    lines
}

fn tally_text(tally: &TallyRow) -> String {
    let mut text = format!(
        "{} jobs, {} failed, {} lost",
        tally.jobs, tally.failed, tally.lost
    );
    if let (Some(mean), Some(p50), Some(p95)) = (tally.mean_ms, tally.p50_ms, tally.p95_ms) {
        text += &format!(
            "; mean {}, median {}, 95 % below {}",
            span(mean as u64),
            span(p50.into()),
            span(p95.into())
        );
    }
    text
}

/// Jobs with the host on their other end.
fn list(
    lines: &mut Lines,
    cluster: &Cluster,
    now: u64,
    title: &str,
    ids: &[JobId],
    outgoing: bool,
) {
    lines.heading(title);
    if ids.is_empty() {
        lines.said("", "none");
    }
    for job in ids.iter().filter_map(|id| view::job(cluster, *id, now)) {
        let other = if outgoing { job.server } else { job.client };
        let other = other.and_then(|other| cluster.host(other));
        let other = other.map_or("-", |other| other.facts.name.as_str());
        let time = job.duration_ms.unwrap_or(job.wait_ms);
        lines.line(Line::raw(format!(
            "{:<9} {:>6}  {:<12} {}",
            jobs::word(&job),
            span(time),
            other,
            job.file
        )));
    }
}
