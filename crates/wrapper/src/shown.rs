//! Has a program that starts a compiler show what it would start.
//!
//! With `-###` both GCC and Clang print the commands they would run and run none of them. A wrapper script passes the option on. What it shows is compared with
//! what the compiler behind it shows for the same words, with those added that the script seems to add: only if every command is the same, the script is
//! understood, for these words. It must then do the same to the preprocessor's words.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gelato_compiler::{Family, names};

use crate::behind::Behind;
use crate::job::Job;
use crate::local::program_path;
use crate::nested::STARTED;
use crate::probe;
use crate::search::{self, Own};
use crate::variables::{DEPTH, Variables};

/// More than any compiler shows.
const LONGEST: usize = 4 << 20;

/// What would be run.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// The text but for what differs between two runs or two paths to the same compiler.
    commands: Vec<Vec<u8>>,
    family: Family,
    /// The compiler's name for itself.
    driver: PathBuf,
    /// Clang only: the folder it was called in, on which some of its search paths depend.
    installed: Option<PathBuf>,
    /// GCC only: the options it was given, in its own order.
    options: Vec<Vec<u8>>,
}

/// The compiler that `front` starts when it gets `words`, and its words.
pub(crate) fn look_through(
    front: &Path,
    words: &[OsString],
    job: &Job<'_>,
    own: &Own,
) -> Option<Behind> {
    let variables = job.variables;
    let goal = show(front, words, variables)?;
    let driver = match goal.family {
        Family::Gcc => goal.driver.clone(),
        Family::Clang => clang_driver(&goal, names::parse(front.as_os_str())?.cxx),
    };
    let found = search::find(driver.as_os_str(), variables.path.as_deref(), own).ok()?;
    let compiler = crate::behind::absolute(&found.path);
    let answer = probe::ask(&compiler, variables).filter(|answer| answer.itself)?;
    let plain = show(&compiler, words, variables)?;
    let candidates = if plain.commands == goal.commands {
        vec![Additions::default()]
    } else {
        let (before, after) = match goal.family {
            Family::Gcc => added(&goal.options, &plain.options),
            Family::Clang => added(
                &clang_words(front, words, variables)?,
                &clang_words(&compiler, words, variables)?,
            ),
        };
        let all = [before.as_slice(), &after].concat();
        let at_once = |before, after| Additions { before, after };
        // What the words added imply: `-march=i686` for `-m32`.
        let chosen = after
            .iter()
            .rposition(|option| !option.as_bytes().starts_with(b"-m"))
            .map_or(0, |last| last + 1);
        let chosen = after.get(..chosen).unwrap_or_default().to_vec();
        vec![
            at_once(before.clone(), after),
            at_once(before, chosen),
            at_once(all.clone(), Vec::new()),
            at_once(Vec::new(), all),
        ]
    };
    let additions = candidates.into_iter().find(|candidate| {
        show(&compiler, &candidate.around(words), variables)
            .is_some_and(|shown| shown.commands == goal.commands)
    })?;
    Some(Behind {
        compiler,
        answer,
        words: Some(additions.around(words)),
        front: Some(Front {
            program: front.to_owned(),
            additions,
        }),
    })
}

/// A program that starts a compiler with further words.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) program: PathBuf,
    additions: Additions,
}

impl Front {
    /// Whether it does to these words what it did to those it was asked about.
    pub(crate) fn treats_alike(
        &self,
        words: &[OsString],
        compiler: &Path,
        variables: &Variables,
    ) -> bool {
        let seen = show(&self.program, words, variables);
        let expected = show(compiler, &self.additions.around(words), variables);
        matches!((seen, expected), (Some(a), Some(b)) if a.commands == b.commands)
    }
}

/// Words around those given.
#[derive(Debug, Default)]
struct Additions {
    before: Vec<OsString>,
    after: Vec<OsString>,
}

impl Additions {
    fn around(&self, words: &[OsString]) -> Vec<OsString> {
        [&self.before, words, &self.after].concat()
    }
}

fn show(program: &Path, words: &[OsString], variables: &Variables) -> Option<Shown> {
    let output = Command::new(program_path(program))
        .args(words)
        .arg("-###")
        .env(DEPTH, (variables.depth + 2).to_string())
        .env(STARTED, program)
        .env("LC_ALL", "C")
        .env("CCACHE_DISABLE", "1")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    if output.stdout.len() + output.stderr.len() > LONGEST || !output.stdout.is_empty() {
        return None;
    }
    read(&output.stderr)
}

