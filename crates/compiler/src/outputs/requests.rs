//! The words of a command line that ask for further files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Output, OutputRole, Temporaries};
use crate::assembler;
use crate::names::Family;

/// What was asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// `-MD`, `-MMD`.
    pub(super) dependencies: bool,
    /// `-M`, `-MM`: nothing but dependencies.
    pub(super) only_dependencies: bool,
    /// The last `-MF`.
    pub(super) dependency_file: Option<OsString>,
    /// The last `-Wp,-MD,FILE`.
    pub(super) listed_dependency_file: Option<OsString>,
    /// Debug information split off into a file of its own.
    pub(super) split: bool,
    pub(super) debug: bool,
    /// `-fdebug-macro`.
    macros: bool,
    /// `-g3`.
    most_debug: bool,
    /// The debug sections will be compressed.
    compressed: bool,
    /// The last version of DWARF asked for by number.
    dwarf: Option<u8>,
    pub(super) coverage: bool,
    pub(super) coverage_file: Option<OsString>,
    pub(super) stack_usage: bool,
    pub(super) call_graph: bool,
    pub(super) temporaries: Option<Temporaries>,
    pub(super) time_trace: bool,
    /// The suffix of the records.
    pub(super) record: Option<OsString>,
    pub(super) record_file: Option<OsString>,
    /// Suffixes of diagnostics in files beside the dumps.
    pub(super) diagnostics: Option<&'static str>,
    pub(super) dumps: bool,
    pub(super) final_instructions: bool,
    pub(super) statistics: Option<Temporaries>,
    pub(super) dump_folder: Option<OsString>,
    pub(super) dump_base: Option<OsString>,
    pub(super) dump_suffix: Option<OsString>,
    pub(super) bitcode: bool,
    pub(super) tree: bool,
    pub(super) analysis: bool,
    pub(super) module_beside_output: bool,
    pub(super) lto: bool,
    /// Files named outright.
    pub(super) named: Vec<Output>,
}

impl Requests {
    /// The object will have debug information.
    pub(crate) fn debug(&self) -> bool {
        self.debug
    }

    /// The debug information will be compressed.
    pub(crate) fn compressed_debug(&self) -> bool {
        self.debug && self.compressed
    }

    /// The debug information will tell how macros were defined.
    pub(crate) fn debug_macros(&self, family: Family) -> bool {
        self.debug
            && match family {
                Family::Gcc => self.most_debug,
                Family::Clang => self.macros,
            }
    }

    /// The debug information may be DWARF 5, as far as the words tell.
    pub(crate) fn modern_debug(&self) -> bool {
        self.debug && self.dwarf.is_none_or(|version| version >= 5)
    }

    /// One option with its separate value.
    pub(crate) fn note(&mut self, word: &OsStr, value: Option<&OsStr>) {
        let bytes = word.as_bytes();
        match bytes.get(1) {
            Some(b'M') => self.dependency(bytes, value),
            Some(b'W') => self.list(bytes),
            Some(b'X') => {
                if bytes == b"-Xassembler"
                    && let Some(value) = value
                {
                    self.assembler_word(value.as_bytes());
                }
            }
            Some(b'g') => self.debugging(bytes, value),
            Some(b'f') => self.feature(bytes),
            Some(b's') => self.saving(bytes, value),
            Some(b'-') => self.long(bytes, value),
            Some(b'd') => self.dumping(bytes, value),
            _ => self.other(bytes, value),
        }
    }

    fn dependency(&mut self, word: &[u8], value: Option<&OsStr>) {
        match word {
            b"-MD" | b"-MMD" => self.dependencies = true,
            b"-M" | b"-MM" => self.only_dependencies = true,
            b"-MF" => self.dependency_file = value.map(OsStr::to_owned),
            b"-MJ" => self.name(OutputRole::CompilationDatabase, value),
            _ => {
                if let Some(file) = word.strip_prefix(b"-MF") {
                    self.dependency_file = Some(owned(file));
                } else if let Some(file) = word.strip_prefix(b"-MJ") {
                    self.name(
                        OutputRole::CompilationDatabase,
                        Some(OsStr::from_bytes(file)),
                    );
                }
            }
        }
    }

