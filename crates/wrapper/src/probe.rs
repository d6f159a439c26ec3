//! What a compiler really is, as far as its name does not tell.
//!
//! Links are followed to the real name first. Only if that is not enough, or if the answer needs the compiler's own word (what Clang compiles for, whether it reads a
//! configuration file), it is asked with `-v`, once: the answer is kept in the user's cache under the identity of the file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use gelato_compiler::{Family, names};

use crate::variables::{DEPTH, Variables};

/// What `COMPILER -v` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) family: Family,
    /// The target triple.
    pub(crate) target: String,
    /// It reads a configuration file, so the same words mean something else to another Clang.
    pub(crate) configured: bool,
}

/// The family, from the names along the links. `None`: ask.
pub(crate) fn family_by_name(compiler: &Path) -> Option<Family> {
    let real = fs::canonicalize(compiler).ok();
    real.as_deref()
        .and_then(|real| names::parse(real.as_os_str())?.family)
        .or_else(|| names::parse(compiler.as_os_str())?.family)
}

/// A script adds words of its own that nobody else sees.
pub(crate) fn is_script(compiler: &Path) -> bool {
    let mut start = [0; 2];
    File::open(compiler)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"#!")
}

/// Asks the compiler, or the cache.
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
        .arg("-v")
        .env(DEPTH, (variables.depth + 2).to_string())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let answer = parse_verbose(&output.stderr).or_else(|| parse_verbose(&output.stdout))?;
    if let Some(file) = cached {
        store(&file, &key, &answer);
    }
    Some(answer)
}

fn parse_verbose(text: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(text);
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
    })
}

/// Path, device, number, size and time of change: the text that identifies one state of one compiler.
fn key(compiler: &Path) -> Option<Vec<u8>> {
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

fn cache_file(variables: &Variables, key: &[u8]) -> Option<PathBuf> {
    let base = match &variables.cache_home {
        Some(folder) => folder.clone(),
        None => variables.home.as_ref()?.join(".cache"),
    };
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    Some(base.join("gelato").join("compilers").join(name))
}

const FORMAT: &[u8] = b"gelato-compiler 1";

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
    // The last line is whole only if something follows it.
    lines.next()?;
    Some(Answer {
        family,
        target,
        configured,
    })
}

fn store(file: &Path, key: &[u8], answer: &Answer) {
    let Some(folder) = file.parent() else {
        return;
    };
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
        b"",
    ] {
        content.push(b'\n');
        content.extend_from_slice(line);
    }
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
            .write_all(&content)?;
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
        let clang = parse_verbose(CLANG).expect("clang");
        assert_eq!(clang.family, Family::Clang);
        assert_eq!(clang.target, "x86_64-pc-linux-gnu");
        assert!(!clang.configured);
        assert_eq!(parse_verbose(GCC).expect("gcc").family, Family::Gcc);
        assert_eq!(parse_verbose(b"tcc version 0.9\n"), None);
        let configured = [CLANG, b"Configuration file: /etc/clang.cfg\n"].concat();
        assert!(parse_verbose(&configured).expect("clang").configured);
    }

    #[test]
    fn cached_answers_belong_to_one_state_of_one_file() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("a/b/c");
        let answer = parse_verbose(CLANG).expect("clang");
        store(&file, b"key", &answer);
        let content = fs::read(&file).expect("stored");
        assert_eq!(parse_cached(&content, b"key"), Some(answer));
        assert_eq!(parse_cached(&content, b"other"), None);
        for length in 0..content.len() {
            assert_eq!(parse_cached(&content[..length], b"key"), None, "{length}");
        }
    }
}
