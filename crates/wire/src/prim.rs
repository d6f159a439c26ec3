//! Bounds-checked reading and writing of the protocol's primitive types.
//!
//! Integers are big-endian. A string is its length including a final NUL, then the bytes and the
//! NUL. Lists are a count and that many items. Nothing is allocated for a count or a length before
//! the bytes it speaks of are known to be there.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use thiserror::Error;

/// A string as the protocol carries it: bytes of no promised encoding, never with a NUL inside.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteString(Vec<u8>);

impl ByteString {
    /// Takes the bytes up to the first NUL, as a reader on the other side would.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> ByteString {
        let mut bytes = bytes.into();
        if let Some(nul) = bytes.iter().position(|&b| b == 0) {
            bytes.truncate(nul);
        }
        ByteString(bytes)
    }

    /// Takes all bytes but the NULs: for what a compiler prints, of which nothing else may be lost.
    pub fn without_nuls(bytes: impl Into<Vec<u8>>) -> ByteString {
        let mut bytes = bytes.into();
        bytes.retain(|&b| b != 0);
        ByteString(bytes)
    }

    /// The bytes without the final NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as an operating system string, for paths and arguments.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// Text for people; bytes that are not UTF-8 become replacement characters.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes without the final NUL.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), f)
    }
}

impl fmt::Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_string_lossy(), f)
    }
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        ByteString::from_bytes(text)
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        ByteString::from_bytes(text)
    }
}

impl From<&OsStr> for ByteString {
    fn from(text: &OsStr) -> Self {
        ByteString::from_bytes(text.as_bytes())
    }
}

impl From<&OsString> for ByteString {
    fn from(text: &OsString) -> Self {
        ByteString::from_bytes(text.as_bytes())
    }
}

impl PartialEq<str> for ByteString {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ByteString {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// A toolchain as the protocol names it: the platform it runs on (or, in a login, compiles for)
/// and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment {
    /// For instance `x86_64`.
    pub platform: ByteString,
    /// The archive's file name without folder and suffix.
    pub name: ByteString,
}

/// Why a field could not be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FieldError {
    /// The message ends inside the field.
    #[error("the message ends {missing} bytes too early")]
    Short {
        /// How many more bytes the field would need.
        missing: usize,
    },
    /// The last byte of a string is not NUL.
    #[error("the string has no final NUL")]
    Unterminated,
    /// A list says it has more items than could fit into the rest of the message.
    #[error("the list claims {count} items where {left} bytes are left")]
    TooMany {
        /// What the list claims.
        count: u32,
        /// What is left of the message, in bytes.
        left: usize,
    },
    /// A number lies outside what the field allows.
    #[error("{value} is not allowed here")]
    Value {
        /// What was read.
        value: u32,
    },
}

/// Reads fields one after the other from the body of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Reader { rest: body }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], FieldError> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(FieldError::Short {
                missing: n - self.rest.len(),
            }),
        }
    }

    /// The next big-endian number.
    pub fn u32(&mut self) -> Result<u32, FieldError> {
        match self.rest.split_first_chunk::<4>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(u32::from_be_bytes(*head))
            }
            None => Err(FieldError::Short {
                missing: 4 - self.rest.len(),
            }),
        }
    }

    /// A list of items of which each takes at least `smallest` bytes.
    fn list<T: Field>(&mut self, smallest: usize) -> Result<Vec<T>, FieldError> {
        let count = self.u32()?;
        let left = self.rest.len();
        if count as usize > left / smallest {
            return Err(FieldError::TooMany { count, left });
        }
        let mut items = Vec::with_capacity(count as usize);
        for _ in 0..count {
            items.push(T::read(self)?);
        }
        Ok(items)
    }
}

/// A type that can be a field of a message.
pub trait Field: Sized {
    /// Takes one value from the front of `from`.
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError>;
    /// Appends the value to `to`.
    fn write(&self, to: &mut Vec<u8>);
}

impl Field for u32 {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        from.u32()
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field for i32 {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        Ok(from.u32()?.cast_signed())
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field for bool {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        Ok(from.u32()? != 0)
    }

    fn write(&self, to: &mut Vec<u8>) {
        u32::from(*self).write(to);
    }
}

impl Field for ByteString {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        let length = from.u32()? as usize;
        let bytes = from.bytes(length)?;
        match bytes.split_last() {
            // No writer sends a length of 0, but readers have always taken it as empty.
            None => Ok(ByteString::default()),
            Some((0, text)) => {
                let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
                Ok(ByteString(text[..end].to_vec()))
            }
            Some(_) => Err(FieldError::Unterminated),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        // A longer string cannot be sent anyway: the whole frame is limited to 1 MiB.
        let length = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        length.write(to);
        to.extend_from_slice(&self.0);
        to.push(0);
    }
}

/// An empty string still takes its length word.
const SMALLEST_STRING: usize = 4;

impl Field for Vec<ByteString> {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        from.list(SMALLEST_STRING)
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_list(self, to);
    }
}

impl Field for Environment {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        Ok(Environment {
            platform: ByteString::read(from)?,
            name: ByteString::read(from)?,
        })
    }

    fn write(&self, to: &mut Vec<u8>) {
        self.platform.write(to);
        self.name.write(to);
    }
}

impl Field for Vec<Environment> {
    fn read(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        from.list(2 * SMALLEST_STRING)
    }

    fn write(&self, to: &mut Vec<u8>) {
        write_list(self, to);
    }
}

fn write_list<T: Field>(items: &[T], to: &mut Vec<u8>) {
    u32::try_from(items.len()).unwrap_or(u32::MAX).write(to);
    for item in items {
        item.write(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(bytes: &[u8]) -> Result<T, FieldError> {
        T::read(&mut Reader::new(bytes))
    }

    #[test]
    fn strings_end_at_the_first_nul() {
        let text: ByteString = read(b"\0\0\0\x06ab\0cd\0").unwrap();
        assert_eq!(text, "ab");
        let empty: ByteString = read(b"\0\0\0\0").unwrap();
        assert!(empty.is_empty());
    }

    #[test]
    fn a_string_must_be_terminated_and_present() {
        assert_eq!(
            read::<ByteString>(b"\0\0\0\x02ab"),
            Err(FieldError::Unterminated)
        );
        assert_eq!(
            read::<ByteString>(b"\0\0\0\x05ab"),
            Err(FieldError::Short { missing: 3 })
        );
    }

    #[test]
    fn a_count_larger_than_the_message_is_refused_unread() {
        assert_eq!(
            read::<Vec<Environment>>(b"\xff\xff\xff\xff\0\0\0\x01\0"),
            Err(FieldError::TooMany {
                count: u32::MAX,
                left: 5
            })
        );
    }

    #[test]
    fn made_from_bytes_it_never_holds_a_nul() {
        assert_eq!(ByteString::from_bytes(*b"ab\0cd").as_bytes(), b"ab");
        assert_eq!(ByteString::without_nuls(*b"ab\0cd").as_bytes(), b"abcd");
    }
}
