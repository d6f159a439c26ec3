//! Who may see and change what: the token, sessions of browsers, and the brake on guessing. Pure: the time comes in.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The file with the token in a state folder; a scheduler has its control token in the same.
pub const TOKEN_FILE: &str = "control-token";

/// Random bytes of a token that is made here, and of a session.
const RANDOM_BYTES: usize = 16;

/// Bytes a token may have.
const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// How long a browser stays signed in, in ms.
pub(super) const SESSION_MS: u64 = 12 * 3600 * 1000;

/// Sessions at a time; the oldest ends for a new one.
const MOST_SESSIONS: usize = 100;

/// Wrong tokens an address may offer within [`FAILURE_WINDOW_MS`].
const MOST_FAILURES: u32 = 5;

/// How long wrong tokens count, in ms.
const FAILURE_WINDOW_MS: u64 = 60_000;

/// Addresses whose failures are counted.
const MOST_ADDRESSES: usize = 1000;

/// A secret that lets somebody in.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// From text, blanks around it ignored.
    ///
    /// # Errors
    /// It is shorter than 16 or longer than 256 bytes, or has characters a header cannot carry.
    pub fn parse(text: &str) -> io::Result<Token> {
        let text = text.trim();
        let fits = TOKEN_LENGTHS.contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a token is 16 to 256 printable characters without blanks",
            ));
        }
        Ok(Token(text.to_owned()))
    }

    /// From a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub fn read(file: &Path) -> io::Result<Token> {
        let mut text = String::new();
        let most = *TOKEN_LENGTHS.end() as u64 + 100;
        std::fs::File::open(file)?
            .take(most)
            .read_to_string(&mut text)?;
        Token::parse(&text)
    }

    /// From the file of a state folder, made with a random one if there is none.
    ///
    /// # Errors
    /// The file can neither be read nor made.
    pub fn of_folder(folder: &Path) -> io::Result<Token> {
        let file = folder.join(TOKEN_FILE);
        match Token::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A full disk or a crash kept an earlier release from writing it.
            Err(error) if std::fs::metadata(&file).is_ok_and(|about| about.len() == 0) => {
                std::fs::remove_file(&file).map_err(|_| error)?;
            }
            result => return result,
        }
        let token = random()?;
        match put(&file, &token) {
            Ok(()) => Ok(Token(token)),
            // Somebody made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Token::read(&file),
            Err(error) => Err(error),
        }
    }

    /// Whether this is the one, in a time that does not depend on where it differs.
    pub fn is(&self, offered: &str) -> bool {
        is_same(&self.0, offered)
    }

    /// The secret itself, to be sent on.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token, and no session that is still good.
    Missing,
    /// A wrong token.
    Wrong,
    /// Too many wrong tokens from this address lately; after so many seconds more are looked at.
    TooMany(u64),
    /// A session, used by a page that is not ours.
    OtherPage,
}

/// The guard's memory.
#[derive(Debug)]
pub(super) struct Keys {
    token: Option<Token>,
    /// Session and its end.
    sessions: Vec<(String, u64)>,
    failures: HashMap<IpAddr, (u32, u64)>,
}

impl Keys {
    /// With no token nobody can sign in.
    pub(super) fn new(token: Option<Token>) -> Keys {
        Keys {
            token,
            sessions: Vec::new(),
            failures: HashMap::new(),
        }
    }

    /// Looks at an offered token.
    pub(super) fn try_token(
        &mut self,
        offered: &str,
        from: IpAddr,
        now: u64,
    ) -> Result<(), Denied> {
        self.failures
            .retain(|_, (_, since)| now.saturating_sub(*since) < FAILURE_WINDOW_MS);
        if let Some((count, since)) = self.failures.get(&from)
            && *count >= MOST_FAILURES
        {
            let left = (since + FAILURE_WINDOW_MS).saturating_sub(now);
            return Err(Denied::TooMany(left.div_ceil(1000)));
        }
        if self.token.as_ref().is_some_and(|token| token.is(offered)) {
            return Ok(());
        }
        if self.failures.len() < MOST_ADDRESSES || self.failures.contains_key(&from) {
            let (count, since) = self.failures.entry(from).or_insert((0, now));
            *count += 1;
            *since = now;
        } else {
            // More addresses guess than can be counted: then none may, for a while.
            return Err(Denied::TooMany(FAILURE_WINDOW_MS / 1000));
        }
        Err(Denied::Wrong)
    }

