//! The picture as numbers for Prometheus, in its text format. Names and labels are stable; no file names are among the labels, and no
//! more hosts than [`MOST_HOSTS`].
//!
//! Sums begin with the picture: whoever reads them sees a reset when the watcher starts anew, as Prometheus expects.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use crate::model::{BOUNDS, Cluster, Histogram, Host, Kind, Outcome};
use crate::view;

/// Hosts with numbers of their own; beyond that they are only in the sums.
pub const MOST_HOSTS: usize = 2_000;

/// Reasons that say that a toolchain did not reach a worker.
const NOT_INSTALLED: [&str; 3] = ["no-toolchain", "toolchain-unreadable", "toolchain-rejected"];

/// All numbers of this moment.
pub fn text(from: &Cluster, now: u64) -> String {
    let mut page = Page::default();
    hosts(from, &mut page);
    jobs(from, &mut page);
    durations(from, &mut page);
    reasons(from, &mut page);
    each_host(from, &mut page);
    page.family(
        "gelato_alerts_active",
        "gauge",
        "Things that are wrong now.",
    );
    let mut active: BTreeMap<String, u64> = BTreeMap::new();
    for alert in view::alerts(from, now) {
        *active.entry(alert.code).or_default() += 1;
    }
    for (code, count) in active {
        page.sample(&[("alert", &code)], count as f64);
    }
    page.family("gelato_build_info", "gauge", "What the scheduler is.");
    if let Some(scheduler) = from.scheduler() {
        let version = scheduler.version.as_deref().unwrap_or("unknown");
        let protocol = scheduler.protocol.to_string();
        page.sample(&[("version", version), ("protocol", &protocol)], 1.0);
    }
    page.text
}

fn hosts(from: &Cluster, page: &mut Page) {
    let states = [
        "available",
        "no-remote",
        "unreachable",
        "blocked",
        "draining",
        "gone",
    ];
    let mut counts: BTreeMap<&str, u64> = states.into_iter().map(|state| (state, 0)).collect();
    let mut platforms: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for (_, host) in from.hosts() {
        *counts.entry(state(host)).or_default() += 1;
        if !host.is_here() {
            continue;
        }
        let [total, busy, usable] = platforms.entry(&host.facts.platform).or_default();
        *total += u64::from(host.slots());
        *busy += u64::from(host.busy());
        if host.is_available() {
            *usable += u64::from(host.slots());
        }
    }
    page.family("gelato_hosts", "gauge", "Hosts by state.");
    for (state, count) in counts {
        page.sample(&[("state", state)], count as f64);
    }
    page.family(
        "gelato_slots",
        "gauge",
        "Slots of hosts that are there; busy ones may exceed them.",
    );
    for (platform, values) in platforms {
        for (state, value) in ["total", "busy", "usable"].into_iter().zip(values) {
            page.sample(&[("platform", platform), ("state", state)], value as f64);
        }
    }
}

fn state(host: &Host) -> &'static str {
    if !host.is_here() {
        "gone"
    } else if host.says("Blocked") {
        "blocked"
    } else if host.says("Draining") {
        "draining"
    } else if host.facts.no_remote {
        "no-remote"
    } else if host.is_available() {
        "available"
    } else {
        "unreachable"
    }
}

fn jobs(from: &Cluster, page: &mut Page) {
    page.family(
        "gelato_jobs_queued",
        "gauge",
        "Jobs that wait for a worker.",
    );
    let mut names = Names::default();
    for (_, host) in from
        .hosts()
        .filter(|(_, host)| host.is_here())
        .take(MOST_HOSTS)
    {
        let client = names.of(host);
        page.sample(&[("client", &client)], host.waiting().len() as f64);
    }
    page.family("gelato_jobs_running", "gauge", "Jobs that run.");
    let mut running = [0u64; 3];
    for (_, host) in from.hosts() {
        for job in host.lanes().iter().flatten() {
            if let Some(job) = from.job(*job) {
                running[job.kind as usize] += 1;
            }
        }
    }
    for (kind, count) in [Kind::Remote, Kind::Own, Kind::Local]
        .into_iter()
        .zip(running)
    {
        page.sample(&[("kind", kind_word(kind))], count as f64);
    }
    page.family(
        "gelato_jobs",
        "counter",
        "Jobs that ended; those out of memory are also among the failed or lost.",
    );
    let results = from.results();
    for (kind, outcome, count) in results.ended() {
        let result = match outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Lost => "lost",
            Outcome::Cancelled => "cancelled",
        };
        page.sample(
            &[("kind", kind_word(kind)), ("result", result)],
            count as f64,
        );
    }
    page.sample(
        &[("kind", "remote"), ("result", "oom")],
        results.out_of_memory as f64,
    );
    page.family(
        "gelato_bytes",
        "counter",
        "Bytes of sources sent and results received.",
    );
    for (direction, sums) in [("sent", results.sources), ("received", results.results)] {
        for (form, sum) in ["raw", "compressed"].into_iter().zip(sums) {
            page.sample(&[("direction", direction), ("form", form)], sum as f64);
        }
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Remote => "remote",
        Kind::Own => "own",
        Kind::Local => "local",
    }
}

