//! Making an archive of the compilers installed here, so that they run in a chroot elsewhere.
//!
//! What goes in: `/bin/true`; per compiler its driver under the name workers call (`/usr/bin/gcc`, `g++`, `clang`), the
//! front ends, assembler and `objcopy` in `/usr/bin`, the LTO plugin and specs at their own place; the libraries and
//! loaders of all these; extra files at their own absolute paths. Files are taken as installed, nothing is stripped.
//! What is not installed for its own reasons (a C++ compiler, Objective-C, `objcopy`) is left out; what was asked for, or
//! is needed and missing, is an error: an archive is never quietly incomplete.
//!
//! The same files give the same archive, byte for byte, and the same name, whoever makes it and when.
//!
//! `identify` asks the compiler; `elf` and `libraries` find what the loader will want and where to put it; `pack` writes.

mod elf;
mod identify;
mod libraries;
mod pack;
mod plan;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::Compression;

/// What to package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Paths of compilers: wrapper scripts are looked through, a C++ compiler stands for its C compiler, and the C++
    /// compiler that belongs to a C compiler comes along. At most one gcc (with its C++ compiler, if wanted from elsewhere)
    /// and one clang.
    pub compilers: Vec<PathBuf>,
    /// Files to add at their own absolute paths; relative ones are taken from the working directory.
    pub extra_files: Vec<PathBuf>,
    /// How to compress.
    pub compression: Compression,
}

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is: `<out_dir>/<name>.tar[.<suffix>]`.
    pub path: PathBuf,
    /// The toolchain's name, a digest of the paths, kinds and contents of the files.
    pub name: String,
    /// What is in it, sorted by path.
    pub files: Vec<PackedFile>,
    /// Files that would have been packed, had they existed: if one appears, the archive is out of date.
    pub absent: Vec<PathBuf>,
    /// Shell scripts and the like that led to the compilers and are not packed: if one changes, the archive is out of date.
    pub scripts: Vec<(PathBuf, Stamp)>,
    /// Paths with symbolic links in them, and where they led: if one leads elsewhere, the archive is out of date.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedFile {
    /// Absolute path in the toolchain.
    pub path: PathBuf,
    /// The file it was read from, without symbolic links; `None` for an empty file made up for the archive.
    pub source: Option<PathBuf>,
    /// What tells later whether the file changed; all zero without a source.
    pub stamp: Stamp,
    /// Whether it may be run.
    pub executable: bool,
}

/// What tells cheaply whether a file is still the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Time of the last change of the content, seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// Time of the last change of anything, mode included, seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
    /// Device and inode.
    pub inode: (u64, u64),
}

impl Stamp {
    /// The stamp of a file that was looked at.
    #[must_use]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No compiler in the request.
    #[error("no compiler named: say which to package")]
    NothingToPackage,
    /// A file of the request is not there.
    #[error("{path} cannot be read: {source}")]
    Missing {
        /// As asked for.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory, device or the like.
    #[error("{0} is not a regular file: name files one by one")]
    NotAFile(PathBuf),
    /// A program does not answer as gcc and clang do.
    #[error("{compiler} is no compiler that can be packaged: {why}")]
    NotACompiler {
        /// As asked for.
        compiler: PathBuf,
        /// What was expected.
        why: String,
    },
    /// A compiler was asked and did not come to an end.
    #[error("{0} did not answer within 30 seconds")]
    CompilerHangs(PathBuf),
    /// Two different files want the same place.
    #[error("{first} and {second} both belong at {place} in the archive: package them separately")]
    Conflict {
        /// Where.
        place: PathBuf,
        /// The one already there.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A program without which no worker takes the archive.
    #[error("{program} was not found, but workers need it: install {package}")]
    NeedsProgram {
        /// Its name.
        program: &'static str,
        /// What usually holds it.
        package: &'static str,
    },
    /// A library no folder of this machine has.
    #[error("library {library}, which {needed_by} needs, was not found on this machine")]
    NoLibrary {
        /// Its name.
        library: String,
        /// The program or library.
        needed_by: PathBuf,
    },
    /// A library that the loader would not find again in the chroot, or a wrong one of the same name.
    #[error(
        "library {library}, which {needed_by} needs, cannot be placed where the loader would find it: package its user separately"
    )]
    Unplaceable {
        /// Its name.
        library: String,
        /// The program or library.
        needed_by: PathBuf,
    },
    /// A program or library with a damaged header.
    #[error("{path} cannot be understood: {why}")]
    BadElf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file changed while it was read.
    #[error("{0} changed while it was being packaged: try again")]
    Changed(PathBuf),
    /// The archive could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The archive or its folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Makes an archive in `out_dir`, readable by everybody. An archive of the same name is replaced at once by one with
/// the same content.
///
/// # Errors
/// See [`CreateError`]; nothing is left in `out_dir` then.
pub fn create(request: &Request, out_dir: &Path) -> Result<Archive, CreateError> {
    let mut plan = plan::Plan::new();
    let compilers = identify::Compilers::identify(&request.compilers)?;
    // Before they are asked any more.
    let scripts = compilers.scripts()?;
    plan.add_compilers(&compilers)?;
    for file in &request.extra_files {
        plan.add_extra_file(file)?;
    }
    let plan::Finished {
        items,
        absent,
        links,
    } = plan.finish()?;
    let (path, name, files) = pack::pack(&items, request.compression, out_dir)?;
    Ok(Archive {
        path,
        name,
        files,
        absent,
        scripts,
        links,
    })
}

/// Opens a file for reading. Anything but a regular file is an error, since opening a pipe could wait for ever and a
/// device may have no end: the paths come from whoever asks for an archive.
fn open_regular(path: &Path) -> Result<File, CreateError> {
    let unreadable = |source| CreateError::Missing {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_file() {
        Ok(file)
    } else {
        Err(CreateError::NotAFile(path.to_owned()))
    }
}

/// What a program needs before its first instruction.
pub(crate) struct Headers {
    /// The kind of machine it is for, as ELF numbers them.
    pub(crate) machine: u16,
    pub(crate) interpreter: Option<PathBuf>,
}

/// The headers of a program; `None` if it is something else than ELF.
pub(crate) fn headers(path: &Path) -> Result<Option<Headers>, CreateError> {
    Ok(elf::read(path)?.map(|elf| Headers {
        machine: elf.abi.machine,
        interpreter: elf.interpreter,
    }))
}

#[cfg(test)]
mod tests;
