//! The datagram socket on which wrappers send records, one a datagram.
//!
//! Everybody may send. Who it is says the kernel; a sender who sends too much waits in the kernel's queue with all others, and what does not fit
//! there is dropped by the wrappers.

use std::fs::{self, Permissions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gelato_record::{JobRecord, LONGEST};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::Shelf;

/// Records that are taken at once, and then this many a second.
const BURST: f64 = 2000.0;
const RATE: f64 = 4000.0;

/// How long nobody is listened to who sends more.
const PAUSE: Duration = Duration::from_millis(20);

/// A socket that takes records until dropped.
#[derive(Debug)]
pub(crate) struct Intake {
    socket: UnixDatagram,
    path: PathBuf,
    /// Device and number of the file: another daemon may have put its own there.
    file: (u64, u64),
}

impl Intake {
    /// Beside the stream socket, for the same people. A socket that is there already is replaced, any other file is not.
    pub(crate) fn bind(stream_socket: &Path, mode: u32) -> io::Result<Intake> {
        let path = gelato_record::socket_beside(stream_socket);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(&path)?,
            Ok(_) => {
                let text = "a file that is no socket is in the way; remove it";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixDatagram::bind(&path)?;
        sockopt::set_socket_passcred(&socket, true)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Intake {
            socket,
            path,
            file: (metadata.dev(), metadata.ino()),
        })
    }

    /// Takes records for ever.
    pub(crate) async fn serve(self, shelf: Shelf) {
        let mut buffer = vec![0; LONGEST + 1];
        let mut allowance = Allowance::new(Instant::now());
        loop {
            while !allowance.take(Instant::now()) {
                sleep(PAUSE).await;
            }
            let received = self
                .socket
                .async_io(Interest::READABLE, || {
                    receive(self.socket.as_fd(), &mut buffer)
                })
                .await;
            let (length, user) = match received {
                Ok(received) => received,
                Err(error) => {
                    warn!("records of jobs cannot be read: {error}");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(user) = user else { continue };
            match JobRecord::parse(buffer.get(..length).unwrap_or_default()) {
                Ok(record) => shelf.add(record, user, now()),
                Err(error) => debug!("not a record, from user {user}: {error}"),
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if ours {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// One datagram and the user it comes from. Descriptors that come along are closed by the kernel: there is no room for them.
fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg(
        socket,
        &mut parts,
        &mut control,
        RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
    )?;
    let user = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.uid.as_raw()),
        _ => None,
    });
    Ok((received.bytes, user))
}

/// How many records may be taken now.
#[derive(Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Allowance {
        Allowance {
            left: BURST,
            at: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * RATE;
        self.at = now;
        self.left = (self.left + earned).min(BURST);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram as Sender;

    fn sender(path: &Path) -> Sender {
        let sender = Sender::unbound().unwrap();
        sender.connect(path).unwrap();
        sender
    }

    #[tokio::test]
    async fn records_arrive_with_the_user_the_kernel_names() {
        let folder = tempfile::tempdir().unwrap();
        let stream = folder.path().join("socket");
        let intake = Intake::bind(&stream, 0o600).unwrap();
        let path = intake.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let shelf = Shelf::default();
        let task = tokio::spawn(intake.serve(shelf.clone()));
        let sender = sender(&path);
        let long = "x".repeat(LONGEST * 2);
        for junk in ["", "[]", "\u{0}", &long] {
            sender.send(junk.as_bytes()).unwrap();
        }
        let record = JobRecord {
            file: "a.o".to_owned(),
            user: Some(12_345_678),
            ..JobRecord::default()
        };
        sender.send(record.to_json().as_bytes()).unwrap();
        shelf.added().await;
        let kept: Vec<_> = shelf.open().newest(None).cloned().collect();
        assert_eq!(kept.len(), 1);
        let own = rustix::process::geteuid().as_raw();
        assert_eq!((kept[0].file.as_str(), kept[0].user), ("a.o", Some(own)));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!path.exists(), "it cleans up");
    }

    #[tokio::test]
    async fn what_is_in_the_way_is_replaced_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let stream = folder.path().join("socket");
        let first = Intake::bind(&stream, 0o666).unwrap();
        let second = Intake::bind(&stream, 0o666).unwrap();
        // The first does not remove the second's.
        drop(first);
        assert!(second.path.exists());
        drop(second);
        fs::write(gelato_record::socket_beside(&stream), "x").unwrap();
        let error = Intake::bind(&stream, 0o666).unwrap_err();
        assert!(error.to_string().contains("in the way"));
    }

    #[test]
    fn a_flood_is_taken_at_a_measured_pace() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let taken = |allowance: &mut Allowance, at: Instant| {
            (0..100_000).take_while(|_| allowance.take(at)).count()
        };
        assert_eq!(taken(&mut allowance, start), 2000);
        let later = start + Duration::from_millis(100);
        assert!((399..=401).contains(&taken(&mut allowance, later)));
        let much_later = start + Duration::from_secs(100);
        assert_eq!(taken(&mut allowance, much_later), 2000);
    }
}
