//! The compiler's command line for a job of another machine, and where its files lie. Pure.
//!
//! Icecream adds two `--param ggc-…` that depend on free memory and end up in the debug information; we do not, so that every
//! machine makes the same object. The output has a fixed name for the same reason.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::core::vocabulary::JobCommand;

/// Object of a job without split debug information, in the job's folder.
const OBJECT: &str = "out.o";

/// Folder below the job's that stands for the submitter's root with split debug information.
const MIRROR: &str = "d";

/// What to run, and what to expect from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Absolute path of the compiler inside the toolchain.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Working folder inside.
    pub(crate) cwd: PathBuf,
    /// Folders to make first, relative to the job's folder.
    pub(crate) folders: Vec<PathBuf>,
    /// Where the object will be, relative to the job's folder.
    pub(crate) object: PathBuf,
    /// Where the `.dwo` will be, if one is wanted.
    pub(crate) dwo: Option<PathBuf>,
}

/// The submitter named a folder or output that cannot be mirrored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unusable working directory or output file with split debug information: {0:?} and {1:?}")]
pub(crate) struct UnusablePaths(PathBuf, PathBuf);

/// Plans a job whose folder is `tmp` inside the toolchain's root.
pub(crate) fn plan(job: &JobCommand, tmp: &Path) -> Result<Plan, UnusablePaths> {
    let files = if job.split_dwarf {
        mirrored(job)?
    } else {
        plain()
    };
    let clang = job.compiler.contains("clang");
    let mut args: Vec<OsString> = vec!["-x".into(), job.language.into()];
    if clang {
        if !job.input_file.is_empty() {
            args.extend(["-Xclang", "-main-file-name", "-Xclang"].map(OsString::from));
            args.push(job.input_file.as_os_str().into());
        }
        if !job.working_directory.is_empty() {
            args.extend(["-Xclang", "-fdebug-compilation-dir", "-Xclang"].map(OsString::from));
            args.push(job.working_directory.as_os_str().into());
        }
    }
    args.extend(job.args.iter().map(|arg| arg.as_os_str().into()));
    if !clang {
        args.push("-fpreprocessed".into());
    }
    args.extend(["-", "-o"].map(OsString::from));
    args.push(files.output.clone().into());
    if clang {
        args.push("-no-canonical-prefixes".into());
    } else if job.split_dwarf {
        let mut map = OsString::from("-fdebug-prefix-map=");
        map.push(tmp.join(MIRROR));
        map.push("/=/");
        args.push(map);
    }
    Ok(Plan {
        program: format!("/usr/bin/{}", job.compiler).into(),
        args,
        cwd: tmp.join(&files.cwd),
        folders: files.folders,
        object: files.object,
        dwo: files.dwo,
    })
}

struct Files {
    cwd: PathBuf,
    output: PathBuf,
    folders: Vec<PathBuf>,
    object: PathBuf,
    dwo: Option<PathBuf>,
}

fn plain() -> Files {
    Files {
        cwd: PathBuf::new(),
        output: OBJECT.into(),
        folders: Vec::new(),
        object: OBJECT.into(),
        dwo: None,
    }
}

/// The name of the `.dwo` is recorded in the object as the compiler was given it, so the submitter's folders are made
/// anew below the job's and the compiler works in them with a relative output.
fn mirrored(job: &JobCommand) -> Result<Files, UnusablePaths> {
    let working = Path::new(job.working_directory.as_os_str());
    let output = Path::new(job.output_file.as_os_str());
    let unusable = || UnusablePaths(working.to_owned(), output.to_owned());
    if !working.is_absolute() {
        return Err(unusable());
    }
    let working = normalised(working);
    let target = normalised(&Path::new("/").join(&working).join(output));
    let folder = target.parent().ok_or_else(unusable)?;
    if target.file_name().is_none() || output.as_os_str().is_empty() {
        return Err(unusable());
    }
    let mirror = Path::new(MIRROR);
    let object = mirror.join(&target);
    Ok(Files {
        cwd: mirror.join(&working),
        output: relative(&working, &target),
        folders: vec![mirror.join(&working), mirror.join(folder)],
        dwo: Some(with_dwo(&object)),
        object,
    })
}

