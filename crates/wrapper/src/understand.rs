//! What a command line asks for, of which compiler, and whether it may travel.
//!
//! The words are read twice at most: once as the compiler's name suggests, which settles most of what stays here without asking anybody, and once as the compiler
//! behind the name reads them. Each program is resolved once, when it is found.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::PathBuf;

use gelato_compiler::decide::{Compiler, Decision};
use gelato_compiler::plan::Preprocessing;
use gelato_compiler::{
    Family, Language, LocalReason, RemotePlan, Settings, Verdict, decide, names, respfile,
};

use crate::behind;
use crate::files::RealFiles;
use crate::invocation::{Program, Run};
use crate::job::{Front, Job};
use crate::probe;
use crate::search::{self, Found, Missing, Own};
use crate::variables::Variables;

/// The program `run` means. The error names what was looked for.
pub(crate) fn find_program(
    program: &Program,
    variables: &Variables,
    own: &Own,
) -> Result<Found, (OsString, Missing)> {
    let path = variables.path.as_deref();
    let find =
        |name: &OsStr| search::find(name, path, own).map_err(|missing| (name.to_owned(), missing));
    match program {
        Program::Named(name) => find(name),
        Program::Usual { cxx } => {
            let [first, second] = if *cxx { ["g++", "c++"] } else { ["gcc", "cc"] };
            find(OsStr::new(first)).or_else(|missing| find(OsStr::new(second)).map_err(|_| missing))
        }
    }
}

/// Whether the job may travel, and how. Fills in what the command line says about the job.
pub(crate) fn understand(
    job: &mut Job<'_>,
    run: &Run,
    mut found: Found,
    own: &Own,
) -> Result<RemotePlan, LocalReason> {
    if run.icerun {
        return Err(LocalReason::Icerun);
    }
    let typed = match &run.program {
        Program::Named(name) => name.as_os_str(),
        Program::Usual { .. } => found.path.as_os_str(),
    };
    let Some(tool) = names::parse(typed) else {
        job.custom = true;
        return Err(LocalReason::CustomCommand);
    };
    let words = respfile::expand(job.words, &RealFiles).inspect_err(|_| {
        let file = |word: &&OsString| word.as_encoded_bytes().first() == Some(&b'@');
        job.record.subject = job.words.iter().find(file).cloned();
    })?;
    let by_name = |found: &Found, cxx: bool| Compiler {
        family: probe::family_by_name(found).unwrap_or(Family::Gcc),
        cxx,
        default_target: None,
    };
    let mut compiler = by_name(&found, tool.cxx);
    let mut decision = read(job, &words, &compiler);
    if let Some(other) = replacement(job.variables, &decision, tool.cxx) {
        let path = job.variables.path.as_deref();
        found = search::find(other, path, own).unwrap_or_else(|_| Found {
            path: PathBuf::from(other),
            real: PathBuf::from(other),
        });
        job.program = found.path.clone();
        let cxx = names::parse(other).map_or(tool.cxx, |other| other.cxx);
        compiler = by_name(&found, cxx);
        decision = read(job, &words, &compiler);
    }
    note(job, &decision, &words, compiler.cxx);
    let undecided = match &decision.verdict {
        Verdict::Remote(_) => true,
        Verdict::Local(reason) => {
            *reason == LocalReason::CompilerUnknown
                || (probe::family_by_name(&found).is_none() && depends_on_family(*reason))
        }
    };
    if !undecided {
        return verdict(job, decision, &words);
    }
    if job.working_directory.as_os_str().is_empty() {
        return Err(LocalReason::Environment);
    }
    let behind = behind::look(job, own, &found, &words)?;
    if behind.answer.configured {
        return Err(LocalReason::CompilerConfiguration);
    }
    if behind.compiler != found.path {
        job.log.info(format_args!(
            "behind {}: {}",
            found.path.display(),
            behind.compiler.display()
        ));
    }
    let named = names::parse(behind.compiler.as_os_str());
    let actual = Compiler {
        family: behind.answer.family,
        cxx: named.map_or(compiler.cxx, |tool| tool.cxx),
        default_target: match behind.answer.family {
            Family::Clang => Some(behind.answer.target),
            Family::Gcc => None,
        },
    };
    job.compiler = behind.compiler;
    if actual == compiler && behind.words.is_none() {
        return verdict(job, decision, &words);
    }
    let actual_words = behind.words.as_deref().unwrap_or(&words);
    let decision = read(job, actual_words, &actual);
    job.outputs.clone_from(&decision.outputs);
    job.record.subject.clone_from(&decision.subject);
    let plan = verdict(job, decision, actual_words)?;
    if let Some(front) = behind.front {
        let Verdict::Remote(front_plan) = read(job, &words, &actual).verdict else {
            return Err(LocalReason::CompilerScript);
        };
        let words = front_plan.preprocessor_words();
        if !fit_together(&front_plan, &plan)
            || !front.treats_alike(&words, &job.compiler, job.variables)
        {
            return Err(LocalReason::CompilerScript);
        }
        job.front = Some(Front {
            program: front.program,
            plan: *front_plan,
        });
    }
    Ok(plan)
}

