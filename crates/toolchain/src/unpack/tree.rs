//! Where each entry goes, and writing it there.
//!
//! All decisions are taken on a picture of the tree in memory. While files are written the folder on disk holds no
//! symbolic link at all: links are kept in the picture, entries below them go to where they lead, and only at the end,
//! when each has been shown to stay inside, are they made. So no name can pass through a link to the outside. Absolute
//! targets mean the root of the toolchain and are written as relative ones, so that they lead to the same place
//! whether or not the reader sits in a chroot.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::entries::{Entries, Entry, Kind};
use super::{Limits, UnpackError, Unpacked};
use crate::content::{Content, FileDigest, FileDigester};

/// As many links as the kernel follows for one name.
const MAX_HOPS: u32 = 40;
/// Name components looked at while following links, over the whole archive: a few dozen for each of the most entries.
const FOLLOW_BUDGET: u64 = 20_000_000;
/// Folders a sandbox mounts over, or a compiler writes to.
const MOUNT_POINTS: [&str; 3] = ["tmp", "dev", "proc"];

pub(super) struct Tree {
    root: PathBuf,
    limits: Limits,
    /// By name relative to the root, without `.`, `..` and double slashes. The root itself is not in it.
    nodes: HashMap<Vec<u8>, Node>,
    bytes: u64,
    names_bytes: u64,
    steps: u64,
    /// Whether the content of files is digested.
    digests: bool,
}

#[derive(Clone)]
enum Node {
    Directory,
    File {
        size: u64,
        executable: bool,
        digest: Option<FileDigest>,
    },
    Link(Vec<u8>),
}

impl Tree {
    pub(super) fn new(root: &Path, limits: Limits, digests: bool) -> Self {
        Self {
            root: root.to_owned(),
            limits,
            nodes: HashMap::new(),
            bytes: 0,
            names_bytes: 0,
            steps: 0,
            digests,
        }
    }

    pub(super) fn add(
        &mut self,
        entry: &Entry,
        content: &mut Entries<'_>,
    ) -> Result<(), UnpackError> {
        let components = self.components(&entry.path)?;
        if let Kind::Directory = entry.kind {
            let place = self.follow(&entry.path, &components)?;
            return self.make_directories(&entry.path, &place);
        }
        let Some((name, parents)) = components.split_last() else {
            return Err(UnpackError::refused(
                &entry.path,
                "it would replace the root",
            ));
        };
        let mut place = self.follow(&entry.path, parents)?;
        self.make_directories(&entry.path, &place)?;
        push(&mut place, name);
        self.check_depth(&place)?;
        match &entry.kind {
            Kind::Directory => Ok(()),
            Kind::File { size, executable } => {
                self.clear(&entry.path, &place)?;
                let digest = self.write_file(&place, *executable, content)?;
                self.bytes = self.bytes.saturating_add(*size);
                let node = Node::File {
                    size: *size,
                    executable: *executable,
                    digest,
                };
                self.keep(place, node)
            }
            Kind::Symlink(target) => {
                if target.contains(&0) {
                    return Err(UnpackError::refused(
                        &entry.path,
                        "its target has a NUL byte",
                    ));
                }
                self.clear(&entry.path, &place)?;
                self.keep(place, Node::Link(target.clone()))
            }
            Kind::HardLink(target) => self.hard_link(&entry.path, place, target),
        }
    }

    /// Whether what was unpacked is what a name says.
    pub(super) fn require_content(&self, name: &str) -> Result<(), UnpackError> {
        let other = |found: String| UnpackError::OtherContent {
            name: name.to_owned(),
            found,
        };
        let mut content = Content::default();
        for (place, node) in &self.nodes {
            match node {
                Node::Directory => {}
                Node::File {
                    executable,
                    digest: Some(digest),
                    ..
                } => content.add(&[b"/", place.as_slice()].concat(), *digest, *executable),
                Node::File { .. } | Node::Link(_) => {
                    return Err(other(
                        "holds links, which archives of that name never do".into(),
                    ));
                }
            }
        }
        let found = content.name();
        if found == name {
            Ok(())
        } else {
            Err(other(format!("has the content of {found}")))
        }
    }

    /// Makes the links and mount points, and takes the right to write away.
    pub(super) fn finish(mut self) -> Result<Unpacked, UnpackError> {
        self.require_executable("usr/bin/as")?;
        for name in MOUNT_POINTS {
            match self.nodes.get(name.as_bytes()) {
                Some(Node::Directory) => {}
                None => self.make_directories(name.as_bytes(), name.as_bytes())?,
                Some(_) => {
                    return Err(UnpackError::refused(
                        name.as_bytes(),
                        "this name must be a directory",
                    ));
                }
            }
        }
        self.make_links()?;
        for (place, node) in &self.nodes {
            if let Node::Directory = node {
                let mode = if place == b"tmp" { 0o755 } else { 0o555 };
                set_mode(&self.on_disk(place), mode)?;
            }
        }
        set_mode(&self.root, 0o555)?;
        Ok(Unpacked {
            bytes: self.bytes,
            entries: self.nodes.len() as u64,
        })
    }

