//! Gives GCC's debug information the text it would have had here.
//!
//! `DW_AT_producer` names the compiler's options, and merged source needs one nobody typed, `-fdirectives-only`. GCC writes its debug
//! strings in the order of a hash table, so a longer text moves the others, too. Therefore a second option travels, `-frandom-seed=SEED`, which GCC names
//! behind the first and otherwise uses for nothing in such a job; SEED is chosen so that the text with both has the hash of
//! the text with neither. Then everything is in its place, and the two only have to be cut out of the result.
//!
//! The hash is that of libiberty's `htab_hash_string`; strings, line tables and code were compared with GCC 12's. What is not exactly as expected is not touched.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

mod elf;

/// The option merged source needs.
const MERGED: &[u8] = b" -fdirectives-only";
/// The option that balances the hash.
const SEED: &[u8] = b" -frandom-seed=";
/// Characters of a seed: one to vary and the digits that solve the equation.
const DIGITS: usize = 6;
/// The factor of the hash, and so the base of the digits.
const FACTOR: u32 = 67;
/// The digit of value 0. Not all 67 characters from here on are harmless in a command line and in assembly.
const ZERO: u8 = b'0';

/// Stands for the seed while the compiler is asked.
const PLACEHOLDER: &[u8] = b"0000000";

/// What travels so that the producer can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The option, for the remote compiler behind `-fdirectives-only`.
    word: String,
}

impl Producer {
    /// The words to ask the compiler with, besides those of the job: it must print assembly for an empty source.
    pub fn question() -> [OsString; 2] {
        [
            "-fdirectives-only".into(),
            OsString::from_vec([&SEED[1..], PLACEHOLDER].concat()),
        ]
    }

    /// Finds the seed. `assembly` is the compiler's answer; `None` if it does not name its options, or not in the expected way.
    pub fn from_answer(assembly: &[u8]) -> Option<Producer> {
        let asked = [MERGED, SEED, PLACEHOLDER].concat();
        let mut texts = assembly
            .split(|&b| b == b'\n')
            .filter_map(quoted)
            .filter(|text| text.starts_with(b"GNU C") && find(text, &asked).is_some());
        let text = texts.next()?;
        if texts.next().is_some() || text.contains(&b'\\') {
            return None;
        }
        let at = find(text, &asked)?;
        let behind = text.get(at + asked.len()..)?;
        let before = text.get(..at)?;
        if find(behind, SEED).is_some() || find(before, SEED).is_some() {
            return None;
        }
        let native = hash(0, &[before, behind].concat());
        let seed = solve(hash(0, &[before, MERGED, SEED].concat()), behind, native)?;
        Producer::from_seed(&seed)
    }

    /// A kept seed, as [`Producer::seed`] gave it.
    pub fn from_seed(seed: &[u8]) -> Option<Producer> {
        let valid = seed.len() == 1 + DIGITS && seed.iter().all(|&b| is_harmless(b));
        let word = String::from_utf8([&SEED[1..], seed].concat()).ok()?;
        valid.then_some(Producer { word })
    }

    /// The seed, to be kept.
    pub fn seed(&self) -> &[u8] {
        self.word
            .as_bytes()
            .get(SEED.len() - 1..)
            .unwrap_or_default()
    }

    /// The option for the remote compiler, behind `-fdirectives-only`.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The object or the assembly as the local compiler would have written it; `None` if that is not certain.
    pub fn restore(&self, result: Vec<u8>, assembly: bool) -> Option<Vec<u8>> {
        let text = [MERGED, SEED, self.seed()].concat();
        let Some(at) = find(&result, &text) else {
            // Without debug information after all: then the seed is nowhere.
            return (count(&result, self.word.as_bytes()) == 0).then_some(result);
        };
        if count(&result, self.word.as_bytes()) != 1 {
            return None;
        }
        if assembly {
            let (before, behind) = (result.get(..at)?, result.get(at + text.len()..)?);
            return Some([before, behind].concat());
        }
        elf::cut_debug_string(&result, at, text.len())
    }
}

