//! Every message of the protocol as a type, and the dispatch between type numbers and types.
//!
//! The structs are declared with the `message!` macro: fields in wire order, and after `where` the
//! agreed versions in which a field exists (everywhere, if nothing is said). A field outside its
//! versions is not on the wire; reading leaves it at its default.

mod env;
mod file;
mod job;
mod login;
mod monitor;
mod own;

use thiserror::Error;

use crate::prim::{Field, FieldError, Reader};
use crate::version::ProtocolVersion;

pub use env::{
    BlacklistHostEnv, GetNativeEnv, NativeEnv, StatusText, TransferEnv, VerifyEnv, VerifyEnvResult,
};
pub use file::{ChunkCodec, FileChunk, MAX_CHUNK};
pub use job::{
    CompileFile, CompileResult, GetCs, JobBegin, JobDone, JobLocalBegin, JobLocalDone, NoCs, UseCs,
};
pub use login::{CsConf, Login, Stats};
pub use monitor::{MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
pub use own::{Answer, Ask, GELATO_SCHEDULER, JobRecords, MonNews, NodeNote, RECORDS_SINCE};

/// The largest frame, type word included and length word not: 1 MiB, as every peer enforces it.
pub const MAX_FRAME: usize = 1 << 20;

/// Why a frame is not a message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The frame is shorter than the word that says its type.
    #[error("the frame is too short to have a type")]
    NoType,
    /// No message has this number.
    #[error("message type {number} does not exist")]
    UnknownType {
        /// What stands in the type word.
        number: u32,
    },
    /// The message does not exist at the agreed version.
    #[error("{message} does not exist at protocol version {version}")]
    WrongVersion {
        /// Name of the message.
        message: &'static str,
        /// The agreed version.
        version: u32,
    },
    /// A field could not be read.
    #[error("{message}.{field}: {error}")]
    Field {
        /// Name of the message.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        error: FieldError,
    },
    /// Bytes are left over after the last field.
    #[error("{message} is followed by {left} bytes that do not belong to it")]
    TrailingBytes {
        /// Name of the message.
        message: &'static str,
        /// How many bytes are left over.
        left: usize,
    },
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// The frame would be larger than [`MAX_FRAME`].
    #[error("{message} would take {length} bytes, {MAX_FRAME} are allowed")]
    TooLong {
        /// Name of the message.
        message: &'static str,
        /// Length of the frame in bytes.
        length: usize,
    },
    /// The message does not exist at the agreed version.
    #[error("{message} does not exist at protocol version {version}")]
    WrongVersion {
        /// Name of the message.
        message: &'static str,
        /// The agreed version.
        version: u32,
    },
    /// The receiver would not survive the chunk, or would misread it.
    #[error(
        "{message} of {uncompressed} bytes as {compressed} bytes of {codec:?} data cannot be sent at protocol version {version}"
    )]
    Chunk {
        /// Name of the message.
        message: &'static str,
        /// `uncompressed_len`.
        uncompressed: u32,
        /// Length of the data.
        compressed: usize,
        /// How it is compressed.
        codec: ChunkCodec,
        /// The agreed version.
        version: u32,
    },
    /// The version exchange is not over yet.
    #[error("{message} cannot be sent before the version exchange is over")]
    NotConnected {
        /// Name of the message.
        message: &'static str,
    },
}

/// The fields of one message, without frame and type.
trait Body: Sized {
    fn read(version: ProtocolVersion, from: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn write(&self, version: ProtocolVersion, to: &mut Vec<u8>);
}

/// Declares a message: the struct, and its fields on the wire.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident = $text:literal {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty $(where $versions:expr)? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::msg::Body for $name {
            #[allow(unused_variables, reason = "most messages are the same at every version")]
            fn read(
                version: $crate::version::ProtocolVersion,
                from: &mut $crate::prim::Reader<'_>,
            ) -> Result<Self, $crate::msg::DecodeError> {
                $( let $field = if true $( && ($versions).contains(&version.number()) )? {
                    $crate::msg::field::<$type>(from, $text, stringify!($field))?
                } else {
                    <$type>::default()
                }; )*
                Ok($name { $($field),* })
            }

            #[allow(unused_variables, reason = "most messages are the same at every version")]
            fn write(&self, version: $crate::version::ProtocolVersion, to: &mut Vec<u8>) {
                let $name { $($field),* } = self;
                $( if true $( && ($versions).contains(&version.number()) )? {
                    $crate::prim::Field::write($field, to);
                } )*
            }
        }
    };
}
use message;

