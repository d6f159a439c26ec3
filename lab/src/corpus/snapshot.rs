//! Everything in a folder at one moment: names, kinds, modes, contents.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::report::Difference;
use super::table::Case;
use super::table::Rule;

/// What may differ.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave<'a> {
    /// What these rules say.
    pub rules: &'a [Rule],
}

impl<'a> Leave<'a> {
    /// What a case lets differ.
    pub fn of(case: &'a Case) -> Leave<'a> {
        Leave { rules: &case.rules }
    }
}

/// A folder's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    /// Number of names in the folder; 1 for folders.
    names: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    File(Vec<u8>),
    Link(PathBuf),
    Folder,
    Other,
}

impl Snapshot {
    /// The state of `folder` now.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn of(folder: &Path) -> Result<Snapshot> {
        let mut entries: BTreeMap<PathBuf, Entry> = BTreeMap::new();
        let mut files: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next)? {
                let path = entry?.path();
                let metadata =
                    fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
                let kind = if metadata.is_dir() {
                    folders.push(path.clone());
                    Kind::Folder
                } else if metadata.is_symlink() {
                    Kind::Link(fs::read_link(&path)?)
                } else if metadata.is_file() {
                    Kind::File(fs::read(&path)?)
                } else {
                    Kind::Other
                };
                let name = path.strip_prefix(folder)?.to_owned();
                if !metadata.is_dir() {
                    let file = (metadata.dev(), metadata.ino());
                    files.entry(file).or_default().push(name.clone());
                }
                let entry = Entry {
                    names: 1,
                    mode: metadata.mode() & 0o7777,
                    kind,
                };
                entries.insert(name, entry);
            }
        }
        for twins in files.values().filter(|names| names.len() > 1) {
            for name in twins {
                if let Some(entry) = entries.get_mut(name) {
                    entry.names = twins.len();
                }
            }
        }
        Ok(Snapshot { entries })
    }

    /// What is different in `ours`.
    pub fn differences(&self, ours: &Snapshot, leave: Leave<'_>) -> Vec<Difference> {
        let mut found = Vec::new();
        for (path, local) in &self.entries {
            match ours.entries.get(path) {
                None => found.push(Difference::Lost(path.clone())),
                Some(ours) => {
                    if !same(&local.kind, &ours.kind, leave) {
                        found.push(Difference::Content(path.clone()));
                    } else if local.mode != ours.mode || local.names != ours.names {
                        found.push(Difference::Attributes {
                            path: path.clone(),
                            local: format!("{:o} with {} names", local.mode, local.names),
                            ours: format!("{:o} with {} names", ours.mode, ours.names),
                        });
                    }
                }
            }
        }
        let additional = ours
            .entries
            .keys()
            .filter(|path| !self.entries.contains_key(*path));
        found.extend(additional.map(|path| Difference::Additional(path.clone())));
        found
    }
}

fn same(local: &Kind, ours: &Kind, leave: Leave<'_>) -> bool {
    match (local, ours) {
        (Kind::File(local), Kind::File(ours)) => {
            local == ours
                || Rule::apply_all(leave.rules, local) == Rule::apply_all(leave.rules, ours)
        }
        _ => local == ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn every_kind_of_difference_shows() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            for name in ["same", "content", "mode", "twin", "link"] {
                fs::write(folder.path().join(name), "text").unwrap();
            }
            fs::create_dir(folder.path().join("folder")).unwrap();
        }
        let at = |name: &str| two.path().join(name);
        fs::write(one.path().join("lost"), "").unwrap();
        fs::write(at("folder/more"), "").unwrap();
        fs::write(at("content"), "other").unwrap();
        fs::set_permissions(at("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(at("link")).unwrap();
        symlink("same", at("link")).unwrap();
        let before = Snapshot::of(one.path()).unwrap();
        let after = Snapshot::of(two.path()).unwrap();
        assert!(before.differences(&before, Leave::default()).is_empty());
        let found = format!("{:?}", before.differences(&after, Leave::default()));
        for part in [
            "Lost(\"lost\")",
            "Additional(\"folder/more\")",
            "Content(\"content\")",
            "Content(\"link\")",
            "path: \"mode\"",
        ] {
            assert!(found.contains(part), "{part} in {found}");
        }
        assert!(!found.contains("same") && !found.contains("twin"));
    }
}
