//! What keeps jobs of others in, and what stands in the way of something stronger.

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "sandbox";

/// The strongest there is.
const STRONGEST: &str = "namespaces+cgroup";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(status) = facts.status() else {
        return Vec::new();
    };
    if status["remote_wanted"] == false {
        return Vec::new();
    }
    let sandbox = &status["sandbox"];
    let obstacles: Vec<&str> = sandbox["obstacles"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|obstacle| obstacle.as_str())
        .collect();
    let Some(level) = sandbox["level"].as_str() else {
        return vec![Finding::problem(
            CHECK,
            "no acceptable sandbox works, so this machine takes no jobs of others",
            obstacles.join("; "),
        )];
    };
    if level == STRONGEST {
        return vec![Finding::fine(
            CHECK,
            format!("{level}, the strongest there is"),
        )];
    }
    if level == "none" {
        return vec![Finding::problem(
            CHECK,
            "jobs of others run without any sandbox, with all rights of the daemon's user",
            "set daemon.sandbox to auto",
        )];
    }
    let why = if obstacles.is_empty() {
        "the daemon was told to use it (daemon.sandbox)".to_owned()
    } else {
        obstacles.join("; ")
    };
    vec![Finding::note(
        CHECK,
        format!("{level} is in force, {STRONGEST} would be stronger"),
        why,
    )]
}
