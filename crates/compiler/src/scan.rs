//! Watches the preprocessed source on its way out for text whose meaning depends on the machine that compiles it, or on preprocessing and compiling in one go.
//!
//! While includes are only merged, macros are expanded by the remote compiler, which would fill in its own date, time and names. The search is by plain text,
//! so a comment that mentions such a macro counts too: that costs a second preprocessor run, never a wrong object. Names put together by `##` or cut by a
//! backslash at the end of a line are found as far as one half of them stands alone.

use memchr::memmem::Finder;

use crate::layout::Layout;
use crate::names::{Family, Language};
use crate::plan::Preprocessing;
use crate::{LocalReason, RemotePlan};

/// What was found, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Nothing special.
    Plain,
    /// Must be expanded here: `__DATE__`, `__TIME__`, `__TIMESTAMP__`, `__BASE_FILE__`, `#embed`; for GCC also `push_macro`, `pop_macro`, `redefine_extname`,
    /// `message` and `poison`, which its merged text gets wrong, and for Clang `__COUNTER__`, which does not count conditions in merged text (watched with GCC 12 and Clang 14).
    Contextual,
    /// May earn a warning for which the compiler must see the file itself: must be compiled here.
    Layout,
    /// GCC's `target` and `optimize` pragmas change predefined macros, but not while the preprocessor runs by itself: must be compiled here.
    ChangesMacros,
    /// Makes the assembler read a file, or the compiler a precompiled header: must be compiled here.
    ReadsFile,
}

impl Finding {
    /// Why the job cannot be done elsewhere in the way it was preprocessed; `None` if it can.
    pub fn reason(self) -> Option<LocalReason> {
        match self {
            Finding::Plain => None,
            Finding::Contextual => Some(LocalReason::ContextualSource),
            Finding::Layout => Some(LocalReason::LayoutWarning),
            Finding::ChangesMacros => Some(LocalReason::MacroPragma),
            Finding::ReadsFile => Some(LocalReason::AssembledFile),
        }
    }
}

/// Longer than anything looked for; at least that much of the text before is looked at again.
const OVERLAP: usize = 64;
/// The text before is looked at again from the beginning of its last line, unless that is longer than this.
const LONGEST_LINE: usize = 4096;

/// Names expanded differently elsewhere, without the underscores around them.
const CONTEXT_NAMES: &[&str] = &["DATE", "TIME", "TIMESTAMP", "BASE_FILE"];

/// The same without anything around them, as an argument or one of several parts.
const BARE_NAMES: &[&str] = &["DATE", "TIME", "BASE_FILE"];

/// Where two underscores that may become part of such a name stand alone.
const BARE_UNDERSCORES: &[&str] = &[
    "__##", "__ ##", "##__", "## __", "(__,", "( __", ",__)", ", __)",
];

/// Longer lines are no source people write, and are not looked into.
const LONGEST_SOURCE_LINE: usize = 1 << 20;

/// The C++ compilers up to this version of GCC read all of the text before they obey a pragma, so that macros are what the preprocessor saw. Watched
/// with GCC 12.
const LAST_EAGER_GXX: u32 = 12;

/// The search, fed chunk by chunk.
pub struct Scanner {
    needles: Vec<(Finder<'static>, Finding)>,
    /// Beginnings and ends of the names above.
    names: Vec<Finder<'static>>,
    /// For macros still to be expanded elsewhere: where a line is continued.
    splice: Option<Finder<'static>>,
    /// Only GCC knows the pragmas behind this word.
    gcc: Option<Finder<'static>>,
    bare_names: Vec<Finder<'static>>,
    bare_underscores: Vec<Finder<'static>>,
    seen_bare_name: bool,
    seen_bare_underscores: bool,
    /// Whether pragmas that change macros matter.
    pragmas: Pragmas,
    layout: Option<Layout>,
    line: Vec<u8>,
    carry: Vec<u8>,
    origin: Origin,
    worst: Finding,
}

/// Where a line comes from, as the last line marker says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// A header of the compiler itself. These are made to work preprocessed separately.
    compiler: bool,
    /// A header that earns no warnings.
    system: bool,
}

