//! Telling subscribers why jobs wait: the oldest ones first, each now and then, and never more than costs little.

use std::collections::HashMap;
use std::time::Duration;

use gelato_scheduler_core::{Core, JobId, NodeId, Time, Waiting};
use tokio::time::Instant;

use crate::news;

/// How often the queue is looked through.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Jobs that wait no longer than this are not spoken of, in milliseconds.
const NOT_BEFORE: u64 = 1000;

/// How long nothing more is said of a job.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks at a node, and jobs, in one turn.
const MOST_LOOKS: usize = 100_000;
const MOST_JOBS: usize = 200;

/// When each job was last spoken of.
#[derive(Debug, Default)]
pub(crate) struct Told(HashMap<JobId, Instant>);

impl Told {
    /// What is to be said now, as news.
    pub(crate) fn news(&mut self, core: &Core, now: Time, instant: Instant) -> Vec<String> {
        self.0
            .retain(|job, _| core.job(*job).is_some_and(|job| job.worker().is_none()));
        let nodes = core.nodes().count().max(1);
        let most = (MOST_LOOKS / nodes).clamp(8, MOST_JOBS);
        let mut news = Vec::new();
        let waiting = core.jobs().filter(|job| job.worker().is_none());
        for (before, job) in waiting.enumerate() {
            if news.len() == most {
                break;
            }
            let waited = now.0.saturating_sub(job.requested_at().0);
            let told = self.0.get(&job.id());
            if waited <= NOT_BEFORE || told.is_some_and(|at| instant - *at < AGAIN) {
                continue;
            }
            if let Some(why) = core.waiting(job.id(), now) {
                let text = words(&why, &|node| name(core, node));
                news.push(news::waiting(job.id(), before + 1, &why, &text));
                self.0.insert(job.id(), instant);
            }
        }
        news
    }
}

/// Why a job waits, on one line.
pub(crate) fn words(waiting: &Waiting, name: &dyn Fn(NodeId) -> String) -> String {
    let mut parts = Vec::new();
    if let Some(preferred) = &waiting.preferred {
        parts.push(format!("wants only {preferred}"));
    }
    if let Some(better) = waiting.held_for {
        parts.push(format!(
            "for {}: it will be done there sooner than by anyone who is free",
            name(better)
        ));
    }
    let (share, submitters) = waiting.share;
    if submitters > 1 {
        parts.push(format!(
            "its submitter has {share} jobs elsewhere, {submitters} submitters share the slots"
        ));
    }
    let (short, memory) = waiting.short_of_memory;
    if short > 0 {
        parts.push(format!(
            "without the {memory} MiB of memory it needs: {short}"
        ));
    }
    for (obstacle, hosts) in &waiting.obstacles {
        parts.push(format!("{obstacle}: {hosts}"));
    }
    parts.join("; ")
}

/// A node's name for people.
pub(crate) fn name(core: &Core, node: NodeId) -> String {
    match core.node(node) {
        Some(node) => node.name().to_string(),
        None => format!("a host that left ({node})"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use gelato_scheduler_core::{
        ClientId, Config, ConnectionId, Environment, Event, Login, Readings, Request, Text,
    };

    use super::*;

    fn core(slots: u32, preferred: &str, jobs: u32) -> Core {
        let mut core = Core::new(Config::default());
        let login = Login {
            connection: ConnectionId(1),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            local_address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
            port: 1,
            slots,
            environments: Vec::new(),
            name: Text::from("w"),
            platform: Text::from("x86_64"),
            chroot: true,
            no_remote: false,
            features: 0,
            agreed_version: 44,
            own_version: 44,
        };
        core.handle(Time(0), Event::Login(Box::new(login)));
        let readings = Readings::default();
        let (node, load) = (NodeId(1), 0);
        core.handle(
            Time(0),
            Event::Stats {
                node,
                load,
                readings,
            },
        );
        for client in 0..jobs {
            let request = Request {
                environments: vec![Environment::new("x86_64", "gcc")],
                file: Text::from("x.c"),
                language: 0,
                count: 1,
                target: Text::from("x86_64"),
                arg_flags: 0,
                client: ClientId(client),
                preferred_host: Text::from(preferred),
                minimal_version: 0,
                features: 0,
                source_bytes: 0,
                niceness: 0,
                client_count: 0,
            };
            let request = Box::new(request);
            core.handle(Time(0), Event::Request { node, request });
        }
        core
    }

    #[test]
    fn each_job_is_spoken_of_now_and_then() {
        let core = core(1, "w", 4);
        let (mut told, start) = (Told::default(), Instant::now());
        assert_eq!(told.news(&core, Time(1000), start), Vec::<String>::new());
        let news = told.news(&core, Time(1001), start);
        let places: Vec<&str> = news
            .iter()
            .filter_map(|line| line.split("\"position\":").nth(1)?.get(..1))
            .collect();
        let waiting = core.jobs().filter(|job| job.worker().is_none()).count();
        assert_eq!(places, ["1", "2", "3", "4"][..waiting]);
        assert!(news[0].contains(r#""reason":"preferred-host","text":"wants only w; full: 1""#));
        let soon = start + Duration::from_secs(4);
        assert_eq!(told.news(&core, Time(5001), soon), Vec::<String>::new());
        let later = start + Duration::from_secs(5);
        assert_eq!(told.news(&core, Time(6001), later).len(), waiting);
    }

    #[test]
    fn no_turn_says_too_much() {
        let core = core(1, "w", 1000);
        let (mut told, start) = (Told::default(), Instant::now());
        let first = told.news(&core, Time(2000), start);
        assert_eq!(first.len(), MOST_JOBS);
        let second = told.news(&core, Time(2000), start);
        assert!(second[0].contains("\"position\":201,"));
    }
}
