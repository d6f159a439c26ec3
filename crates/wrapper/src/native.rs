//! Asks the compiler what `-march=native` and its like mean on this machine, once for each processor: the answer is kept in the user's cache.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_compiler::{LocalReason, NativeRequest, RemotePlan, Substitute};

use crate::nested::STARTED;
use crate::probe;
use crate::variables::{DEPTH, Variables};

/// The plan with the processor spelled out, if its words ask for this machine's.
pub(crate) fn resolve(
    plan: RemotePlan,
    compiler: &Path,
    variables: &Variables,
) -> Result<RemotePlan, LocalReason> {
    let Some(request) = &plan.native else {
        return Ok(plan);
    };
    substitute(request, &plan, compiler, variables)
        .and_then(|substitute| plan.with_native(&substitute))
        .ok_or(LocalReason::NativeCpu)
}

fn substitute(
    request: &NativeRequest,
    plan: &RemotePlan,
    compiler: &Path,
    variables: &Variables,
) -> Option<Substitute> {
    let key = key(request, compiler)?;
    let cached = probe::cache_file(variables, &key);
    let kept = cached.as_ref().and_then(|file| {
        let content = fs::read(file).ok()?;
        let lines = content.strip_prefix(key.as_slice())?;
        Substitute::from_lines(std::str::from_utf8(lines).ok()?)
    });
    if kept.is_some() {
        return kept;
    }
    let ask = |words: &[OsString]| {
        let output = Command::new(compiler)
            .args(["-###", "-E", "-"])
            .args(words)
            .env(DEPTH, (variables.depth + 2).to_string())
            .env(STARTED, compiler)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then_some(output.stderr)
    };
    let with = ask(&request.with)?;
    let without = match &request.without {
        Some(words) => Some(ask(words)?),
        None => None,
    };
    let found = Substitute::parse(plan.family, &with, without.as_deref())?;
    if let Some(file) = cached {
        let content = [key.as_slice(), found.to_lines().as_bytes()].concat();
        probe::write(&file, &content);
    }
    Some(found)
}

/// Compiler, processor and words: the text that the answer belongs to.
fn key(request: &NativeRequest, compiler: &Path) -> Option<Vec<u8>> {
    let mut key = b"native 1\n".to_vec();
    key.extend_from_slice(&probe::key(compiler)?);
    key.push(b'\n');
    key.extend_from_slice(&processor()?);
    for word in &request.with {
        if word.as_bytes().contains(&b'\n') {
            return None;
        }
        key.push(b' ');
        key.extend_from_slice(word.as_bytes());
    }
    key.push(b'\n');
    Some(key)
}

/// What the system says about the first processor, without what changes from moment to moment.
fn processor() -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open("/proc/cpuinfo")
        .ok()?
        .take(4096)
        .read_to_end(&mut text)
        .ok()?;
    Some(describe(&text))
}

fn describe(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in text
        .split(|&b| b == b'\n')
        .take_while(|line| !line.is_empty())
    {
        if !line.starts_with(b"cpu MHz") && !line.starts_with(b"bogomips") {
            lines.extend_from_slice(line);
            lines.push(b';');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_described_without_its_speed() {
        let text = b"processor: 0\ncpu MHz: 3000\nflags: a b\n\nprocessor: 1\n";
        assert_eq!(describe(text), b"processor: 0;flags: a b;");
    }
}
