//! What a cluster left behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::host::Host;
use crate::proc;

/// Lists processes of the cluster that still run, mounts below its folder, and files in its hosts' temporary folders.
pub(crate) fn find(marker: &str, folder: &Path, hosts: &[&Host]) -> Vec<String> {
    let mut found: Vec<String> = proc::belonging_to(marker, folder)
        .iter()
        .map(|id| format!("process left: {}", id.describe()))
        .collect();
    found.extend(
        mounts_below(folder)
            .into_iter()
            .map(|mount| format!("mount left: {mount}")),
    );
    for host in hosts {
        found.extend(
            files_in(&host.folder.join("tmp"))
                .into_iter()
                .map(|file| format!("file left: {file}")),
        );
    }
    found
}

/// Mount points below `folder` in this mount namespace.
fn mounts_below(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| Path::new(point).starts_with(folder))
        .map(str::to_owned)
        .collect()
}

/// Files in a temporary folder. The wrappers' folders of lock files, kept on purpose for the next one, do not count as
/// long as every file in them is empty.
fn files_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !is_lock_folder(path))
        .map(|path| path.display().to_string())
        .collect()
}

fn is_lock_folder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = [".icecream-", ".gelato-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    named
        && fs::read_dir(path).is_ok_and(|files| {
            files.flatten().all(|file| {
                file.metadata()
                    .is_ok_and(|meta| meta.is_file() && meta.len() == 0)
            })
        })
}

/// Gives the owner all rights to all folders below `folder`, so that an ordinary user can remove them.
pub(crate) fn make_removable(folder: &Path) {
    let Ok(meta) = fs::symlink_metadata(folder) else {
        return;
    };
    if !meta.is_dir() {
        return;
    }
    if meta.permissions().mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        make_removable(&entry.path());
    }
}
