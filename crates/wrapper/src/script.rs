//! Reads wrapper scripts that can be understood completely: `exec COMPILER WORDS "$@" WORDS` and nothing else that could matter.
//!
//! Such a script is the same as the command in it, so it need not be run to know what it adds. Everything else (conditions, expansions, assignments) is not
//! understood here, and the answer is `None`: a script is a program, and guessing what it does would give wrong objects. Pure: no file is read.

/// More than any such script.
pub(crate) const LONGEST: usize = 64 << 10;

/// What a script runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The program, to be found as the shell would.
    pub(crate) program: Vec<u8>,
    /// Words before those the script was given.
    pub(crate) before: Vec<Vec<u8>>,
    /// Words after them.
    pub(crate) after: Vec<Vec<u8>>,
}

/// Whether a file that begins like this is a script.
pub(crate) fn is_script(start: &[u8]) -> bool {
    start.starts_with(b"#!")
}

/// The one command of the script `text`. `is_set` says whether a variable is in the environment: some change what a shell does before the first line.
pub(crate) fn read(text: &[u8], is_set: impl Fn(&str) -> bool) -> Option<Command> {
    let text = std::str::from_utf8(text).ok()?;
    let (first, rest) = text.split_once('\n')?;
    check_interpreter(first, &is_set)?;
    if text.contains('\r') {
        return None;
    }
    let rest = rest.replace("\\\n", "");
    let mut lines = rest.lines().map(str::trim).filter(|line| {
        !line.is_empty()
            && !line.starts_with('#')
            && !matches!(*line, "set -e" | "set -u" | "set -eu")
    });
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let mut words = split(line)?.into_iter().peekable();
    if words.peek() == Some(&Word::Text(b"exec".to_vec())) {
        words.next();
    }
    let Word::Text(program) = words.next()? else {
        return None;
    };
    // An option of exec, an assignment, or a name that is something else in a shell.
    if program.starts_with(b"-") || program.contains(&b'=') || is_shell_word(&program) {
        return None;
    }
    if is_set(&format!(
        "BASH_FUNC_{}%%",
        String::from_utf8_lossy(&program)
    )) {
        return None;
    }
    let mut command = Command {
        program,
        before: Vec::new(),
        after: Vec::new(),
    };
    let mut seen = false;
    for word in words {
        match word {
            Word::Arguments if seen => return None,
            Word::Arguments => seen = true,
            Word::Text(text) if seen => command.after.push(text),
            Word::Text(text) => command.before.push(text),
        }
    }
    seen.then_some(command)
}

/// Whether a script mentions its arguments in any of the usual languages. One that does not cannot pass a question on to a compiler: asked, it would do its work.
pub(crate) fn may_pass_words_on(text: &[u8]) -> bool {
    const MENTIONS: [&[u8]; 6] = [b"$@", b"${@", b"$*", b"argv", b"ARGV", b"args"];
    let mentions = |mention: &&[u8]| text.windows(mention.len()).any(|part| part == *mention);
    MENTIONS.iter().any(mentions)
}

/// A plain shell, without options that change how the script is read.
fn check_interpreter(line: &str, is_set: &impl Fn(&str) -> bool) -> Option<()> {
    let mut words = line.strip_prefix("#!")?.split_ascii_whitespace();
    let mut shell = words.next()?;
    if shell == "/usr/bin/env" {
        shell = words.next()?;
    }
    let name = shell.rsplit('/').next()?;
    let options: Vec<&str> = words.collect();
    let plain = matches!(options.as_slice(), [] | ["-e" | "-u" | "-eu"]);
    let known = matches!(name, "sh" | "dash" | "ash" | "bash");
    // Bash reads a file named by BASH_ENV first, and takes functions and options from the environment.
    let meddled = is_set("BASH_ENV") || is_set("SHELLOPTS") || is_set("BASHOPTS");
    (known && plain && !meddled).then_some(())
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Text(Vec<u8>),
    /// `"$@"`
    Arguments,
}

/// The words of a simple command. `None` if the shell would do anything but take the quotes off.
fn split(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() || rest.starts_with('#') {
            return Some(words);
        }
        let arguments = ["\"$@\"", "${1+\"$@\"}", "\"${@}\""]
            .iter()
            .find_map(|form| rest.strip_prefix(form));
        if let Some(after) = arguments {
            if !(after.is_empty() || after.starts_with([' ', '\t'])) {
                return None;
            }
            words.push(Word::Arguments);
            rest = after;
            continue;
        }
        let (word, after) = take_word(rest)?;
        words.push(Word::Text(word));
        rest = after;
    }
}

/// The first word of `text`, quotes taken off, and the rest.
fn take_word(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut word = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let inside = rest.get(next.len_utf8()..)?;
        match next {
            ' ' | '\t' => break,
            '\'' => {
                let (quoted, after) = inside.split_once('\'')?;
                word.extend_from_slice(quoted.as_bytes());
                rest = after;
            }
            '"' => {
                let (quoted, after) = inside.split_once('"')?;
                if quoted.contains(['$', '`', '\\']) {
                    return None;
                }
                word.extend_from_slice(quoted.as_bytes());
                rest = after;
            }
            plain if plain.is_ascii_alphanumeric() || "/_-+.,:=@".contains(plain) => {
                word.push(u8::try_from(plain).ok()?);
                rest = inside;
            }
            _ => return None,
        }
    }
    Some((word, rest))
}

