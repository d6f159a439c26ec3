//! Which file goes where in the archive, and proof that the loader will find every library again.
//!
//! Programs move to `/usr/bin`, so a library found by a search list is placed where that list leads from there; all
//! others go to the folder the loader looks in unasked. A list relative to a *program* is no help in a chroot without
//! `/proc`, as Icecream's are: the loader does not know then where the program lies. What such a list leads to goes to the
//! loader's folder too. In the end each library is looked for once more, within the plan, as the loader in the chroot
//! will, with and without `/proc`. So no loader cache is needed, which would depend on the machine that made it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::CreateError;
use super::elf::Elf;
use super::identify::{Compilers, Driver};
use super::libraries::{Libraries, Loader, expand, normalise};

/// Bytes of a configuration file that are searched for others it includes.
const LARGEST_CONFIGURATION: u64 = 1 << 20;

/// What goes into the archive, by absolute path there; `None` is an empty file.
pub(super) type Items = BTreeMap<OsString, Option<PathBuf>>;

/// A plan that holds.
pub(super) struct Finished {
    pub(super) items: Items,
    /// Files whose appearance would change it.
    pub(super) absent: Vec<PathBuf>,
    /// Paths and where they led.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
}

pub(super) struct Plan {
    items: Items,
    absent: Vec<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    libraries: Libraries,
    /// Loaders, by all their names: they are in memory before anything can need them.
    loaders: BTreeSet<OsString>,
    uses: Vec<Use>,
}

/// One program or library, on its way into the plan.
#[derive(Clone)]
struct Object {
    elf: Rc<Elf>,
    /// As the loader finds it on this machine.
    here: PathBuf,
    /// In the archive.
    there: PathBuf,
    is_program: bool,
    /// The `DT_RPATH`s of those that load it, nearest first.
    inherited: Vec<SearchList>,
}

/// One program, or library by itself, with all it loads.
struct Scope {
    loader: Rc<Loader>,
    is_plugin: bool,
}

/// A list of folders with the file that has it.
#[derive(Clone)]
struct SearchList {
    folders: Vec<u8>,
    here: PathBuf,
    there: PathBuf,
    is_programs: bool,
}

/// A library that somebody needs, with the folders in the archive where it will be looked for.
struct Use {
    needed_by: PathBuf,
    library: OsString,
    folders: Vec<Searched>,
    source: PathBuf,
}

struct Searched {
    folder: PathBuf,
    /// Whether the loader finds its way there without `/proc`.
    is_certain: bool,
}

impl Plan {
    pub(super) fn new() -> Self {
        Self {
            items: Items::new(),
            absent: Vec::new(),
            links: BTreeMap::new(),
            libraries: Libraries::new(),
            loaders: BTreeSet::new(),
            uses: Vec::new(),
        }
    }

    pub(super) fn add_compilers(&mut self, compilers: &Compilers) -> Result<(), CreateError> {
        let candidates = ["/bin/true", "/usr/bin/true"].map(Path::new);
        let found = candidates.into_iter().find(|path| path.is_file());
        let source = found.ok_or(CreateError::NeedsProgram {
            program: "true",
            package: "coreutils",
        })?;
        self.add("/bin/true".as_ref(), source)?;
        if let Some(gcc) = &compilers.gcc {
            self.add_gcc(gcc, compilers.gxx.as_ref())?;
        }
        if let Some(clang) = &compilers.clang {
            self.add("/usr/bin/clang".as_ref(), &clang.real)?;
            self.add_binutils(clang)?;
            self.add_clang_configuration(clang)?;
            self.add_ignore_lists(clang)?;
            // clang reads it if it is there; the machine's own would be another one on each worker.
            self.items.insert("/proc/cpuinfo".into(), None);
        }
        self.absent.extend(compilers.absent.iter().cloned());
        let drivers = [&compilers.gcc, &compilers.gxx, &compilers.clang];
        for driver in drivers.into_iter().flatten() {
            self.links.extend(driver.links.iter().cloned());
        }
        Ok(())
    }

    /// Adds a file at its own absolute path, with the libraries it needs.
    pub(super) fn add_extra_file(&mut self, file: &Path) -> Result<(), CreateError> {
        let path = std::path::absolute(file).map_err(|source| CreateError::Missing {
            path: file.to_owned(),
            source,
        })?;
        self.add(&normalise(&path), &path)
    }

