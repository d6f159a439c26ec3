//! What a compiler really is, as far as its name does not tell.
//!
//! A name is only a hint: `gcc` may be a copy of Clang, or a program that starts a compiler with further words. So before a job travels the compiler is asked what it is,
//! what it compiles for, whether it reads a configuration file, and whether it is the compiler itself. It is asked once: the answer is kept in the user's cache under the
//! identity of the file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use gelato_compiler::{Family, names};

use crate::locks;
use crate::nested::STARTED;
use crate::search::Found;
use crate::variables::{DEPTH, Variables};

/// What `COMPILER -v` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) family: Family,
    /// The target triple.
    pub(crate) target: String,
    /// It reads a configuration file, so the same words mean something else to another Clang.
    pub(crate) configured: bool,
    /// It is the compiler itself, not a program that starts one.
    pub(crate) itself: bool,
}

/// The family, from the names along the links. `None`: ask.
pub(crate) fn family_by_name(found: &Found) -> Option<Family> {
    names::parse(found.real.as_os_str())
        .and_then(|tool| tool.family)
        .or_else(|| names::parse(found.path.as_os_str())?.family)
}

/// Asks the compiler, or the cache. `compiler` is absolute: its name is part of what it is.
pub(crate) fn ask(compiler: &Path, variables: &Variables) -> Option<Answer> {
    let key = key(compiler)?;
    let cached = cache_file(variables, &key);
    if let Some(answer) = cached
        .as_ref()
        .and_then(|file| parse_cached(&fs::read(file).ok()?, &key))
    {
        return Some(answer);
    }
    let output = Command::new(compiler)
        // Like -v, and it shows the commands that it would run.
        .args(["-###", "-x", "c", "-c", "/dev/null", "-o", "/dev/null"])
        .env(DEPTH, (variables.depth + 2).to_string())
        .env(STARTED, compiler)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let answer = parse_verbose(&output.stderr, compiler)
        .or_else(|| parse_verbose(&output.stdout, compiler))?;
    if let Some(file) = cached {
        store(&file, &key, &answer);
    }
    Some(answer)
}

/// The program in a line of Clang's that shows a compilation: it starts itself for that.
pub(crate) fn clang_itself(line: &[u8]) -> Option<PathBuf> {
    let line = line.trim_ascii_start().strip_prefix(b"\"")?;
    let end = line.iter().position(|&byte| byte == b'"')?;
    let (program, rest) = line.split_at(end);
    rest.starts_with(b"\" \"-cc1\"")
        .then(|| PathBuf::from(OsStr::from_bytes(program)))
}

fn parse_verbose(output: &[u8], compiler: &Path) -> Option<Answer> {
    let text = String::from_utf8_lossy(output);
    let mut itself = false;
    for line in output.split(|&byte| byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"COLLECT_GCC=") {
            itself |= name.trim_ascii() == compiler.as_os_str().as_bytes();
        } else if let Some(program) = clang_itself(line) {
            let real = fs::canonicalize(compiler);
            itself |= real.is_ok_and(|real| fs::canonicalize(program).is_ok_and(|p| p == real));
        }
    }
    let mut family = None;
    let mut target = None;
    let mut configured = false;
    for line in text.lines() {
        if line.contains("clang version") {
            family = Some(Family::Clang);
        } else if line.starts_with("gcc version") {
            family.get_or_insert(Family::Gcc);
        } else if let Some(triple) = line.strip_prefix("Target: ") {
            target = Some(triple.trim().to_owned());
        } else if line.starts_with("Configuration file:") {
            configured = true;
        }
    }
    let target = target.filter(|t| {
        !t.is_empty()
            && t.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    })?;
    Some(Answer {
        family: family?,
        target,
        configured,
        itself,
    })
}

