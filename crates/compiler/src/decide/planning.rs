//! Adds up what the words said: obstacles first, then names and words nobody typed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Pass;
use crate::configure;
use crate::flags::Class;
use crate::names::{Family, Language, base_name};
use crate::plan::{Preprocessing, RemotePlan, Word, replace_suffix};
use crate::{FileKind, LocalReason};

impl Pass<'_> {
    /// Adds everything up.
    pub(super) fn plan(&mut self) -> Result<RemotePlan, LocalReason> {
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
            [(input, _)] => input.clone(),
            _ => return Err(LocalReason::MultipleInputs),
        };
        if self.frontend_value {
            return Err(LocalReason::LocalOption);
        }
        if self.assembler.is_unfinished() {
            return Err(LocalReason::AssemblerOption);
        }
        let native = std::mem::take(&mut self.native);
        if !native.is_resolvable(self.compiler.family, self.requests.debug()) {
            return Err(LocalReason::NativeCpu);
        }
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
        if self.output.as_deref() == Some(input.as_os_str()) {
            return Err(LocalReason::OutputNotRegular);
        }
        if self.requests.debug_macros(self.compiler.family) {
            return Err(LocalReason::DebugMacros);
        }
        match self.compiler.family {
            Family::Gcc if self.requests.compressed_debug() => {
                return Err(LocalReason::RecordsCommandLine);
            }
            Family::Clang
                if self.requests.modern_debug() && !self.settings.drop_debug_checksums =>
            {
                return Err(LocalReason::DebugChecksums);
            }
            _ => {}
        }
        let suffix = suffix(&input);
        let language = self.input_language(&input, suffix)?;
        if self.compiler.family == Family::Gcc
            && matches!(language, Language::ObjectiveC | Language::ObjectiveCxx)
        {
            return Err(LocalReason::UnsupportedLanguage);
        }
        let already = self.language.is_none() && matches!(suffix, Some(b"i" | b"ii"));
        if already && self.compiler.family == Family::Clang {
            return Err(LocalReason::UnsupportedLanguage);
        }
        // The folder in the debug information would be the worker's.
        if already && self.requests.debug() {
            return Err(LocalReason::ContextualSource);
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
        // Clang leaves an empty file for the debug information beside its assembly, GCC names in it one that is not made yet. An absolute name is recorded as it is,
        // which the worker, who has the output elsewhere, cannot do.
        if self.split_dwarf && (self.assembly || Path::new(&output).is_absolute()) {
            return Err(LocalReason::SideFiles);
        }
        // The number that ties both files together is made of everything in them, the names of the options included.
        let unrecorded = |word: &Word| word.text == "-gno-record-gcc-switches";
        if self.split_dwarf
            && self.compiler.family == Family::Gcc
            && self.requests.debug()
            && !self.words.iter().any(unrecorded)
        {
            return Err(LocalReason::RecordsCommandLine);
        }
        // What goes into the link belongs to the folder of the source, which only a line marker tells the worker.
        if self.lto && self.compiler.family == Family::Gcc {
            self.add(OsStr::new("-fworking-directory"), Class::Local);
        }
        if self.complains_of_precompiled(&input) {
            return Err(LocalReason::PrecompiledHeader);
        }
        let mode = if self.assembly { "-S" } else { "-c" };
        self.add(OsStr::new(mode), Class::Remote);
        self.add_dependency_words(&output, output_given, already)?;
        self.add_colours();
        // Expanded text changes the columns in debug information. Pedantic complaints about merged text, if there are any, make the job local.
        let parallel = |word: &Word| word.text.as_encoded_bytes().starts_with(b"-fopen");
        let pedantic_only = self.requests.debug() && !self.words.iter().any(parallel);
        let expand_for_gcc = self.expand_for_gcc && self.compiler.family == Family::Gcc;
        let needed = self.unused_macros || (expand_for_gcc && !pedantic_only);
        if needed && self.requests.debug() && !already {
            return Err(LocalReason::PreprocessorOption);
        }
        let full = self.settings.full_preprocessing || needed;
        let seeded = |word: &Word| word.text.as_bytes().starts_with(b"-frandom-seed");
        let names_options = self.compiler.family == Family::Gcc
            && self.requests.debug()
            && !(already || full || self.lto || self.split_dwarf)
            && !self.words.iter().any(seeded);
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
            native: native.request(self.compiler.family),
            layout_warnings: self.layout_warnings && !self.no_warnings,
            names_options,
            producer: None,
            extra_files: std::mem::take(&mut self.extra_files),
            arg_flags: self.arg_flags,
        })
    }

    /// GCC says with `-Winvalid-pch` which precompiled headers it finds along the search path and does not use; only its compiler proper looks for them. One that a build
    /// system includes by name is made with the same options. Meson gives the option to every compilation, so only where there is such a header does it matter.
    fn complains_of_precompiled(&self, input: &OsStr) -> bool {
        let last = self.words.iter().rev().find(|word| {
            ["-Winvalid-pch", "-Wno-invalid-pch"]
                .iter()
                .any(|name| word.text == *name)
        });
        let named = self.words.windows(2).any(|pair| {
            let mut precompiled = pair[1].text.clone();
            precompiled.push(".gch");
            pair[0].text == "-include"
                && self.files.kind(Path::new(&precompiled)) != FileKind::Missing
        });
        self.compiler.family == Family::Gcc
            && last.is_some_and(|word| word.text == "-Winvalid-pch")
            && !named
            && self
                .searched_folders(input)
                .iter()
                .any(|folder| self.files.may_have_precompiled(folder))
    }

    /// Where headers of the project are looked for.
    fn searched_folders(&self, input: &OsStr) -> Vec<PathBuf> {
        let mut folders = vec![
            Path::new(input)
                .parent()
                .unwrap_or(Path::new(""))
                .to_owned(),
        ];
        let mut words = self.words.iter().map(|word| word.text.as_os_str());
        while let Some(word) = words.next() {
            for option in ["-I", "-iquote", "-isystem", "-idirafter"] {
                let folder = match word.as_bytes().strip_prefix(option.as_bytes()) {
                    None => continue,
                    Some(b"") => words.next(),
                    Some(joined) => Some(OsStr::from_bytes(joined)),
                };
                folders.extend(folder.map(PathBuf::from));
                break;
            }
        }
        folders
    }

    fn input_language(
        &self,
        input: &OsStr,
        suffix: Option<&[u8]>,
    ) -> Result<Language, LocalReason> {
        if let Some(language) = self.language {
            return Ok(language);
        }
        let by_name = Language::of_source(input, self.compiler.cxx);
        if let Some(language) = by_name {
            return Ok(language);
        }
        match suffix {
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
        // The compiler lists the precompiled header's own files no more, a preprocessor run without it does.
        if self.precompiled {
            return Err(LocalReason::PrecompiledHeader);
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

    /// What is printed far away reaches the user from a machine without a terminal, so colours are asked for.
    fn add_colours(&mut self) {
        if self.settings.colours && !self.colours_chosen {
            match self.compiler.family {
                Family::Clang => self.add(OsStr::new("-fcolor-diagnostics"), Class::Both),
                Family::Gcc => self.add(OsStr::new("-fdiagnostics-color=always"), Class::Remote),
            }
        }
    }
}

/// What follows the last dot of the last component.
fn suffix(path: &OsStr) -> Option<&[u8]> {
    let name = base_name(path);
    let dot = name.iter().rposition(|&b| b == b'.')?;
    name.get(dot + 1..)
}