/// What is known about pragmas that change macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pragmas {
    /// They change what the compiler sees, but not what the preprocessor sees.
    Matter,
    /// It depends on the version of the compiler, which the text tells at its beginning.
    DependOnVersion,
    /// They change nothing.
    Harmless,
}

impl Scanner {
    /// A scanner for what the preprocessor makes of the source of `plan`.
    pub fn for_plan(plan: &RemotePlan) -> Scanner {
        let mut scanner = match plan.preprocessing {
            Preprocessing::Merge => Scanner::merged(plan.family),
            Preprocessing::Full | Preprocessing::Already => Scanner::expanded(plan.family),
        };
        if plan.family == Family::Gcc
            && plan.language == Language::Cxx
            && plan.preprocessing == Preprocessing::Merge
        {
            scanner.pragmas = Pragmas::DependOnVersion;
        }
        if plan.layout_warnings {
            let merged = plan.preprocessing == Preprocessing::Merge;
            scanner.layout = Some(Layout::new(plan.family == Family::Clang && merged));
        }
        scanner
    }

    /// A scanner for the source file of `plan` itself, before it is preprocessed.
    pub fn first_look(plan: &RemotePlan) -> Scanner {
        let mut scanner = Scanner::for_plan(plan);
        if plan.preprocessing == Preprocessing::Merge {
            // What is skipped would only confuse, and merged text looks the same.
            scanner.layout = None;
        }
        if scanner.pragmas == Pragmas::DependOnVersion {
            scanner.pragmas = Pragmas::Harmless;
        }
        scanner
    }

    /// A scanner for source whose macros are expanded remotely.
    fn merged(family: Family) -> Scanner {
        let mut needles = vec![
            ("#embed", Finding::Contextual),
            ("# embed", Finding::Contextual),
            ("#  embed", Finding::Contextual),
            ("??/\n", Finding::Contextual),
        ];
        match family {
            Family::Gcc => needles.extend([
                ("push_macro", Finding::Contextual),
                ("pop_macro", Finding::Contextual),
                ("redefine_extname", Finding::Contextual),
                ("pragma message", Finding::Contextual),
            ]),
            Family::Clang => needles.push(("__COUNTER__", Finding::Contextual)),
        }
        let halves = CONTEXT_NAMES
            .iter()
            .flat_map(|name| [format!("__{name}"), format!("{name}__")]);
        Scanner {
            names: halves.map(|half| Finder::new(&half).into_owned()).collect(),
            splice: Some(Finder::new("\\\n")),
            bare_names: BARE_NAMES.iter().map(|name| Finder::new(*name)).collect(),
            bare_underscores: BARE_UNDERSCORES
                .iter()
                .map(|text| Finder::new(*text))
                .collect(),
            ..Scanner::new(family, &needles)
        }
    }

    /// A scanner for source that is fully expanded.
    fn expanded(family: Family) -> Scanner {
        Scanner::new(family, &[])
    }

