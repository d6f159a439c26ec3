//! A build as a trace in Chrome's format: a process for each host, a thread for each row of bars, and within a job its phases.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{Cluster, HostId, Job, Kind};
use crate::verdict::{Doing, Work};

/// One bar.
struct Bar {
    host: Option<HostId>,
    begin: u64,
    end: u64,
    name: String,
    category: &'static str,
    args: Value,
    /// What it was doing when.
    parts: Vec<(&'static str, u64, u64)>,
}

/// The build's jobs that are remembered, as JSON; `None` if there is no such build. Bars of running jobs end at `now`.
pub fn trace(from: &Cluster, build: u64, now: u64) -> Option<String> {
    let build = from.build(build)?;
    let mut bars: Vec<Bar> = from
        .jobs()
        .map(|(_, job)| job)
        .filter(|job| job.build == Some(build.number))
        .flat_map(|job| bars_of(job, now))
        .collect();
    bars.sort_by_key(|bar| (bar.begin, bar.end));
    let start = bars
        .first()
        .map_or(build.begun, |bar| bar.begin.min(build.begun));
    let mut rows: BTreeMap<Option<HostId>, Vec<u64>> = BTreeMap::new();
    let mut events = Vec::new();
    for bar in &bars {
        // The first row that is free.
        let ends = rows.entry(bar.host).or_default();
        let row = match ends.iter().position(|end| *end <= bar.begin) {
            Some(row) => row,
            None => {
                ends.push(0);
                ends.len() - 1
            }
        };
        ends[row] = bar.end;
        events.extend(slices(bar, row, start));
    }
    for (host, ends) in &rows {
        let known = host.and_then(|host| from.host(host));
        let name = known.map_or("unknown host", |host| host.facts.name.as_str());
        events.push(
            json!({"ph": "M", "name": "process_name", "pid": pid(*host), "args": {"name": name}}),
        );
        for row in 0..ends.len() {
            events.push(json!({
                "ph": "M", "name": "thread_name", "pid": pid(*host), "tid": row + 1,
                "args": {"name": format!("slot {}", row + 1)},
            }));
        }
    }
    let trace = json!({
        "displayTimeUnit": "ms",
        "otherData": {"build": build.key, "begun_ms": start},
        "traceEvents": events,
    });
    Some(trace.to_string())
}

fn bars_of(job: &Job, now: u64) -> Vec<Bar> {
    let Some(begun) = job.begun else {
        return Vec::new();
    };
    let end = job.ended.unwrap_or(now).max(begun);
    let parts = parts(job, end);
    let clipped = |from: u64, to: u64| {
        let parts = parts.iter().filter_map(move |(name, begin, end)| {
            let (begin, end) = ((*begin).max(from), (*end).min(to));
            (begin < end).then_some((*name, begin, end))
        });
        parts.collect::<Vec<_>>()
    };
    let record = job.record.as_deref();
    let category = match job.kind {
        Kind::Remote => "remote",
        Kind::Own => "own",
        Kind::Local => "local",
    };
    let mut bars = vec![Bar {
        host: job.server.or(job.client),
        begin: begun,
        end,
        name: job.file.clone(),
        category,
        args: json!({
            "job": job.number, "state": job.state, "exit": job.figures.exit, "why": job.why,
            "reason": record.and_then(|record| record.reason.clone()),
            "wait_ms": job.wait(now), "in_raw": job.figures.in_raw, "out_raw": job.figures.out_raw,
        }),
        parts: clipped(begun, end),
    }];
    let before = parts
        .first()
        .map_or(job.asked, |(_, begin, _)| (*begin).min(job.asked));
    if before < begun {
        bars.push(Bar {
            host: job.client,
            begin: before,
            end: begun,
            name: job.file.clone(),
            category: "waiting",
            args: json!({"job": job.number}),
            parts: clipped(before, begun),
        });
    }
    bars
}

/// What its record says it was doing, on the watcher's clock.
fn parts(job: &Job, end: u64) -> Vec<(&'static str, u64, u64)> {
    let Some(record) = job.record.as_deref() else {
        return Vec::new();
    };
    let shifted = |at: u64| (at + end).saturating_sub(record.end);
    let work = Work::of(record);
    let timeline = work.timeline();
    timeline
        .map(|(doing, begin, end)| (word(doing), shifted(begin), shifted(end)))
        .collect()
}

fn word(doing: Doing) -> &'static str {
    match doing {
        Doing::Preparing => "prepare",
        Doing::Waiting => "wait for a worker",
        Doing::Queueing => "wait for a processor",
        Doing::Installing => "connect and install",
        Doing::Shipping => "preprocess and send",
        Doing::Compiling => "compile",
        Doing::Receiving => "receive",
        Doing::Local => "run here",
    }
}

fn slices(bar: &Bar, row: usize, start: u64) -> impl Iterator<Item = Value> + '_ {
    let slice = move |name: &str, category: &str, begin: u64, end: u64, args: &Value| {
        json!({
            "ph": "X", "name": name, "cat": category, "pid": pid(bar.host), "tid": row + 1,
            "ts": (begin - start) * 1000, "dur": (end - begin) * 1000, "args": args,
        })
    };
    let whole = slice(&bar.name, bar.category, bar.begin, bar.end, &bar.args);
    let parts = bar.parts.iter();
    let parts = parts.map(move |(name, begin, end)| slice(name, "phase", *begin, *end, &json!({})));
    std::iter::once(whole).chain(parts)
}

/// Processes are numbered from 1.
fn pid(host: Option<HostId>) -> u32 {
    host.map_or(0, |host| host.0.saturating_add(1))
}
