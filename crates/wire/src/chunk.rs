//! Compressing and decompressing file chunks. Each chunk stands alone; nothing is ever sent raw.

use thiserror::Error;

use crate::lzo;
use crate::msg::{ChunkCodec, FileChunk, MAX_CHUNK};
use crate::version::ProtocolVersion;

/// How much of a file goes into one chunk, in bytes; what Icecream uses.
pub const CHUNK_SIZE: usize = 100_000;

/// The zstd level used unless `ICECC_COMPRESSION` says otherwise.
pub const DEFAULT_LEVEL: i32 = 1;

/// The first version that understands zstd chunks.
const ZSTD_SINCE: u32 = 40;

/// Why a chunk holds no data.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// More than a receiver accepts.
    #[error("a chunk of {length} bytes, {MAX_CHUNK} are allowed")]
    TooLong {
        /// Uncompressed length in bytes.
        length: usize,
    },
    /// The data is no stream of its kind.
    #[error("the {codec:?} data of a chunk is damaged")]
    Damaged {
        /// What it was said to be.
        codec: ChunkCodec,
    },
    /// The data unpacks to another length than the chunk says.
    #[error("a chunk unpacks to {real} bytes where it claims {claimed}")]
    Length {
        /// What `uncompressed_len` says.
        claimed: usize,
        /// What came out.
        real: usize,
    },
    /// The compressor refused.
    #[error("compression failed: {0}")]
    Compress(String),
}

/// Makes chunks for one connection.
pub struct Compressor {
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// For a peer at `version`; `level` is zstd's and ignored below version 40. A level zstd does not
    /// know is brought into its range.
    pub fn new(version: ProtocolVersion, level: i32) -> Result<Compressor, ChunkError> {
        if !version.at_least(ZSTD_SINCE) {
            return Ok(Compressor { zstd: None });
        }
        let range = zstd::compression_level_range();
        let level = level.clamp(*range.start(), *range.end());
        let zstd = zstd::bulk::Compressor::new(level)
            .map_err(|error| ChunkError::Compress(error.to_string()))?;
        Ok(Compressor { zstd: Some(zstd) })
    }

    /// One chunk of at most [`MAX_CHUNK`] bytes. Data near that limit that does not shrink makes a
    /// frame no peer takes; pieces of [`CHUNK_SIZE`] always fit.
    pub fn compress(&mut self, data: &[u8]) -> Result<FileChunk, ChunkError> {
        let uncompressed_len = match u32::try_from(data.len()) {
            Ok(length) if data.len() <= MAX_CHUNK => length,
            _ => return Err(ChunkError::TooLong { length: data.len() }),
        };
        let (codec, data) = match &mut self.zstd {
            None => (ChunkCodec::Lzo, lzo::compress(data)),
            Some(zstd) => {
                let data = zstd
                    .compress(data)
                    .map_err(|error| ChunkError::Compress(error.to_string()))?;
                (ChunkCodec::Zstd, data)
            }
        };
        Ok(FileChunk {
            uncompressed_len,
            codec,
            data,
        })
    }
}

impl FileChunk {
    /// The data, exactly `uncompressed_len` bytes of it. Allocates no more than [`MAX_CHUNK`].
    pub fn decompress(&self) -> Result<Vec<u8>, ChunkError> {
        let claimed = self.uncompressed_len as usize;
        if claimed > MAX_CHUNK {
            return Err(ChunkError::TooLong { length: claimed });
        }
        if claimed == 0 && self.data.is_empty() {
            return Ok(Vec::new());
        }
        let codec = self.codec;
        let damaged = ChunkError::Damaged { codec };
        let mut data = vec![0; claimed];
        let real = match codec {
            ChunkCodec::Zstd => zstd::bulk::decompress_to_buffer(&self.data, &mut data).ok(),
            ChunkCodec::Lzo => lzokay::decompress::decompress(&self.data, &mut data).ok(),
        }
        .ok_or(damaged)?;
        if real != claimed {
            return Err(ChunkError::Length { claimed, real });
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_whole_at_both_codecs() {
        for version in [39, 40] {
            let version = ProtocolVersion::new(version).unwrap();
            let mut compressor = Compressor::new(version, DEFAULT_LEVEL).unwrap();
            for data in [
                &b""[..],
                b"a",
                b"abcabcabcabcabcabcabcabcabcabc",
                &[7; 100_000],
            ] {
                let chunk = compressor.compress(data).unwrap();
                assert_eq!(chunk.decompress().unwrap(), data);
            }
        }
    }

    #[test]
    fn a_wrong_length_is_an_error() {
        let mut compressor = Compressor::new(ProtocolVersion::NEWEST, DEFAULT_LEVEL).unwrap();
        let mut chunk = compressor.compress(b"twelve bytes").unwrap();
        chunk.uncompressed_len = 13;
        assert_eq!(
            chunk.decompress(),
            Err(ChunkError::Length {
                claimed: 13,
                real: 12
            })
        );
    }
}