fn read(text: &[u8]) -> Option<Shown> {
    let mut shown = Shown {
        commands: Vec::new(),
        family: Family::Gcc,
        driver: PathBuf::new(),
        installed: None,
        options: Vec::new(),
    };
    let folder = env::temp_dir();
    let mut identified = false;
    for line in text.split(|&byte| byte == b'\n') {
        if let Some(driver) = line.strip_prefix(b"COLLECT_GCC=") {
            shown.driver = PathBuf::from(OsStr::from_bytes(driver.trim_ascii()));
        } else if let Some(list) = line.strip_prefix(b"COLLECT_GCC_OPTIONS=") {
            if shown.options.is_empty() {
                shown.options = split_options(list);
            }
            shown.commands.push(line.to_vec());
        } else if line.starts_with(b"gcc version") {
            identified = true;
            shown.commands.push(line.to_vec());
        } else if let Some(folder) = line.strip_prefix(b"InstalledDir:") {
            // Not compared: it depends on the way there.
            shown.installed = Some(PathBuf::from(OsStr::from_bytes(folder.trim_ascii())));
        } else {
            if let Some(program) = probe::clang_itself(line)
                && shown.driver.as_os_str().is_empty()
            {
                shown.driver = program;
                shown.family = Family::Clang;
                identified = true;
            }
            shown.commands.push(without_temporaries(line, &folder));
        }
    }
    (identified && !shown.driver.as_os_str().is_empty()).then_some(shown)
}

/// The line with the random part of names in the temporary folder replaced.
fn without_temporaries(line: &[u8], folder: &Path) -> Vec<u8> {
    let mut prefix = folder.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    let mut result = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.windows(prefix.len()).position(|part| part == prefix) {
        let (start, end) = rest.split_at(at + prefix.len());
        result.extend_from_slice(start);
        let length = end
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte))
            .unwrap_or(end.len());
        let (name, end) = end.split_at(length);
        let dot = name.iter().rposition(|&b| b == b'.').unwrap_or(name.len());
        let (stem, suffix) = name.split_at(dot);
        // `ccXXXXXX` and `name-xxxxxx`.
        let keep = match stem {
            [b'c', b'c', random @ ..] if random.len() == 6 => 2,
            _ => match stem.iter().rposition(|&b| b == b'-') {
                Some(dash) if stem.len() - dash == 7 => dash,
                _ => stem.len(),
            },
        };
        result.extend_from_slice(stem.get(..keep).unwrap_or(stem));
        result.extend_from_slice(suffix);
        rest = end;
    }
    result.extend_from_slice(rest);
    result
}

/// `'-O2' '-D' 'A=it'\''s'`
fn split_options(list: &[u8]) -> Vec<Vec<u8>> {
    let mut options = Vec::new();
    let mut option = Vec::new();
    let mut quoted = false;
    let mut open = false;
    let mut bytes = list.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quoted) {
            (b'\'', _) => {
                quoted = !quoted;
                open = true;
            }
            (b'\\', false) => option.extend(bytes.next()),
            (b' ', false) => {
                if open {
                    options.push(std::mem::take(&mut option));
                }
                open = false;
            }
            _ => option.push(byte),
        }
    }
    if open {
        options.push(option);
    }
    options
}

/// What stands in `all` before and after `known`, whose last options are the compiler's own additions and may differ.
fn added(all: &[Vec<u8>], known: &[Vec<u8>]) -> (Vec<OsString>, Vec<OsString>) {
    let place = (1..=known.len()).rev().find_map(|length| {
        let (typed, implied) = known.split_at_checked(length)?;
        let at = all.windows(length).position(|part| part == typed)?;
        Some((at, length, implied))
    });
    let (at, length, implied) = place.unwrap_or((0, 0, known));
    let words = |part: &[Vec<u8>]| -> Vec<OsString> {
        let not_implied = part.iter().filter(|option| !implied.contains(option));
        not_implied.cloned().map(OsString::from_vec).collect()
    };
    let (before, rest) = all.split_at_checked(at).unwrap_or((all, &[]));
    (words(before), words(rest.get(length..).unwrap_or_default()))
}

