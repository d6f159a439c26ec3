//! Whether other machines of the network take jobs, and whether they are of one version.

use std::collections::BTreeSet;

use super::facts::{Facts, Host};
use super::finding::Finding;
use crate::cli::status::words::plain;

const CHECK: &str = "workers";

/// The load with which a daemon asks for no jobs.
const FULL: u32 = 1000;

/// Machines that are named.
const MOST_NAMED: usize = 5;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(others) = facts.other_hosts() else {
        return Vec::new();
    };
    let mut findings = vec![taking(&others)];
    findings.extend(versions(facts.hosts.as_deref().unwrap_or_default()));
    findings
}

fn taking(others: &[&Host]) -> Finding {
    let refusals: Vec<String> = others
        .iter()
        .filter_map(|host| Some(format!("{} {}", plain(host.get("Name")), refusal(host)?)))
        .collect();
    let taking = others.len() - refusals.len();
    if others.is_empty() {
        return Finding::note(
            CHECK,
            "no other machine is in this network",
            "start gelato daemon on others",
        );
    }
    if taking > 0 {
        return Finding::fine(
            CHECK,
            format!("{taking} of {} other machines take jobs", others.len()),
        );
    }
    let mut named = refusals
        .iter()
        .take(MOST_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    if refusals.len() > MOST_NAMED {
        named += "; …";
    }
    Finding::problem(
        CHECK,
        format!(
            "none of the {} other machines takes jobs: {named}",
            others.len()
        ),
        "gelato resume on those that are paused; gelato status there says more",
    )
}

/// Why a machine takes no jobs of others, as far as the scheduler says.
fn refusal(host: &Host) -> Option<String> {
    let remark = host.get("Remark");
    if host.get("NoRemote") == "true" {
        return Some("takes none by its settings".to_owned());
    }
    if host
        .get("MaxJobs")
        .parse()
        .is_ok_and(|slots: i64| slots <= 0)
    {
        return Some("has no slots".to_owned());
    }
    if host.get("Accepting") == "false" {
        return Some("cannot be reached".to_owned());
    }
    if host.get("Load").parse().is_ok_and(|load: u32| load >= FULL) {
        return Some(if remark.is_empty() {
            "is paused or fully loaded".to_owned()
        } else {
            format!("says: {}", plain(remark))
        });
    }
    None
}

fn versions(hosts: &[Host]) -> Option<Finding> {
    let of = |key: &str| -> BTreeSet<String> {
        hosts
            .iter()
            .map(|host| plain(host.get(key)))
            .filter(|version| !version.is_empty())
            .collect()
    };
    let (protocols, programs) = (of("Version"), of("Software"));
    if protocols.len() <= 1 && programs.len() <= 1 {
        return None;
    }
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
    let mut text = format!("machines speak protocol versions {}", list(protocols));
    if programs.len() > 1 {
        text += &format!(" and run Gelato {}", list(programs));
    }
    Some(Finding::note(
        "version",
        text,
        "they work together; bring them to one version to have everything the newest can do",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn all_paused_is_a_problem_and_one_that_works_is_not() {
        let paused = host("Name:a\nMaxJobs:4\nLoad:1000\nRemark:paused (exam) until resumed\n");
        let never = host("Name:b\nMaxJobs:4\nNoRemote:true\nLoad:0\n");
        let works = host("Name:c\nMaxJobs:4\nNoRemote:false\nLoad:10\n");
        let finding = taking(&[&paused, &never]);
        assert_eq!(finding.state, State::Problem);
        assert!(
            finding.text.contains("a says: paused (exam)"),
            "{finding:?}"
        );
        assert_eq!(taking(&[&paused, &works]).state, State::Fine);
        assert_eq!(taking(&[]).state, State::Note);
    }

    #[test]
    fn a_mix_of_versions_is_noted() {
        let old = host("Name:a\nVersion:43\n");
        let new = host("Name:b\nVersion:44\nSoftware:0.1.0\n");
        assert_eq!(versions(std::slice::from_ref(&old)), None);
        assert!(versions(&[old, new]).is_some());
    }
}
