//! Why a job is not, or was not, done by another machine.
//!
//! One enum for all causes, whether the command line, the settings or the infrastructure decided, because they end in the same column of the
//! build log. The codes are stable: scripts count them.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// Why a job is local. The `Display` form is the stable kebab-case code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LocalReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl LocalReason {
            /// All reasons, in the order of the definition.
            pub const ALL: &'static [LocalReason] = &[$(LocalReason::$name,)+];

            /// The stable kebab-case word for logs and counters.
            pub const fn code(self) -> &'static str {
                match self {
                    $(LocalReason::$name => $code,)+
                }
            }

            /// One line for people.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(LocalReason::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    // The command is not a compilation that can travel.
    /// The program is not a compiler this crate knows.
    CustomCommand = "custom-command",
    /// Started as icerun: run the command here, under a slot.
    Icerun = "icerun",
    /// Only preprocessing was asked for.
    PreprocessOnly = "preprocess-only",
    /// Only dependencies or a question to the driver were asked for.
    DriverQuery = "driver-query",
    /// Neither -c nor -S: a link, or a compilation with a link.
    NoCompileStep = "no-compile-step",
    /// No input file.
    NoInput = "no-input",
    /// More than one input file.
    MultipleInputs = "multiple-inputs",
    /// The source comes from standard input.
    StandardInput = "standard-input",
    /// The language is not C, C++, Objective-C or Objective-C++ source.
    UnsupportedLanguage = "unsupported-language",
    /// The suffix of the source does not tell a language that can travel.
    UnknownSuffix = "unknown-suffix",
    /// A test program of a configuration tool.
    ConfigureProbe = "configure-probe",
    /// The output is standard output.
    OutputIsStandardOutput = "output-is-standard-output",
    /// The output exists and is no regular file.
    OutputNotRegular = "output-not-regular",
    /// The command line ends in an option that needs a value.
    MissingValue = "missing-value",
    /// A response file that cannot be expanded.
    ResponseFile = "response-file",
    /// An option that this version does not know.
    UnknownOption = "unknown-option",
    /// An option whose value looks like a file this version would not send.
    UnknownFileOption = "unknown-file-option",
    /// An option that must run here.
    LocalOption = "local-option",
    /// An option that makes the compiler write more files than the output.
    SideFiles = "side-files",
    /// A way to ask for dependencies that this version does not follow.
    DependencyOption = "dependency-option",
    /// An option for the assembler that reads or writes files, or is unknown.
    AssemblerOption = "assembler-option",
    /// Options that change how preprocessed text looks or behaves.
    PreprocessorOption = "preprocessor-option",
    /// An option that changes which programs the compiler driver runs, or with what specification.
    DriverOption = "driver-option",
    /// A compiler plug-in, which may read and write files of its own.
    Plugin = "plugin",
    /// Modules, which read and write files of their own.
    Modules = "modules",
    /// A precompiled header.
    PrecompiledHeader = "precompiled-header",
    /// A file named by an option does not exist.
    MissingFile = "missing-file",
    /// Character set conversion, which needs data the other machine lacks.
    Charset = "charset",
    /// Code for exactly this processor.
    NativeCpu = "native-cpu",
    /// Several target architectures at once.
    MultipleArchitectures = "multiple-architectures",
    /// The object would record how the compiler was called.
    RecordsCommandLine = "records-command-line",
    /// Clang puts checksums of the sources into DWARF 5, which sources sent elsewhere do not have.
    DebugChecksums = "debug-checksums",
    /// An environment variable changes what the compiler does.
    Environment = "environment",
    /// The compiler is a script, whose additions to the command line are unknown.
    CompilerScript = "compiler-script",
    /// The compiler reads a configuration file of its own.
    CompilerConfiguration = "compiler-configuration",
    /// The compiler did not tell what it is.
    CompilerUnknown = "compiler-unknown",

    // Settings.
    /// ICECC=disable: no daemon is asked.
    Disabled = "disabled",
    /// ICECC=no: never on another machine.
    NotWanted = "not-wanted",
    /// ICECC_EXTRAFILES names a file that is not there.
    ExtraFileMissing = "extra-file-missing",
    /// ICECC_VERSION leaves no usable toolchain for this compiler.
    NoMatchingToolchain = "no-matching-toolchain",
    /// A toolchain named by ICECC_VERSION lacks the further files this command needs.
    ExtraFilesNotInToolchain = "extra-files-not-in-toolchain",

    // Infrastructure.
    /// No daemon answers on this machine.
    NoDaemon = "no-daemon",
    /// The daemon closed the connection or sent something unexpected.
    DaemonFailed = "daemon-failed",
    /// The daemon could not provide a toolchain for the compiler.
    NoToolchain = "no-toolchain",
    /// The toolchain archive cannot be read.
    ToolchainUnreadable = "toolchain-unreadable",
    /// No answer to the request for a worker.
    SchedulerSilent = "scheduler-silent",
    /// The scheduler assigned the job to this machine.
    AssignedHere = "assigned-here",
    /// The worker could not be reached.
    WorkerUnreachable = "worker-unreachable",
    /// The connection to the worker was lost.
    WorkerLost = "worker-lost",
    /// The worker did not answer in time.
    WorkerTimeout = "worker-timeout",
    /// The worker refused the job.
    WorkerRefused = "worker-refused",
    /// The worker speaks a protocol too old for this job.
    WorkerTooOld = "worker-too-old",
    /// The worker cannot run the toolchain.
    ToolchainRejected = "toolchain-rejected",
    /// The worker sent something that is not an answer.
    WorkerGarbage = "worker-garbage",
    /// The worker ran out of memory or disk.
    WorkerOutOfMemory = "worker-out-of-memory",
    /// The remote compiler printed something; the local one says it with source lines.
    RemoteOutput = "remote-output",
    /// The remote compiler failed in a way that may be due to the other machine.
    RemoteFailure = "remote-failure",
    /// Two workers made different things of the same source.
    ResultsDiffer = "results-differ",
    /// The result is larger than accepted.
    ResultTooLarge = "result-too-large",
    /// The output could not be written.
    OutputNotWritable = "output-not-writable",
    /// The preprocessor could not be started.
    PreprocessorNotStarted = "preprocessor-not-started",
    /// The preprocessor failed; the local compiler says why.
    PreprocessorFailed = "preprocessor-failed",
    /// The preprocessor printed something that the compiler would print again.
    PreprocessorOutput = "preprocessor-output",
    /// The preprocessed source is larger than accepted.
    SourceTooLarge = "source-too-large",
    /// The source could not be read.
    SourceUnreadable = "source-unreadable",
    /// The source depends on date, time or names of this machine in a way that cannot be sent.
    ContextualSource = "contextual-source",
    /// The source may earn a warning for which the compiler must see the lines of the file itself.
    LayoutWarning = "layout-warning",
    /// The source includes another file while it is assembled.
    AssembledFile = "assembled-file",
    /// A pragma of the source changes macros, which a separate preprocessor run does not see.
    MacroPragma = "macro-pragma",
}

impl fmt::Display for LocalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_words() {
        for (index, reason) in LocalReason::ALL.iter().enumerate() {
            let code = reason.code();
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code}"
            );
            assert!(
                LocalReason::ALL[..index].iter().all(|r| r.code() != code),
                "{code} twice"
            );
            assert!(reason.explanation().trim().ends_with('.'), "{code}");
        }
    }
}
