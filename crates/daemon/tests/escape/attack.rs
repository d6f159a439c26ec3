//! Sends the probes as jobs to a real daemon, and judges what came of them.
//!
//! The same programs with the same words run once without a sandbox: there each must get through, or it proves nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use gelato_daemon::{JobLimits, Remote};
use gelato_net::stream::Connection;
use gelato_sandbox::identity;
use gelato_wire::Message;
use gelato_wire::msg::CompileFile;

use super::bait::{self, Bait};
use super::probes::{Claims, EXCESSES, Group, PROBES, Probe, Sign};
use super::situations::{COLUMNS, Situation, Starter, kernel_is};
use super::world::{World, await_file, await_that, end, ordinary, processes};
use super::{archives, messages, options};
use crate::fixture::{LONG, Node, Scheduler, job, receive_file, send_file, send_toolchain, verify};

/// Name of the hostile toolchain at the daemon.
const TOOLCHAIN: &str = "hostile";

/// What one daemon in one situation let through: a sentence each.
pub(crate) type Findings = Vec<String>;

/// A daemon with a toolchain.
pub(crate) struct Target {
    pub(crate) node: Node,
    scheduler: Scheduler,
    next_job: u32,
}

/// What came back of a job.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Everything the submitter was told.
    pub(crate) text: String,
    /// The object, if there is one.
    pub(crate) object: Vec<u8>,
}

impl Target {
    /// A daemon as the situation says.
    pub(crate) async fn start(change: impl FnOnce(&mut Remote)) -> Target {
        let (node, scheduler, _) = Node::with_scheduler_and(12, change).await;
        Target {
            node,
            scheduler,
            next_job: 1,
        }
    }

    /// Installs a toolchain; gives its root on the host.
    pub(crate) async fn install(&mut self, name: &str, archive: &[u8]) -> PathBuf {
        let mut submitter = self.node.submitter().await;
        send_toolchain(&mut submitter, name, archive).await;
        submitter.send(&Message::End).await.unwrap();
        let runs = verify(&mut submitter, name).await;
        assert!(
            runs,
            "{name} does not run: {}",
            answer(&mut submitter).await.text
        );
        let root = format!("base/toolchains/x86_64/{name}/root");
        self.node.folder.join(root)
    }

    async fn submit(&mut self, mut job: CompileFile, source: &str) -> Connection {
        job.job_id = self.next_job;
        self.next_job += 1;
        let mut submitter = self.node.submitter().await;
        submitter.send(&Message::CompileFile(job)).await.unwrap();
        send_file(&mut submitter, source.as_bytes()).await;
        submitter.send(&Message::End).await.unwrap();
        submitter
    }

    /// Runs a job to its end.
    pub(crate) async fn run(&mut self, job: CompileFile, source: &str) -> Answer {
        let mut submitter = self.submit(job, source).await;
        let answer = answer(&mut submitter).await;
        while !matches!(self.scheduler.next().await, Message::JobDone(_)) {}
        answer
    }
}

/// Everything that comes back of a job.
async fn answer(submitter: &mut Connection) -> Answer {
    let mut answer = Answer::default();
    while let Ok(message) = submitter.receive(Some(LONG), "a result").await {
        match message {
            Message::StatusText(status) => answer.text += &status.text.to_string(),
            Message::CompileResult(result) => {
                answer.text += &result.stderr.to_string();
                answer.text += &result.stdout.to_string();
                if result.status == 0 {
                    answer.object = receive_file(submitter).await;
                }
            }
            _ => {}
        }
    }
    answer
}

/// The arguments that make the hostile program try a probe.
fn arguments(probe: &str, words: &[String], mark: &str) -> Vec<String> {
    let words = words.iter().map(|word| format!("-with={word}"));
    [format!("-probe={probe}"), format!("-mark={mark}")]
        .into_iter()
        .chain(words)
        .collect()
}

fn hostile_job(arguments: &[String]) -> CompileFile {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    job(0, TOOLCHAIN, &arguments)
}

