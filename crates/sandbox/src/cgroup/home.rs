//! Where a daemon's job groups live: found once, prepared while the daemon still is root, given to the user it becomes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::find::{self, Hierarchies, Hierarchy};
use super::group::{Branch, Group, kill_all, write};
use super::{Controller, Kind};
use crate::identity;
use crate::job::{Identity, Limits};

/// The folder that holds the homes of all daemons of a machine, where root made them.
const FOLDER: &str = "gelato";

/// Groups of jobs. In a delegated subtree they lie beside what others may have made.
const JOB: &str = "gelato-job-";

/// The daemon's own group in version 2, where only leaves may hold processes.
const DAEMON: &str = "gelato-daemon";

/// A fifth of what everything else gets when processors are scarce: version 1 counts from 1024, version 2 from 100.
const CPU_SHARES: u32 = 205;
const CPU_WEIGHT: u32 = 20;

/// How many names are tried for a home, in case daemons of several PID namespaces share a hierarchy.
const MOST_HOMES: u32 = 64;

/// Where groups for jobs are made. Clones share it; the last one to go removes what can be removed.
#[derive(Debug, Clone)]
pub struct Home(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    /// One folder for version 2, one for each hierarchy of version 1.
    branches: Vec<Branch>,
    /// Whether the folders themselves are ours to remove.
    made: bool,
    /// Tell those that clean up that we live: one for each folder.
    _locks: Vec<File>,
    next: AtomicU64,
}

impl Home {
    /// Looks for control groups this process may use, or makes them if it is root: then they will belong to `owner`, whom the process is going
    /// to become. Removes what daemons that crashed left behind. The error is a sentence with what to do about it.
    ///
    /// With version 2 the whole process moves to a leaf of its own.
    pub fn find(owner: Option<Identity>) -> Result<Home, String> {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let found = find::hierarchies(&read("cgroup"), &read("mountinfo"));
        Home::within(found, owner)
    }

    /// A folder of version 2 that somebody else prepared, with whatever controllers it has. Nothing is moved or switched on.
    pub fn prepared(folder: &Path) -> Home {
        let branch = Branch {
            path: folder.to_owned(),
            controllers: enabled_in(folder),
        };
        Home::new(Kind::V2, vec![branch], Vec::new())
    }

    /// Which control groups.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Makes the group of a job.
    pub(crate) fn group(&self, limits: &Limits) -> io::Result<Group> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{JOB}{}-{number}", process::id());
        Group::make(self.0.kind, &self.0.branches, &name, limits)
    }

    fn within(found: Hierarchies, owner: Option<Identity>) -> Result<Home, String> {
        let mut why = Vec::new();
        if let Some(hierarchy) = &found.v2
            && controllers_of(&hierarchy.own).contains(&Controller::Memory)
        {
            match v2(hierarchy, owner) {
                Ok(home) => return Ok(home),
                Err(error) => why.push(format!("{}: {error}", hierarchy.own.display())),
            }
        }
        if let Some(memory) = found
            .v1
            .iter()
            .find(|hierarchy| hierarchy.controllers.contains(&Controller::Memory))
        {
            match v1(&found.v1, owner) {
                Ok(home) => return Ok(home),
                Err(error) => why.push(format!("{}: {error}", memory.own.display())),
            }
        }
        Err(if why.is_empty() {
            "no control groups: there is no memory controller here; memory and processes of jobs are watched instead".to_owned()
        } else {
            format!(
                "no control groups: {}; memory and processes of jobs are watched instead (start the daemon as root, or as a service with \
                 Delegate=yes)",
                why.join("; ")
            )
        })
    }
}

