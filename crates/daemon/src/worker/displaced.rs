//! What a compiler needs besides where its toolchain is not the root: at the sandbox levels `landlock` and `none`.
//!
//! A compiler starts its parts by itself, and would find the host's, or give them to the host's loader: gcc is told where they are and to start
//! them through the toolchain's loader; clang does everything in one process as long as nobody asks for more. What could make another object
//! than in a root of its own is refused here: the job goes back to its submitter, or the toolchain does not pass its check.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gelato_sandbox::{Launcher, SandboxError};

use super::{Task, WorkerError};

/// Options of clang that make it start further processes, which would be the host's.
const SEPARATE_PARTS: [&str; 4] = [
    "-fno-integrated-as",
    "-no-integrated-as",
    "-fno-integrated-cc1",
    "-save-temps",
];

/// Parts of gcc by the language of `-x`.
const FRONT_ENDS: [(&str, &str); 4] = [
    ("c", "cc1"),
    ("c++", "cc1plus"),
    ("objective-c", "cc1obj"),
    ("objective-c++", "cc1objplus"),
];

/// A program as it is started in a toolchain that is not the root.
#[derive(Debug)]
pub(crate) struct Displaced {
    /// With what is needed besides.
    pub(crate) task: Task,
    /// For `PATH`.
    pub(crate) path: PathBuf,
    /// Further variables.
    pub(crate) variables: Vec<(OsString, OsString)>,
}

/// Adapts a task to the toolchain at `root`. Blocks.
pub(crate) fn displace(root: &Path, mut task: Task) -> Result<Displaced, WorkerError> {
    let name = task.program.to_string_lossy().into_owned();
    let name = name.rsplit('/').next().unwrap_or_default();
    if let Some(file) = task.args.iter().find_map(|arg| file_inside(root, arg)) {
        return Err(WorkerError::NotAtThisLevel(format!(
            "the job names {} of its toolchain",
            file.display()
        )));
    }
    let mut variables = Vec::new();
    if name.contains("clang") {
        let separate = |arg: &OsString| {
            SEPARATE_PARTS
                .iter()
                .any(|option| arg.as_bytes().starts_with(option.as_bytes()))
        };
        if let Some(option) = task.args.iter().find(|arg| separate(arg)) {
            return Err(WorkerError::NotAtThisLevel(format!(
                "{} makes clang start programs of its own",
                option.display()
            )));
        }
        // Its own files are looked for beside its name, and not beside the loader, which is what runs.
        task.args.push("-no-canonical-prefixes".into());
    } else if is_gcc(name) {
        let unusable = |source: io::Error| SandboxError::Exec {
            program: PathBuf::from(&task.program),
            source,
        };
        let launcher = Launcher::find(root, Path::new(&task.program)).map_err(unusable)?;
        for part in parts(&task.args) {
            if !has_part(root, part) {
                let missing = format!("the toolchain has no {part}");
                return Err(unusable(io::Error::new(io::ErrorKind::NotFound, missing)).into());
            }
        }
        if let Some(wrapper) = launcher.wrapper() {
            task.args.extend(["-wrapper".into(), wrapper]);
        }
        variables.push(("COMPILER_PATH".into(), compiler_path(root)));
    }
    Ok(Displaced {
        task,
        path: root.join("usr/bin"),
        variables,
    })
}

/// `gcc`, `g++`, `x86_64-linux-gnu-gcc-12`, `cc`, `c++`.
fn is_gcc(name: &str) -> bool {
    name == "cc" || name == "c++" || name.contains("gcc") || name.contains("g++")
}

/// What gcc is going to start.
fn parts(args: &[OsString]) -> Vec<&'static str> {
    let mut language = args.iter().skip_while(|arg| *arg != "-x").skip(1);
    let language = language.next().map(OsString::as_os_str);
    let front_end = FRONT_ENDS
        .into_iter()
        .find(|(name, _)| language == Some(OsStr::new(name)));
    front_end
        .map(|(_, part)| part)
        .into_iter()
        .chain(["as"])
        .collect()
}

/// Whether gcc finds a part in the toolchain: otherwise it would go on looking, in the host's folders.
fn has_part(root: &Path, part: &str) -> bool {
    let here = |folder: PathBuf| is_program(&folder.join(part));
    here(root.join("usr/bin"))
        || ["usr/lib/gcc", "usr/libexec/gcc"]
            .into_iter()
            .flat_map(|folder| folders_in(&root.join(folder)))
            .flat_map(|target| folders_in(&target))
            .any(here)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    /// Targets of a compiler, and its versions.
    const MOST: usize = 32;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.take(MOST).map(|entry| entry.path());
    folders.filter(|path| path.is_dir()).collect()
}

