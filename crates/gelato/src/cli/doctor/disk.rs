//! Whether there is room for toolchains and jobs. Tries whether the base folder can be written to, if this user is the daemon's.

use std::path::Path;

use rustix::fs::{Access, access};

use super::facts::Facts;
use super::finding::Finding;
use crate::cli::status::words::bytes;

const CHECK: &str = "disk";

/// A toolchain takes about so much, unpacked.
const FEW: u64 = 500 << 20;

/// The daemon takes no jobs with less than this for each slot.
const FOR_EACH_SLOT: u64 = 25 << 20;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(status) = facts.status() else {
        return Vec::new();
    };
    let base = status["base"].as_str().unwrap_or_default();
    let mut findings = Vec::new();
    let is_its_user = status["user"].as_u64() == Some(rustix::process::geteuid().as_raw().into());
    if is_its_user && let Err(error) = access(Path::new(base), Access::WRITE_OK | Access::EXEC_OK) {
        findings.push(Finding::problem(
            CHECK,
            format!("the daemon cannot write to its folder {base}: {error}"),
            "give it back to the daemon's user, or choose another one with -b",
        ));
    }
    let Some(free) = status["disk_free"].as_u64() else {
        return findings;
    };
    let slots = status["slots"]["configured"].as_u64().unwrap_or(1).max(1);
    let full = status["reasons"]
        .as_array()
        .is_some_and(|reasons| reasons.iter().any(|reason| reason["code"] == "disk-full"));
    let left = format!("{} left where {base} is", bytes(free));
    if full || free < slots.saturating_add(1).saturating_mul(FOR_EACH_SLOT) {
        findings.push(Finding::problem(
            CHECK,
            format!("{left}: too little for jobs of other machines"),
            "make room there, or move the folder with -b (daemon.env-basedir)",
        ));
    } else if free < FEW {
        findings.push(Finding::note(
            CHECK,
            format!("{left}: one toolchain can take that"),
            "make room there, or move the folder with -b (daemon.env-basedir)",
        ));
    } else {
        findings.push(Finding::fine(CHECK, left));
    }
    findings
}
