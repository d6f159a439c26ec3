//! Messages about toolchains: asking for one, sending one, checking one.

use super::message;
use crate::prim::ByteString;

message! {
    /// Wrapper to daemon: which archive holds this compiler?
    GetNativeEnv = "GET_NATIVE_ENV" {
        /// From version 41 the absolute path of the compiler; before, the word `gcc` or `clang`.
        compiler: ByteString where 32..,
        /// Absolute paths to be added to the toolchain.
        extra_files: Vec<ByteString> where 32..,
        /// `none`, `gzip`, `bzip2`, `zstd`, `xz`, or empty for gzip.
        compression: ByteString where 42..,
    }
}

message! {
    /// Daemon to wrapper: the archive asked for.
    NativeEnv = "NATIVE_ENV" {
        /// Path of the archive on this machine; the wrapper opens it itself.
        path: ByteString,
    }
}

message! {
    /// Wrapper to worker: a toolchain archive follows as chunks and `END`.
    TransferEnv = "TRANSFER_ENV" {
        /// Name of the toolchain: printable, no blank, no slash, not empty.
        name: ByteString,
        /// Platform; empty means the worker's own.
        target: ByteString,
    }
}

message! {
    /// Why the sender is about to close, or the answer to `GET_INTERNALS`.
    StatusText = "STATUS_TEXT" {
        /// Free text of one or several lines.
        text: ByteString,
    }
}

message! {
    /// Wrapper to worker: does this toolchain run there?
    VerifyEnv = "VERIFY_ENV" {
        /// Name of the toolchain.
        environment: ByteString,
        /// Platform.
        target: ByteString,
    }
}

message! {
    /// Worker to wrapper: the answer to `VERIFY_ENV`.
    VerifyEnvResult = "VERIFY_ENV_RESULT" {
        /// Whether it runs.
        ok: bool,
    }
}

message! {
    /// This toolchain does not run on that worker: do not send me there with it.
    BlacklistHostEnv = "BLACKLIST_HOST_ENV" {
        /// Name of the toolchain.
        environment: ByteString,
        /// The job's target platform.
        target: ByteString,
        /// Address of the worker as `USE_CS` gave it.
        hostname: ByteString,
    }
}