/// Keywords and commands of the shell itself.
fn is_shell_word(word: &[u8]) -> bool {
    !word.contains(&b'/')
        && matches!(
            word,
            b"if"
                | b"for"
                | b"while"
                | b"until"
                | b"case"
                | b"function"
                | b"select"
                | b"time"
                | b"set"
                | b"export"
                | b"eval"
                | b"command"
                | b"builtin"
                | b"."
                | b"source"
                | b"test"
                | b"["
                | b"echo"
                | b"printf"
                | b"cd"
                | b"shift"
                | b"exit"
                | b"trap"
                | b"unset"
                | b"alias"
                | b"readonly"
                | b"local"
                | b"umask"
                | b"ulimit"
                | b"exec"
                | b":"
                | b"true"
                | b"false"
                | b"wait"
                | b"return"
                | b"read"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Option<(String, String, String)> {
        let text = format!("#!/bin/sh\n{body}\n");
        let command = read(text.as_bytes(), |_| false)?;
        let join = |words: &[Vec<u8>]| String::from_utf8_lossy(&words.join(&b'|')).into_owned();
        Some((
            String::from_utf8_lossy(&command.program).into_owned(),
            join(&command.before),
            join(&command.after),
        ))
    }

    #[test]
    fn one_command_with_the_arguments_is_understood() {
        for (body, program, before, after) in [
            ("exec gcc \"$@\"", "gcc", "", ""),
            (
                "# why\n\nexec /usr/bin/gcc -m32 \"$@\"",
                "/usr/bin/gcc",
                "-m32",
                "",
            ),
            ("ccache gcc \"$@\" -g", "ccache", "gcc", "-g"),
            (
                "set -e\nexec 'g++' -DX=\"a b\" ${1+\"$@\"} # all",
                "g++",
                "-DX=a b",
                "",
            ),
            ("exec gcc \\\n  -O2 \\\n  \"${@}\"", "gcc", "-O2", ""),
            ("exec gcc ''  \"$@\"", "gcc", "", ""),
        ] {
            let expected = Some((program.to_owned(), before.to_owned(), after.to_owned()));
            assert_eq!(one(body), expected, "{body}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for body in [
            "",
            "exec gcc",
            "exec gcc $@",
            "exec gcc $*",
            "exec gcc \"$*\"",
            "exec gcc \"$@\" \"$@\"",
            "exec gcc -I\"$HOME\" \"$@\"",
            "exec $CC \"$@\"",
            "exec -a gcc /opt/gcc \"$@\"",
            "CPATH=/x gcc \"$@\"",
            "export CPATH=/x\nexec gcc \"$@\"",
            "exec gcc \"$@\" && echo done",
            "exec gcc \"$@\" 2>/dev/null",
            "exec gcc \"$@\" | cat",
            "exec gcc *.c \"$@\"",
            "exec gcc ~/x \"$@\"",
            "exec gcc {a,b} \"$@\"",
            "exec gcc \"$@\"x",
            "exec gcc x\"$@\"",
            "exec gcc \"unfinished $@",
            "exec gcc 'unfinished \"$@\"",
            "if true; then exec gcc \"$@\"; fi",
            "shift\nexec gcc \"$@\"",
            "shift \"$@\"",
            "exec gcc `x` \"$@\"",
            "exec gcc (x) \"$@\"",
            "exec gcc \\-x \"$@\"",
        ] {
            assert_eq!(one(body), None, "{body}");
        }
    }

    #[test]
    fn only_scripts_that_mention_arguments_may_be_asked() {
        for (text, expected) in [
            ("#!/bin/sh\nset -- -O2 \"$@\"\ngcc \"$@\"\n", true),
            ("#!/usr/bin/python3\nimport sys\nrun(sys.argv)\n", true),
            ("#!/bin/sh\necho built >> log\n", false),
        ] {
            assert_eq!(may_pass_words_on(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_plain_shells_count() {
        let line = |first: &str, set: &str| {
            let text = format!("{first}\nexec gcc \"$@\"\n");
            read(text.as_bytes(), |name| name == set).is_some()
        };
        assert!(line("#!/bin/sh", ""));
        assert!(line("#! /bin/bash -e", ""));
        assert!(line("#!/usr/bin/env bash", ""));
        assert!(!line("#!/bin/bash", "BASH_ENV"));
        assert!(!line("#!/bin/bash", "BASH_FUNC_gcc%%"));
        assert!(!line("#!/bin/sh\r", ""));
        assert!(!line("#!/bin/bash -x", ""));
        assert!(!line("#!/usr/bin/python3", ""));
        assert!(!line("#!/usr/bin/env -S FOO=1 sh", ""));
        assert!(!line("exec", ""));
    }
}
