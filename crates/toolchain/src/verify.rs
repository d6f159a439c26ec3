//! Which programs of an installed toolchain show that it works on this machine.
//!
//! Nothing is run here: a received program runs in the sandbox only, and that is the caller's.

use std::path::Path;

/// One program to run in the sandbox, with an empty standard input. It works if it exits with status 0; its standard
/// output is to be thrown away.
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

/// Each with arguments that make it compile an empty translation unit from standard input to standard output, so that
/// no file is needed. gcc cannot assemble to standard output: it stops before, and the assembler is tried by itself.
const COMPILERS: [Check; 5] = [
    Check {
        program: "/usr/bin/gcc",
        args: &["-x", "c", "-S", "-fpreprocessed", "-", "-o", "-"],
    },
    Check {
        program: "/usr/bin/g++",
        args: &["-x", "c++", "-S", "-fpreprocessed", "-", "-o", "-"],
    },
    Check {
        program: "/usr/bin/clang",
        args: &["-x", "c", "-c", "-", "-o", "-"],
    },
    Check {
        program: "/usr/bin/clang",
        args: &["-x", "c++", "-c", "-", "-o", "-"],
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
/// beside clang they prove nothing.
#[must_use]
pub fn programs_to_check(root: &Path) -> Vec<Check> {
    let is_there = |program: &str| root.join(program.trim_start_matches('/')).is_file();
    let has_clang = is_there("/usr/bin/clang");
    let present = COMPILERS.into_iter().filter(|check| {
        let stands_in = has_clang && matches!(check.program, "/usr/bin/gcc" | "/usr/bin/g++");
        is_there(check.program) && !stands_in
    });
    [TRUE].into_iter().chain(present).collect()
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
    }
}
