//! Reads a compiler command line and decides whether the job may travel.
//!
//! The decision is made in one pass over the words with the tables of [`crate::flags`], followed by checks of what the words add up to. The first obstacle
//! is the reason given, but the pass goes on, because a local job still needs its output name and whether it fills the whole machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::assembler::{AssemblerWords, Part};
use crate::flags::{self, Class, Effect, Value};
use crate::inputs::{self, Input, InputRole};
use crate::names::{Family, Language};
use crate::native::Native;
use crate::outputs::{self, Kind, Output, Requests, Stage};
use crate::plan::{RemotePlan, Word};
use crate::settings::Settings;
use crate::{FileKind, Files, LocalReason};

mod frontend;
mod planning;
mod subject;

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
    /// What the reason of a local job is about, as typed: an option, a variable or a file, if it is about one.
    pub subject: Option<OsString>,
    /// A link that uses all processors.
    pub full_job: bool,
    /// The output, if the command line tells.
    pub output: Option<OsString>,
    /// The source, if the command line tells.
    pub input: Option<OsString>,
    /// Every file the command will create, the main one first.
    pub outputs: Vec<Output>,
    /// Every file the command reads besides headers, sources first.
    pub inputs: Vec<Input>,
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
    let outputs = pass.outputs();
    let plan = pass.plan();
    let subject = match &plan {
        Ok(_) => None,
        Err(reason) => pass.subject(*reason, words),
    };
    let full_job = pass.full_job();
    let mut inputs = Vec::with_capacity(pass.inputs.len() + pass.option_inputs.len());
    inputs.extend(
        pass.inputs
            .iter()
            .map(|(name, _)| Input::new(InputRole::Source, name)),
    );
    inputs.append(&mut pass.option_inputs);
    Decision {
        verdict: match plan {
            Ok(plan) => Verdict::Remote(Box::new(plan)),
            Err(reason) => Verdict::Local(reason),
        },
        subject,
        full_job,
        output: pass.output,
        input: pass.inputs.into_iter().next().map(|(name, _)| name),
        outputs,
        inputs,
    }
}

/// What has been seen so far.
struct Pass<'a> {
    compiler: &'a Compiler,
    settings: &'a Settings,
    files: &'a dyn Files,
    obstacle: Option<LocalReason>,
    /// Number of the word that is one; of a variable there is none.
    obstacle_at: Option<usize>,
    /// Number of the word that is looked at.
    at: Option<usize>,
    words: Vec<Word>,
    inputs: Vec<(OsString, Kind)>,
    option_inputs: Vec<Input>,
    requests: Requests,
    output: Option<OsString>,
    several_outputs: bool,
    compile: bool,
    assembly: bool,
    only_preprocess: bool,
    only_check: bool,
    language: Option<Language>,
    /// The last `-x`, unless it was `none`.
    named_kind: Option<Kind>,
    input_before_language: bool,
    dependencies: bool,
    dependency_file: bool,
    dependency_target: bool,
    dependency_list: bool,
    precompiled: bool,
    split_dwarf: bool,
    unused_macros: bool,
    expand_for_gcc: bool,
    target_given: bool,
    architecture: Option<OsString>,
    parallel_lto: bool,
    lto: bool,
    colours_chosen: bool,
    layout_warnings: bool,
    no_warnings: bool,
    native: Native,
    frontend_value: bool,
    assembler: AssemblerWords,
    extra_files: Vec<PathBuf>,
    arg_flags: u32,
}