    fn new(family: Family, needles: &[(&'static str, Finding)]) -> Scanner {
        let everywhere = [
            (".incbin", Finding::ReadsFile),
            ("pch_preprocess", Finding::ReadsFile),
        ];
        Scanner {
            needles: needles
                .iter()
                .chain(&everywhere)
                .map(|&(text, finding)| (Finder::new(text), finding))
                .collect(),
            names: Vec::new(),
            splice: None,
            gcc: (family == Family::Gcc).then(|| Finder::new("GCC")),
            bare_names: Vec::new(),
            bare_underscores: Vec::new(),
            seen_bare_name: false,
            seen_bare_underscores: false,
            pragmas: Pragmas::Matter,
            layout: None,
            line: Vec::new(),
            carry: Vec::new(),
            origin: Origin::default(),
            worst: Finding::Plain,
        }
    }

    /// Takes the next part of the source and gives the worst finding so far.
    pub fn feed(&mut self, chunk: &[u8]) -> Finding {
        self.follow_layout(chunk);
        let mut text = std::mem::take(&mut self.carry);
        text.extend_from_slice(chunk);
        if self.pragmas == Pragmas::DependOnVersion
            && let Some(version) = gnuc(&text)
        {
            self.pragmas = if version <= LAST_EAGER_GXX {
                Pragmas::Harmless
            } else {
                Pragmas::Matter
            };
        }
        self.look(&text);
        let again = text.len().saturating_sub(OVERLAP);
        let line = start_of_line(&text, again);
        let keep = if text.len() - line <= LONGEST_LINE {
            line
        } else {
            again
        };
        let (done, kept) = text.split_at(keep);
        self.origin = self.origin_at(done, done.len());
        self.carry = kept.to_vec();
        self.worst
    }

    fn look(&mut self, text: &[u8]) {
        let mut worst = self.worst;
        for (needle, finding) in &self.needles {
            if *finding > worst && needle.find(text).is_some() {
                worst = *finding;
            }
        }
        if worst < Finding::Contextual
            && (self.has_name(text)
                || self
                    .splice
                    .as_ref()
                    .is_some_and(|splice| cuts_word(text, splice))
                || self.has_parts(text))
        {
            worst = Finding::Contextual;
        }
        if worst < Finding::ChangesMacros
            && let Some(gcc) = &self.gcc
        {
            for position in gcc.find_iter(text) {
                let (finding, header) = pragma(text.get(position + 3..).unwrap_or_default());
                if finding == Finding::Plain {
                    continue;
                }
                let origin = self.origin_at(text, position);
                let harmless = (header && origin.system)
                    || (finding == Finding::Contextual && self.splice.is_none())
                    || (finding == Finding::ChangesMacros && self.pragmas == Pragmas::Harmless)
                    || origin.compiler;
                if !harmless {
                    worst = worst.max(finding);
                }
            }
        }
        self.worst = worst;
    }

    /// Gives whole lines to the one who follows statements.
    fn follow_layout(&mut self, chunk: &[u8]) {
        let Some(layout) = &mut self.layout else {
            return;
        };
        let mut rest = chunk;
        while let Some(newline) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(newline);
            rest = after.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                layout.line(line);
            } else {
                self.line.extend_from_slice(line);
                layout.line(&self.line);
                self.line.clear();
            }
        }
        if self.line.len() + rest.len() <= LONGEST_SOURCE_LINE {
            self.line.extend_from_slice(rest);
        } else {
            self.line.clear();
        }
        if layout.is_suspicious() {
            self.worst = self.worst.max(Finding::Layout);
        }
    }

    /// A name without underscores and underscores without a name: `CAT(__, DATE, __)`.
    fn has_parts(&mut self, text: &[u8]) -> bool {
        self.seen_bare_underscores = self.seen_bare_underscores
            || self
                .bare_underscores
                .iter()
                .any(|part| part.find(text).is_some());
        self.seen_bare_name = self.seen_bare_name
            || self.bare_names.iter().any(|name| {
                name.find_iter(text).any(|position| {
                    let after = text.get(position + name.needle().len()..);
                    let after = after.unwrap_or_default();
                    let after = after.strip_prefix(b"STAMP").unwrap_or(after);
                    let before = text.get(..position).unwrap_or_default();
                    !before.last().is_some_and(in_name) && !after.first().is_some_and(in_name)
                })
            });
        self.seen_bare_name && self.seen_bare_underscores
    }

    /// One of the names, or a half of it that may be completed elsewhere.
    fn has_name(&self, text: &[u8]) -> bool {
        self.names.iter().any(|half| {
            half.find_iter(text).any(|position| {
                let end = position + half.needle().len();
                let before = text.get(..position).unwrap_or_default();
                let after = text.get(end..).unwrap_or_default();
                // A half alone counts where it may be an operand of `##`, or an argument that becomes one.
                if half.needle().starts_with(b"__") {
                    after.starts_with(b"__")
                        || matches!(
                            after.trim_ascii_start().first(),
                            None | Some(b',' | b')' | b'#' | b'/' | b'\\')
                        )
                } else {
                    before.ends_with(b"__")
                        || matches!(
                            before.trim_ascii_end().last(),
                            None | Some(b',' | b'(' | b'#' | b'/' | b'\n')
                        )
                }
            })
        })
    }