/// The path by which the same Clang is called that `shown` is about: one program that goes by its name and looks for headers around the folder of that name.
fn clang_driver(shown: &Shown, cxx: bool) -> PathBuf {
    let itself = &shown.driver;
    let name = if cxx { "clang++" } else { "clang" };
    let real = itself.canonicalize().ok();
    let beside = itself.with_file_name(name);
    let candidates = shown.installed.as_ref().map(|folder| folder.join(name));
    candidates
        .into_iter()
        .chain([beside])
        .find(|path| path.canonicalize().ok() == real)
        .unwrap_or_else(|| itself.clone())
}

/// The whole command line of Clang behind `front`, which it can be made to repeat for the debug information.
fn clang_words(front: &Path, words: &[OsString], variables: &Variables) -> Option<Vec<Vec<u8>>> {
    const REPEAT: &str = "-grecord-command-line";
    let asked = [words, &[OsString::from(REPEAT)]].concat();
    let shown = show(front, &asked, variables)?;
    let marker = b"\"-dwarf-debug-flags\" ";
    let line = shown.commands.iter().find_map(|line| {
        let at = line.windows(marker.len()).position(|part| part == marker)?;
        line.get(at + marker.len()..)
    })?;
    let recorded = unquote(line)?;
    let mut words = split_escaped(&recorded);
    // The compiler's own name, and what was added here.
    if words.is_empty() {
        return None;
    }
    words.remove(0);
    // What it tells itself when it is called by that name.
    if words
        .first()
        .is_some_and(|word| word.as_slice() == b"--driver-mode=g++")
    {
        words.remove(0);
    }
    words.retain(|word| word != REPEAT.as_bytes() && word != b"-###");
    Some(words)
}

/// A word in double quotes at the start of `text`.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.strip_prefix(b"\"")?.iter().copied();
    let mut word = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return Some(word),
            b'\\' => word.push(bytes.next()?),
            byte => word.push(byte),
        }
    }
}

/// Words with blanks between them and backslashes before blanks inside them.
fn split_escaped(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => word.extend(bytes.next()),
            b' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(byte),
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_gcc_shows() {
        let temporary = env::temp_dir();
        let text = |random: &str, collect: &str| {
            format!(
                "Using built-in specs.\nCOLLECT_GCC={collect}\nTarget: x86_64-linux-gnu\ngcc version 12.2.0\n\
                 COLLECT_GCC_OPTIONS='-c' '-D' 'A=it'\\''s b' '-mtune=generic'\n \
                 /usr/lib/cc1 -quiet x.c -o {}/cc{random}.s\n",
                temporary.display()
            )
        };
        let shown = read(text("AbCdEf", "/usr/bin/gcc").as_bytes()).expect("gcc");
        assert_eq!(shown.family, Family::Gcc);
        assert_eq!(shown.driver, Path::new("/usr/bin/gcc"));
        let options: Vec<_> = shown
            .options
            .iter()
            .map(|option| String::from_utf8_lossy(option).into_owned())
            .collect();
        assert_eq!(options, ["-c", "-D", "A=it's b", "-mtune=generic"]);
        let other = read(text("123456", "gcc").as_bytes()).expect("gcc");
        assert_eq!(shown.commands, other.commands);
        assert!(read(b"no compiler at all\n").is_none());
    }

    #[test]
    fn only_random_parts_of_names_are_dropped() {
        let folder = Path::new("/tmp");
        let line = |text: &str| {
            String::from_utf8(without_temporaries(text.as_bytes(), folder)).expect("text")
        };
        assert_eq!(line("as -o /tmp/ccAAAAAA.o"), "as -o /tmp/cc.o");
        assert_eq!(line("\"/tmp/x-0a1b2c.s\" b"), "\"/tmp/x.s\" b");
        assert_eq!(line("/tmp/build/x.c /tmp/y.c"), "/tmp/build/x.c /tmp/y.c");
    }

    #[test]
    fn added_options_keep_their_order() {
        let list = |text: &str| split_options(text.as_bytes());
        let (before, after) = added(
            &list("'-m32' '-D' 'A' '-D' 'X' '-c' '-D' 'B' '-mtune=generic'"),
            &list("'-D' 'X' '-c' '-mtune=generic' '-march=x86-64'"),
        );
        assert_eq!(before, ["-m32", "-D", "A"]);
        assert_eq!(after, ["-D", "B"]);
    }

    #[test]
    fn the_command_line_clang_repeats() {
        let quoted = unquote(br#""/bin/clang -DA=a\\ b -c" "x""#).expect("a word");
        let expected: [&[u8]; 3] = [b"/bin/clang", b"-DA=a b", b"-c"];
        assert_eq!(split_escaped(&quoted), expected);
    }
}
