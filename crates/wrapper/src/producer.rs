//! Asks GCC once for each set of options how its debug information will name them: the answer is kept in the user's cache.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_compiler::{Producer, RemotePlan};

use crate::nested::STARTED;
use crate::probe;
use crate::variables::{DEPTH, Variables};

/// Targets whose objects can be restored: 64-bit ELF, little-endian, addends in the relocations.
const TARGETS: [&str; 2] = ["x86_64-", "aarch64-"];

/// The plan with what restores the names of the options, if its debug information will have them and its object is of a known form.
pub(crate) fn resolve(plan: RemotePlan, compiler: &Path, variables: &Variables) -> RemotePlan {
    if !plan.names_options {
        return plan;
    }
    let producer = find(&plan, compiler, variables);
    RemotePlan { producer, ..plan }
}

fn find(plan: &RemotePlan, compiler: &Path, variables: &Variables) -> Option<Producer> {
    let answer = probe::ask(compiler, variables)?;
    let known = TARGETS.iter().any(|start| answer.target.starts_with(start))
        && answer.target.contains("linux");
    let words = plan.question_for_producer();
    let other_form = ["-m32", "-mx32", "-m16", "-mbig-endian", "-mabi=ilp32"];
    if !known
        || words
            .iter()
            .any(|word| other_form.iter().any(|form| word == form))
    {
        return None;
    }
    let mut key = b"producer 1\n".to_vec();
    key.extend_from_slice(&probe::key(compiler)?);
    for word in &words {
        if word.as_bytes().contains(&b'\n') {
            return None;
        }
        key.push(b' ');
        key.extend_from_slice(word.as_bytes());
    }
    key.push(b'\n');
    let cached = probe::cache_file(variables, &key);
    let kept = cached.as_ref().and_then(|file| {
        let content = fs::read(file).ok()?;
        Producer::from_seed(content.strip_prefix(key.as_slice())?)
    });
    if kept.is_some() {
        return kept;
    }
    let output = Command::new(compiler)
        .args(&words)
        .env(DEPTH, (variables.depth + 2).to_string())
        .env(STARTED, compiler)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let producer = Producer::from_answer(&output.stdout)?;
    if let Some(file) = cached {
        probe::write(&file, &[key.as_slice(), producer.seed()].concat());
    }
    Some(producer)
}
