//! Whether the file is as it was left. The store below trusts what it reads, so damage must be found before it looks: a file that was closed
//! has its length and sum beside it, and one whose opening has twice ended the whole program is not opened a third time.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// How often opening may be begun and not come to an end.
const TRIES: u32 = 2;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Checks a file before it is opened; whoever opens it says [`Opening::done`] afterwards.
///
/// # Errors
/// It is not what was left, or opening it has failed badly before.
pub(super) fn check(path: &Path) -> io::Result<Opening> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let sum = beside(path, "sum");
    match fs::read_to_string(&sum) {
        Ok(expected) if path.exists() => {
            // A full disk, or the end of the process, may have left a part of the line: that says nothing.
            if expected.ends_with('\n') && sum_of(path)? != expected.trim() {
                return Err(damaged(
                    "it is damaged; remove it, and a new one is begun".to_owned(),
                ));
            }
            // From now on it changes.
            fs::remove_file(&sum)?;
        }
        _ => {}
    }
    let mark = beside(path, "opening");
    let tries = fs::read_to_string(&mark)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    if tries >= TRIES {
        return Err(damaged(format!(
            "opening it ended the program before; remove it together with {}, and a new one is begun",
            mark.display()
        )));
    }
    fs::write(&mark, format!("{}\n", tries + 1))?;
    Ok(Opening(mark))
}

/// Writes down what a closed file is like. One without that is opened on trust.
pub(super) fn seal(path: &Path) {
    if let Ok(sum) = sum_of(path) {
        let _ = fs::write(beside(path, "sum"), format!("{sum}\n"));
    }
}

/// A file that is being opened.
#[derive(Debug)]
pub(super) struct Opening(PathBuf);

impl Opening {
    /// It was opened, or refused in an orderly way.
    pub(super) fn done(self) {
        let _ = fs::remove_file(self.0);
    }
}

/// Length and FNV-1a over words of eight bytes: against accidents, not against attackers.
fn sum_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut length = 0u64;
    let mut chunk = vec![0; CHUNK];
    loop {
        let filled = fill(&mut file, &mut chunk)?;
        let (words, rest) = chunk[..filled].as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        for word in words.chain(rest.iter().map(|byte| u64::from(*byte))) {
            hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        }
        length += filled as u64;
        if filled < chunk.len() {
            return Ok(format!("{length} {hash:016x}"));
        }
    }
}

fn fill(file: &mut File, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_and_length_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        let good: Vec<u8> = (0..=255).cycle().take(2 * CHUNK + 13).collect();
        fs::write(&path, &good).unwrap();
        let sum = sum_of(&path).unwrap();
        for at in [0, 7, CHUNK - 1, CHUNK, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_ne!(sum_of(&path).unwrap(), sum, "{at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert_ne!(sum_of(&path).unwrap(), sum);
    }

    #[test]
    fn a_seal_that_was_not_written_whole_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        fs::write(&path, "x").unwrap();
        let whole = format!("{}\n", sum_of(&path).unwrap());
        for length in 0..whole.len() {
            fs::write(beside(&path, "sum"), &whole[..length]).unwrap();
            check(&path).unwrap().done();
            assert!(!beside(&path, "sum").exists());
        }
        fs::write(beside(&path, "sum"), "1 0000000000000000\n").unwrap();
        assert!(check(&path).is_err());
    }

    #[test]
    fn a_file_that_ends_the_program_is_left_alone_the_third_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h");
        fs::write(&path, "x").unwrap();
        for _ in 0..TRIES {
            drop(check(&path).unwrap());
        }
        let refused = check(&path).unwrap_err().to_string();
        assert!(refused.contains("h.opening"), "{refused}");
        fs::remove_file(beside(&path, "opening")).unwrap();
        for _ in 0..5 {
            check(&path).unwrap().done();
        }
    }
}