    /// Looks for every library again, in the plan.
    pub(super) fn finish(mut self) -> Result<Finished, CreateError> {
        for needed in &self.uses {
            let leads_right = |has_proc: bool| {
                let folders = needed.folders.iter();
                let first = folders
                    .filter(|searched| has_proc || searched.is_certain)
                    .map(|searched| searched.folder.join(&needed.library))
                    .find_map(|path| self.items.get(path.as_os_str()));
                first == Some(&Some(needed.source.clone()))
            };
            if !(leads_right(true) && leads_right(false)) {
                return Err(CreateError::Unplaceable {
                    library: needed.library.to_string_lossy().into_owned(),
                    needed_by: needed.needed_by.clone(),
                });
            }
        }
        self.absent.sort();
        self.absent.dedup();
        Ok(Finished {
            items: self.items,
            absent: self.absent,
            links: self.links.into_iter().collect(),
        })
    }

    fn add_gcc(&mut self, gcc: &Driver, gxx: Option<&Driver>) -> Result<(), CreateError> {
        self.add("/usr/bin/gcc".as_ref(), &gcc.real)?;
        let cc1 = gcc.program("cc1")?.ok_or(CreateError::NeedsProgram {
            program: "cc1",
            package: "gcc",
        })?;
        self.add("/usr/bin/cc1".as_ref(), &cc1)?;
        if let Some(gxx) = gxx {
            self.add("/usr/bin/g++".as_ref(), &gxx.real)?;
            let cc1plus = gxx.program("cc1plus")?.ok_or(CreateError::NeedsProgram {
                program: "cc1plus",
                package: "g++",
            })?;
            self.add("/usr/bin/cc1plus".as_ref(), &cc1plus)?;
        } else {
            self.absent.push(cc1.with_file_name("cc1plus"));
        }
        for name in ["cc1obj", "cc1objplus"] {
            match gcc.program(name)? {
                Some(program) => self.add(&Path::new("/usr/bin").join(name), &program)?,
                None => self.absent.push(cc1.with_file_name(name)),
            }
        }
        self.add_binutils(gcc)?;
        for name in ["specs", "liblto_plugin.so"] {
            if let Some(file) = gcc.file(name)? {
                let inside = gcc
                    .prefix()
                    .and_then(|prefix| file.strip_prefix(prefix).ok());
                let there =
                    inside.map_or_else(|| file.clone(), |rest| Path::new("/usr").join(rest));
                self.add(&there, &file)?;
            }
        }
        Ok(())
    }

    fn add_binutils(&mut self, driver: &Driver) -> Result<(), CreateError> {
        // clang has its own, but workers take a folder without an assembler for a broken toolchain.
        let assembler = driver.program("as")?.ok_or(CreateError::NeedsProgram {
            program: "as",
            package: "binutils",
        })?;
        self.add("/usr/bin/as".as_ref(), &assembler)?;
        match driver.program("objcopy")? {
            Some(program) => self.add("/usr/bin/objcopy".as_ref(), &program),
            None => {
                self.absent.push(assembler.with_file_name("objcopy"));
                Ok(())
            }
        }
    }

    /// Distributions change clang's defaults (position independence, for one) by configuration files.
    fn add_clang_configuration(&mut self, clang: &Driver) -> Result<(), CreateError> {
        let mut todo = clang.configuration_files()?;
        let mut seen = BTreeSet::new();
        while let Some(file) = todo.pop() {
            if !seen.insert(file.clone()) {
                continue;
            }
            let beside = clang
                .real
                .parent()
                .filter(|folder| file.starts_with(folder));
            let there = beside
                .and_then(|folder| file.strip_prefix(folder).ok())
                .map_or_else(|| normalise(&file), |name| Path::new("/usr/bin").join(name));
            self.add(&there, &file)?;
            let mut text = Vec::new();
            super::open_regular(&file)?
                .take(LARGEST_CONFIGURATION)
                .read_to_end(&mut text)
                .map_err(|source| CreateError::Missing {
                    path: file.clone(),
                    source,
                })?;
            for word in text.split(u8::is_ascii_whitespace) {
                if let Some(included) = word.strip_prefix(b"@") {
                    let folder = file.parent().unwrap_or(Path::new("/"));
                    todo.push(folder.join(OsStr::from_bytes(included)));
                }
            }
        }
        Ok(())
    }

