//! From the bytes of an archive file to tar bytes: finds the compression by magic number, and counts on both sides so
//! that a small archive cannot become a huge one. Knows nothing of tar.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::{Limits, UnpackError};

/// Decoder memory for xz: what its highest preset needs, with room.
const XZ_MEMORY: u64 = 128 << 20;
/// Largest zstd window, as power of two: zstd's own default for untrusted input (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;

/// Tar bytes, bounded.
pub(super) struct Decoded<'a> {
    decoder: Box<dyn Read + 'a>,
    taken: Rc<Cell<u64>>,
    given: u64,
    limits: Limits,
}

impl<'a> Decoded<'a> {
    pub(super) fn new(input: impl Read + 'a, limits: Limits) -> Result<Self, UnpackError> {
        let taken = Rc::new(Cell::new(0));
        let counted = Counted {
            input,
            taken: Rc::clone(&taken),
        };
        let input = Prefixed::new(counted, 6).map_err(read_error)?;
        let magic = input.prefix();
        let decoder: Box<dyn Read + 'a> = if magic.is_empty() {
            return Err(UnpackError::Truncated("its first bytes (it is empty)"));
        } else if magic.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(input.buffered()))
        } else if magic.starts_with(b"BZh") {
            Box::new(bzip2::bufread::MultiBzDecoder::new(input.buffered()))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input.buffered()).map_err(read_error)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(read_error)?;
            Box::new(decoder)
        } else if magic.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )
            .map_err(|error| read_error(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(
                input.buffered(),
                stream,
            ))
        } else {
            Box::new(input.buffered())
        };
        Ok(Self {
            decoder,
            taken,
            given: 0,
            limits,
        })
    }

    /// As [`Read::read`], within the limits. `within` says what is being read, for the message if the data ends;
    /// 0 bytes means that it ended.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let count = loop {
            match self.decoder.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(read_error)?,
            }
        };
        self.given = self.given.saturating_add(count as u64);
        if self.given > self.limits.unpacked_bytes {
            return Err(UnpackError::TooLarge {
                limit: self.limits.unpacked_bytes,
                unit: "bytes unpacked",
            });
        }
        if self.given > self.limits.ratio_floor
            && self.given / self.limits.ratio.max(1) > self.taken.get()
        {
            return Err(UnpackError::TooLarge {
                limit: self.limits.ratio,
                unit: "bytes unpacked for each compressed byte",
            });
        }
        Ok(count)
    }

    /// Fills the buffer, or says that the archive ended `within` something.
    pub(super) fn read_exact(
        &mut self,
        mut buffer: &mut [u8],
        within: &'static str,
    ) -> Result<(), UnpackError> {
        while !buffer.is_empty() {
            let count = self.read(buffer)?;
            if count == 0 {
                return Err(UnpackError::Truncated(within));
            }
            buffer = buffer.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }
}

fn read_error(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::ConnectionAborted => UnpackError::Aborted,
        io::ErrorKind::UnexpectedEof => UnpackError::Truncated("its compressed data"),
        _ => UnpackError::Damaged(error.to_string()),
    }
}

struct Counted<R> {
    input: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken
            .set(self.taken.get().saturating_add(count as u64));
        Ok(count)
    }
}

/// An input whose first bytes were looked at.
struct Prefixed<R> {
    prefix: Vec<u8>,
    input: R,
}

impl<R: Read> Prefixed<R> {
    fn new(mut input: R, length: u64) -> io::Result<Self> {
        let mut prefix = Vec::new();
        input.by_ref().take(length).read_to_end(&mut prefix)?;
        Ok(Self { prefix, input })
    }

    fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    fn buffered(self) -> impl BufRead {
        BufReader::with_capacity(64 << 10, io::Cursor::new(self.prefix).chain(self.input))
    }
}
