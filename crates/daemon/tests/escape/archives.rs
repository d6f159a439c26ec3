//! Hostile archives, sent to a daemon as toolchains. Each holds a whole toolchain and one thing that is wrong.
//!
//! Whether an archive is refused or made harmless is the daemon's choice; either way nothing of it may be seen outside of the store,
//! and nothing in the store that no toolchain needs. Those that write outside are shown to do so with GNU tar, told to trust them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use gelato_sandbox::identity;
use gelato_wire::Message;

use super::attack::{Findings, Target};
use super::world::World;
use crate::fixture::{send_toolchain, verify};

/// What the daemon does with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Refused with a reason that says this.
    Refused(&'static str),
    /// Installed without what was wrong with it.
    Harmless,
}

/// One archive.
pub(crate) struct Archive {
    pub(crate) what: &'static str,
    pub(crate) fate: Fate,
    make: fn(&World) -> Vec<u8>,
    /// Whether a reader that trusts it does harm that can be seen; root may be needed.
    harms: Harm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Not that it could be shown.
    Unseen,
    Anybodys,
    Roots,
}

const TAKEN: &str = "drop/archives";

#[rustfmt::skip]
pub(crate) const ARCHIVES: &[Archive] = &[
    Archive { what: "a name with `..` that leads out", fate: Fate::Refused(".."), harms: Harm::Anybodys, make: |world| with(world, &[file(&climb(&outside(world)), b"x")]) },
    Archive { what: "an absolute name", fate: Fate::Harmless, harms: Harm::Anybodys, make: |world| with(world, &[file(&outside(world), b"x")]) },
    Archive { what: "a file below a symbolic link that leads out", fate: Fate::Harmless, harms: Harm::Anybodys, make: |world| with(world, &[link(b'2', "usr/lib", &taken(world)), file("usr/lib/x", b"x")]) },
    Archive { what: "… that climbs", fate: Fate::Refused("link"), harms: Harm::Anybodys, make: |world| with(world, &[link(b'2', "usr/lib", &climb(&taken(world))), file("usr/lib/x", b"x")]) },
    Archive { what: "… by way of a second link", fate: Fate::Harmless, harms: Harm::Anybodys, make: |world| with(world, &[link(b'2', "usr/a", &taken(world)), link(b'2', "usr/b", "a"), file("usr/b/x", b"x")]) },
    Archive { what: "a folder that becomes a link that leads out", fate: Fate::Refused(""), harms: Harm::Anybodys, make: |world| with(world, &[folder("usr/lib/"), link(b'2', "usr/lib", &taken(world)), file("usr/lib/x", b"x")]) },
    Archive { what: "a hard link to a file of the host", fate: Fate::Refused("link"), harms: Harm::Anybodys, make: |world| with(world, &[link(b'1', "usr/hard", &world.secret())]) },
    Archive { what: "… that climbs", fate: Fate::Refused(".."), harms: Harm::Anybodys, make: |world| with(world, &[link(b'1', "usr/hard", &climb(&world.secret()))]) },
    Archive { what: "a hard link to a symbolic link that leads out, and a file over it", fate: Fate::Harmless, harms: Harm::Unseen, make: |world| with(world, &[link(b'2', "usr/soft", &outside(world)), link(b'1', "usr/hard", "usr/soft"), file("usr/hard", b"x")]) },
    Archive { what: "a character device", fate: Fate::Refused("device"), harms: Harm::Roots, make: |world| with(world, &[entry("usr/mem", b'3', "", 0o666, b"")]) },
    Archive { what: "a block device", fate: Fate::Refused("device"), harms: Harm::Roots, make: |world| with(world, &[entry("usr/disk", b'4', "", 0o666, b"")]) },
    Archive { what: "a named pipe", fate: Fate::Refused("fifo"), harms: Harm::Anybodys, make: |world| with(world, &[entry("usr/pipe", b'6', "", 0o666, b"")]) },
    Archive { what: "an entry of no known kind", fate: Fate::Refused("kind"), harms: Harm::Unseen, make: |world| with(world, &[entry("usr/socket", b'Z', "", 0o666, b"")]) },
    Archive { what: "programs that run as root or its group (set-user-id, set-group-id)", fate: Fate::Refused("another user"), harms: Harm::Anybodys, make: |world| with(world, &[entry("usr/bin/sudo", b'0', "", 0o6755, b"#!")]) },
    Archive { what: "a program with capabilities", fate: Fate::Harmless, harms: Harm::Unseen, make: |world| with(world, &[pax("SCHILY.xattr.security.capability", "\u{1}\u{0}\u{0}\u{2}\u{7f}\u{7f}\u{7f}\u{7f}\u{0}\u{0}\u{0}\u{0}\u{7f}\u{7f}\u{7f}\u{7f}\u{0}\u{0}\u{0}\u{0}"), file("usr/bin/capable", b"x")]) },
    Archive { what: "a folder that anybody may write to", fate: Fate::Harmless, harms: Harm::Unseen, make: |world| with(world, &[entry("usr/open/", b'5', "", 0o777, b"")]) },
    Archive { what: "the place of the jobs' folder as a link that leads out", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| with(world, &[link(b'2', "tmp", &taken(world))]) },
    Archive { what: "the same name twice", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| with(world, &[file("usr/bin/gcc", b"another")]) },
    Archive { what: "a file in place of a folder", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| with(world, &[file("usr/bin", b"x")]) },
    Archive { what: "a name of 100 000 bytes", fate: Fate::Refused("too large"), harms: Harm::Unseen, make: |world| with(world, &[entry("././@LongLink", b'L', "", 0o644, &[b'n'; 100_000]), file("short", b"x")]) },
    Archive { what: "a name of 2 000 folders", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| with(world, &[entry("././@LongLink", b'L', "", 0o644, "d/".repeat(2000).as_bytes()), file("short", b"x")]) },
    Archive { what: "two sizes for one file", fate: Fate::Refused("size"), harms: Harm::Unseen, make: |world| with(world, &[pax("size", "9999999"), file("usr/file", b"x")]) },
    Archive { what: "a file that claims to be larger than any disk", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| with(world, &[sized("usr/file", 0o7_777_777_777, b"x")]) },
    Archive { what: "130 MB of zeros in a few kilobytes", fate: Fate::Refused("too large"), harms: Harm::Unseen, make: |_| packed(&file("usr/zeros", &vec![0; 130 << 20])) },
    Archive { what: "an end in the middle of a file", fate: Fate::Refused("truncated"), harms: Harm::Unseen, make: |world| { let mut all = with(world, &[]); all.truncate(100_000); all } },
    Archive { what: "compressed data that is damaged", fate: Fate::Refused(""), harms: Harm::Unseen, make: |world| { let mut all = packed(&with(world, &[])); let middle = all.len() / 2; all[middle..middle + 64].fill(0x55); all } },
    Archive { what: "no archive at all", fate: Fate::Refused(""), harms: Harm::Unseen, make: |_| vec![0x7f; 1 << 20] },
    Archive { what: "nothing", fate: Fate::Refused(""), harms: Harm::Unseen, make: |_| Vec::new() },
];