    /// What sanitizers leave alone, which clang reads unasked: without these its objects would be others.
    fn add_ignore_lists(&mut self, clang: &Driver) -> Result<(), CreateError> {
        let Some(resources) = clang.resource_folder()? else {
            return Ok(());
        };
        let share = resources.join("share");
        let place = clang
            .prefix()
            .and_then(|prefix| share.strip_prefix(prefix).ok())
            .map_or_else(|| share.clone(), |rest| Path::new("/usr").join(rest));
        let entries = fs::read_dir(&share).into_iter().flatten().flatten();
        for name in entries.map(|entry| entry.file_name()) {
            if name.as_bytes().ends_with(b"list.txt") {
                self.add(&place.join(&name), &share.join(&name))?;
            }
        }
        Ok(())
    }

    /// Adds a file, and if it is a program or library, whatever that needs.
    fn add(&mut self, there: &Path, here: &Path) -> Result<(), CreateError> {
        if !self.place(there, here)? {
            return Ok(());
        }
        let real = resolve(here)?;
        let Some(elf) = self.libraries.headers(&real)? else {
            return Ok(());
        };
        if let Some(loader) = &elf.interpreter {
            self.loaders.extend(loader.file_name().map(OsStr::to_owned));
            if let Ok(Some(loader)) = self.libraries.headers(loader) {
                self.loaders
                    .insert(OsString::from_vec(loader.soname.clone()));
            }
            self.place(&normalise(loader), loader)?;
        }
        let scope = Scope {
            loader: self.libraries.loader(&elf)?,
            is_plugin: elf.interpreter.is_none(),
        };
        let mut loaded: HashSet<OsString> = HashSet::new();
        let mut todo = VecDeque::from([Object {
            is_program: !scope.is_plugin,
            elf,
            here: real,
            there: there.to_owned(),
            inherited: Vec::new(),
        }]);
        while let Some(object) = todo.pop_front() {
            for name in &object.elf.needed {
                let name = OsString::from_vec(name.clone());
                // The loader takes what it has by that name, wherever it would look now.
                if loaded.insert(name.clone())
                    && let Some(library) = self.add_library(&object, &name, &scope)?
                {
                    todo.push_back(library);
                }
            }
        }
        Ok(())
    }

    /// Places one library; the result is what its own needs have to be followed for.
    fn add_library(
        &mut self,
        user: &Object,
        name: &OsStr,
        scope: &Scope,
    ) -> Result<Option<Object>, CreateError> {
        let is_loader = self.loaders.contains(name);
        if is_loader || is_musl_itself(user, name) {
            return Ok(None);
        }
        let own = |folders: &Vec<u8>| SearchList {
            folders: folders.clone(),
            here: folder_of(&user.here),
            there: folder_of(&user.there),
            is_programs: user.is_program,
        };
        let mut inherited = vec![own(&user.elf.rpath)];
        inherited.extend(user.inherited.iter().cloned());
        let mut lists = inherited.clone();
        lists.push(own(&user.elf.runpath));

        let mut folders = Vec::new();
        let mut found = None;
        for list in &lists {
            for listed in expand(&list.folders, &list.here, &list.there) {
                let candidate = listed.here.join(name);
                let is_certain = !(listed.by_origin && list.is_programs);
                if found.is_none() && self.libraries.fits(&candidate, user.elf.abi) {
                    let folder = if is_certain {
                        &listed.there
                    } else {
                        &scope.loader.home
                    };
                    found = Some((candidate, folder.clone()));
                }
                folders.push(Searched {
                    folder: listed.there,
                    is_certain,
                });
            }
        }
        folders.push(Searched {
            folder: scope.loader.home.clone(),
            is_certain: true,
        });
        let (here, folder) = match found {
            Some(found) => found,
            None => (
                self.find_unasked(user, name, scope)?,
                scope.loader.home.clone(),
            ),
        };
        let source = resolve(&here)?;
        let present = folders
            .iter()
            .filter(|searched| searched.is_certain)
            .map(|searched| searched.folder.join(name))
            .find(|path| self.items.get(path.as_os_str()) == Some(&Some(source.clone())));
        self.uses.push(Use {
            needed_by: user.here.clone(),
            library: name.to_owned(),
            folders,
            source,
        });
        let there = match present {
            Some(path) => path,
            None => {
                let path = folder.join(name);
                self.place(&path, &here)?;
                path
            }
        };
        let elf = self.libraries.headers(&here)?;
        Ok(elf.map(|elf| Object {
            elf,
            here,
            there,
            is_program: false,
            inherited,
        }))
    }

