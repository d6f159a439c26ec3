//! Being a service: started as root, everything that needs root is done here, and then root is given up for good.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use gelato_sandbox::Identity;
use gelato_sandbox::identity::{self, User};
use tracing::warn;

/// The folder of the local socket.
pub(super) const RUN_FOLDER: &str = "/var/run/icecc";

/// Folder of the log if none is named.
const LOG_FOLDER: &str = "/var/log/icecc";

/// The user to become if none is named.
const SERVICE_USER: &str = "icecc";

/// User and group if that user does not exist.
const NOBODY: (u32, u32) = (65534, 65533);

/// Whom to become.
pub(super) struct Service {
    user: User,
    fallback: bool,
}

/// The pid file, which has to go at the end although its folder belongs to root.
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
}

impl Service {
    /// The user named, else the service user.
    pub(super) fn find(name: Option<&OsStr>) -> anyhow::Result<Service> {
        let user = match name {
            Some(name) => {
                let Some(user) = identity::lookup_user(name) else {
                    bail!(
                        "there is no user {}: create it or name another with -u",
                        name.display()
                    );
                };
                if user.uid == 0 || user.gid == 0 {
                    bail!(
                        "the daemon does not run as {}: name a user without privileges with -u",
                        name.display()
                    );
                }
                user
            }
            None => match identity::lookup_user(SERVICE_USER) {
                Some(user) => user,
                None => {
                    return Ok(Service {
                        user: nobody(),
                        fallback: true,
                    });
                }
            },
        };
        Ok(Service {
            user,
            fallback: false,
        })
    }

    /// As whom it will run.
    pub(super) fn identity(&self) -> Identity {
        self.user.identity()
    }

    /// The log of a background service, in a folder of its own.
    pub(super) fn default_log(&self) -> anyhow::Result<PathBuf> {
        self.own_folder(Path::new(LOG_FOLDER), 0o755)?;
        Ok(Path::new(LOG_FOLDER).join("iceccd.log"))
    }

    /// Makes run folder, base folder and pid file, then gives up root but for the right to chroot.
    pub(super) fn become_it(
        &self,
        base: &Path,
        log: Option<&Path>,
    ) -> anyhow::Result<Option<PidFile>> {
        if self.fallback {
            warn!("No icecc user on system. Falling back to nobody.");
        }
        self.own_folder(Path::new(RUN_FOLDER), 0o755)?;
        self.own_folder(base, 0o775).with_context(|| {
            format!("choose a base folder other than {} with -b", base.display())
        })?;
        if let Some(log) = log
            && let Err(error) = chown(log, Some(self.user.uid), Some(self.user.gid))
        {
            warn!(
                "cannot give the log {} to the service user: {error}",
                log.display()
            );
        }
        let pid_file = PidFile::write();
        identity::drop_privileges(&self.user, true)
            .with_context(|| format!("cannot become the user {}", self.user.name.display()))?;
        Ok(pid_file)
    }

    /// Gives up root and makes nothing.
    pub(super) fn only_become(&self) -> anyhow::Result<()> {
        identity::drop_privileges(&self.user, true)
            .with_context(|| format!("cannot become the user {}", self.user.name.display()))
    }

    fn own_folder(&self, path: &Path, mode: u32) -> anyhow::Result<()> {
        let make = || -> io::Result<()> {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            chown(path, Some(self.user.uid), Some(self.user.gid))
        };
        make().with_context(|| format!("cannot make the folder {}", path.display()))
    }
}

impl PidFile {
    /// Named after the program. A daemon works without it, so failing is a warning.
    fn write() -> Option<PidFile> {
        let name = std::env::args_os().next()?;
        let mut name = Path::new(&name).file_name()?.to_owned();
        name.push(".pid");
        let path = Path::new("/var/run").join(name);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| {
                writeln!(file, "{}", std::process::id())?;
                Ok(file)
            });
        match written {
            Ok(file) => Some(PidFile { path, file }),
            Err(error) => {
                warn!("cannot write the pid file {}: {error}", path.display());
                None
            }
        }
    }

    /// Removes it, or empties it where the folder does not allow that any more. A daemon that took the place of this one
    /// has written its own number into it.
    pub(super) fn remove(self) {
        let is_ours = fs::read_to_string(&self.path)
            .is_ok_and(|text| text.trim().parse() == Ok(std::process::id()));
        if is_ours
            && fs::remove_file(&self.path).is_err()
            && let Err(error) = self.file.set_len(0)
        {
            warn!("cannot empty the pid file {}: {error}", self.path.display());
        }
    }
}

fn nobody() -> User {
    let (uid, gid) = NOBODY;
    User {
        uid,
        gid,
        name: "nobody".into(),
        home: PathBuf::from("/nonexistent"),
    }
}

/// Whether this process may make files in a folder.
pub(super) fn may_write(folder: &str) -> bool {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access).is_ok()
}
