//! The compressions an archive may have, and single-threaded encoders whose output depends on the input only.

use std::fs::File;
use std::io::{self, Write};
use std::str::FromStr;

/// Compression of an archive. The words, their short forms and the suffixes are Icecream's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Plain tar.
    None,
    /// What every worker understands.
    #[default]
    Gzip,
    /// Smaller than gzip, and slower.
    Bzip2,
    /// As small as gzip and quicker; a worker announces whether it understands it.
    Zstd,
    /// Smallest and slowest; a worker announces whether it understands it.
    Xz,
}

/// A word that names no compression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression `{0}`: use none, gzip, bzip2, zstd or xz")]
pub struct UnknownCompression(String);

impl Compression {
    /// What follows `.tar` in the file name: empty, `.gz`, `.bz2`, `.zst` or `.xz`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
            Self::Zstd => ".zst",
            Self::Xz => ".xz",
        }
    }

    /// The word used on command lines and in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
        }
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "none" => Ok(Self::None),
            "gzip" | "gz" => Ok(Self::Gzip),
            "bzip2" | "bz2" => Ok(Self::Bzip2),
            "zstd" => Ok(Self::Zstd),
            "xz" => Ok(Self::Xz),
            _ => Err(UnknownCompression(word.to_owned())),
        }
    }
}

/// Compresses into a file.
pub(crate) enum Encoder {
    None(File),
    Gzip(flate2::write::GzEncoder<File>),
    Bzip2(bzip2::write::BzEncoder<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
    Xz(liblzma::write::XzEncoder<File>),
}

impl Encoder {
    pub(crate) fn new(compression: Compression, file: File) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(file),
            // The header of the encoder's default carries neither a time nor a file name.
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(
                file,
                flate2::Compression::new(6),
            )),
            Compression::Bzip2 => Self::Bzip2(bzip2::write::BzEncoder::new(
                file,
                bzip2::Compression::best(),
            )),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(file, 9)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Xz => Self::Xz(liblzma::write::XzEncoder::new(file, 6)),
        })
    }

    /// Writes what is still inside and gives the file back.
    pub(crate) fn finish(self) -> io::Result<File> {
        match self {
            Self::None(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
        }
    }

    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::None(file) => file,
            Self::Gzip(encoder) => encoder,
            Self::Bzip2(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
            Self::Xz(encoder) => encoder,
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.inner().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_short_forms_are_icecreams() {
        for (word, compression, suffix) in [
            ("none", Compression::None, ""),
            ("gzip", Compression::Gzip, ".gz"),
            ("gz", Compression::Gzip, ".gz"),
            ("bzip2", Compression::Bzip2, ".bz2"),
            ("bz2", Compression::Bzip2, ".bz2"),
            ("zstd", Compression::Zstd, ".zst"),
            ("xz", Compression::Xz, ".xz"),
        ] {
            assert_eq!(word.parse(), Ok(compression));
            assert_eq!(compression.suffix(), suffix);
            assert_eq!(compression.word().parse(), Ok(compression));
        }
        assert!("".parse::<Compression>().is_err());
        assert!("GZIP".parse::<Compression>().is_err());
    }
}
