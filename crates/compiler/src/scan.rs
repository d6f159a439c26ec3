//! Watches the merged source on its way out for text whose meaning depends on the machine that compiles it.
//!
//! While includes are only merged, macros are expanded by the remote compiler, which would fill in its own date, time and names. The search is by plain text,
//! so a comment that mentions such a macro counts too: that costs a second preprocessor run, never a wrong object.

use memchr::memmem::Finder;

use crate::names::Family;

/// What was found, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Nothing special.
    Plain,
    /// Must be expanded here: `__DATE__`, `__TIME__`, `__TIMESTAMP__`, `__BASE_FILE__`, `#embed`; for GCC also `push_macro` and `pop_macro`, whose effect on a
    /// macro its merged text gets wrong (watched with GCC 12).
    Contextual,
    /// Makes the assembler read a file, or the compiler a precompiled header: must be compiled here.
    ReadsFile,
}

/// Longest needle; that much of the previous chunk is looked at again.
const OVERLAP: usize = 32;

/// The search, fed chunk by chunk.
pub struct Scanner {
    needles: Vec<(Finder<'static>, Finding)>,
    tail: Vec<u8>,
    worst: Finding,
}

impl Scanner {
    /// A scanner for source whose macros are expanded remotely.
    pub fn merged(family: Family) -> Scanner {
        let mut needles = vec![
            ("__DATE__", Finding::Contextual),
            ("__TIME__", Finding::Contextual),
            ("__TIMESTAMP__", Finding::Contextual),
            ("__BASE_FILE__", Finding::Contextual),
            ("#embed", Finding::Contextual),
            ("# embed", Finding::Contextual),
            ("#  embed", Finding::Contextual),
            (".incbin", Finding::ReadsFile),
            ("pch_preprocess", Finding::ReadsFile),
        ];
        if family == Family::Gcc {
            needles.push(("push_macro", Finding::Contextual));
            needles.push(("pop_macro", Finding::Contextual));
        }
        Scanner::new(&needles)
    }

    /// A scanner for source that is fully expanded.
    pub fn expanded() -> Scanner {
        Scanner::new(&[
            (".incbin", Finding::ReadsFile),
            ("pch_preprocess", Finding::ReadsFile),
        ])
    }

    fn new(needles: &[(&'static str, Finding)]) -> Scanner {
        Scanner {
            needles: needles
                .iter()
                .map(|&(text, finding)| (Finder::new(text), finding))
                .collect(),
            tail: Vec::new(),
            worst: Finding::Plain,
        }
    }

    /// Takes the next part of the source and gives the worst finding so far.
    pub fn feed(&mut self, chunk: &[u8]) -> Finding {
        let head = chunk.get(..OVERLAP).unwrap_or(chunk);
        self.tail.extend_from_slice(head);
        let seam = std::mem::take(&mut self.tail);
        for text in [&seam[..], chunk] {
            for (needle, finding) in &self.needles {
                if *finding > self.worst && needle.find(text).is_some() {
                    self.worst = *finding;
                }
            }
        }
        let recent = if chunk.len() >= OVERLAP {
            chunk
        } else {
            &seam[..]
        };
        let start = recent.len().saturating_sub(OVERLAP);
        self.tail = recent.get(start..).unwrap_or_default().to_vec();
        self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_needles_across_every_cut() {
        let text = [&[b'x'; 70][..], b" a = __TIMESTAMP__; ", &[b'y'; 70][..]].concat();
        for cut in 0..=text.len() {
            let mut scanner = Scanner::merged(Family::Gcc);
            scanner.feed(&text[..cut]);
            assert_eq!(scanner.feed(&text[cut..]), Finding::Contextual, "cut {cut}");
        }
        let mut scanner = Scanner::merged(Family::Gcc);
        let last = text.iter().map(|byte| scanner.feed(&[*byte])).last();
        assert_eq!(last, Some(Finding::Contextual));
    }

    #[test]
    fn look_alikes_are_plain() {
        let mut scanner = Scanner::merged(Family::Gcc);
        assert_eq!(
            scanner.feed(b"#define __TIMESIZE __TIME_T_TYPE\n/* embedded DATE */"),
            Finding::Plain
        );
    }

    #[test]
    fn the_worst_finding_stays() {
        let mut scanner = Scanner::merged(Family::Gcc);
        assert_eq!(
            scanner.feed(b"asm(\".incbin \\\"f\\\"\")"),
            Finding::ReadsFile
        );
        assert_eq!(scanner.feed(b"__DATE__"), Finding::ReadsFile);
        let pragma = b"#pragma pop_macro(\"X\")";
        assert_eq!(
            Scanner::merged(Family::Gcc).feed(pragma),
            Finding::Contextual
        );
        assert_eq!(Scanner::merged(Family::Clang).feed(pragma), Finding::Plain);
        assert_eq!(Scanner::expanded().feed(b"\"__DATE__\""), Finding::Plain);
    }
}
