//! `icecc-create-env` and `icecc-test-env` as programs: forms, statuses, output, and the distribution's programs as peers.
//!
//! Every archive here is uncompressed, which is quick.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with our program under its old names.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        // For other users too.
        fs::set_permissions(bench.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for name in ["icecc-create-env", "icecc-test-env"] {
            symlink(env!("CARGO_BIN_EXE_gelato"), bench.path().join(name)).unwrap();
        }
        bench
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.path().join(name));
        command.current_dir(self.path()).env("TMPDIR", self.path());
        command
    }

    fn create(&self, args: &[&str]) -> Output {
        let mut command = self.program("icecc-create-env");
        command.args(args).output().unwrap()
    }

    /// The archive that was made, by what the program says.
    fn created(&self, args: &[&str]) -> PathBuf {
        let output = self.create(&[args, &["--compression", "none"]].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().last().unwrap();
        self.path().join(line.strip_prefix("creating ").unwrap())
    }

    fn test(&self, archive: &Path) -> (Option<i32>, String) {
        let mut command = self.program("icecc-test-env");
        said(command.arg(archive))
    }

    /// Packs the same files anew, after a change.
    fn changed(&self, archive: &Path, name: &str, change: impl FnOnce(&Path)) -> PathBuf {
        let root = self.path().join("changed");
        fs::create_dir(&root).unwrap();
        let tar = |args: &[&std::ffi::OsStr]| {
            let status = Command::new("tar").args(args).status().unwrap();
            assert!(status.success());
        };
        tar(&[
            "-xf".as_ref(),
            archive.as_ref(),
            "-C".as_ref(),
            root.as_ref(),
        ]);
        change(&root);
        let new = self.path().join(name);
        tar(&[
            "-cf".as_ref(),
            new.as_ref(),
            "-C".as_ref(),
            root.as_ref(),
            ".".as_ref(),
        ]);
        fs::remove_dir_all(&root).unwrap();
        new
    }

    /// Everything but the links to our program.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !name.starts_with("icecc-") || name.contains("env-"))
            .collect()
    }
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn has(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command run by a user without rights, if this one may become another.
fn as_nobody(program: &Path) -> Option<Command> {
    if !is_root() {
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(program);
    let able = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "test",
            "-x",
        ])
        .arg(fs::canonicalize(program).unwrap())
        .status();
    able.is_ok_and(|status| status.success()).then_some(command)
}

#[test]
fn all_forms_of_create_env_make_the_same_archive() {
    if !has("/usr/bin/gcc") || !has("/usr/bin/g++") {
        return;
    }
    let bench = Bench::new();
    let first = bench.created(&["gcc"]);
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("gelato-") && name.ends_with(".tar"),
        "{name}"
    );
    for form in [
        &["--respect-path", "gcc"][..],
        &["/usr/bin/g++"],
        &["gcc", "g++"],
        &["--gcc", "/usr/bin/gcc", "/usr/bin/g++"],
    ] {
        fs::remove_file(&first).unwrap();
        assert_eq!(bench.created(form), first, "{form:?}");
    }
    // With a file whose name is no simple word.
    let extra = bench.path().join("a plugin & more.so");
    fs::write(&extra, "x").unwrap();
    let with_file = bench.created(&["gcc", "--addfile", "a plugin & more.so"]);
    assert_ne!(with_file, first);
    let list = Command::new("tar")
        .arg("-tf")
        .arg(&with_file)
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.lines()
            .any(|line| line.ends_with("a plugin & more.so")),
        "{list}"
    );
}

#[test]
fn gcc_and_clang_fit_into_one_archive() {
    if !has("/usr/bin/gcc") || !has("/usr/bin/g++") || !has("/usr/bin/clang") {
        return;
    }
    let bench = Bench::new();
    let gcc = ["--gcc", "/usr/bin/gcc", "/usr/bin/g++"];
    let clang = ["--clang", "/usr/bin/clang", "/no/compilerwrapper"];
    let archive = bench.created(&[&gcc[..], &clang].concat());
    assert_eq!(bench.created(&[&clang[..], &gcc].concat()), archive);
    let (status, text) = bench.test(&archive);
    assert_eq!(status, Some(0), "{text}");
    for program in ["/usr/bin/clang", "/usr/bin/gcc", "/usr/bin/g++"] {
        assert!(text.contains(&format!("{program}...\nOK")), "{text}");
    }
}

