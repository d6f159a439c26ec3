//! Installing, sharing, evicting, restarting and crashing, with small made-up toolchains.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::*;

const PLATFORM: &str = "x86_64";

/// An archive with an assembler and `size` further bytes.
fn archive(size: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, data) in [
        ("usr/bin/as", &b"assembler"[..]),
        ("data", &vec![b'x'; size]),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, data).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o500);
    header.set_size(0);
    tar.append_data(&mut header, "closed/", &b""[..]).unwrap();
    tar.into_inner().unwrap()
}

fn install(store: &Store, name: &str, size: usize) -> Result<Installed, StoreError> {
    let mut install = store.begin_install(PLATFORM, name)?;
    for piece in archive(size).chunks(1000) {
        install.write_all(piece).unwrap();
    }
    install.finish()
}

fn names(store: &Store) -> Vec<String> {
    store.installed().into_iter().map(|one| one.name).collect()
}

/// What lies in `tmp`: nothing, once all is done.
fn unfinished(base: &Path) -> usize {
    fs::read_dir(base.join("tmp")).unwrap().count()
}

fn wait_until_durable(meta: &Path) {
    while !fs::read_to_string(meta).unwrap().contains("durable 1") {
        thread::yield_now();
    }
}

#[test]
fn an_installed_toolchain_can_be_used_and_survives_a_restart() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let installed = install(&store, "tc", 1000).unwrap();
    assert_eq!(installed.size, 1009);
    assert_eq!(store.installed(), std::slice::from_ref(&installed));
    assert_eq!(store.used_bytes(), 1009);
    assert_eq!(unfinished(base.path()), 0);
    {
        let guard = store.acquire(PLATFORM, "tc").unwrap();
        assert_eq!(
            fs::read(guard.root().join("usr/bin/as")).unwrap(),
            b"assembler"
        );
        for name in ["tmp", "dev", "proc", "closed"] {
            assert!(guard.root().join(name).is_dir(), "{name}");
        }
        let mode = fs::metadata(guard.root().join("data"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o222, 0);
        assert!(matches!(
            Store::open(base.path(), 1),
            Err(StoreError::Locked(_))
        ));
    }
    drop(store);
    let again = Store::open(base.path(), 1 << 20).unwrap();
    assert_eq!(again.installed(), [installed]);
    again.acquire(PLATFORM, "tc").unwrap();
    again.remove(PLATFORM, "tc").unwrap();
    assert_eq!(again.installed(), []);
    assert_eq!(unfinished(base.path()), 0);
    assert!(matches!(
        again.acquire(PLATFORM, "tc"),
        Err(StoreError::NotInstalled { .. })
    ));
    assert!(matches!(
        again.remove(PLATFORM, "tc"),
        Err(StoreError::NotInstalled { .. })
    ));
}

#[test]
fn names_that_could_leave_the_store_are_refused() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    for (platform, name) in [
        ("x86_64", ".."),
        ("x86_64", "."),
        ("x86_64", ""),
        ("x86_64", "a/b"),
        ("..", "tc"),
        ("", "tc"),
        ("a b", "tc"),
        ("/tmp", "tc"),
    ] {
        assert!(matches!(
            store.begin_install(platform, name),
            Err(StoreError::BadName { .. })
        ));
        assert!(matches!(
            store.acquire(platform, name),
            Err(StoreError::BadName { .. })
        ));
        assert!(matches!(
            store.remove(platform, name),
            Err(StoreError::BadName { .. })
        ));
    }
    assert!(base.path().join("toolchains").is_dir());
}

#[test]
fn a_bad_archive_leaves_nothing_and_does_not_block_the_next() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let whole = archive(300_000);
    for bytes in [&whole[..whole.len() / 2], b"no archive", b""] {
        let mut install = store.begin_install(PLATFORM, "tc").unwrap();
        install.write_all(bytes).unwrap();
        assert!(matches!(install.finish(), Err(StoreError::Unpack(_))));
        assert_eq!(unfinished(base.path()), 0);
        assert_eq!(names(&store), [""; 0]);
    }
    // Whatever follows a refused start is swallowed.
    let mut wrong = store.begin_install(PLATFORM, "tc").unwrap();
    while !wrong.has_failed() {
        wrong.write_all(&[b'x'; 100_000]).unwrap();
    }
    assert!(wrong.finish().is_err());
    install(&store, "tc", 1).unwrap();
}

#[test]
fn a_transfer_given_up_leaves_nothing() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    for length in [0, 1, 700, 200_000] {
        let mut install = store.begin_install(PLATFORM, "tc").unwrap();
        install.write_all(&archive(300_000)[..length]).unwrap();
        drop(install);
        assert_eq!(unfinished(base.path()), 0);
        assert_eq!(names(&store), [""; 0]);
    }
}

