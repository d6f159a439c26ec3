//! Has a program that starts a compiler show what it would start.
//!
//! With `-###` both GCC and Clang print the commands they would run and run none of them. A wrapper script passes the option on. What it shows is compared with
//! what the compiler behind it shows for the same words, with those added that the script seems to add: only if every command is the same, the script is
//! understood, for these words. The same is required of the preprocessor's words.

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
    let mut driver = goal.driver.clone();
    if goal.family == Family::Clang && names::parse(front.as_os_str())?.cxx {
        // One program that goes by its name.
        let file = driver.file_name()?.to_owned();
        let name = match file.as_bytes() {
            b"clang" => OsString::from("clang++"),
            _ => file,
        };
        driver.set_file_name(name);
    }
    let found = search::find(driver.as_os_str(), variables.path.as_deref(), own).ok()?;
    let compiler = crate::behind::absolute(&found.path);
    let answer = probe::ask(&compiler, variables).filter(|answer| answer.itself)?;
    let plain = show(&compiler, words, variables)?;
    let candidates: Vec<Vec<OsString>> = if plain.commands == goal.commands {
        vec![words.to_vec()]
    } else {
        match goal.family {
            Family::Gcc => {
                let extra = added(&goal.options, &plain.options);
                vec![[&extra, words].concat(), [words, &extra].concat()]
            }
            Family::Clang => vec![clang_words(front, words, variables)?],
        }
    };
    let actual = candidates.into_iter().find(|candidate| {
        show(&compiler, candidate, variables).is_some_and(|shown| shown.commands == goal.commands)
    })?;
    Some(Behind {
        compiler,
        answer,
        words: Some(actual),
        front: Some(front.to_owned()),
    })
}

/// Whether both would run the same commands.
pub(crate) fn same(
    (front, front_words): (&Path, &[OsString]),
    (compiler, words): (&Path, &[OsString]),
    variables: &Variables,
) -> bool {
    let commands =
        |program: &Path, words: &[OsString]| Some(show(program, words, variables)?.commands);
    commands(front, front_words).is_some_and(|goal| commands(compiler, words) == Some(goal))
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
        } else if line.starts_with(b"InstalledDir:") {
            // Depends on the way there.
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

/// What is in `all` and not in `known`, in its order.
fn added(all: &[Vec<u8>], known: &[Vec<u8>]) -> Vec<OsString> {
    let mut known: Vec<&Vec<u8>> = known.iter().collect();
    all.iter()
        .filter(|option| match known.iter().position(|k| k == option) {
            Some(at) => {
                known.remove(at);
                false
            }
            None => true,
        })
        .map(|option| OsString::from_vec(option.clone()))
        .collect()
}

/// The whole command line of Clang behind `front`, which it can be made to repeat for the debug information.
fn clang_words(front: &Path, words: &[OsString], variables: &Variables) -> Option<Vec<OsString>> {
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
    let own = |word: &OsString| *word == REPEAT || *word == "-###";
    words.retain(|word| !own(word));
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
fn split_escaped(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => word.extend(bytes.next()),
            b' ' => words.push(OsString::from_vec(std::mem::take(&mut word))),
            _ => word.push(byte),
        }
    }
    words.push(OsString::from_vec(word));
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
        assert_eq!(
            added(&list("'-m32' '-c' '-c' '-D' 'X'"), &list("'-c' '-m64'")),
            ["-m32", "-c", "-D", "X"]
        );
    }

    #[test]
    fn the_command_line_clang_repeats() {
        let quoted = unquote(br#""/bin/clang -DA=a\\ b -c" "x""#).expect("a word");
        assert_eq!(split_escaped(&quoted), ["/bin/clang", "-DA=a b", "-c"]);
    }
}
