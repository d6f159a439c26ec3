//! `FILE_CHUNK`: a compressed piece of a file. Compressing is the business of [`chunk`](crate::chunk).

use super::{Body, DecodeError, EncodeError, field};
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

impl FileChunk {
    /// Whether a peer at `version` can make anything of it. Some peers skip a chunk they cannot
    /// decompress and compile what is left, so a wrong one must never leave.
    pub(super) fn check(&self, version: ProtocolVersion) -> Result<(), EncodeError> {
        let codec_known = version.at_least(CODEC_SINCE) || self.codec == ChunkCodec::Lzo;
        let lengths_possible = self.uncompressed_len as usize <= MAX_CHUNK
            && (self.uncompressed_len == 0 || !self.data.is_empty());
        if codec_known && lengths_possible {
            return Ok(());
        }
        Err(EncodeError::Chunk {
            message: NAME,
            uncompressed: self.uncompressed_len,
            compressed: self.data.len(),
            codec: self.codec,
            version: version.number(),
        })
    }
}

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
        }
        to.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn a_chunk_the_peer_cannot_read_is_never_sent() {
        let good = FileChunk {
            uncompressed_len: 3,
            codec: ChunkCodec::Zstd,
            data: vec![1, 2, 3],
        };
        let empty = FileChunk {
            data: Vec::new(),
            ..good.clone()
        };
        let long = FileChunk {
            uncompressed_len: MAX_CHUNK as u32 + 1,
            ..good.clone()
        };
        for (chunk, version, sent) in [
            (&good, 40, true),
            (&good, 39, false),
            (&empty, 40, false),
            (&long, 40, false),
        ] {
            let version = ProtocolVersion::new(version).unwrap();
            let mut out = b"before".to_vec();
            let result = Message::FileChunk(chunk.clone()).encode(version, &mut out);
            assert_eq!(result.is_ok(), sent, "{result:?}");
            assert_eq!(out.len() > 6, sent, "nothing is left behind");
        }
    }
}
