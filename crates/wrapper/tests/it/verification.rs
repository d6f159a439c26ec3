//! Jobs that several workers compile: liars are found, honest ones agree, and the object is right in any case.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use crate::fixture::{Fixture, ICECC, verdict};
use crate::peers::{Assign, Behaviour, Cluster, Events};

const SOURCE: &str =
    "int printf(const char *, ...);\nint main(void) { return printf(\"%d\\n\", 7); }\n";
const ALL: [(&str, &str); 1] = [("GELATO_VERIFY_RATE", "1000")];
const REPEAT: [(&str, &str); 1] = [("ICECC_REPEAT_RATE", "1000")];

/// A cluster that assigns workers of these kinds in turn, the last for ever.
struct Workers {
    events: Vec<Events>,
    names: Vec<String>,
    fixture: Fixture,
    _cluster: Cluster,
}

impl Workers {
    fn new(kinds: &[Behaviour]) -> Workers {
        let fixture = Fixture::new();
        fixture.file("x.c", SOURCE);
        fixture.file("bad.c", "int main(void) { return y; }\n");
        let events: Vec<Events> = kinds.iter().map(|_| Events::default()).collect();
        let addresses: Vec<_> = kinds
            .iter()
            .zip(&events)
            .map(|(kind, events)| Cluster::worker(events, *kind))
            .collect();
        let answers = addresses
            .iter()
            .map(|address| Assign::Worker(*address, true))
            .collect();
        Workers {
            names: addresses.iter().map(ToString::to_string).collect(),
            events,
            _cluster: Cluster::start(&fixture, answers),
            fixture,
        }
    }

    fn run(&self, line: &str, variables: &[(&str, &str)]) -> Output {
        self.fixture
            .command(ICECC)
            .args(line.split_whitespace())
            .env("ICECC_TEST_REMOTEBUILD", "1")
            .envs(variables.iter().copied())
            .output()
            .expect("the wrapper runs")
    }

    /// Jobs done by each worker.
    fn jobs(&self) -> Vec<usize> {
        self.events
            .iter()
            .map(|events| events.count("job"))
            .collect()
    }

    fn same_object(&self, line: &str) {
        let ours = fs::read(self.fixture.path("out.o")).expect("an object");
        assert!(self.fixture.native(line).status.success());
        let native = fs::read(self.fixture.path("out.o")).expect("an object");
        assert!(
            ours == native,
            "{line}: not the object of the local compiler"
        );
    }