impl<'a> Pass<'a> {
    fn new(compiler: &'a Compiler, settings: &'a Settings, files: &'a dyn Files) -> Pass<'a> {
        Pass {
            compiler,
            settings,
            files,
            obstacle: settings.meddling_variable.map(|_| LocalReason::Environment),
            obstacle_at: None,
            at: None,
            words: Vec::new(),
            inputs: Vec::new(),
            option_inputs: Vec::new(),
            requests: Requests::default(),
            output: None,
            several_outputs: false,
            compile: false,
            assembly: false,
            only_preprocess: false,
            only_check: false,
            language: None,
            named_kind: None,
            input_before_language: false,
            dependencies: false,
            dependency_file: false,
            dependency_target: false,
            dependency_list: false,
            precompiled: false,
            split_dwarf: false,
            unused_macros: false,
            expand_for_gcc: false,
            target_given: false,
            architecture: None,
            parallel_lto: false,
            lto: false,
            colours_chosen: false,
            layout_warnings: compiler.family == Family::Clang,
            no_warnings: false,
            native: Native::default(),
            frontend_value: false,
            assembler: AssemblerWords::default(),
            extra_files: Vec::new(),
            arg_flags: 0,
        }
    }

    fn block(&mut self, reason: LocalReason) {
        if self.obstacle.is_none() {
            self.obstacle = Some(reason);
            self.obstacle_at = self.at;
        }
    }

    fn add(&mut self, text: &OsStr, class: Class) {
        self.words.push(Word::new(text, class));
    }

    fn read(&mut self, words: &[OsString]) {
        let mut words = words.iter().enumerate();
        while let Some((at, word)) = words.next() {
            self.at = Some(at);
            self.note_level(word);
            match word.as_bytes().first() {
                Some(b'-') => {}
                Some(b'@') => {
                    self.block(LocalReason::ResponseFile);
                    continue;
                }
                _ => {
                    let kind = self
                        .named_kind
                        .unwrap_or_else(|| Kind::of_file(word, self.compiler.cxx));
                    self.inputs.push((word.clone(), kind));
                    continue;
                }
            }
            let rule = flags::lookup(word);
            let value = match rule.value {
                Value::Inside => None,
                Value::Next => match words.next() {
                    Some((_, value)) => Some(value.as_os_str()),
                    None => {
                        self.block(LocalReason::MissingValue);
                        self.add(word, Class::Both);
                        continue;
                    }
                },
            };
            self.requests.note(word, value);
            self.option_inputs.extend(inputs::of_option(word, value));
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
                self.only_check |= word == "-fsyntax-only";
                if word == "-" {
                    let kind = self.named_kind.unwrap_or(Kind::Linker);
                    self.inputs.push((word.to_owned(), kind));
                }
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
            Effect::PreprocessorWord => class = self.preprocessor_word(argument),
            Effect::AssemblerWord => {
                self.assembler_word(word, argument);
                return;
            }
            Effect::FrontendWord => class = self.frontend_word(argument),
            Effect::BackendWord => {
                if !frontend::is_harmless_backend_word(argument.as_bytes()) {
                    self.block(LocalReason::LocalOption);
                }
            }
            Effect::Native => {
                self.native.note(word);
                class = Class::Native;
            }
            Effect::CompilationDirectory => {
                self.add(word, Class::Both);
                if let Some(value) = value {
                    self.add(value, Class::Both);
                }
                // The worker names its own folder to the front end after what the driver says, so this is said once more.
                for text in [
                    OsStr::new("-Xclang"),
                    OsStr::new("-fdebug-compilation-dir"),
                    OsStr::new("-Xclang"),
                    argument,
                ] {
                    self.add(text, Class::Remote);
                }
                if self.compiler.family == Family::Gcc {
                    self.block(LocalReason::UnknownOption);
                }
                return;
            }
            Effect::TraceIncludes => {
                if self.compiler.family == Family::Clang {
                    self.block(LocalReason::PreprocessorOption);
                }
                class = Class::Local;
            }
            Effect::Layout(on) => self.layout_warnings = on,
            Effect::NoWarnings => self.no_warnings = true,
            Effect::Machine => self.native.note_other(word),
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
            Effect::SplitDwarf(on) => {
                // GCC knows no value here and says so.
                if word == "-gsplit-dwarf=split" && self.compiler.family == Family::Gcc {
                    self.block(LocalReason::UnknownOption);
                }
                self.split_dwarf = on;
            }
            Effect::UnusedMacros(on) => self.unused_macros = on,
            Effect::ExpandForGcc => self.expand_for_gcc = true,
            Effect::SendFile => {
                self.send_file(word, argument);
                return;
            }
            Effect::Target => {
                self.target_given = true;
                self.native.note_target(word, value);
            }
            Effect::Architecture => {
                let other = self.architecture.replace(argument.to_owned());
                if other.is_some_and(|other| other != argument) {
                    self.block(LocalReason::MultipleArchitectures);
                }
            }
            Effect::Lto => {
                self.lto = true;
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
        self.named_kind = (name != "none").then(|| Kind::of_language(name.as_bytes()));
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

    /// `-Xpreprocessor A`: macros, and what libraries for OpenMP ask people to write for Clang.
    fn preprocessor_word(&mut self, word: &OsStr) -> Class {
        let bytes = word.as_bytes();
        if bytes.len() > 2 && (bytes.starts_with(b"-D") || bytes.starts_with(b"-U")) {
            return Class::Cpp;
        }
        if bytes != b"-fopenmp" || self.compiler.family == Family::Gcc {
            self.block(LocalReason::PreprocessorOption);
        }
        Class::Both
    }

    /// `-Wa,A,B`: only what is known to change nothing but the object may travel.
    fn assembler_list(&mut self, word: &OsStr, list: &OsStr) {
        let mut parts = AssemblerWords::default();
        let mut remote = OsString::from("-Wa");
        let mut changed = false;
        for part in list.as_bytes().split(|&b| b == b',') {
            remote.push(",");
            changed |= self.assembler_part(&mut parts, part, &mut remote);
        }
        // A comma in the name would make two of it.
        let commas = |text: &OsStr| text.as_bytes().iter().filter(|&&b| b == b',').count();
        if parts.is_unfinished() || commas(&remote) != commas(word) {
            self.block(LocalReason::AssemblerOption);
        }
        self.words.push(Word {
            text: word.to_owned(),
            remote_text: changed.then_some(remote),
            class: Class::Remote,
        });
    }

    /// `-Xassembler A`: like one part of a list, only that the value of an option comes in another such pair.
    fn assembler_word(&mut self, option: &OsStr, part: &OsStr) {
        let mut parts = std::mem::take(&mut self.assembler);
        let mut remote = OsString::new();
        let changed = self.assembler_part(&mut parts, part.as_bytes(), &mut remote);
        self.assembler = parts;
        self.add(option, Class::Remote);
        self.words.push(Word {
            text: part.to_owned(),
            remote_text: changed.then_some(remote),
            class: Class::Remote,
        });
    }

    /// Adds the part as the remote assembler gets it; true if that is different.
    fn assembler_part(
        &mut self,
        parts: &mut AssemblerWords,
        part: &[u8],
        remote: &mut OsString,
    ) -> bool {
        let text = OsStr::from_bytes(part);
        match parts.next(part) {
            Part::Harmless => remote.push(text),
            Part::File => {
                let file = self.absolute(text);
                if self.files.kind(&file) == FileKind::Regular {
                    self.option_inputs
                        .push(Input::new(InputRole::AssemblerFile, text));
                    remote.push(&file);
                    self.extra_files.push(file);
                    return true;
                }
                self.block(LocalReason::AssemblerOption);
            }
            Part::Unknown => self.block(LocalReason::AssemblerOption),
        }
        false
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
        self.precompiled |= precompiled;
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

    fn outputs(&self) -> Vec<Output> {
        let stage = if self.only_preprocess {
            Stage::Preprocess
        } else if self.only_check {
            Stage::Check
        } else if self.assembly {
            Stage::Assembly
        } else if self.compile {
            Stage::Object
        } else {
            Stage::Link
        };
        let job = outputs::Job {
            requests: &self.requests,
            stage,
            output: self.output.as_deref(),
            inputs: &self.inputs,
        };
        outputs::list(self.compiler.family, &job)
    }
}

#[cfg(test)]
mod tests;
