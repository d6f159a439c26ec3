//! Writing the archive: sorted, with fixed owners, times and modes, so that the same files give the same bytes.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::plan::Items;
use super::{CreateError, PackedFile, Stamp};
use crate::Compression;
use crate::compression::Encoder;
use crate::content::{Content, FileDigest, FileDigester};

/// Writes the archive and returns its path, name and list of files. The name is that of the [`Content`].
pub(super) fn pack(
    items: &Items,
    compression: Compression,
    out_dir: &Path,
) -> Result<(PathBuf, String, Vec<PackedFile>), CreateError> {
    let (temporary, file) = Temporary::new(out_dir)?;
    let encoder = Encoder::new(compression, file).map_err(|error| temporary.failed(error))?;
    let mut archive = tar::Builder::new(encoder);
    archive.mode(tar::HeaderMode::Deterministic);
    let mut content = Content::default();
    let mut files = Vec::new();
    for (path, source) in items {
        let (file, digest) = match source {
            Some(source) => append_file(&mut archive, path, source, &temporary)?,
            None => append_empty(&mut archive, path, &temporary)?,
        };
        content.add(path.as_bytes(), digest, file.executable);
        files.push(file);
    }
    let finished = archive.into_inner().and_then(Encoder::finish);
    let file = finished.map_err(|error| temporary.failed(error))?;
    let name = content.name();
    let path = out_dir.join(format!("{name}.tar{}", compression.suffix()));
    // For every reader, whatever the umask.
    file.set_permissions(Permissions::from_mode(0o644))
        .map_err(|error| temporary.failed(error))?;
    temporary.publish(&file, &path)?;
    Ok((path, name, files))
}

type Archive = tar::Builder<Encoder>;

fn append_file(
    archive: &mut Archive,
    path: &OsStr,
    source: &Path,
    temporary: &Temporary,
) -> Result<(PackedFile, FileDigest), CreateError> {
    let unreadable = |error| CreateError::Missing {
        path: source.to_owned(),
        source: error,
    };
    let file = super::open_regular(source)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let packed = PackedFile {
        path: PathBuf::from(path),
        source: Some(source.to_owned()),
        stamp: Stamp::of(&metadata),
        executable: metadata.permissions().mode() & 0o111 != 0,
    };
    let mut content = Measured {
        file,
        left: metadata.len(),
        digest: FileDigester::default(),
        error: None,
        changed: false,
    };
    let mut header = header(metadata.len(), packed.executable);
    let appended = archive.append_data(&mut header, inside(path), &mut content);
    if let Some(error) = content.error {
        return Err(unreadable(error));
    }
    let mut more = [0];
    let grown = content.file.read(&mut more).map_err(unreadable)? > 0;
    if content.changed || grown {
        return Err(CreateError::Changed(source.to_owned()));
    }
    appended.map_err(|error| temporary.failed(error))?;
    Ok((packed, content.digest.finish()))
}

fn append_empty(
    archive: &mut Archive,
    path: &OsStr,
    temporary: &Temporary,
) -> Result<(PackedFile, FileDigest), CreateError> {
    archive
        .append_data(&mut header(0, false), inside(path), io::empty())
        .map_err(|error| temporary.failed(error))?;
    let packed = PackedFile {
        path: PathBuf::from(path),
        source: None,
        stamp: Stamp::default(),
        executable: false,
    };
    Ok((packed, FileDigester::default().finish()))
}

fn header(size: u64, executable: bool) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn inside(path: &OsStr) -> &Path {
    let path = Path::new(path);
    path.strip_prefix("/").unwrap_or(path)
}

/// Exactly as many bytes of a file as it had when it was opened, digested on the way.
struct Measured {
    file: File,
    left: u64,
    digest: FileDigester,
    error: Option<io::Error>,
    changed: bool,
}

impl Read for Measured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let length = buffer.len().min(most);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        match self.file.read(buffer) {
            Ok(count) => {
                self.changed |= count == 0 && length > 0;
                self.left -= count as u64;
                self.digest.update(buffer.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // Kept apart from errors of writing, which come the same way.
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// An archive in the making: gone unless it gets its name.
struct Temporary {
    folder: PathBuf,
    /// Without a name the system itself forgets it, however this process ends. Not every file system can do that.
    name: Option<PathBuf>,
}

impl Temporary {
    fn new(folder: &Path) -> Result<(Self, File), CreateError> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        if Path::new(OWN_FILES).exists()
            && let Ok(file) = rustix::fs::open(folder, flags, mode)
        {
            let temporary = Self {
                folder: folder.to_owned(),
                name: None,
            };
            return Ok((temporary, file.into()));
        }
        let (name, file) = under_new_name(folder, |path| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
        })?;
        let temporary = Self {
            folder: folder.to_owned(),
            name: Some(name),
        };
        Ok((temporary, file))
    }

    fn failed(&self, source: io::Error) -> CreateError {
        CreateError::Write {
            path: self.folder.clone(),
            source,
        }
    }

    /// Gives it its name, in place of what may have it now.
    fn publish(mut self, file: &File, path: &Path) -> Result<(), CreateError> {
        if self.name.is_none() {
            // A file cannot be linked in another's place, but renamed.
            let from = Path::new(OWN_FILES).join(file.as_raw_fd().to_string());
            let (name, ()) = under_new_name(&self.folder, |name| {
                let follow = AtFlags::SYMLINK_FOLLOW;
                Ok(rustix::fs::linkat(CWD, &from, CWD, name, follow)?)
            })?;
            self.name = Some(name);
        }
        if let Some(name) = &self.name {
            fs::rename(name, path).map_err(|source| CreateError::Write {
                path: path.to_owned(),
                source,
            })?;
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _already_gone = fs::remove_file(name);
        }
    }
}

const OWN_FILES: &str = "/proc/self/fd";

/// Makes something under a name in `folder` that nothing has yet.
fn under_new_name<T>(
    folder: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), CreateError> {
    // Leftovers of crashed processes with our id take some of the numbers.
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 0..100 {
        let path = folder.join(format!(".gelato-{}-{number}.tmp", std::process::id()));
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) => last = error,
        }
        if last.kind() != io::ErrorKind::AlreadyExists {
            break;
        }
    }
    Err(CreateError::Write {
        path: folder.to_owned(),
        source: last,
    })
}