#[test]
fn senders_of_the_same_toolchain_share_one_installation() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let barrier = Barrier::new(8);
    let answers: Vec<Installed> = thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut one = store.begin_install(PLATFORM, "tc").unwrap();
                    barrier.wait();
                    one.write_all(&archive(500_000)).unwrap();
                    one.finish().unwrap()
                })
            })
            .collect();
        senders.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.size == 500_009));
    assert_eq!(store.installed().len(), 1);
    assert_eq!(unfinished(base.path()), 0);

    // Present already: nothing is unpacked, whatever is sent.
    let mut late = store.begin_install(PLATFORM, "tc").unwrap();
    late.write_all(b"garbage").unwrap();
    assert_eq!(unfinished(base.path()), 0);
    assert_eq!(late.finish().unwrap(), answers[0]);
}

#[test]
fn a_second_senders_bytes_are_used_when_the_first_fails() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let begin = || store.begin_install(PLATFORM, "tc").unwrap();
    // Garbage under a name that is no digest, or gone in the middle.
    for first_bytes in [&b"garbage"[..], &archive(300_000)[..150_000]] {
        let (mut first, mut second) = (begin(), begin());
        first.write_all(first_bytes).unwrap();
        second.write_all(&archive(10)).unwrap();
        let waiting = thread::spawn(move || second.finish());
        drop(first);
        assert_eq!(waiting.join().unwrap().unwrap().size, 19);
        assert_eq!(unfinished(base.path()), 0);
        store.remove(PLATFORM, "tc").unwrap();
    }
    // Each hears of its own fault.
    let (mut first, mut second) = (begin(), begin());
    first.write_all(&[b'x'; 600]).unwrap();
    second.write_all(&archive(10)[..600]).unwrap();
    assert!(first.finish().unwrap_err().to_string().contains("damaged"));
    let own = second.finish().unwrap_err().to_string();
    assert!(own.contains("truncated"), "{own}");
    // Many wait: one takes over, the others hear of it.
    let first = begin();
    let later: Vec<_> = (0..6)
        .map(|_| {
            let mut install = begin();
            install.write_all(&archive(10)).unwrap();
            thread::spawn(move || install.finish())
        })
        .collect();
    drop(first);
    for one in later {
        assert_eq!(one.join().unwrap().unwrap().size, 19);
    }
    assert_eq!(unfinished(base.path()), 0);
}

#[test]
fn a_sender_that_is_stuck_is_overtaken_and_harms_nobody() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let key = Key::checked(PLATFORM, "tc").unwrap();
    let mut stuck = store.begin_install(PLATFORM, "tc").unwrap();
    stuck.write_all(&archive(10)).unwrap();
    let arrival = Arc::clone(store.inner.lock().arriving.get(&key).unwrap());
    let claimed = install::take_over(&store.inner, &key, &arrival, &archive(20));
    let kept = claimed.unwrap();
    assert_eq!(kept.installed.size, 29);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let root = store.acquire(PLATFORM, "tc").unwrap();
    let before = inode(root.root());
    // The other one comes to its end after all.
    assert!(stuck.finish().is_ok());
    assert_eq!(inode(root.root()), before, "nothing was replaced");
    assert_eq!(unfinished(base.path()), 0);
    assert_eq!(store.inner.lock().unpacking, 0);
}

#[test]
fn what_was_received_is_kept_until_its_job_comes() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1).unwrap();
    let mut kept = Vec::new();
    for name in ["a", "b", "c"] {
        let mut install = store.begin_install(PLATFORM, name).unwrap();
        install.write_all(&archive(1000)).unwrap();
        kept.push(install.keep().unwrap());
        assert_eq!(store.evict(), []);
    }
    assert_eq!(names(&store), ["a", "b", "c"]);
    drop(kept);
    assert_eq!(store.evict().len(), 2);
    assert_eq!(names(&store), ["c"]);
}

#[test]
fn without_room_for_a_second_senders_bytes_it_hears_of_the_first_ones_failure() {
    let base = tempfile::tempdir().unwrap();
    let limits = Limits {
        unpacked_bytes: 100_000,
        ..Limits::default()
    };
    let store = Store::open_with(base.path(), 1 << 20, limits).unwrap();
    let first = store.begin_install(PLATFORM, "tc").unwrap();
    let mut second = store.begin_install(PLATFORM, "tc").unwrap();
    second.write_all(&archive(100_000)).unwrap();
    let waiting = thread::spawn(move || second.finish());
    drop(first);
    assert!(matches!(
        waiting.join().unwrap(),
        Err(StoreError::Unpack(UnpackError::Aborted))
    ));
    // The room is given back.
    let first = store.begin_install(PLATFORM, "tc").unwrap();
    let mut second = store.begin_install(PLATFORM, "tc").unwrap();
    second.write_all(&archive(50_000)).unwrap();
    drop(first);
    assert_eq!(second.finish().unwrap().size, 50_009);
}