    fn list(&mut self, word: &[u8]) {
        if let Some(list) = word.strip_prefix(b"-Wa,") {
            let mut parts = list.split(|&b| b == b',');
            while let Some(part) = parts.next() {
                if part == b"--MD" {
                    self.name(
                        OutputRole::Dependencies,
                        parts.next().map(OsStr::from_bytes),
                    );
                } else {
                    self.assembler_word(part);
                }
            }
        } else if let Some(list) = word.strip_prefix(b"-Wp,") {
            let mut parts = list.split(|&b| b == b',');
            while let Some(part) = parts.next() {
                match part {
                    b"-MD" | b"-MMD" => match parts.next() {
                        Some(file) => self.listed_dependency_file = Some(owned(file)),
                        None => self.dependencies = true,
                    },
                    b"-MF" => self.dependency_file = parts.next().map(owned),
                    _ => {}
                }
            }
        }
    }

    fn assembler_word(&mut self, word: &[u8]) {
        if word.starts_with(b"--compress-debug-sections") {
            self.compressed = !word.ends_with(b"=none");
        }
        if let Some(file) = assembler::listing_file(word) {
            self.name(OutputRole::Listing, Some(OsStr::from_bytes(file)));
        } else if let Some(file) = word.strip_prefix(b"--MD=") {
            self.name(OutputRole::Dependencies, Some(OsStr::from_bytes(file)));
        }
    }

    fn debugging(&mut self, word: &[u8], value: Option<&OsStr>) {
        if let [kind @ .., level @ b'0'..=b'9'] = word
            && !kind.ends_with(b"-")
        {
            self.most_debug = *level >= b'3';
        }
        match word {
            b"-gsplit-dwarf" | b"-gsplit-dwarf=split" => self.split = true,
            b"-gno-split-dwarf" | b"-gsplit-dwarf=single" => self.split = false,
            b"-g0" | b"-ggdb0" => self.debug = false,
            b"-gz=none" => self.compressed = false,
            b"-gstrict-dwarf"
            | b"-gcolumn-info"
            | b"-gas-loc-support"
            | b"-gas-locview-support"
            | b"-gvariable-location-views"
            | b"-gstatement-frontiers"
            | b"-ginline-points"
            | b"-gembed-source"
            | b"-gsimple-template-names"
            | b"-gdescribe-dies" => {}
            b"-gen-cdb-fragment-path" => {
                if let Some(folder) = value {
                    let mut start = folder.to_owned();
                    start.push("/");
                    self.named
                        .push(Output::pattern(OutputRole::CompilationDatabase, start));
                }
            }
            _ if word.starts_with(b"-gno-") || word.starts_with(b"-grecord") => {}
            _ if word.starts_with(b"-gz") => self.compressed = true,
            _ => {
                self.debug = true;
                if let Some([version @ b'1'..=b'9']) = word.strip_prefix(b"-gdwarf-") {
                    self.dwarf = Some(version - b'0');
                }
            }
        }
    }

    fn saving(&mut self, word: &[u8], value: Option<&OsStr>) {
        match word {
            b"-save-temps" => self.temporaries = Some(Temporaries::Usual),
            b"-save-temps=cwd" => self.temporaries = Some(Temporaries::WorkingDirectory),
            b"-save-temps=obj" => self.temporaries = Some(Temporaries::BesideOutput),
            b"-save-stats" | b"-save-stats=cwd" => {
                self.statistics = Some(Temporaries::WorkingDirectory);
            }
            b"-save-stats=obj" => self.statistics = Some(Temporaries::BesideOutput),
            b"-serialize-diagnostics" => self.name(OutputRole::Diagnostics, value),
            _ => {}
        }
    }

    fn long(&mut self, word: &[u8], value: Option<&OsStr>) {
        match word {
            b"--coverage" => self.coverage = true,
            b"--analyze" => self.analysis = true,
            b"--debug" => self.debug = true,
            b"--serialize-diagnostics" => self.name(OutputRole::Diagnostics, value),
            _ if word.starts_with(b"--save-temps") || word.starts_with(b"--save-stats") => {
                self.saving(word.get(1..).unwrap_or_default(), value);
            }
            _ => {}
        }
    }

    fn dumping(&mut self, word: &[u8], value: Option<&OsStr>) {
        match word {
            b"-dumpdir" => self.dump_folder = value.map(OsStr::to_owned),
            b"-dumpbase" => self.dump_base = value.map(OsStr::to_owned),
            b"-dumpbase-ext" => self.dump_suffix = value.map(OsStr::to_owned),
            b"-dependency-dot" => self.name(OutputRole::Dependencies, value),
            b"-dependency-file" => self.dependency_file = value.map(OsStr::to_owned),
            _ if word.starts_with(b"-dump") => {}
            _ => {
                self.dumps |= word
                    .get(2..)
                    .unwrap_or_default()
                    .iter()
                    .any(|letter| !b"pPADMNUIHvx".contains(letter));
            }
        }
    }

