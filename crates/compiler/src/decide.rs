//! Reads a compiler command line and decides whether the job may travel.
//!
//! The decision is made in one pass over the words with the tables of [`crate::flags`], followed by checks of what the words add up to. The first obstacle
//! is the reason given, but the pass goes on, because a local job still needs its output name and whether it fills the whole machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::assembler;
use crate::configure;
use crate::flags::{self, Class, Effect, Value};
use crate::names::{Family, Language, base_name};
use crate::plan::{Preprocessing, RemotePlan, Word, replace_suffix};
use crate::settings::Settings;
use crate::{FileKind, Files, LocalReason};

/// The compiler a command line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// Whose options these are.
    pub family: Family,
    /// Whether the driver takes `.c` for C++.
    pub cxx: bool,
    /// Clang only: what it compiles for when no `-target` is given.
    pub default_target: Option<String>,
}

/// Where a job may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On another machine, in this way.
    Remote(Box<RemotePlan>),
    /// Here.
    Local(LocalReason),
}

/// The outcome of reading one command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where the job may run.
    pub verdict: Verdict,
    /// A link that uses all processors.
    pub full_job: bool,
    /// The output, if the command line tells.
    pub output: Option<OsString>,
    /// The source, if the command line tells.
    pub input: Option<OsString>,
}

/// Reads `words` (without the program name, response files expanded).
pub fn decide(
    compiler: &Compiler,
    words: &[OsString],
    settings: &Settings,
    files: &dyn Files,
) -> Decision {
    let mut pass = Pass::new(compiler, settings, files);
    pass.read(words);
    let plan = pass.plan();
    let full_job = pass.full_job();
    Decision {
        verdict: match plan {
            Ok(plan) => Verdict::Remote(Box::new(plan)),
            Err(reason) => Verdict::Local(reason),
        },
        full_job,
        output: pass.output,
        input: pass.inputs.into_iter().next(),
    }
}

/// What has been seen so far.
struct Pass<'a> {
    compiler: &'a Compiler,
    settings: &'a Settings,
    files: &'a dyn Files,
    obstacle: Option<LocalReason>,
    words: Vec<Word>,
    inputs: Vec<OsString>,
    output: Option<OsString>,
    several_outputs: bool,
    compile: bool,
    assembly: bool,
    only_preprocess: bool,
    language: Option<Language>,
    input_before_language: bool,
    dependencies: bool,
    dependency_file: bool,
    dependency_target: bool,
    dependency_list: bool,
    split_dwarf: bool,
    unused_macros: bool,
    expand_for_gcc: bool,
    target_given: bool,
    architecture: Option<OsString>,
    parallel_lto: bool,
    colours_chosen: bool,
    extra_files: Vec<PathBuf>,
    arg_flags: u32,
}

