//! Whose fault is it that a remote compiler failed?
//!
//! A real compile error is about places in files of the user and comes with status 1. Anything else (driver errors, missing files, crashes, trouble with the
//! assembler) may be due to the other machine, and then only the local compiler may speak. In doubt the job is done again here.

/// Whether a failure can be shown to the user as it is. Only asked for compilers whose remote text is exact.
pub fn is_compile_error(status: i32, stdout: &[u8], stderr: &[u8]) -> bool {
    if status != 1 || !stdout.is_empty() {
        return false;
    }
    let mut located = false;
    for line in stderr.split(|&b| b == b'\n') {
        let line = strip_escapes(line);
        if contains(&line, b"fatal error")
            || contains(&line, b"file not found")
            || contains(&line, b"cannot open")
            || contains(&line, b"annot allocate")
            || contains(&line, b"No space left")
            || contains(&line, b"<stdin>")
            || contains(&line, b"<inline asm>")
            || contains(&line, b"LLVM ERROR")
            || contains(&line, b"PLEASE ")
            || line.starts_with(b"clang")
            || line.starts_with(b"error:")
        {
            return false;
        }
        located |= is_located_error(&line);
    }
    located
}

/// Whether Clang quotes a line that is not the user's but was made by merging includes.
pub fn quotes_merged_text(stderr: &[u8]) -> bool {
    contains(stderr, b"-frewrite-includes")
        || stderr.split(|&b| b == b'\n').any(|line| {
            let line = strip_escapes(line);
            line.strip_prefix(b"# ")
                .and_then(|rest| rest.first().copied())
                .is_some_and(|b| b.is_ascii_digit())
        })
}

/// Whether GCC speaks of files or programs of the other machine, or of what merging made of the command line and of macros: it writes their definitions anew, with other
/// columns (watched with GCC 12).
pub fn names_the_other_machine(stdout: &[u8], stderr: &[u8]) -> bool {
    !stdout.is_empty()
        || [
            "<stdin>",
            "<command-line>",
            "<built-in>",
            "{standard input}",
            "/tmp/",
            " of macro ",
        ]
        .iter()
        .any(|text| contains(stderr, text.as_bytes()))
}

/// `FILE:LINE:COLUMN: error: …`
fn is_located_error(line: &[u8]) -> bool {
    let Some(position) = find(line, b": error: ") else {
        return false;
    };
    let mut parts = line
        .get(..position)
        .unwrap_or_default()
        .rsplitn(3, |&b| b == b':');
    let number = |part: Option<&[u8]>| {
        part.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
    };
    number(parts.next())
        && number(parts.next())
        && parts.next().is_some_and(|file| !file.is_empty())
}

/// The line without terminal colour sequences.
fn strip_escapes(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == 0x1b {
            bytes.by_ref().find(u8::is_ascii_alphabetic);
        } else {
            plain.push(byte);
        }
    }
    plain
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn located_errors_are_the_users() {
        assert!(is_compile_error(
            1,
            b"",
            b"src/x.c:3:5: error: use of undeclared identifier 'y'\n    y\n    ^\n1 error generated.\n"
        ));
        assert!(is_compile_error(
            1,
            b"",
            b"\x1b[1mx.c:3:5: \x1b[0m\x1b[0;1;31merror: \x1b[0mbad\n"
        ));
    }

    #[test]
    fn everything_else_is_suspect() {
        let located = b"x.c:3:5: error: bad\n".as_slice();
        assert!(!is_compile_error(70, b"", located));
        assert!(!is_compile_error(1, b"text", located));
        for text in [
            "",
            "clang: error: no such file or directory: 'x'\n",
            "x.c:1:10: fatal error: 'y.h' file not found\n",
            "<inline asm>:1:10: error: Could not find incbin file\n",
            "error: cannot open file\n",
            "something failed\n",
            ": error: \n",
            "x:1: error: no column\n",
        ] {
            assert!(!is_compile_error(1, b"", text.as_bytes()), "{text}");
        }
        let mixed = b"x.c:3:5: error: bad\nclang: error: unable to execute command\n";
        assert!(!is_compile_error(1, b"", mixed));
    }

    #[test]
    fn files_of_the_other_machine_show() {
        assert!(!names_the_other_machine(b"", b"x.c:1:1: warning: w\n"));
        assert!(names_the_other_machine(b"x", b""));
        for text in [
            "<stdin>:1: warning",
            "/tmp/x.s: Assembler messages:",
            "x.h:2:25: note: in definition of macro 'A'",
        ] {
            assert!(names_the_other_machine(b"", text.as_bytes()));
        }
    }

    #[test]
    fn lines_of_merging_are_not_the_users() {
        for text in [
            "x.c:7:10: warning: empty\n# 8 \"x.c\"\n         ^\n",
            "x.c:1:1: error: e\n#if 0 /* expanded by -frewrite-includes */\n",
        ] {
            assert!(quotes_merged_text(text.as_bytes()), "{text}");
        }
        assert!(!quotes_merged_text(b"x.c:1:2: warning: w\n# define X\n"));
    }
}
