//! How GCC (11 and later) names its outputs: further outputs follow the main one, or with a link the program and the source.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Job, Kind, Output, OutputRole, Stage, Temporaries, join, split_folder, split_suffix};
use crate::names::base_name;
use crate::plan::replace_suffix;

pub(super) fn list(job: &Job<'_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    let sources: Vec<_> = job
        .inputs
        .iter()
        .filter(|(_, kind)| *kind != Kind::Linker)
        .collect();
    let program = main_outputs(job, &sources, &mut outputs);
    for (input, kind) in &sources {
        further(job, input, *kind, sources.len() == 1, &mut outputs);
    }
    if job.stage == Stage::Link
        && job.requests.lto
        && job.requests.temporaries.is_some()
        && let Some(mut start) = program
    {
        start.push(".");
        outputs.push(Output::pattern(OutputRole::SavedTemporary, start));
    }
    outputs
}

/// The program, if there is a link.
fn main_outputs(
    job: &Job<'_>,
    sources: &[&(OsString, Kind)],
    outputs: &mut Vec<Output>,
) -> Option<OsString> {
    let requests = job.requests;
    if requests.only_dependencies {
        let file = requests.dependency_file.as_deref().or(job.output);
        outputs.extend(file.map(|file| Output::new(OutputRole::Dependencies, file)));
        return None;
    }
    let role = match job.stage {
        Stage::Check => return None,
        Stage::Preprocess => {
            outputs.extend(
                job.output
                    .map(|file| Output::new(OutputRole::Preprocessed, file)),
            );
            return None;
        }
        Stage::Link => {
            let header = sources
                .first()
                .filter(|(_, kind)| matches!(kind, Kind::Header(_)));
            if let Some((header, _)) = header {
                let usual = || join(&[header.as_bytes(), b".gch"]);
                let file = job.output.map_or_else(usual, OsStr::to_owned);
                outputs.push(Output::new(OutputRole::PrecompiledHeader, file));
                return None;
            }
            if job.inputs.is_empty() {
                return None;
            }
            let file = job.output.unwrap_or(OsStr::new("a.out")).to_owned();
            outputs.push(Output::new(OutputRole::Linked, &file));
            return Some(file);
        }
        Stage::Assembly => OutputRole::Assembly,
        Stage::Object => OutputRole::Object,
    };
    match (job.output, role) {
        (Some(file), _) => outputs.push(Output::new(role, file)),
        (None, _) => {
            let suffix: &[u8] = if role == OutputRole::Object {
                b".o"
            } else {
                b".s"
            };
            outputs.extend(sources.iter().map(|(input, kind)| match kind {
                Kind::Header(_) => Output::new(
                    OutputRole::PrecompiledHeader,
                    join(&[input.as_bytes(), b".gch"]),
                ),
                _ => {
                    let stem = split_suffix(base_name(input)).0;
                    Output::new(role, join(&[stem, suffix]))
                }
            }));
        }
    }
    None
}

/// The names all further outputs of one source are made of.
struct Names {
    /// Folder and prefix.
    folder: Vec<u8>,
    /// For most files.
    stem: Vec<u8>,
    /// For dumps.
    dump: Vec<u8>,
}

impl Names {
    fn auxiliary(&self, suffix: &str) -> OsString {
        join(&[&self.folder, &self.stem, b".", suffix.as_bytes()])
    }

    fn dump(&self, suffix: &str) -> OsString {
        join(&[&self.folder, &self.dump, b".", suffix.as_bytes()])
    }
}

