//! The archive of recordings, read into memory.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

pub(crate) struct Archive {
    files: BTreeMap<String, Vec<u8>>,
}

/// One connection: what each side sent, and what an independent decoder made of it.
pub(crate) struct Recording<'a> {
    pub(crate) name: &'a str,
    pub(crate) from_connector: &'a [u8],
    pub(crate) from_acceptor: &'a [u8],
    pub(crate) notes: Value,
}

impl Archive {
    pub(crate) fn load() -> Archive {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings.tar.zst");
        let packed = std::fs::read(&path).unwrap();
        let tar = zstd::stream::decode_all(&packed[..]).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(name, content);
        }
        Archive { files }
    }

    pub(crate) fn file(&self, name: &str) -> &[u8] {
        &self.files[name]
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(self.file(name)).unwrap()
    }

    pub(crate) fn names_ending_in<'a>(
        &'a self,
        end: &'static str,
    ) -> impl Iterator<Item = &'a str> {
        self.files
            .keys()
            .map(String::as_str)
            .filter(move |name| name.ends_with(end))
    }

    pub(crate) fn recordings(&self) -> impl Iterator<Item = Recording<'_>> {
        self.names_ending_in(".c2s.bin").map(|file| {
            let name = file.strip_suffix(".c2s.bin").unwrap();
            Recording {
                name,
                from_connector: self.file(file),
                from_acceptor: self.file(&format!("{name}.s2c.bin")),
                notes: self.json(&format!("{name}.json")),
            }
        })
    }
}
