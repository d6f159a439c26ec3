//! `FILE_CHUNK`: a compressed piece of a file. Compressing is the business of [`chunk`](crate::chunk).

use super::{Body, DecodeError, field};
use crate::prim::{Field, FieldError, Reader};
use crate::version::ProtocolVersion;

/// The largest chunk a receiver accepts, uncompressed: 1 MiB.
pub const MAX_CHUNK: usize = 1 << 20;

/// The first version whose chunks say how they are compressed.
const CODEC_SINCE: u32 = 40;

/// How a chunk is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChunkCodec {
    /// One raw LZO1X block. The only one below version 40.
    #[default]
    Lzo,
    /// One zstd frame without dictionary.
    Zstd,
}

impl ChunkCodec {
    fn number(self) -> u32 {
        match self {
            ChunkCodec::Lzo => 0,
            ChunkCodec::Zstd => 1,
        }
    }
}

/// A piece of a file, each compressed on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileChunk {
    /// Length after decompression in bytes, at most [`MAX_CHUNK`] when received.
    pub uncompressed_len: u32,
    /// How `data` is compressed. Below version 40 it must be [`ChunkCodec::Lzo`].
    pub codec: ChunkCodec,
    /// The compressed bytes; not empty unless `uncompressed_len` is 0.
    pub data: Vec<u8>,
}

const NAME: &str = "FILE_CHUNK";

impl Body for FileChunk {
    fn read(version: ProtocolVersion, from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wrong = |field, value| DecodeError::Field {
            message: NAME,
            field,
            error: FieldError::Value { value },
        };
        let uncompressed_len: u32 = field(from, NAME, "uncompressed_len")?;
        if uncompressed_len as usize > MAX_CHUNK {
            return Err(wrong("uncompressed_len", uncompressed_len));
        }
        let compressed_len: u32 = field(from, NAME, "compressed_len")?;
        if compressed_len == 0 && uncompressed_len != 0 {
            return Err(wrong("compressed_len", 0));
        }
        let codec = if version.at_least(CODEC_SINCE) {
            match field(from, NAME, "compression")? {
                0 => ChunkCodec::Lzo,
                1 => ChunkCodec::Zstd,
                other => return Err(wrong("compression", other)),
            }
        } else {
            ChunkCodec::Lzo
        };
        let data = from
            .bytes(compressed_len as usize)
            .map_err(|error| DecodeError::Field {
                message: NAME,
                field: "data",
                error,
            })?;
        Ok(FileChunk {
            uncompressed_len,
            codec,
            data: data.to_vec(),
        })
    }

    fn write(&self, version: ProtocolVersion, to: &mut Vec<u8>) {
        self.uncompressed_len.write(to);
        u32::try_from(self.data.len()).unwrap_or(u32::MAX).write(to);
        if version.at_least(CODEC_SINCE) {
            self.codec.number().write(to);
        } else {
            debug_assert_eq!(self.codec, ChunkCodec::Lzo);
        }
        to.extend_from_slice(&self.data);
    }
}
