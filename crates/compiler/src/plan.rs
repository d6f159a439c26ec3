//! A job that may travel: its words sorted into those for the preprocessor here and those for the compiler there.
//!
//! The preprocessor runs as `COMPILER <words in the order typed> -E INPUT <mode>`. The remote compiler gets its words as one list in command-line order
//! (protocol 41 and later) or as two lists (before). The full local command is never made here: it is what the user typed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::flags::Class;
use crate::names::{Family, Language, base_name};
use crate::native::NativeRequest;
use crate::producer::Producer;

/// How the source is made ready to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preprocessing {
    /// Includes are merged, macros are left to the remote compiler.
    Merge,
    /// Everything is expanded here.
    Full,
    /// The input is preprocessed already and is sent as it is.
    Already,
}

/// One word of the command line with the runs it takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As typed.
    pub text: OsString,
    /// As the remote compiler gets it, if different (absolute paths of files sent along).
    pub remote_text: Option<OsString>,
    /// Where it goes.
    pub class: Class,
}

impl Word {
    /// A word that is the same everywhere.
    pub fn new(text: impl Into<OsString>, class: Class) -> Word {
        Word {
            text: text.into(),
            remote_text: None,
            class,
        }
    }

    /// The word for the remote compiler.
    pub fn remote(&self) -> &OsStr {
        self.remote_text.as_deref().unwrap_or(&self.text)
    }
}

/// Everything the wrapper must know to have a job done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePlan {
    /// Whose command line this is.
    pub family: Family,
    /// The language of the input.
    pub language: Language,
    /// The source as typed.
    pub input: OsString,
    /// The output as typed, or the compiler's default.
    pub output: OsString,
    /// `-S` instead of `-c`.
    pub assembly: bool,
    /// A second output with the debug information is expected.
    pub split_dwarf: bool,
    /// How the source is made ready.
    pub preprocessing: Preprocessing,
    /// Target triple to be named to the remote compiler, which may have been built for another default.
    pub default_target: Option<String>,
    /// All words but input, output, `-c` and `-S`, in the order typed; then what was added.
    pub words: Vec<Word>,
    /// What must be found out about this machine's processor before the job can travel: see [`RemotePlan::with_native`].
    pub native: Option<NativeRequest>,
    /// A warning is wanted that the remote compiler cannot give, because it looks at the lines of the source file itself.
    pub layout_warnings: bool,
    /// The debug information will name the options of a GCC, and [`RemotePlan::producer`] can restore what it would say here.
    pub names_options: bool,
    /// What makes the names of the options in the debug information those of the local compiler.
    pub producer: Option<Producer>,
    /// Absolute paths of further files that must be in the toolchain.
    pub extra_files: Vec<PathBuf>,
    /// The hints for the scheduler's estimate: protocol field `arg_flags`.
    pub arg_flags: u32,
}

impl RemotePlan {
    /// The same job with everything expanded here. An already preprocessed input stays as it is.
    pub fn with_full_preprocessing(&self) -> RemotePlan {
        RemotePlan {
            preprocessing: match self.preprocessing {
                Preprocessing::Already => Preprocessing::Already,
                Preprocessing::Merge | Preprocessing::Full => Preprocessing::Full,
            },
            names_options: false,
            producer: None,
            ..self.clone()
        }
    }

