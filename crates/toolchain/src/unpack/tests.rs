//! One hostile archive per rule, built by hand; then truncation everywhere and random damage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tar::{EntryType, Header};

use super::*;
use crate::Compression;
use crate::compression::Encoder;

/// A tar archive written header by header, so that it may say anything.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// With what every toolchain needs.
    fn new() -> Self {
        Self::default().program("usr/bin/as", b"assembler")
    }

    fn entry(self, kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> Self {
        self.sized_entry(kind, name, link, mode, data.len() as u64, data)
    }

    fn sized_entry(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        mode: u32,
        size: u64,
        data: &[u8],
    ) -> Self {
        let mut header = Header::new_gnu();
        {
            let old = header.as_old_mut();
            old.name[..name.len()].copy_from_slice(name.as_bytes());
            old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, data)
    }

    fn program(self, name: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, name, "", 0o755, data)
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, name, "", mode, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    fn pax(self, records: &str) -> Self {
        self.entry(EntryType::XHeader, "pax", "", 0o644, records.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// A folder to unpack into, with something beside it that must stay as it is.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("outside"), "untouched").unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_with(archive, Limits::default())
    }

    fn unpack_with(&self, archive: &[u8], limits: Limits) -> Result<Unpacked, UnpackError> {
        self.unpack_named(archive, None, limits)
    }

    fn unpack_named(
        &self,
        archive: &[u8],
        name: Option<&str>,
        limits: Limits,
    ) -> Result<Unpacked, UnpackError> {
        let result = unpack(archive, name, &self.root(), limits);
        assert_eq!(
            fs::read_to_string(self.folder.path().join("outside")).unwrap(),
            "untouched"
        );
        let beside = fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(beside, 2, "something appeared beside the root");
        result
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove_tree(&self.root()).unwrap();
        assert!(!self.root().exists());
    }
}

fn refusal(archive: Tar) -> String {
    match Place::new().unpack(&archive.end()) {
        Err(UnpackError::Refused { why, .. }) => why.to_owned(),
        other => panic!("not refused: {other:?}"),
    }
}

fn compress(data: &[u8], compression: Compression) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut encoder = Encoder::new(compression, File::create(&path).unwrap()).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap();
    fs::read(path).unwrap()
}

#[test]
fn a_plain_toolchain_is_unpacked_in_every_compression() {
    let archive = Tar::new()
        .program("./usr/bin/gcc", b"compiler")
        .file("/etc/absolute", b"inside")
        .directory("lib/", 0o500)
        .symlink("lib64", "lib")
        .file("lib64/libc.so", b"library")
        .end();
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Zstd,
        Compression::Xz,
    ] {
        let place = Place::new();
        let unpacked = place.unpack(&compress(&archive, compression)).unwrap();
        assert_eq!(unpacked.bytes, 9 + 8 + 6 + 7, "{compression:?}");
        let read = |name: &str| fs::read_to_string(place.root().join(name)).unwrap();
        assert_eq!(read("usr/bin/gcc"), "compiler");
        assert_eq!(read("etc/absolute"), "inside");
        assert_eq!(read("lib/libc.so"), "library");
        assert_eq!(read("lib64/libc.so"), "library");
        let mode = |name: &str| fs::metadata(place.root().join(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("usr/bin/gcc"), 0o555);
        assert_eq!(mode("etc/absolute"), 0o444);
        assert_eq!(mode("usr/bin"), 0o555);
        assert_eq!(mode(""), 0o555);
        assert_eq!(mode("tmp"), 0o755);
        assert_eq!(mode("dev"), 0o555);
        assert_eq!(mode("proc"), 0o555);
    }
}

#[test]
fn names_that_climb_are_refused() {
    for name in ["../x", "a/../../x", "/../x", "a/..", ".."] {
        assert!(
            refusal(Tar::new().file(name, b"x")).contains(".."),
            "{name}"
        );
    }
    assert!(refusal(Tar::new().directory("../d", 0o755)).contains(".."));
    assert!(refusal(Tar::new().hard_link("h", "../outside")).contains(".."));
}