/// What stands between the quotes of a line of assembly.
fn quoted(line: &[u8]) -> Option<&[u8]> {
    let begin = line.iter().position(|&b| b == b'"')?;
    let end = line.iter().rposition(|&b| b == b'"')?;
    line.get(begin + 1..end)
}

fn count(text: &[u8], needle: &[u8]) -> usize {
    memchr::memmem::find_iter(text, needle).count()
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

/// libiberty's hash of a string, continued from `start`.
fn hash(start: u32, text: &[u8]) -> u32 {
    text.iter().fold(start, |hash, &byte| {
        hash.wrapping_mul(FACTOR)
            .wrapping_add(byte.into())
            .wrapping_sub(113)
    })
}

/// The seed between a text with the hash `before` and the text `behind`, so that all of it hashes to `wanted`.
fn solve(before: u32, behind: &[u8], wanted: u32) -> Option<Vec<u8>> {
    // The inverse of the factor modulo 2^32.
    let mut inverse = 1u32;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(FACTOR.wrapping_mul(inverse)));
    }
    let needed = behind.iter().rev().fold(wanted, |hash, &byte| {
        hash.wrapping_add(113)
            .wrapping_sub(byte.into())
            .wrapping_mul(inverse)
    });
    (ZERO..=b'z').filter(|&b| is_harmless(b)).find_map(|first| {
        let mut seed = vec![first];
        seed.resize(1 + DIGITS, ZERO);
        let mut rest = needed.wrapping_sub(hash(before, &seed));
        for digit in seed.iter_mut().skip(1).rev() {
            *digit += u8::try_from(rest % FACTOR).ok()?;
            rest /= FACTOR;
        }
        let solved = rest == 0 && hash(before, &seed) == needed;
        (solved && seed.iter().all(|&b| is_harmless(b))).then_some(seed)
    })
}

/// Means nothing to GCC's driver, an assembler or a shell.
fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":=@^_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(producer: &str) -> Vec<u8> {
        format!("\t.file \"x\"\n.LASF0:\n\t.string\t\"{producer}\"\n.LASF1:\n\t.string \"int\"\n")
            .into_bytes()
    }

    #[test]
    fn seeds_balance_the_hash() {
        for tail in ["", " -fasynchronous-unwind-tables", " -O2 -fPIC"] {
            for level in 0..200 {
                let head = format!("GNU C17 12.2.0 -mtune=generic -g -fsome-parameter={level}");
                let asked = format!("{head} -fdirectives-only -frandom-seed=0000000{tail}");
                let producer = Producer::from_answer(&answer(&asked)).expect("a seed");
                let sent = format!("{head} -fdirectives-only {}{tail}", producer.word());
                assert_eq!(
                    hash(0, sent.as_bytes()),
                    hash(0, format!("{head}{tail}").as_bytes())
                );
                assert_eq!(Producer::from_seed(producer.seed()), Some(producer));
            }
        }
    }

    #[test]
    fn other_answers_give_no_seed() {
        for text in [
            "GNU C17 12.2.0 -g",
            "GNU C17 -fdirectives-only -frandom-seed=0000000 -frandom-seed=7",
            "GNU C17 \\\" -fdirectives-only -frandom-seed=0000000",
            "clang -fdirectives-only -frandom-seed=0000000",
        ] {
            assert_eq!(Producer::from_answer(&answer(text)), None, "{text}");
        }
        assert_eq!(Producer::from_seed(b"a\n12345"), None);
        assert_eq!(Producer::from_seed(b""), None);
    }

    #[test]
    fn assembly_loses_both_words_or_is_refused() {
        let producer = Producer::from_seed(b"abcdefg").expect("a seed");
        let text = b"x -fdirectives-only -frandom-seed=abcdefg y".to_vec();
        assert_eq!(producer.restore(text, true), Some(b"x y".to_vec()));
        let plain = b"nothing of it".to_vec();
        assert_eq!(producer.restore(plain.clone(), true), Some(plain));
        for text in [
            &b"x -frandom-seed=abcdefg y"[..],
            b"x -fdirectives-only -frandom-seed=abcdefg y -fdirectives-only -frandom-seed=abcdefg",
        ] {
            assert_eq!(producer.restore(text.to_vec(), true), None);
        }
    }
}
