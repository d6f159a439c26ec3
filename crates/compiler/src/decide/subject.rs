//! Which word, variable or file the reason of a local job is about, for people: it is shown and changes nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::Pass;
use crate::LocalReason;
use crate::flags::{self, Effect, Value};

impl Pass<'_> {
    /// As typed, an option with its separate value; `None` if the reason is about all of it.
    pub(super) fn subject(&self, reason: LocalReason, words: &[OsString]) -> Option<OsString> {
        if self.obstacle == Some(reason) {
            return match self.obstacle_at {
                Some(at) => with_value(words, at),
                None => self.settings.meddling_variable.map(OsString::from),
            };
        }
        let input = |at: usize| self.inputs.get(at).map(|(name, _)| name.clone());
        match reason {
            LocalReason::MultipleInputs => input(1),
            LocalReason::ConfigureProbe
            | LocalReason::UnknownSuffix
            | LocalReason::UnsupportedLanguage => input(0),
            LocalReason::OutputNotRegular => self.output.clone(),
            LocalReason::NativeCpu => last(words, |word| word.ends_with(b"=native")),
            LocalReason::DebugMacros
            | LocalReason::DebugChecksums
            | LocalReason::ContextualSource => last(words, is_debug),
            LocalReason::RecordsCommandLine | LocalReason::SideFiles => {
                let special = |word: &[u8]| word.starts_with(b"-gz") || is_split(word);
                last(words, special).or_else(|| last(words, is_debug))
            }
            LocalReason::PrecompiledHeader => last(words, |word| word == b"-Winvalid-pch")
                .filter(|_| !self.precompiled)
                .or_else(|| last(words, |word| word == b"-include")),
            LocalReason::DependencyOption => last(words, |word| {
                word.starts_with(b"-M") || word.starts_with(b"-Wp,-M")
            }),
            LocalReason::PreprocessorOption => words
                .iter()
                .find(|word| {
                    matches!(
                        flags::lookup(word).effect,
                        Effect::UnusedMacros(true) | Effect::ExpandForGcc
                    )
                })
                .cloned(),
            LocalReason::LocalOption | LocalReason::AssemblerOption => {
                last(words, |word| word.starts_with(b"-X"))
            }
            _ => None,
        }
    }
}

fn is_debug(word: &[u8]) -> bool {
    word.starts_with(b"-g") || word.starts_with(b"-fdebug-macro")
}

fn is_split(word: &[u8]) -> bool {
    word.starts_with(b"-gsplit-dwarf")
}

/// The last such word, with its value.
fn last(words: &[OsString], wanted: impl Fn(&[u8]) -> bool) -> Option<OsString> {
    let at = words.iter().rposition(|word| wanted(word.as_bytes()))?;
    with_value(words, at)
}

fn with_value(words: &[OsString], at: usize) -> Option<OsString> {
    let word = words.get(at)?;
    let mut text = word.clone();
    let takes_value =
        word.as_bytes().first() == Some(&b'-') && flags::lookup(word).value == Value::Next;
    if let (true, Some(value)) = (takes_value, words.get(at + 1)) {
        text.push(OsStr::new(" "));
        text.push(value);
    }
    Some(text)
}