#[test]
fn links_that_lead_outside_are_refused() {
    for (name, target) in [
        ("l", "../outside"),
        ("l", ".."),
        ("a/l", "../../outside"),
        ("a/l", "b/../../../outside"),
        ("l", "/../outside"),
    ] {
        assert!(
            refusal(Tar::new().symlink(name, target)).contains("outside"),
            "{name}"
        );
    }
    // Harmless by its text, outside by where the other link leads.
    let by_detour = Tar::new()
        .symlink("deep/er/up", "../..")
        .symlink("x", "deep/er/up/../outside");
    assert!(refusal(by_detour).contains("outside"));
    let backwards = Tar::new()
        .symlink("x", "deep/er/up/../outside")
        .symlink("deep/er/up", "../..");
    assert!(refusal(backwards).contains("outside"));
}

#[test]
fn writing_through_a_link_stays_inside() {
    assert!(refusal(Tar::new().symlink("l", "..").file("l/outside", b"bad")).contains("outside"));
    let place = Place::new();
    let absolute = format!("{}", place.folder.path().display());
    // An absolute target means the toolchain's root.
    let archive = Tar::new()
        .symlink("l", "/elsewhere")
        .file("l/outside", b"kept inside")
        .symlink("bin/cc", "/usr/bin/as")
        .symlink(
            "host",
            if absolute.len() < 100 {
                &absolute
            } else {
                "/tmp"
            },
        );
    place.unpack(&archive.end()).unwrap();
    let root = place.root();
    assert_eq!(
        fs::read_to_string(root.join("elsewhere/outside")).unwrap(),
        "kept inside"
    );
    // Seen from outside of a chroot too.
    assert_eq!(
        fs::read_to_string(root.join("bin/cc")).unwrap(),
        "assembler"
    );
    assert!(fs::metadata(root.join("host")).is_err());
}

#[test]
fn a_link_is_replaced_not_followed_by_a_file_of_its_name() {
    let place = Place::new();
    let archive = Tar::new()
        .file("target", b"old")
        .symlink("l", "target")
        .file("l", b"new")
        .file("target", b"newer");
    let unpacked = place.unpack(&archive.end()).unwrap();
    assert_eq!(fs::read_to_string(place.root().join("l")).unwrap(), "new");
    assert_eq!(
        fs::read_to_string(place.root().join("target")).unwrap(),
        "newer"
    );
    assert_eq!(unpacked.bytes, 9 + 3 + 5);
}

#[test]
fn hard_links_join_files_of_the_archive_only() {
    let place = Place::new();
    let archive = Tar::new()
        .program("bin/a", b"a")
        .hard_link("bin/b", "/bin/a");
    place.unpack(&archive.end()).unwrap();
    assert_eq!(fs::read_to_string(place.root().join("bin/b")).unwrap(), "a");
    for target in ["missing", "usr", "h", "../outside", "/etc/passwd"] {
        refusal(Tar::new().hard_link("h", target));
    }
    let through = Tar::new().symlink("l", "/etc").hard_link("h", "l/passwd");
    refusal(through);
}

#[test]
fn links_in_circles_are_refused() {
    assert!(refusal(Tar::new().symlink("l", "l")).contains("circles"));
    assert!(refusal(Tar::new().symlink("a", "b").symlink("b", "a")).contains("circles"));
    assert!(refusal(Tar::new().symlink("a", "a/x").file("a/y", b"")).contains("circles"));
}

