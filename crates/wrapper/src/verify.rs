//! Compares what several workers made of the same source: a share of the jobs is compiled more than once, because a submitter trusts no worker further than that.
//!
//! `ICECC_REPEAT_RATE` jobs out of a thousand of GCC have three workers, as with Icecream; `GELATO_VERIFY_RATE` out of a thousand of any compiler two. Status, object, split
//! debug information and messages must be the same. What differs is kept as evidence, in a folder whose path is told, and the job is done here: no build fails because
//! of it. Who compiles is not decided here.
//!
//! Some objects of GCC hold names made of random numbers (link-time optimisation, counters for coverage and profiles). For these all workers get the same seed. With debug
//! information the seed would show in the object, which then would not be the one the local compiler makes; such jobs are not compared.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gelato_compiler::flags::Class;
use gelato_compiler::plan::Word;
use gelato_compiler::{Family, Language, LocalReason, RemotePlan};

use crate::failure::Failure;
use crate::source::Source;
use crate::variables::Variables;
use crate::worker::Answer;

/// With this many folders of evidence nothing is added: a build may have thousands of differing jobs.
const MOST_EVIDENCE: usize = 32;

/// Workers for each compared job if Icecream's variable asks for it, and if ours does.
const REPEATED: usize = 3;
const VERIFIED: usize = 2;

/// How many workers compile this job: one, unless it is chosen to be compared. A chosen job may need a word more.
pub(crate) fn copies(variables: &Variables, plan: &mut RemotePlan) -> usize {
    let repeat_rate = match plan.family {
        Family::Gcc => variables.repeat_rate,
        Family::Clang => 0,
    };
    if repeat_rate == 0 && variables.verify_rate == 0 {
        return 1;
    }
    // A new key every time, so the hash of nothing is a random number.
    let draw = |rate: u32| RandomState::new().build_hasher().finish() % 1000 < u64::from(rate);
    let copies = if draw(repeat_rate) {
        REPEATED
    } else if draw(variables.verify_rate) {
        VERIFIED
    } else {
        return 1;
    };
    let mut hasher = DefaultHasher::new();
    (&plan.input, &plan.output).hash(&mut hasher);
    match make_comparable(plan.family, &mut plan.words, hasher.finish()) {
        true => copies,
        false => 1,
    }
}

/// Gives random names a seed; `false` if that would show.
fn make_comparable(family: Family, words: &mut Vec<Word>, seed: u64) -> bool {
    if family != Family::Gcc {
        return true;
    }
    let has = |start: &str| {
        words
            .iter()
            .any(|word| word.text.as_bytes().starts_with(start.as_bytes()))
    };
    let random = ["-flto", "-fprofile", "--coverage", "-ftest-coverage"];
    if has("-frandom-seed=") || !random.into_iter().any(has) {
        return true;
    }
    if has("-g") {
        return false;
    }
    words.push(Word::new(
        format!("-frandom-seed={seed:016x}"),
        Class::Remote,
    ));
    true
}

/// What one worker answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    /// Address of the worker.
    pub(crate) worker: &'a str,
    /// `None`: something with messages that a local compiler would print differently.
    pub(crate) answer: Option<&'a Answer>,
}

