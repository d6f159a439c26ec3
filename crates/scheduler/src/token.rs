//! The control token: who knows it may change things over the control port from anywhere. Kept in a file that only its
//! owner reads; never logged, never shown.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Hexadecimal digits of a token we make, and the fewest of one that is given.
const DIGITS: usize = 32;

/// The most of one that is given.
const MOST_DIGITS: usize = 128;

/// Name of the file in the state folder.
pub const FILE: &str = "control-token";

/// A secret of 32 to 128 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("cannot use the control token {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds something else.
    #[error("the control token {} is not 32 to 128 hexadecimal digits; remove it for a new one", .0.display())]
    Malformed(PathBuf),
}

impl Token {
    /// Reads the digits, in any case, with blanks around them.
    pub fn parse(text: &str) -> Option<Token> {
        let digits = text.trim();
        let is_token = (DIGITS..=MOST_DIGITS).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_token.then(|| Token(digits.to_ascii_lowercase()))
    }

    /// A new one.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn random() -> io::Result<Token> {
        let mut bytes = [0; DIGITS / 2];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Token(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// The token in a file.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn load(path: &Path) -> Result<Token, TokenError> {
        let failed = |error| TokenError::File {
            path: path.to_owned(),
            error,
        };
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(
                "others may read the control token {}: do chmod 600, and make a new one",
                path.display()
            );
        }
        let mut text = String::new();
        file.take(4096)
            .read_to_string(&mut text)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => TokenError::Malformed(path.to_owned()),
                _ => failed(error),
            })?;
        Token::parse(&text).ok_or_else(|| TokenError::Malformed(path.to_owned()))
    }

    /// The token in a file, which is made if there is none.
    ///
    /// # Errors
    /// It can be neither read nor made, or holds something else.
    pub fn load_or_make(path: &Path) -> Result<Token, TokenError> {
        match Token::load(path) {
            Err(TokenError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let made = Token::random().and_then(|token| token.store(path));
        match made {
            Ok(()) => {}
            // Another scheduler of this user was faster: its token is the one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let path = path.to_owned();
                return Err(TokenError::File { path, error });
            }
        }
        Token::load(path)
    }

    /// Whether this is the token. Takes equally long for all words of its length.
    pub fn is(&self, word: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), word.as_bytes());
        let mut difference = usize::from(own.len() != other.len());
        for (a, b) in own.iter().zip(other) {
            difference |= usize::from(a ^ b.to_ascii_lowercase());
        }
        std::hint::black_box(difference) == 0
    }

    /// The digits, for somebody of the same machine and user who is to say them.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Puts it in place whole, or not at all.
    fn store(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            writeln!(file, "{}", self.0)?;
            file.sync_all()?;
            fs::hard_link(&new, path)
        };
        let written = write();
        let _ = fs::remove_file(&new);
        written
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "0123456789abcdef0123456789ABCDEF";

    #[test]
    fn only_the_very_digits_are_the_token() {
        let token = Token::parse(&format!(" {WORD}\n")).unwrap();
        assert!(token.is(WORD) && token.is(&WORD.to_lowercase()));
        for wrong in [
            "",
            "0",
            &WORD[1..],
            &format!("{WORD}0"),
            &WORD.replace('0', "1"),
        ] {
            assert!(!token.is(wrong), "{wrong}");
        }
        for wrong in ["", &WORD[1..], &WORD.replace('0', "x"), &WORD.repeat(5)] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn one_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = Token::load_or_make(&path).unwrap();
        assert_eq!(first.digits().len(), DIGITS);
        assert_eq!(Token::load_or_make(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(Token::random().unwrap(), first);
        // The faster one's stays.
        assert!(Token::random().unwrap().store(&path).is_err());
        assert_eq!(Token::load(&path).unwrap(), first);
    }

    #[test]
    fn a_file_with_something_else_is_no_token_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for content in [&b""[..], b"secret", &[0xff; 40]] {
            fs::write(&path, content).unwrap();
            let error = Token::load_or_make(&path).unwrap_err();
            assert!(matches!(error, TokenError::Malformed(_)), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        let nowhere = Token::load_or_make(Path::new("/nonexistent/folder/token"));
        assert!(nowhere.unwrap_err().to_string().contains("/nonexistent/"));
    }
}
