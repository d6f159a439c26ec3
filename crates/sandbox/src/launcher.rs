//! How a program of a toolchain is started where the toolchain cannot become `/`: through the toolchain's own loader.
//!
//! The kernel would give the program the host's loader, and that the host's C library. So the loader named in the program is
//! executed instead, with the toolchain's library folders and the program's own name. Every path of the toolchain is resolved as if it
//! were the root, so that a link cannot lead to the host's files. The same words serve gcc, which starts its parts through a wrapper.
//!
//! What cannot be started this way (scripts, loaders without `--argv0`, glibc before 2.33) is refused with the reason.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// Largest loader looked into, in bytes; glibc's has a fifth of a megabyte.
const LARGEST_LOADER: u64 = 8 << 20;

/// Largest `ld.so.conf`, in bytes.
const LARGEST_LIST: u64 = 64 << 10;

/// Most folders libraries are looked for in.
const MOST_FOLDERS: usize = 64;

/// Entries of a toolchain looked at for links; larger ones are not run without a root of their own.
const MOST_ENTRIES: usize = 200_000;

/// How one program of a toolchain is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program's file on the host, all links resolved.
    file: PathBuf,
    /// What the program is called: its path on the host, links not resolved.
    name: PathBuf,
    /// Loader and its options; empty for programs that need none.
    words: Vec<OsString>,
}

/// What to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: OsString,
    /// The program's own name, `argv[0]`.
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
}

impl Launcher {
    /// Finds out how `program`, a path inside the toolchain at `root`, is started. Both must be absolute.
    pub fn find(root: &Path, program: &Path) -> io::Result<Launcher> {
        if root
            .as_os_str()
            .as_bytes()
            .iter()
            .any(|byte| b":;,".contains(byte))
        {
            return Err(unsupported(
                "the toolchain's folder has one of : ; , in its name".to_owned(),
            ));
        }
        let top = open_root(root)?;
        let opened = File::from(open_in(&top, program, OFlags::RDONLY)?);
        let file = path_of(&opened)?;
        let name = root.join(program.strip_prefix("/").unwrap_or(program));
        let words = match interpreter(&opened)? {
            None => Vec::new(),
            Some(interpreter) => words(&top, &interpreter)?,
        };
        Ok(Launcher { file, name, words })
    }

    /// For gcc's option `-wrapper`: what its parts are to be started with. `None` if they need nothing.
    pub fn wrapper(&self) -> Option<OsString> {
        let words: Vec<&[u8]> = self.words.iter().map(|word| word.as_bytes()).collect();
        (!words.is_empty()).then(|| OsString::from_vec(words.join(&b',')))
    }

    pub(crate) fn command(self, args: &[OsString]) -> Command {
        let mut words = self.words.into_iter();
        let Some(loader) = words.next() else {
            return Command {
                program: self.file.into(),
                name: self.name.into(),
                args: args.to_vec(),
            };
        };
        let mut all: Vec<OsString> = words.collect();
        all.extend(["--argv0".into(), self.name.into(), self.file.into()]);
        all.extend_from_slice(args);
        Command {
            program: loader.clone(),
            name: loader,
            args: all,
        }
    }
}

/// A link in the toolchain at `root` that only means the same where the toolchain is the root: an absolute one, or one that climbs
/// out of it. Where the root does not change, programs would follow it to the host.
pub fn link_out_of(root: &Path) -> io::Result<Option<PathBuf>> {
    let mut folders = vec![root.to_owned()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(unsupported("the toolchain has too many files".to_owned()));
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_symlink() {
                let depth = folder
                    .strip_prefix(root)
                    .map_or(0, |below| below.iter().count());
                if leads_out(&fs::read_link(entry.path())?, depth) {
                    return Ok(Some(entry.path()));
                }
            }
        }
    }
    Ok(None)
}

/// Whether a link in a folder so deep below the root leaves it. Errs on the side of yes for links that climb after descending.
fn leads_out(target: &Path, depth: usize) -> bool {
    let climbs = target
        .components()
        .filter(|part| matches!(part, Component::ParentDir))
        .count();
    target.is_absolute() || climbs > depth
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, root, flags, Mode::empty())?)
}

/// Opens a path as a process would whose root this is.
fn open_in(top: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut flags = flags | OFlags::CLOEXEC;
    if !flags.contains(OFlags::PATH) {
        // A named pipe must not make us wait.
        flags |= OFlags::NONBLOCK;
    }
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(top, path, flags, Mode::empty(), resolve)?)
}