/// Tries all probes of a group on a daemon in this situation.
pub(crate) async fn confined(
    situation: Situation,
    group: Group,
    bait: Bait,
    prepare: impl FnOnce(&mut Remote),
) -> Findings {
    let mut target = Target::start(|remote| {
        prepare(remote);
        if group == Group::Excess {
            remote.limits = SMALL;
        }
    })
    .await;
    let mut world = World::make(bait, situation.name, true);
    world.socket = target.node.socket.to_str().unwrap().to_owned();
    if group == Group::Compiler {
        return options::confined(situation, &mut target, &world).await;
    }
    if group == Group::Wire {
        let mut findings = archives::confined(&mut target, &world).await;
        findings.extend(messages::confined(&mut target, &world).await);
        return findings;
    }
    let archive = world.bait.archive();
    let root = target.install(TOOLCHAIN, &archive).await;
    if matches!(situation.starter, Starter::Root | Starter::Container) {
        // As if an archive could carry the bit.
        let program = root.join("usr/bin/root");
        fs::copy(world.bait.path("root"), &program).unwrap();
        bait::mode(&program, 0o4755).unwrap();
        world
            .set_user_id
            .push(match situation.level.changes_root() {
                true => "/usr/bin/root".to_owned(),
                false => program.to_str().unwrap().to_owned(),
            });
    }
    let _neighbour = match group {
        Group::Files | Group::Processes => Some(neighbour(&mut target, &mut world, &root).await),
        _ => None,
    };
    let mut findings = Findings::new();
    let chosen = PROBES.iter().filter(|probe| probe.group == group);
    let mut answers = Vec::new();
    if group == Group::Excess {
        // Each takes as long as it is let, so all at once.
        let mut running = Vec::new();
        for probe in EXCESSES {
            let words = (probe.words)(&world);
            let job = hostile_job(&arguments(probe.name, &words, &world.mark));
            running.push((probe, target.submit(job, "").await));
        }
        for (probe, mut submitter) in running {
            answers.push((probe, answer(&mut submitter).await));
        }
    }
    for probe in chosen {
        let words = (probe.words)(&world);
        let arguments = arguments(probe.name, &words, &world.mark);
        let answer = target.run(hostile_job(&arguments), "").await;
        if !answer.text.lines().any(|line| line == "done") {
            findings.push(format!("{} was not tried: {}", probe.name, answer.text));
        }
        findings.extend(left_by(probe, &world, situation));
        answers.push((probe, answer));
    }
    for (probe, answer) in answers {
        if let Some(through) = through(probe, &world, &answer.text)
            && claimed(&probe.claims, situation)
        {
            let column = COLUMNS[situation.column()];
            findings.push(format!("{} gets through {column}: {through}", probe.name));
        }
        if std::env::var_os("GELATO_ESCAPE_SHOW").is_some() {
            println!("{} {}: {}", situation.name, probe.name, answer.text);
        }
    }
    if group == Group::Excess {
        findings.extend(left_by(&EXCESSES[0], &world, situation));
    }
    if !world.victim_lives() {
        findings.push("the process everybody attacks is gone".to_owned());
    }
    findings
}

/// What a job may use up where that is what is tried.
const SMALL: JobLimits = JobLimits {
    time: Duration::from_secs(8),
    silence: Duration::from_secs(3),
    disk: 64 << 20,
    printed: 4 << 20,
    memory: Some(300 << 20),
};

/// Another job, with a secret in its memory and its folder.
async fn neighbour(target: &mut Target, world: &mut World, root: &std::path::Path) -> Connection {
    world.neighbours.push(
        target
            .node
            .folder
            .join("base/jobs")
            .to_str()
            .unwrap()
            .to_owned(),
    );
    world
        .neighbours
        .push(root.join("tmp").to_str().unwrap().to_owned());
    let mark = format!("neighbour-{}", world.mark);
    let words = ["0".to_owned(), world.token.clone()];
    let arguments = arguments("hold", &words, &mark);
    let connection = target.submit(hostile_job(&arguments), "").await;
    let folders = [target.node.folder.join("base/jobs"), root.join("tmp")];
    let folder = await_that(
        || {
            let jobs = folders
                .iter()
                .filter_map(|folder| fs::read_dir(folder).ok())
                .flatten();
            jobs.filter_map(|job| Some(job.ok()?.path()))
                .find(|job| job.join("neighbour").exists())
        },
        root,
    );
    await_file(&folder.join("neighbour"));
    world.pids.extend(processes(&["-probe=hold", &mark]));
    connection
}

