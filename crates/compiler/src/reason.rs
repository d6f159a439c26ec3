//! Why a job is not, or was not, done by another machine.
//!
//! One enum for all causes, whether the command line, the settings or the infrastructure decided, because they end in the same column of the
//! build log. The codes are stable: scripts count them.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal $(=> $advice:literal)?,)+) => {
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

            /// One line for people: what the user can change, empty only if nobody has thought about it.
            pub const fn advice(self) -> &'static str {
                match self {
                    $(LocalReason::$name => concat!($($advice)?),)+
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
    CustomCommand = "custom-command"
        => "Nothing to do: only GCC and Clang travel.",
    /// Started as icerun: run the command here, under a slot.
    Icerun = "icerun"
        => "Nothing to do: icerun is for commands that must run here.",
    /// Only preprocessing was asked for.
    PreprocessOnly = "preprocess-only"
        => "Nothing to do; `-c` instead of `-E` travels.",
    /// Only dependencies or a question to the driver were asked for.
    DriverQuery = "driver-query"
        => "Nothing to do: it takes no time.",
    /// Neither -c nor -S: a link, or a compilation with a link.
    NoCompileStep = "no-compile-step"
        => "Compile with `-c` first and link afterwards: the compilation then travels.",
    /// No input file.
    NoInput = "no-input"
        => "Name a source file.",
    /// More than one input file.
    MultipleInputs = "multiple-inputs"
        => "Compile each source by a command of its own.",
    /// The source comes from standard input.
    StandardInput = "standard-input"
        => "Compile a file instead.",
    /// The language is not C, C++, Objective-C or Objective-C++ source.
    UnsupportedLanguage = "unsupported-language"
        => "Nothing to do: only C, C++ and, with Clang, Objective-C travel.",
    /// The suffix of the source does not tell a language that can travel.
    UnknownSuffix = "unknown-suffix"
        => "Name the language with `-x` before the source.",
    /// A test program of a configuration tool.
    ConfigureProbe = "configure-probe"
        => "Nothing to do: tests of configuration tools are quicker here.",
    /// The output is standard output.
    OutputIsStandardOutput = "output-is-standard-output"
        => "Give an output file with `-o`.",
    /// The output exists and is no regular file.
    OutputNotRegular = "output-not-regular"
        => "Give an ordinary file that is not the source with `-o`.",
    /// The command line ends in an option that needs a value.
    MissingValue = "missing-value"
        => "Add the value the last option needs.",
    /// A response file that cannot be expanded.
    ResponseFile = "response-file"
        => "Write the words of the response file on the command line, or make the file readable and free of empty words.",
    /// An option that this version does not know.
    UnknownOption = "unknown-option"
        => "Leave the option out if it is not needed, or report it so that it can be taught.",
    /// An option whose value looks like a file this version would not send.
    UnknownFileOption = "unknown-file-option"
        => "Leave the option out if it is not needed, or report it so that it can be taught.",
    /// An option that must run here.
    LocalOption = "local-option"
        => "Leave the option out where it is not needed.",
    /// An option that makes the compiler write more files than the output.
    SideFiles = "side-files"
        => "Leave out the option that asks for the further file where it is not needed.",
    /// A way to ask for dependencies that this version does not follow.
    DependencyOption = "dependency-option"
        => "Use `-MD` or `-MMD`, with `-MF`, `-MT`, `-MQ` and `-MP` as needed.",
    /// An option for the assembler that reads or writes files, or is unknown.
    AssemblerOption = "assembler-option"
        => "Leave out the option for the assembler, or make sure that its file exists.",
    /// Options that change how preprocessed text looks or behaves.
    PreprocessorOption = "preprocessor-option"
        => "Leave out the option for the preprocessor where it is not needed.",
    /// An option that changes which programs the compiler driver runs, or with what specification.
    DriverOption = "driver-option"
        => "Set up the compiler so that it needs no such option.",
    /// A compiler plug-in, which may read and write files of its own.
    Plugin = "plugin"
        => "Compile without the plug-in where it is not needed.",
    /// Modules, which read and write files of their own.
    Modules = "modules"
        => "Compile without modules where they are not needed.",
    /// A precompiled header.
    PrecompiledHeader = "precompiled-header"
        => "Build without precompiled headers: the farm gains more than they do.",
    /// A file named by an option does not exist.
    MissingFile = "missing-file"
        => "Create the file or correct its name.",
    /// Character set conversion, which needs data the other machine lacks.
    Charset = "charset"
        => "Keep sources in UTF-8 and leave the option out.",
    /// Code for exactly this processor.
    NativeCpu = "native-cpu"
        => "Name a processor with `-march=` instead of `native`; with GCC, `-march=native` travels without `-g`.",
    /// Several target architectures at once.
    MultipleArchitectures = "multiple-architectures"
        => "Compile for one architecture at a time.",
    /// The object would record how the compiler was called.
    RecordsCommandLine = "records-command-line"
        => "Leave out the option that records switches; with debug information, leave out its compression.",
    /// Clang puts checksums of the sources into DWARF 5, which sources sent elsewhere do not have.
    DebugChecksums = "debug-checksums"
        => "Use `-gdwarf-4`, or set `GELATO_DEBUG_CHECKSUMS=drop` to do without the checksums.",
    /// The debug information would list macros, most of which are gone from preprocessed source.
    DebugMacros = "debug-macros"
        => "Use `-g` or `-g2` instead of `-g3`.",
    /// An environment variable changes what the compiler does.
    Environment = "environment"
        => "Unset the variable for the build.",
    /// A script or another program stands before the compiler, and what it does to the command line cannot be told for certain.
    CompilerScript = "compiler-script"
        => "Name the compiler itself, not the script, and give its words on the command line.",
    /// The compiler reads a configuration file of its own.
    CompilerConfiguration = "compiler-configuration"
        => "Give the words of the configuration file on the command line.",
    /// The compiler did not tell what it is.
    CompilerUnknown = "compiler-unknown"
        => "Check that the compiler runs and answers `-v`.",

    // Settings.
    /// ICECC=disable: no daemon is asked.
    Disabled = "disabled"
        => "Unset `ICECC`.",
    /// ICECC=no: never on another machine.
    NotWanted = "not-wanted"
        => "Unset `ICECC`.",
    /// ICECC_EXTRAFILES names a file that is not there.
    ExtraFileMissing = "extra-file-missing"
        => "Correct `ICECC_EXTRAFILES`.",
    /// ICECC_VERSION leaves no usable toolchain for this compiler.
    NoMatchingToolchain = "no-matching-toolchain"
        => "Correct `ICECC_VERSION`, or unset it to have toolchains made by themselves.",
    /// A toolchain named by ICECC_VERSION lacks the further files this command needs.
    ExtraFilesNotInToolchain = "extra-files-not-in-toolchain"
        => "Unset `ICECC_VERSION`, or make a toolchain that has the files.",

    // Infrastructure.
    /// No daemon answers on this machine.
    NoDaemon = "no-daemon"
        => "Start the daemon on this machine.",
    /// The daemon closed the connection or sent something unexpected.
    DaemonFailed = "daemon-failed"
        => "Look into the log of the daemon on this machine.",
    /// The daemon could not provide a toolchain for the compiler.
    NoToolchain = "no-toolchain"
        => "Look into the log of the daemon on this machine for what could not be packed.",
    /// The toolchain archive cannot be read.
    ToolchainUnreadable = "toolchain-unreadable"
        => "Make the archive readable, or make it anew.",
    /// No answer to the request for a worker.
    SchedulerSilent = "scheduler-silent"
        => "Check that a scheduler runs and that the daemon has found it.",
    /// The daemon of this machine is connected to no scheduler, so nobody can be asked for a worker.
    NoScheduler = "no-scheduler"
        => "Start a scheduler if there is none; `gelato status` says why the daemon has found none, `gelato doctor` looks for it.",
    /// The scheduler assigned the job to this machine.
    AssignedHere = "assigned-here"
        => "Nothing to do: no other machine was free or better.",
    /// The worker could not be reached.
    WorkerUnreachable = "worker-unreachable"
        => "Check the network and the firewall between this machine and the worker.",
    /// The connection to the worker was lost.
    WorkerLost = "worker-lost"
        => "Check the network and the log of the worker.",
    /// The worker did not answer in time.
    WorkerTimeout = "worker-timeout"
        => "Look for what keeps the worker busy.",
    /// The worker refused the job.
    WorkerRefused = "worker-refused"
        => "Look into the log of the worker.",
    /// The worker speaks a protocol too old for this job.
    WorkerTooOld = "worker-too-old"
        => "Update the worker.",
    /// The worker cannot run the toolchain.
    ToolchainRejected = "toolchain-rejected"
        => "Look into the log of the worker: its system may be too old for the compiler.",
    /// The worker sent something that is not an answer.
    WorkerGarbage = "worker-garbage"
        => "Look into the log of the worker, and update it if it is old.",
    /// The worker ran out of memory or disk.
    WorkerOutOfMemory = "worker-out-of-memory"
        => "Give the worker more memory or disk, or fewer jobs.",
    /// The worker had no time or no room for the job, or is being stopped.
    WorkerBusy = "worker-busy"
        => "Nothing to do if it is rare; otherwise add workers or slots.",
    /// The job took longer, wrote more or did nothing for longer than the worker allows.
    WorkerLimit = "worker-limit"
        => "Raise the limits of the worker (`worker.job-…` in gelato.toml) if the job needs that much.",
    /// The compiler crashed or was killed on the worker, or lacks a part of itself there.
    WorkerCrashed = "worker-crashed"
        => "Look into the log of the worker; if the compiler crashes here, too, report it to its makers.",
    /// The remote compiler printed something; the local one says it with source lines.
    RemoteOutput = "remote-output"
        => "Correct what the compiler warns about: the job then is done once, elsewhere.",
    /// The remote compiler failed in a way that may be due to the other machine.
    RemoteFailure = "remote-failure"
        => "Nothing to do if the job succeeds here; otherwise correct the source.",
    /// Two workers made different things of the same source.
    ResultsDiffer = "results-differ"
        => "Compare the two workers: memory, toolchain and system of both.",
    /// The result is larger than accepted.
    ResultTooLarge = "result-too-large"
        => "Nothing to do: such results are quicker made here.",
    /// The output could not be written.
    OutputNotWritable = "output-not-writable"
        => "Check the folder of the output: space, rights, existence.",
    /// The preprocessor could not be started.
    PreprocessorNotStarted = "preprocessor-not-started"
        => "Check that the compiler can be run.",
    /// The preprocessor failed; the local compiler says why.
    PreprocessorFailed = "preprocessor-failed"
        => "Correct what the compiler complains about.",
    /// The preprocessor printed something that the compiler would print again.
    PreprocessorOutput = "preprocessor-output"
        => "Correct what the preprocessor warns about.",
    /// The preprocessed source is larger than accepted.
    SourceTooLarge = "source-too-large"
        => "Nothing to do: such sources are quicker compiled here.",
    /// The source could not be read.
    SourceUnreadable = "source-unreadable"
        => "Check the source and its rights.",
    /// A signal ended the job before it was done anywhere.
    Interrupted = "interrupted"
        => "Nothing to do: somebody stopped the build.",
    /// The source depends on date, time or names of this machine in a way that cannot be sent.
    ContextualSource = "contextual-source"
        => "Nothing to do.",
    /// The source may earn a warning for which the compiler must see the lines of the file itself.
    LayoutWarning = "layout-warning"
        => "Indent the statement as it is guarded, or put braces around the body.",
    /// The source includes another file while it is assembled.
    AssembledFile = "assembled-file"
        => "Nothing to do: the file is read while the source is assembled.",
    /// A pragma of the source changes macros, which a separate preprocessor run does not see.
    MacroPragma = "macro-pragma"
        => "Give the options to the whole file, or use function attributes.",
}