    fn other(&mut self, word: &[u8], value: Option<&OsStr>) {
        match word {
            b"-coverage" => self.coverage = true,
            b"-aux-info" => self.name(OutputRole::Prototypes, value),
            b"-emit-llvm" => self.bitcode = true,
            b"-emit-ast" => self.tree = true,
            _ => {
                if let Some(file) = word.strip_prefix(b"-time=") {
                    self.name(OutputRole::Statistics, Some(OsStr::from_bytes(file)));
                } else if let Some(file) = word.strip_prefix(b"-aux-info=") {
                    self.name(OutputRole::Prototypes, Some(OsStr::from_bytes(file)));
                }
            }
        }
    }

    fn feature(&mut self, word: &[u8]) {
        let (name, value) = match memchr::memchr(b'=', word) {
            Some(equals) => (
                word.get(..equals).unwrap_or_default(),
                word.get(equals + 1..),
            ),
            None => (word, None),
        };
        let file = value.map(OsStr::from_bytes);
        match name {
            b"-ftest-coverage" => self.coverage = true,
            b"-fno-test-coverage" => self.coverage = false,
            b"-fprofile-note" => self.coverage_file = file.map(OsStr::to_owned),
            b"-fstack-usage" => self.stack_usage = true,
            b"-fno-stack-usage" => self.stack_usage = false,
            b"-fcallgraph-info" => self.call_graph = true,
            b"-ftime-trace" => match file {
                Some(file) => self.name(OutputRole::TimeTrace, Some(file)),
                None => self.time_trace = true,
            },
            b"-fno-time-trace" => self.time_trace = false,
            b"-fsave-optimization-record" => {
                self.record = Some(file.unwrap_or(OsStr::new("yaml")).to_owned());
            }
            b"-foptimization-record-passes" => {
                self.record.get_or_insert_with(|| "yaml".into());
            }
            b"-fno-save-optimization-record" => self.record = None,
            b"-foptimization-record-file" => self.record_file = file.map(OsStr::to_owned),
            b"-fopt-info" => self.name(OutputRole::OptimisationRecord, file),
            b"-fproc-stat-report" => self.name(OutputRole::Statistics, file),
            b"-fmodule-output" => match file {
                Some(file) => self.name(OutputRole::Module, Some(file)),
                None => self.module_beside_output = true,
            },
            b"-fmodules-ts" => self
                .named
                .push(Output::pattern(OutputRole::Module, "gcm.cache/")),
            b"-fmodules-cache-path" => {
                if let Some(folder) = file {
                    let mut start = folder.to_owned();
                    start.push("/");
                    self.named.push(Output::pattern(OutputRole::Module, start));
                }
            }
            b"-fdeps-file" => self.name(OutputRole::Module, file),
            b"-fdiagnostics-format" => {
                self.diagnostics = match value {
                    Some(b"sarif-file") => Some("sarif"),
                    Some(b"json-file") => Some("gcc.json"),
                    _ => None,
                }
            }
            b"-fdebug-macro" => self.macros = true,
            b"-fno-debug-macro" => self.macros = false,
            b"-flto" => self.lto = true,
            b"-fno-lto" => self.lto = false,
            b"-fdump-final-insns" => match file {
                Some(file) => self.name(OutputRole::Dump, Some(file)),
                None => self.final_instructions = true,
            },
            b"-fdump-passes"
            | b"-fdump-noaddr"
            | b"-fdump-unnumbered"
            | b"-fdump-unnumbered-links"
            | b"-fdump-ada-spec-slim"
            | b"-fdump-ada-spec"
            | b"-fdump-scos" => {}
            b"-fdump-record-layouts"
            | b"-fdump-record-layouts-simple"
            | b"-fdump-record-layouts-canonical"
            | b"-fdump-record-layouts-complete"
            | b"-fdump-vtable-layouts" => {}
            _ if name.starts_with(b"-fopt-info") => {
                self.name(OutputRole::OptimisationRecord, file);
            }
            _ if name.starts_with(b"-fdump-") => match value {
                Some(b"stdout" | b"stderr" | b"-") => {}
                Some(file) => self.name(OutputRole::Dump, Some(OsStr::from_bytes(file))),
                None => self.dumps = true,
            },
            _ => {}
        }
    }

    fn name(&mut self, role: OutputRole, file: Option<&OsStr>) {
        if let Some(file) = file {
            self.named.push(Output::new(role, file));
        }
    }
}

fn owned(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}