#[test]
fn an_index_that_was_damaged_loses_only_what_was_damaged() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    type Damage = dyn Fn(&Path);
    let damages: [(&str, &Damage); 7] = [
        ("empty", &|meta| fs::write(meta, "").unwrap()),
        ("binary", &|meta| fs::write(meta, [0xff; 4000]).unwrap()),
        ("cut", &|meta| {
            let text = fs::read(meta).unwrap();
            fs::write(meta, &text[..text.len() / 2]).unwrap();
        }),
        ("size", &|meta| {
            let text = fs::read_to_string(meta).unwrap();
            fs::write(meta, text.replace("bytes 10", "bytes 99999999999999999999")).unwrap();
        }),
        ("gone", &|meta| fs::remove_file(meta).unwrap()),
        ("folder", &|meta| {
            fs::remove_file(meta).unwrap();
            fs::create_dir(meta).unwrap();
        }),
        ("link", &|meta| {
            fs::remove_file(meta).unwrap();
            std::os::unix::fs::symlink("meta", meta).unwrap();
        }),
    ];
    install(&store, "whole", 1).unwrap();
    for (name, _) in &damages {
        install(&store, name, 1).unwrap();
    }
    drop(store);
    let platform = base.path().join("toolchains").join(PLATFORM);
    for (name, damage) in &damages {
        damage(&platform.join(name).join("meta"));
    }
    fs::write(base.path().join("toolchains/a file"), "").unwrap();
    fs::write(platform.join("another file"), "").unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    assert_eq!(names(&store), ["whole"]);
    assert_eq!(unfinished(base.path()), 0);
    for (name, _) in &damages {
        install(&store, name, 1).unwrap();
    }
    assert_eq!(store.installed().len(), damages.len() + 1);
}

#[test]
fn transfers_at_once_are_bounded() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    let arriving: Vec<Install> = (0..MAX_ARRIVING)
        .map(|number| {
            store
                .begin_install(PLATFORM, &format!("tc{number}"))
                .unwrap()
        })
        .collect();
    assert!(matches!(
        store.begin_install(PLATFORM, "one-more"),
        Err(StoreError::Busy)
    ));
    drop(arriving);
    install(&store, "one-more", 1).unwrap();
}

#[test]
fn the_least_recently_used_goes_first_and_what_is_used_stays() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 2500).unwrap();
    for name in ["a", "b", "c"] {
        install(&store, name, 1000).unwrap();
    }
    drop(store.acquire(PLATFORM, "a").unwrap());
    let gone: Vec<String> = store.evict().into_iter().map(|one| one.name).collect();
    assert_eq!(gone, ["b"]);
    assert_eq!(names(&store), ["a", "c"]);
    assert_eq!(store.evict(), []);

    let in_use = store.acquire(PLATFORM, "c").unwrap();
    install(&store, "d", 1000).unwrap();
    install(&store, "e", 1000).unwrap();
    let gone: Vec<String> = store.evict().into_iter().map(|one| one.name).collect();
    assert_eq!(gone, ["a", "d"]);
    assert!(in_use.root().join("usr/bin/as").is_file());
    assert!(matches!(
        store.remove(PLATFORM, "c"),
        Err(StoreError::InUse { .. })
    ));
    drop(in_use);
    store.remove(PLATFORM, "c").unwrap();
    assert_eq!(names(&store), ["e"]);
    assert_eq!(unfinished(base.path()), 0);
}

#[test]
fn a_retired_one_works_until_it_is_purged_and_a_use_brings_it_back() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 2500).unwrap();
    for name in ["a", "b", "c", "d"] {
        install(&store, name, 1000).unwrap();
    }
    let long = Duration::from_secs(3600);
    let retired: Vec<String> = store.retire().into_iter().map(|one| one.name).collect();
    assert_eq!(retired, ["a", "b"]);
    assert_eq!(names(&store), ["c", "d"]);
    assert_eq!(store.purge(long), []);
    // A job that was on its way.
    drop(store.acquire(PLATFORM, "a").unwrap());
    assert_eq!(names(&store), ["a", "c", "d"]);
    let purged: Vec<String> = store
        .purge(Duration::ZERO)
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(purged, ["b"]);
    assert_eq!(store.retire().len(), 1, "c, for a was used since");
    let running = store.acquire(PLATFORM, "c").unwrap();
    assert_eq!(store.purge(Duration::ZERO), []);
    assert!(running.root().exists());
    drop(running);
    // Sent again, nothing is unpacked anew.
    store.retire();
    let mut again = store.begin_install(PLATFORM, "a").unwrap();
    again.write_all(b"garbage").unwrap();
    assert_eq!(again.finish().unwrap().size, 1009);
}