fn taken(world: &World) -> String {
    world.bait.text(TAKEN)
}

fn outside(world: &World) -> String {
    format!("{}/x", taken(world))
}

/// The same place, from anywhere.
fn climb(path: &str) -> String {
    format!("{}{}", "../".repeat(12).trim_end_matches('/'), path)
}

/// A toolchain and these entries after it.
fn with(world: &World, entries: &[Vec<u8>]) -> Vec<u8> {
    let program = fs::read(world.bait.hostile()).expect("program");
    let programs = ["usr/bin/gcc", "usr/bin/as", "bin/true"]
        .map(|name| entry(name, b'0', "", 0o755, &program));
    let mut all = programs.concat();
    for entry in entries {
        all.extend_from_slice(entry);
    }
    all.resize(all.len() + 1024, 0);
    all
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, b'0', "", 0o644, content)
}

fn folder(name: &str) -> Vec<u8> {
    entry(name, b'5', "", 0o755, b"")
}

fn link(kind: u8, name: &str, target: &str) -> Vec<u8> {
    entry(name, kind, target, 0o777, b"")
}

/// An extended header for the entry after it.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..)
        .find(|length| length - rest == length.to_string().len())
        .expect("fits");
    entry(
        "extended",
        b'x',
        "",
        0o644,
        format!("{length} {key}={value}\n").as_bytes(),
    )
}

fn entry(name: &str, kind: u8, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    header(name, kind, link, mode, content.len() as u64, content)
}

/// Claims another size than it has.
fn sized(name: &str, size: u64, content: &[u8]) -> Vec<u8> {
    header(name, b'0', "", 0o644, size, content)
}