/// Where an open file lies on the host.
fn path_of(file: &impl AsRawFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The loader an executable names, if it needs one.
fn interpreter(file: &File) -> io::Result<Option<PathBuf>> {
    /// `PT_INTERP` of elf.h.
    const INTERPRETER: u32 = 3;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut head = [0; 64];
    let size = file.read_at(&mut head, 0)?;
    let head = head.get(..size).unwrap_or_default();
    if head.starts_with(b"#!") {
        return Err(unsupported("it is a script".to_owned()));
    }
    let wide = match head.get(..6) {
        // Little-endian, 64 or 32 bit.
        Some(b"\x7fELF\x02\x01") => true,
        Some(b"\x7fELF\x01\x01") => false,
        _ => return Err(io::Error::from_raw_os_error(libc::ENOEXEC)),
    };
    // e_phoff, e_phentsize and e_phnum of elf.h; then p_offset and p_filesz.
    let (table, sizes, place) = if wide {
        (32, 54, (8, 32))
    } else {
        (28, 42, (4, 16))
    };
    let bad = || io::Error::from_raw_os_error(libc::ENOEXEC);
    let number = |bytes: &[u8], at: usize| word(bytes, at, if wide { 8 } else { 4 });
    let table = number(head, table).ok_or_else(bad)?;
    let entry_size = word(head, sizes, 2).ok_or_else(bad)?;
    let entries = word(head, sizes + 2, 2).ok_or_else(bad)?;
    for index in 0..entries {
        let mut entry = [0; 56];
        let at = table.checked_add(index * entry_size).ok_or_else(bad)?;
        let size = file.read_at(&mut entry, at)?;
        let entry = entry.get(..size).unwrap_or_default();
        if word(entry, 0, 4) != Some(u64::from(INTERPRETER)) {
            continue;
        }
        let offset = number(entry, place.0).ok_or_else(bad)?;
        let length = number(entry, place.1).ok_or_else(bad)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= 4096);
        let mut name = vec![0; length.ok_or_else(bad)?];
        file.read_exact_at(&mut name, offset)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        let name = PathBuf::from(OsString::from_vec(name));
        return if name.is_absolute() {
            Ok(Some(name))
        } else {
            Err(bad())
        };
    }
    Ok(None)
}

/// A little-endian number of so many bytes.
fn word(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)),
    )
}

/// The loader and the options every program of the toolchain is started with.
fn words(top: &OwnedFd, interpreter: &Path) -> io::Result<Vec<OsString>> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("its loader {}: {error}", interpreter.display()),
        )
    };
    let loader = File::from(open_in(top, interpreter, OFlags::RDONLY).map_err(named)?);
    let mut content = Vec::new();
    (&loader)
        .take(LARGEST_LOADER)
        .read_to_end(&mut content)
        .map_err(named)?;
    if !contains(&content, b"--argv0") {
        return Err(unsupported(format!(
            "its loader {} cannot start programs under another name (glibc can since 2.33)",
            interpreter.display()
        )));
    }
    let mut words = vec![path_of(&loader)?.into_os_string()];
    // The host's list of libraries must not be used; musl knows neither list nor option.
    if contains(&content, b"--inhibit-cache") {
        words.push("--inhibit-cache".into());
    }
    words.push("--library-path".into());
    words.push(library_path(top)?);
    Ok(words)
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|part| part == needle)
}

/// The folders of the toolchain's libraries, in the order its own loader would look into them.
fn library_path(top: &OwnedFd) -> io::Result<OsString> {
    const USUAL: [&str; 6] = ["lib/@", "usr/lib/@", "lib64", "usr/lib64", "lib", "usr/lib"];
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let mut names: Vec<PathBuf> = Vec::new();
    configured(top, Path::new("etc/ld.so.conf"), &mut names, true);
    names.extend(USUAL.map(|name| name.replace('@', &multiarch).into()));
    let mut folders: Vec<PathBuf> = Vec::new();
    for name in names.into_iter().take(MOST_FOLDERS) {
        if let Ok(folder) = open_in(top, &name, OFlags::PATH | OFlags::DIRECTORY) {
            let path = path_of(&folder)?;
            if !folders.contains(&path) {
                folders.push(path);
            }
        }
    }
    let listed: Vec<&[u8]> = folders
        .iter()
        .map(|folder| folder.as_os_str().as_bytes())
        .collect();
    if listed
        .iter()
        .any(|path| path.iter().any(|byte| b":;,".contains(byte)))
    {
        return Err(unsupported(
            "a library folder has one of : ; , in its name".to_owned(),
        ));
    }
    Ok(OsString::from_vec(listed.join(&b':')))
}

/// The folders a list of the loader names, and those of the lists it includes.
fn configured(top: &OwnedFd, list: &Path, names: &mut Vec<PathBuf>, may_include: bool) {
    let Ok(file) = open_in(top, list, OFlags::RDONLY).map(File::from) else {
        return;
    };
    let mut text = Vec::new();
    if !file.metadata().is_ok_and(|metadata| metadata.is_file())
        || file.take(LARGEST_LIST).read_to_end(&mut text).is_err()
    {
        return;
    }
    for line in text.split(|&byte| byte == b'\n').take(MOST_FOLDERS) {
        let line = line.trim_ascii();
        if line.starts_with(b"/") {
            names.push(OsStr::from_bytes(line).into());
        } else if line.starts_with(b"include") && may_include {
            for list in included(top) {
                configured(top, &list, names, false);
            }
        }
    }
}