/// Where gcc looks for its parts after the folders of its own version: those of a target first, as it does by itself.
fn compiler_path(root: &Path) -> OsString {
    let usr = root.join("usr");
    let mut folders: Vec<PathBuf> = folders_in(&usr)
        .into_iter()
        .map(|folder| folder.join("bin"))
        .filter(|folder| is_program(&folder.join("as")))
        .collect();
    folders.sort();
    folders.push(usr.join("bin"));
    let texts: Vec<&OsStr> = folders.iter().map(|folder| folder.as_os_str()).collect();
    texts.join(OsStr::new(":"))
}

/// A file of the toolchain that an argument names by its path in there: a plugin, a list, a specification. The compiler would look
/// for it on the host.
fn file_inside(root: &Path, arg: &OsStr) -> Option<PathBuf> {
    arg.as_bytes()
        .split(|byte| b"=,@".contains(byte))
        .filter(|part| part.starts_with(b"/"))
        .map(|part| Path::new(OsStr::from_bytes(part)))
        .find(|path| {
            let below = path.strip_prefix("/").unwrap_or(path);
            !below.as_os_str().is_empty() && root.join(below).is_file()
        })
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn task(program: &str, args: &[&str]) -> Task {
        Task {
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            cwd: "/job".into(),
        }
    }

    /// A toolchain whose programs need no loader.
    fn toolchain(programs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for program in programs {
            let path = root.path().join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = b"\x7fELF\x02\x01".to_vec();
            file.resize(64, 0);
            fs::write(&path, file).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        root
    }

    fn words(task: &Task) -> Vec<&str> {
        task.args.iter().filter_map(|arg| arg.to_str()).collect()
    }

    #[test]
    fn gcc_is_told_where_its_parts_are() {
        let root = toolchain(&[
            "usr/bin/gcc",
            "usr/bin/cc1",
            "usr/bin/as",
            "usr/mingw/bin/as",
        ]);
        let displaced = displace(root.path(), task("/usr/bin/gcc", &["-x", "c", "-c"])).unwrap();
        assert_eq!(displaced.path, root.path().join("usr/bin"));
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(
            displaced.variables,
            [(
                "COMPILER_PATH".into(),
                format!("{}:{}", at("usr/mingw/bin"), at("usr/bin")).into()
            )]
        );
        // Statically linked programs need no wrapper.
        assert_eq!(words(&displaced.task), ["-x", "c", "-c"]);
    }

    #[test]
    fn the_hosts_parts_are_never_used() {
        let root = toolchain(&[
            "usr/bin/gcc",
            "usr/lib/gcc/x86_64-linux-gnu/12/cc1",
            "usr/bin/as",
        ]);
        let displaced = |language| displace(root.path(), task("/usr/bin/gcc", &["-x", language]));
        assert!(displaced("c").is_ok());
        let error = displaced("c++").unwrap_err().to_string();
        assert!(error.contains("no cc1plus"), "{error}");
        fs::remove_file(root.path().join("usr/bin/as")).unwrap();
        assert!(displaced("c").is_err());
    }

    #[test]
    fn clang_does_everything_by_itself() {
        let root = toolchain(&["usr/bin/clang"]);
        let displaced = displace(root.path(), task("/usr/bin/clang", &["-c"])).unwrap();
        assert_eq!(words(&displaced.task), ["-c", "-no-canonical-prefixes"]);
        assert!(displaced.variables.is_empty());
        for option in ["-fno-integrated-as", "-save-temps=obj"] {
            let refused = displace(root.path(), task("/usr/bin/clang", &[option]));
            assert!(matches!(refused, Err(WorkerError::NotAtThisLevel(_))));
        }
    }

    #[test]
    fn files_of_the_toolchain_are_not_looked_for_on_the_host() {
        let root = toolchain(&["usr/bin/clang", "opt/plugin.so"]);
        for arg in [
            "-fplugin=/opt/plugin.so",
            "/opt/plugin.so",
            "@/opt/plugin.so",
        ] {
            let refused = displace(root.path(), task("/usr/bin/clang", &[arg]));
            assert!(
                matches!(refused, Err(WorkerError::NotAtThisLevel(_))),
                "{arg}"
            );
        }
        for arg in [
            "-fdebug-prefix-map=/home/u=/",
            "-I/opt",
            "-DX=/",
            "/nowhere",
        ] {
            assert!(
                displace(root.path(), task("/usr/bin/clang", &[arg])).is_ok(),
                "{arg}"
            );
        }
    }
}
