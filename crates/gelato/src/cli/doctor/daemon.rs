//! Whether a daemon answers on this machine, whose, and of which version; sockets nobody is behind.

use super::facts::Facts;
use super::finding::Finding;
use crate::cli::ask::{Daemon, NotThere, other_name, refusal};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let finding = match &facts.daemon {
        Daemon::Gelato { place, answer } => match refusal(answer) {
            None => return known(place, answer["version"].as_str().unwrap_or("?")),
            Some(text) => Finding::problem(
                "daemon",
                format!("the daemon at {place} does not say how it is: {text}"),
                "restart it, so that daemon and commands are of one version",
            ),
        },
        Daemon::Other { place, protocol } => Finding::note(
            "daemon",
            format!(
                "{} (protocol {protocol}) answers at {place}; what it does inside cannot be looked at",
                other_name(*protocol)
            ),
            "run gelato daemon in its place to have all checks",
        ),
        Daemon::Mute { place, error } => Finding::problem(
            "daemon",
            format!("something listens at {place} and does not answer: {error}"),
            "restart the daemon; its log may say what it waits for",
        ),
        Daemon::Absent { tried } => absent(tried),
    };
    vec![finding]
}

fn known(place: &str, version: &str) -> Vec<Finding> {
    let ours = env!("CARGO_PKG_VERSION");
    let mut findings = vec![Finding::fine(
        "daemon",
        format!("Gelato's daemon {version} answers at {place}"),
    )];
    if version != ours {
        findings.push(Finding::note(
            "version",
            format!("the daemon is version {version}, this command {ours}"),
            "restart the daemon, so that it runs the installed program",
        ));
    }
    findings
}

fn absent(tried: &[(String, NotThere)]) -> Finding {
    let at = |wanted: &NotThere| {
        tried
            .iter()
            // The last resort over TCP is refused whenever there is no daemon.
            .find(|(place, reason)| reason == wanted && place.starts_with('/'))
            .map(|(place, _)| place)
    };
    if let Some(place) = at(&NotThere::Stale) {
        return Finding::problem(
            "daemon",
            format!(
                "nobody is behind the socket {place}: its daemon has ended without removing it"
            ),
            "start the daemon again (gelato daemon, or the service iceccd); it replaces the socket",
        );
    }
    if let Some(place) = at(&NotThere::Forbidden) {
        return Finding::problem(
            "daemon",
            format!("this user may not connect to {place}"),
            "let the daemon's user open the folder and the socket to all, as the service does",
        );
    }
    let places: Vec<&str> = tried.iter().map(|(place, _)| place.as_str()).collect();
    Finding::problem(
        "daemon",
        format!("no daemon answers; tried {}", places.join(", ")),
        "start one (gelato daemon, or the service iceccd), or build with gelato build, which brings its own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_told_from_no_daemon() {
        let loopback = ("127.0.0.1:10245".to_owned(), NotThere::Stale);
        let missing = ("/run/x".to_owned(), NotThere::Missing);
        let finding = absent(&[missing.clone(), loopback.clone()]);
        assert!(finding.text.starts_with("no daemon"), "{finding:?}");
        let stale = ("/run/y".to_owned(), NotThere::Stale);
        let finding = absent(&[missing, stale, loopback]);
        assert!(finding.text.contains("/run/y"), "{finding:?}");
    }
}