fn durations(from: &Cluster, page: &mut Page) {
    let durations = from.durations();
    page.family(
        "gelato_job_seconds",
        "histogram",
        "How long compilations ran.",
    );
    page.histogram(&[], &durations.jobs);
    page.family(
        "gelato_job_wait_seconds",
        "histogram",
        "How long jobs waited for a worker.",
    );
    page.histogram(&[], &durations.waits);
    page.family(
        "gelato_job_phase_seconds",
        "histogram",
        "How long the phases of jobs took that had them.",
    );
    for (phase, histogram) in durations.phases() {
        page.histogram(&[("phase", phase)], histogram);
    }
    let install = durations.phases().find(|(phase, _)| *phase == "install");
    page.family(
        "gelato_env_install_seconds",
        "histogram",
        "How long installing a toolchain on a worker took.",
    );
    let installed = install.map_or_else(Histogram::default, |(_, histogram)| *histogram);
    page.histogram(&[], &installed);
    page.family(
        "gelato_env_installs",
        "counter",
        "Toolchains installed on workers.",
    );
    let failed = from
        .reasons()
        .filter(|(code, _)| NOT_INSTALLED.contains(code));
    let failed: u64 = failed.map(|(_, reason)| reason.count).sum();
    page.sample(&[("result", "ok")], installed.count as f64);
    page.sample(&[("result", "failed")], failed as f64);
}

fn reasons(from: &Cluster, page: &mut Page) {
    page.family(
        "gelato_local_reason",
        "counter",
        "Jobs by the reason why no other machine did them.",
    );
    for (code, reason) in from.reasons() {
        page.sample(&[("reason", code)], reason.count as f64);
    }
}

fn each_host(from: &Cluster, page: &mut Page) {
    let mut names = Names::default();
    let hosts: Vec<(String, &Host)> = from
        .hosts()
        .filter(|(_, host)| host.is_here())
        .take(MOST_HOSTS)
        .map(|(_, host)| (names.of(host), host))
        .collect();
    let mut column = |name: &str, help: &str, value: fn(&Host) -> Option<f64>| {
        page.family(name, "gauge", help);
        for (label, host) in &hosts {
            if let Some(value) = value(host) {
                page.sample(&[("host", label)], value);
            }
        }
    };
    column(
        "gelato_host_speed",
        "Speed as the scheduler has it.",
        |host| Some(host.facts.speed),
    );
    column("gelato_host_load", "Load, 0 to 1.", |host| {
        Some(f64::from(host.facts.load) / 1000.0)
    });
    column("gelato_host_free_memory_bytes", "Free memory.", |host| {
        let mib = host.facts.free_memory?;
        Some(f64::from(mib) * 1024.0 * 1024.0)
    });
    column(
        "gelato_host_reachable",
        "Whether the scheduler can connect to it.",
        |host| {
            let closed = host
                .facts
                .others
                .get("Accepting")
                .is_some_and(|said| said == "false");
            Some(f64::from(u8::from(!closed)))
        },
    );
}

/// Names that are told apart: two hosts of one name would be one series.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
}

impl Names {
    fn of(&mut self, host: &Host) -> String {
        let facts = &host.facts;
        let mut name = facts.name.clone();
        if self.taken.contains(&name) {
            name = format!("{} ({})", facts.name, facts.ip);
        }
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{} ({}, {count})", facts.name, facts.ip);
        }
        name
    }
}

/// A text in the making.
#[derive(Default)]
struct Page {
    text: String,
    name: String,
}

