//! With a compiler of this machine, and one made of a script, whose changes the cache must notice.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::thread;

use super::*;

fn gcc() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/gcc");
    if !path.exists() {
        eprintln!("skipped: {} is not installed", path.display());
        return None;
    }
    Some(path)
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Tells whether an archive was written anew.
fn identity(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn an_archive_is_made_once_and_found_again_after_a_restart() {
    let Some(gcc) = gcc() else { return };
    let base = tempfile::tempdir().unwrap();
    let natives = Natives::open(base.path(), 1 << 40).unwrap();
    let ask = |natives: &Natives, compiler: &Path| {
        natives
            .archive_for(compiler, &[], Compression::None)
            .unwrap()
    };
    let barrier = Barrier::new(4);
    let paths: Vec<(PathBuf, u64)> = thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let path = ask(&natives, &gcc);
                    let identity = identity(&path);
                    (path, identity)
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|one| *one == paths[0]));
    let (path, made) = paths[0].clone();
    assert!(path.starts_with(base.path().join("native")));
    assert_eq!(natives.used_bytes(), fs::metadata(&path).unwrap().len());

    let again = Natives::open(base.path(), 1 << 40).unwrap();
    assert_eq!(ask(&again, &gcc), path);
    assert_eq!(ask(&again, Path::new("/usr/bin/g++")), path);
    assert_eq!(identity(&path), made);

    fs::remove_file(&path).unwrap();
    assert_eq!(ask(&again, &gcc), path);
    fs::write(&path, "torn").unwrap();
    assert_eq!(ask(&again, &gcc), path);
    assert!(fs::metadata(&path).unwrap().len() > 4);
}

#[test]
fn whatever_changes_makes_a_new_archive() {
    let Some(gcc) = gcc() else { return };
    let base = tempfile::tempdir().unwrap();
    let natives = Natives::open(base.path(), 1 << 40).unwrap();
    let compiler = base.path().join("gcc");
    script(
        &compiler,
        &format!("#!/bin/sh\nexec {} \"$@\"\n", gcc.display()),
    );
    let extra = base.path().join("list");
    fs::write(&extra, "one").unwrap();
    let ask = || {
        let extra = [extra.clone()];
        natives
            .archive_for(&compiler, &extra, Compression::None)
            .unwrap()
    };
    let first = ask();
    assert_eq!(ask(), first);
    fs::write(&extra, "two").unwrap();
    let second = ask();
    assert_ne!(second, first);
    assert!(first.exists(), "somebody may be about to read it");
    let made = identity(&second);
    // The script leads elsewhere, to the same compiler; its archive is made again all the same.
    let other = base.path().join("other");
    std::os::unix::fs::symlink(&gcc, &other).unwrap();
    fs::remove_file(&compiler).unwrap();
    std::os::unix::fs::symlink(&other, &compiler).unwrap();
    assert_eq!(ask(), second);
    assert_ne!(identity(&second), made);
}

#[test]
fn failures_are_remembered_until_something_changes() {
    let base = tempfile::tempdir().unwrap();
    let natives = Natives::open(base.path(), 1 << 40).unwrap();
    let compiler = base.path().join("gcc");
    let count = base.path().join("count");
    script(
        &compiler,
        &format!("#!/bin/sh\necho >> {}\n", count.display()),
    );
    let ask = || {
        natives
            .archive_for(&compiler, &[], Compression::None)
            .unwrap_err()
    };
    let runs = || fs::read(&count).unwrap().len();
    assert!(matches!(ask(), NativeError::Create(_)));
    let once = runs();
    assert!(matches!(ask(), NativeError::FailedBefore { .. }));
    assert_eq!(runs(), once);
    script(
        &compiler,
        &format!("#!/bin/sh\necho >> {}; exit 1\n", count.display()),
    );
    assert!(matches!(ask(), NativeError::Create(_)));
    assert!(runs() > once);
    let missing = natives.archive_for(Path::new("/no/gcc"), &[], Compression::None);
    assert!(missing.unwrap_err().to_string().contains("/no/gcc"));
}

#[test]
fn old_archives_go_when_there_are_too_many_or_nobody_wants_them() {
    let Some(gcc) = gcc() else { return };
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("native");
    let natives = Natives::open(base.path(), 1).unwrap();
    let list = base.path().join("list");
    fs::write(&list, "x").unwrap();
    let plain = natives.archive_for(&gcc, &[], Compression::None).unwrap();
    let stale = folder.join("0123.tar.gz");
    fs::write(&stale, "x").unwrap();
    let other = folder.join("note");
    fs::write(&other, "x").unwrap();
    let long_ago = SystemTime::now() - 2 * SETTLED;
    for path in [&plain, &stale, &other] {
        File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let new = natives
        .archive_for(&gcc, &[list], Compression::None)
        .unwrap();
    assert!(new.exists());
    assert!(!plain.exists() && !stale.exists());
    assert!(other.exists());
}
