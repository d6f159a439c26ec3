//! `-march=native` and its like mean the processor of the machine the compiler runs on, so they are spelled out before a job travels.
//!
//! The compiler here is asked, with `-### -E -`, which words it would give to its inner program. What it answers is turned into words for the remote
//! compiler ([`Substitute`]); the preprocessor run here keeps the words as typed. Asking and remembering is the caller's business.
//!
//! GCC writes the switches into the debug information in an order that cannot be had from outside, so with `-g` such jobs are local.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::RemotePlan;
use crate::flags::Class;
use crate::names::Family;
use crate::plan::Word;

/// More words than this are no sensible answer.
const MAX_WORDS: usize = 1000;

/// The words of one command line that have to do with the processor.
#[derive(Debug, Default)]
pub(crate) struct Native {
    typed: bool,
    /// All words about the machine, in order.
    words: Vec<OsString>,
    /// Options with a value given: name, and whether the value was `native`.
    choices: Vec<(Vec<u8>, bool)>,
}

impl Native {
    /// A word with the value `native`.
    pub(crate) fn note(&mut self, word: &OsStr) {
        self.typed = true;
        self.note_other(word);
    }

    /// Another word about the machine.
    pub(crate) fn note_other(&mut self, word: &OsStr) {
        self.words.push(word.to_owned());
        let bytes = word.as_bytes();
        if let Some(equals) = memchr::memchr(b'=', bytes) {
            let (name, value) = bytes.split_at(equals);
            self.choices.push((name.to_vec(), value == b"=native"));
        }
    }

    /// The target, which decides what `native` can mean.
    pub(crate) fn note_target(&mut self, word: &OsStr, value: Option<&OsStr>) {
        self.words.push(word.to_owned());
        self.words.extend(value.map(OsStr::to_owned));
    }

    /// Whether the words, if any of them is `native`, can be spelled out with the same result. `debug`: the object records the switches.
    pub(crate) fn is_resolvable(&self, family: Family, debug: bool) -> bool {
        let contradicts = |name: &[u8]| {
            let mut given = self.choices.iter().filter(|(other, _)| other == name);
            !given.all(|(_, native)| *native)
        };
        !self.typed
            || !(family == Family::Gcc && debug
                || [b"-march".as_slice(), b"-mcpu", b"-mtune"]
                    .iter()
                    .any(|name| {
                        self.choices
                            .iter()
                            .any(|(other, native)| other == name && *native)
                            && contradicts(name)
                    }))
    }

    /// What to ask the compiler, if anything.
    pub(crate) fn request(self, family: Family) -> Option<NativeRequest> {
        let without = self
            .words
            .iter()
            .filter(|word| !is_native(word))
            .cloned()
            .collect();
        self.typed.then_some(NativeRequest {
            without: match family {
                Family::Gcc => Some(without),
                Family::Clang => None,
            },
            with: self.words,
        })
    }
}

fn is_native(word: &OsStr) -> bool {
    word.as_bytes().ends_with(b"=native")
}

/// What to ask the compiler: each list goes behind `-### -E -`, and what it prints on standard error is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeRequest {
    /// The words with those that say `native`.
    pub with: Vec<OsString>,
    /// The words without them; asked only of compilers whose answer must be compared with this one.
    pub without: Option<Vec<OsString>>,
}

/// What stands for `native`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Substitute {
    /// In place of the value of `-march` and `-mcpu`, if the compiler takes it as one word.
    cpu: Option<String>,
    /// In place of the value of `-mtune`.
    tune: Option<String>,
    /// Further words.
    words: Vec<String>,
}

impl Substitute {
    /// From what the compiler printed for [`NativeRequest::with`] and [`NativeRequest::without`]. `None` if that cannot be understood.
    pub fn parse(family: Family, with: &[u8], without: Option<&[u8]>) -> Option<Substitute> {
        match family {
            Family::Gcc => Some(Substitute {
                words: inserted(&gcc_words(with)?, &gcc_words(without?)?),
                ..Substitute::default()
            }),
            Family::Clang => clang_target(with),
        }
    }

    /// Lines for a cache; [`Substitute::from_lines`] reads them.
    pub fn to_lines(&self) -> String {
        let mut lines = format!(
            "{}\n{}\n",
            self.cpu.as_deref().unwrap_or_default(),
            self.tune.as_deref().unwrap_or_default()
        );
        for word in &self.words {
            lines.push_str(word);
            lines.push('\n');
        }
        lines.push_str("end\n");
        lines
    }

    /// Reads what [`Substitute::to_lines`] wrote; `None` if it is not whole.
    pub fn from_lines(lines: &str) -> Option<Substitute> {
        let mut lines = lines.strip_suffix("\nend\n")?.split('\n');
        let mut value = || {
            let line = lines.next()?;
            Some((!line.is_empty()).then(|| line.to_owned()))
        };
        let (cpu, tune) = (value()?, value()?);
        let words: Vec<String> = lines.map(str::to_owned).collect();
        (words.len() <= MAX_WORDS && words.iter().all(|word| is_sensible(word)))
            .then_some(Substitute { cpu, tune, words })
    }
}

