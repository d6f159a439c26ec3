//! Which programs of an installed toolchain show that it works on this machine, and why one cannot be started.
//!
//! Nothing is run here: a received program runs in the sandbox only, and that is the caller's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One program to run in the sandbox, with an empty standard input and in a folder it may write to. It works if it exits
/// with status 0; what it says and writes is to be thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Path within the toolchain.
    pub program: &'static str,
    /// Its arguments.
    pub args: &'static [&'static str],
}

const TRUE: Check = Check {
    program: "/bin/true",
    args: &[],
};

/// Each with arguments that make it compile an empty translation unit to an object, as jobs do: with its front end and, if
/// it uses one, the assembler.
const COMPILERS: [Check; 5] = [
    Check {
        program: "/usr/bin/gcc",
        args: &["-x", "c", "-c", "-fpreprocessed", "-", "-o", OBJECT],
    },
    Check {
        program: "/usr/bin/g++",
        args: &["-x", "c++", "-c", "-fpreprocessed", "-", "-o", OBJECT],
    },
    Check {
        program: "/usr/bin/clang",
        args: &["-x", "c", "-c", "-", "-o", OBJECT],
    },
    Check {
        program: "/usr/bin/clang",
        args: &["-x", "c++", "-c", "-", "-o", OBJECT],
    },
    Check {
        program: "/usr/bin/as",
        args: &["--version"],
    },
];

/// What to run to verify the toolchain at `root`: `bin/true`, each compiler found, and the assembler.
/// `bin/true` is always among them, so an archive without it fails as it does with Icecream.
///
/// In Icecream's archives of clang, `gcc` and `g++` only pass clang's jobs of old peers on to clang and fail otherwise, so
/// beside clang and without GCC's front end they prove nothing.
#[must_use]
pub fn programs_to_check(root: &Path) -> Vec<Check> {
    let is_there = |program: &str| root.join(program.trim_start_matches('/')).is_file();
    let has_gcc = is_there("/usr/bin/cc1") || !is_there("/usr/bin/clang");
    let present = COMPILERS.into_iter().filter(|check| {
        let stands_in = !has_gcc && matches!(check.program, "/usr/bin/gcc" | "/usr/bin/g++");
        is_there(check.program) && !stands_in
    });
    [TRUE].into_iter().chain(present).collect()
}

/// The compilers of the toolchain at `root`: `gcc` or `clang`, as Icecream's archives hold one of them.
#[must_use]
pub fn family_of(root: &Path) -> Option<&'static str> {
    let is_there = |program: &str| root.join("usr/bin").join(program).is_file();
    ["clang", "gcc"].into_iter().find(|name| is_there(name))
}

/// A program to run with something to read and, perhaps, an object to write, in a working folder of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Path within the toolchain.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<&'static str>,
    /// Its standard input.
    pub input: &'static str,
    /// The file it has to leave in its working folder.
    pub output: Option<&'static str>,
}

const OBJECT: &str = "test.o";
const UNIT: &str = "int twice(int x) { return 2 * x; }\n";

/// What to run to see whether the toolchain at `root` is any good: more than [`programs_to_check`], which is for each
/// transfer. Every compiler makes an object as it does for jobs, through its front end and the assembler.
///
/// # Errors
/// If there is no compiler in it, or a compiler without a part it cannot do without.
pub fn trials(root: &Path) -> Result<Vec<Trial>, String> {
    let is_there = |program: &str| root.join("usr/bin").join(program).exists();
    let family =
        family_of(root).ok_or("it holds no compiler: neither usr/bin/gcc nor usr/bin/clang")?;
    if !root.join("bin/true").exists() {
        return Err("bin/true is missing, which workers try first".to_owned());
    }
    let mut trials = vec![Trial {
        program: TRUE.program,
        args: Vec::new(),
        input: "",
        output: None,
    }];
    let mut compiles = |program, before: &[&'static str], language| {
        let args = [before, &["-x", language, "-O2", "-c", "-", "-o", OBJECT]].concat();
        trials.push(Trial {
            program,
            args,
            input: UNIT,
            output: Some(OBJECT),
        });
    };
    if family == "clang" {
        compiles("/usr/bin/clang", &[], "c");
        compiles("/usr/bin/clang", &[], "c++");
    }
    // Beside clang it may only stand in for it.
    if family == "gcc" || is_there("cc1") && is_there("gcc") {
        compiles("/usr/bin/gcc", &["-fpreprocessed"], "c");
        if is_there("g++") {
            compiles("/usr/bin/g++", &["-fpreprocessed"], "c++");
        }
    }
    trials.push(Trial {
        program: "/usr/bin/as",
        args: vec!["-o", OBJECT],
        input: "",
        output: None,
    });
    Ok(trials)
}

