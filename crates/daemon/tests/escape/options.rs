//! Hostile options and sources for a compiler that does nothing but what it is told: how files of the host get into an object
//! or into messages, and how programs of the host would be run.
//!
//! Nothing here is refused for its name: the list of what compilers understand has no end. The sandbox shows them nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::attack::{Answer, Findings, Target, said};
use super::probes::Claims;
use super::situations::{COLUMNS, Situation};
use super::world::{World, ordinary};
use crate::fixture::job;

/// What an attempt may use.
pub(crate) struct Place<'a> {
    world: &'a World,
    /// A folder that is open to all, empty before each attempt.
    drop: String,
}

impl Place<'_> {
    fn bait(&self, name: &str) -> String {
        self.world.bait.text(name)
    }
}

/// One way.
pub(crate) struct Attempt {
    pub(crate) what: &'static str,
    args: fn(&Place) -> Vec<String>,
    source: fn(&Place) -> String,
}

/// All are stopped alike: the file named is not there.
pub(crate) const CLAIMS: Claims = ["root", "root", "landlock", "root", ""];

const UNIT: fn(&Place) -> String = |_| "int unit(void) { return 0; }\n".to_owned();

/// All ways. Each works with gcc outside of a sandbox.
#[rustfmt::skip]
pub(crate) const ATTEMPTS: &[Attempt] = &[
    Attempt { what: "a file of the host in the object (`.incbin`)", args: |_| vec![], source: |place| format!("__asm__(\".incbin \\\"{}\\\"\");\n", place.world.secret()) },
    Attempt { what: "… in messages (`.include`)", args: |_| vec![], source: |place| format!("__asm__(\".include \\\"{}\\\"\");\n", place.world.secret()) },
    Attempt { what: "… as arguments (`-Wa,@file`)", args: |place| vec![format!("-Wa,@{}", place.world.secret())], source: UNIT },
    Attempt { what: "… as options (`@file`)", args: |place| vec![format!("@{}", place.bait("options"))], source: UNIT },
    Attempt { what: "a program of the host as assembler (`-B`)", args: |place| vec![format!("-B{}/", place.bait("bin"))], source: UNIT },
    Attempt { what: "… around each part of the compiler (`-wrapper`)", args: |place| vec!["-wrapper".into(), place.bait("bin/wrap")], source: UNIT },
    Attempt { what: "a library of the host as plugin (`-fplugin`)", args: |place| vec![format!("-fplugin={}", place.bait("evil.so"))], source: UNIT },
    Attempt { what: "… by its name (`-iplugindir`)", args: |place| vec![format!("-iplugindir={}", place.bait("")), "-fplugin=evil".into()], source: UNIT },
    Attempt { what: "a specification of the host (`-specs`)", args: |place| vec![format!("-specs={}", place.bait("specs"))], source: UNIT },
    Attempt { what: "prototypes written to the host (`-aux-info`)", args: |place| vec!["-aux-info".into(), format!("{}/aux", place.drop)], source: UNIT },
    Attempt { what: "a dump (`-fdump-tree-…=`)", args: |place| vec![format!("-fdump-tree-original={}/dump", place.drop)], source: UNIT },
    Attempt { what: "dependencies (`-MF`)", args: |place| vec!["-MD".into(), "-MF".into(), format!("{}/mf", place.drop)], source: UNIT },
    Attempt { what: "temporary files (`-save-temps -dumpdir`)", args: |place| vec!["-save-temps".into(), "-dumpdir".into(), format!("{}/", place.drop)], source: UNIT },
    Attempt { what: "coverage notes (`--coverage -dumpdir`)", args: |place| vec!["--coverage".into(), "-dumpdir".into(), format!("{}/", place.drop)], source: UNIT },
    Attempt { what: "a listing (`-Wa,-al=`)", args: |place| vec![format!("-Wa,-al={}/listing", place.drop)], source: UNIT },
    Attempt { what: "the assembler's dependencies (`-Wa,--MD`)", args: |place| vec![format!("-Wa,--MD,{}/md", place.drop)], source: UNIT },
    Attempt { what: "times (`-time=`)", args: |place| vec![format!("-time={}/time", place.drop)], source: UNIT },
];