fn names(job: &Job<'_>, input: &OsStr, alone: bool) -> Names {
    let requests = job.requests;
    let output = job
        .output
        .filter(|&output| output != "-" && output != "/dev/null");
    let (input_stem, input_suffix) = split_suffix(base_name(input));
    let compiles = matches!(
        job.stage,
        Stage::Object | Stage::Assembly | Stage::Preprocess
    );
    let (mut folder, mut stem) = match output {
        Some(output) if compiles && alone => {
            let (folder, name) = split_folder(output);
            (folder.to_vec(), split_suffix(name).0.to_vec())
        }
        Some(output) if !compiles => {
            let program = output.as_bytes();
            let program = program.strip_suffix(b".exe").unwrap_or(program);
            ([program, b"-"].concat(), input_stem.to_vec())
        }
        None if !compiles => (b"a-".to_vec(), input_stem.to_vec()),
        _ => (Vec::new(), input_stem.to_vec()),
    };
    let mut dump = [
        stem.as_slice(),
        if input_suffix.is_empty() { b"" } else { b"." },
        input_suffix,
    ]
    .concat();
    match requests.dump_base.as_deref().map(OsStr::as_bytes) {
        Some(b"") => {
            stem = input_stem.to_vec();
            dump = base_name(input).to_vec();
        }
        Some(base) => {
            if base.contains(&b'/') {
                folder.clear();
            }
            dump = base.to_vec();
            let suffix = requests.dump_suffix.as_deref().unwrap_or_default();
            stem = base
                .strip_suffix(suffix.as_bytes())
                .unwrap_or(base)
                .to_vec();
        }
        None => {}
    }
    if let Some(given) = &requests.dump_folder {
        folder = given.as_bytes().to_vec();
    }
    if requests.temporaries == Some(Temporaries::WorkingDirectory) {
        folder = base_name(OsStr::from_bytes(&folder)).to_vec();
    }
    Names { folder, stem, dump }
}

fn further(job: &Job<'_>, input: &OsStr, kind: Kind, alone: bool, outputs: &mut Vec<Output>) {
    let requests = job.requests;
    let names = names(job, input, alone);
    let mut add = |role, path: OsString| outputs.push(Output::new(role, path));
    dependencies(job, &names, kind, &mut add);
    if requests.only_dependencies || job.stage == Stage::Preprocess {
        return;
    }
    let (preprocessed, compiled) = match kind {
        Kind::Source(suffix) | Kind::Header(suffix) => (Some(suffix), true),
        Kind::Preprocessed => (None, true),
        Kind::AssemblerWithMacros | Kind::Assembler | Kind::Linker => (None, false),
    };
    if requests.temporaries.is_some() && job.stage != Stage::Check {
        if let Some(suffix) = preprocessed {
            add(OutputRole::SavedTemporary, names.auxiliary(suffix));
        }
        if job.stage != Stage::Assembly && kind != Kind::Assembler {
            add(OutputRole::SavedTemporary, names.auxiliary("s"));
        }
        if job.stage == Stage::Link && !matches!(kind, Kind::Header(_)) {
            add(OutputRole::SavedTemporary, names.auxiliary("o"));
        }
    }
    if !compiled {
        return;
    }
    if requests.split && matches!(job.stage, Stage::Object | Stage::Link) {
        add(OutputRole::SplitDebug, names.auxiliary("dwo"));
    }
    if requests.coverage {
        let file = requests.coverage_file.clone();
        add(
            OutputRole::CoverageNotes,
            file.unwrap_or_else(|| names.auxiliary("gcno")),
        );
    }
    if requests.stack_usage && !requests.lto {
        add(OutputRole::StackUsage, names.auxiliary("su"));
    }
    if requests.call_graph {
        add(OutputRole::CallGraph, names.auxiliary("ci"));
    }
    if requests.record.is_some() {
        add(
            OutputRole::OptimisationRecord,
            names.dump("opt-record.json.gz"),
        );
    }
    if requests.final_instructions {
        add(OutputRole::Dump, names.dump("gkd"));
    }
    if let Some(suffix) = requests.diagnostics {
        add(OutputRole::Diagnostics, names.dump(suffix));
    }
    if requests.dumps {
        outputs.push(Output::pattern(OutputRole::Dump, names.dump("")));
    }
}

fn dependencies(
    job: &Job<'_>,
    names: &Names,
    kind: Kind,
    add: &mut impl FnMut(OutputRole, OsString),
) {
    let requests = job.requests;
    if matches!(kind, Kind::Preprocessed | Kind::Assembler) || requests.only_dependencies {
        return;
    }
    let file = if let Some(file) = &requests.listed_dependency_file {
        file.clone()
    } else if !requests.dependencies {
        return;
    } else if let Some(file) = &requests.dependency_file {
        file.clone()
    } else if let Some(output) = job.output {
        replace_suffix(output, "d")
    } else {
        names.auxiliary("d")
    };
    add(OutputRole::Dependencies, file);
}