impl<'a> Pass<'a> {
    fn new(compiler: &'a Compiler, settings: &'a Settings, files: &'a dyn Files) -> Pass<'a> {
        Pass {
            compiler,
            settings,
            files,
            obstacle: settings
                .meddling_variable
                .then_some(LocalReason::Environment),
            words: Vec::new(),
            inputs: Vec::new(),
            output: None,
            several_outputs: false,
            compile: false,
            assembly: false,
            only_preprocess: false,
            language: None,
            input_before_language: false,
            dependencies: false,
            dependency_file: false,
            dependency_target: false,
            dependency_list: false,
            split_dwarf: false,
            unused_macros: false,
            expand_for_gcc: false,
            target_given: false,
            architecture: None,
            parallel_lto: false,
            colours_chosen: false,
            extra_files: Vec::new(),
            arg_flags: 0,
        }
    }

    fn block(&mut self, reason: LocalReason) {
        self.obstacle.get_or_insert(reason);
    }

    fn add(&mut self, text: &OsStr, class: Class) {
        self.words.push(Word::new(text, class));
    }

    fn read(&mut self, words: &[OsString]) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            self.note_level(word);
            match word.as_bytes().first() {
                Some(b'-') => {}
                Some(b'@') => {
                    self.block(LocalReason::ResponseFile);
                    continue;
                }
                _ => {
                    self.inputs.push(word.clone());
                    continue;
                }
            }
            let rule = flags::lookup(word);
            let value = match rule.value {
                Value::Inside => None,
                Value::Next => match words.next() {
                    Some(value) => Some(value.as_os_str()),
                    None => {
                        self.block(LocalReason::MissingValue);
                        self.add(word, Class::Both);
                        continue;
                    }
                },
            };
            let joined = value.is_none().then(|| {
                OsStr::from_bytes(word.as_bytes().get(rule.name.len()..).unwrap_or_default())
            });
            self.apply(rule.effect, word, value, joined);
        }
    }

    /// One option: `word`, with its separate `value` or, joined, what follows the name of the rule.
    fn apply(
        &mut self,
        effect: Effect,
        word: &OsStr,
        value: Option<&OsStr>,
        joined: Option<&OsStr>,
    ) {
        let argument = value.or(joined).unwrap_or_default();
        let mut class = Class::Both;
        match effect {
            Effect::Class(given) => class = given,
            Effect::Local(reason) => {
                self.only_preprocess |= reason == LocalReason::PreprocessOnly;
                self.block(reason);
                class = Class::Local;
            }
            Effect::Compile => {
                self.compile = true;
                return;
            }
            Effect::Assembly => {
                self.assembly = true;
                return;
            }
            Effect::Output => {
                if argument == "-" {
                    self.block(LocalReason::OutputIsStandardOutput);
                }
                self.several_outputs |= self.output.replace(argument.to_owned()).is_some();
                return;
            }
            Effect::Language => self.set_language(argument),
            Effect::Dependencies => {
                self.dependencies = true;
                class = Class::Local;
            }
            Effect::DependencyFile => {
                if argument == "-" {
                    self.block(LocalReason::DependencyOption);
                }
                self.dependency_file = true;
                class = Class::Local;
            }
            Effect::DependencyTarget => {
                self.dependency_target = true;
                class = Class::Local;
            }
            Effect::PreprocessorList => class = self.preprocessor_list(argument),
            Effect::AssemblerList => {
                self.assembler_list(word, argument);
                return;
            }
            Effect::Include => {
                self.check_precompiled(argument);
                class = Class::Local;
            }
            Effect::IncludeMacros => {
                if self.compiler.family == Family::Clang {
                    self.block(LocalReason::PreprocessorOption);
                }
                class = Class::Local;
            }
            Effect::SearchPath => {
                if argument.as_bytes().starts_with(b"-O") {
                    self.block(LocalReason::LocalOption);
                }
                class = Class::Local;
            }
            Effect::SplitDwarf => self.split_dwarf = true,
            Effect::UnusedMacros(on) => self.unused_macros = on,
            Effect::ExpandForGcc => self.expand_for_gcc = true,
            Effect::SendFile => {
                self.send_file(word, argument);
                return;
            }
            Effect::Target => self.target_given = true,
            Effect::Architecture => {
                let other = self.architecture.replace(argument.to_owned());
                if other.is_some_and(|other| other != argument) {
                    self.block(LocalReason::MultipleArchitectures);
                }
            }
            Effect::Lto => {
                self.parallel_lto = match self.compiler.family {
                    Family::Clang => true,
                    Family::Gcc => !matches!(argument.as_bytes(), b"" | b"=1"),
                }
            }
            Effect::ColourChosen => self.colours_chosen = true,
            Effect::ColourAuto => {
                self.colours_chosen = false;
                return;
            }
        }
        self.add(word, class);
        if let Some(value) = value {
            self.add(value, class);
        }
    }

    fn set_language(&mut self, name: &OsStr) {
        self.input_before_language |= !self.inputs.is_empty();
        self.language = match name.as_bytes() {
            b"c" => Some(Language::C),
            b"c++" => Some(Language::Cxx),
            b"objective-c" => Some(Language::ObjectiveC),
            b"objective-c++" => Some(Language::ObjectiveCxx),
            _ => {
                self.block(LocalReason::UnsupportedLanguage);
                None
            }
        };
    }

    /// `-Wp,A,B`: dependencies in the way of the Linux kernel, or macros.
    fn preprocessor_list(&mut self, list: &OsStr) -> Class {
        let parts: Vec<&[u8]> = list.as_bytes().split(|&b| b == b',').collect();
        match parts.as_slice() {
            [b"-MD" | b"-MMD", file] if !file.is_empty() && *file != b"-" => {
                if self.dependency_list {
                    self.block(LocalReason::DependencyOption);
                }
                self.dependency_list = true;
                Class::Local
            }
            [b"-MT" | b"-MQ", _] if self.compiler.family == Family::Gcc => Class::Local,
            [b"-MP"] => Class::Local,
            [single] if single.starts_with(b"-D") || single.starts_with(b"-U") => Class::Cpp,
            _ => {
                self.block(LocalReason::PreprocessorOption);
                Class::Local
            }
        }
    }

    /// `-Wa,A,B`: only what is known to change nothing but the object may travel.
    fn assembler_list(&mut self, word: &OsStr, list: &OsStr) {
        let regular = |path: &Path| self.files.kind(path) == FileKind::Regular;
        let read = assembler::read(list, |file| self.absolute(file), regular);
        if !read.harmless {
            self.block(LocalReason::AssemblerOption);
        }
        self.words.push(Word {
            text: word.to_owned(),
            remote_text: (!read.files.is_empty()).then_some(read.word),
            class: Class::Remote,
        });
        self.extra_files.extend(read.files);
    }

    /// A data file named inside the word: sent along under its absolute name.
    fn send_file(&mut self, word: &OsStr, file: &OsStr) {
        let absolute = self.absolute(file);
        if self.files.kind(&absolute) != FileKind::Regular {
            self.block(LocalReason::MissingFile);
        }
        let name = word.as_bytes().len() - file.as_bytes().len();
        let mut remote =
            OsStr::from_bytes(word.as_bytes().get(..name).unwrap_or_default()).to_owned();
        remote.push(&absolute);
        self.words.push(Word {
            text: word.to_owned(),
            remote_text: Some(remote),
            class: Class::Both,
        });
        self.extra_files.push(absolute);
    }

    /// The name a file has inside a toolchain: absolute and without `..`, which would need folders that are not there.
    fn absolute(&self, file: &OsStr) -> PathBuf {
        let mut path = PathBuf::new();
        for part in self.settings.working_directory.join(file).components() {
            match part {
                Component::ParentDir => {
                    path.pop();
                }
                Component::CurDir => {}
                other => path.push(other),
            }
        }
        path
    }

    /// Clang turns `-include x.h` into the use of `x.h.pch` or `x.h.gch` beside it; GCC does so while compiling but not while preprocessing, which is the
    /// same as long as the header itself is there.
    fn check_precompiled(&mut self, header: &OsStr) {
        let precompiled = [".gch", ".pch"].iter().any(|suffix| {
            let mut name = header.to_owned();
            name.push(suffix);
            self.files.kind(Path::new(&name)) != FileKind::Missing
        });
        if precompiled
            && (self.compiler.family == Family::Clang
                || self.files.kind(Path::new(header)) != FileKind::Regular)
        {
            self.block(LocalReason::PrecompiledHeader);
        }
    }

    /// Hints for the scheduler: bits 1 and 2 debug information, 4, 8 and 16 optimisation.
    fn note_level(&mut self, word: &OsStr) {
        let bytes = word.as_bytes();
        if bytes.starts_with(b"-g3") {
            self.arg_flags = (self.arg_flags & !1) | 2;
        } else if bytes.starts_with(b"-g") {
            self.arg_flags = (self.arg_flags & !2) | 1;
        } else if bytes.starts_with(b"-O") {
            self.arg_flags &= !(4 | 8 | 16);
            self.arg_flags |= match bytes.get(2) {
                None | Some(b'1') => 4,
                Some(b'2') => 8,
                Some(b'0') => 0,
                Some(_) => 16,
            };
        }
    }

    /// A link with link-time optimisation spreads over all processors by itself.
    fn full_job(&self) -> bool {
        self.parallel_lto && !self.compile && !self.assembly && !self.only_preprocess
    }

    /// Adds everything up.
    fn plan(&mut self) -> Result<RemotePlan, LocalReason> {
        if !self.compile && !self.assembly {
            return Err(match self.obstacle {
                Some(
                    reason @ (LocalReason::PreprocessOnly
                    | LocalReason::DriverQuery
                    | LocalReason::DependencyOption
                    | LocalReason::LocalOption),
                ) => reason,
                _ => LocalReason::NoCompileStep,
            });
        }
        if let Some(reason) = self.obstacle {
            return Err(reason);
        }
        let input = match self.inputs.as_slice() {
            [] => return Err(LocalReason::NoInput),
            [input] => input.clone(),
            _ => return Err(LocalReason::MultipleInputs),
        };
        if self.input_before_language {
            return Err(LocalReason::UnsupportedLanguage);
        }
        if configure::is_probe(
            &input,
            self.output.as_deref(),
            &self.settings.working_directory,
        ) {
            return Err(LocalReason::ConfigureProbe);
        }
        let suffix = suffix(&input);
        let language = self.input_language(suffix)?;
        if self.compiler.family == Family::Gcc
            && matches!(language, Language::ObjectiveC | Language::ObjectiveCxx)
        {
            return Err(LocalReason::UnsupportedLanguage);
        }
        let already = self.language.is_none() && matches!(suffix, Some(b"i" | b"ii"));
        if already && self.compiler.family == Family::Clang {
            return Err(LocalReason::UnsupportedLanguage);
        }
        let output_given = self.output.is_some();
        let output = self.output.get_or_insert_with(|| {
            let name = OsStr::from_bytes(base_name(&input));
            replace_suffix(name, if self.assembly { "s" } else { "o" })
        });
        let output = output.clone();
        if !matches!(
            self.files.kind(Path::new(&output)),
            FileKind::Missing | FileKind::Regular
        ) || output.is_empty()
        {
            return Err(LocalReason::OutputNotRegular);
        }
        if self.compiler.family == Family::Clang
            && !self.target_given
            && self.compiler.default_target.is_none()
        {
            return Err(LocalReason::CompilerUnknown);
        }
        // GCC derives names for other programs from all of them at once, which then refuse.
        let derives = self.dependencies || self.dependency_list || self.split_dwarf;
        if self.several_outputs && derives {
            return Err(LocalReason::SideFiles);
        }
        // Clang leaves an empty file for the debug information beside its assembly.
        if self.split_dwarf && self.assembly && self.compiler.family == Family::Clang {
            return Err(LocalReason::SideFiles);
        }
        let mode = if self.assembly { "-S" } else { "-c" };
        self.add(OsStr::new(mode), Class::Remote);
        self.add_dependency_words(&output, output_given, already)?;
        self.add_colours();
        let full = self.settings.full_preprocessing
            || self.unused_macros
            || (self.expand_for_gcc && self.compiler.family == Family::Gcc);
        Ok(RemotePlan {
            family: self.compiler.family,
            language,
            input,
            output,
            assembly: self.assembly,
            split_dwarf: self.split_dwarf && !self.assembly,
            preprocessing: match (already, full) {
                (true, _) => Preprocessing::Already,
                (false, true) => Preprocessing::Full,
                (false, false) => Preprocessing::Merge,
            },
            default_target: match self.compiler.family {
                Family::Clang if !self.target_given => self.compiler.default_target.clone(),
                _ => None,
            },
            words: std::mem::take(&mut self.words),
            extra_files: std::mem::take(&mut self.extra_files),
            arg_flags: self.arg_flags,
        })
    }

    fn input_language(&self, suffix: Option<&[u8]>) -> Result<Language, LocalReason> {
        if let Some(language) = self.language {
            return Ok(language);
        }
        let driver = if self.compiler.cxx {
            Language::Cxx
        } else {
            Language::C
        };
        match suffix {
            Some(b"c" | b"i") => Ok(driver),
            Some(b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii") => Ok(Language::Cxx),
            Some(b"m") => Ok(Language::ObjectiveC),
            Some(b"mm" | b"M") => Ok(Language::ObjectiveCxx),
            Some(
                b"s" | b"S" | b"sx" | b"ads" | b"adb" | b"f" | b"for" | b"FOR" | b"F" | b"fpp"
                | b"FPP" | b"r" | b"mi" | b"mii",
            ) => Err(LocalReason::UnsupportedLanguage),
            Some(_) | None => Err(LocalReason::UnknownSuffix),
        }
    }

    /// The preprocessor runs without `-o`, so the names a driver would derive from it are spelled out.
    fn add_dependency_words(
        &mut self,
        output: &OsStr,
        output_given: bool,
        already: bool,
    ) -> Result<(), LocalReason> {
        let wanted = self.dependencies || self.dependency_list;
        if (wanted && already) || (self.dependencies && self.dependency_list) {
            return Err(LocalReason::DependencyOption);
        }
        if !wanted {
            let stray = self.dependency_file || self.dependency_target;
            return if stray {
                Err(LocalReason::DependencyOption)
            } else {
                Ok(())
            };
        }
        if self.dependency_list && self.dependency_file {
            return Err(LocalReason::DependencyOption);
        }
        if self.dependencies && !self.dependency_file {
            self.add(OsStr::new("-MF"), Class::Local);
            self.add(&replace_suffix(output, "d"), Class::Local);
        }
        // GCC's driver does not look into -Wp, and leaves the target to the preprocessor, which knows no output; Clang's driver does look.
        let driver_names_target = self.dependencies || self.compiler.family == Family::Clang;
        if driver_names_target && output_given && !self.dependency_target {
            self.add(OsStr::new("-MQ"), Class::Local);
            self.add(output, Class::Local);
        }
        Ok(())
    }

    /// Clang's own words reach the user from a machine without a terminal, so colours are asked for. GCC's never do (it is run again here).
    fn add_colours(&mut self) {
        if self.settings.colours && !self.colours_chosen && self.compiler.family == Family::Clang {
            self.add(OsStr::new("-fcolor-diagnostics"), Class::Both);
        }
    }
}