/// Puts what the attempts name into the bait. Called before root is given up.
pub(crate) fn prepare(folder: &Path) -> std::io::Result<()> {
    let drop = folder.join("drop/programs");
    fs::create_dir_all(&drop)?;
    super::bait::mode(&drop, 0o777)?;
    let drop = drop.display();
    for (name, then) in [("as", "exec /usr/bin/as \"$@\""), ("wrap", "exec \"$@\"")] {
        let script = folder.join("bin").join(name);
        fs::write(
            &script,
            format!("#!/bin/sh\n: > {drop}/{name}-$$\n{then}\n"),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(
        folder.join("options"),
        format!("-aux-info {drop}/options\n"),
    )?;
    fs::write(
        folder.join("specs"),
        format!("*cc1:\n+ -aux-info {drop}/specs\n\n"),
    )?;
    let source = folder.join("evil.c");
    let code = format!(
        "#include <fcntl.h>\n#include <unistd.h>\nint plugin_is_GPL_compatible;\n\
         int plugin_init(void *a, void *b) {{ (void)a; (void)b; return 0; }}\n\
         __attribute__((constructor)) static void go(void) {{ close(open(\"{drop}/plugin\", O_CREAT | O_WRONLY, 0666)); }}\n"
    );
    fs::write(&source, code)?;
    super::bait::run(
        Command::new("gcc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&folder.join("evil.so"), &source]),
    )
}

fn place(world: &World) -> Place<'_> {
    Place {
        world,
        drop: world.bait.text("drop/programs"),
    }
}

/// Whether the attempt shows: the secret in an answer, or anything in the open folder, which is emptied.
fn shows(place: &Place, answer: &Answer) -> Option<String> {
    let planted: Vec<_> = fs::read_dir(&place.drop)
        .expect("open folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    for path in &planted {
        fs::remove_file(path).expect("planted file");
    }
    let token = &place.world.token;
    let in_object = answer
        .object
        .windows(token.len())
        .any(|part| part == token.as_bytes());
    if in_object || answer.text.contains(token.as_str()) {
        return Some(format!("the secret is in the answer: {}", answer.text));
    }
    (!planted.is_empty()).then(|| format!("{planted:?} are there"))
}

/// With a daemon and the real toolchain of this machine.
pub(crate) async fn confined(situation: Situation, target: &mut Target, world: &World) -> Findings {
    let place = place(world);
    let (archive, name) = crate::fixture::archive();
    target.install(name, archive).await;
    let mut findings = Findings::new();
    let column = COLUMNS[situation.column()];
    for attempt in ATTEMPTS {
        let mut args = (attempt.args)(&place);
        args.push("-c".into());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let answer = target
            .run(job(0, name, &args), &(attempt.source)(&place))
            .await;
        let through = shows(&place, &answer);
        if std::env::var_os("GELATO_ESCAPE_SHOW").is_some() {
            println!(
                "{} {}: {} {through:?}",
                situation.name, attempt.what, answer.text
            );
        }
        if let Some(through) = through
            && super::attack::claimed(&CLAIMS, situation)
        {
            findings.push(format!("{} gets through {column}: {through}", attempt.what));
        }
    }
    // It is a compiler: what is refused is the host, not the work.
    let answer = target.run(job(0, name, &["-c"]), &UNIT(&place)).await;
    if answer.object.is_empty() {
        findings.push(format!("no object of an honest source: {}", answer.text));
    }
    findings
}

/// With this machine's compiler, as the daemon would call it.
pub(crate) fn unconfined(world: &World) -> Findings {
    let place = place(world);
    let mut findings = Findings::new();
    let folder = tempfile::tempdir_in("/var/tmp").expect("folder");
    super::bait::mode(folder.path(), 0o777).expect("mode");
    for attempt in ATTEMPTS {
        fs::write(folder.path().join("source"), (attempt.source)(&place)).expect("source");
        let input = fs::File::open(folder.path().join("source")).expect("source");
        let output = ordinary("/usr/bin/gcc".as_ref())
            .args(["-x", "c"])
            .args((attempt.args)(&place))
            .args(["-c", "-fpreprocessed", "-", "-o", "out.o"])
            .current_dir(folder.path())
            .stdin(Stdio::from(input))
            .output()
            .expect("gcc");
        let object = folder.path().join("out.o");
        let answer = Answer {
            text: said(&output),
            object: fs::read(&object).unwrap_or_default(),
        };
        let _ = fs::remove_file(object);
        if shows(&place, &answer).is_none() {
            findings.push(format!(
                "{} does not get through although nothing stops it: {}",
                attempt.what, answer.text
            ));
        }
    }
    findings
}
