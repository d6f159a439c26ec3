//! Which compiler a path leads to, and which programs it uses: found by asking it, because the path may be a symbolic
//! link, a versioned name, ccache or anybody's shell script.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{CreateError, Stamp, open_regular};
use crate::names::{c_sibling, cxx_sibling};

/// A compiler answers in milliseconds; this is for cold disks.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any answer.
const MAX_ANSWER: u64 = 1 << 20;

/// The compilers of one archive.
#[derive(Debug, Default)]
pub(super) struct Compilers {
    pub(super) gcc: Option<Driver>,
    pub(super) gxx: Option<Driver>,
    pub(super) clang: Option<Driver>,
    /// Where a C++ compiler would be, if there is none.
    pub(super) absent: Vec<PathBuf>,
}

/// One compiler program.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    /// How to run it, as asked for.
    pub(super) asked: PathBuf,
    /// The program itself, without symbolic links.
    pub(super) real: PathBuf,
    /// The paths that led there, and where they led.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Gcc,
    Clang,
}

impl Compilers {
    pub(super) fn identify(paths: &[PathBuf]) -> Result<Self, CreateError> {
        let mut found = Self::default();
        for path in paths {
            let driver = Driver::identify(path)?;
            let is_cxx = cxx_sibling(&driver.real) == driver.real;
            let place = match (driver.family, is_cxx) {
                (Family::Clang, _) => &mut found.clang,
                (Family::Gcc, false) => &mut found.gcc,
                (Family::Gcc, true) => &mut found.gxx,
            };
            match place {
                Some(first) if first.real != driver.real => {
                    return Err(CreateError::Conflict {
                        place: PathBuf::from("/usr/bin"),
                        first: first.real.clone(),
                        second: driver.real,
                    });
                }
                _ => *place = Some(driver),
            }
        }
        found.complete()?;
        if found.gcc.is_none() && found.clang.is_none() {
            return Err(CreateError::NothingToPackage);
        }
        Ok(found)
    }

    /// What stands before the compilers and is none itself.
    pub(super) fn scripts(&self) -> Result<Vec<(PathBuf, Stamp)>, CreateError> {
        let drivers = [&self.gcc, &self.gxx, &self.clang].into_iter().flatten();
        drivers
            .map(|driver| &driver.asked)
            .filter(|asked| !is_elf(asked))
            .map(|asked| {
                let metadata = asked.metadata().map_err(|source| CreateError::Missing {
                    path: asked.clone(),
                    source,
                })?;
                Ok((asked.clone(), Stamp::of(&metadata)))
            })
            .collect()
    }

    /// Adds the C compiler of a C++ compiler, which must exist, and the reverse, which may.
    fn complete(&mut self) -> Result<(), CreateError> {
        if let (None, Some(gxx)) = (&self.gcc, &self.gxx) {
            let c = c_sibling(&gxx.real);
            let gcc = Driver::identify(&c)?;
            if c == gxx.real || gcc.family != Family::Gcc {
                return Err(not_a_compiler(&gxx.asked, "no C compiler belongs to it"));
            }
            self.gcc = Some(gcc);
        }
        if let (Some(gcc), None) = (&self.gcc, &self.gxx) {
            let cxx = cxx_sibling(&gcc.real);
            if is_elf(&cxx) {
                let gxx = Driver::identify(&cxx)?;
                if gxx.program("cc1plus")?.is_some() {
                    self.gxx = Some(gxx);
                    return Ok(());
                }
            }
            self.absent.push(cxx);
        }
        Ok(())
    }
}

impl Driver {
    fn identify(path: &Path) -> Result<Self, CreateError> {
        let asked = std::path::absolute(path).map_err(|source| CreateError::Missing {
            path: path.to_owned(),
            source,
        })?;
        open_regular(&asked).map_err(|error| match error {
            CreateError::NotAFile(_) => not_a_compiler(path, "it is not a regular file"),
            other => other,
        })?;
        let probe = b"clang __clang__ gcc __GNUC__\n";
        let answer = ask(&asked, &["-E", "-x", "c", "-"], probe)?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let line = text.lines().rfind(|line| line.starts_with("clang "));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        let family = match words.as_slice() {
            ["clang", "__clang__", "gcc", "__GNUC__"] => None,
            ["clang", "__clang__", "gcc", _] => Some(Family::Gcc),
            ["clang", _, "gcc", ..] => Some(Family::Clang),
            _ => None,
        };
        let Some(family) = family.filter(|_| answer.status.success()) else {
            let why = "it does not preprocess a line from standard input as gcc or clang do";
            return Err(not_a_compiler(path, why));
        };
        let named = match family {
            Family::Gcc => named_gcc(&asked)?,
            Family::Clang => named_clang(&asked)?,
        };
        let real = named.as_ref().and_then(|path| path.canonicalize().ok());
        let (Some(named), Some(real)) = (named, real) else {
            return Err(not_a_compiler(
                path,
                "the program behind it is not to be found; name that program itself",
            ));
        };
        let mut links = Vec::new();
        for path in [&asked, &named] {
            if let Ok(target) = path.canonicalize() {
                links.push((path.clone(), target));
            }
        }
        Ok(Self {
            asked,
            real,
            links,
            family,
        })
    }

