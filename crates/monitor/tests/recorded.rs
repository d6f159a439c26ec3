//! A recorded file, written by hand, in which everything happens once, and what is shown of it. After a wanted change:
//! `GELATO_WRITE_DOCS=1 cargo test -p gelato-monitor --test recorded`.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use gelato_monitor::recording::{Entries, Recorder};
use gelato_monitor::{Cluster, view};
use serde_json::Value;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn replayed() -> (Cluster, u64) {
    let file = File::open(data("everything.jsonl")).unwrap();
    let mut cluster = Cluster::new();
    let mut now = 0;
    for entry in Entries::open(BufReader::new(file)).unwrap() {
        let entry = entry.unwrap();
        now = entry.at;
        cluster.apply(now, entry.event);
    }
    (cluster, now)
}

#[test]
fn what_is_shown_of_a_recording_stays() {
    let (cluster, now) = replayed();
    // How many changes it took is nothing that is shown.
    let snapshot = view::Snapshot {
        revision: 0,
        ..view::snapshot(&cluster, now)
    };
    let shown = serde_json::to_value(&snapshot).unwrap();
    if std::env::var_os("GELATO_WRITE_DOCS").is_some() {
        let text = serde_json::to_string_pretty(&shown).unwrap();
        fs::write(data("everything.view.json"), text + "\n").unwrap();
    }
    let golden = fs::read_to_string(data("everything.view.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    for (part, shown) in shown.as_object().unwrap() {
        assert_eq!(*shown, golden[part], "{part}");
    }
    assert_eq!(shown, golden);
    let read: view::Snapshot = serde_json::from_value(golden).unwrap();
    assert_eq!(read, snapshot);
}

#[test]
fn numbers_are_counted_as_they_are_defined() {
    let (cluster, now) = replayed();
    let row = view::cluster(&cluster, now);
    let totals = row.totals;
    // main, slow, inode, and one that began before it was seen; small; slow again, fast, app.
    assert_eq!((totals.remote, totals.own, totals.local), (4, 1, 3));
    assert_eq!((totals.failed, totals.lost, totals.cancelled), (1, 1, 1));
    assert_eq!(row.local_percent, Some(50.0));
    assert_eq!((row.hosts, row.available, row.slots), (3, 2, 6));
    let builder = cluster
        .hosts()
        .find(|(_, host)| host.facts.name == "builder");
    let (id, builder) = builder.unwrap();
    assert_eq!(
        (builder.number, builder.jobs_in),
        (Some(9), 4),
        "one host over two logins"
    );
    assert_eq!(builder.facts.averages, Some([500, 400, 300]));
    let jobs = view::jobs(&cluster, now);
    let slow: Vec<_> = jobs
        .iter()
        .filter(|job| job.file.contains("slow"))
        .collect();
    assert_eq!(slow.len(), 2, "the attempt and its repetition");
    assert!(
        slow.iter()
            .all(|job| job.record.is_some() && job.build == slow[0].build)
    );
    assert_eq!(slow[0].server, Some(id));
    assert!(jobs.iter().all(|job| !job.file.contains('\u{1b}')));
    let build = view::builds(&cluster, now)
        .into_iter()
        .find(|build| build.key.is_some())
        .unwrap();
    assert_eq!((build.jobs, build.failed_over, build.refused), (6, 1, 1));
    assert!(build.verdict.is_some() && !build.open && !build.guessed);
}

#[test]
fn a_recording_is_written_as_it_was_read() {
    let text = fs::read_to_string(data("everything.jsonl")).unwrap();
    let entries: Vec<_> = Entries::open(text.as_bytes())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(entries.len() + 1, text.lines().count());
    let mut again = Vec::new();
    let mut recorder = Recorder::begin(&mut again).unwrap();
    for entry in &entries {
        recorder.add(entry.at, &entry.event).unwrap();
    }
    let back: Vec<_> = Entries::open(again.as_slice())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(back, entries);
}