#[test]
fn one_toolchain_over_the_limit_is_kept() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 10).unwrap();
    install(&store, "big", 1000).unwrap();
    assert_eq!(store.evict(), []);
    install(&store, "bigger", 2000).unwrap();
    assert_eq!(store.evict().len(), 1);
    assert_eq!(names(&store), ["bigger"]);
}

#[test]
fn order_of_use_survives_a_restart() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 2500).unwrap();
    for name in ["a", "b", "c"] {
        install(&store, name, 1000).unwrap();
        // Times of files are as coarse as the kernel's clock tick; give each a time of its own.
        let meta = base
            .path()
            .join("toolchains/x86_64")
            .join(name)
            .join("meta");
        let age = match name {
            "a" => 10,
            "b" => 30,
            _ => 20,
        };
        let time = std::time::SystemTime::now() - Duration::from_secs(age);
        File::open(meta).unwrap().set_modified(time).unwrap();
    }
    drop(store);
    let store = Store::open(base.path(), 2500).unwrap();
    assert_eq!(store.evict()[0].name, "b");
}

#[test]
fn what_a_crash_left_is_cleared_at_the_next_start() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    install(&store, "good", 10).unwrap();
    install(&store, "no-assembler", 10).unwrap();
    install(&store, "no-meta", 10).unwrap();
    install(&store, "other-boot", 10).unwrap();
    drop(store);
    let toolchains = base.path().join("toolchains/x86_64");
    let bin = toolchains.join("no-assembler/root/usr/bin");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(bin.join("as")).unwrap();
    fs::remove_file(toolchains.join("no-meta/meta")).unwrap();
    // Not known to have reached the disk when the power failed. The mark may come late, so it is waited for.
    let meta = toolchains.join("other-boot/meta");
    wait_until_durable(&meta);
    let text = "gelato toolchain 1\ndurable 0\nboot another\nbytes 19\nentries 9\n";
    fs::write(&meta, text).unwrap();
    let half = base.path().join("tmp/arriving-7/root/closed");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("x"), "x").unwrap();
    fs::set_permissions(&half, fs::Permissions::from_mode(0o500)).unwrap();
    fs::create_dir_all(base.path().join("toolchains/.odd name/x")).unwrap();

    let store = Store::open(base.path(), 1 << 20).unwrap();
    assert_eq!(names(&store), ["good"]);
    assert_eq!(unfinished(base.path()), 0);
    assert_eq!(fs::read_dir(&toolchains).unwrap().count(), 1);
    install(&store, "no-meta", 10).unwrap();
}

#[test]
fn a_damaged_toolchain_is_noticed_and_can_be_sent_again() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 1 << 20).unwrap();
    install(&store, "tc", 10).unwrap();
    let damage = || {
        let bin = base.path().join("toolchains/x86_64/tc/root/usr/bin");
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(bin.join("as")).unwrap();
    };
    damage();
    assert!(matches!(
        store.acquire(PLATFORM, "tc"),
        Err(StoreError::Damaged { .. })
    ));
    assert_eq!(store.installed(), []);
    install(&store, "tc", 10).unwrap();
    damage();
    // Nobody asked for it since; sending it again repairs it.
    install(&store, "tc", 10).unwrap();
    store.acquire(PLATFORM, "tc").unwrap();
}

#[test]
fn using_evicting_and_installing_at_once_never_takes_a_toolchain_from_its_user() {
    let base = tempfile::tempdir().unwrap();
    let store = Store::open(base.path(), 3000).unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..20 {
                    let name = format!("tc{}", (worker + round) % 5);
                    install(&store, &name, 1000).unwrap();
                    if let Ok(guard) = store.acquire(PLATFORM, &name) {
                        store.evict();
                        assert!(guard.root().join("usr/bin/as").is_file());
                    }
                }
            });
        }
    });
    store.evict();
    assert!(store.used_bytes() <= 3000);
    assert_eq!(unfinished(base.path()), 0);
}

#[test]
fn a_toolchain_in_use_is_not_replaced_by_a_sender_who_comes_as_another_ends() {
    let data = archive(10);
    for _ in 0..50 {
        let base = tempfile::tempdir().unwrap();
        let store = Store::open(base.path(), 1 << 20).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let mut install = store.begin_install(PLATFORM, "tc").unwrap();
                        install.write_all(&data).unwrap();
                        install.finish().unwrap();
                        let guard = store.acquire(PLATFORM, "tc").unwrap();
                        let program = guard.root().join("usr/bin/as");
                        let before = fs::metadata(&program).unwrap().ino();
                        thread::yield_now();
                        assert_eq!(fs::metadata(&program).unwrap().ino(), before);
                    }
                });
            }
        });
    }
}
