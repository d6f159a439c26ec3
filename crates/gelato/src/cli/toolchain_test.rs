//! `icecc-test-env` and `gelato toolchain test`: whether an archive works as a toolchain on this machine, and if not, why.
//!
//! The archive is taken as a worker takes it: unpacked with the same limits, its name held against its content, and its
//! programs run in the same sandbox, so neither root nor trust in the archive is needed. Each compiler in it makes an
//! object of a small translation unit. Output and exit statuses are those scripts know from Icecream's program, but for
//! archives that work without a C++ compiler, which pass.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gelato_sandbox::{Exit, Identity, JobSpec, Level, Limits, Running, SandboxError};
use gelato_toolchain::names::{self, check_archive};
use gelato_toolchain::unpack::{self, Unpacked, remove_tree, unpack};
use gelato_toolchain::verify::{Trial, family_of, trials, why_not_started};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const NAME: &str = "icecc-test-env";

const USAGE: &str = "\
Usage: icecc-test-env [-q] ARCHIVE

Says whether a toolchain archive works on this machine, and if not, why.
  -q, --quiet  say nothing but what is wrong
  -h, --help   show this text
  --version    show the version

Exit status: 0 if it works, 2 if not or if it cannot be tried, 1 for an unknown option.
";

/// For an archive that does not work or cannot be tried. Not 1, which is what `sudo` ends with by itself.
const BAD: u8 = 2;

/// Icecream's program ends so when it is given an unknown option.
const UNKNOWN_OPTION: u8 = 1;

/// One program of the archive may take this long on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// What a program says is shown up to here.
const MOST_SHOWN: usize = 4 << 10;

/// The programs run as this conventional user without rights if this one is root.
const NOBODY: Identity = Identity {
    uid: 65534,
    gid: 65534,
};

