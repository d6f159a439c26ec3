//! The daemon's answer as lines for people, at most 80 columns wide. Pure.

use gelato_monitor::verdict::BuildVerdict;
use serde_json::Value;

use super::words::{bytes, count, hang, plain, row, tail, time};

/// Reasons of the last build that are named.
const MOST_REASONS: usize = 4;

/// Rows of jobs and of toolchains; more are counted.
const MOST_ROWS: usize = 20;

/// All of it.
pub(crate) fn status(answer: &Value) -> Vec<String> {
    let now = number(answer, "now");
    let mut lines = Vec::new();
    let uptime = time(now.saturating_sub(number(answer, "started")));
    lines.extend(hang(
        "",
        &format!(
            "Gelato daemon {} on {}, network {}, up {uptime}",
            text(answer, "version"),
            text(answer, "node"),
            text(answer, "netname"),
        ),
    ));
    let ours = env!("CARGO_PKG_VERSION");
    if text(answer, "version") != ours {
        lines.extend(row(
            "",
            &format!("(this command is {ours}: restart the daemon)"),
        ));
    }
    lines.extend(row("Scheduler", &scheduler(&answer["scheduler"], now)));
    lines.extend(standing(answer));
    lines.extend(sandbox(answer));
    lines.extend(toolchains(&answer["toolchains"], now));
    lines.extend(jobs(answer));
    lines.extend(row("Load", &load(answer)));
    lines.extend(row("Since start", &counters(&answer["counters"])));
    lines.extend(peers(&answer["access"]));
    lines
}

/// The last build: its numbers, its most frequent reasons, and what bounded it. `now` in ms since 1970.
pub(crate) fn build(sums: &Value, verdict: Option<&BuildVerdict>, now: u64) -> Vec<String> {
    let number = |name: &str| number(sums, name);
    let part = |what: u64| match number("jobs") {
        0 => 0,
        jobs => what.saturating_mul(100).saturating_add(jobs / 2) / jobs,
    };
    let ago = now.saturating_sub(number("last")) / 1000;
    let when = match ago {
        0..10 => "goes on or has just ended".to_owned(),
        _ => format!("ended {} ago", time(ago)),
    };
    let took = time(number("last").saturating_sub(number("begun")) / 1000);
    let here = number("own") + number("local") + number("failed_over");
    let mut text = format!(
        "{}{} {when}: {} in {took}, {} % on other machines, {} % here",
        text(sums, "build"),
        if sums["guessed"] == true {
            " (guessed)"
        } else {
            ""
        },
        count(number("jobs"), "job"),
        part(number("remote")),
        part(here),
    );
    for (what, number) in [("refused", number("refused")), ("failed", number("failed"))] {
        if number > 0 {
            text += &format!(", {number} {what}");
        }
    }
    let mut lines = row("Build", &text);
    let mut reasons: Vec<(&String, u64)> = sums["reasons"]
        .as_object()
        .map(|reasons| {
            let count = |(code, count): (_, &Value)| (code, count.as_u64().unwrap_or(0));
            reasons.iter().map(count).collect()
        })
        .unwrap_or_default();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if !reasons.is_empty() {
        let named: Vec<String> = reasons
            .iter()
            .take(MOST_REASONS)
            .map(|(code, count)| format!("{count} {}", plain(code)))
            .collect();
        lines.extend(row(
            "Stayed",
            &format!("{} (see gelato why)", named.join(", ")),
        ));
    }
    if let Some(verdict) = verdict {
        lines.extend(row("Bounded by", &verdict.sentence));
    }
    lines
}

/// Slots, mode and reasons: what pause, resume and drain change.
pub(crate) fn standing(answer: &Value) -> Vec<String> {
    let slots = &answer["slots"];
    let (foreign, local) = (number(slots, "foreign"), number(slots, "local"));
    let (offered, configured) = (number(slots, "offered"), number(slots, "configured"));
    let mut text_of_slots = format!(
        "{} of {offered} in use: {foreign} for others, {local} for this machine",
        foreign + local
    );
    if offered != configured {
        text_of_slots += &format!(" ({configured} by the settings)");
    } else if configured != number(slots, "cpus") {
        text_of_slots += &format!(" ({})", count(number(slots, "cpus"), "processor"));
    }
    let waiting = number(slots, "waiting_foreign") + number(slots, "waiting_local");
    if waiting > 0 {
        text_of_slots += &format!("; {waiting} waiting");
    }
    let mut lines = row("Slots", &text_of_slots);
    let accepting = answer["accepting"].as_bool().unwrap_or(false);
    let mode = match (text(answer, "mode").as_str(), accepting) {
        ("running", true) => "takes jobs of other machines".to_owned(),
        ("running", false) => "takes no jobs of other machines".to_owned(),
        (mode, _) => mode.to_owned(),
    };
    lines.extend(row("Mode", &mode));
    for reason in list(&answer["reasons"]) {
        lines.extend(hang("            - ", &text(reason, "text")));
    }
    if !accepting && answer["remote_wanted"] == false {
        lines.extend(hang(
            "            - ",
            "the setting daemon.no-remote or the option --no-remote says so",
        ));
    }
    lines
}