/// Processes that are still there after the end of their job; they are ended.
fn left(world: &World) -> Vec<i32> {
    let mut left = processes(&[&world.mark, "-probe"]);
    left.retain(|pid| !world.pids.contains(pid));
    end(&left);
    left
}

/// The finding that a job left processes, which every level claims to prevent.
fn left_by(probe: &Probe, world: &World, situation: Situation) -> Option<String> {
    let left = left(world);
    let column = COLUMNS[situation.column()];
    (!left.is_empty()).then(|| format!("{} leaves {left:?} behind in {column}", probe.name))
}

/// What tells that a probe got through.
fn through(probe: &Probe, world: &World, said: &str) -> Option<String> {
    match probe.sign {
        Sign::Said => said.contains("ESCAPED").then(|| said.to_owned()),
        Sign::Left => None,
        Sign::Made => {
            let planted = world.planted();
            (!planted.is_empty()).then(|| format!("{planted:?} are there"))
        }
    }
}

/// Whether something is said to stop the probe here, by this kernel.
pub(crate) fn claimed(claims: &Claims, situation: Situation) -> bool {
    match claims[situation.column()] {
        "" => false,
        "scope" => kernel_is(6, 12),
        _ => true,
    }
}

/// Runs the probes of a group without a sandbox: as the jobs' user and, if that is not enough, as root.
pub(crate) fn unconfined(group: Group, bait: Bait) -> Findings {
    let world = World::make(bait, "unconfined", false);
    if group == Group::Compiler {
        return options::unconfined(&world);
    }
    if group == Group::Wire {
        return archives::unconfined(&world);
    }
    let folder = world.bait.path("drop").join(&world.mark).join("bin");
    let program = folder.join("gcc");
    ordinary("/bin/mkdir".as_ref())
        .arg(&folder)
        .status()
        .expect("folder");
    ordinary("/bin/cp".as_ref())
        .arg(world.bait.hostile())
        .arg(&program)
        .status()
        .expect("copy");
    let mut findings = Findings::new();
    for probe in PROBES
        .iter()
        .chain(EXCESSES)
        .filter(|probe| probe.group == group)
    {
        let words = (probe.words)(&world);
        let arguments = arguments(probe.name, &words, &world.mark);
        let attempt = |mut command: Command| {
            // Not through a pipe, which a process left behind would hold.
            let told = world.bait.path("drop").join(&world.mark).join("told");
            let file = fs::File::create(&told).expect("file");
            let mut child = command
                .args(&arguments)
                .current_dir(&folder)
                .stderr(file)
                .spawn()
                .expect("probe");
            child.wait().expect("probe");
            let said = fs::read_to_string(told).expect("file");
            let left = !left(&world).is_empty();
            (left || through(probe, &world, &said).is_some(), said)
        };
        let (through, said) = attempt(ordinary(&program));
        if through {
            continue;
        }
        if identity::is_root() {
            let (through, said) = attempt(Command::new(&program));
            if !through && !is_missing_here(&said) {
                findings.push(format!(
                    "{} does not get through although nothing stops it: {said}",
                    probe.name
                ));
            }
        } else {
            eprintln!(
                "skipped: {} needs root to be seen to work: {said}",
                probe.name
            );
        }
    }
    findings
}

/// Whether this kernel, or this kind of machine, does not have what is asked for.
fn is_missing_here(said: &str) -> bool {
    let mut attempts = said.lines().filter(|line| *line != "done").peekable();
    attempts.peek().is_none() || attempts.all(|line| line.ends_with("Function not implemented"))
}

pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stderr) + &text(&output.stdout)
}