impl RemotePlan {
    /// The plan with the processor of this machine spelled out for the remote compiler. `None` if the answer does not say enough.
    pub fn with_native(&self, substitute: &Substitute) -> Option<RemotePlan> {
        let mut plan = self.clone();
        plan.native = None;
        plan.words = Vec::with_capacity(self.words.len() + substitute.words.len());
        let mut further = Some(&substitute.words);
        for word in &self.words {
            if word.class != Class::Native {
                plan.words.push(word.clone());
                continue;
            }
            plan.words.push(Word::new(&word.text, Class::Local));
            match self.family {
                Family::Gcc => plan.words.extend(remote(further.take())),
                Family::Clang => {
                    let name = word.text.as_bytes().strip_suffix(b"native")?;
                    let value = match name {
                        b"-mtune=" => substitute.tune.as_ref(),
                        _ => substitute.cpu.as_ref(),
                    };
                    let mut text = OsStr::from_bytes(name).to_owned();
                    text.push(value?);
                    plan.words.push(Word::new(text, Class::Remote));
                }
            }
        }
        if self.family == Family::Clang {
            plan.words.extend(remote(further));
        }
        Some(plan)
    }
}

fn remote(words: Option<&Vec<String>>) -> impl Iterator<Item = Word> {
    words
        .into_iter()
        .flatten()
        .map(|word| Word::new(word, Class::Remote))
}

/// The words after the input on the line of the inner compiler.
fn gcc_words(answer: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().find(|line| line.contains("/cc1 "))?;
    let words: Vec<String> = line
        .split_ascii_whitespace()
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    let input = words.iter().position(|word| word == "-")?;
    let words = words.get(input + 1..)?;
    (words.len() <= MAX_WORDS && words.iter().all(|word| is_sensible(word))).then(|| words.to_vec())
}

/// The part of `longer` that is not in `shorter`.
fn inserted(longer: &[String], shorter: &[String]) -> Vec<String> {
    let common = longer.len().min(shorter.len());
    let end = (0..common)
        .take_while(|i| longer[longer.len() - 1 - i] == shorter[shorter.len() - 1 - i])
        .count();
    let start = (0..common - end)
        .take_while(|&i| longer[i] == shorter[i])
        .count();
    longer[start..longer.len() - end].to_vec()
}

/// Processor, tuning and features on the line of the inner compiler.
fn clang_target(answer: &[u8]) -> Option<Substitute> {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().find(|line| line.contains("\"-cc1\""))?;
    let mut words = line
        .split("\" \"")
        .map(|word| word.trim_matches(['"', ' ']));
    let mut substitute = Substitute::default();
    while let Some(word) = words.next() {
        match word {
            "-target-cpu" => substitute.cpu = Some(words.next()?.to_owned()),
            "-tune-cpu" => substitute.tune = Some(words.next()?.to_owned()),
            "-target-feature" => {
                for text in ["-Xclang", word, "-Xclang", words.next()?] {
                    substitute.words.push(text.to_owned());
                }
            }
            _ => {}
        }
    }
    let named = substitute.cpu.iter().chain(&substitute.tune);
    let sensible = substitute.words.len() <= MAX_WORDS
        && named.chain(&substitute.words).all(|word| is_sensible(word));
    (sensible && substitute.cpu.is_some()).then_some(substitute)
}

/// Words about processors are plain.
fn is_sensible(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-+_.=,".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: &[u8] = b"COLLECT_GCC_OPTIONS='-E'\n /usr/lib/gcc/x/12/cc1 -E -quiet -imultiarch x - \"-march=znver3\" -mmmx --param \"l1-cache-size=32\" \"-mtune=znver3\" -mno-avx -fasynchronous-unwind-tables -dumpbase -\n";
    const WITHOUT: &[u8] = b" /usr/lib/gcc/x/12/cc1 -E -quiet -imultiarch x - \"-mtune=generic\" \"-march=x86-64\" -mno-avx -fasynchronous-unwind-tables -dumpbase -\n";
    const CLANG: &[u8] = b"Target: x\n \"/usr/bin/clang\" \"-cc1\" \"-triple\" \"x\" \"-target-cpu\" \"znver3\" \"-target-feature\" \"+avx2\" \"-tune-cpu\" \"generic\" \"-x\" \"c\" \"-\"\n";

    #[test]
    fn answers_are_read_and_kept() {
        let gcc = Substitute::parse(Family::Gcc, WITH, Some(WITHOUT)).expect("answer");
        assert_eq!(
            gcc.words,
            [
                "-march=znver3",
                "-mmmx",
                "--param",
                "l1-cache-size=32",
                "-mtune=znver3"
            ]
        );
        let clang = Substitute::parse(Family::Clang, CLANG, None).expect("answer");
        assert_eq!(clang.cpu.as_deref(), Some("znver3"));
        assert_eq!(clang.tune.as_deref(), Some("generic"));
        assert_eq!(
            clang.words,
            ["-Xclang", "-target-feature", "-Xclang", "+avx2"]
        );
        for substitute in [gcc, clang, Substitute::default()] {
            let lines = substitute.to_lines();
            assert_eq!(Substitute::from_lines(&lines), Some(substitute));
            for length in 0..lines.len() {
                assert_eq!(Substitute::from_lines(&lines[..length]), None, "{length}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            &b""[..],
            b"/cc1 ",
            b" /x/cc1 -E",
            b"\"-cc1\" \"-target-cpu\"",
            b"\xff",
        ] {
            assert_eq!(Substitute::parse(Family::Gcc, text, Some(text)), None);
            assert_eq!(Substitute::parse(Family::Clang, text, None), None);
        }
        let hostile = b"\"clang\" \"-cc1\" \"-target-cpu\" \"$(rm x)\" \"-\"";
        assert_eq!(Substitute::parse(Family::Clang, hostile, None), None);
    }
}