/// Compares two answers to the same question.
///
/// # Errors
/// They differ. Evidence is kept; the failure says where, and the user has not been told.
pub(crate) fn compare(
    variables: &Variables,
    plan: &RemotePlan,
    source: Option<&Source>,
    statements: [Statement<'_>; 2],
) -> Result<(), Failure> {
    let parts = statements.map(|statement| parts(statement.answer));
    let names: Vec<&str> = PARTS
        .iter()
        .zip(parts[0].iter().zip(&parts[1]))
        .filter(|(_, (one, other))| one != other)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let summary = format!(
        "{} and {} made different things of {}: {} ({}; {})",
        statements[0].worker,
        statements[1].worker,
        plan.input.display(),
        names.join(", "),
        describe(&parts[0]),
        describe(&parts[1]),
    );
    let kept = match keep(variables, plan, source, &statements, &summary) {
        Ok(Some(folder)) => format!("evidence in {}", folder.display()),
        Ok(None) => "no more evidence is kept".to_owned(),
        Err(error) => format!("no evidence kept: {error}"),
    };
    Err(Failure::here(
        LocalReason::ResultsDiffer,
        format!("{summary}; {kept}; compiling here"),
    ))
}

const PARTS: [&str; 5] = [
    "status",
    "object",
    "split debug information",
    "standard output",
    "standard error",
];

/// What is compared, in the order of [`PARTS`].
fn parts(answer: Option<&Answer>) -> [Option<Vec<u8>>; 5] {
    let text = |bytes: &[u8]| Some(bytes.to_vec());
    match answer {
        Some(Answer::Success {
            object,
            dwo,
            stdout,
            stderr,
        }) => [
            text(b"0"),
            text(object),
            dwo.clone(),
            text(stdout),
            text(stderr),
        ],
        Some(Answer::CompileError {
            status,
            stdout,
            stderr,
        }) => [
            text(status.to_string().as_bytes()),
            None,
            None,
            text(stdout),
            text(stderr),
        ],
        None => [None, None, None, None, None],
    }
}

fn describe(parts: &[Option<Vec<u8>>; 5]) -> String {
    match parts {
        [Some(status), Some(object), ..] => format!(
            "status {}, object of {} bytes with sum {:016x}",
            String::from_utf8_lossy(status),
            object.len(),
            sum(object)
        ),
        [Some(status), ..] => format!("status {}", String::from_utf8_lossy(status)),
        _ => "messages of which the other had none".to_owned(),
    }
}

/// FNV-1a: to see at a glance whether two reports speak of the same object, no more.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Writes what was sent and what came back into a new folder. `None`: there is enough already.
fn keep(
    variables: &Variables,
    plan: &RemotePlan,
    source: Option<&Source>,
    statements: &[Statement<'_>; 2],
    summary: &str,
) -> io::Result<Option<PathBuf>> {
    let Some(base) = evidence_folder(variables) else {
        return Err(io::Error::other("neither XDG_CACHE_HOME nor HOME is set"));
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&base)?;
    if fs::read_dir(&base)?.count() >= MOST_EVIDENCE {
        return Ok(None);
    }
    let folder = new_folder(&base)?;
    let suffix = match plan.language {
        Language::C => "source.i",
        Language::Cxx => "source.ii",
        Language::ObjectiveC => "source.mi",
        Language::ObjectiveCxx => "source.mii",
    };
    if let Some(source) = source {
        source.write_to(&folder.join(suffix))?;
    }
    let mut report = format!(
        "{summary}\n\ncompiler: {}\nwords:\n",
        plan.remote_compiler()
    );
    for word in plan.remote_words() {
        report.push_str(&format!("  {}\n", word.display()));
    }
    for (number, statement) in (1..).zip(statements) {
        report.push_str(&format!("worker {number}: {}\n", statement.worker));
        for (name, part) in ["status", "object.o", "object.dwo", "stdout", "stderr"]
            .iter()
            .zip(parts(statement.answer))
        {
            if let Some(content) = part {
                fs::write(folder.join(format!("{number}-{name}")), content)?;
            }
        }
    }
    fs::write(folder.join("report.txt"), report)?;
    Ok(Some(folder))
}

/// Where evidence is kept: in the user's cache, so that cleaning a build tree does not destroy it.
fn evidence_folder(variables: &Variables) -> Option<PathBuf> {
    let base = match &variables.cache_home {
        Some(folder) => folder.clone(),
        None => variables.home.as_ref()?.join(".cache"),
    };
    Some(base.join("gelato").join("differing"))
}

fn new_folder(base: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let folder = base.join(format!("{now}-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(object: &[u8], dwo: Option<&[u8]>, stderr: &[u8]) -> Answer {
        Answer::Success {
            object: object.to_vec(),
            dwo: dwo.map(<[u8]>::to_vec),
            stdout: Vec::new(),
            stderr: stderr.to_vec(),
        }
    }

    fn differing(one: Option<&Answer>, other: Option<&Answer>) -> Vec<usize> {
        let (one, other) = (parts(one), parts(other));
        (0..PARTS.len()).filter(|&i| one[i] != other[i]).collect()
    }

    #[test]
    fn every_part_is_compared() {
        let good = success(b"object", Some(b"dwo"), b"");
        assert_eq!(differing(Some(&good), Some(&good)), [0; 0]);
        for (other, expected) in [
            (success(b"objecT", Some(b"dwo"), b""), 1),
            (success(b"object", None, b""), 2),
            (success(b"object", Some(b"dwO"), b""), 2),
            (success(b"object", Some(b"dwo"), b"text"), 4),
        ] {
            assert_eq!(differing(Some(&good), Some(&other)), [expected]);
        }
        let error = Answer::CompileError {
            status: 1,
            stdout: Vec::new(),
            stderr: b"no".to_vec(),
        };
        assert_eq!(differing(Some(&good), Some(&error)), [0, 1, 2, 4]);
        assert!(!differing(Some(&good), None).is_empty());
    }

    #[test]
    fn random_names_get_a_seed_where_it_does_not_show() {
        for (family, words, comparable, seeded) in [
            (Family::Gcc, &["-O2", "-g"][..], true, false),
            (Family::Gcc, &["-O2", "-flto"], true, true),
            (Family::Gcc, &["-flto", "-g"], false, false),
            (
                Family::Gcc,
                &["-flto", "-g", "-frandom-seed=1"],
                true,
                false,
            ),
            (Family::Clang, &["-flto", "-g"], true, false),
        ] {
            let mut sent: Vec<Word> = words
                .iter()
                .map(|word| Word::new(*word, Class::Both))
                .collect();
            assert_eq!(
                make_comparable(family, &mut sent, 1),
                comparable,
                "{words:?}"
            );
            assert_eq!(sent.len() > words.len(), seeded, "{words:?}");
        }
    }
}