impl fmt::Display for LocalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::{env, fs};

    const DOCUMENT: &str = "../../docs/local-reasons.md";

    /// The text of the document, made of the definitions above.
    fn document() -> String {
        let mut text = String::from(
            "# Why a job is local\n\n\
             Every job that is not done by another machine has one of these reasons, in the build log \
             (`GELATO_BUILD_LOG`) and in the output of `ICECC_DEBUG=info`. The words in the first column are stable.\n\n\
             This file is made from `crates/compiler/src/reason.rs`: after a change run\n\
             `GELATO_WRITE_DOCS=1 cargo test -p gelato-compiler document`.\n\n\
             | reason | what it means | what to do |\n|---|---|---|\n",
        );
        for reason in LocalReason::ALL {
            let explanation = reason.explanation().trim();
            text.push_str(&format!(
                "| `{reason}` | {explanation} | {} |\n",
                reason.advice()
            ));
        }
        text
    }

    #[test]
    fn the_document_says_the_same() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        if env::var_os("GELATO_WRITE_DOCS").is_some() {
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(&path, document()).expect("written");
        }
        let text = fs::read_to_string(&path).expect("docs/local-reasons.md");
        assert_eq!(text, document(), "set GELATO_WRITE_DOCS=1 to write it anew");
    }

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
            assert!(reason.advice().ends_with('.'), "{code}");
        }
    }
}