fn field<T: Field>(
    from: &mut Reader<'_>,
    message: &'static str,
    field: &'static str,
) -> Result<T, DecodeError> {
    T::read(from).map_err(|error| DecodeError::Field {
        message,
        field,
        error,
    })
}

/// Declares the enum of all messages from one table of number, name, variant, body and first version.
macro_rules! messages {
    ( $( $(#[$meta:meta])* $number:literal $text:literal $variant:ident $(($body:ty))? $(since $since:literal)? ),* $(,)? ) => {
        /// One message, either direction.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $( $(#[$meta])* $variant $(($body))?, )*
        }

        impl Message {
            /// The number in the type word.
            pub fn type_number(&self) -> u32 {
                match self {
                    $( messages!(@pattern $variant $(($body))?) => $number, )*
                }
            }

            /// The name, for instance `GET_CS`: Icecream's, where the message is.
            pub fn name(&self) -> &'static str {
                match self {
                    $( messages!(@pattern $variant $(($body))?) => $text, )*
                }
            }

            fn first_version(&self) -> u32 {
                match self {
                    $( messages!(@pattern $variant $(($body))?) => 21 $( .max($since) )?, )*
                }
            }

            fn write_body(&self, version: ProtocolVersion, to: &mut Vec<u8>) {
                match self {
                    $( messages!(@bind body $variant $(($body))?) => messages!(@write body version to $(($body))?), )*
                }
            }

            fn read_body(number: u32, version: ProtocolVersion, from: &mut Reader<'_>) -> Result<Message, DecodeError> {
                match number {
                    $( $number => {
                        $( if version.number() < $since {
                            return Err(DecodeError::WrongVersion { message: $text, version: version.number() });
                        } )?
                        Ok(messages!(@read version from $variant $(($body))?))
                    } )*
                    _ => Err(DecodeError::UnknownType { number }),
                }
            }
        }
    };
    (@pattern $variant:ident ($body:ty)) => { Message::$variant(_) };
    (@pattern $variant:ident) => { Message::$variant };
    (@bind $name:ident $variant:ident ($body:ty)) => { Message::$variant($name) };
    (@bind $name:ident $variant:ident) => { Message::$variant };
    (@write $name:ident $version:ident $to:ident ($body:ty)) => { Body::write($name, $version, $to) };
    (@write $name:ident $version:ident $to:ident) => { () };
    (@read $version:ident $from:ident $variant:ident ($body:ty)) => { Message::$variant(<$body as Body>::read($version, $from)?) };
    (@read $version:ident $from:ident $variant:ident) => { Message::$variant };
}

