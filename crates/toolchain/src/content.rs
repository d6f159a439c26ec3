//! The name of a toolchain by its content: computed where an archive is made, and again where one is received.
//!
//! `gelato-` and 40 hexadecimal digits: the first 20 bytes of the SHA-256 of one record per file, sorted by path bytes. A
//! record is the SHA-256 of the content in hexadecimal, blank, `755` or `644`, blank, absolute path, NUL. Times, owners,
//! order, compression, directories and other mode bits do not count. A toolchain with a link has no such name: its links
//! might lead to different files from one machine to the next, and we pack none.
//!
//! Icecream's own names are an MD5 over similar lines in the order of the maker's locale, so they show nothing to a
//! receiver, and they look like any other 32 digits. The prefix is what makes a name of ours known as such.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::names::CONTENT_PREFIX;

/// Bytes of the digest that are written out.
const NAME_BYTES: usize = 20;

/// The digest of one file's content.
pub(crate) type FileDigest = [u8; 32];

/// Digests a file's content while it is read.
#[derive(Clone, Default)]
pub(crate) struct FileDigester(Sha256);

impl FileDigester {
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub(crate) fn finish(self) -> FileDigest {
        self.0.finalize().into()
    }
}

/// The files of a toolchain, in any order.
#[derive(Default)]
pub(crate) struct Content(BTreeMap<Vec<u8>, (FileDigest, bool)>);

impl Content {
    /// Adds the file at an absolute path. Another of the same path takes its place.
    pub(crate) fn add(&mut self, path: &[u8], digest: FileDigest, executable: bool) {
        self.0.insert(path.to_vec(), (digest, executable));
    }

    /// The name of a toolchain with these files.
    pub(crate) fn name(&self) -> String {
        let mut all = Sha256::new();
        for (path, (digest, executable)) in &self.0 {
            all.update(hex(digest));
            all.update(if *executable { " 755 " } else { " 644 " });
            all.update(path);
            all.update([0]);
        }
        let digest = all.finalize();
        let shown = digest.get(..NAME_BYTES).unwrap_or_default();
        format!("{CONTENT_PREFIX}{}", hex(shown))
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{is_content_name, is_safe_name};

    fn name(files: &[(&str, &str, bool)]) -> String {
        let mut content = Content::default();
        for (path, text, executable) in files {
            let mut digester = FileDigester::default();
            digester.update(text.as_bytes());
            content.add(path.as_bytes(), digester.finish(), *executable);
        }
        content.name()
    }

    #[test]
    fn names_are_known_by_their_form_and_fixed_for_all_versions() {
        let some = name(&[("/a", "1", true), ("/b", "2", false)]);
        assert!(is_content_name(&some) && is_safe_name(&some), "{some}");
        // Workers of another version compute it too: it must never change under this prefix.
        assert_eq!(some, "gelato-b0bd1a529837985aa40c7ae2fd5e2a4534f2b20d");
    }

    #[test]
    fn order_does_not_count_and_everything_else_does() {
        let some = name(&[("/a", "1", true), ("/b", "2", false)]);
        assert_eq!(some, name(&[("/b", "2", false), ("/a", "1", true)]));
        for other in [
            name(&[("/a", "1", true)]),
            name(&[("/a", "1", false), ("/b", "2", false)]),
            name(&[("/a", "2", true), ("/b", "1", false)]),
            name(&[("/a", "1", true), ("/c", "2", false)]),
            name(&[("/a", "1", true), ("/b", "2", false), ("/c", "", false)]),
        ] {
            assert_ne!(some, other);
        }
    }
}
