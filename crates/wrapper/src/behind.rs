//! The compiler itself, behind whatever `PATH` leads to: compiler caches, and scripts or other programs that start a compiler with words of their own.
//!
//! Preprocessing, questions and toolchains are about that compiler, and about the words it gets in the end. Local runs still start what the user typed. Where the
//! words cannot be known for certain the job stays here: an option that only the local compiler gets would make a wrong object.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use gelato_compiler::{Family, LocalReason, names};

use crate::job::Job;
use crate::probe::{self, Answer};
use crate::script;
use crate::search::{self, Found, Own};
use crate::shown::{self, Front};
use crate::variables::{Variables, Wish};

/// Programs in a row before one of them is the compiler.
const LONGEST_ROW: usize = 8;
/// A configuration file of ccache is shorter.
const LONGEST_CONFIGURATION: u64 = 64 << 10;

/// A compiler and how it is started.
#[derive(Debug)]
pub(crate) struct Behind {
    /// The compiler, absolute.
    pub(crate) compiler: PathBuf,
    /// What it says about itself.
    pub(crate) answer: Answer,
    /// Its words, where they are others than those typed.
    pub(crate) words: Option<Vec<OsString>>,
    /// A program before the compiler that does more than can be read: it was asked what it does with exactly these words, and has to do the preprocessing, too.
    pub(crate) front: Option<Front>,
}

/// Looks behind `found` for the compiler that gets `words` in the end.
pub(crate) fn look(
    job: &Job<'_>,
    own: &Own,
    found: &Found,
    words: &[OsString],
) -> Result<Behind, LocalReason> {
    let mut row = Row {
        job,
        own,
        before: Vec::new(),
        after: Vec::new(),
        scripts: Vec::new(),
    };
    let mut at = found.clone();
    for _ in 0..LONGEST_ROW {
        at = match row.next(&at)? {
            Next::Program(next) => next,
            Next::Unreadable => return row.ask_front(&absolute(&at.path), words),
            Next::Compiler => {
                let compiler = absolute(&at.path);
                let answer =
                    probe::ask(&compiler, job.variables).ok_or(LocalReason::CompilerUnknown)?;
                if !answer.itself {
                    return row.ask_front(&compiler, words);
                }
                return Ok(Behind {
                    compiler,
                    answer,
                    words: row.all(words),
                    front: None,
                });
            }
        };
    }
    Err(LocalReason::CompilerScript)
}

/// What a program in the row is.
enum Next {
    /// It starts this one.
    Program(Found),
    /// It does something that cannot be read.
    Unreadable,
    /// It starts nothing else, by its looks.
    Compiler,
}

/// The programs passed so far and what they add to the words typed.
struct Row<'a> {
    job: &'a Job<'a>,
    own: &'a Own,
    before: Vec<OsString>,
    after: Vec<OsString>,
    scripts: Vec<PathBuf>,
}

