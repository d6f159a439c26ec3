//! `@file` words: a compiler reads further words from that file.
//!
//! The quoting is that of GCC and Clang: words are separated by white space; single and double quotes group; a backslash takes the next byte as it is,
//! everywhere. A file that is missing leaves its word in place, as the compilers do. Local runs never use the result: they get the words as typed.
//! [`write`] is the way back: words too long for a command line as a file that both compilers read as the same words.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::{FileKind, Files, LocalReason};

/// More response files than this in one command line are taken for a loop, as the compilers do.
const MAX_FILES: usize = 2000;
/// Largest response file that is read.
const MAX_BYTES: u64 = 16 << 20;
/// More words than this are no command line.
const MAX_WORDS: usize = 1 << 20;
/// How texts begin that Clang converts before it reads them.
const BYTE_ORDER_MARKS: [&[u8]; 3] = [b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"];

/// The words with every readable `@file` replaced by its content, again and again. `Err` if a file cannot be expanded or seems to contain itself; the
/// compiler then says so itself.
pub fn expand(words: &[OsString], files: &dyn Files) -> Result<Vec<OsString>, LocalReason> {
    expand_noting(words, files, &mut |_| {})
}

/// Like [`expand`]; `opened_file` is told the name of each response file that is read, in order.
pub fn expand_noting(
    words: &[OsString],
    files: &dyn Files,
    opened_file: &mut dyn FnMut(&Path),
) -> Result<Vec<OsString>, LocalReason> {
    let mut pending: Vec<OsString> = words.iter().rev().cloned().collect();
    let mut expanded = Vec::with_capacity(words.len());
    let mut opened = 0;
    while let Some(word) = pending.pop() {
        let Some(name) = response_file(&word) else {
            expanded.push(word);
            continue;
        };
        match files.kind(name) {
            FileKind::Regular => {}
            FileKind::Missing => {
                expanded.push(word);
                continue;
            }
            FileKind::Directory | FileKind::Other => return Err(LocalReason::ResponseFile),
        }
        opened += 1;
        if opened > MAX_FILES {
            return Err(LocalReason::ResponseFile);
        }
        opened_file(name);
        let text = files
            .read(name, MAX_BYTES)
            .map_err(|_| LocalReason::ResponseFile)?;
        let inside = split(&text);
        // GCC takes "" for a word, older versions of Clang do not; and Clang converts text in UTF-16.
        let ambiguous = inside.iter().any(|word| word.is_empty())
            || BYTE_ORDER_MARKS.iter().any(|mark| text.starts_with(mark));
        if ambiguous || expanded.len() + pending.len() + inside.len() > MAX_WORDS {
            return Err(LocalReason::ResponseFile);
        }
        pending.extend(inside.into_iter().rev());
    }
    Ok(expanded)
}

fn response_file(word: &OsStr) -> Option<&Path> {
    match word.as_bytes().split_first() {
        Some((b'@', name)) if !name.is_empty() => Some(Path::new(OsStr::from_bytes(name))),
        _ => None,
    }
}

/// The words of a response file's text.
pub fn split(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => {
                let target = word.get_or_insert_default();
                if let Some(next) = bytes.next() {
                    target.push(next);
                }
            }
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, Some(open)) if byte == open => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, None) => {
                words.extend(word.take().map(OsString::from_vec));
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

/// The text of a response file that GCC and Clang read as `words`. `None` if there is none: a word is empty or would itself be taken for a response file.
pub fn write(words: &[OsString]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for word in words {
        let bytes = word.as_bytes();
        if bytes.is_empty() || bytes.contains(&0) || response_file(word).is_some() {
            return None;
        }
        // Anything but the word in front keeps the text from beginning with a byte order mark.
        text.push(b'\n');
        for &byte in bytes {
            if byte.is_ascii_whitespace() || matches!(byte, 0x0b | b'\\' | b'"' | b'\'') {
                text.push(b'\\');
            }
            text.push(byte);
        }
    }
    text.push(b'\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::io;

    struct Fake(HashMap<&'static str, &'static str>);

    impl Files for Fake {
        fn kind(&self, path: &Path) -> FileKind {
            match path.to_str() {
                Some("folder") => FileKind::Directory,
                Some(name) if self.0.contains_key(name) => FileKind::Regular,
                _ => FileKind::Missing,
            }
        }
        fn read(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
            let name = path.to_str().expect("test names are text");
            Ok(self.0[name].as_bytes().to_vec())
        }
    }

    fn words(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    #[test]
    fn quoting() {
        assert_eq!(
            split(b"-O2 '-DA=b c'\n\"x\\\"y\" a\\ b '' 'it\\'s'\t"),
            words(&["-O2", "-DA=b c", "x\"y", "a b", "", "it's"])
        );
        assert_eq!(split(b" \n "), words(&[]));
        assert_eq!(split(b"open 'quote here"), words(&["open", "quote here"]));
        assert_eq!(split(b"end\\"), words(&["end"]));
    }

    #[test]
    fn nested_files_expand_in_place() {
        let files = Fake(HashMap::from([("a", "-O2 @b -c"), ("b", "-g x.c")]));
        assert_eq!(
            expand(&words(&["@a", "@none", "@"]), &files),
            Ok(words(&["-O2", "-g", "x.c", "-c", "@none", "@"]))
        );
        let mut opened = Vec::new();
        let note = &mut |name: &Path| opened.push(name.to_owned());
        expand_noting(&words(&["@a", "@none"]), &files, note).expect("words");
        assert_eq!(opened, [Path::new("a"), Path::new("b")]);
    }

    #[test]
    fn what_the_compilers_read_differently_is_left_to_them() {
        for text in ["-DX \"\" -c", "\u{feff}-c"] {
            let files = Fake(HashMap::from([("a", text)]));
            assert_eq!(
                expand(&words(&["@a"]), &files),
                Err(LocalReason::ResponseFile)
            );
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_words() {
        use proptest::prelude::*;
        use std::os::unix::ffi::OsStringExt;
        let word = prop::collection::vec(1..=255u8, 1..8).prop_map(OsString::from_vec);
        proptest!(|(words in prop::collection::vec(word, 0..6))| {
            if let Some(text) = write(&words) {
                prop_assert_eq!(split(&text), words);
            } else {
                prop_assert!(words.iter().any(|word| word.as_bytes().first() == Some(&b'@')));
            }
        });
        assert_eq!(write(&words(&["@a"])), None);
        assert_eq!(write(&words(&[""])), None);
    }

    #[test]
    fn loops_and_folders_are_left_to_the_compiler() {
        let files = Fake(HashMap::from([("a", "@a")]));
        assert_eq!(
            expand(&words(&["@a"]), &files),
            Err(LocalReason::ResponseFile)
        );
        assert_eq!(
            expand(&words(&["@folder"]), &files),
            Err(LocalReason::ResponseFile)
        );
    }
}