/// The lists in the one folder distributions use for them, in order.
fn included(top: &OwnedFd) -> Vec<PathBuf> {
    let folder = Path::new("etc/ld.so.conf.d");
    let listing = open_in(top, folder, OFlags::RDONLY | OFlags::DIRECTORY)
        .and_then(|opened| path_of(&opened))
        .and_then(fs::read_dir);
    let mut lists: Vec<PathBuf> = listing
        .into_iter()
        .flatten()
        .take(MOST_FOLDERS)
        .filter_map(|entry| Some(folder.join(entry.ok()?.file_name())))
        .filter(|list| list.extension() == Some(OsStr::new("conf")))
        .collect();
    lists.sort();
    lists
}

fn unsupported(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// An executable of 64 bits that names this loader.
    fn executable(interpreter: &str) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = 3;
        file[64 + 8] = 120;
        file[64 + 32] = interpreter.len() as u8 + 1;
        file.extend_from_slice(interpreter.as_bytes());
        file.push(0);
        file
    }

    fn put(path: PathBuf, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn toolchain() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        put(root.join("usr/bin/gcc-12"), &executable("/lib64/ld.so"));
        put(root.join("lib64/ld.so"), b"..--argv0..--inhibit-cache..");
        put(
            root.join("etc/ld.so.conf"),
            b"/opt/lib\ninclude /etc/ld.so.conf.d/*.conf\n",
        );
        put(
            root.join("etc/ld.so.conf.d/a.conf"),
            b"# text\n/usr/lib/special\n/nowhere\n",
        );
        for name in ["opt/lib", "usr/lib/special"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        (folder, root)
    }

    #[test]
    fn programs_are_started_by_their_own_loader() {
        let (_folder, root) = toolchain();
        // As if the toolchain were the root.
        symlink("/usr/bin/gcc-12", root.join("usr/bin/gcc")).unwrap();
        let launcher = Launcher::find(&root, Path::new("/usr/bin/gcc")).unwrap();
        let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let path = ["opt/lib", "usr/lib/special", "lib64", "usr/lib"]
            .map(at)
            .join(":");
        let wrapper = launcher.wrapper().unwrap();
        assert_eq!(
            wrapper.to_str().unwrap(),
            format!(
                "{},--inhibit-cache,--library-path,{path}",
                at("lib64/ld.so")
            )
        );
        let command = launcher.command(&["-c".into()]);
        assert_eq!(command.program.to_str().unwrap(), at("lib64/ld.so"));
        let tail = &command.args[command.args.len() - 4..];
        assert_eq!(
            tail,
            ["--argv0", &at("usr/bin/gcc"), &at("usr/bin/gcc-12"), "-c"]
        );
    }

    #[test]
    fn what_needs_no_loader_is_started_as_it_is() {
        let (_folder, root) = toolchain();
        let mut file = executable("/x");
        file[56] = 0;
        put(root.join("usr/bin/as"), &file);
        let launcher = Launcher::find(&root, Path::new("/usr/bin/as")).unwrap();
        assert_eq!(launcher.wrapper(), None);
        let command = launcher.command(&["-v".into()]);
        assert_eq!(
            (command.program, command.args),
            (root.join("usr/bin/as").into(), vec!["-v".into()])
        );
    }

    #[test]
    fn what_would_run_the_hosts_is_refused() {
        let (_folder, root) = toolchain();
        let refused = |name: &str, content: &[u8]| {
            put(root.join("usr/bin").join(name), content);
            Launcher::find(&root, &Path::new("/usr/bin").join(name))
                .unwrap_err()
                .to_string()
        };
        assert!(refused("script", b"#!/bin/sh\n").contains("script"));
        assert!(refused("missing", &executable("/bin/sh")).contains("/bin/sh"));
        put(root.join("lib/old.so"), b"GLIBC");
        assert!(refused("old", &executable("/lib/old.so")).contains("2.33"));
        assert!(!refused("relative", &executable("ld.so")).is_empty());
        assert!(!refused("text", b"hello").is_empty());
        for cut in [5, 20, 63, 70, 119] {
            let mut file = executable("/lib64/ld.so");
            file.truncate(cut);
            put(root.join("usr/bin/cut"), &file);
            // Without its table of parts it counts as one that needs no loader; the kernel refuses it.
            let _ = Launcher::find(&root, Path::new("/usr/bin/cut"));
        }
        assert!(Launcher::find(&root, Path::new("/usr/bin/none")).is_err());
        assert!(Launcher::find(&root, Path::new("/usr")).is_err());
    }

    #[test]
    fn links_out_of_the_toolchain_are_found() {
        let (_folder, root) = toolchain();
        symlink("gcc-12", root.join("usr/bin/cc")).unwrap();
        symlink("../../lib64/ld.so", root.join("usr/bin/ld")).unwrap();
        assert_eq!(link_out_of(&root).unwrap(), None);
        for target in ["/usr/bin/as", "../../../usr/bin/as"] {
            symlink(target, root.join("usr/bin/as")).unwrap();
            assert_eq!(link_out_of(&root).unwrap(), Some(root.join("usr/bin/as")));
            fs::remove_file(root.join("usr/bin/as")).unwrap();
        }
    }
}