/// The whole program behind the name `icecc-test-env`.
pub(crate) fn main(argv: Vec<OsString>) -> ExitCode {
    let mut quiet = false;
    let mut archive = None;
    let mut options = true;
    for word in argv.into_iter().skip(1) {
        match word.to_str() {
            Some("-q" | "--quiet") if options => quiet = true,
            Some("-h" | "--help") if options => {
                print!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some("--version") if options => {
                println!("{NAME} {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            Some("--") if options => options = false,
            Some(text) if options && text.len() > 1 && text.starts_with('-') => {
                eprintln!("{NAME}: unknown option {text}; see --help");
                return ExitCode::from(UNKNOWN_OPTION);
            }
            // Icecream's program ignores further words too.
            _ => archive = archive.or(Some(word)),
        }
    }
    let Some(archive) = archive else {
        eprintln!("{NAME}: name the archive; see --help");
        return ExitCode::from(BAD);
    };
    run(NAME, Path::new(&archive), quiet)
}

/// Tries an archive and says what came of it under the name of `program`.
pub(crate) fn run(program: &str, archive: &Path, quiet: bool) -> ExitCode {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Without a handler the folder stays behind after such a signal, nothing worse.
        let _registered = signal_hook::flag::register(signal, Arc::clone(&interrupted));
    }
    let test = Test { quiet, interrupted };
    match test.archive(archive) {
        Ok(()) => {
            test.say("The archive works");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{program}: {}: {reason}", archive.display());
            ExitCode::from(BAD)
        }
    }
}

struct Test {
    quiet: bool,
    interrupted: Arc<AtomicBool>,
}

impl Test {
    fn archive(&self, archive: &Path) -> Result<(), String> {
        let name = check_archive(archive).map_err(|problem| problem.to_string())?;
        let file = File::open(archive).map_err(|error| error.to_string())?;
        let folder = Folder::make().map_err(|error| {
            let place = std::env::temp_dir();
            format!(
                "no folder can be made in {}: {error}; set TMPDIR",
                place.display()
            )
        })?;
        let unpacked = self.unpack(file, &name, &folder.root())?;
        self.say(&format!(
            "Compiler is {}",
            family_of(&folder.root()).unwrap_or("missing")
        ));
        let sandbox = Sandbox::find()?;
        for trial in trials(&folder.root())? {
            self.say(&format!("Checking {}...", trial.program));
            self.attempt(&sandbox, &folder, &trial)
                .map_err(|reason| format!("{}: {reason}", trial.program))?;
            self.say("OK");
        }
        let megabytes = unpacked.bytes / 1_000_000;
        let says = if names::is_content_name(&name) {
            "verified against its content"
        } else {
            "chosen by somebody, so a changed archive needs another name"
        };
        self.say(&format!("{megabytes} MB unpacked; name {name}, {says}"));
        Ok(())
    }

    fn unpack(&self, file: File, name: &str, root: &Path) -> Result<Unpacked, String> {
        let input = Interruptible {
            file,
            interrupted: &self.interrupted,
        };
        unpack(input, Some(name), root, unpack::Limits::default()).map_err(|error| {
            if self.is_interrupted() {
                "interrupted".to_owned()
            } else {
                error.to_string()
            }
        })
    }

    fn attempt(&self, sandbox: &Sandbox, folder: &Folder, trial: &Trial) -> Result<(), String> {
        let job = sandbox
            .make_folder(folder)
            .map_err(|error| format!("no folder for it: {error}"))?;
        let running = match sandbox.start(folder, &job, trial) {
            Ok(running) => running,
            Err(SandboxError::Exec { source, .. }) => {
                let why = why_not_started(&folder.root(), trial.program);
                return Err(why.unwrap_or_else(|| format!("cannot be executed: {source}")));
            }
            Err(error) => return Err(error.to_string()),
        };
        let (exit, said) = self.finish(running, trial.input)?;
        match exit {
            Exit::Code(0) => {}
            Exit::Code(code) => {
                return Err(with_words(&format!("exits with status {code}"), &said));
            }
            Exit::Signal(4) => {
                return Err(
                    "is killed by signal 4 (illegal instruction): it was built for newer processors"
                        .to_owned(),
                );
            }
            Exit::Signal(signal) => {
                return Err(with_words(&format!("is killed by signal {signal}"), &said));
            }
        }
        if let Some(output) = trial.output {
            let written = fs::symlink_metadata(job.host.join(output));
            if !written.is_ok_and(|meta| meta.is_file() && meta.len() > 0) {
                return Err(with_words("succeeds without writing an object", &said));
            }
        }
        Ok(())
    }

    /// Feeds a program, reads what it says and waits for its end.
    fn finish(&self, mut running: Running, input: &str) -> Result<(Exit, Vec<u8>), String> {
        if let Some(stdin) = running.stdin.take() {
            // Less than a pipe holds; a program that does not read it says by its status what that means.
            let _unread = File::from(stdin).write_all(input.as_bytes());
        }
        let outputs = [running.stdout.take(), running.stderr.take()];
        let readers = outputs.map(|output| output.map(|end| thread::spawn(|| first_words(end))));
        let deadline = Instant::now() + LONGEST;
        let ended = self.await_end(&running, deadline);
        if !ended {
            running.kill();
        }
        let outcome = running.wait().map_err(|error| error.to_string())?;
        let said: Vec<u8> = readers
            .into_iter()
            .flatten()
            .filter_map(|reader| reader.join().ok())
            .flatten()
            .collect();
        match (ended, self.is_interrupted()) {
            (_, true) => Err("interrupted".to_owned()),
            (true, _) => Ok((outcome.exit, said)),
            (false, _) => Err(with_words(
                &format!("does not end within {} s", LONGEST.as_secs()),
                &said,
            )),
        }
    }

    fn await_end(&self, running: &Running, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_interrupted() {
                return false;
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut waited = [PollFd::new(&running.pidfd, PollFlags::IN)];
            // An error is the signal that is looked at above.
            if let Ok(1..) = poll(&mut waited, Some(&timeout)) {
                return true;
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            // Nobody has to listen.
            let _unheard = writeln!(io::stdout(), "{text}");
        }
    }
}

/// How programs of the archive are run here.
struct Sandbox {
    level: Level,
    identity: Option<Identity>,
}

/// The folder of one program, on the host and as the program sees it.
struct JobFolder {
    host: PathBuf,
    inside: PathBuf,
}

impl Sandbox {
    fn find() -> Result<Self, String> {
        // As most workers do it: the archive becomes the root.
        let mut obstacles = Vec::new();
        let level = [Level::UserNamespace, Level::Chroot]
            .into_iter()
            .find_map(|level| {
                let probe = gelato_sandbox::probe(Some(level));
                obstacles.extend(probe.obstacles);
                probe.level
            });
        let level = level.ok_or_else(|| {
            format!(
                "its programs cannot be tried here, try as root: {}",
                obstacles.join("; ")
            )
        })?;
        let identity = gelato_sandbox::identity::is_root().then_some(NOBODY);
        Ok(Self { level, identity })
    }

    fn make_folder(&self, folder: &Folder) -> io::Result<JobFolder> {
        let job = match self.level {
            Level::UserNamespace => JobFolder {
                host: folder.0.join("job"),
                inside: PathBuf::from("/tmp"),
            },
            Level::Chroot => JobFolder {
                host: folder.root().join("tmp/job"),
                inside: PathBuf::from("/tmp/job"),
            },
            Level::Landlock | Level::None => JobFolder {
                host: folder.0.join("job"),
                inside: folder.0.join("job"),
            },
        };
        if job.host.exists() {
            remove_tree(&job.host)?;
        }
        fs::create_dir(&job.host)?;
        if let Some(identity) = self.identity {
            std::os::unix::fs::chown(&job.host, Some(identity.uid), Some(identity.gid))?;
        }
        Ok(job)
    }

    fn start(
        &self,
        folder: &Folder,
        job: &JobFolder,
        trial: &Trial,
    ) -> Result<Running, SandboxError> {
        let variable = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
        gelato_sandbox::spawn(&JobSpec {
            level: self.level,
            root: folder.root(),
            tmp: job.host.clone(),
            program: trial.program.into(),
            args: trial.args.iter().map(Into::into).collect(),
            env: vec![
                variable("PATH", "/usr/bin".as_ref()),
                variable("LC_ALL", "C".as_ref()),
                variable("TMPDIR", job.inside.as_os_str()),
            ],
            cwd: job.inside.clone(),
            nice: 0,
            limits: Limits::default(),
            identity: self.identity,
        })
    }
}

/// A folder of our own for the unpacked archive; removed with everything in it when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let base = std::env::temp_dir().canonicalize()?;
        let mut number = 0;
        let path = loop {
            let path = base.join(format!("icecc-test-env-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                    number += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let folder = Self(path);
        fs::create_dir(folder.root())?;
        // The programs may run as another user.
        fs::set_permissions(&folder.0, Permissions::from_mode(0o755))?;
        Ok(folder)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            eprintln!("{NAME}: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// A file whose reading ends with a signal.
struct Interruptible<'a> {
    file: File,
    interrupted: &'a AtomicBool,
}

impl Read for Interruptible<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.file.read(buffer)
    }
}

/// The beginning of what a program says; the rest is read and thrown away, so that it does not wait.
fn first_words(output: OwnedFd) -> Vec<u8> {
    let mut output = File::from(output);
    let mut said = Vec::new();
    let limit = MOST_SHOWN as u64;
    let _as_far_as_it_goes = Read::by_ref(&mut output).take(limit).read_to_end(&mut said);
    let _rest = io::copy(&mut output, &mut io::sink());
    said
}

/// A sentence with what the program said about it. That is hostile: control characters are shown, not sent.
fn with_words(what: &str, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<String> = said
        .lines()
        .map(|line| line.trim_end())
        .filter(|line| !line.is_empty())
        .map(|line| {
            format!(
                "\n  {}",
                line.escape_debug()
                    .to_string()
                    .replace("\\'", "'")
                    .replace("\\\"", "\"")
            )
        })
        .collect();
    if lines.is_empty() {
        return what.to_owned();
    }
    format!("{what} and says:{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_cannot_steer_the_terminal() {
        let text = with_words("fails", b"gcc: can't \x1b[31m\xff\n\n");
        assert_eq!(text, "fails and says:\n  gcc: can't \\u{1b}[31m\u{fffd}");
        assert_eq!(with_words("fails", b"\n"), "fails");
    }
}
