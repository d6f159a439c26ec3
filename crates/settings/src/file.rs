//! One `gelato.toml`: read, checked against the table of settings, with a line for each value and each mistake.
//!
//! A file that is no TOML counts for nothing; of any other, what is right counts. Files are small; a large one is refused unread.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File as OpenFile};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::keys::{self, Key};
use crate::nearest::nearest;
use crate::value::Value;

/// Larger files are not read.
pub const MAX_SIZE: u64 = 64 << 10;
/// More mistakes of one file are not listed.
const MAX_PROBLEMS: usize = 20;

/// Something wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, with line and column, or the variable.
    pub place: Place,
    /// What is wrong, and what to do.
    pub text: String,
    /// The section it concerns, if only one.
    pub section: Option<&'static str>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole file.
    File(PathBuf),
    /// A place in it; line and column count from 1.
    Position(PathBuf, usize, usize),
    /// An environment variable.
    Variable(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "{}: ", path.display())?,
            Place::Position(path, line, column) => {
                write!(f, "{}:{line}:{column}: ", path.display())?;
            }
            Place::Variable(name) => write!(f, "{name}: ")?,
        }
        f.write_str(&self.text)
    }
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct File {
    path: PathBuf,
    /// Values with their lines, by section and name.
    values: BTreeMap<(&'static str, &'static str), (Value, usize)>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl File {
    /// Reads a file; `None` if there is none. With `owner`, it counts only if it belongs to that user or to root. `home` is what `~` stands for.
    pub fn read(path: &Path, owner: Option<u32>, home: Option<&Path>) -> Option<File> {
        let refuse = |text: String| {
            Some(File {
                path: path.to_owned(),
                values: BTreeMap::new(),
                problems: vec![Problem {
                    place: Place::File(path.to_owned()),
                    text,
                    section: None,
                }],
            })
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return None;
            }
            Err(error) => return refuse(format!("cannot be read, so it is ignored: {error}")),
        };
        if !metadata.is_file() {
            return refuse("is no regular file, so it is ignored".to_owned());
        }
        if metadata.len() > MAX_SIZE {
            return refuse(format!("is larger than {MAX_SIZE} bytes, so it is ignored"));
        }
        if owner.is_some_and(|owner| metadata.uid() != owner && metadata.uid() != 0) {
            return refuse("belongs to another user, so it is ignored".to_owned());
        }
        let mut bytes = Vec::new();
        let read =
            OpenFile::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes));
        if let Err(error) = read {
            return refuse(format!("cannot be read, so it is ignored: {error}"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(File::parse(path, &text, home)),
            Err(_) => refuse("is not UTF-8, so it is ignored".to_owned()),
        }
    }

    /// Reads the text of a file. `path` is for messages.
    pub fn parse(path: &Path, text: &str, home: Option<&Path>) -> File {
        let mut file = File {
            path: path.to_owned(),
            ..File::default()
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors.iter().take(MAX_PROBLEMS) {
            let offset = error.span().map_or(text.len(), |span| span.start);
            let message = error.message().trim().replace('\n', " ");
            file.report(
                text,
                offset,
                None,
                format!("{message}, so the file is ignored"),
            );
        }
        if errors.is_empty() {
            file.check(text, document.get_ref(), home);
        }
        file
    }

    /// The path it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of a setting, and in which line.
    pub fn get(&self, key: &Key) -> Option<(&Value, usize)> {
        self.values
            .get(&(key.section, key.name))
            .map(|(value, line)| (value, *line))
    }

    fn check(&mut self, text: &str, document: &DeTable<'_>, home: Option<&Path>) {
        for (section, content) in document {
            if self.problems.len() >= MAX_PROBLEMS {
                return;
            }
            let offset = section.span().start;
            let name: &str = section.get_ref();
            let known = keys::ALL.iter().find(|key| key.section == name);
            match (known, content.get_ref()) {
                (Some(key), DeValue::Table(table)) => {
                    self.check_section(text, key.section, table, home);
                }
                (Some(key), _) => {
                    let wanted = format!("{0} is a section: write [{0}]", key.section);
                    self.report(text, offset, Some(key.section), wanted);
                }
                (None, _) => self.report(text, offset, None, unknown_section(name)),
            }
        }
    }

    fn check_section(
        &mut self,
        text: &str,
        section: &'static str,
        table: &DeTable<'_>,
        home: Option<&Path>,
    ) {
        for (name, value) in table {
            if self.problems.len() >= MAX_PROBLEMS {
                return;
            }
            let written: &str = name.get_ref();
            let offset = name.span().start;
            let key = keys::ALL
                .iter()
                .find(|key| key.section == section && key.name == written);
            match key {
                None => {
                    self.report(text, offset, Some(section), unknown_key(section, written));
                }
                Some(key) => match key.kind.read_toml(value.get_ref(), home) {
                    Ok(value) => {
                        let (line, _) = position(text, offset);
                        self.values.insert((section, key.name), (value, line));
                    }
                    Err(why) => {
                        let text_of = format!("{}: {why}", key.path());
                        self.report(text, value.span().start, Some(section), text_of);
                    }
                },
            }
        }
    }

    fn report(&mut self, text: &str, offset: usize, section: Option<&'static str>, what: String) {
        let (line, column) = position(text, offset);
        self.problems.push(Problem {
            place: Place::Position(self.path.clone(), line, column),
            text: what,
            section,
        });
    }
}

fn unknown_section(name: &str) -> String {
    let shown = shown(name);
    // A setting at the top of the file, where only sections may be.
    if let Some(key) = keys::ALL.iter().find(|key| key.name == name) {
        return format!("{shown} belongs into a section: [{}]", key.section);
    }
    match nearest(name, keys::ALL.iter().map(|key| key.section)) {
        Some(near) => format!("there is no section [{shown}]; did you mean [{near}]?"),
        None => format!("there is no section [{shown}]"),
    }
}

fn unknown_key(section: &str, name: &str) -> String {
    let shown = shown(name);
    let here = keys::ALL.iter().filter(|key| key.section == section);
    if let Some(near) = nearest(name, here.map(|key| key.name)) {
        return format!("there is no setting {section}.{shown}; did you mean {near}?");
    }
    let elsewhere = keys::ALL.iter().filter(|key| key.section != section);
    match nearest(name, elsewhere.clone().map(|key| key.name))
        .and_then(|near| elsewhere.clone().find(|key| key.name == near))
    {
        Some(key) => format!(
            "there is no setting {section}.{shown}; did you mean {} of [{}]?",
            key.name, key.section
        ),
        None => format!("there is no setting {section}.{shown}"),
    }
}

/// A name as far as a message can bear it.
fn shown(name: &str) -> String {
    let mut shown: String = name.escape_debug().take(60).collect();
    if name.chars().count() > 60 {
        shown.push('…');
    }
    shown
}

/// Line and column of a byte, counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> File {
        File::parse(Path::new("/g.toml"), text, Some(Path::new("/home/u")))
    }

    fn problems(text: &str) -> Vec<String> {
        parse(text)
            .problems
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn values_have_lines() {
        let file = parse(
            "# ours\n[wrapper]\npolicy = \"require\"\nextra-files = [\n \"~/a\", \"/b\"]\ncompression = 0x3\n\n[daemon]\nno-remote = true\n",
        );
        assert_eq!(file.problems, []);
        assert_eq!(file.get(&keys::POLICY), Some((&Value::Word("require"), 3)));
        let files = Value::List(vec!["/home/u/a".into(), "/b".into()]);
        assert_eq!(file.get(&keys::EXTRA_FILES), Some((&files, 4)));
        assert_eq!(file.get(&keys::COMPRESSION), Some((&Value::Integer(3), 6)));
        assert_eq!(
            file.get(&keys::DAEMON_NO_REMOTE),
            Some((&Value::Switch(true), 9))
        );
        assert_eq!(file.get(&keys::NETNAME), None);
        let dotted = parse("wrapper.policy = \"prefer\"");
        assert_eq!(dotted.get(&keys::POLICY), Some((&Value::Word("prefer"), 1)));
    }

    #[test]
    fn mistakes_are_one_sentence_with_a_place() {
        for (text, expected) in [
            (
                "[wrapper]\npolcy = \"auto\"",
                "/g.toml:2:1: there is no setting wrapper.polcy; did you mean policy?",
            ),
            (
                "[wrapper]\nextra_files = []",
                "/g.toml:2:1: there is no setting wrapper.extra_files; did you mean extra-files?",
            ),
            (
                "[wrapper]\nnetname = \"x\"",
                "/g.toml:2:1: there is no setting wrapper.netname; did you mean netname of [cluster]?",
            ),
            (
                "[wrapper]\nqqqqqq = 1",
                "/g.toml:2:1: there is no setting wrapper.qqqqqq",
            ),
            (
                "[wraper]\na = 1",
                "/g.toml:1:2: there is no section [wraper]; did you mean [wrapper]?",
            ),
            (
                "policy = \"auto\"",
                "/g.toml:1:1: policy belongs into a section: [wrapper]",
            ),
            (
                "wrapper = 3",
                "/g.toml:1:1: wrapper is a section: write [wrapper]",
            ),
            (
                "[wrapper]\npolicy = \"requier\"",
                "/g.toml:2:10: wrapper.policy: \"auto\", \"prefer\" or \"require\" is expected",
            ),
            (
                "[wrapper]\npolicy = 3",
                "/g.toml:2:10: wrapper.policy: \"auto\", \"prefer\" or \"require\" is expected",
            ),
            (
                "[daemon]\nnice = 30",
                "/g.toml:2:8: daemon.nice: a whole number from 0 to 19 is expected",
            ),
            (
                "[daemon]\nno-remote = \"yes\"",
                "/g.toml:2:13: daemon.no-remote: true or false is expected",
            ),
            (
                "[wrapper]\nlog-file = \"log\"",
                "/g.toml:2:12: wrapper.log-file: \"log\" is not absolute; begin it with / or ~/",
            ),
            (
                "[wrapper]\ntoolchains = \"a\"",
                "/g.toml:2:14: wrapper.toolchains: a list of texts: [\"…\", …] is expected",
            ),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_right_counts_beside_mistakes_but_not_in_a_broken_file() {
        let file = parse("[wrapper]\nx = 1\npolicy = \"prefer\"");
        assert_eq!(file.problems.len(), 1);
        assert!(file.get(&keys::POLICY).is_some());
        let broken = parse("[wrapper]\npolicy = \"prefer\"\ndebug = [");
        assert!(broken.get(&keys::POLICY).is_none());
        assert!(
            broken
                .problems
                .iter()
                .all(|problem| problem.to_string().ends_with(", so the file is ignored"))
        );
        assert!(matches!(broken.problems[0].place, Place::Position(_, 3, _)));
        let twice = parse("[wrapper]\ndebug = \"info\"\ndebug = \"error\"");
        assert!(twice.get(&keys::DEBUG).is_none());
        assert_eq!(twice.problems.len(), 1);
    }

    #[test]
    fn strange_files_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("gelato.toml");
        let read = |owner| File::read(&path, owner, None);
        assert!(read(None).is_none());
        assert!(File::read(&path.join("below"), None, None).is_none());
        fs::write(&path, vec![b' '; 65 << 10]).expect("file");
        assert!(
            read(None).expect("there").problems[0]
                .text
                .contains("larger than")
        );
        fs::write(&path, b"\xff").expect("file");
        assert!(
            read(None).expect("there").problems[0]
                .text
                .contains("not UTF-8")
        );
        fs::write(&path, "[wrapper]\nnotices = true").expect("file");
        assert!(read(None).expect("there").problems.is_empty());
        let owner = fs::metadata(&path).expect("file").uid();
        assert!(read(Some(owner)).expect("there").problems.is_empty());
        if owner != 0 {
            assert!(!read(Some(owner + 1)).expect("there").problems.is_empty());
        }
        fs::remove_file(&path).expect("file");
        fs::create_dir(&path).expect("folder");
        assert!(
            read(None).expect("there").problems[0]
                .text
                .contains("no regular file")
        );
    }

    #[test]
    fn mistakes_are_bounded() {
        let mut text = String::from("[wrapper]\n");
        for index in 0..1000 {
            text.push_str(&format!("k{index} = 1\n"));
        }
        assert_eq!(parse(&text).problems.len(), MAX_PROBLEMS);
        let deep = format!("a = {}", "[".repeat(60_000));
        assert!(!parse(&deep).problems.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_trips_it(text in "(\\[(wrapper|daemon|[a-z.]{0,4})\\]\n|(policy|nice|extra-files|[a-z]{0,3}) *= *(\"[a-z/~]{0,5}\"|-?[0-9]{0,22}|true|\\[[^\n]{0,9}|\\PC{0,9})\n){0,8}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_bytes_trip_it(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
