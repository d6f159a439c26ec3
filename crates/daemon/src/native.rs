//! Archives of this machine's compilers for its wrappers: turns a request into paths, and keeps the building off the event
//! loop.
//!
//! A build asks with hundreds of wrappers at once. Those that ask for the same wait here, without a thread each.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gelato_toolchain::Compression;
use gelato_toolchain::native::{NativeError, Natives};
use gelato_wire::msg::GetNativeEnv;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long a wrapper waits.
const LONGEST: Duration = Duration::from_secs(240);

/// Archives looked for or built at the same time.
const BUILDERS: usize = 2;

/// Kinds of requests waited for at the same time; extra files are anybody's choice.
const MOST_KINDS: usize = 256;

/// The archives of this machine.
pub(crate) struct NativeArchives {
    base: PathBuf,
    limit: u64,
    natives: OnceCell<Natives>,
    queues: Mutex<HashMap<Wish, Arc<Semaphore>>>,
    builders: Arc<Semaphore>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    compiler: PathBuf,
    extra_files: Vec<PathBuf>,
    compression: Compression,
}

impl NativeArchives {
    /// Archives in `base`, of about `limit` bytes. Nothing is opened before the first request.
    pub(crate) fn new(base: &Path, limit: u64) -> NativeArchives {
        NativeArchives {
            base: base.to_owned(),
            limit,
            natives: OnceCell::new(),
            queues: Mutex::default(),
            builders: Arc::new(Semaphore::new(BUILDERS)),
        }
    }

    /// The archive a wrapper asks for, made if need be.
    pub(crate) async fn archive(&self, request: GetNativeEnv) -> Result<PathBuf, String> {
        let wish = wish(&request)?;
        match timeout(LONGEST, self.fulfil(wish)).await {
            Ok(result) => result,
            Err(_) => Err(format!("not packed within {LONGEST:?}")),
        }
    }

    async fn fulfil(&self, wish: Wish) -> Result<PathBuf, String> {
        let natives = self.natives().await?.clone();
        let queue = self.queue(&wish);
        let turn = queue
            .acquire_owned()
            .await
            .map_err(|error| error.to_string())?;
        let builder = Arc::clone(&self.builders)
            .acquire_owned()
            .await
            .map_err(|error| error.to_string())?;
        let packed = spawn_blocking(move || {
            let result = natives.archive_for(&wish.compiler, &wish.extra_files, wish.compression);
            // Held to the end even if nobody waits any more.
            drop((turn, builder));
            result
        });
        packed
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }

    async fn natives(&self) -> Result<&Natives, String> {
        let open = || async {
            let base = self.base.clone();
            let limit = self.limit;
            match spawn_blocking(move || Natives::open(&base, limit)).await {
                Ok(opened) => opened.map_err(|error: NativeError| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        self.natives.get_or_try_init(open).await
    }

    fn queue(&self, wish: &Wish) -> Arc<Semaphore> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MOST_KINDS && !queues.contains_key(wish) {
            queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        }
        Arc::clone(
            queues
                .entry(wish.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(1))),
        )
    }
}

/// Older wrappers say `gcc` or `clang`, or nothing.
fn wish(request: &GetNativeEnv) -> Result<Wish, String> {
    let name = request.compiler.as_bytes();
    let compiler = match name {
        [] => PathBuf::from("/usr/bin/gcc"),
        [b'/', ..] => PathBuf::from(OsStr::from_bytes(name)),
        _ if name.contains(&b'/') => {
            return Err(format!("{} is no absolute path", request.compiler));
        }
        _ => Path::new("/usr/bin").join(OsStr::from_bytes(name)),
    };
    let compression = match request.compression.to_string_lossy().as_ref() {
        "" => Compression::Gzip,
        word => word
            .parse()
            .map_err(|error: gelato_toolchain::UnknownCompression| error.to_string())?,
    };
    let extra_files = request
        .extra_files
        .iter()
        .map(|file| PathBuf::from(file.as_os_str()))
        .collect();
    Ok(Wish {
        compiler,
        extra_files,
        compression,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(compiler: &str, compression: &str) -> GetNativeEnv {
        GetNativeEnv {
            compiler: compiler.into(),
            extra_files: Vec::new(),
            compression: compression.into(),
        }
    }

    #[test]
    fn old_and_new_wrappers_are_understood() {
        let path = |compiler| wish(&request(compiler, "")).map(|wish| wish.compiler);
        assert_eq!(path(""), Ok("/usr/bin/gcc".into()));
        assert_eq!(path("clang"), Ok("/usr/bin/clang".into()));
        assert_eq!(
            path("/opt/gcc-13/bin/g++"),
            Ok("/opt/gcc-13/bin/g++".into())
        );
        assert!(path("../gcc").is_err());
        assert_eq!(
            wish(&request("gcc", "zstd")).unwrap().compression,
            Compression::Zstd
        );
        assert!(wish(&request("gcc", "rar")).is_err());
    }
}
