//! Clusters and builds: the standard ones, and the parts to make others of.

use crate::rng::Rng;

/// A machine. Every machine is a worker if it has slots; submitters are machines, too.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Jobs it runs at a time.
    pub slots: u32,
    /// Work done per time by one slot; 1 is the measure of [`Job::work_ms`].
    pub speed: f64,
    /// How much slower each job is when all slots are in use: 0 not at all, 0.3 by 30 %.
    pub crowding: f64,
    /// MiB.
    pub memory: u32,
    /// Milliseconds one way.
    pub latency_ms: u64,
    /// Bytes per millisecond.
    pub bandwidth: f64,
    /// Has the toolchain from the start.
    pub installed: bool,
    /// When it dies and when it is back, in milliseconds after the start of the measured builds.
    pub dies: Option<(u64, u64)>,
}

impl Host {
    /// Work per time of each of so many jobs at a time.
    pub fn rate_of_each(&self, jobs: usize) -> f64 {
        let others = jobs.saturating_sub(1) as f64;
        let crowd = others / f64::from(self.slots.saturating_sub(1).max(1));
        self.speed * (1.0 - self.crowding * crowd)
    }
}

/// A step of a build.
#[derive(Debug, Clone)]
pub struct Job {
    /// File name as the scheduler is told it.
    pub file: String,
    /// Milliseconds on a slot of speed 1.
    pub work_ms: f64,
    /// MiB.
    pub memory: u32,
    /// Steps that must be done before, by their place in the build.
    pub after: Vec<usize>,
    /// Never offered to others: a link.
    pub local: bool,
}

/// What one user starts.
#[derive(Debug, Clone)]
pub struct Build {
    /// The machine it is started on, by its place in the scenario.
    pub submitter: usize,
    /// Milliseconds after the start.
    pub start_ms: u64,
    /// As in `make -j`.
    pub parallel: usize,
    /// As in `nice`.
    pub niceness: u32,
    /// The steps.
    pub jobs: Vec<Job>,
}

/// A cluster and what happens on it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name in reports.
    pub name: &'static str,
    /// The machines.
    pub hosts: Vec<Host>,
    /// The builds.
    pub builds: Vec<Build>,
    /// All builds have run once before, so files and workers are known.
    pub warm: bool,
    /// Start value of all chance.
    pub seed: u64,
}

/// A machine of the usual sort: 1 Gbit/s, the toolchain installed.
pub fn host(name: &str, slots: u32, speed: f64) -> Host {
    Host {
        name: name.to_owned(),
        slots,
        speed,
        crowding: 0.0,
        memory: 64_000,
        latency_ms: 1,
        bandwidth: 125_000.0,
        installed: true,
        dies: None,
    }
}

/// A machine that only submits.
fn desk(name: &str) -> Host {
    host(name, 0, 1.0)
}

/// Compilations of about `median_ms`, in libraries of 40 that are linked, and a last link of everything.
pub fn project(seed: u64, files: usize, median_ms: f64, name: &str) -> Vec<Job> {
    let mut rng = Rng::new(seed);
    let mut jobs: Vec<Job> = Vec::new();
    let mut links = Vec::new();
    let mut library = Vec::new();
    for file in 0..files {
        let work_ms = rng.skewed(median_ms, 0.6).clamp(150.0, median_ms * 4.0);
        library.push(jobs.len());
        jobs.push(Job {
            file: format!("{name}/src{}/file{file}.cpp", file / 40),
            work_ms,
            memory: (150.0 + work_ms * 0.06 + rng.between(0.0, 80.0)) as u32,
            after: Vec::new(),
            local: false,
        });
        if library.len() == 40 || file + 1 == files {
            links.push(jobs.len());
            jobs.push(Job {
                file: format!("{name}/lib{}.so", links.len()),
                work_ms: 100.0,
                memory: 200,
                after: std::mem::take(&mut library),
                local: true,
            });
        }
    }
    jobs.push(Job {
        file: format!("{name}/program"),
        work_ms: 300.0,
        memory: 500,
        after: links,
        local: true,
    });
    jobs
}

fn build(submitter: usize, parallel: usize, jobs: Vec<Job>) -> Build {
    Build {
        submitter,
        start_ms: 0,
        parallel,
        niceness: 0,
        jobs,
    }
}

