//! What each compiler option means for distribution.
//!
//! The options are data ([`table`]); this file defines the vocabulary of that data and looks words up. The longest match wins, an exact one before a
//! prefix. What the table does not know is local, except for the large families `-W… -f… -m… -O… -g… -std=…`, whose members nearly all change nothing
//! but the generated code; of these, members with a value that looks like a path are local too.

mod table;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::LocalReason;

/// Which runs a word takes part in. The full local command always gets everything as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The preprocessor run only.
    Local,
    /// The remote compiler only.
    Remote,
    /// Both.
    Both,
    /// Both while includes are only merged, the preprocessor run only with full local preprocessing.
    Cpp,
    /// The preprocessor run; the remote compiler gets what it stands for on this machine.
    Native,
}

/// Where the value of an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value, or inside the word.
    Inside,
    /// Always the next word.
    Next,
}

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Just a word (and its value) of this class.
    Class(Class),
    /// The job must be done here.
    Local(LocalReason),
    /// `-c`.
    Compile,
    /// `-S`.
    Assembly,
    /// `-o`.
    Output,
    /// `-x`.
    Language,
    /// `-MD`, `-MMD`.
    Dependencies,
    /// `-MF`.
    DependencyFile,
    /// `-MT`, `-MQ`.
    DependencyTarget,
    /// `-Wp,…`.
    PreprocessorList,
    /// `-Wa,…`.
    AssemblerList,
    /// `-Xpreprocessor`.
    PreprocessorWord,
    /// `-Xassembler`.
    AssemblerWord,
    /// `-Xclang`.
    FrontendWord,
    /// `-mllvm`.
    BackendWord,
    /// `-march=native` and its like.
    Native,
    /// Another word about the processor.
    Machine,
    /// `-fdebug-compilation-dir`.
    CompilationDirectory,
    /// `-H`: the preprocessor says it all.
    TraceIncludes,
    /// Switches a warning that looks at the lines of the source on or off.
    Layout(bool),
    /// `-w`.
    NoWarnings,
    /// `-include`.
    Include,
    /// `-imacros`: Clang does not merge what it defines.
    IncludeMacros,
    /// A search path or library: class local, but a value like `-O2` is a slip.
    SearchPath,
    /// `-gsplit-dwarf`, and whether it makes a second file.
    SplitDwarf(bool),
    /// Works on macros as written: full local preprocessing.
    UnusedMacros(bool),
    /// GCC complains about merged sources (pedantic) or drops pragmas from them (OpenMP, OpenACC): full local preprocessing.
    ExpandForGcc,
    /// The value is a data file the remote compiler reads.
    SendFile,
    /// `-target`, `--target=`.
    Target,
    /// `-arch`.
    Architecture,
    /// `-flto…`.
    Lto,
    /// Colours were chosen by the user.
    ColourChosen,
    /// Colours as the terminal wants; the word means nothing remotely.
    ColourAuto,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The whole word, or its beginning.
    pub name: &'static str,
    /// Whether `name` is only the beginning.
    pub prefix: bool,
    /// Where the value stands.
    pub value: Value,
    /// What to do.
    pub effect: Effect,
}

/// The rule for a word that begins with a dash.
pub fn lookup(word: &OsStr) -> Rule {
    let bytes = word.as_bytes();
    if let Ok(index) = table::EXACT.binary_search_by(|rule| rule.name.as_bytes().cmp(bytes)) {
        return table::EXACT[index];
    }
    match longest_prefix(bytes) {
        Some(rule)
            if matches!(rule.effect, Effect::Class(Class::Both) | Effect::Machine)
                && FAMILIES.contains(&rule.name) =>
        {
            if value_looks_like_path(bytes) {
                local(rule.name, LocalReason::UnknownFileOption)
            } else {
                rule
            }
        }
        Some(rule) => rule,
        None => local("-", LocalReason::UnknownOption),
    }
}

