//! Sending a result: the message, then each file in compressed pieces, read and compressed on a blocking thread.

use std::fs::File;
use std::io::{self, Read};

use gelato_net::NetError;
use gelato_net::stream::Writer;
use gelato_wire::chunk::{CHUNK_SIZE, ChunkError, Compressor};
use gelato_wire::msg::{CompileResult, FileChunk};
use gelato_wire::{Message, ProtocolVersion};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Pieces between the compressing thread and the network.
const QUEUE: usize = 4;

/// Why a result did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The connection.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The object could not be read.
    #[error("cannot read a result: {0}")]
    Read(#[from] io::Error),
    /// The object could not be compressed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}

/// Sends a result with its files.
pub(crate) async fn send(
    writer: &mut Writer,
    result: CompileResult,
    files: Vec<File>,
    compression: i32,
) -> Result<(), SendError> {
    writer.send(&Message::CompileResult(result)).await?;
    for file in files {
        send_file(writer, file, compression).await?;
    }
    Ok(())
}

async fn send_file(writer: &mut Writer, file: File, compression: i32) -> Result<(), SendError> {
    let (pieces, mut queue) = mpsc::channel(QUEUE);
    let version = writer.version();
    // Ends by itself when the queue is gone.
    spawn_blocking(move || {
        if let Err(error) = compress(file, version, compression, &pieces) {
            let _nobody_listens = pieces.blocking_send(Err(error));
        }
    });
    while let Some(piece) = queue.recv().await {
        match piece? {
            Some(chunk) => writer.send(&Message::FileChunk(chunk)).await?,
            None => {
                writer.send(&Message::End).await?;
                return Ok(());
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

type Piece = Result<Option<FileChunk>, SendError>;

fn compress(
    mut file: File,
    version: ProtocolVersion,
    level: i32,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), SendError> {
    let mut compressor = Compressor::new(version, level)?;
    let mut buffer = Vec::with_capacity(CHUNK_SIZE);
    loop {
        buffer.clear();
        let n = file
            .by_ref()
            .take(CHUNK_SIZE as u64)
            .read_to_end(&mut buffer)?;
        let piece = if n == 0 {
            None
        } else {
            Some(compressor.compress(&buffer)?)
        };
        let last = piece.is_none();
        if pieces.blocking_send(Ok(piece)).is_err() || last {
            return Ok(());
        }
    }
}