/// Path, device, number, size and time of change: the text that identifies one state of one compiler.
pub(crate) fn key(compiler: &Path) -> Option<Vec<u8>> {
    let metadata = fs::metadata(compiler).ok()?;
    let absolute = std::path::absolute(compiler).ok()?;
    let mut key = absolute.as_os_str().as_bytes().to_vec();
    if key.contains(&b'\n') {
        return None;
    }
    let identity = format!(
        " {} {} {} {}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    key.extend_from_slice(identity.as_bytes());
    Some(key)
}

pub(crate) fn cache_file(variables: &Variables, key: &[u8]) -> Option<PathBuf> {
    let base = match (&variables.cache_home, &variables.home) {
        (Some(folder), _) => folder.clone(),
        (None, Some(home)) if home.is_dir() => home.join(".cache"),
        // Package builders have no home.
        (None, _) => locks::folder(variables)?,
    };
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    Some(base.join("gelato").join("compilers").join(name))
}

const FORMAT: &[u8] = b"gelato-compiler 2";

fn parse_cached(content: &[u8], key: &[u8]) -> Option<Answer> {
    let mut lines = content.split(|&b| b == b'\n');
    if lines.next()? != FORMAT || lines.next()? != key {
        return None;
    }
    let family = match lines.next()? {
        b"clang" => Family::Clang,
        b"gcc" => Family::Gcc,
        _ => return None,
    };
    let target = String::from_utf8(lines.next()?.to_vec()).ok()?;
    let configured = match lines.next()? {
        b"configured" => true,
        b"plain" => false,
        _ => return None,
    };
    let itself = match lines.next()? {
        b"itself" => true,
        b"starts another" => false,
        _ => return None,
    };
    // The last line is whole only if something follows it.
    lines.next()?;
    Some(Answer {
        family,
        target,
        configured,
        itself,
    })
}

fn store(file: &Path, key: &[u8], answer: &Answer) {
    let mut content = FORMAT.to_vec();
    for line in [
        key,
        match answer.family {
            Family::Clang => b"clang",
            Family::Gcc => b"gcc",
        },
        answer.target.as_bytes(),
        match answer.configured {
            true => b"configured",
            false => b"plain",
        },
        match answer.itself {
            true => b"itself",
            false => b"starts another",
        },
        b"",
    ] {
        content.push(b'\n');
        content.extend_from_slice(line);
    }
    write(file, &content);
}

/// Puts `content` into the cache, in one piece or not at all.
pub(crate) fn write(file: &Path, content: &[u8]) {
    let Some(folder) = file.parent() else {
        return;
    };
    let mut temporary = OsString::from(file.as_os_str());
    temporary.push(format!(".{}", process::id()));
    let write = || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?
            .write_all(content)?;
        fs::rename(&temporary, file)
    };
    if write().is_err() {
        let _ = fs::remove_file(&temporary);
    }
}

/// The name alone, for messages.
pub(crate) fn display_name(compiler: &Path) -> &OsStr {
    compiler.file_name().unwrap_or(compiler.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLANG: &[u8] = b"Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\nThread model: posix\nInstalledDir: /usr/bin\n";
    const GCC: &[u8] = b"Using built-in specs.\nCOLLECT_GCC=gcc\nTarget: x86_64-linux-gnu\ngcc version 12.2.0 (Debian 12.2.0-14)\n";

    #[test]
    fn reads_what_compilers_say() {
        let clang = parse_verbose(CLANG, Path::new("/bin/clang")).expect("clang");
        assert_eq!(clang.family, Family::Clang);
        assert_eq!(clang.target, "x86_64-pc-linux-gnu");
        assert!(!clang.configured);
        assert_eq!(
            parse_verbose(GCC, Path::new("/bin/gcc"))
                .expect("gcc")
                .family,
            Family::Gcc
        );
        assert_eq!(
            parse_verbose(b"tcc version 0.9\n", Path::new("/bin/tcc")),
            None
        );
        for (name, itself) in [("/bin/gcc", true), ("/bin/cc", false)] {
            let answer = parse_verbose(&[GCC, b"COLLECT_GCC=/bin/gcc\n"].concat(), Path::new(name));
            assert_eq!(answer.expect("gcc").itself, itself);
        }
        let own = std::env::current_exe().expect("a program");
        let line = format!(" \"{}\" \"-cc1\" \"-triple\"\n", own.display());
        for (name, itself) in [(own.as_path(), true), (Path::new("/bin/sh"), false)] {
            let answer = parse_verbose(&[CLANG, line.as_bytes()].concat(), name);
            assert_eq!(answer.expect("clang").itself, itself);
        }
        let configured = [CLANG, b"Configuration file: /etc/clang.cfg\n"].concat();
        assert!(
            parse_verbose(&configured, Path::new("/bin/clang"))
                .expect("clang")
                .configured
        );
    }

    #[test]
    fn cached_answers_belong_to_one_state_of_one_file() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("a/b/c");
        let answer = parse_verbose(CLANG, Path::new("/bin/clang")).expect("clang");
        store(&file, b"key", &answer);
        let content = fs::read(&file).expect("stored");
        assert_eq!(parse_cached(&content, b"key"), Some(answer));
        assert_eq!(parse_cached(&content, b"other"), None);
        for length in 0..content.len() {
            assert_eq!(parse_cached(&content[..length], b"key"), None, "{length}");
        }
    }
}
