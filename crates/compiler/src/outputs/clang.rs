//! How Clang names its outputs: most further outputs follow the main one, some the source.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Job, Kind, Output, OutputRole, Stage, Temporaries, join, split_folder, split_suffix};
use crate::names::base_name;
use crate::plan::replace_suffix;

pub(super) fn list(job: &Job<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    let requests = job.requests;
    let sources: Vec<_> = job
        .inputs
        .iter()
        .filter(|(_, kind)| *kind != Kind::Linker)
        .collect();
    if requests.only_dependencies {
        let file = requests.dependency_file.as_deref().or(job.output);
        outputs.extend(file.map(|file| Output::new(OutputRole::Dependencies, file)));
        return outputs;
    }
    if job.stage == Stage::Link && makes_program(job) {
        let file = job.output.unwrap_or(OsStr::new("a.out"));
        outputs.push(Output::new(OutputRole::Linked, file));
    }
    for (input, kind) in sources {
        let source = Source {
            job,
            stem: split_suffix(base_name(input)).0,
        };
        if let Some((role, file)) = source.main(input, *kind) {
            outputs.push(Output::new(role, file));
        }
        source.further(*kind, &mut outputs);
    }
    outputs
}

fn makes_program(job: &Job<'_>) -> bool {
    let requests = job.requests;
    let header = |kind: &Kind| matches!(kind, Kind::Header(_));
    !job.inputs.is_empty()
        && !requests.tree
        && !requests.analysis
        && !job.inputs.iter().any(|(_, kind)| header(kind))
}

struct Source<'a> {
    job: &'a Job<'a>,
    /// The name of the source without folder and suffix.
    stem: &'a [u8],
}

impl Source<'_> {
    fn main(&self, input: &OsStr, kind: Kind) -> Option<(OutputRole, OsString)> {
        let requests = self.job.requests;
        let named = |suffix: &str| match self.job.output {
            Some(output) => output.to_owned(),
            None => self.with(suffix),
        };
        if self.job.stage == Stage::Preprocess {
            let output = self.job.output?;
            return Some((OutputRole::Preprocessed, output.to_owned()));
        }
        if self.job.stage == Stage::Check {
            return None;
        }
        if requests.analysis {
            return Some((OutputRole::Report, named("plist")));
        }
        if requests.tree {
            return Some((OutputRole::Report, named("ast")));
        }
        if let Kind::Header(_) = kind {
            let usual = || join(&[input.as_bytes(), b".gch"]);
            let file = self.job.output.map_or_else(usual, OsStr::to_owned);
            return Some((OutputRole::PrecompiledHeader, file));
        }
        match (self.job.stage, requests.bitcode) {
            (Stage::Assembly, false) => Some((OutputRole::Assembly, named("s"))),
            (Stage::Assembly, true) => Some((OutputRole::Assembly, named("ll"))),
            (Stage::Object, false) => Some((OutputRole::Object, named("o"))),
            (Stage::Object, true) => Some((OutputRole::Object, named("bc"))),
            _ => None,
        }
    }

    fn further(&self, kind: Kind, outputs: &mut Vec<Output>) {
        let requests = self.job.requests;
        let stage = self.job.stage;
        let mut add = |role, path: OsString| outputs.push(Output::new(role, path));
        if !matches!(kind, Kind::Preprocessed | Kind::Assembler)
            && let Some(file) = self.dependency_file()
        {
            add(OutputRole::Dependencies, file);
        }
        if stage == Stage::Preprocess {
            return;
        }
        let compiled = matches!(kind, Kind::Source(_) | Kind::Preprocessed | Kind::Header(_));
        if let Some(place) = requests.temporaries
            && stage != Stage::Check
        {
            let mut save = |suffix: &str| {
                add(OutputRole::SavedTemporary, self.saved(place, suffix));
            };
            if let Kind::Source(suffix) | Kind::Header(suffix) = kind {
                save(suffix);
            }
            if compiled && !matches!(kind, Kind::Header(_)) {
                save("bc");
            }
            if kind != Kind::Assembler && stage != Stage::Assembly {
                save("s");
            }
            if stage == Stage::Link {
                save("o");
            }
        }
        if !compiled || stage == Stage::Check {
            return;
        }
        if requests.split && requests.debug {
            let file = match stage {
                Stage::Object => self.beside_output("dwo"),
                _ => self.with("dwo"),
            };
            add(OutputRole::SplitDebug, file);
        }
        let of_unit = |suffix: &str| match stage {
            Stage::Link => self.with(suffix),
            _ => self.beside_output(suffix),
        };
        if requests.coverage {
            add(OutputRole::CoverageNotes, of_unit("gcno"));
        }
        if requests.stack_usage && !requests.bitcode {
            add(OutputRole::StackUsage, self.beside_output("su"));
        }
        if requests.time_trace && stage != Stage::Link {
            let file = match requests.temporaries {
                Some(place) => self.saved(place, "json"),
                None => self.beside_output("json"),
            };
            add(OutputRole::TimeTrace, file);
        }
        if let Some(file) = &requests.record_file {
            add(OutputRole::OptimisationRecord, file.clone());
        } else if let Some(format) = &requests.record {
            let mut file = of_unit("opt.");
            file.push(format);
            add(OutputRole::OptimisationRecord, file);
        }
        if let Some(place) = requests.statistics {
            add(OutputRole::Statistics, self.saved(place, "stats"));
        }
        if requests.module_beside_output {
            add(OutputRole::Module, of_unit("pcm"));
        }
    }

    fn dependency_file(&self) -> Option<OsString> {
        let requests = self.job.requests;
        if !requests.dependencies && requests.listed_dependency_file.is_none() {
            return None;
        }
        let given = requests.dependency_file.as_ref();
        match given.or(requests.listed_dependency_file.as_ref()) {
            Some(file) => Some(file.clone()),
            None => Some(self.beside_output("d")),
        }
    }

    /// In the working directory, named after the source.
    fn with(&self, suffix: &str) -> OsString {
        join(&[self.stem, b".", suffix.as_bytes()])
    }

    /// Named after the output, if one is given.
    fn beside_output(&self, suffix: &str) -> OsString {
        match self.job.output {
            Some(output) => replace_suffix(output, suffix),
            None => self.with(suffix),
        }
    }

    fn saved(&self, place: Temporaries, suffix: &str) -> OsString {
        match (place, self.job.output) {
            (Temporaries::BesideOutput, Some(output)) => {
                let name = self.with(suffix);
                join(&[split_folder(output).0, name.as_bytes()])
            }
            _ => self.with(suffix),
        }
    }
}
