//! Understanding a compiler command line: what it asks for, where it may run, and with which words.
//!
//! Pure: no process is started, no socket opened, nothing printed. Files are seen through the small [`Files`] trait, the
//! process environment through [`Settings`]. The path of one command line through the crate:
//!
//! 1. [`names`] decides whether a program name is a compiler at all, and of which family;
//! 2. [`respfile`] expands `@file` words;
//! 3. [`decide::decide`] reads the words with the tables of [`flags`] and gives a [`Verdict`];
//! 4. [`plan`] turns a remote verdict into the words of the preprocessor run and of the remote compiler;
//! 5. [`scan`] watches the preprocessed source for text that means something else on another machine;
//! 6. [`diagnostics`] judges what a failed remote compiler printed.
//!
//! When in doubt the verdict is local, with a [`LocalReason`]: a slow build is a nuisance, a wrong object is a bug.

mod assembler;
mod configure;
pub mod decide;
pub mod diagnostics;
pub mod flags;
mod inputs;
mod layout;
pub mod names;
mod native;
mod outputs;
pub mod plan;
mod producer;
mod reason;
pub mod respfile;
pub mod scan;
mod settings;

pub use decide::{Verdict, decide};
pub use inputs::{Input, InputRole};
pub use names::{Family, Language};
pub use native::{NativeRequest, Substitute};
pub use outputs::{Output, OutputRole};
pub use plan::RemotePlan;
pub use producer::Producer;
pub use reason::LocalReason;
pub use settings::Settings;

use std::io;
use std::path::Path;

/// What a path leads to, symbolic links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing there, or no permission to look.
    Missing,
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A device, pipe or socket.
    Other,
}

/// The only window of this crate to the file system. Relative paths are relative to the working directory of the compiler.
pub trait Files {
    /// What `path` leads to.
    fn kind(&self, path: &Path) -> FileKind;
    /// The whole content of `path`, an error if it is larger than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Whether a precompiled header of GCC, a name ending in `.gch`, may be in `folder`; an empty name is the working directory.
    fn may_have_precompiled(&self, _folder: &Path) -> bool {
        true
    }
}