/// What follows the last dot of the last component.
fn suffix(path: &OsStr) -> Option<&[u8]> {
    let name = base_name(path);
    let dot = name.iter().rposition(|&b| b == b'.')?;
    name.get(dot + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    struct Names(&'static [&'static str]);

    impl Files for Names {
        fn kind(&self, path: &Path) -> FileKind {
            match path.to_str() {
                Some("/dev/null") => FileKind::Other,
                Some(name) if self.0.contains(&name.trim_start_matches("/home/u/")) => {
                    FileKind::Regular
                }
                _ => FileKind::Missing,
            }
        }
        fn read(&self, _path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn verdict_with(family: Family, line: &str, files: &'static [&'static str]) -> Verdict {
        let compiler = Compiler {
            family,
            cxx: false,
            default_target: Some("t".to_owned()),
        };
        let settings =
            Settings::from_environment(|_| None, family, false, PathBuf::from("/home/u"));
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        decide(&compiler, &words, &settings, &Names(files)).verdict
    }

    fn remote(family: Family, line: &str) -> RemotePlan {
        match verdict_with(family, line, &["list.txt", "macros.s"]) {
            Verdict::Remote(plan) => *plan,
            Verdict::Local(reason) => panic!("{line}: {reason}"),
        }
    }

    fn local(family: Family, line: &str) -> LocalReason {
        match verdict_with(family, line, &["x.h", "x.h.gch", "list.txt"]) {
            Verdict::Local(reason) => reason,
            Verdict::Remote(_) => panic!("{line}: remote"),
        }
    }

    #[test]
    fn dependency_target_is_the_output_as_given() {
        let words = |family, line| remote(family, line).preprocessor_words();
        let gcc = Family::Gcc;
        assert_eq!(
            words(gcc, "-MD -c src/a.c -o build/a.o")[..5],
            ["-MD", "-MF", "build/a.d", "-MQ", "build/a.o"]
        );
        assert_eq!(
            words(gcc, "-MMD -c src/a.c")[..4],
            ["-MMD", "-MF", "a.d", "-E"]
        );
        assert_eq!(
            words(gcc, "-MD -MT t -c a.c -o b/a.o")[..6],
            ["-MD", "-MT", "t", "-MF", "b/a.d", "-E"]
        );
        assert_eq!(
            words(gcc, "-Wp,-MMD,.a.d -c a.c -o b/a.o")[..2],
            ["-Wp,-MMD,.a.d", "-E"]
        );
        assert_eq!(
            words(Family::Clang, "-Wp,-MD,.a.d -c a.c -o b/a.o")[..4],
            ["-Wp,-MD,.a.d", "-MQ", "b/a.o", "-E"]
        );
    }

    #[test]
    fn side_files_stay_here() {
        for line in [
            "-save-temps=obj",
            "-fstack-usage",
            "-fcallgraph-info=su",
            "-fsave-optimization-record",
            "-ftime-trace=x.json",
            "--coverage",
            "-fprofile-generate=/p",
            "-fdump-tree-all",
            "-fcoverage-mapping",
            "--serialize-diagnostics d.dia",
            "-gsplit-dwarf=single",
            "-Wa,-al=x,--noexecstack",
            "-fmodules-ts",
            "-MF -",
            "-Wp,-MD,-",
        ] {
            for family in [Family::Gcc, Family::Clang] {
                local(family, &format!("-c x.c -o x.o {line}"));
            }
        }
    }

    #[test]
    fn outputs_that_a_driver_handles_oddly_stay_here() {
        for line in ["-MD", "-gsplit-dwarf", "-Wp,-MD,d"] {
            assert_eq!(
                local(Family::Gcc, &format!("-c x.c -o a.o -o b.o {line}")),
                LocalReason::SideFiles
            );
        }
        assert_eq!(
            local(Family::Clang, "-S x.c -g -gsplit-dwarf"),
            LocalReason::SideFiles
        );
        assert!(!remote(Family::Gcc, "-S x.c -g -gsplit-dwarf").split_dwarf);
    }

    #[test]
    fn meddling_environment_is_local() {
        let settings = Settings::from_environment(
            |name| (name == "COMPILER_PATH").then(OsString::new),
            Family::Gcc,
            false,
            PathBuf::from("/"),
        );
        assert!(settings.meddling_variable);
    }

    #[test]
    fn precompiled_headers() {
        assert_eq!(
            local(Family::Clang, "-include x.h -c a.c"),
            LocalReason::PrecompiledHeader
        );
        assert_eq!(
            local(Family::Gcc, "-include-pch x.h -c a.c"),
            LocalReason::PrecompiledHeader
        );
    }

    #[test]
    fn macros_that_clang_does_not_merge_stay_here() {
        for line in ["-imacros x.h -c a.c", "-imacrosx.h -c a.c"] {
            assert_eq!(local(Family::Clang, line), LocalReason::PreprocessorOption);
            assert!(
                !remote(Family::Gcc, line)
                    .remote_words()
                    .iter()
                    .any(|w| w == "x.h")
            );
        }
    }

    #[test]
    fn pragmas_that_merging_drops_are_expanded_here() {
        for line in ["-fopenmp", "-fopenmp-simd", "-fopenacc", "-fopenacc-dim=2"] {
            let line = format!("{line} -c a.c");
            assert_eq!(
                remote(Family::Gcc, &line).preprocessing,
                Preprocessing::Full
            );
            assert_eq!(
                remote(Family::Clang, &line).preprocessing,
                Preprocessing::Merge
            );
        }
    }

    #[test]
    fn the_language_option_must_come_first() {
        assert_eq!(
            local(Family::Gcc, "-c x -x c -o x.o"),
            LocalReason::UnsupportedLanguage
        );
        assert_eq!(
            remote(Family::Gcc, "-xc++ -c foo.c").language,
            Language::Cxx
        );
        assert_eq!(
            local(Family::Gcc, "-xassembler-with-cpp -c foo.c"),
            LocalReason::UnsupportedLanguage
        );
    }

    #[test]
    fn files_sent_along_get_absolute_names_remotely_only() {
        let plan = remote(
            Family::Clang,
            "-fsanitize-ignorelist=list.txt -Wa,--defsym,A=1,macros.s -c foo.c",
        );
        assert_eq!(
            plan.remote_words()[..2],
            [
                "-fsanitize-ignorelist=/home/u/list.txt",
                "-Wa,--defsym,A=1,/home/u/macros.s"
            ]
        );
        assert_eq!(
            plan.preprocessor_words()[0],
            "-fsanitize-ignorelist=list.txt"
        );
        assert_eq!(plan.extra_files.len(), 2);
    }

    #[test]
    fn colours_only_for_clang_on_a_terminal() {
        let settings = |terminal| {
            Settings::from_environment(
                |name| (name == "TERM").then(|| OsString::from("xterm")),
                Family::Clang,
                terminal,
                PathBuf::from("/"),
            )
        };
        assert!(settings(true).colours);
        assert!(!settings(false).colours);
    }
}