    /// Begins a session.
    pub(super) fn begin_session(&mut self, now: u64) -> io::Result<String> {
        let session = random()?;
        self.sessions.retain(|(_, end)| *end > now);
        if self.sessions.len() >= MOST_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push((session.clone(), now + SESSION_MS));
        Ok(session)
    }

    /// Whether a session is good.
    pub(super) fn knows(&self, session: &str, now: u64) -> bool {
        self.sessions
            .iter()
            .filter(|(_, end)| *end > now)
            .fold(false, |known, (good, _)| known | is_same(good, session))
    }

    /// Ends a session.
    pub(super) fn end_session(&mut self, session: &str) {
        self.sessions.retain(|(good, _)| !is_same(good, session));
    }
}

/// Writes a token to a file that is there whole or not at all.
fn put(file: &Path, token: &str) -> io::Result<()> {
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut made| made.write_all(format!("{token}\n").as_bytes()))
        .and_then(|()| std::fs::hard_link(&new, file));
    let _ = std::fs::remove_file(&new);
    made
}

fn is_same(good: &str, offered: &str) -> bool {
    if good.len() != offered.len() {
        return false;
    }
    let pairs = good.bytes().zip(offered.bytes());
    let difference = pairs.fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    difference == 0
}

/// A secret nobody can guess, in hexadecimal digits.
fn random() -> io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt as _;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn only_the_token_lets_in() {
        let mut keys = Keys::new(Some(Token::parse(SECRET).unwrap()));
        assert_eq!(keys.try_token(SECRET, ip(1), 0), Ok(()));
        for wrong in ["", "0", &SECRET[1..], &SECRET.to_uppercase()] {
            assert_eq!(keys.try_token(wrong, ip(1), 0), Err(Denied::Wrong));
        }
        let mut none = Keys::new(None);
        assert_eq!(none.try_token("", ip(1), 0), Err(Denied::Wrong));
    }

    #[test]
    fn guessing_is_slow_and_disturbs_only_its_own_address() {
        let mut keys = Keys::new(Some(Token::parse(SECRET).unwrap()));
        for _ in 0..MOST_FAILURES {
            assert_eq!(keys.try_token("guess", ip(1), 1000), Err(Denied::Wrong));
        }
        assert_eq!(
            keys.try_token(SECRET, ip(1), 1000),
            Err(Denied::TooMany(60))
        );
        assert_eq!(keys.try_token(SECRET, ip(2), 1000), Ok(()));
        assert_eq!(keys.try_token(SECRET, ip(1), 61_000), Ok(()));
        for last in 0..=255 {
            for block in 0..5 {
                let from = IpAddr::from([10, block, 0, last]);
                let _ = keys.try_token("guess", from, 70_000);
            }
        }
        assert!(keys.failures.len() <= MOST_ADDRESSES);
    }

    #[test]
    fn sessions_end() {
        let mut keys = Keys::new(None);
        let session = keys.begin_session(0).unwrap();
        assert!(keys.knows(&session, SESSION_MS - 1) && !keys.knows(&session, SESSION_MS));
        assert!(!keys.knows("", 0));
        for _ in 0..MOST_SESSIONS {
            keys.begin_session(1).unwrap();
        }
        assert!(!keys.knows(&session, 1) && keys.sessions.len() == MOST_SESSIONS);
        let other = keys.begin_session(1).unwrap();
        keys.end_session(&other);
        assert!(!keys.knows(&other, 1));
    }

    #[test]
    fn a_folder_gets_one_token_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::of_folder(folder.path()).unwrap();
        assert!(token.is(Token::of_folder(folder.path()).unwrap().secret()));
        let file = folder.path().join(TOKEN_FILE);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "short\n").unwrap();
        assert!(Token::of_folder(folder.path()).is_err());
        // What a full disk leaves.
        std::fs::write(&file, "").unwrap();
        Token::of_folder(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