/// The longest name in the table of beginnings that `word` begins with.
fn longest_prefix(mut word: &[u8]) -> Option<Rule> {
    let mut table = table::PREFIX;
    loop {
        // What sorts behind the word is no beginning of it; of what sorts before it, the last shares more of its letters than any other.
        let before = table.partition_point(|rule| rule.name.as_bytes() <= word);
        let (last, rest) = table.get(..before)?.split_last()?;
        let name = last.name.as_bytes();
        let shared = name.iter().zip(word).take_while(|(a, b)| a == b).count();
        if shared == name.len() {
            return Some(*last);
        }
        word = word.get(..shared)?;
        table = rest;
    }
}

/// Prefixes so wide that they stand for options this crate has never heard of.
const FAMILIES: &[&str] = &["-W", "-f", "-m", "-g", "-O", "-std="];

const fn local(name: &'static str, reason: LocalReason) -> Rule {
    Rule {
        name,
        prefix: true,
        value: Value::Inside,
        effect: Effect::Local(reason),
    }
}

fn value_looks_like_path(word: &[u8]) -> bool {
    match word.iter().position(|&b| b == b'=') {
        Some(equals) => word
            .get(equals..)
            .unwrap_or_default()
            .iter()
            .any(|b| matches!(b, b'/' | b'.' | b'~' | b'@')),
        None => word.contains(&b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(word: &str) -> Effect {
        lookup(OsStr::new(word)).effect
    }

    #[test]
    fn tables_are_sorted_without_doubles() {
        for (table, prefix) in [(table::EXACT, false), (table::PREFIX, true)] {
            for pair in table.windows(2) {
                assert!(
                    pair[0].name.as_bytes() < pair[1].name.as_bytes(),
                    "{} before {}",
                    pair[0].name,
                    pair[1].name
                );
            }
            assert!(table.iter().all(|rule| rule.prefix == prefix));
        }
    }

    #[test]
    fn prefixes_with_a_separate_value_do_not_exist() {
        assert!(table::PREFIX.iter().all(|rule| rule.value == Value::Inside));
    }

    #[test]
    fn longest_match_wins() {
        assert_eq!(
            effect("-fdump-tree-all"),
            Effect::Local(LocalReason::SideFiles)
        );
        assert_eq!(effect("-fPIC"), Effect::Class(Class::Both));
        assert_eq!(effect("-include"), Effect::Include);
        assert_eq!(effect("-Wall"), Effect::Layout(true));
        assert_eq!(effect("-Wshadow"), Effect::Class(Class::Both));
        assert_eq!(effect("-Wa,-al=x"), Effect::AssemblerList);
        assert_eq!(effect("-MMD"), Effect::Dependencies);
        assert_eq!(effect("-MJ"), Effect::Local(LocalReason::DependencyOption));
        assert_eq!(lookup(OsStr::new("-MJ")).value, Value::Next);
    }

    #[test]
    fn the_quick_search_finds_what_the_plain_one_finds() {
        use proptest::prelude::*;
        let names: Vec<&str> = table::PREFIX.iter().map(|rule| rule.name).collect();
        let word = (prop::sample::select(names), "[-a-z=]{0,6}", 0..12usize);
        proptest!(|((name, tail, cut) in word)| {
            let name = &name[..name.len().saturating_sub(cut)];
            let word = [name, &tail].concat();
            let plain = table::PREFIX
                .iter()
                .filter(|rule| word.starts_with(rule.name))
                .max_by_key(|rule| rule.name.len())
                .map(|rule| rule.name);
            prop_assert_eq!(longest_prefix(word.as_bytes()).map(|rule| rule.name), plain);
        });
    }

    #[test]
    fn unknown_words_and_unknown_files_are_local() {
        assert_eq!(effect("-qwerty"), Effect::Local(LocalReason::UnknownOption));
        assert_eq!(effect("--"), Effect::Local(LocalReason::UnknownOption));
        assert_eq!(
            effect("-fnew-thing=/a/b"),
            Effect::Local(LocalReason::UnknownFileOption)
        );
        assert_eq!(
            effect("-mnew-list=list.txt"),
            Effect::Local(LocalReason::UnknownFileOption)
        );
        assert_eq!(effect("-fnew-level=3"), Effect::Class(Class::Both));
        assert_eq!(
            effect("-fdebug-prefix-map=/a/b=/c"),
            Effect::Class(Class::Both)
        );
    }
}