fn scheduler(answer: &Value, now: u64) -> String {
    let since = number(answer, "since");
    let ago = if since == 0 {
        String::new()
    } else {
        format!(" for {}", time(now.saturating_sub(since)))
    };
    if answer["connected"] != true {
        let reason = answer["reason"]
            .as_str()
            .map_or_else(|| "still looking for one".to_owned(), plain);
        return format!("none{ago}, so builds of this machine stay here: {reason}");
    }
    let whose = if answer["gelato"] == true {
        "Gelato's"
    } else {
        "Icecream's"
    };
    format!(
        "{} ({whose}, protocol {}){ago}",
        text(answer, "address"),
        number(answer, "protocol")
    )
}

fn sandbox(answer: &Value) -> Vec<String> {
    let sandbox = &answer["sandbox"];
    let layers: Vec<String> = list(&sandbox["layers"])
        .iter()
        .filter_map(|layer| layer.as_str().map(plain))
        .collect();
    let force = match sandbox["level"].as_str() {
        Some(level) if layers.is_empty() => plain(level),
        Some(level) => format!("{} with {}", plain(level), layers.join(", ")),
        None if answer["remote_wanted"] == false => {
            "not needed: no jobs of other machines".to_owned()
        }
        None => "none that is acceptable, so no jobs of other machines".to_owned(),
    };
    let mut lines = row("Sandbox", &force);
    for obstacle in list(&sandbox["obstacles"]) {
        if let Some(obstacle) = obstacle.as_str() {
            lines.extend(hang("            - ", &plain(obstacle)));
        }
    }
    lines
}

fn toolchains(answer: &Value, now: u64) -> Vec<String> {
    let total = number(answer, "count");
    let mut head = format!(
        "{total}, {} of {}",
        bytes(number(answer, "used")),
        bytes(number(answer, "limit"))
    );
    if total == 0 {
        head = format!("none yet, room for {}", bytes(number(answer, "limit")));
    }
    let mut lines = row("Toolchains", &head);
    let all = list(&answer["list"]);
    for toolchain in all.iter().take(MOST_ROWS) {
        let used = match toolchain["last_use"].as_u64() {
            Some(at) => format!("used {} ago", time(now.saturating_sub(at))),
            None => String::new(),
        };
        let jobs = match number(toolchain, "jobs") {
            0 => String::new(),
            jobs => format!(", {}", count(jobs, "job")),
        };
        lines.push(format!(
            "            {:<9} {:<20} {:>7}  {used}{jobs}",
            tail(&text(toolchain, "platform"), 9),
            tail(&text(toolchain, "name"), 20),
            bytes(number(toolchain, "size")),
        ));
    }
    lines.extend(more(all.len().max(usize::try_from(total).unwrap_or(0))));
    lines
}

fn jobs(answer: &Value) -> Vec<String> {
    let all = list(&answer["jobs"]);
    if all.is_empty() {
        return row("Jobs", "none of other machines now");
    }
    let mut lines = row("Jobs", &format!("{} of other machines", all.len()));
    for job in all.iter().take(MOST_ROWS) {
        let memory = job["memory"].as_u64().map(bytes).unwrap_or_default();
        lines.push(format!(
            "            {:<15} {:<8} {:<22} {:>8} {:>7}",
            tail(&text(job, "from"), 15),
            tail(&text(job, "compiler"), 8),
            tail(&text(job, "file"), 22),
            if job["state"] == "waiting" {
                "waits".to_owned()
            } else {
                time(number(job, "age"))
            },
            memory,
        ));
    }
    lines.extend(more(all.len()));
    lines
}

fn more(all: usize) -> Option<String> {
    (all > MOST_ROWS).then(|| {
        format!(
            "            and {} more (--json lists them)",
            all - MOST_ROWS
        )
    })
}

fn load(answer: &Value) -> String {
    let load = &answer["load"];
    let averages: Vec<String> = list(&load["averages"])
        .iter()
        .map(|average| format!("{:.2}", average.as_f64().unwrap_or(0.0)))
        .collect();
    let mut text = format!(
        "{} of 1000; averages {}; {} of memory free",
        number(load, "load"),
        averages.join(" "),
        bytes(number(load, "free_memory"))
    );
    if let Some(free) = answer["disk_free"].as_u64() {
        text += &format!("; {} of disk free", bytes(free));
    }
    text
}