/// The path below `/` without `.` and `..`, not looking at the file system: nothing exists yet.
fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// The way from one folder to a file, both below the same root.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// As the compilers name it: the last extension replaced.
fn with_dwo(object: &Path) -> PathBuf {
    let name = object.file_name().unwrap_or_default().as_bytes();
    let stem = match name.iter().rposition(|&byte| byte == b'.') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    };
    object.with_file_name(OsString::from_vec([stem, b".dwo"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(compiler: &str, args: &[&str]) -> JobCommand {
        JobCommand {
            language: "c++",
            compiler: compiler.to_owned(),
            args: args.iter().map(|arg| (*arg).into()).collect(),
            input_file: "src/x.cc".into(),
            working_directory: "/home/u/p".into(),
            output_file: "sub/x.o".into(),
            split_dwarf: false,
        }
    }

    fn words(plan: &Plan) -> String {
        plan.args
            .iter()
            .map(|arg| arg.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn gcc_reads_preprocessed_source() {
        let plan = plan(&job("g++", &["-O2", "-c"]), Path::new("/tmp")).unwrap();
        assert_eq!(plan.program, "/usr/bin/g++");
        assert_eq!(words(&plan), "-x c++ -O2 -c -fpreprocessed - -o out.o");
        assert_eq!(
            (plan.cwd.as_path(), plan.object.as_path()),
            (Path::new("/tmp/"), Path::new("out.o"))
        );
        assert_eq!(plan.dwo, None);
    }

    #[test]
    fn clang_is_told_the_names() {
        let plan = plan(&job("clang", &["-c"]), Path::new("/tmp/j1")).unwrap();
        assert_eq!(
            words(&plan),
            "-x c++ -Xclang -main-file-name -Xclang src/x.cc -Xclang -fdebug-compilation-dir -Xclang /home/u/p \
             -c - -o out.o -no-canonical-prefixes"
        );
    }

    #[test]
    fn split_debug_information_gets_the_submitters_folders() {
        let mut job = job("gcc", &["-g", "-gsplit-dwarf", "-c"]);
        job.split_dwarf = true;
        let first = plan(&job, Path::new("/tmp")).unwrap();
        assert_eq!(first.cwd, Path::new("/tmp/d/home/u/p"));
        assert!(
            words(&first).ends_with("-o sub/x.o -fdebug-prefix-map=/tmp/d/=/"),
            "{}",
            words(&first)
        );
        assert_eq!(first.object, Path::new("d/home/u/p/sub/x.o"));
        assert_eq!(
            first.dwo.as_deref(),
            Some(Path::new("d/home/u/p/sub/x.dwo"))
        );
        assert_eq!(
            first.folders,
            [Path::new("d/home/u/p"), Path::new("d/home/u/p/sub")]
        );

        job.output_file = "/home/build/y.tar.o".into();
        let second = plan(&job, Path::new("/tmp")).unwrap();
        assert!(
            words(&second).contains("-o ../../build/y.tar.o "),
            "{}",
            words(&second)
        );
        assert_eq!(
            second.dwo.as_deref(),
            Some(Path::new("d/home/build/y.tar.dwo"))
        );
    }

    #[test]
    fn nothing_leaves_the_jobs_folder() {
        let mut job = job("gcc", &[]);
        job.split_dwarf = true;
        job.working_directory = "/../../etc".into();
        job.output_file = "../../../../x.o".into();
        let escaped = plan(&job, Path::new("/tmp")).unwrap();
        assert_eq!(escaped.object, Path::new("d/x.o"));
        assert!(escaped.folders.iter().all(|folder| folder.starts_with("d")));
        for (working, output) in [("relative", "x.o"), ("/w", ""), ("/w", ".."), ("", "x.o")] {
            job.working_directory = working.into();
            job.output_file = output.into();
            assert!(
                plan(&job, Path::new("/tmp")).is_err(),
                "{working:?} {output:?}"
            );
        }
    }
}