    /// A library that no list leads to.
    fn find_unasked(
        &mut self,
        user: &Object,
        name: &OsStr,
        scope: &Scope,
    ) -> Result<PathBuf, CreateError> {
        // A plugin gets what the compiler has loaded before it.
        let planned = self.items.get(scope.loader.home.join(name).as_os_str());
        if let Some(Some(planned)) = planned.cloned()
            && scope.is_plugin
            && self.libraries.fits(&planned, user.elf.abi)
        {
            return Ok(planned);
        }
        let found = self.libraries.find(name, user.elf.abi, &scope.loader);
        found.ok_or_else(|| CreateError::NoLibrary {
            library: name.to_string_lossy().into_owned(),
            needed_by: user.here.clone(),
        })
    }

    /// Notes one file. `false` if it was noted before.
    fn place(&mut self, there: &Path, here: &Path) -> Result<bool, CreateError> {
        let source = resolve(here)?;
        if source != here {
            self.links.insert(here.to_owned(), source.clone());
        }
        match self.items.get(there.as_os_str()) {
            None => {
                self.items
                    .insert(there.as_os_str().to_owned(), Some(source));
                Ok(true)
            }
            Some(Some(first)) if *first != source => Err(CreateError::Conflict {
                place: there.to_owned(),
                first: first.clone(),
                second: source,
            }),
            Some(_) => Ok(false),
        }
    }
}