/// One entry of a tar archive, whatever is in it.
fn header(name: &str, kind: u8, link: &str, mode: u32, size: u64, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(
        100,
        format!(
            "{mode:07o}\0{:07o}\0{:07o}\0{size:011o}\0{:011o}\0        ",
            0, 0, 0
        )
        .as_bytes(),
    );
    put(156, &[kind]);
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, b"0000001\x000000003\0");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .args(["-6", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).expect("gzip reads"));
        child.wait_with_output().expect("gzip").stdout
    })
}

/// Sends all to one daemon.
pub(crate) async fn confined(target: &mut Target, world: &World) -> Findings {
    prepare(world);
    let mut findings = Findings::new();
    let store = target.node.folder.join("base");
    for (number, archive) in ARCHIVES.iter().enumerate() {
        let is_large = archive.fate == Fate::Refused("too large");
        if is_large && identity::is_root() {
            // Takes seconds and does not depend on who unpacks.
            continue;
        }
        let bytes = (archive.make)(world);
        let name = format!("archive-{number}");
        let mut submitter = target.node.submitter().await;
        send_toolchain(&mut submitter, &name, &bytes).await;
        submitter.send(&Message::End).await.unwrap();
        let installed = verify(&mut submitter, &name).await;
        let mut reason = String::new();
        if !installed
            && let Ok(Message::StatusText(status)) = submitter
                .receive(Some(crate::fixture::SHORT), "a reason")
                .await
        {
            reason = status.text.to_string();
        }
        let as_told = match archive.fate {
            Fate::Refused(because) => !installed && reason.contains(because),
            Fate::Harmless => installed,
        };
        if !as_told {
            findings.push(format!(
                "{}: installed {installed}, reason {reason:?}",
                archive.what
            ));
        }
        if let Some(harm) = harm(world, &store) {
            findings.push(format!("{}: {harm}", archive.what));
        }
        if std::env::var_os("GELATO_ESCAPE_SHOW").is_some() {
            println!("{}: {installed} {reason}", archive.what);
        }
    }
    let left = fs::read_dir(store.join("tmp")).map_or(0, Iterator::count);
    if left != 0 {
        findings.push(format!("{left} half-made toolchains are left"));
    }
    // None of this was any trouble to those who come after.
    let archive = world.bait.archive();
    target.install("honest", &archive).await;
    findings
}

fn prepare(world: &World) {
    let folder = world.bait.path(TAKEN);
    let _ = fs::create_dir(&folder);
    let _ = super::bait::mode(&folder, 0o777);
    empty(&folder);
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).expect("open folder").flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

/// What an archive did that it should not: outside, or below `root`.
fn harm(world: &World, root: &Path) -> Option<String> {
    let taken = world.bait.path(TAKEN);
    if fs::read_dir(&taken).expect("open folder").count() > 0 {
        empty(&taken);
        return Some("there is a file on the host".to_owned());
    }
    let secret = fs::metadata(world.secret()).expect("secret");
    if secret.nlink() > 1 {
        return Some("the secret has a second name".to_owned());
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, about) = (entry.path(), entry.metadata().expect("entry"));
            let kind = about.file_type();
            if kind.is_block_device() || kind.is_char_device() || kind.is_fifo() {
                return Some(format!("{} is no file", path.display()));
            }
            if about.is_file() && about.permissions().mode() & 0o7022 != 0 {
                return Some(format!("{} has mode {:o}", path.display(), about.mode()));
            }
            let mut value = [0; 64];
            if about.is_file()
                && rustix::fs::getxattr(&path, c"security.capability", &mut value[..]).is_ok()
            {
                return Some(format!("{} has capabilities", path.display()));
            }
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    None
}

/// What a reader that trusts archives makes of them.
pub(crate) fn unconfined(world: &World) -> Findings {
    prepare(world);
    let mut findings = Findings::new();
    for archive in ARCHIVES {
        if archive.harms == Harm::Unseen || (archive.harms == Harm::Roots && !identity::is_root()) {
            continue;
        }
        let folder = tempfile::tempdir_in(world.bait.path("drop")).expect("folder");
        let mut tar = Command::new("tar")
            .args(["-xPpf", "-", "-C"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tar");
        let written = tar
            .stdin
            .take()
            .expect("piped")
            .write_all(&(archive.make)(world));
        tar.wait().expect("tar");
        if written.is_err() || harm(world, folder.path()).is_none() {
            findings.push(format!(
                "{} does no harm although nothing stops it",
                archive.what
            ));
        }
    }
    findings
}
