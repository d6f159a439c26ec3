//! Whether users of this machine may have namespaces of their own, which the best sandboxes are made of. Reads a few
//! files of `/proc/sys`.

use std::path::Path;

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "namespaces";

/// Switches of kernels and distributions, the value that forbids, and how to change it.
const SWITCHES: &[(&str, &str, &str)] = &[
    (
        "user/max_user_namespaces",
        "0",
        "sysctl -w user.max_user_namespaces=15000",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile that allows userns",
    ),
];

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let in_force = facts
        .status()
        .and_then(|status| status["sandbox"]["level"].as_str())
        .is_some_and(|level| level.starts_with("namespaces"));
    if in_force || facts.namespaces.level.is_some() {
        return vec![Finding::fine(CHECK, "user namespaces are allowed")];
    }
    let why = facts.namespaces.obstacles.join("; ");
    match forbidding(Path::new("/proc/sys")) {
        Some((switch, fix)) => vec![Finding::problem(
            CHECK,
            format!("user namespaces are forbidden by {switch}: {why}"),
            format!("as root: {fix} (and in /etc/sysctl.d to keep it), then restart the daemon"),
        )],
        None => vec![Finding::note(
            CHECK,
            format!("user namespaces do not work: {why}"),
            "inside a container, allow them for it (for instance with its seccomp profile); otherwise see docs/sandbox.md",
        )],
    }
}

fn forbidding(proc: &Path) -> Option<(String, &'static str)> {
    SWITCHES.iter().find_map(|(file, forbids, fix)| {
        let value = std::fs::read_to_string(proc.join(file)).ok()?;
        (value.trim() == *forbids).then(|| (file.replace('/', "."), *fix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_that_forbids_is_named() {
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(forbidding(proc.path()), None);
        std::fs::create_dir(proc.path().join("user")).unwrap();
        let file = proc.path().join("user/max_user_namespaces");
        std::fs::write(&file, "96365\n").unwrap();
        assert_eq!(forbidding(proc.path()), None);
        std::fs::write(&file, "0\n").unwrap();
        let (switch, fix) = forbidding(proc.path()).unwrap();
        assert_eq!(switch, "user.max_user_namespaces");
        assert!(fix.starts_with("sysctl"));
    }
}