    /// Where this compiler finds one of its programs.
    pub(super) fn program(&self, name: &str) -> Result<Option<PathBuf>, CreateError> {
        let answer = ask(&self.asked, &[&format!("-print-prog-name={name}")], b"")?;
        Ok(existing(&answer).or_else(|| search_path(OsStr::new(name))))
    }

    /// Where this compiler finds one of its files, without symbolic links.
    pub(super) fn file(&self, name: &str) -> Result<Option<PathBuf>, CreateError> {
        let answer = ask(&self.asked, &[&format!("-print-file-name={name}")], b"")?;
        Ok(existing(&answer).and_then(|path| path.canonicalize().ok()))
    }

    /// The configuration files clang reads unasked.
    pub(super) fn configuration_files(&self) -> Result<Vec<PathBuf>, CreateError> {
        let answer = ask(&self.asked, &["-v"], b"")?;
        let lines = answer.stderr.split(|&byte| byte == b'\n');
        let files = lines.filter_map(|line| line.strip_prefix(b"Configuration file: "));
        Ok(files
            .map(|file| PathBuf::from(OsStr::from_bytes(file.trim_ascii())))
            .collect())
    }

    /// Where clang keeps what comes with it, without symbolic links.
    pub(super) fn resource_folder(&self) -> Result<Option<PathBuf>, CreateError> {
        let answer = ask(&self.real, &["-print-resource-dir"], b"")?;
        let line = answer.stdout.split(|&byte| byte == b'\n').next();
        let folder = Path::new(OsStr::from_bytes(line.unwrap_or_default()));
        Ok(folder.canonicalize().ok())
    }

    /// The folder that becomes `/usr` in the archive: the one above the compiler's `bin`.
    pub(super) fn prefix(&self) -> Option<&Path> {
        self.real.parent()?.parent()
    }
}

/// The file a compiler answered with. A bare name means that it did not find it.
fn existing(answer: &Answer) -> Option<PathBuf> {
    let line = answer.stdout.split(|&byte| byte == b'\n').next()?;
    let path = Path::new(OsStr::from_bytes(line.trim_ascii()));
    let absolute = std::path::absolute(path).ok()?;
    Some(absolute).filter(|path| line.contains(&b'/') && path.is_file())
}

fn not_a_compiler(compiler: &Path, why: &str) -> CreateError {
    CreateError::NotACompiler {
        compiler: compiler.to_owned(),
        why: why.to_owned(),
    }
}

/// The driver, by the path it was started with.
fn named_gcc(asked: &Path) -> Result<Option<PathBuf>, CreateError> {
    let answer = ask(asked, &["-v"], b"")?;
    let text = answer.stderr.split(|&byte| byte == b'\n');
    let name = text
        .filter_map(|line| line.strip_prefix(b"COLLECT_GCC="))
        .next_back();
    if let Some(name) = name {
        let name = OsStr::from_bytes(name.trim_ascii());
        let path = if name.as_bytes().contains(&b'/') {
            Some(PathBuf::from(name))
        } else if asked.file_name() == Some(name) {
            // What was asked for, unless it is a script: then the next one in PATH is what the script meant.
            Some(asked.to_owned()).filter(|path| is_elf(path))
        } else {
            None
        };
        let path = path.or_else(|| search_path(name));
        if let Some(path) = path.filter(|path| is_elf(path)) {
            return Ok(Some(path));
        }
    }
    // A script that hides behind its own name: ask the system which program started the preprocessor.
    let spy = "-wrapper";
    let shell = "/bin/sh,-c,readlink /proc/$PPID/exe >&2";
    let answer = ask(asked, &[spy, shell, "-E", "-x", "c", "/dev/null"], b"")?;
    let text = answer.stderr.split(|&byte| byte == b'\n').next();
    let path = PathBuf::from(OsStr::from_bytes(text.unwrap_or_default()));
    Ok(Some(path).filter(|path| path.is_absolute() && is_elf(path)))
}