#[test]
fn devices_and_the_like_are_refused() {
    for (kind, word) in [
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "fifo"),
        (EntryType::GNUSparse, "kind"),
        (EntryType::new(b'V'), "kind"),
        (EntryType::new(b'Z'), "kind"),
    ] {
        let why = refusal(Tar::new().entry(kind, "dev/x", "", 0o666, b""));
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn programs_of_other_users_are_refused() {
    for mode in [0o4755, 0o2755, 0o6000] {
        let why = refusal(Tar::new().entry(EntryType::Regular, "su", "", mode, b"x"));
        assert!(why.contains("another user"), "{why}");
    }
}

#[test]
fn other_mode_bits_are_dropped() {
    let place = Place::new();
    let archive = Tar::new()
        .entry(EntryType::Regular, "secret", "", 0, b"x")
        .directory("sticky", 0o7777)
        .directory("closed", 0)
        .file("closed/x", b"x");
    place.unpack(&archive.end()).unwrap();
    let mode = |name: &str| fs::metadata(place.root().join(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("secret"), 0o444);
    assert_eq!(mode("sticky"), 0o555);
    assert_eq!(mode("closed"), 0o555);
}

#[test]
fn contradictions_are_refused() {
    refusal(Tar::new().file("a", b"").file("a/b", b""));
    refusal(Tar::new().file("a/b", b"").file("a", b""));
    refusal(Tar::new().file("a/b", b"").symlink("a", "c"));
    refusal(Tar::new().file("a", b"").directory("a", 0o755));
    refusal(Tar::new().file("tmp", b""));
    refusal(Tar::new().symlink("proc", "/usr"));
    refusal(Tar::new().symlink("l", ""));
    refusal(Tar::new().entry(EntryType::Directory, "d", "", 0o755, b"content"));
    refusal(Tar::new().entry(EntryType::Symlink, "l", "x", 0o777, b"content"));
}

#[test]
fn without_an_assembler_it_is_no_toolchain() {
    for archive in [
        Tar::default().file("usr/bin/as", b"not executable"),
        Tar::default().directory("usr/bin/as", 0o755),
        Tar::default().symlink("usr/bin/as", "missing"),
        Tar::default(),
    ] {
        let result = Place::new().unpack(&archive.end());
        assert!(
            matches!(result, Err(UnpackError::NotAToolchain(_))),
            "{result:?}"
        );
    }
    let linked = Tar::default()
        .program("usr/bin/x86_64-linux-gnu-as", b"as")
        .symlink("usr/bin/as", "x86_64-linux-gnu-as");
    Place::new().unpack(&linked.end()).unwrap();
}

#[test]
fn long_names_of_both_dialects_are_understood() {
    let name = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let place = Place::new();
    let mut gnu = name.clone().into_bytes();
    gnu.push(0);
    let record = |key: &str, value: &str| {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        format!("{length} {key}={value}\n")
    };
    let archive = Tar::new()
        .entry(EntryType::GNULongName, "././@LongLink", "", 0, &gnu)
        .file("cut", b"gnu")
        .pax(
            &(record("mtime", "1.5")
                + &record("path", &(name.clone() + "2"))
                + &record("size", "3")),
        )
        .file("cut", b"pax")
        .pax(&record("linkpath", &name))
        .symlink("link", "cut");
    place.unpack(&archive.end()).unwrap();
    let read = |name: &str| fs::read_to_string(place.root().join(name)).unwrap();
    assert_eq!(read(&name), "gnu");
    assert_eq!(read(&(name + "2")), "pax");
    assert_eq!(read("link"), "gnu");
}

#[test]
fn extended_headers_cannot_lie() {
    let place = Place::new();
    let smuggled = Tar::new().pax("12 size=100\n").file("x", b"x");
    assert!(place.unpack(&smuggled.end()).is_err());
    for records in [
        "",
        "x",
        "5 a=b",
        "999 path=x\n",
        "0 a=b\n",
        "6 ab\n\n\n",
        "11 size=-1\n",
        "4 a\n",
    ] {
        let place = Place::new();
        let result = place.unpack(&Tar::new().pax(records).file("x", b"x").end());
        assert_eq!(result.is_ok(), records.is_empty(), "{records:?} {result:?}");
    }
    let climbing = Tar::new().pax("13 path=../x\n").file("x", b"x");
    assert!(refusal(climbing).contains(".."));
    let global = Tar::new().entry(EntryType::XGlobalHeader, "g", "", 0, b"10 path=x\n");
    assert!(Place::new().unpack(&global.end()).is_err());
    let comment = Tar::new().entry(EntryType::XGlobalHeader, "g", "", 0, b"13 comment=x\n");
    Place::new().unpack(&comment.end()).unwrap();
}

#[test]
fn limits_hold() {
    let small = Limits {
        unpacked_bytes: 20_000,
        entries: 10,
        path_bytes: 50,
        names_bytes: 200,
        depth: 5,
        ratio: 20,
        ratio_floor: 8_000,
    };
    let too_large = |archive: &[u8]| {
        let result = Place::new().unpack_with(archive, small);
        assert!(
            matches!(result, Err(UnpackError::TooLarge { .. })),
            "{result:?}"
        );
    };
    Place::new().unpack_with(&Tar::new().end(), small).unwrap();
    too_large(&Tar::new().file("x", &[1; 21_000]).end());
    too_large(
        &Tar::new()
            .sized_entry(EntryType::Regular, "x", "", 0, 1 << 40, &[1; 21_000])
            .end(),
    );
    let long = "x".repeat(45);
    too_large(
        &(0..5)
            .fold(Tar::new(), |tar, number| {
                tar.file(&format!("{long}{number}"), b"x")
            })
            .end(),
    );
    too_large(
        &(0..5)
            .fold(Tar::new(), |tar, number| {
                tar.symlink(&format!("l{number}"), &long)
            })
            .end(),
    );
    let many = (0..10).fold(Tar::new(), |tar, number| {
        tar.file(&format!("f{number}"), b"")
    });
    too_large(&many.end());
    too_large(&Tar::new().file("a/b/c/d/e/f", b"").end());
    too_large(&Tar::new().directory("a/b/c/d/e/f", 0o755).end());
    let implied = Tar::new()
        .file("1/1/1/1", b"")
        .file("2/2/2/2", b"")
        .file("3/3/3/3", b"");
    too_large(&implied.end());
    too_large(&Tar::new().file(&"x".repeat(60), b"").end());
    too_large(&Tar::new().symlink("l", &"x/".repeat(30)).end());
    let zeros = Tar::new().file("zeros", &[0; 15_000]).end();
    Place::new().unpack_with(&zeros, small).unwrap();
    too_large(&compress(&zeros, Compression::Gzip));
    too_large(&compress(&zeros, Compression::Xz));
    let mut endless = Tar::new().end();
    endless.resize(30_000, 0);
    too_large(&endless);
    let long = Tar::new().sized_entry(EntryType::GNULongName, "l", "", 0, 1 << 30, b"x");
    let result = Place::new().unpack(&long.end());
    assert!(
        matches!(result, Err(UnpackError::TooLarge { .. })),
        "{result:?}"
    );
}

#[test]
fn mazes_of_links_cost_a_bounded_effort() {
    // Each link goes through the one before it many times.
    let mut maze = Tar::new().directory("d", 0o755).symlink("l0", "d");
    for number in 1..30 {
        let step = format!("l{}/../", number - 1).repeat(12);
        maze = maze.symlink(&format!("l{number}"), &format!("{step}d"));
    }
    let result = Place::new().unpack(&maze.end());
    assert!(
        matches!(result, Err(UnpackError::Refused { .. })),
        "{result:?}"
    );
}

#[test]
fn every_truncation_is_an_error() {
    let plain = Tar::new()
        .program("usr/bin/gcc", &[7; 1500])
        .symlink("l", "usr")
        .file("x", b"x")
        .end();
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Zstd,
        Compression::Xz,
    ] {
        let whole = compress(&plain, compression);
        // After a plain archive's first end mark nothing is missing.
        let needed = if compression == Compression::None {
            whole.len() - 512
        } else {
            whole.len()
        };
        // All of the first header and of small archives; block borders and what surrounds them in the rest.
        let lengths = (0..needed)
            .filter(|length| *length < 600 || [0, 1, 2, 300, 511].contains(&(length % 512)));
        for length in lengths {
            let result = Place::new().unpack(&whole[..length]);
            assert!(
                matches!(
                    result,
                    Err(UnpackError::Truncated(_) | UnpackError::Damaged(_))
                ),
                "{compression:?} {length}: {result:?}"
            );
        }
    }
}

#[test]
fn random_damage_is_survived() {
    let plain = Tar::new()
        .program(
            "usr/bin/gcc",
            &(0..=255).cycle().take(3000).collect::<Vec<u8>>(),
        )
        .symlink("a/l", "../usr")
        .hard_link("usr/bin/cc", "usr/bin/gcc")
        .pax("12 mtime=100\n")
        .file("x", b"x")
        .end();
    let mut seed: u64 = 0x2545_f491_4f6c_dd1d;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut outcomes = BTreeMap::new();
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Zstd,
        Compression::Xz,
    ] {
        let whole = compress(&plain, compression);
        for _ in 0..60 {
            let mut damaged = whole.clone();
            for _ in 0..=next(4) {
                let at = next(damaged.len());
                damaged[at] = u8::try_from(next(256)).unwrap();
            }
            let result = Place::new().unpack(&damaged);
            *outcomes.entry(result.is_ok()).or_insert(0) += 1;
        }
    }
    assert!(outcomes[&false] > 50, "{outcomes:?}");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    for bytes in [
        &b"hello"[..],
        &[b'x'; 2000],
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"BZh9",
        &[0xff; 512],
    ] {
        let result = Place::new().unpack(bytes);
        assert!(
            matches!(
                result,
                Err(UnpackError::Truncated(_) | UnpackError::Damaged(_))
            ),
            "{result:?}"
        );
    }
    let empty = Place::new().unpack(b"").unwrap_err().to_string();
    assert!(empty.contains("empty"), "{empty}");
}

