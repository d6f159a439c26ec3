//! What is known of a build when it is over: the records of its jobs, and what bounded it.
//!
//! The daemon that was started for one build ends with it. What it knew is kept in the user's cache, so that `gelato why` can tell of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gelato_compiler::LocalReason;
use gelato_monitor::verdict::{self, Bound, BuildVerdict, Facts};
use gelato_record::JobRecord;

use crate::cli::records;

/// Bytes of a file of records that are read.
const LARGEST: u64 = 32 << 20;

/// The name of a build that begins now, in this folder.
pub(crate) fn name() -> String {
    let folder = std::env::current_dir().unwrap_or_default();
    let name: String = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let name = if name.is_empty() { "build" } else { &name };
    format!("{name}-{seconds}-{}", std::process::id())
}

/// The records of a build, newest first; none if no daemon keeps them.
pub(crate) async fn records(socket: Option<PathBuf>, build: String) -> Vec<JobRecord> {
    let asked = tokio::task::spawn_blocking(move || records::of_build(socket.as_ref(), &build));
    match asked.await {
        Ok(Ok(records)) => records,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Nobody but us kept the jobs here, for want of a cluster.
pub(crate) fn without_cluster(records: &mut [JobRecord]) {
    for record in records {
        if record.reason.as_deref() == Some(LocalReason::NotWanted.code()) {
            record.reason = Some(LocalReason::NoScheduler.code().to_owned());
            record.subject = None;
        }
    }
}

/// What bounded the build, if something did. `slots`: of the cluster for this machine, 0 if not known.
pub(crate) fn verdict(records: &[JobRecord], slots: u32) -> Option<BuildVerdict> {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = Facts {
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        slots,
    };
    let verdict = verdict::of(records, facts);
    (verdict.bound != Bound::Nothing).then_some(verdict)
}

/// Keeps the records of a build whose daemon ends with it. That this fails is no reason for a word.
pub(crate) fn keep(records: &[JobRecord]) {
    if let Some(path) = kept_file()
        && !records.is_empty()
    {
        let _ = write(&path, records);
    }
}

/// The records that were kept, oldest first.
pub(crate) fn kept() -> Vec<JobRecord> {
    let path = kept_file();
    path.and_then(|path| read(&path).ok()).unwrap_or_default()
}

fn kept_file() -> Option<PathBuf> {
    super::private::cache().map(|folder| folder.join("records.jsonl"))
}

fn write(path: &Path, records: &[JobRecord]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut text = String::new();
    for record in records.iter().rev() {
        text.push_str(&record.to_json());
        text.push('\n');
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn read(path: &Path) -> io::Result<Vec<JobRecord>> {
    if fs::metadata(path)?.len() > LARGEST {
        return Ok(Vec::new());
    }
    let text = fs::read(path)?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| JobRecord::parse(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_records_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/records.jsonl");
        let record = |file: &str| JobRecord {
            file: file.to_owned(),
            ..JobRecord::default()
        };
        let newest_first = [record("b"), record("a")];
        write(&path, &newest_first).unwrap();
        assert_eq!(read(&path).unwrap(), [record("a"), record("b")]);
        fs::write(&path, "junk\n{\"file\":\"c\"}\n\u{0}").unwrap();
        assert_eq!(read(&path).unwrap(), [record("c")]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_we_keep_here_for_want_of_a_cluster_says_so() {
        let record = |reason: &str| JobRecord {
            reason: Some(reason.to_owned()),
            subject: Some("ICECC".to_owned()),
            ..JobRecord::default()
        };
        let mut records = [record("not-wanted"), record("native-cpu")];
        without_cluster(&mut records);
        assert_eq!(records[0].reason.as_deref(), Some("no-scheduler"));
        assert_eq!(records[0].subject, None);
        assert_eq!(records[1], record("native-cpu"));
    }

    #[test]
    fn a_name_says_where_and_when() {
        let name = name();
        assert!(
            name.ends_with(&format!("-{}", std::process::id())),
            "{name}"
        );
        assert_eq!(name.split('-').count(), 3, "{name}");
    }
}