/// Why the kernel may have refused to start a program of the toolchain at `root`, which lies in a file system of its own;
/// `None` if nothing is to be seen.
#[must_use]
pub fn why_not_started(root: &Path, program: &str) -> Option<String> {
    let file = root.join(program.trim_start_matches('/'));
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(_) => return Some("is missing".to_owned()),
    };
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some("is not executable".to_owned());
    }
    let headers = match crate::create::headers(&file) {
        Ok(Some(headers)) => headers,
        Ok(None) => return Some("is no program but some other file, or a script".to_owned()),
        Err(error) => return Some(error.to_string()),
    };
    let own = crate::create::headers("/proc/self/exe".as_ref());
    if let Ok(Some(own)) = own
        && own.machine != headers.machine
    {
        return Some(format!(
            "is a program for another kind of machine (ELF machine {}, this one has {})",
            headers.machine, own.machine
        ));
    }
    let loader = headers.interpreter?;
    let inside = root.join(loader.strip_prefix("/").unwrap_or(&loader));
    (!inside.exists()).then(|| {
        format!(
            "needs the loader {}, which is not in the archive",
            loader.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compilers_that_are_there_are_checked() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(programs_to_check(root.path()), [TRUE]);
        std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        std::fs::write(root.path().join("usr/bin/gcc"), "").unwrap();
        std::fs::write(root.path().join("usr/bin/as"), "").unwrap();
        let programs: Vec<_> = programs_to_check(root.path())
            .iter()
            .map(|check| check.program)
            .collect();
        assert_eq!(programs, ["/bin/true", "/usr/bin/gcc", "/usr/bin/as"]);
    }

    #[test]
    fn trials_are_for_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("usr/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(root.path().join("bin")).unwrap();
        assert!(trials(root.path()).unwrap_err().contains("no compiler"));
        std::fs::write(bin.join("gcc"), "").unwrap();
        assert!(trials(root.path()).unwrap_err().contains("bin/true"));
        std::fs::write(root.path().join("bin/true"), "").unwrap();
        let programs = || -> Vec<&str> {
            let trials = trials(root.path()).unwrap();
            trials.iter().map(|trial| trial.program).collect()
        };
        assert_eq!(programs(), ["/bin/true", "/usr/bin/gcc", "/usr/bin/as"]);
        std::fs::write(bin.join("clang"), "").unwrap();
        assert_eq!(programs().len(), 4);
    }

    #[test]
    fn what_cannot_be_started_is_explained() {
        let root = tempfile::tempdir().unwrap();
        let why = |program: &str| why_not_started(root.path(), program).unwrap_or_default();
        assert_eq!(why("/true"), "is missing");
        let file = root.path().join("true");
        std::fs::copy("/bin/true", &file).unwrap();
        assert!(
            why("/true").contains("needs the loader /lib"),
            "{}",
            why("/true")
        );
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[18] ^= 0x7f;
        std::fs::write(&file, &bytes).unwrap();
        assert!(why("/true").contains("another kind"), "{}", why("/true"));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(why("/true").contains("script"), "{}", why("/true"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(why("/true"), "is not executable");
    }

    #[test]
    fn stand_ins_for_gcc_beside_clang_are_not_checked() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        for program in ["gcc", "g++", "clang", "as"] {
            std::fs::write(root.path().join("usr/bin").join(program), "").unwrap();
        }
        let mut programs: Vec<_> = programs_to_check(root.path())
            .iter()
            .map(|check| check.program)
            .collect();
        programs.dedup();
        assert_eq!(programs, ["/bin/true", "/usr/bin/clang", "/usr/bin/as"]);
        // With its front end it is the real one.
        std::fs::write(root.path().join("usr/bin/cc1"), "").unwrap();
        let checks = programs_to_check(root.path());
        assert!(checks.iter().any(|check| check.program == "/usr/bin/gcc"));
        assert!(checks.iter().any(|check| check.program == "/usr/bin/g++"));
    }
}
