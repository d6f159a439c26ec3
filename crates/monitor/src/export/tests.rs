use std::collections::BTreeMap;

use super::*;
use crate::demo::Demo;
use crate::verdict::BuildVerdict;
use crate::view::{
    AlertRow, BuildRow, FileRow, HostRow, PersonRow, ReasonRow, Severity, SlotsRow, ToolchainRow,
};

fn demo() -> (Cluster, u64) {
    let mut demo = Demo::new(4, 12, 1_000_000);
    let mut cluster = Cluster::new();
    for _ in 0..500 {
        let now = demo.now();
        for event in demo.step() {
            cluster.apply(now, event);
        }
    }
    (cluster, demo.now())
}

/// Names of all members of members, as columns are named.
fn leaves(value: &Value, before: &str, into: &mut Vec<String>) {
    match value.as_object() {
        Some(members) if !members.is_empty() => {
            for (name, member) in members {
                let name = match before {
                    "" => name.clone(),
                    _ => format!("{before}.{name}"),
                };
                leaves(member, &name, into);
            }
        }
        _ => into.push(before.to_owned()),
    }
}

#[test]
fn every_member_of_every_row_has_a_column() {
    let (cluster, now) = demo();
    let recorded = |row: &view::JobRow| row.record.is_some();
    let job = view::jobs(&cluster, now)
        .into_iter()
        .find(recorded)
        .unwrap();
    let job = view::JobRow {
        waiting: Some(crate::model::Wait {
            position: 1,
            reason: "slot".to_owned(),
            text: String::new(),
        }),
        ..job
    };
    let build = BuildRow {
        verdict: Some(BuildVerdict::default()),
        ..BuildRow::default()
    };
    let host = HostRow {
        strip: vec![1],
        ..HostRow::default()
    };
    let alert = AlertRow {
        id: String::new(),
        code: String::new(),
        severity: Severity::Warning,
        subject: String::new(),
        since: 0,
        value: 0.0,
        threshold: 0.0,
        text: String::new(),
        advice: String::new(),
    };
    let rows = [
        (Table::Jobs, values(&cluster, vec![job])),
        (Table::Hosts, values(&cluster, vec![host])),
        (Table::Builds, values(&cluster, vec![build])),
        (Table::Files, values(&cluster, vec![FileRow::default()])),
        (Table::Reasons, values(&cluster, vec![ReasonRow::default()])),
        (Table::People, values(&cluster, vec![PersonRow::default()])),
        (Table::Slots, values(&cluster, vec![SlotsRow::default()])),
        (
            Table::Toolchains,
            values(&cluster, vec![ToolchainRow::default()]),
        ),
        (Table::Alerts, values(&cluster, vec![alert])),
    ];
    assert_eq!(rows.len(), Table::ALL.len());
    for (table, row) in rows {
        let mut members = Vec::new();
        leaves(&row[0], "", &mut members);
        let mut columns: Vec<&str> = table.columns().to_vec();
        columns.sort_unstable();
        members.sort_unstable();
        assert_eq!(members, columns, "{}", table.name());
    }
}

#[test]
fn every_format_has_a_row_for_each() {
    let (cluster, now) = demo();
    for which in Table::ALL {
        assert_eq!(Table::named(which.name()), Some(which));
        let count = rows(&cluster, which, now).len();
        let json: Vec<Value> =
            serde_json::from_str(&table(&cluster, which, Format::Json, now)).unwrap();
        let lines = table(&cluster, which, Format::JsonLines, now);
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((json.len(), &json), (count, &lines), "{}", which.name());
        let csv = table(&cluster, which, Format::Csv, now);
        assert_eq!(csv.matches("\r\n").count(), count + 1, "{}", which.name());
    }
    let jobs = table(&cluster, Table::Jobs, Format::Csv, now);
    assert!(jobs.starts_with("id,number,file,language,client,client_name,"));
    assert!(jobs.contains(",ada,"));
}

#[test]
fn a_trace_has_all_jobs_as_slices_that_nest() {
    let (cluster, now) = demo();
    let build = cluster.builds().find(|build| build.key.is_some()).unwrap();
    let text = trace(&cluster, build.number, now).unwrap();
    let trace: Value = serde_json::from_str(&text).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let slices = || events.iter().filter(|event| event["ph"] == "X");
    let jobs =
        slices().filter(|event| !["phase", "waiting"].contains(&event["cat"].as_str().unwrap()));
    assert_eq!(jobs.count() as u64, build.jobs());
    assert!(slices().any(|event| event["name"] == "compile" && event["cat"] == "phase"));
    // On each thread a slice is within the one before or after it.
    let mut threads: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for event in slices() {
        let number = |name: &str| event[name].as_u64().unwrap();
        let thread = threads.entry((number("pid"), number("tid"))).or_default();
        thread.push((number("ts"), number("ts") + number("dur")));
    }
    for spans in threads.values() {
        for (index, (begin, end)) in spans.iter().enumerate() {
            for (other_begin, other_end) in &spans[..index] {
                let within = begin >= other_begin && end <= other_end;
                assert!(within || begin >= other_end, "{spans:?}");
            }
        }
    }
    for pid in threads.keys().map(|(pid, _)| pid) {
        let named = |event: &&Value| event["name"] == "process_name" && event["pid"] == *pid;
        assert!(events.iter().any(|event| named(&event)));
    }
    assert_eq!(super::trace(&cluster, 999_999, now), None);
}