impl Row<'_> {
    fn next(&mut self, at: &Found) -> Result<Next, LocalReason> {
        if at.is_launcher() {
            return self.behind_launcher(at).map(Next::Program);
        }
        let text = match read_script(&at.real) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Next::Compiler),
            Err(_) => return Err(LocalReason::CompilerUnknown),
        };
        if self.scripts.contains(&at.real) {
            self.say(&at.path, "starts itself");
            return Err(LocalReason::CompilerScript);
        }
        self.scripts.push(at.real.clone());
        let is_set = |name: &str| env::var_os(name).is_some();
        let Some(command) = script::read(&text, is_set) else {
            return if script::may_pass_words_on(&text) {
                Ok(Next::Unreadable)
            } else {
                self.say(&at.path, "does not pass its words on");
                Err(LocalReason::CompilerScript)
            };
        };
        let program = OsString::from_vec(command.program);
        let mut before: Vec<OsString> =
            command.before.into_iter().map(OsString::from_vec).collect();
        before.append(&mut self.before);
        self.before = before;
        let after = command.after.into_iter().map(OsString::from_vec);
        self.after.extend(after);
        let name = names::base_name(&program);
        if matches!(name, b"icecc" | b"icerun") {
            self.say(&at.path, "calls icecc itself: have it call the compiler");
            return Err(LocalReason::CompilerScript);
        }
        let is_launcher = search::is_launcher(Path::new(&program));
        if !is_launcher && names::parse(&program).is_none() {
            return Ok(Next::Unreadable);
        }
        search::as_the_shell(&program, self.path(), self.own)
            .map(Next::Program)
            .map_err(|_| LocalReason::CompilerUnknown)
    }

    /// The compiler a launcher starts: named by the link to it, or by the first word.
    fn behind_launcher(&mut self, at: &Found) -> Result<Found, LocalReason> {
        let is_ccache = names::base_name(at.real.as_os_str()) == b"ccache";
        if let Some(setting) = cache_setting(self.job.variables).filter(|_| is_ccache) {
            self.say(
                &at.path,
                &format!("may start another compiler because of {setting}"),
            );
            return Err(LocalReason::CompilerConfiguration);
        }
        let name = if names::parse(at.path.as_os_str()).is_some() {
            at.path.clone().into_os_string()
        } else if self
            .before
            .first()
            .is_some_and(|w| names::parse(w).is_some())
        {
            self.before.remove(0)
        } else {
            return Err(LocalReason::CompilerScript);
        };
        search::find_compiler(&name, self.path(), self.own).map_err(|missing| {
            self.say(&at.path, &format!("has no compiler behind it ({missing})"));
            LocalReason::CompilerUnknown
        })
    }

    /// Has the program `front` itself show what it starts.
    fn ask_front(&self, front: &Path, words: &[OsString]) -> Result<Behind, LocalReason> {
        // Not worth the questions, or not the words this program will see: those of response files it would read itself.
        if self.job.variables.wish != Wish::Distribute || words != self.job.words {
            return Err(LocalReason::CompilerScript);
        }
        let given = self.all(words).unwrap_or_else(|| words.to_vec());
        let shown = shown::look_through(front, &given, self.job, self.own);
        shown.ok_or_else(|| {
            self.say(front, "adds words that cannot be told for certain");
            LocalReason::CompilerScript
        })
    }

    /// The words typed with those added; `None` if nothing is added.
    fn all(&self, words: &[OsString]) -> Option<Vec<OsString>> {
        let adds = !self.before.is_empty() || !self.after.is_empty();
        adds.then(|| [&self.before, words, &self.after].concat())
    }

    fn path(&self) -> Option<&OsStr> {
        self.job.variables.path.as_deref()
    }

    fn say(&self, program: &Path, what: &str) {
        self.job
            .log
            .info(format_args!("{} {what}", program.display()));
    }
}

/// The path, absolute; links stay.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The name under which to ask for a toolchain: the compiler's file itself, so that many names of one compiler make one archive. A link whose name says more than
/// the file's (another language, another program) stays.
pub(crate) fn to_package(compiler: &Path) -> PathBuf {
    let compiler = absolute(compiler);
    let named = names::parse(compiler.as_os_str());
    let real = compiler.canonicalize().ok();
    let itself = real
        .as_deref()
        .and_then(|real| names::parse(real.as_os_str()));
    match (real, named, itself) {
        (Some(real), Some(named), Some(itself))
            if itself.certain
                && (itself.cxx == named.cxx || itself.family == Some(Family::Clang)) =>
        {
            real
        }
        _ => compiler,
    }
}

/// The text of a script, `None` for other programs. A script longer than any that could be understood is cut.
fn read_script(program: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = File::open(program)?;
    let mut start = [0; 2];
    if file.read_exact(&mut start).is_err() || !script::is_script(&start) {
        return Ok(None);
    }
    let mut text = start.to_vec();
    file.take(script::LONGEST as u64).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// The setting by which ccache may choose another compiler than the next one in `PATH`.
fn cache_setting(variables: &Variables) -> Option<String> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    for name in ["CCACHE_COMPILER", "CCACHE_PATH"] {
        if set(name).is_some() {
            return Some(name.to_owned());
        }
    }
    let mut files = ["/etc/ccache.conf", "/usr/local/etc/ccache.conf"]
        .map(PathBuf::from)
        .to_vec();
    files.extend(set("CCACHE_CONFIGPATH").map(PathBuf::from));
    files.extend(set("CCACHE_DIR").map(|folder| Path::new(&folder).join("ccache.conf")));
    if let Some(home) = &variables.home {
        let configuration = set("XDG_CONFIG_HOME").map(PathBuf::from);
        files.push(home.join(".ccache/ccache.conf"));
        files.push(
            configuration
                .unwrap_or_else(|| home.join(".config"))
                .join("ccache/ccache.conf"),
        );
    }
    let mut files = files.into_iter();
    files
        .find(|file| chooses_compiler(file))
        .map(|file| file.display().to_string())
}

fn chooses_compiler(file: &Path) -> bool {
    let mut text = Vec::new();
    let read =
        File::open(file).and_then(|file| file.take(LONGEST_CONFIGURATION).read_to_end(&mut text));
    read.is_ok()
        && text.split(|&byte| byte == b'\n').any(|line| {
            let key = line.split(|&byte| byte == b'=').next().unwrap_or_default();
            matches!(key.trim_ascii(), b"compiler" | b"path")
        })
}
