//! Whether this machine takes jobs of others, and why not or why fewer.

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "jobs";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(status) = facts.status() else {
        return Vec::new();
    };
    let slots = &status["slots"];
    let offered = slots["offered"].as_u64().unwrap_or(0);
    let mut findings = Vec::new();
    if status["accepting"] == true {
        findings.push(Finding::fine(
            CHECK,
            format!(
                "takes up to {offered} jobs of other machines, {} run now",
                slots["foreign"]
            ),
        ));
    } else if status["remote_wanted"] == false {
        findings.push(Finding::note(
            CHECK,
            "takes no jobs of other machines, as the settings say",
            "leave out --no-remote or daemon.no-remote if it should",
        ));
    }
    for reason in status["reasons"].as_array().into_iter().flatten() {
        // The check of disks says it with more words.
        if reason["code"] == "disk-full" {
            continue;
        }
        let text = reason["text"].as_str().unwrap_or_default();
        let (what, fix) = text
            .split_once("; ")
            .unwrap_or((text, "gelato status shows more"));
        let what = if reason["refuses"] == true {
            format!("takes no jobs of other machines: {what}")
        } else {
            format!("takes fewer jobs than it could: {what}")
        };
        findings.push(Finding::note(CHECK, what, fix));
    }
    findings
}
