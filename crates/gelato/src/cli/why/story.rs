//! A record, or those of a build, as lines for people: what was decided, on what grounds, what to change. At most 80 columns. Pure.

use std::collections::BTreeMap;

use gelato_compiler::LocalReason;
use gelato_record::{JobRecord, Verdict};
use serde_json::Value;

use crate::cli::status::words::{bytes, count, hang, plain, row, tail, time};

/// Columns of the longest bar.
const BAR: u64 = 34;

/// Reasons of a build that are explained; more are only counted.
const MOST_REASONS: usize = 6;

/// Files that are named as examples of a reason.
const MOST_FILES: usize = 3;

/// One job. `scheduler`: its own lines about it. `now` in ms since 1970.
pub(super) fn job(record: &JobRecord, scheduler: &[String], now: u64) -> Vec<String> {
    let mut lines = hang("", &sentence(record));
    lines.push(String::new());
    if record.verdict != Verdict::Remote {
        lines.extend(grounds(record));
    } else if record.exit != 0 {
        lines.extend(row(
            "Why",
            "the compiler there found fault with the source, as it would have here",
        ));
    }
    if !record.detail.is_empty() {
        let whose = match &record.worker {
            Some(worker) => format!("{} said or did: {}", plain(worker), plain(&record.detail)),
            None => plain(&record.detail),
        };
        lines.extend(row("What failed", &whose));
    }
    if record.retries > 0 {
        let attempts = count(record.retries.into(), "attempt");
        lines.extend(row("Elsewhere", &format!("{attempts} failed before")));
    }
    if record.verified {
        lines.extend(row("Verified", "several workers made the same of it"));
    }
    let mut of = format!("{} in {}", plain(&record.compiler), plain(&record.folder));
    if let Some(number) = record.job {
        of += &format!(", the scheduler's number {number}");
    }
    if let Some(build) = &record.build {
        let guessed = if record.build_guessed {
            " (guessed)"
        } else {
            ""
        };
        of += &format!(", of the build {}{guessed}", plain(build));
    }
    lines.extend(row("Job", &of));
    lines.extend(row("Ended", &ended(record, now)));
    lines.extend(amounts(record));
    lines.extend(phases(record));
    if !scheduler.is_empty() {
        lines.extend(row("Scheduler", "said when it placed the job:"));
        for line in scheduler {
            lines.extend(hang("            ", &plain(line)));
        }
    }
    lines
}

/// What was decided.
fn sentence(record: &JobRecord) -> String {
    let name = plain(if record.source.is_empty() {
        &record.file
    } else {
        &record.source
    });
    let well = if record.exit == 0 { "" } else { ", and failed" };
    let worker = || {
        record
            .worker
            .as_deref()
            .map_or_else(|| "another machine".to_owned(), plain)
    };
    if record.reason.as_deref() == Some("interrupted") {
        return format!("{name} was not compiled: somebody stopped it.");
    }
    match record.verdict {
        Verdict::Remote => format!("{name} was compiled by {}{well}.", worker()),
        Verdict::Own if record.reason.as_deref() == Some("no-scheduler") => {
            format!("{name} was compiled here: there was no scheduler to ask{well}.")
        }
        Verdict::Own => {
            format!("{name} was compiled here: the scheduler chose this machine{well}.")
        }
        Verdict::Local => format!("{name} was done here and not offered to another machine{well}."),
        Verdict::FailedOver => format!(
            "{name} was given to {} and then done here after all{well}.",
            worker()
        ),
        Verdict::Refused => format!(
            "{name} was not compiled at all: another machine could not do it, and the policy forbids to do it here."
        ),
    }
}

/// Reason, subject and advice.
fn grounds(record: &JobRecord) -> Vec<String> {
    let Some(code) = &record.reason else {
        return row("Why", "the record does not say");
    };
    let about = match &record.subject {
        Some(subject) => format!(" ({})", plain(subject)),
        None => String::new(),
    };
    let Some(reason) = LocalReason::ALL.iter().find(|reason| reason.code() == code) else {
        return row(
            "Why",
            &format!("{}{about}: a reason of another release", plain(code)),
        );
    };
    let explanation = reason.explanation().trim();
    let mut lines = row("Why", &format!("{code}{about}: {explanation}"));
    lines.extend(row("What to do", reason.advice().trim()));
    lines
}

