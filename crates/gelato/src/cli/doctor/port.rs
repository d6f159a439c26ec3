//! Whether other machines can reach the daemon's TCP port.

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "port";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(status) = facts.status() else {
        return Vec::new();
    };
    let port = status["port"].as_u64().unwrap_or(0);
    if port == 0 {
        return Vec::new();
    }
    let open = format!(
        "let TCP port {port} in: in the firewalls of this machine (nft list ruleset) and on the way to it"
    );
    if facts
        .own_host()
        .is_some_and(|host| host.get("Accepting") == "false")
    {
        return vec![Finding::problem(
            CHECK,
            format!(
                "the scheduler cannot connect to TCP port {port} of this machine, so it sends no jobs"
            ),
            open,
        )];
    }
    match &facts.port {
        Some(Ok(address)) => vec![Finding::fine(
            CHECK,
            format!("{address} accepts connections"),
        )],
        Some(Err((address, error))) => vec![Finding::problem(
            CHECK,
            format!("cannot connect to {address}, where other machines would: {error}"),
            open,
        )],
        None => Vec::new(),
    }
}