    /// Words of the preprocessor command, without the compiler itself.
    pub fn preprocessor_words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self
            .words
            .iter()
            .filter(|word| word.class != Class::Remote)
            .map(|word| word.text.clone())
            .collect();
        words.push("-E".into());
        words.push(self.input.clone());
        match (self.preprocessing, self.family) {
            (Preprocessing::Merge, Family::Gcc) => words.push("-fdirectives-only".into()),
            (Preprocessing::Merge, Family::Clang) => words.push("-frewrite-includes".into()),
            (Preprocessing::Full | Preprocessing::Already, _) => {}
        }
        words
    }

    /// The words with their final classes, complete: what analysis tests compare.
    pub fn classified_words(&self) -> Vec<Word> {
        let mut words: Vec<Word> = self
            .words
            .iter()
            .map(|word| Word {
                class: self.resolved(word.class),
                ..word.clone()
            })
            .collect();
        words.extend(self.unwritten().map(|text| Word::new(text, Class::Remote)));
        words
    }

    /// Words for the remote compiler in one list (protocol 41 and later).
    pub fn remote_words(&self) -> Vec<OsString> {
        self.pick(|class| matches!(class, Class::Remote | Class::Both))
    }

    /// Words only for the remote compiler (protocol before 41).
    pub fn remote_only_words(&self) -> Vec<OsString> {
        self.pick(|class| class == Class::Remote)
    }

    /// Words for both runs (protocol before 41).
    pub fn rest_words(&self) -> Vec<OsString> {
        self.pick(|class| class == Class::Both)
    }

    fn pick(&self, wanted: impl Fn(Class) -> bool) -> Vec<OsString> {
        let mut words = Vec::with_capacity(self.words.len() + 4);
        for word in &self.words {
            if wanted(self.resolved(word.class)) {
                words.push(word.remote().to_owned());
            }
        }
        if wanted(Class::Remote) {
            words.extend(self.unwritten().map(OsString::from));
        }
        words
    }

    /// Words for an empty source that show how the debug information will name the options; definitions, outputs and files have no part in it.
    pub fn question_for_producer(&self) -> Vec<OsString> {
        let language = match self.language {
            Language::Cxx => "c++",
            _ => "c",
        };
        self.words
            .iter()
            .filter(|word| matches!(word.class, Class::Both | Class::Remote))
            .filter(|word| word.text != "-c" && word.text != "-S" && word.remote_text.is_none())
            .map(|word| word.text.clone())
            .chain(Producer::question())
            .chain(["-S", "-o", "-", "-x", language, "/dev/null"].map(OsString::from))
            .collect()
    }

    /// Words for the remote compiler only that follow from everything else.
    fn unwritten(&self) -> impl Iterator<Item = &str> {
        let merged = self.preprocessing == Preprocessing::Merge && self.family == Family::Gcc;
        let target = self.default_target.as_deref();
        merged
            .then_some("-fdirectives-only")
            .into_iter()
            .chain(self.producer.as_ref().map(Producer::word))
            .chain(target.map(|_| "-target"))
            .chain(target)
    }

    fn resolved(&self, class: Class) -> Class {
        match (class, self.preprocessing) {
            (Class::Cpp, Preprocessing::Full) => Class::Local,
            (Class::Cpp, Preprocessing::Merge | Preprocessing::Already) => Class::Both,
            // Unresolved, it is the best that can be said.
            (Class::Native, _) => Class::Both,
            (other, _) => other,
        }
    }

    /// The name under `/usr/bin` in the toolchain.
    pub fn remote_compiler(&self) -> &'static str {
        match (self.family, self.language) {
            (Family::Clang, _) => "clang",
            (Family::Gcc, Language::Cxx) => "g++",
            (Family::Gcc, _) => "gcc",
        }
    }

    /// Whether what the remote compiler prints on success or failure is, byte for byte, what the local one would print. GCC quotes lines of source
    /// files that are not there; Clang quotes the text it was sent, which is the user's only while macros were left alone.
    pub fn remote_text_is_exact(&self) -> bool {
        self.family == Family::Clang && self.preprocessing == Preprocessing::Merge
    }

    /// Whether GCC was told to quote no source lines, which are all its messages lack elsewhere. The analyser quotes them nevertheless.
    pub fn is_without_carets(&self) -> bool {
        const CARETS: [(&str, bool); 3] = [
            ("-fdiagnostics-show-caret", true),
            ("-fno-diagnostics-show-caret", false),
            ("-fdiagnostics-plain-output", false),
        ];
        let last = self
            .words
            .iter()
            .rev()
            .find_map(|word| CARETS.iter().find(|(name, _)| word.text == *name));
        self.family == Family::Gcc
            && self.preprocessing == Preprocessing::Merge
            && last.is_some_and(|&(_, carets)| !carets)
            && !self
                .words
                .iter()
                .any(|word| word.text.as_bytes().starts_with(b"-fanalyzer"))
    }

    /// Where the split debug information goes: the output with its last suffix replaced.
    pub fn dwo_file(&self) -> OsString {
        replace_suffix(&self.output, "dwo")
    }

    /// The name the job is known by in the scheduler, before it is shortened: words and source path as one long pseudo path.
    pub fn display_name(&self, working_directory: &Path) -> OsString {
        let mut name = OsString::new();
        for word in self.remote_only_words().iter().chain(&self.rest_words()) {
            name.push("/");
            name.push(word);
        }
        let source = working_directory.join(&self.input);
        if !source.as_os_str().as_bytes().starts_with(b"/") {
            name.push("/");
        }
        name.push(source);
        name
    }
}