    fn evidence(&self) -> Vec<PathBuf> {
        let folder = self.fixture.root().join("home/.cache/gelato/differing");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

const COMPILE: [&str; 4] = [
    "gcc -O2 -c x.c -o out.o",
    "clang -O2 -c x.c -o out.o",
    "gcc -O2 -S x.c -o out.o",
    "gcc -O2 -gsplit-dwarf -c x.c -o out.o",
];

#[test]
fn honest_workers_agree() {
    for line in COMPILE {
        let workers = Workers::new(&[Behaviour::Honest, Behaviour::Honest]);
        let output = workers.run(line, &ALL);
        assert!(output.status.success(), "{line}");
        assert_eq!(output.stderr, b"", "{line}");
        if line.contains("split") {
            // These workers send no second file.
            continue;
        }
        assert_eq!(
            workers.fixture.last(),
            verdict("remote", "verified", "0"),
            "{line}"
        );
        assert_eq!(workers.jobs(), [1, 1], "{line}");
        workers.same_object(line);
    }
}

#[test]
fn names_made_of_random_numbers_are_no_difference() {
    let workers = Workers::new(&[Behaviour::Honest, Behaviour::Honest]);
    let line = "gcc -O2 -flto -c x.c -o out.o";
    assert!(workers.run(line, &ALL).status.success());
    assert_eq!(workers.fixture.last().1, "verified");
    assert!(workers.evidence().is_empty());
    // Here the remedy would show in the object.
    let workers = Workers::new(&[Behaviour::Honest, Behaviour::Honest]);
    assert!(
        workers
            .run("gcc -g -flto -c x.c -o out.o", &ALL)
            .status
            .success()
    );
    assert_eq!(workers.fixture.last(), verdict("remote", "-", "0"));
}

#[test]
fn errors_of_the_source_are_compared_as_well() {
    let workers = Workers::new(&[Behaviour::Honest, Behaviour::Honest]);
    let output = workers.run("clang -c bad.c -o out.o", &ALL);
    assert_eq!(
        output.stderr,
        workers.fixture.native("clang -c bad.c -o out.o").stderr
    );
    assert_eq!(workers.fixture.last(), verdict("remote", "verified", "1"));
    assert_eq!(workers.jobs(), [1, 1]);
}

#[test]
fn a_liar_is_found_whoever_is_asked_first() {
    for line in [COMPILE[0], COMPILE[1]] {
        for kinds in [
            [Behaviour::Lies, Behaviour::Honest],
            [Behaviour::Honest, Behaviour::Lies],
        ] {
            let workers = Workers::new(&kinds);
            let output = workers.run(line, &ALL);
            assert!(output.status.success(), "{line}");
            assert_eq!(
                workers.fixture.last(),
                verdict("failed-over", "results-differ", "0")
            );
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(text.lines().count(), 1, "{text}");
            for name in &workers.names {
                assert!(text.contains(name.as_str()), "{text}");
            }
            let evidence = workers.evidence();
            assert_eq!(evidence.len(), 1);
            assert!(text.contains(&evidence[0].display().to_string()), "{text}");
            let part = |name: &str| fs::read(evidence[0].join(name)).expect("evidence");
            assert_ne!(part("1-object.o"), part("2-object.o"));
            assert!(String::from_utf8_lossy(&part("source.i")).contains("printf"));
            assert!(String::from_utf8_lossy(&part("report.txt")).contains(&workers.names[1]));
            workers.same_object(line);
        }
    }
}

#[test]
fn additional_messages_are_a_difference() {
    let workers = Workers::new(&[Behaviour::Honest, Behaviour::Chats]);
    let output = workers.run(COMPILE[0], &ALL);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"");
    assert_eq!(workers.fixture.last().1, "results-differ");
    workers.same_object(COMPILE[0]);
}

#[test]
fn a_worker_is_not_compared_with_itself() {
    let workers = Workers::new(&[Behaviour::Lies]);
    let output = workers.run(COMPILE[0], &ALL);
    assert_eq!(output.stderr, b"");
    assert_eq!(workers.fixture.last(), verdict("remote", "-", "0"));
    assert_eq!(workers.jobs(), [1]);
}

#[test]
fn a_witness_that_fails_proves_nothing() {
    for kind in [
        Behaviour::DiesInObject,
        Behaviour::OutOfMemory,
        Behaviour::Fails(4),
    ] {
        let workers = Workers::new(&[Behaviour::Honest, kind]);
        let output = workers.run(COMPILE[0], &ALL);
        assert_eq!(output.stderr, b"", "{kind:?}");
        assert_eq!(
            workers.fixture.last(),
            verdict("remote", "-", "0"),
            "{kind:?}"
        );
        workers.same_object(COMPILE[0]);
    }
}

#[test]
fn icecreams_variable_asks_for_three_workers_and_means_gcc() {
    let workers = Workers::new(&[Behaviour::Honest, Behaviour::Honest, Behaviour::Lies]);
    assert!(workers.run(COMPILE[0], &REPEAT).status.success());
    assert_eq!(workers.fixture.last().1, "results-differ");
    assert_eq!(workers.jobs(), [1, 1, 1]);

    let workers = Workers::new(&[Behaviour::Honest; 3]);
    assert!(workers.run(COMPILE[0], &REPEAT).status.success());
    assert_eq!(workers.fixture.last().1, "verified");
    assert_eq!(workers.jobs(), [1, 1, 1]);

    let workers = Workers::new(&[Behaviour::Honest; 3]);
    assert!(workers.run(COMPILE[1], &REPEAT).status.success());
    assert_eq!(workers.fixture.last(), verdict("remote", "-", "0"));
    assert_eq!(workers.jobs(), [1, 0, 0]);
}