    /// Where the line at `position` comes from.
    fn origin_at(&self, text: &[u8], position: usize) -> Origin {
        let mut end = position;
        loop {
            let start = start_of_line(text, end);
            let line = text.get(start..end).unwrap_or_default();
            if let Some(name) = marked_file(line) {
                let flags = memchr::memrchr(b'"', name).and_then(|quote| name.get(quote..));
                return Origin {
                    compiler: memchr::memmem::find(name, b"/lib/gcc").is_some(),
                    system: flags.unwrap_or_default().contains(&b'3'),
                };
            }
            if start == 0 {
                return self.origin;
            }
            end = start - 1;
        }
    }
}

/// `# LINE "FILE" …`: what stands after the line number.
fn marked_file(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"# ")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = rest.get(digits..)?.strip_prefix(b" \"")?;
    (digits > 0).then_some(rest)
}

/// The version of GCC by its own predefined macro.
fn gnuc(text: &[u8]) -> Option<u32> {
    let define = b"#define __GNUC__ ";
    let position = memchr::memmem::find(text, define)?;
    let value = text.get(position + define.len()..)?;
    let end = memchr::memchr(b'\n', value)?;
    std::str::from_utf8(value.get(..end)?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn start_of_line(text: &[u8], position: usize) -> usize {
    text.get(..position)
        .and_then(|before| memchr::memrchr(b'\n', before))
        .map_or(0, |newline| newline + 1)
}

/// What follows the word `GCC` of a pragma, or of what looks like one; and whether it is at home in system headers.
fn pragma(text: &[u8]) -> (Finding, bool) {
    let rest = text.trim_ascii_start();
    let length = rest.iter().take_while(|b| in_name(b)).count();
    let (word, rest) = rest.split_at(length);
    let finding = match word {
        b"poison" | b"system_header" => Finding::Contextual,
        b"target" | b"optimize" => match rest.trim_ascii_start().first() {
            Some(b'(' | b'"' | b'\\') => Finding::ChangesMacros,
            _ => Finding::Plain,
        },
        _ => Finding::Plain,
    };
    (finding, word == b"system_header")
}

/// Whether a word goes on in the next line.
fn cuts_word(text: &[u8], splice: &Finder<'_>) -> bool {
    splice.find_iter(text).any(|position| {
        let before = text.get(..position).unwrap_or_default().last();
        let after = text.get(position + splice.needle().len());
        before.is_some_and(in_name) && after.is_some_and(in_name)
    })
}

fn in_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
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
        assert_eq!(
            Scanner::expanded(Family::Gcc).feed(b"\"__DATE__\""),
            Finding::Plain
        );
    }

    #[test]
    fn names_in_three_parts_are_found() {
        assert_eq!(
            merged(Family::Gcc, "#define C(a,b,c) a##b##c\nC(__,TIMESTAMP,__)"),
            Finding::Contextual
        );
        for text in ["C(__,x,__)", "enum { DATE, TIME };"] {
            assert_eq!(merged(Family::Gcc, text), Finding::Plain, "{text}");
        }
    }

    fn plan(language: Language, layout_warnings: bool) -> RemotePlan {
        RemotePlan {
            family: Family::Gcc,
            language,
            input: "x".into(),
            output: "x.o".into(),
            assembly: false,
            split_dwarf: false,
            preprocessing: Preprocessing::Merge,
            default_target: None,
            words: Vec::new(),
            native: None,
            layout_warnings,
            names_options: false,
            producer: None,
            extra_files: Vec::new(),
            arg_flags: 0,
        }
    }

    #[test]
    fn pragmas_come_too_late_for_macros_in_cxx() {
        let pragma = "#pragma GCC optimize(\"Og\")\n";
        let text = |version: u32| format!("#define __GNUC__ {version}\n{pragma}");
        let found =
            |language, text: &str| Scanner::for_plan(&plan(language, false)).feed(text.as_bytes());
        assert_eq!(found(Language::Cxx, &text(12)), Finding::Plain);
        assert_eq!(found(Language::Cxx, &text(14)), Finding::ChangesMacros);
        assert_eq!(found(Language::Cxx, pragma), Finding::ChangesMacros);
        assert_eq!(found(Language::C, &text(12)), Finding::ChangesMacros);
        let mut first = Scanner::first_look(&plan(Language::Cxx, false));
        assert_eq!(first.feed(pragma.as_bytes()), Finding::Plain);
    }

    #[test]
    fn layout_is_followed_across_every_cut() {
        let text = b"int f(int x) {\n  if (x)\n    a();\n    b();\n}\n";
        for cut in 0..=text.len() {
            let mut scanner = Scanner::for_plan(&plan(Language::C, true));
            scanner.feed(&text[..cut]);
            assert_eq!(scanner.feed(&text[cut..]), Finding::Layout, "cut {cut}");
            let mut scanner = Scanner::for_plan(&plan(Language::C, false));
            assert_eq!(scanner.feed(text), Finding::Plain);
        }
    }

    fn merged(family: Family, text: &str) -> Finding {
        Scanner::merged(family).feed(text.as_bytes())
    }

    #[test]
    fn names_put_together_are_found() {
        for text in [
            "CAT(__DA, TE__) CAT(x, DATE__)",
            "p(__BASE_FILE, __)",
            "__BASE_\\\nFILE__",
            "a ?\x3f/\nb",
        ] {
            assert_eq!(merged(Family::Gcc, text), Finding::Contextual, "{text}");
        }
        for text in [
            "#define X a \\\n b",
            "UPDATE__ __TIME_T",
            "DATE TIME",
            "/* Defines __TIME*_T_TYPE macros.  */",
            "int __DATE; x = DATE__;",
        ] {
            assert_eq!(merged(Family::Gcc, text), Finding::Plain, "{text}");
        }
    }

    #[test]
    fn what_merging_gets_wrong_is_expanded_here() {
        for text in [
            "#pragma redefine_extname a b",
            "#pragma GCC poison x",
            "#pragma GCC \t poison x",
        ] {
            assert_eq!(merged(Family::Gcc, text), Finding::Contextual, "{text}");
            assert_eq!(merged(Family::Clang, text), Finding::Plain, "{text}");
        }
        let counter = "#if __COUNTER__";
        assert_eq!(merged(Family::Clang, counter), Finding::Contextual);
        assert_eq!(merged(Family::Gcc, counter), Finding::Plain);
    }

    #[test]
    fn headers_that_call_themselves_system_headers_are_expanded_here() {
        let pragma = "#pragma GCC system_header\n";
        assert_eq!(
            merged(Family::Gcc, &format!("# 1 \"x.h\" 1\n{pragma}")),
            Finding::Contextual
        );
        assert_eq!(
            merged(
                Family::Gcc,
                &format!("# 1 \"/usr/include/x.h\" 1 3\n{pragma}")
            ),
            Finding::Plain
        );
    }

    #[test]
    fn pragmas_that_change_macros_are_those_of_the_user() {
        let used = "#pragma GCC target(\"avx2\")\n";
        let own = format!("# 1 \"/usr/lib/gcc/x/12/include/avxintrin.h\" 1 3 4\n{used}");
        let back = format!("{own}# 3 \"x.c\" 2\n#pragma GCC optimize \"O3\"\n");
        for (text, expected) in [
            (used.to_owned(), Finding::ChangesMacros),
            (
                "_Pragma(\"GCC target(x)\")".to_owned(),
                Finding::ChangesMacros,
            ),
            ("/* GCC target triples */".to_owned(), Finding::Plain),
            (own, Finding::Plain),
            (back, Finding::ChangesMacros),
        ] {
            let mut scanner = Scanner::merged(Family::Gcc);
            assert_eq!(scanner.feed(text.as_bytes()), expected, "{text}");
            let mut scanner = Scanner::expanded(Family::Gcc);
            let last = text.bytes().map(|byte| scanner.feed(&[byte])).last();
            assert_eq!(last, Some(expected), "{text} byte by byte");
            assert_eq!(merged(Family::Clang, &text), Finding::Plain);
        }
    }
}