fn ended(record: &JobRecord, now: u64) -> String {
    let ago = time(now.saturating_sub(record.end) / 1000);
    match record.exit {
        0 => format!("well, {ago} ago"),
        code @ 129..=192 => format!("{ago} ago by signal {}", code - 128),
        code => format!("{ago} ago with status {code}"),
    }
}

fn amounts(record: &JobRecord) -> Vec<String> {
    let mut parts = Vec::new();
    for (what, amount) in [
        ("preprocessed source", record.source_bytes),
        ("sent", record.sent),
        ("received", record.received),
        ("output", record.output_bytes),
    ] {
        if amount > 0 {
            parts.push(format!("{what} {}", bytes(amount)));
        }
    }
    if parts.is_empty() {
        return Vec::new();
    }
    row("Bytes", &parts.join(", "))
}

/// How the time was spent, with bars.
fn phases(record: &JobRecord) -> Vec<String> {
    let mut lines = row(
        "Time",
        &format!(
            "{} in all; processors of this machine {}",
            seconds(record.wall),
            seconds(record.cpu)
        ),
    );
    let longest = record.phases.parts().iter().map(|(_, ms)| *ms).max();
    let longest = longest.unwrap_or(0).max(1);
    for (name, ms) in record.phases.parts() {
        if ms == 0 {
            continue;
        }
        let bar = "█".repeat(usize::try_from(ms.saturating_mul(BAR) / longest).unwrap_or(0));
        let line = format!("            {:<20} {:>9} {bar}", phase(name), seconds(ms));
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// What the name of a part means.
fn phase(name: &str) -> &str {
    match name {
        "analyse" => "understand command",
        "toolchain" => "get the toolchain",
        "wait" => "wait for a worker",
        "connect" => "connect to it",
        "install" => "install toolchain",
        "preprocess" => "preprocess",
        "send" => "send the source",
        "compile" => "queue and compile",
        "receive" => "receive result",
        "slot" => "wait for own slot",
        "local" => "run here",
        other => other,
    }
}

fn seconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..120_000 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => time(ms / 1000),
    }
}

/// A build: numbers, and its reasons with what to do. `records`: those of its jobs that may be named.
pub(super) fn build(sums: &Value, records: &[JobRecord], now: u64) -> Vec<String> {
    let mut lines = headline(sums, now);
    let mut reasons: Vec<(&String, u64)> = sums["reasons"]
        .as_object()
        .map(|reasons| {
            let count = |(code, count): (_, &Value)| (code, count.as_u64().unwrap_or(0));
            reasons.iter().map(count).collect()
        })
        .unwrap_or_default();
    reasons.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), (*code).clone()));
    for (code, number) in reasons.iter().take(MOST_REASONS) {
        lines.push(String::new());
        let known = LocalReason::ALL
            .iter()
            .find(|reason| reason.code() == *code);
        let explanation = known.map_or("a reason of another release", |reason| {
            reason.explanation().trim()
        });
        let about = subjects(records, code);
        lines.extend(hang(
            &format!("{number:>7} "),
            &format!("{}{about}: {explanation}", plain(code)),
        ));
        let advice = known.map_or("", |reason| reason.advice().trim());
        if !advice.is_empty() {
            lines.extend(hang("        ", advice));
        }
        let files: Vec<String> = examples(records, code);
        if !files.is_empty() {
            lines.extend(hang(
                "        ",
                &format!("For instance: {}", files.join(", ")),
            ));
        }
    }
    if reasons.len() > MOST_REASONS {
        let more = reasons.len() - MOST_REASONS;
        lines.push(format!("        and {more} more reasons"));
    }
    lines
}

