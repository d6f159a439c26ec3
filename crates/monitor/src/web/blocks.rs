//! Which hosts were blocked from here, why, and until when. Kept in a file, because a scheduler keeps a block longer than this process may
//! live. Pure but for the file; the time comes in.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Its name in the state folder.
const FILE: &str = "blocks.json";

/// Hosts that are remembered; a scheduler refuses more names, too.
const MOST: usize = 2000;

/// Bytes of the file that are read.
const LONGEST_FILE: u64 = 4 << 20;

/// A host that shall not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    /// As it was said to the scheduler.
    pub(super) host: String,
    /// Why, in the operator's words.
    pub(super) reason: String,
    /// From where it was said.
    pub(super) who: String,
    /// Since when, in ms since 1970.
    pub(super) since: u64,
    /// Until when, if not for good.
    pub(super) until: Option<u64>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Blocks {
    path: Option<PathBuf>,
    all: BTreeMap<String, Block>,
}

impl Blocks {
    /// What an earlier run left in the folder; only in memory without one.
    pub(super) fn open(folder: Option<&Path>) -> Blocks {
        let path = folder.map(|folder| folder.join(FILE));
        let all = match path.as_deref().map(read) {
            Some(Ok(all)) => all,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the list of blocked hosts {FILE} cannot be read: {error}");
                Vec::new()
            }
            _ => Vec::new(),
        };
        let keyed = all.into_iter().take(MOST);
        Blocks {
            path,
            all: keyed.map(|block| (block.host.clone(), block)).collect(),
        }
    }

    /// Remembers a block, in place of an earlier one of the same host.
    ///
    /// # Errors
    /// There are too many, or the file cannot be written; it is remembered until the end of the process then.
    pub(super) fn add(&mut self, block: Block) -> io::Result<()> {
        if self.all.len() >= MOST && !self.all.contains_key(&block.host) {
            return Err(io::Error::other(format!("{MOST} hosts are blocked")));
        }
        self.all.insert(block.host.clone(), block);
        self.write()
    }

    /// Forgets a block.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remove(&mut self, host: &str) -> io::Result<()> {
        match self.all.remove(host) {
            Some(_) => self.write(),
            None => Ok(()),
        }
    }

    /// By name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Block> {
        self.all.values()
    }

    /// When the next one is over.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.all.values().filter_map(|block| block.until).min()
    }

    /// Those that are over.
    pub(super) fn over(&self, now: u64) -> Vec<Block> {
        let is_over = |block: &&Block| block.until.is_some_and(|until| until <= now);
        self.all.values().filter(is_over).cloned().collect()
    }

    fn write(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let all: Vec<&Block> = self.all.values().collect();
        let temporary = path.with_extension("json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(&all)?)?;
        std::fs::rename(&temporary, path)
    }
}

fn read(path: &Path) -> io::Result<Vec<Block>> {
    let file = std::fs::File::open(path)?;
    let text = io::Read::take(file, LONGEST_FILE);
    serde_json::from_reader(io::BufReader::new(text)).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(host: &str, until: Option<u64>) -> Block {
        Block {
            host: host.to_owned(),
            reason: "hot".to_owned(),
            who: "127.0.0.1".to_owned(),
            since: 1,
            until,
        }
    }

    #[test]
    fn blocks_end_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut blocks = Blocks::open(Some(folder.path()));
        blocks.add(block("beta", Some(100))).unwrap();
        blocks.add(block("gamma", None)).unwrap();
        blocks.add(block("alpha", Some(50))).unwrap();
        let mut again = Blocks::open(Some(folder.path()));
        assert_eq!(again.next_end(), Some(50));
        assert_eq!(again.over(49), []);
        assert_eq!(again.over(100).len(), 2);
        again.remove("alpha").unwrap();
        again.remove("nobody").unwrap();
        let names: Vec<String> = Blocks::open(Some(folder.path()))
            .all()
            .map(|block| block.host.clone())
            .collect();
        assert_eq!(names, ["beta", "gamma"]);
    }

    #[test]
    fn a_damaged_file_is_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "[{").unwrap();
        let mut blocks = Blocks::open(Some(folder.path()));
        assert_eq!(blocks.all().count(), 0);
        blocks.add(block("beta", None)).unwrap();
        assert_eq!(Blocks::open(Some(folder.path())).all().count(), 1);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut blocks = Blocks::open(None);
        for number in 0..MOST {
            blocks.add(block(&number.to_string(), None)).unwrap();
        }
        assert!(blocks.add(block("one more", None)).is_err());
        assert!(blocks.add(block("7", Some(9))).is_ok());
        assert_eq!(blocks.all().count(), MOST);
    }
}