/// Replaces what follows the last dot of the last component, or adds a suffix if there is no dot. This is how both compilers name dependency files.
pub fn replace_suffix(path: &OsStr, suffix: &str) -> OsString {
    let bytes = path.as_bytes();
    let name = base_name(path);
    let stem = name.iter().rposition(|&b| b == b'.').unwrap_or(name.len());
    let keep = bytes.len() - name.len() + stem;
    let mut result = OsStr::from_bytes(bytes.get(..keep).unwrap_or(bytes)).to_owned();
    result.push(".");
    result.push(suffix);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependency_file_names_as_the_compilers_make_them() {
        // Watched with GCC 12 and Clang 14.
        for (output, expected) in [
            ("build/x.o", "build/x.d"),
            ("dir.d/foo", "dir.d/foo.d"),
            ("build/a.b.o", "build/a.b.d"),
            ("build/.hid", "build/.d"),
            ("y.s", "y.d"),
        ] {
            assert_eq!(replace_suffix(OsStr::new(output), "d"), expected);
        }
    }

    #[test]
    fn full_preprocessing_takes_macros_from_the_remote_words() {
        let plan = RemotePlan {
            family: Family::Gcc,
            language: Language::C,
            input: "x.c".into(),
            output: "x.o".into(),
            assembly: false,
            split_dwarf: false,
            preprocessing: Preprocessing::Merge,
            default_target: None,
            words: vec![
                Word::new("-O2", Class::Both),
                Word::new("-DX", Class::Cpp),
                Word::new("-Iinc", Class::Local),
                Word::new("-c", Class::Remote),
            ],
            native: None,
            layout_warnings: false,
            names_options: false,
            producer: None,
            extra_files: Vec::new(),
            arg_flags: 0,
        };
        assert_eq!(
            plan.remote_words(),
            ["-O2", "-DX", "-c", "-fdirectives-only"]
        );
        assert_eq!(plan.remote_only_words(), ["-c", "-fdirectives-only"]);
        assert_eq!(plan.rest_words(), ["-O2", "-DX"]);
        let full = plan.with_full_preprocessing();
        assert_eq!(full.remote_words(), ["-O2", "-c"]);
        assert_eq!(
            full.preprocessor_words(),
            ["-O2", "-DX", "-Iinc", "-E", "x.c"]
        );
        assert_eq!(
            plan.display_name(Path::new("/home/u")),
            "/-c/-fdirectives-only/-O2/-DX/home/u/x.c"
        );
    }

    #[test]
    fn the_last_word_on_carets_counts() {
        let plan = |words: &[&str]| RemotePlan {
            family: Family::Gcc,
            language: Language::C,
            input: "x.c".into(),
            output: "x.o".into(),
            assembly: false,
            split_dwarf: false,
            preprocessing: Preprocessing::Merge,
            default_target: None,
            words: words
                .iter()
                .map(|word| Word::new(*word, Class::Both))
                .collect(),
            native: None,
            layout_warnings: false,
            names_options: false,
            producer: None,
            extra_files: Vec::new(),
            arg_flags: 0,
        };
        let (on, off) = ("-fdiagnostics-show-caret", "-fno-diagnostics-show-caret");
        assert!(!plan(&[]).is_without_carets());
        assert!(plan(&[on, off]).is_without_carets());
        assert!(!plan(&[off, on]).is_without_carets());
        assert!(!plan(&[off, "-fanalyzer"]).is_without_carets());
        assert!(!plan(&[off]).with_full_preprocessing().is_without_carets());
    }
}