fn counters(answer: &Value) -> String {
    let number = |name| number(answer, name);
    format!(
        "{} for others ({} failed), {} handed back; of this machine {} compiled elsewhere, {} here, and {}",
        count(number("foreign"), "job"),
        number("foreign_failed"),
        number("handed_back"),
        number("elsewhere"),
        number("own"),
        count(number("local"), "local job"),
    )
}

fn peers(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let refused = number(answer, "refused");
    if refused > 0 {
        lines.extend(row("Refused", &count(refused, "connection")));
    }
    for peer in list(&answer["peers"]) {
        if let Some(left) = peer["avoided_for"].as_u64() {
            lines.extend(row(
                "Avoided",
                &format!(
                    "{} for {} more: it {}",
                    text(peer, "address"),
                    time(left),
                    text(peer, "offence")
                ),
            ));
        }
    }
    lines
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn text(value: &Value, name: &str) -> String {
    plain(value[name].as_str().unwrap_or("?"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::words::WIDTH;
    use super::*;

    fn answer() -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"), "node": "a-rather-long-name.example.org", "netname": "ICECREAM",
            "started": 1000, "now": 12_345,
            "scheduler": { "connected": true, "address": "192.168.123.234:8765", "since": 1001, "protocol": 44,
                "gelato": true },
            "slots": { "configured": 16, "offered": 4, "cpus": 16, "foreign": 3, "local": 1, "waiting_foreign": 2,
                "waiting_local": 0 },
            "mode": "running", "accepting": true, "remote_wanted": true,
            "reasons": [{ "code": "owner-busy", "refuses": false, "text": "word ".repeat(40) }],
            "sandbox": { "level": "namespaces", "layers": ["landlock", "system call filter"],
                "obstacles": ["no cgroup: ".to_owned() + &"why ".repeat(40)] },
            "toolchains": { "count": 30, "used": 612_000_000, "limit": 51_000_000_000u64, "list": (0..30)
                .map(|n| json!({ "platform": "x86_64", "name": format!("{n:040}"), "size": 204_000_000,
                    "jobs": n, "last_use": 12_000 })).collect::<Vec<_>>() },
            "jobs": [{ "from": "2001:db8::1234:5678:9abc", "compiler": "x86_64-linux-gnu-g++-12",
                "file": "/home/somebody/project/src/a/file.cc", "state": "running", "age": 500_000,
                "memory": 1_500_000_000 }],
            "counters": { "foreign": 123_456, "foreign_failed": 12, "handed_back": 3, "local": 4, "own": 5,
                "elsewhere": 600_000 },
            "load": { "load": 345, "averages": [1.25, 2.5, 10.75], "free_memory": 12_300_000_000u64 },
            "disk_free": 120_000_000_000u64,
            "access": { "refused": 4, "peers": [{ "address": "10.0.0.9", "avoided_for": 55,
                "offence": "breaks the protocol" }] },
        })
    }

    /// The parts may be wrapped.
    fn assert_fits_and_says(lines: &[String], parts: &[&str]) {
        for line in lines {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        let words: Vec<&str> = lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect();
        let all = words.join(" ");
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in\n{all}");
        }
    }

    #[test]
    fn everything_fits_a_terminal() {
        let lines = status(&answer());
        assert_fits_and_says(
            &lines,
            &[
                "network ICECREAM",
                "Gelato's, protocol 44",
                "4 of 4 in use: 3 for others",
                "(16 by the settings)",
                "namespaces with landlock",
                "and 10 more",
                "1.5 GB",
                "Avoided",
            ],
        );
    }

    #[test]
    fn the_last_build_is_told_in_a_few_lines() {
        let sums = json!({
            "build": "project-1700000000-4711", "guessed": false, "begun": 1_000_000, "last": 1_100_000, "jobs": 200,
            "remote": 150, "own": 10, "local": 30, "failed_over": 10, "refused": 0, "failed": 1,
            "reasons": { "native-cpu": 20, "no-compile-step": 10, "worker-lost": 10, "assigned-here": 10, "x": 1 },
        });
        let verdict = BuildVerdict {
            sentence: "word ".repeat(30),
            ..BuildVerdict::default()
        };
        let lines = build(&sums, Some(&verdict), 1_400_000);
        assert_fits_and_says(
            &lines,
            &[
                "ended 5 min ago: 200 jobs in 100 s, 75 % on other machines, 25 % here, 1 failed",
                "Stayed 20 native-cpu,",
                "Bounded by word word",
            ],
        );
        assert!(!build(&json!({}), None, 0).is_empty());
    }

    #[test]
    fn what_is_missing_does_not_matter() {
        assert!(!status(&json!({})).is_empty());
        assert!(!status(&json!({ "jobs": 5, "slots": "x", "reasons": {} })).is_empty());
    }

    #[test]
    fn a_hostile_name_does_not_steer_the_terminal() {
        let mut answer = answer();
        answer["node"] = json!("a\u{1b}[2Jb");
        assert!(!status(&answer).join("").contains('\u{1b}'));
    }
}
