//! What was learned, in a file, so that a restarted scheduler need not measure everything again.
//!
//! Text: a first line that names the format and its version, one line for each file, worker and language, and a last line
//! that counts them and closes with a checksum, so that half a file is no file. It is written beside the old one and then takes its
//! place. What cannot be read is not used: a scheduler without a past works, it only has to learn.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use gelato_scheduler_core::{Past, PastFile, PastLanguage, PastWorker, limits};
use thiserror::Error;

/// First line.
const FORMAT: &str = "gelato scheduler history 1";
/// Bytes a history may have: more than all that is remembered takes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Why a history is not used.
#[derive(Debug, Error)]
pub(crate) enum Unusable {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no history of this version: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
}

/// The past in the file `path`; none if there is no file.
pub(crate) fn load(path: &Path) -> Result<Option<Past>, Unusable> {
    let unreadable = |source| Unusable::Io {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(file) => file
            .take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?,
    };
    let malformed = |why| Unusable::Malformed {
        path: path.to_owned(),
        why,
    };
    if text.len() as u64 > LARGEST {
        return Err(malformed(format!("it has more than {LARGEST} bytes")));
    }
    parse(&text).map(Some).map_err(malformed)
}

/// Writes `past` into the file `path`. Whatever happens meanwhile, the file is the old one or the new one.
pub(crate) fn save(path: &Path, past: &Past) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(&render(past))?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn render(past: &Past) -> Vec<u8> {
    let mut head = format!("{FORMAT}\n");
    for file in &past.files {
        // Nothing is written that a later version could not tell from a mistake, so this cannot fail.
        let _ = writeln!(
            head,
            "file {:016x} {} {}",
            file.key, file.work_ms, file.memory
        );
    }
    for language in &past.languages {
        let _ = writeln!(
            head,
            "language {} {} {} {}",
            language.class, language.work_ms, language.rate, language.peak_memory
        );
    }
    let mut text = head.into_bytes();
    let mut workers = 0;
    for worker in &past.workers {
        let name = worker.name.as_bytes();
        if !name.is_empty() && !name.iter().any(u8::is_ascii_control) {
            text.extend_from_slice(format!("worker {} ", worker.speed).as_bytes());
            text.extend_from_slice(name);
            text.push(b'\n');
            workers += 1;
        }
    }
    let entries = past.files.len() + past.languages.len() + workers;
    let sum = checksum(&text);
    text.extend_from_slice(format!("end {entries} {sum:016x}\n").as_bytes());
    text
}

fn parse(text: &[u8]) -> Result<Past, String> {
    let body = text.strip_suffix(b"\n").ok_or("its last line is cut off")?;
    let last = body.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let (body, last) = text.split_at_checked(last + 1).ok_or("it is empty")?;
    let last = words(last);
    let (["end", entries, sum], Some(body)) = (&last[..], body.strip_suffix(b"\n")) else {
        return Err("it has no end".to_owned());
    };
    let mut lines = body.split(|byte| *byte == b'\n');
    if lines.next() != Some(FORMAT.as_bytes()) {
        return Err(format!("it does not begin with \"{FORMAT}\""));
    }
    let body_sum = checksum(text.get(..=body.len()).unwrap_or_default());
    if u64::from_str_radix(sum, 16) != Ok(body_sum) {
        return Err("its checksum is wrong".to_owned());
    }
    let mut past = Past::default();
    let mut read = 0;
    for (line, number) in lines.zip(2..) {
        entry(line, &mut past).ok_or_else(|| format!("line {number} is none of a history"))?;
        read += 1;
    }
    if entries.parse() == Ok(read) {
        Ok(past)
    } else {
        Err(format!("it has {read} entries and says {entries}"))
    }
}

fn entry(line: &[u8], past: &mut Past) -> Option<()> {
    if let Some(worker) = line.strip_prefix(b"worker ") {
        let space = worker.iter().position(|byte| *byte == b' ')?;
        let (speed, name) = worker.split_at_checked(space)?;
        let name = name.strip_prefix(b" ")?;
        if name.is_empty() || name.len() > limits::NAME {
            return None;
        }
        past.workers.push(PastWorker {
            name: name.into(),
            speed: str::from_utf8(speed).ok()?.parse().ok()?,
        });
        return Some(());
    }
    match words(line)[..] {
        ["file", key, work, memory] => past.files.push(PastFile {
            key: u64::from_str_radix(key, 16).ok()?,
            work_ms: work.parse().ok()?,
            memory: memory.parse().ok()?,
        }),
        ["language", class, work, rate, peak] => past.languages.push(PastLanguage {
            class: class.parse().ok()?,
            work_ms: work.parse().ok()?,
            rate: rate.parse().ok()?,
            peak_memory: peak.parse().ok()?,
        }),
        _ => return None,
    }
    Some(())
}

fn words(line: &[u8]) -> Vec<&str> {
    let text = str::from_utf8(line).unwrap_or_default();
    text.trim_end_matches('\n').split(' ').collect()
}

/// FNV-1a: against accidents.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past() -> Past {
        Past {
            files: (0..50)
                .map(|key| PastFile {
                    key: key * 0x1234_5678_9abc,
                    work_ms: 0.1 + key as f32 * 3.7,
                    memory: key as u32,
                })
                .collect(),
            workers: vec![
                PastWorker {
                    name: "alpha".into(),
                    speed: 1.25,
                },
                PastWorker {
                    name: b"two words \xff"[..].into(),
                    speed: 0.3,
                },
            ],
            languages: vec![PastLanguage {
                class: 3,
                work_ms: 1234.5,
                rate: 0.001,
                peak_memory: 512.0,
            }],
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        assert_eq!(load(&path).unwrap(), None);
        save(&path, &Past::default()).unwrap();
        assert_eq!(load(&path).unwrap(), Some(Past::default()));
        save(&path, &past()).unwrap();
        assert_eq!(load(&path).unwrap(), Some(past()));
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "nothing else is left behind");
    }

    #[test]
    fn a_name_that_would_forge_a_line_is_left_out() {
        let mut past = past();
        past.workers[0].name = "x\nworker 9 y".into();
        let read = parse(&render(&past)).unwrap();
        assert_eq!(read.workers, past.workers[1..]);
    }

    #[test]
    fn half_a_file_and_any_changed_byte_are_noticed() {
        let whole = render(&past());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            // The digits of the checksum may be written in capitals.
            assert!(parse(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn hostile_files_are_refused_with_a_reason() {
        let with_sum = |body: &str, entries: u32| {
            let sum = checksum(body.as_bytes());
            format!("{body}end {entries} {sum:016x}\n").into_bytes()
        };
        let format = format!("{FORMAT}\n");
        assert!(parse(&with_sum(&format, 0)).is_ok());
        let long = format!("{format}worker 1 {}\n", "x".repeat(300));
        for (text, expected) in [
            (b"".to_vec(), "cut off"),
            (b"\n".to_vec(), "no end"),
            (b"end 0 0\n".to_vec(), "no end"),
            (with_sum("something else\n", 0), "begin with"),
            (with_sum(&format, 1), "0 entries and says 1"),
            (with_sum(&format!("{format}file 1 x 3\n"), 1), "line 2"),
            (with_sum(&format!("{format}\n"), 1), "line 2"),
            (with_sum(&format!("{format}worker 1\n"), 1), "line 2"),
            (with_sum(&long, 1), "line 2"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}, not {expected}");
        }
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let error = load(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