impl Page {
    /// Begins a family; counters get their suffix here.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.name = match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "# HELP {0} {help}\n# TYPE {0} {kind}", self.name);
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, value);
    }

    fn histogram(&mut self, labels: &[(&str, &str)], of: &Histogram) {
        let mut sum = 0;
        for (bucket, count) in of.buckets.iter().enumerate() {
            sum += count;
            let bound = match BOUNDS.get(bucket) {
                Some(bound) => (*bound as f64 / 1000.0).to_string(),
                None => "+Inf".to_owned(),
            };
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.line("_bucket", &labels, sum as f64);
        }
        self.line("_sum", labels, of.sum_ms as f64 / 1000.0);
        self.line("_count", labels, of.count as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (index, (label, said)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let said = said
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{label}=\"{said}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Demo;
    use crate::event::{Event, HostFacts};

    fn demo() -> (Cluster, u64) {
        let mut demo = Demo::new(2, 12, 1_000_000);
        let mut cluster = Cluster::new();
        for _ in 0..600 {
            let now = demo.now();
            for event in demo.step() {
                cluster.apply(now, event);
            }
        }
        (cluster, demo.now())
    }

    /// Name with labels and value of each line, in order.
    fn samples(text: &str) -> Vec<(&str, f64)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name, value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn numbers_are_those_of_the_picture_and_no_series_is_twice() {
        let (cluster, now) = demo();
        let text = text(&cluster, now);
        let samples = samples(&text);
        let names: HashSet<&str> = samples.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), samples.len());
        let value = |name: &str| samples.iter().find(|(found, _)| *found == name).unwrap().1;
        let sum = |beginning: &str| -> f64 {
            let those = samples
                .iter()
                .filter(|(name, _)| name.starts_with(beginning));
            those.map(|(_, value)| value).sum()
        };
        let (now, totals) = (cluster.occupancy(), cluster.totals());
        assert_eq!(sum("gelato_hosts{"), 12.0);
        assert_eq!(sum("gelato_jobs_running{"), f64::from(now.running));
        assert_eq!(sum("gelato_jobs_queued{"), f64::from(now.queued));
        assert!(
            value("gelato_jobs_total{kind=\"remote\",result=\"failed\"}") <= totals.failed as f64
        );
        let waits = value("gelato_job_wait_seconds_count");
        assert_eq!(value("gelato_job_wait_seconds_bucket{le=\"+Inf\"}"), waits);
        assert!(waits > 100.0);
        assert!(value("gelato_local_reason_total{reason=\"no-compile-step\"}") > 0.0);
        assert_eq!(value("gelato_host_reachable{host=\"ada1\"}"), 0.0);
        assert_eq!(
            value("gelato_build_info{version=\"gelato-0.1.0\",protocol=\"44\"}"),
            1.0
        );
    }

    #[test]
    fn every_family_has_a_type_and_its_stable_name() {
        let (cluster, now) = demo();
        let text = text(&cluster, now);
        let mut families: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, _)| name)
            .collect();
        families.sort_unstable();
        assert_eq!(
            families,
            [
                "gelato_alerts_active",
                "gelato_build_info",
                "gelato_bytes_total",
                "gelato_env_install_seconds",
                "gelato_env_installs_total",
                "gelato_host_free_memory_bytes",
                "gelato_host_load",
                "gelato_host_reachable",
                "gelato_host_speed",
                "gelato_hosts",
                "gelato_job_phase_seconds",
                "gelato_job_seconds",
                "gelato_job_wait_seconds",
                "gelato_jobs_queued",
                "gelato_jobs_running",
                "gelato_jobs_total",
                "gelato_local_reason_total",
                "gelato_slots",
            ]
        );
    }

    #[test]
    fn hosts_of_one_name_and_hostile_names_make_good_lines() {
        let mut cluster = Cluster::new();
        for (host, ip) in [(1, "10.0.0.1"), (2, "10.0.0.2")] {
            let name = "a\"b\\c".to_owned();
            let ip = ip.to_owned();
            let facts = HostFacts {
                name,
                ip,
                ..HostFacts::default()
            };
            cluster.apply(1_000, Event::Host { host, facts });
        }
        let text = text(&cluster, 2_000);
        assert!(
            text.contains(r#"gelato_host_load{host="a\"b\\c"} 0"#),
            "{text}"
        );
        assert!(
            text.contains(r#"gelato_host_load{host="a\"b\\c (10.0.0.2)"} 0"#),
            "{text}"
        );
    }
}