    fn require_executable(&mut self, name: &'static str) -> Result<(), UnpackError> {
        let components = self.components(name.as_bytes())?;
        let place = self.follow(name.as_bytes(), &components)?;
        match self.nodes.get(&place) {
            Some(Node::File {
                executable: true, ..
            }) => Ok(()),
            _ => Err(UnpackError::NotAToolchain(name)),
        }
    }

    fn make_links(&mut self) -> Result<(), UnpackError> {
        let links: Vec<(Vec<u8>, Vec<u8>)> = self
            .nodes
            .iter()
            .filter_map(|(place, node)| match node {
                Node::Link(target) => Some((place.clone(), target.clone())),
                _ => None,
            })
            .collect();
        for (place, target) in links {
            let components: Vec<&[u8]> = place.split(|&byte| byte == b'/').collect();
            self.follow(&place, &components)?;
            let path = self.on_disk(&place);
            let text = match target.strip_prefix(b"/") {
                Some(inside) => relative_from(components.len() - 1, inside),
                None => target,
            };
            symlink(std::ffi::OsStr::from_bytes(&text), &path)
                .map_err(|error| UnpackError::io(&path, error))?;
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        entry: &[u8],
        place: Vec<u8>,
        target: &[u8],
    ) -> Result<(), UnpackError> {
        let components = self.components(target)?;
        let Some((name, parents)) = components.split_last() else {
            return Err(UnpackError::refused(entry, "it is a hard link to the root"));
        };
        let mut source = self.follow(entry, parents)?;
        push(&mut source, name);
        if source == place {
            return Err(UnpackError::refused(entry, "it is a hard link to itself"));
        }
        let node = match self.nodes.get(&source) {
            Some(file @ Node::File { .. }) => file.clone(),
            Some(Node::Link(target)) if parents_of(&source) == parents_of(&place) => {
                Node::Link(target.clone())
            }
            _ => {
                return Err(UnpackError::refused(
                    entry,
                    "it is a hard link to something that is no file of this archive",
                ));
            }
        };
        self.clear(entry, &place)?;
        if let Node::File { .. } = node {
            let path = self.on_disk(&place);
            fs::hard_link(self.on_disk(&source), &path)
                .map_err(|error| UnpackError::io(&path, error))?;
        }
        self.keep(place, node)
    }

    /// Adds to the picture. What earlier entries of the same name took up counts as well.
    fn keep(&mut self, place: Vec<u8>, node: Node) -> Result<(), UnpackError> {
        let target = match &node {
            Node::Link(target) => target.len(),
            _ => 0,
        };
        self.names_bytes += (place.len() + target) as u64;
        let limit = self.limits.names_bytes;
        if self.names_bytes > limit {
            let unit = "bytes in all names together";
            return Err(UnpackError::TooLarge { limit, unit });
        }
        self.nodes.insert(place, node);
        Ok(())
    }

    /// Removes what an earlier entry of the same name left, unless it is a directory.
    fn clear(&mut self, entry: &[u8], place: &[u8]) -> Result<(), UnpackError> {
        match self.nodes.get(place) {
            None => return Ok(()),
            Some(Node::Directory) => {
                return Err(UnpackError::refused(entry, "it would replace a directory"));
            }
            Some(Node::Link(_)) => {}
            Some(Node::File { size, .. }) => {
                self.bytes = self.bytes.saturating_sub(*size);
                let path = self.on_disk(place);
                fs::remove_file(&path).map_err(|error| UnpackError::io(&path, error))?;
            }
        }
        self.nodes.remove(place);
        Ok(())
    }

    fn write_file(
        &self,
        place: &[u8],
        executable: bool,
        content: &mut Entries<'_>,
    ) -> Result<Option<FileDigest>, UnpackError> {
        let mut digester = self.digests.then(FileDigester::default);
        let path = self.on_disk(place);
        let failed = |error| UnpackError::io(&path, error);
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            let data = buffer.get(..count).unwrap_or_default();
            file.write_all(data).map_err(failed)?;
            if let Some(digester) = &mut digester {
                digester.update(data);
            }
        }
        let mode = if executable { 0o555 } else { 0o444 };
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(failed)?;
        Ok(digester.map(FileDigester::finish))
    }