#[test]
fn names_are_shown_without_control_characters() {
    let error = Place::new()
        .unpack(&Tar::new().file("../\x1b[31m\n", b"").end())
        .unwrap_err();
    assert!(!error.to_string().contains('\x1b'), "{error}");
}

#[test]
fn trees_of_any_mode_and_depth_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let mut deep = tree.clone();
    for _ in 0..300 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(tree.join("file"), "x").unwrap();
    std::os::unix::fs::symlink("/", tree.join("link")).unwrap();
    let mut part = deep.clone();
    while part.starts_with(&tree) {
        fs::set_permissions(&part, fs::Permissions::from_mode(0o100)).unwrap();
        part.pop();
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    remove_tree(&tree).unwrap();
}

#[test]
fn a_tree_deeper_than_any_path_can_be_removed() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let open = |parent: &dyn std::os::fd::AsFd, name: &Path| {
        openat(parent.as_fd(), name, OFlags::DIRECTORY, Mode::empty()).unwrap()
    };
    let name = "d".repeat(200);
    let mut at = open(&CWD, &tree);
    for _ in 0..100 {
        for name in [name.as_str(), "moved-1", "moved-2"] {
            mkdirat(&at, name, Mode::RWXU).unwrap();
        }
        let below = open(&at, name.as_ref());
        fs::write(format!("/proc/self/fd/{}/file", below.as_raw_fd()), "x").unwrap();
        rustix::fs::fchmod(&at, Mode::empty()).unwrap();
        at = below;
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn only_the_link_is_removed_not_what_it_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "x").unwrap();
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&kept, &link).unwrap();
    remove_tree(&link).unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("below")).unwrap();
    std::os::unix::fs::symlink(&kept, tree.join("below/link")).unwrap();
    remove_tree(&tree).unwrap();
    assert!(!link.exists() && !tree.exists() && kept.join("file").exists());
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode(), mode);
}

#[test]
fn t12_a_name_that_says_its_content_must_be_true() {
    let named = |archive: Tar, name: &str| {
        Place::new().unpack_named(&archive.end(), Some(name), Limits::default())
    };
    let tar = || Tar::new().program("usr/bin/as", b"as").file("etc/x", b"x");
    let wrong = format!("gelato-{}", "0".repeat(40));
    let error = named(tar(), &wrong).unwrap_err().to_string();
    let name = error.rsplit_once("the content of ").unwrap().1;
    let name = name.split(';').next().unwrap();
    named(tar(), name).unwrap();
    // Neither the order nor folders count.
    let other = Tar::new().directory("usr/", 0o755).file("./etc/x", b"x");
    named(other.program("/usr/bin/as", b"as"), name).unwrap();
    for (archive, why) in [
        (tar().file("etc/y", b""), "content"),
        (tar().file("etc/x", b"X"), "content"),
        (tar().symlink("etc/y", "x"), "links"),
    ] {
        let error = named(archive, name).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    // Icecream's names and people's say nothing we could verify.
    for name in ["0123456789abcdef0123456789abcdef", "gelato-arm", "arm"] {
        named(tar(), name).unwrap();
    }
}
