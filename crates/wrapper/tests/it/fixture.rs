//! A folder of its own for every test, and runs of the wrapper in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The wrapper under test.
pub(crate) const ICECC: &str = env!("CARGO_BIN_EXE_icecc");

/// A folder with `home`, `run` and `work` in it.
pub(crate) struct Fixture {
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["home", "run", "work"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o700))
            .expect("mode");
        Fixture { folder }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// An executable script.
    pub(crate) fn script(&self, name: &str, content: &str) -> PathBuf {
        self.file(name, content);
        let path = self.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    /// A link to the wrapper under a compiler's name, in a folder of its own.
    pub(crate) fn masquerade(&self, name: &str) -> PathBuf {
        let folder = self.path("masquerade");
        fs::create_dir_all(&folder).expect("a folder");
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink(ICECC, &link).expect("a link");
        }
        link
    }

    /// A program in the working directory with nothing of the outside in its environment, and no daemon.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC-5")
            .env("HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("GELATO_SOCKET", self.folder.path().join("socket"))
            .env("GELATO_BUILD_LOG", self.folder.path().join("build.log"))
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null());
        command
    }

    /// `icecc WORDS…`
    pub(crate) fn icecc(&self, line: &str) -> Output {
        self.command(ICECC)
            .args(line.split_whitespace())
            .output()
            .expect("the wrapper runs")
    }

    /// Without us: `WORDS…`
    pub(crate) fn native(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        self.command(words.next().expect("a program"))
            .args(words)
            .output()
            .expect("the program runs")
    }

    /// Fields of the lines of the build log.
    pub(crate) fn log(&self) -> Vec<Vec<String>> {
        fs::read_to_string(self.folder.path().join("build.log"))
            .unwrap_or_default()
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }

    /// Verdict, reason and exit code of the last job.
    pub(crate) fn last(&self) -> (String, String, String) {
        let log = self.log();
        let line = log.last().expect("a line in the build log");
        assert_eq!(line.len(), 13, "{line:?}");
        (line[2].clone(), line[3].clone(), line[5].clone())
    }

    /// All names in the working directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(""))
            .expect("a folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

/// The three fields as text.
pub(crate) fn verdict(place: &str, reason: &str, code: &str) -> (String, String, String) {
    (place.to_owned(), reason.to_owned(), code.to_owned())
}

/// What the user sees is the same.
pub(crate) fn assert_same(ours: &Output, native: &Output) {
    assert_eq!(
        (
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&ours.stderr),
            ours.status
        ),
        (
            String::from_utf8_lossy(&native.stdout),
            String::from_utf8_lossy(&native.stderr),
            native.status
        )
    );
}
