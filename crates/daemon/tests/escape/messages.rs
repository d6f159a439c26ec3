//! Hostile messages: names that lead out of the store or the job's folder, and words for the compiler that no program can take.

use gelato_wire::Message;
use gelato_wire::msg::{CompileFile, TransferEnv};

use super::attack::{Findings, Target};
use super::world::World;
use crate::fixture::{SHORT, job};

/// One message.
pub(crate) struct Hostile {
    pub(crate) what: &'static str,
    /// What becomes of it, for people.
    pub(crate) fate: &'static str,
    make: fn(&World) -> Message,
}

fn transfer(name: &str, target: &str) -> Message {
    Message::TransferEnv(TransferEnv {
        name: name.into(),
        target: target.into(),
    })
}

fn compile(change: impl FnOnce(&mut CompileFile)) -> Message {
    let mut job = job(7, "honest", &["-c"]);
    change(&mut job);
    Message::CompileFile(job)
}

/// The submitter's folder and output, which are made anew for split debug information.
fn mirrored(working: &str, output: &str) -> Message {
    compile(|job| {
        job.args.push("-gsplit-dwarf".into());
        job.dwarf_fission = true;
        job.working_directory = working.into();
        job.output_file = output.into();
    })
}

#[rustfmt::skip]
pub(crate) const MESSAGES: &[Hostile] = &[
    Hostile { what: "a toolchain named `..`", fate: "refused", make: |_| transfer("..", "x86_64") },
    Hostile { what: "… with a slash in its name", fate: "refused", make: |_| transfer("../../x", "x86_64") },
    Hostile { what: "… without a name", fate: "refused", make: |_| transfer("", "x86_64") },
    Hostile { what: "… for a platform that leads out", fate: "refused", make: |_| transfer("x", "../..") },
    Hostile { what: "… for an absolute platform", fate: "refused", make: |world| transfer("x", &world.bait.text("drop")) },
    Hostile { what: "a job for the toolchain `..`", fate: "refused", make: |_| compile(|job| job.environment = "..".into()) },
    Hostile { what: "… for a platform that leads out", fate: "refused", make: |_| compile(|job| job.target = "../..".into()) },
    Hostile { what: "… for a compiler that leads out", fate: "refused", make: |_| compile(|job| job.compiler_name = "../../bin/sh".into()) },
    Hostile { what: "… for a compiler with an absolute name", fate: "refused", make: |_| compile(|job| job.compiler_name = "/bin/sh".into()) },
    Hostile { what: "… for a compiler without a name", fate: "refused", make: |_| compile(|job| job.compiler_name = "".into()) },
    Hostile { what: "… with an output that climbs out of the job's folder", fate: "stays in the job's folder", make: |world| mirrored("/w", &format!("../../../../../../..{}/x.o", world.bait.text("drop/archives"))) },
    Hostile { what: "… with a working folder that does", fate: "stays in the job's folder", make: |world| mirrored(&format!("/../../../../../..{}", world.bait.text("drop/archives")), "x.o") },
    Hostile { what: "… with 100 000 arguments", fate: "compiled", make: |_| compile(|job| job.args = vec!["-DX".into(); 100_000]) },
    Hostile { what: "… with an argument of 600 kilobytes", fate: "fails by itself", make: |_| compile(|job| job.args.push("x".repeat(600_000).into())) },
];

/// Sends all to one daemon that has the toolchain `honest`.
pub(crate) async fn confined(target: &mut Target, world: &World) -> Findings {
    let mut findings = Findings::new();
    for hostile in MESSAGES {
        let mut submitter = target.node.submitter().await;
        submitter.send(&(hostile.make)(world)).await.unwrap();
        // The daemon may have closed the connection already.
        let _ = submitter.send(&Message::End).await;
        let mut said = String::new();
        while let Ok(message) = submitter.receive(Some(SHORT), "an answer").await {
            said += &match message {
                Message::StatusText(status) => status.text.to_string(),
                Message::CompileResult(result) => result.stderr.to_string(),
                other => other.name().to_owned(),
            };
        }
        let planted = std::fs::read_dir(world.bait.path("drop/archives"))
            .expect("open folder")
            .count();
        if planted > 0 {
            findings.push(format!("{}: {planted} files on the host", hostile.what));
        }
        if std::env::var_os("GELATO_ESCAPE_SHOW").is_some() {
            println!("{}: {said}", hostile.what);
        }
        if said.is_empty() {
            findings.push(format!("{}: no answer", hostile.what));
        }
    }
    let archive = world.bait.archive();
    target.install("honest-too", &archive).await;
    findings
}
