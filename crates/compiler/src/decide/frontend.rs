//! `-Xclang A` and `-mllvm A`: words for the inner programs of Clang.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Pass;
use crate::LocalReason;
use crate::flags::{self, Class, Effect};

/// Words of the front end that change nothing but the code.
const HARMLESS: &[&[u8]] = &[
    b"-disable-O0-optnone",
    b"-disable-lifetime-markers",
    b"-disable-llvm-optzns",
    b"-disable-llvm-passes",
    b"-discard-value-names",
    b"-emit-llvm-uselists",
    b"-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang",
    b"-mlimit-float-precision",
    b"-no-opaque-pointers",
    b"-opaque-pointers",
];

/// Those whose value is the next word, which comes in another pair.
const WITH_VALUE: &[&[u8]] = &[
    b"-target-cpu",
    b"-target-feature",
    b"-tune-cpu",
    b"-target-abi",
];

/// Beginnings of words that mean the same to the front end and to the driver.
const SHARED: &[&[u8]] = &[b"-W", b"-f", b"-O", b"-std="];

/// Parts of names of optimiser options that write or print something.
const TALKATIVE: &[&[u8]] = &[
    b"debug", b"dot", b"dump", b"file", b"load", b"output", b"print", b"record", b"remarks",
    b"report", b"stats", b"time", b"track", b"verify", b"view", b"write", b"bisect", b"crash",
];

impl Pass<'_> {
    pub(super) fn frontend_word(&mut self, word: &OsStr) -> Class {
        let bytes = word.as_bytes();
        if std::mem::take(&mut self.frontend_value) {
            if bytes.contains(&b'/') {
                self.block(LocalReason::LocalOption);
            }
        } else if WITH_VALUE.contains(&bytes) {
            self.frontend_value = true;
        } else if bytes == b"-load" {
            self.block(LocalReason::Plugin);
        } else if !HARMLESS.contains(&bytes) && !is_shared(word) {
            self.block(LocalReason::LocalOption);
        }
        Class::Both
    }
}

fn is_shared(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    SHARED.iter().any(|start| bytes.starts_with(start))
        && !bytes.contains(&b'/')
        && !bytes.starts_with(b"-fdebug-pass")
        && flags::lookup(word).effect == Effect::Class(Class::Both)
        && flags::lookup(word).value == flags::Value::Inside
}

/// An option of the optimiser that neither names a file nor prints something.
pub(super) fn is_harmless_backend_word(word: &[u8]) -> bool {
    word.starts_with(b"-")
        && !word.contains(&b'/')
        && !TALKATIVE
            .iter()
            .any(|part| memchr::memmem::find(word, part).is_some())
}