/// Version 2: a subtree that is ours alone, or a new one if we are root and stand at the very top.
fn v2(hierarchy: &Hierarchy, owner: Option<Identity>) -> io::Result<Home> {
    if hierarchy.own == hierarchy.mount || hierarchy.own.parent().is_none() {
        let folder = hierarchy.own.join(FOLDER);
        enable(&hierarchy.own);
        let (path, lock) = new_home(&folder, owner)?;
        enable(&folder);
        let home = settle(&path, vec![lock], owner);
        if home.is_err() {
            let _ = fs::remove_dir(&path);
        }
        return home;
    }
    // Groups of a daemon that crashed; nobody else uses the name in a group that only we are in.
    for entry in fs::read_dir(&hierarchy.own)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(JOB) {
            kill_all(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
    settle(&hierarchy.own, Vec::new(), owner)
}

/// Moves this process to a leaf of `home` and lets the other children of `home` be limited.
fn settle(home: &Path, locks: Vec<File>, owner: Option<Identity>) -> io::Result<Home> {
    let leaf = home.join(DAEMON);
    make_folder(&leaf)?;
    let procs = "cgroup.procs";
    write(&leaf, procs, process::id())?;
    let missing = enable(home);
    let usable = !missing.contains(&Controller::Memory);
    if !usable {
        // Others are in this group, or it was not meant for us.
        let _ = write(home, procs, process::id());
        let _ = fs::remove_dir(&leaf);
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the group is not ours alone, or its memory controller is not delegated",
        ));
    }
    let _ = write(home, "cpu.weight", CPU_WEIGHT);
    if let Some(Identity { uid, gid }) = owner {
        for path in [home, &leaf] {
            chown(path, Some(uid), Some(gid))?;
            chown(path.join(procs), Some(uid), Some(gid))?;
        }
        chown(home.join("cgroup.subtree_control"), Some(uid), Some(gid))?;
    }
    let controllers = Controller::ALL
        .into_iter()
        .filter(|controller| !missing.contains(controller))
        .collect();
    Ok(Home::new(
        Kind::V2,
        vec![Branch {
            path: home.to_owned(),
            controllers,
        }],
        locks,
    ))
}

/// Version 1: a folder in the hierarchy of each controller.
fn v1(hierarchies: &[Hierarchy], owner: Option<Identity>) -> io::Result<Home> {
    let mut branches: Vec<Branch> = Vec::new();
    let mut locks = Vec::new();
    let mut usable: Vec<&Hierarchy> = hierarchies.iter().collect();
    // The one that cannot be done without comes first.
    usable.sort_by_key(|hierarchy| !hierarchy.controllers.contains(&Controller::Memory));
    for hierarchy in usable {
        let folder = hierarchy.own.join(FOLDER);
        let made = match (&branches[..], new_home(&folder, owner)) {
            (_, Ok((path, file))) => {
                locks.push(file);
                path
            }
            ([], Err(error)) => return Err(error),
            (_, Err(_)) => continue,
        };
        if hierarchy.controllers.contains(&Controller::Cpu) {
            let _ = write(&folder, "cpu.shares", CPU_SHARES);
        }
        branches.push(Branch {
            path: made,
            controllers: hierarchy.controllers.clone(),
        });
    }
    Ok(Home::new(Kind::V1, branches, locks))
}

