//! Whether there is a scheduler of this machine's network, and the daemon is connected to it.

use super::facts::{Facts, Search};
use super::finding::Finding;
use crate::cli::status::words::plain;

const CHECK: &str = "scheduler";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let link = facts.status().map(|status| &status["scheduler"]);
    if let Some(link) = link
        && link["connected"] == true
    {
        let whose = if link["gelato"] == true {
            "Gelato's"
        } else {
            "Icecream's"
        };
        return vec![Finding::fine(
            CHECK,
            format!(
                "connected to {whose} scheduler at {} in network {}",
                link["address"].as_str().unwrap_or("?"),
                facts.netname
            ),
        )];
    }
    let netname = &facts.netname;
    let reason = link
        .and_then(|link| link["reason"].as_str())
        .map(|reason| format!(" (the daemon says: {})", plain(reason)))
        .unwrap_or_default();
    vec![match &facts.search {
        Search::Found(address) if link.is_some() => Finding::problem(
            CHECK,
            format!(
                "a scheduler should be at {address}, but the daemon is not connected to it{reason}"
            ),
            "see that it runs there, that nothing blocks the way to its TCP port, and that the daemon was started \
             with the same -s and -n as the settings here",
        ),
        Search::Found(address) => Finding::fine(CHECK, format!("should be at {address}")),
        Search::OtherNetworks(others) => {
            let names: Vec<String> = others.iter().map(|name| plain(name)).collect();
            Finding::problem(
                "netname",
                format!(
                    "no scheduler of network {netname} answers, but there are schedulers of: {}{reason}",
                    names.join(", ")
                ),
                format!(
                    "join one of them: netname = \"{}\" below [cluster] in gelato.toml, or option -n; all machines \
                     of a cluster need the same name",
                    names.first().map_or("", String::as_str)
                ),
            )
        }
        Search::Nobody(error) => Finding::problem(
            CHECK,
            format!("no scheduler: {error}{reason}"),
            "start one on one machine (gelato scheduler); if broadcasts do not reach it, name its host: scheduler = \
             \"HOST\" below [cluster] in gelato.toml, or option -s",
        ),
    }]
}