/// The file behind symbolic links, which must be a regular one.
fn resolve(path: &Path) -> Result<PathBuf, CreateError> {
    let missing = |source| CreateError::Missing {
        path: path.to_owned(),
        source,
    };
    let real = path.canonicalize().map_err(missing)?;
    if fs::metadata(&real).map_err(missing)?.is_file() {
        Ok(real)
    } else {
        Err(CreateError::NotAFile(path.to_owned()))
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// musl's loader is its C library too, under whatever name it is asked for.
fn is_musl_itself(user: &Object, name: &OsStr) -> bool {
    let loader = user.elf.interpreter.as_deref().and_then(Path::file_name);
    name.as_bytes().starts_with(b"libc.musl-")
        || (name == "libc.so"
            && loader.is_some_and(|loader| loader.as_bytes().starts_with(b"ld-musl")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Compiles a C text to a program or library, with these linker arguments.
    fn link(folder: &Path, output: &str, text: &str, args: &[&str]) -> PathBuf {
        let output = folder.join(output);
        fs::create_dir_all(output.parent().unwrap()).unwrap();
        let source = folder.join("x.c");
        fs::write(&source, text).unwrap();
        let status = Command::new("/usr/bin/gcc")
            .arg(&source)
            .arg("-o")
            .arg(&output)
            .args(args)
            .current_dir(folder)
            .status()
            .unwrap();
        assert!(status.success());
        output
    }

    /// `bin/program` needs `lib/libfoo.so` by a relative list, which needs `lib/sub/libbar.so` by another.
    fn family(folder: &Path) -> PathBuf {
        let bar = ["-shared", "-fPIC", "-Wl,-soname,libbar.so"];
        link(
            folder,
            "lib/sub/libbar.so",
            "int bar(void) { return 1; }",
            &bar,
        );
        let foo = [
            "-shared",
            "-fPIC",
            "lib/sub/libbar.so",
            "-Wl,-soname,libfoo.so",
        ];
        let foo = [&foo[..], &["-Llib/sub", "-Wl,-rpath,$ORIGIN/sub"]].concat();
        link(
            folder,
            "lib/libfoo.so",
            "int bar(void); int foo(void) { return bar(); }",
            &foo,
        );
        let main = "int foo(void); int main(void) { return foo(); }";
        let args = [
            "lib/libfoo.so",
            "-Wl,-rpath,$ORIGIN/../lib",
            "-Wl,-rpath-link,lib/sub",
        ];
        link(folder, "bin/program", main, &args)
    }

    #[test]
    fn libraries_are_where_a_loader_without_proc_finds_them() {
        if !Path::new("/usr/bin/gcc").exists() {
            eprintln!("skipped: gcc is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = family(folder.path());
        let mut plan = Plan::new();
        plan.add("/usr/bin/program".as_ref(), &program).unwrap();
        let items = plan.finish().unwrap().items;
        let libc = items
            .keys()
            .find(|path| path.as_bytes().ends_with(b"/libc.so.6"));
        let home = folder_of(Path::new(libc.unwrap()));
        for path in [
            "/usr/bin/program".into(),
            // The program's list is relative to it, the library's to the library.
            home.join("libfoo.so"),
            home.join("sub/libbar.so"),
        ] {
            assert!(items.contains_key(path.as_os_str()), "{path:?}: {items:?}");
        }
        // A library by itself, and what it needs, at its own place.
        let mut plan = Plan::new();
        plan.add_extra_file(&folder.path().join("lib/libfoo.so"))
            .unwrap();
        let items = plan.finish().unwrap().items;
        for path in ["lib/libfoo.so", "lib/sub/libbar.so"] {
            let path = folder.path().join(path);
            assert!(items.contains_key(path.as_os_str()), "{path:?}: {items:?}");
        }
    }

    #[test]
    fn a_loader_of_its_own_is_asked_where_it_looks() {
        if !Path::new("/usr/bin/gcc").exists() {
            eprintln!("skipped: gcc is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let lib = folder.path().canonicalize().unwrap().join("lib");
        let shared = ["-shared", "-fPIC", "-Wl,-soname,libfoo.so"];
        let text = "int foo(void) { return 1; }";
        link(folder.path(), "lib/libfoo.so", text, &shared);
        let system = super::super::elf::read("/bin/true".as_ref()).unwrap();
        let system = system.unwrap();
        let own_name = system.interpreter.clone().unwrap();
        let own_name = own_name.file_name().unwrap().as_bytes().to_vec();
        // As far as the plan goes it need not be able to load anything.
        let loader = lib.join(OsStr::from_bytes(&own_name));
        let says = format!("echo '  {} (system search path)'", lib.display());
        fs::write(&loader, format!("#!/bin/sh\n{says}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&loader, mode).unwrap();
        let mut libraries = Libraries::new();
        let systems = libraries.loader(&system).unwrap();
        let libc = libraries.find("libc.so.6".as_ref(), system.abi, &systems);
        let Some(libc) = libc else {
            eprintln!("skipped: no glibc");
            return;
        };
        fs::copy(&libc, lib.join("libc.so.6")).unwrap();

        let main = "int foo(void); int main(void) { return foo(); }";
        let interpreter = format!("-Wl,-dynamic-linker,{}", loader.display());
        let program = link(folder.path(), "p", main, &["lib/libfoo.so", &interpreter]);
        let mut plan = Plan::new();
        plan.add("/usr/bin/p".as_ref(), &program).unwrap();
        plan.add("/bin/true".as_ref(), Path::new("/bin/true"))
            .unwrap();
        let items = plan.finish().unwrap().items;
        for path in [loader, lib.join("libfoo.so"), lib.join("libc.so.6")] {
            assert!(items.contains_key(path.as_os_str()), "{path:?}: {items:?}");
        }
        // The system's programs keep theirs.
        assert!(items.contains_key(systems.home.join("libc.so.6").as_os_str()));
    }

    #[test]
    fn missing_and_ambiguous_libraries_are_errors() {
        if !Path::new("/usr/bin/gcc").exists() {
            eprintln!("skipped: gcc is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = family(folder.path());
        let other = tempfile::tempdir().unwrap();
        let another = family(other.path());
        let mut plan = Plan::new();
        plan.add("/usr/bin/program".as_ref(), &program).unwrap();
        let clash = plan.add("/usr/bin/another".as_ref(), &another);
        assert!(
            matches!(clash, Err(CreateError::Conflict { .. })),
            "{clash:?}"
        );

        fs::remove_file(folder.path().join("lib/sub/libbar.so")).unwrap();
        let mut plan = Plan::new();
        let missing = plan.add("/usr/bin/program".as_ref(), &program);
        assert!(
            matches!(missing, Err(CreateError::NoLibrary { .. })),
            "{missing:?}"
        );
    }

    #[test]
    fn two_files_for_one_place_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let mut plan = Plan::new();
        plan.add("/x".as_ref(), &one).unwrap();
        plan.add("/x".as_ref(), &one).unwrap();
        let clash = plan.add("/x".as_ref(), &two);
        assert!(matches!(clash, Err(CreateError::Conflict { .. })));
    }
}