/// Makes a home in `folder`, which is made if necessary, and removes homes there whose daemon is gone. The file is a lock to be held.
fn new_home(folder: &Path, owner: Option<Identity>) -> io::Result<(PathBuf, File)> {
    make_folder(folder)?;
    give(folder, owner)?;
    remove_abandoned(folder);
    for number in 0..MOST_HOMES {
        let path = folder.join(format!("{}-{number}", process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            result => result?,
        }
        let Ok(file) = File::open(&path) else {
            // Somebody else's cleaning came in between.
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() || !is_at(&file, &path) {
            continue;
        }
        give(&path, owner)?;
        return Ok((path, file));
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Homes nobody holds the lock of, with the groups in them.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_dir())
            || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            continue;
        }
        for group in fs::read_dir(&path).into_iter().flatten().flatten() {
            if group.file_type().is_ok_and(|kind| kind.is_dir()) {
                kill_all(&group.path());
                let _ = fs::remove_dir(group.path());
            }
        }
        let _ = fs::remove_dir(&path);
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn give(path: &Path, owner: Option<Identity>) -> io::Result<()> {
    match owner {
        Some(Identity { uid, gid }) if identity::is_root() => chown(path, Some(uid), Some(gid)),
        _ => Ok(()),
    }
}

/// Lets children of this group be limited; gives the controllers that cannot be had.
fn enable(folder: &Path) -> Vec<Controller> {
    let mut missing = Vec::new();
    for controller in Controller::ALL {
        let word = format!("+{}", controller.name());
        if write(folder, "cgroup.subtree_control", word).is_err() {
            missing.push(controller);
        }
    }
    missing
}

fn controllers_of(folder: &Path) -> Vec<Controller> {
    listed_in(folder, "cgroup.controllers")
}

/// What children of this group are limited by.
fn enabled_in(folder: &Path) -> Vec<Controller> {
    listed_in(folder, "cgroup.subtree_control")
}

fn listed_in(folder: &Path, file: &str) -> Vec<Controller> {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    Controller::listed(text.split_ascii_whitespace())
}

impl Home {
    fn new(kind: Kind, branches: Vec<Branch>, locks: Vec<File>) -> Home {
        Home(Arc::new(Inner {
            kind,
            branches,
            made: !locks.is_empty(),
            _locks: locks,
            next: AtomicU64::new(0),
        }))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.made {
            // In version 2 we are in it ourselves; the next daemon removes it then.
            for branch in &self.branches {
                let _ = fs::remove_dir(&branch.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path, name: &str, text: &str) {
        fs::write(path.join(name), text).unwrap();
    }

    fn hierarchy(own: &Path, mount: &Path, controllers: &[Controller]) -> Hierarchy {
        Hierarchy {
            controllers: controllers.to_vec(),
            mount: mount.to_owned(),
            own: own.to_owned(),
        }
    }

    /// A delegated group of version 2 as systemd makes it, in ordinary files.
    fn delegated() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        let unit = top.path().join("unit");
        for folder in [unit.clone(), unit.join(DAEMON)] {
            fs::create_dir(&folder).unwrap();
            file(&folder, "cgroup.procs", "");
        }
        file(&unit, "cgroup.controllers", "cpu memory pids\n");
        file(&unit, "cgroup.subtree_control", "");
        file(&unit, "cpu.weight", "100\n");
        top
    }

    #[test]
    fn a_delegated_group_is_settled_in() {
        let top = delegated();
        let unit = top.path().join("unit");
        fs::create_dir(unit.join("gelato-job-1-1")).unwrap();
        let found = Hierarchies {
            v2: Some(hierarchy(&unit, top.path(), &[])),
            v1: Vec::new(),
        };
        let home = Home::within(found, None).unwrap();
        assert_eq!(home.kind(), Kind::V2);
        let read = |name: &str| fs::read_to_string(unit.join(name)).unwrap();
        assert_eq!(
            read("gelato-daemon/cgroup.procs"),
            process::id().to_string()
        );
        assert!(read("cgroup.subtree_control").starts_with('+'));
        assert!(read("cpu.weight").starts_with("20"));
        assert!(!unit.join("gelato-job-1-1").exists(), "of a crashed daemon");
        let group = home.group(&Limits::default()).unwrap();
        let name = format!("gelato-job-{}-0", process::id());
        assert!(unit.join(&name).is_dir());
        drop(group);
        assert!(!unit.join(&name).exists());
    }

    #[test]
    fn a_group_that_is_not_ours_alone_is_left_as_it_was() {
        let top = delegated();
        let unit = top.path().join("unit");
        fs::remove_file(unit.join("cgroup.subtree_control")).unwrap();
        let found = Hierarchies {
            v2: Some(hierarchy(&unit, top.path(), &[])),
            v1: Vec::new(),
        };
        let error = Home::within(found, None).unwrap_err();
        assert!(error.contains("Delegate=yes"), "{error}");
        assert_eq!(
            fs::read_to_string(unit.join("cgroup.procs")).unwrap(),
            process::id().to_string()
        );
    }

    #[test]
    fn homes_of_version_1_go_with_their_daemon() {
        let top = tempfile::tempdir().unwrap();
        let places = ["memory", "pids", "cpu"].map(|name| top.path().join(name));
        for place in &places {
            fs::create_dir(place).unwrap();
        }
        let abandoned = places[0].join("gelato/1-0");
        fs::create_dir_all(abandoned.join("gelato-job-1-1")).unwrap();
        let found = Hierarchies {
            v2: None,
            v1: vec![
                hierarchy(&places[1], top.path(), &[Controller::Pids]),
                hierarchy(&places[0], top.path(), &[Controller::Memory]),
                hierarchy(&places[2], top.path(), &[Controller::Cpu]),
            ],
        };
        let home = Home::within(found, None).unwrap();
        assert_eq!(home.kind(), Kind::V1);
        assert!(!abandoned.exists());
        let folder = |place: &Path| fs::read_dir(place.join("gelato")).unwrap().count();
        assert!(places.iter().all(|place| folder(place) == 1));
        // A second daemon of the same machine leaves it alone.
        for place in &places {
            remove_abandoned(&place.join("gelato"));
            assert_eq!(folder(place), 1);
        }
        drop(home);
        assert!(places.iter().all(|place| folder(place) == 0));
    }

    #[test]
    fn without_any_hierarchy_there_is_a_reason() {
        let error = Home::within(Hierarchies::default(), None).unwrap_err();
        assert!(error.contains("no memory controller"), "{error}");
    }
}