    fn make_directories(&mut self, entry: &[u8], place: &[u8]) -> Result<(), UnpackError> {
        if place.is_empty() {
            return Ok(());
        }
        self.check_depth(place)?;
        let ends = place
            .iter()
            .enumerate()
            .filter(|&(_, &byte)| byte == b'/')
            .map(|(at, _)| at)
            .chain([place.len()]);
        for end in ends {
            let part = place.get(..end).unwrap_or_default();
            match self.nodes.get(part) {
                Some(Node::Directory) => {}
                Some(_) => {
                    return Err(UnpackError::refused(
                        entry,
                        "it needs a directory where another entry put a file",
                    ));
                }
                None => {
                    let limit = self.limits.entries;
                    if self.nodes.len() as u64 >= limit {
                        let unit = "entries, counting directories";
                        return Err(UnpackError::TooLarge { limit, unit });
                    }
                    let path = self.on_disk(part);
                    DirBuilder::new()
                        .mode(0o700)
                        .create(&path)
                        .map_err(|error| UnpackError::io(&path, error))?;
                    self.keep(part.to_vec(), Node::Directory)?;
                }
            }
        }
        Ok(())
    }

    fn check_depth(&self, place: &[u8]) -> Result<(), UnpackError> {
        let depth = place.iter().filter(|&&byte| byte == b'/').count() + 1;
        if depth > self.limits.depth || place.len() > self.limits.path_bytes {
            return Err(UnpackError::TooLarge {
                limit: self.limits.depth as u64,
                unit: "folders below each other",
            });
        }
        Ok(())
    }

    /// The components of a name in the archive. A leading slash means the root of the toolchain.
    fn components<'p>(&self, path: &'p [u8]) -> Result<Vec<&'p [u8]>, UnpackError> {
        let mut components = Vec::new();
        for component in path.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(UnpackError::refused(path, "its name contains `..`")),
                _ if component.contains(&0) => {
                    return Err(UnpackError::refused(path, "its name has a NUL byte"));
                }
                _ if component.len() > 255 => {
                    return Err(UnpackError::refused(path, "a part of its name is too long"));
                }
                _ => components.push(component),
            }
        }
        Ok(components)
    }

    /// Where a name leads when every link in it is followed within the root. What does not exist is taken as a
    /// directory. A step above the root is an error, because outside of a chroot it would succeed.
    fn follow(&mut self, entry: &[u8], components: &[&[u8]]) -> Result<Vec<u8>, UnpackError> {
        let mut place = Vec::new();
        let mut todo: VecDeque<Vec<u8>> = components.iter().map(|part| part.to_vec()).collect();
        let mut hops = 0;
        while let Some(component) = todo.pop_front() {
            self.steps += 1;
            if self.steps > FOLLOW_BUDGET {
                return Err(UnpackError::TooLarge {
                    limit: FOLLOW_BUDGET,
                    unit: "names to look at while following its links",
                });
            }
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if place.is_empty() {
                        return Err(UnpackError::refused(entry, "it leads outside by a link"));
                    }
                    pop(&mut place);
                    continue;
                }
                _ => push(&mut place, &component),
            }
            if let Some(Node::Link(target)) = self.nodes.get(&place) {
                hops += 1;
                if hops > MAX_HOPS {
                    return Err(UnpackError::refused(entry, "its links go round in circles"));
                }
                if target.first() == Some(&b'/') {
                    place.clear();
                } else {
                    pop(&mut place);
                }
                for part in target.rsplit(|&byte| byte == b'/') {
                    todo.push_front(part.to_vec());
                }
            }
        }
        Ok(place)
    }

    fn on_disk(&self, place: &[u8]) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(place))
    }
}

fn push(place: &mut Vec<u8>, component: &[u8]) {
    if !place.is_empty() {
        place.push(b'/');
    }
    place.extend_from_slice(component);
}

fn pop(place: &mut Vec<u8>) {
    let slash = place.iter().rposition(|&byte| byte == b'/');
    place.truncate(slash.unwrap_or(0));
}

fn parents_of(place: &[u8]) -> &[u8] {
    let slash = place.iter().rposition(|&byte| byte == b'/');
    slash.and_then(|at| place.get(..at)).unwrap_or_default()
}

/// A link target that climbs `depth` folders to the root and goes to `inside` from there.
fn relative_from(depth: usize, inside: &[u8]) -> Vec<u8> {
    let mut text = b"../".repeat(depth);
    text.extend(inside.iter().skip_while(|&&byte| byte == b'/'));
    if text.is_empty() {
        text.push(b'.');
    }
    text
}

fn set_mode(path: &Path, mode: u32) -> Result<(), UnpackError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| UnpackError::io(path, error))
}