/// Whether what one plan preprocesses is what the other compiles, into the same file.
fn fit_together(front: &RemotePlan, plan: &RemotePlan) -> bool {
    let about = |plan: &RemotePlan| {
        let files = (plan.input.clone(), plan.output.clone());
        (files, plan.language, plan.assembly)
    };
    // Expanding macros in place of merging can be asked of the program in front, too; the reverse cannot.
    let modes_fit = front.preprocessing == plan.preprocessing
        || (front.preprocessing, plan.preprocessing) == (Preprocessing::Merge, Preprocessing::Full);
    modes_fit && about(front) == about(plan)
}

/// Whether the other family might read the same words differently.
fn depends_on_family(reason: LocalReason) -> bool {
    !matches!(
        reason,
        LocalReason::PreprocessOnly
            | LocalReason::DriverQuery
            | LocalReason::NoCompileStep
            | LocalReason::NoInput
            | LocalReason::MultipleInputs
            | LocalReason::StandardInput
            | LocalReason::UnsupportedLanguage
            | LocalReason::UnknownSuffix
            | LocalReason::ConfigureProbe
            | LocalReason::OutputIsStandardOutput
            | LocalReason::OutputNotRegular
            | LocalReason::MissingValue
            | LocalReason::ResponseFile
            | LocalReason::Environment
    )
}

/// What the job is about, wherever it is done.
fn note(job: &mut Job<'_>, decision: &Decision, words: &[OsString], cxx: bool) {
    job.full_job = decision.full_job;
    if decision.full_job {
        let option = words
            .iter()
            .find(|word| word.as_encoded_bytes().starts_with(b"-flto"))
            .map_or("-flto".into(), |word| word.to_string_lossy());
        job.log.info(format_args!(
            "{option} and no -c, building with all local slots"
        ));
    }
    job.output.clone_from(&decision.output);
    job.input.clone_from(&decision.input);
    job.outputs.clone_from(&decision.outputs);
    job.record.subject.clone_from(&decision.subject);
    let source = decision.input.as_deref();
    job.record.language = source.and_then(|source| Language::of_source(source, cxx));
}

fn verdict(
    job: &mut Job<'_>,
    decision: Decision,
    words: &[OsString],
) -> Result<RemotePlan, LocalReason> {
    match decision.verdict {
        Verdict::Remote(plan) => {
            job.record.language = Some(plan.language);
            Ok(*plan)
        }
        Verdict::Local(reason) => {
            if reason == LocalReason::MissingFile {
                job.log.warning(format_args!(
                    "file for argument {} missing, building locally",
                    OsString::from_iter(
                        words.iter().flat_map(|w| [w.as_os_str(), OsStr::new(" ")])
                    )
                    .display()
                ));
            }
            Err(reason)
        }
    }
}

/// Reads the words as `compiler` would.
fn read(job: &Job<'_>, words: &[OsString], compiler: &Compiler) -> Decision {
    let mut settings = Settings::from_environment(
        |name| env::var_os(name),
        compiler.family,
        std::io::stderr().is_terminal(),
        job.working_directory.clone(),
    );
    settings.full_preprocessing = job.variables.full_preprocessing(compiler.family);
    settings.drop_debug_checksums = job.variables.drop_debug_checksums;
    if compiler.family == Family::Gcc && job.variables.colours == Some(false) {
        settings.colours = false;
    }
    decide(compiler, words, &settings, &RealFiles)
}

/// The compiler `ICECC_CC` or `ICECC_CXX` names for the language of the job.
fn replacement<'a>(
    variables: &'a Variables,
    decision: &Decision,
    driver_is_cxx: bool,
) -> Option<&'a OsString> {
    let language = match &decision.verdict {
        Verdict::Remote(plan) => plan.language,
        Verdict::Local(_) if driver_is_cxx => Language::Cxx,
        Verdict::Local(_) => Language::C,
    };
    match language {
        Language::C => variables.cc.as_ref(),
        Language::Cxx => variables.cxx.as_ref(),
        Language::ObjectiveC | Language::ObjectiveCxx => None,
    }
}
