//! The real file system behind the compiler crate's window.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use gelato_compiler::{FileKind, Files};

pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn kind(&self, path: &Path) -> FileKind {
        match fs::metadata(path) {
            Err(_) => FileKind::Missing,
            Ok(metadata) if metadata.is_file() => FileKind::Regular,
            Ok(metadata) if metadata.is_dir() => FileKind::Directory,
            Ok(_) => FileKind::Other,
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::other(format!("larger than {limit} bytes")));
        }
        Ok(content)
    }

    fn may_have_precompiled(&self, folder: &Path) -> bool {
        let folder = match folder {
            empty if empty.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        fs::read_dir(folder).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().as_encoded_bytes().ends_with(b".gch"))
        })
    }
}
