//! Attempts to get out: hostile programs as compilers, hostile options for honest compilers, hostile archives and messages.
//!
//! Every attempt is a row of a table ([`probes`], [`options`], [`archives`]) with what each level of the sandbox claims to stop it with.
//! A trial is one situation ([`situations`]) and one group of attempts, in a process of its own that first becomes what the
//! situation says and then runs a whole daemon. The situation `unconfined` shows that each attempt works where nothing stops it.
//! The tables are also what `docs/sandbox.md` is made of ([`document`]).
//!
//! `GELATO_ESCAPE_SHOW=1` prints what every attempt said.

mod archives;
mod attack;
mod bait;
mod document;
mod messages;
mod options;
mod probes;
mod situations;
mod world;

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use gelato_sandbox::{Jailer, identity};
use libtest_mimic::{Failed, Trial};

use bait::Bait;
use probes::Group;
use situations::{SITUATIONS, Situation};

pub(crate) use bait::clear;

/// The situation without a sandbox.
const UNCONFINED: &str = "unconfined";

/// One trial for each situation and group, and what goes for all situations.
pub(crate) fn trials() -> Vec<Trial> {
    let names = SITUATIONS.iter().map(|situation| situation.name);
    let mut trials = vec![Trial::test("escape::document", document::is_up_to_date)];
    for name in names.chain([UNCONFINED]) {
        for group in Group::ALL {
            let everywhere = match group {
                Group::Excess => situations::TIRELESS.contains(&name),
                Group::Wire => situations::UNPACKING.contains(&name),
                _ => true,
            };
            if !everywhere {
                continue;
            }
            trials.push(Trial::test(
                format!("escape::{name}::{}", group.name()),
                move || in_child(name, group),
            ));
        }
    }
    trials
}

fn in_child(situation: &str, group: Group) -> Result<(), Failed> {
    let output = Command::new("/proc/self/exe")
        .args(["__escape", situation, group.name()])
        .arg(bait::folder())
        .env(world::VARIABLE, format!("variable_{}", bait::nonce()))
        .stdin(Stdio::null())
        .output()?;
    let said = attack::said(&output);
    if env::var_os("GELATO_ESCAPE_SHOW").is_some() || said.contains("skipped: ") {
        eprintln!("{said}");
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}\n{said}", output.status).into()),
    }
}

/// The child's side.
pub(crate) fn child(situation: &str, group: &str, folder: &Path) -> ExitCode {
    let bait = Bait::at(folder);
    let group = Group::ALL
        .into_iter()
        .find(|known| known.name() == group)
        .expect("a group's name");
    // Somebody forgot to mark it, in the daemon as well as where there is no sandbox.
    let leaked = File::open("/dev/null").expect("device");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("inheritable");
    let findings = if situation == UNCONFINED {
        attack::unconfined(group, bait)
    } else {
        let situation = Situation::named(situation);
        let home = match situation.enter() {
            Ok(home) => home,
            Err(why) => return skipped(situation, &why),
        };
        // Not to go on when the tests are broken off; the change of user would undo it.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .expect("own process");
        let probe = Jailer::current_exe().probe(Some(situation.level));
        if probe.level.is_none() {
            return skipped(situation, &probe.obstacles.join("; "));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime");
        let attack = attack::confined(situation, group, bait, |remote| {
            situation.apply(remote, home);
            remote.identity = identity::is_root().then_some(gelato_sandbox::Identity {
                uid: situations::NOBODY,
                gid: situations::NOBODY,
            });
        });
        let findings =
            runtime.block_on(async { tokio::time::timeout(crate::fixture::LONG, attack).await });
        runtime.shutdown_timeout(crate::fixture::SHORT);
        crate::fixture::clear_folders();
        findings.unwrap_or_else(|_| vec!["not finished in time".to_owned()])
    };
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn skipped(situation: Situation, why: &str) -> ExitCode {
    eprintln!("skipped: {} is not to be had here: {why}", situation.name);
    ExitCode::SUCCESS
}