/// The numbers of a build.
pub(crate) fn headline(sums: &Value, now: u64) -> Vec<String> {
    let number = |name: &str| sums[name].as_u64().unwrap_or(0);
    let name = plain(sums["build"].as_str().unwrap_or("?"));
    let guessed = if sums["guessed"] == true {
        " (guessed)"
    } else {
        ""
    };
    let ago = time(now.saturating_sub(number("last")) / 1000);
    let took = seconds(number("last").saturating_sub(number("begun")));
    let jobs = number("jobs");
    let mut parts = vec![format!("{} on other machines", number("remote"))];
    for (what, count) in [
        ("here by the scheduler's choice", number("own")),
        ("here", number("local")),
        ("here after failing elsewhere", number("failed_over")),
        ("refused by the policy", number("refused")),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let mut text = format!(
        "{name}{guessed}, last job {ago} ago: {} in {took}; {}",
        count(jobs, "job"),
        parts.join(", ")
    );
    if number("failed") > 0 {
        text += &format!("; {} failed", number("failed"));
    }
    row("Build", &text)
}

/// The one thing that all jobs with this reason have in common, or the most frequent of few.
fn subjects(records: &[JobRecord], code: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in with_reason(records, code) {
        if let Some(subject) = &record.subject {
            *counts.entry(subject).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match counts.as_slice() {
        [] => String::new(),
        [(one, _)] => format!(" ({})", tail(&plain(one), 40)),
        [(one, _), rest @ ..] => format!(" ({} and {} more)", tail(&plain(one), 40), rest.len()),
    }
}

fn examples(records: &[JobRecord], code: &str) -> Vec<String> {
    let mut files = Vec::new();
    for record in with_reason(records, code) {
        let name = if record.source.is_empty() {
            &record.file
        } else {
            &record.source
        };
        let name = tail(&plain(name), 40);
        if !files.contains(&name) {
            files.push(name);
        }
        if files.len() == MOST_FILES {
            break;
        }
    }
    files
}

fn with_reason<'a>(records: &'a [JobRecord], code: &'a str) -> impl Iterator<Item = &'a JobRecord> {
    records
        .iter()
        .filter(move |record| record.reason.as_deref() == Some(code))
}

/// Jobs, one a line.
pub(super) fn list(records: &[JobRecord], now: u64) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>8} {:<11} {:>6} {:>9} {:<22} {}",
        "ago", "verdict", "status", "took", "worker or reason", "file"
    )];
    for record in records {
        let place = match (record.verdict, &record.worker, &record.reason) {
            (Verdict::Remote, Some(worker), _) => plain(worker),
            (_, _, Some(reason)) => plain(reason),
            (_, Some(worker), None) => plain(worker),
            (_, None, None) => "-".to_owned(),
        };
        let name = if record.source.is_empty() {
            &record.file
        } else {
            &record.source
        };
        let line = format!(
            "{:>8} {:<11} {:>6} {:>9} {:<22} {}",
            time(now.saturating_sub(record.end) / 1000),
            record.verdict.code(),
            record.exit,
            seconds(record.wall),
            tail(&place, 22),
            tail(&plain(name), 19),
        );
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::words::WIDTH;
    use gelato_record::Phases;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000_000;

    fn record(verdict: Verdict, reason: Option<&str>) -> JobRecord {
        JobRecord {
            end: NOW - 185_000,
            verdict,
            reason: reason.map(str::to_owned),
            subject: Some("-march=native".to_owned()),
            source: "src/a.cc".to_owned(),
            file: "obj/a.o".to_owned(),
            folder: "/home/somebody/a/long/path/to/a/project/with/many/folders/in/it".to_owned(),
            compiler: "x86_64-linux-gnu-g++-12".to_owned(),
            worker: Some("10.0.0.3:10245".to_owned()),
            build: Some("make-1700000000-4711".to_owned()),
            job: Some(17),
            wall: 3000,
            phases: Phases {
                wait: 12,
                preprocess: 250,
                compile: 2500,
                ..Phases::default()
            },
            sent: 123_456,
            ..JobRecord::default()
        }
    }

    fn text(lines: &[String]) -> String {
        for line in lines {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        let words: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
        words.join(" ")
    }

    #[test]
    fn a_local_job_says_why_and_what_to_do() {
        let told = text(&job(&record(Verdict::Local, Some("native-cpu")), &[], NOW));
        for part in [
            "src/a.cc was done here and not offered to another machine.",
            "native-cpu (-march=native): Code for exactly this processor.",
            "What to do Name a processor",
            "well, 3 min ago",
            "queue and compile 2500 ms ██",
            "the scheduler's number 17",
        ] {
            assert!(told.contains(part), "{part:?} is not in\n{told}");
        }
    }

    #[test]
    fn a_job_that_was_stopped_was_done_nowhere() {
        for verdict in [Verdict::Local, Verdict::FailedOver] {
            let told = text(&job(&record(verdict, Some("interrupted")), &[], NOW));
            assert!(
                told.starts_with("src/a.cc was not compiled: somebody stopped it."),
                "{told}"
            );
        }
    }

    #[test]
    fn every_verdict_has_a_sentence_and_every_reason_an_explanation() {
        for reason in LocalReason::ALL {
            for verdict in [
                Verdict::Own,
                Verdict::Local,
                Verdict::FailedOver,
                Verdict::Refused,
            ] {
                let mut record = record(verdict, Some(reason.code()));
                record.detail = "gone ".repeat(50);
                record.retries = 2;
                record.exit = 130;
                let told = text(&job(&record, &[], NOW));
                assert!(
                    told.contains(reason.code()) && told.contains("What to do"),
                    "{told}"
                );
                assert!(told.contains("by signal 2"), "{told}");
            }
        }
        let said = [" 17 on:gamma because: quickest".to_owned()];
        let told = text(&job(&record(Verdict::Remote, None), &said, NOW));
        assert!(told.contains("was compiled by 10.0.0.3:10245."), "{told}");
        assert!(told.contains("17 on:gamma because: quickest"), "{told}");
        let other = text(&job(&record(Verdict::Local, Some("flavour")), &[], NOW));
        assert!(other.contains("a reason of another release"), "{other}");
    }

    #[test]
    fn a_hostile_name_does_not_steer_the_terminal() {
        let mut record = record(Verdict::Local, Some("no-daemon"));
        record.source = "a\u{1b}[2J".to_owned();
        record.subject = Some("\u{1b}]0;x\u{7}".to_owned());
        let lines = job(&record, &["\u{1b}[31m".to_owned()], NOW);
        assert!(!lines.concat().contains('\u{1b}'));
        assert!(!list(&[record], NOW).concat().contains('\u{1b}'));
    }

    #[test]
    fn a_build_is_summed_up_with_the_reasons_that_count_most() {
        let sums = json!({
            "build": "make-1", "guessed": true, "begun": NOW - 90_000, "last": NOW - 30_000, "jobs": 120, "remote": 100,
            "own": 3, "local": 12, "failed_over": 4, "refused": 1, "failed": 2,
            "reasons": { "native-cpu": 9, "worker-lost": 4, "flavour": 1 },
        });
        let records = [record(Verdict::Local, Some("native-cpu"))];
        let told = text(&build(&sums, &records, NOW));
        for part in [
            "make-1 (guessed), last job 30 s ago: 120 jobs in 60.0 s; 100 on other machines, 3 here by the scheduler's",
            "4 here after failing elsewhere, 1 refused by the policy; 2 failed",
            "9 native-cpu (-march=native): Code for exactly",
            "For instance: src/a.cc",
            "4 worker-lost: The connection to the worker was lost.",
        ] {
            assert!(told.contains(part), "{part:?} is not in\n{told}");
        }
        assert!(!build(&json!({}), &[], NOW).is_empty());
    }

    #[test]
    fn jobs_in_a_list_have_a_line_each() {
        let lines = list(
            &[
                record(Verdict::Remote, None),
                record(Verdict::FailedOver, Some("worker-unreachable")),
            ],
            NOW,
        );
        assert_eq!(lines.len(), 3);
        text(&lines);
        assert!(lines[2].contains("worker-unreachable"));
    }
}