/// The standard scenarios.
pub fn all(seed: u64) -> Vec<Scenario> {
    vec![
        equal_hosts(seed),
        different_speeds(seed),
        dying_host(seed),
        two_users(seed),
        memory_bound(seed),
        cold_toolchains(seed),
        first_build(seed),
        crowded_hosts(seed),
    ]
}

/// Four equal workers, one build.
pub fn equal_hosts(seed: u64) -> Scenario {
    let mut hosts = vec![desk("desk")];
    hosts.extend((1..=4).map(|n| host(&format!("w{n}"), 8, 1.0)));
    Scenario {
        name: "equal hosts",
        hosts,
        builds: vec![build(0, 100, project(seed, 600, 2500.0, "p"))],
        warm: true,
        seed,
    }
}

/// Workers of speeds 1:1:2:4.
pub fn different_speeds(seed: u64) -> Scenario {
    let mut hosts = vec![desk("desk")];
    for (n, speed) in [1.0, 1.0, 2.0, 4.0].into_iter().enumerate() {
        hosts.push(host(&format!("w{n}"), 8, speed));
    }
    Scenario {
        name: "speeds 1:1:2:4",
        hosts,
        builds: vec![build(0, 100, project(seed, 800, 3000.0, "p"))],
        warm: true,
        seed,
    }
}

/// The fastest of four workers dies in the middle and comes back.
pub fn dying_host(seed: u64) -> Scenario {
    let mut scenario = different_speeds(seed);
    scenario.name = "one dying host";
    if let Some(fastest) = scenario.hosts.last_mut() {
        fastest.speed = 2.0;
        fastest.dies = Some((15_000, 30_000));
    }
    scenario
}

/// A long build is under way when another user starts a short one.
pub fn two_users(seed: u64) -> Scenario {
    let mut hosts = vec![desk("desk1"), desk("desk2")];
    hosts.extend((1..=4).map(|n| host(&format!("w{n}"), 8, 1.0)));
    let mut short = build(1, 32, project(seed + 1, 20, 2500.0, "short"));
    short.start_ms = 6_000;
    Scenario {
        name: "two users, 200 and 20",
        hosts,
        builds: vec![build(0, 100, project(seed, 200, 2500.0, "long")), short],
        warm: true,
        seed,
    }
}

/// Workers with too little memory for all their slots.
pub fn memory_bound(seed: u64) -> Scenario {
    let mut hosts = vec![desk("desk")];
    for (n, memory) in [4_000, 6_000, 8_000, 16_000].into_iter().enumerate() {
        let mut host = host(&format!("w{n}"), 8, 1.0);
        host.memory = memory;
        hosts.push(host);
    }
    let mut rng = Rng::new(seed);
    let mut jobs = project(seed, 400, 2500.0, "p");
    for job in jobs.iter_mut().filter(|job| !job.local) {
        job.memory = rng.skewed(700.0, 0.5).clamp(150.0, 3_000.0) as u32;
    }
    Scenario {
        name: "memory-bound",
        hosts,
        builds: vec![build(0, 100, jobs)],
        warm: true,
        seed,
    }
}

/// Only one worker has the toolchain at first, and the network is slow.
pub fn cold_toolchains(seed: u64) -> Scenario {
    let mut scenario = equal_hosts(seed);
    scenario.name = "cold toolchains";
    scenario.warm = false;
    for host in scenario.hosts.iter_mut().skip(2) {
        host.installed = false;
        host.bandwidth = 30_000.0;
    }
    scenario
}

/// Different speeds, and nothing is known of files or workers.
pub fn first_build(seed: u64) -> Scenario {
    let mut scenario = different_speeds(seed);
    scenario.name = "1:1:2:4, first build";
    scenario.warm = false;
    scenario
}

/// Workers that slow down when all their slots are in use, and a submitter with slots of its own.
pub fn crowded_hosts(seed: u64) -> Scenario {
    let mut scenario = different_speeds(seed);
    scenario.name = "crowded hosts";
    for worker in &mut scenario.hosts {
        worker.crowding = 0.3;
    }
    if let Some(desk) = scenario.hosts.first_mut() {
        desk.slots = 8;
    }
    if let Some(build) = scenario.builds.first_mut() {
        build.parallel = 48;
    }
    scenario
}