messages! {
    /// Scheduler and daemon ask each other for a sign of life; only below version 27.
    66 "PING" Ping,
    /// End of a file, good-bye, or refusal, depending on the place.
    67 "END" End,
    /// Wrapper to daemon: name the archive of this compiler.
    69 "GET_NATIVE_ENV" GetNativeEnv(GetNativeEnv),
    /// Daemon to wrapper: the archive asked for.
    70 "NATIVE_ENV" NativeEnv(NativeEnv),
    /// Wrapper to daemon to scheduler: a worker, please.
    71 "GET_CS" GetCs(GetCs),
    /// Scheduler to daemon to wrapper: the worker.
    72 "USE_CS" UseCs(UseCs),
    /// Wrapper to worker: a job. With environment `__client` to the own daemon: compiling it myself.
    73 "COMPILE_FILE" CompileFile(CompileFile),
    /// A piece of a file, either way.
    74 "FILE_CHUNK" FileChunk(FileChunk),
    /// Worker to wrapper: what became of the job.
    75 "COMPILE_RESULT" CompileResult(CompileResult),
    /// Daemon to scheduler: the job has begun.
    76 "JOB_BEGIN" JobBegin(JobBegin),
    /// Wrapper to daemon, daemon to scheduler: the job is over.
    77 "JOB_DONE" JobDone(JobDone),
    /// A local job wants a slot, has one, or began.
    78 "JOB_LOCAL_BEGIN" JobLocalBegin(JobLocalBegin),
    /// A local job is over.
    79 "JOB_LOCAL_DONE" JobLocalDone(JobLocalDone),
    /// Daemon to scheduler: here I am; again whenever the installed toolchains change.
    80 "LOGIN" Login(Login),
    /// Daemon to scheduler: load.
    81 "STATS" Stats(Stats),
    /// Monitor to scheduler: send me events.
    82 "MON_LOGIN" MonLogin,
    /// To monitors: a job was asked for.
    83 "MON_GET_CS" MonGetCs(MonGetCs),
    /// To monitors: a job began.
    84 "MON_JOB_BEGIN" MonJobBegin(MonJobBegin),
    /// To monitors: a job is over.
    85 "MON_JOB_DONE" MonJobDone(JobDone),
    /// To monitors: a local job began.
    86 "MON_LOCAL_JOB_BEGIN" MonLocalJobBegin(MonLocalJobBegin),
    /// To monitors: what is known of a daemon.
    87 "MON_STATS" MonStats(MonStats),
    /// Wrapper to worker: a toolchain archive follows.
    88 "TRANSFER_ENV" TransferEnv(TransferEnv),
    /// Text: the reason of a failure, or the answer to `GET_INTERNALS`.
    90 "STATUS_TEXT" StatusText(StatusText),
    /// Scheduler to daemon: describe yourself.
    91 "GET_INTERNALS" GetInternals,
    /// Scheduler to daemon: your intervals.
    92 "CS_CONF" CsConf(CsConf) since 24,
    /// Wrapper to worker: does this toolchain run there?
    93 "VERIFY_ENV" VerifyEnv(VerifyEnv) since 31,
    /// Worker to wrapper: whether it runs.
    94 "VERIFY_ENV_RESULT" VerifyEnvResult(VerifyEnvResult) since 31,
    /// Wrapper to daemon to scheduler: this toolchain does not run on that worker.
    95 "BLACKLIST_HOST_ENV" BlacklistHostEnv(BlacklistHostEnv) since 31,
    /// Scheduler to daemon: compile it on the submitting machine.
    96 "NO_CS" NoCs(NoCs) since 37,
    /// Gelato's alone: operator's command to the daemon of this machine.
    1001 "ASK" Ask(Ask) since 44,
    /// Gelato's alone: the daemon's answer to `ASK`.
    1002 "ANSWER" Answer(Answer) since 44,
    /// Gelato's alone: daemon to scheduler, what people should know of the node.
    1003 "NODE_NOTE" NodeNote(NodeNote) since 44,
    /// Gelato's alone: daemon to scheduler, jobs that are over.
    1004 "JOB_RECORDS" JobRecords(JobRecords) since 44,
    /// Gelato's alone: scheduler to monitor, what Icecream's messages cannot say.
    1005 "MON_NEWS" MonNews(MonNews) since 44,
}

impl Message {
    /// Appends the whole frame, length word included, to `to`. On an error `to` is as it was.
    pub fn encode(&self, version: ProtocolVersion, to: &mut Vec<u8>) -> Result<(), EncodeError> {
        let message = self.name();
        if version.number() < self.first_version() {
            return Err(EncodeError::WrongVersion {
                message,
                version: version.number(),
            });
        }
        if let Message::FileChunk(chunk) = self {
            chunk.check(version)?;
        }
        let start = to.len();
        0u32.write(to);
        self.type_number().write(to);
        match self {
            Message::JobDone(done) => done.for_version(version).write(version, to),
            other => other.write_body(version, to),
        }
        let length = to.len() - start - 4;
        match u32::try_from(length) {
            Ok(word) if length <= MAX_FRAME => {
                to[start..start + 4].copy_from_slice(&word.to_be_bytes());
                Ok(())
            }
            _ => {
                to.truncate(start);
                Err(EncodeError::TooLong { message, length })
            }
        }
    }

    /// Reads a frame without its length word: type, fields, and nothing after them.
    ///
    /// Icecream takes a missing last number for 0 as long as nothing has arrived behind it. That hangs
    /// on timing and nobody sends such messages; here they are too short like any other.
    pub fn decode(version: ProtocolVersion, frame: &[u8]) -> Result<Message, DecodeError> {
        Self::decode_numbered(version, frame, |number| number)
    }

    /// As [`decode`](Self::decode), on a connection from a scheduler to a monitor.
    ///
    /// Development versions of Icecream number two messages wrongly there: 71 is `MON_GET_CS` and 77
    /// is `MON_JOB_DONE`.
    pub fn decode_for_monitor(
        version: ProtocolVersion,
        frame: &[u8],
    ) -> Result<Message, DecodeError> {
        Self::decode_numbered(version, frame, |number| match number {
            71 => 83,
            77 => 85,
            other => other,
        })
    }

    fn decode_numbered(
        version: ProtocolVersion,
        frame: &[u8],
        renumber: impl Fn(u32) -> u32,
    ) -> Result<Message, DecodeError> {
        let mut from = Reader::new(frame);
        let number = renumber(from.u32().map_err(|_| DecodeError::NoType)?);
        let message = Self::read_body(number, version, &mut from)?;
        match from.rest().len() {
            0 => Ok(message),
            left => Err(DecodeError::TrailingBytes {
                message: message.name(),
                left,
            }),
        }
    }
}
