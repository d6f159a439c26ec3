//! Where the daemon of this machine takes records of jobs: a datagram socket beside the one for conversations.
//!
//! Fire and forget: nobody there, or nobody reading, is no business of a build.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use gelato_record::JobRecord;

use crate::variables::{Variables, Wish};

/// A daemon that takes records.
#[derive(Debug)]
pub(crate) struct Mailbox {
    socket: UnixDatagram,
}

impl Mailbox {
    /// `None` if nobody takes records here, or the user wants nothing to do with a daemon.
    pub(crate) fn open(variables: &Variables) -> Option<Mailbox> {
        if variables.wish == Wish::NoDaemon {
            return None;
        }
        variables
            .daemon_sockets()
            .iter()
            .find_map(|path| Mailbox::at(&gelato_record::socket_beside(path)))
    }

    fn at(path: &Path) -> Option<Mailbox> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Mailbox { socket })
    }

    /// Sends it, or not.
    pub(crate) fn post(&self, record: &JobRecord) {
        let _ = self.socket.send(record.to_json().as_bytes());
    }
}

impl Variables {
    /// Sockets of daemons of this machine, the likeliest first.
    pub(crate) fn daemon_sockets(&self) -> Vec<PathBuf> {
        if let Some(path) = self.socket.as_ref().or(self.test_socket.as_ref()) {
            return vec![path.clone()];
        }
        let mut sockets = vec![
            PathBuf::from("/var/run/icecc/iceccd.socket"),
            PathBuf::from("/var/run/iceccd.socket"),
        ];
        sockets.extend(self.home.as_ref().map(|home| home.join(".iceccd.socket")));
        sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_arrives_whole_and_a_full_box_is_nobodys_business() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.records");
        assert!(Mailbox::at(&path).is_none(), "nobody there");
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        let mailbox = Mailbox::at(&path).expect("somebody");
        let record = JobRecord {
            file: "a.o".to_owned(),
            ..JobRecord::default()
        };
        for _ in 0..5000 {
            mailbox.post(&record);
        }
        let mut buffer = vec![0; gelato_record::LONGEST];
        let length = daemon.recv(&mut buffer).expect("a datagram");
        assert_eq!(JobRecord::parse(&buffer[..length]), Ok(record));
        drop(daemon);
        mailbox.post(&JobRecord::default());
    }
}