#[test]
fn an_interrupted_create_env_leaves_nothing() {
    if !has("/usr/bin/gcc") {
        return;
    }
    let bench = Bench::new();
    let mut command = bench.program("icecc-create-env");
    command
        .args(["gcc", "--compression", "xz"])
        .stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let open = PathBuf::from(format!("/proc/{}/fd", child.id()));
    // Until it writes: a file in the folder, with or without a name.
    let writes = || {
        let descriptors = fs::read_dir(&open).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target.starts_with(bench.path()) && target != bench.path())
    };
    while !writes() {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before it was interrupted"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.left(), [""; 0]);
}

#[test]
fn the_daemon_of_icecream_reads_the_name_on_descriptor_5() {
    if !has("/usr/bin/gcc") {
        return;
    }
    let bench = Bench::new();
    let status = Command::new("/bin/sh")
        .args(["-c", "./icecc-create-env gcc --compression none 5>five >&-"])
        .current_dir(bench.path())
        .status()
        .unwrap();
    assert!(status.success());
    let name = fs::read_to_string(bench.path().join("five")).unwrap();
    assert!(bench.path().join(name.trim_end()).is_file(), "{name}");
}

#[test]
fn create_env_names_what_is_wrong_and_leaves_nothing() {
    let bench = Bench::new();
    let secret = bench.path().join("secret");
    fs::create_dir(&secret).unwrap();
    let text = bench.path().join("text");
    fs::write(&text, "").unwrap();
    for (args, part) in [
        (&[][..], "no compiler named"),
        (&["/no/such/gcc"], "/no/such/gcc cannot be read"),
        (&["no-such-gcc"], "cannot find no-such-gcc in PATH"),
        (&["/bin/true"], "/bin/true is no compiler"),
        (&["gcc", "--compression", "lzw"], "lzw"),
        (&["gcc", "--frob"], "--frob"),
        (
            &["gcc", "--addfile", "/no/such/file"],
            "/no/such/file cannot be read",
        ),
        (&["gcc", "--addfile", "secret"], "is not a regular file"),
    ] {
        let output = bench.create(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        let reason = String::from_utf8(output.stderr).unwrap();
        assert!(reason.contains(part), "{args:?}: {reason}");
        assert_eq!(reason.lines().count(), 1, "{reason}");
    }
    if let Some(mut command) = as_nobody(&bench.path().join("icecc-create-env")) {
        fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
        command
            .args(["gcc", "--addfile", "text"])
            .current_dir(bench.path());
        let (status, reason) = said(&mut command);
        assert_eq!(status, Some(1), "{reason}");
        assert!(
            reason.contains("text cannot be read: Permission denied"),
            "{reason}"
        );
    }
    let mut left = bench.left();
    left.sort();
    assert_eq!(left, ["secret", "text"]);
}

#[test]
fn good_archives_pass_whoever_tries_them() {
    if !has("/usr/bin/gcc") {
        return;
    }
    let bench = Bench::new();
    let archive = bench.created(&["gcc"]);
    let (status, text) = bench.test(&archive);
    assert_eq!(status, Some(0), "{text}");
    for part in [
        "Compiler is gcc",
        "Checking /usr/bin/gcc...\nOK",
        "verified against",
    ] {
        assert!(text.contains(part), "{text}");
    }
    if let Some(mut command) = as_nobody(&bench.path().join("icecc-test-env")) {
        command.arg("-q").arg(&archive).env("TMPDIR", bench.path());
        assert_eq!(said(&mut command), (Some(0), String::new()));
    }
    assert_eq!(bench.left().len(), 1, "{:?}", bench.left());
    // As a worker of Icecream tries them.
    if is_root() && has("/usr/bin/icecc-test-env") && has("/usr/bin/g++") {
        let mut command = Command::new("/usr/bin/icecc-test-env");
        let (status, text) = said(command.arg(&archive));
        assert_eq!(status, Some(0), "{text}");
    }
}

#[test]
fn icecreams_own_archives_pass() {
    if !has("/usr/bin/gcc") || !has("/usr/bin/icecc-create-env") {
        return;
    }
    let bench = Bench::new();
    let status = Command::new("/usr/bin/icecc-create-env")
        .args(["/usr/bin/gcc", "--compression", "none"])
        .current_dir(bench.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let archive = bench.left().pop().unwrap();
    let (status, text) = bench.test(Path::new(&archive));
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn bad_archives_fail_with_a_reason_and_leave_nothing() {
    if !has("/usr/bin/gcc") {
        return;
    }
    let bench = Bench::new();
    let whole = bench.created(&["gcc"]);
    // Smaller, and no less a toolchain.
    let good = bench.changed(&whole, "good.tar", |root| {
        for name in ["g++", "cc1plus", "objcopy"] {
            fs::remove_file(root.join("usr/bin").join(name)).unwrap();
        }
    });
    assert_eq!(bench.test(&good).0, Some(0));
    let copy = |name: &str, length: Option<usize>| {
        let content = fs::read(&good).unwrap();
        let path = bench.path().join(name);
        fs::write(&path, &content[..length.unwrap_or(content.len())]).unwrap();
        path
    };
    let content_name = format!("gelato-{}.tar", "0".repeat(40));
    let other_machine = |root: &Path| {
        for program in ["bin/true", "usr/bin/gcc"] {
            let path = root.join(program);
            let mut bytes = fs::read(&path).unwrap();
            bytes[18] ^= 0x7f;
            fs::write(path, bytes).unwrap();
        }
    };
    let without = |name: &'static str| {
        move |root: &Path| {
            fs::remove_file(root.join(name)).unwrap();
        }
    };
    let bad = [
        (copy("half.tar", Some(1 << 20)), "truncated"),
        (copy("renamed.zip", None), "does not end in"),
        (copy(&content_name, None), "not what its name says"),
        (copy("small.tar", Some(100)), "100"),
        (bench.path().join("missing.tar"), "No such file"),
        (bench.path().to_owned(), "not a"),
        (
            bench.changed(&good, "parts.tar", without("usr/bin/cc1")),
            "cc1",
        ),
        (
            bench.changed(&good, "as.tar", without("usr/bin/as")),
            "usr/bin/as",
        ),
        (
            bench.changed(&good, "gcc.tar", without("usr/bin/gcc")),
            "no compiler",
        ),
        (
            bench.changed(&good, "machine.tar", other_machine),
            "another kind of machine",
        ),
        (
            bench.changed(&good, "library.tar", |root| {
                let mut find = Command::new("find");
                let found = find.arg(root).args(["-name", "libmpfr*"]).output();
                let found = found.unwrap().stdout;
                fs::remove_file(String::from_utf8(found).unwrap().trim_end()).unwrap();
            }),
            "libmpfr",
        ),
        (
            bench.changed(&good, "outside.tar", |root| {
                symlink("../../../etc", root.join("etc-outside")).unwrap();
            }),
            "outside",
        ),
    ];
    for (archive, part) in &bad {
        let (status, text) = bench.test(archive);
        assert_eq!(status, Some(2), "{}: {text}", archive.display());
        assert!(text.contains(part), "{}: {text}", archive.display());
    }
    let left = bench.left();
    assert!(
        left.iter()
            .all(|name| name.ends_with(".tar") || name.ends_with(".zip")),
        "{left:?}"
    );
}

#[test]
fn test_env_has_icecreams_statuses() {
    let bench = Bench::new();
    for (args, expected, part) in [
        (&[][..], 2, "name the archive"),
        (&["--frob"], 1, "--frob"),
        (&["--help"], 0, "Usage: icecc-test-env"),
        (&["--", "-q"], 2, "-q"),
    ] {
        let (status, text) = said(bench.program("icecc-test-env").args(args));
        assert_eq!(status, Some(expected), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}