/// clang says which program it would run for the compilation proper: itself.
fn named_clang(asked: &Path) -> Result<Option<PathBuf>, CreateError> {
    let answer = ask(asked, &["-###", "-E", "-x", "c", "/dev/null"], b"")?;
    let text = String::from_utf8_lossy(&answer.stderr).into_owned();
    let program = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('"'))
        .filter_map(|line| line.split_once('"'))
        .find(|(_, rest)| rest.starts_with(" \"-cc1\""))
        .map(|(program, _)| program.replace("\\\\", "\\").replace("\\$", "$"));
    Ok(program.map(PathBuf::from).filter(|path| is_elf(path)))
}

/// The first program of this name in `PATH` that is not a link to the wrapper.
fn search_path(name: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| is_elf(candidate) && !leads_to_wrapper(candidate))
}

fn leads_to_wrapper(path: &Path) -> bool {
    let wrappers: BTreeSet<&str> =
        ["icecc", "icerun", "gelato", "ccache", "distcc", "sccache"].into();
    let real = path.canonicalize().unwrap_or_default();
    let name = real.file_name().and_then(OsStr::to_str).unwrap_or_default();
    wrappers.contains(name)
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    open_regular(path)
        .is_ok_and(|mut file| file.read_exact(&mut magic).is_ok() && magic == *b"\x7fELF")
}

pub(super) struct Answer {
    status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs a compiler in the C locale and without the wrappers that could stand before it, for a bounded time.
pub(super) fn ask(compiler: &Path, args: &[&str], input: &[u8]) -> Result<Answer, CreateError> {
    let failed = |error: io::Error| not_a_compiler(compiler, &format!("it cannot be run: {error}"));
    let (out, out_end) = io::pipe().map_err(failed)?;
    let (err, err_end) = io::pipe().map_err(failed)?;
    let mut command = Command::new(compiler);
    command
        .args(args)
        .env("LC_ALL", "C")
        .env("ICECC", "disable")
        .env("CCACHE_DISABLE", "1")
        // A script's children end with it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(out_end)
        .stderr(err_end);
    let mut child = command.spawn().map_err(failed)?;
    // The command holds our copies of the pipes' other ends.
    drop(command);
    if let Some(mut stdin) = child.stdin.take() {
        // A few bytes, less than any pipe holds; whoever does not read them does not want them.
        let _not_wanted = stdin.write_all(input);
    }
    let deadline = Instant::now() + PATIENCE;
    let answer = collect([out, err], deadline).and_then(|said| {
        let Some([stdout, stderr]) = said else {
            return Ok(None);
        };
        Ok(await_end(&mut child, deadline)?.map(|status| Answer {
            status,
            stdout,
            stderr,
        }))
    });
    if let Ok(Some(answer)) = answer {
        return Ok(answer);
    }
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _gone = kill_process_group(group, Signal::KILL);
    }
    let _status = child.wait();
    match answer {
        Err(error) => Err(failed(error)),
        Ok(_) => Err(CreateError::CompilerHangs(compiler.to_owned())),
    }
}

/// Waits for a program that has said everything; `None` if it does not end in time.
fn await_end(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Reads both pipes to their ends; `None` if that takes too long.
fn collect(pipes: [PipeReader; 2], deadline: Instant) -> io::Result<Option<[Vec<u8>; 2]>> {
    let mut data = [Vec::new(), Vec::new()];
    let mut open = [true, true];
    while open.contains(&true) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut polled: Vec<PollFd<'_>> = Vec::new();
        let mut which = Vec::new();
        for (at, pipe) in pipes.iter().enumerate() {
            if open.get(at) == Some(&true) {
                polled.push(PollFd::new(pipe, PollFlags::IN));
                which.push(at);
            }
        }
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (at, ready) in which.into_iter().zip(ready) {
            let (Some(mut pipe), Some(data), Some(open)) =
                (pipes.get(at), data.get_mut(at), open.get_mut(at))
            else {
                continue;
            };
            if ready {
                let mut buffer = [0; 16 << 10];
                let count = pipe.read(&mut buffer)?;
                *open = count > 0;
                data.extend_from_slice(buffer.get(..count).unwrap_or_default());
                if data.len() as u64 > MAX_ANSWER {
                    return Err(io::Error::other("it says more than any compiler"));
                }
            }
        }
    }
    Ok(Some(data))
}
