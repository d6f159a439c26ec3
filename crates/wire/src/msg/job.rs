//! Messages about jobs: asking for a worker, sending the job, reporting its course.

use super::message;
use crate::prim::{ByteString, Environment};
use crate::types::{exit_codes, job_done_flags};
use crate::version::ProtocolVersion;

message! {
    /// A worker, please.
    GetCs = "GET_CS" {
        /// What could be sent: the platform a toolchain runs on, and its name.
        environments: Vec<Environment>,
        /// For display; shortened by every sender.
        filename: ByteString,
        /// Number of a [`Language`](crate::types::Language).
        language: u32,
        /// Number of answers wanted.
        count: u32,
        /// Platform code is wanted for.
        target: ByteString,
        /// Bits of [`arg_flags`](crate::types::arg_flags).
        arg_flags: u32,
        /// 0 from the wrapper; the daemon puts its own number for the connection here.
        client_id: u32,
        /// Node name or address the job must run on, or empty.
        preferred_host: ByteString where 22..,
        /// Whether workers must be able to verify toolchains: `minimal_host_version` of at least 31.
        ignore_unverified: bool where 31..,
        /// The lowest maximum version the worker may have.
        minimal_host_version: i32 where 34..,
        /// 0 from the wrapper; the daemon's number of client connections.
        client_count: u32 where 39..,
        /// Bits of [`features`](crate::types::features) the worker must have.
        required_features: u32 where 42..,
        /// Nice value of the wrapper's process, 0 to 20.
        niceness: u32 where 43..,
    }
}

message! {
    /// The worker for a job.
    UseCs = "USE_CS" {
        /// The scheduler's number for the job.
        job_id: u32,
        /// TCP port of the worker.
        port: u32,
        /// Numeric address of the worker; `127.0.0.1` towards a wrapper means "compile it yourself".
        hostname: ByteString,
        /// Which of the offered toolchains to use: the one that runs on this platform.
        host_platform: ByteString,
        /// Whether the worker has the toolchain already.
        got_env: bool,
        /// Copied from `GET_CS`.
        client_id: u32,
        /// An earlier job of this pair of machines, or 0; only logged.
        matched_job_id: u32 where 28..,
    }
}

message! {
    /// A job for a worker. The source follows as chunks and `END`.
    ///
    /// The sender fills `args` as well as `remote_args` and `rest_args`; which of them travel depends
    /// on the agreed version.
    CompileFile = "COMPILE_FILE" {
        /// Number of a [`Language`](crate::types::Language).
        language: u32,
        /// From `USE_CS`.
        job_id: u32,
        /// All arguments for the worker in command-line order.
        args: Vec<ByteString> where 41..,
        /// Arguments only the worker is to see. Below 30 preceded by `clang` if that is the compiler.
        remote_args: Vec<ByteString> where ..=40,
        /// Arguments for both sides; the worker appends them to `remote_args`.
        rest_args: Vec<ByteString> where ..=40,
        /// Name of the toolchain.
        environment: ByteString,
        /// Platform under which the toolchain is installed.
        target: ByteString,
        /// `gcc`, `g++` or `clang`: run as `/usr/bin/` and this.
        compiler_name: ByteString where 30..,
        /// As on the command line.
        input_file: ByteString where 34..,
        /// The wrapper's current folder.
        working_directory: ByteString where 34..,
        /// As on the command line.
        output_file: ByteString where 35..,
        /// Whether a `.dwo` file is to come back too.
        dwarf_fission: bool where 35..,
    }
}

message! {
    /// What became of a job. With status 0 the object follows as chunks and `END`, and the `.dwo`
    /// likewise if there is one.
    CompileResult = "COMPILE_RESULT" {
        /// The compiler's standard error.
        stderr: ByteString,
        /// The compiler's standard output.
        stdout: ByteString,
        /// Exit status of the compiler, or one of [`exit_codes`](crate::types::exit_codes).
        status: i32,
        /// The worker is to blame, not the source: compile it elsewhere.
        out_of_memory: bool,
        /// Whether a `.dwo` follows the object.
        have_dwo: bool where 35..,
    }
}

message! {
    /// A job has begun.
    JobBegin = "JOB_BEGIN" {
        /// The job.
        job_id: u32,
        /// Unix time on the sender's clock, in seconds.
        start_time: u32,
        /// Client connections of the sending daemon.
        client_count: u32 where 39..,
    }
}

message! {
    /// A job is over.
    JobDone = "JOB_DONE" {
        /// The job, or a client id if the flag says so.
        job_id: u32,
        /// Exit status of the compiler, or one of [`exit_codes`]. With a client id in `job_id`, peers
        /// below version 39 are sent [`exit_codes::UNKNOWN_JOB_ID`] instead.
        exitcode: i32,
        /// Wall time in ms.
        real_msec: u32,
        /// User CPU time in ms.
        user_msec: u32,
        /// System CPU time in ms.
        sys_msec: u32,
        /// Page faults and swaps.
        page_faults: u32,
        /// Bytes of source as received.
        in_compressed: u32,
        /// Bytes of source.
        in_uncompressed: u32,
        /// Bytes of the result as sent; Icecream's workers repeat `out_uncompressed`.
        out_compressed: u32,
        /// Bytes of the object and the `.dwo`.
        out_uncompressed: u32,
        /// Bits of [`job_done_flags`](crate::types::job_done_flags).
        flags: u32,
        /// Client connections of the sending daemon; 0 from a wrapper.
        client_count: u32 where 39..,
    }
}

impl JobDone {
    /// Whether `job_id` holds a client id, because the submitter never learned the job id.
    pub fn job_id_is_client_id(&self) -> bool {
        self.flags & job_done_flags::UNKNOWN_JOB_ID != 0
    }

    /// Readers below version 39 know a client id by an exit code of its own, not by the flag.
    pub(super) fn for_version(&self, version: ProtocolVersion) -> JobDone {
        let mut done = self.clone();
        if !version.at_least(39) && self.job_id_is_client_id() {
            done.exitcode = exit_codes::UNKNOWN_JOB_ID;
        }
        done
    }
}

message! {
    /// Wrapper to daemon: a local job wants a slot. Daemon to wrapper: go. Daemon to scheduler: it began.
    JobLocalBegin = "JOB_LOCAL_BEGIN" {
        /// Unix time of the sender, in seconds.
        start_time: u32,
        /// Absolute name of the output, or empty.
        outfile: ByteString,
        /// 0 between wrapper and daemon; towards the scheduler the daemon's number for the client.
        id: u32,
        /// The job uses the whole machine, and counts as all its slots.
        full_job: bool where 44..,
    }
}

message! {
    /// A local job is over.
    JobLocalDone = "JOB_LOCAL_DONE" {
        /// From a daemon its number for the client; to monitors the scheduler's job id.
        job_id: u32,
    }
}

message! {
    /// Compile it on the submitting machine.
    NoCs = "NO_CS" {
        /// The job.
        job_id: u32,
        /// Copied from `GET_CS`.
        client_id: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn an_unknown_job_is_told_to_old_readers_in_the_exit_code() {
        let done = JobDone {
            job_id: 7,
            exitcode: exit_codes::CLIENT_VANISHED,
            flags: job_done_flags::FROM_SUBMITTER | job_done_flags::UNKNOWN_JOB_ID,
            ..JobDone::default()
        };
        for (version, exitcode) in [(38, 200), (39, 118)] {
            let version = ProtocolVersion::new(version).unwrap();
            let mut out = Vec::new();
            let message = Message::JobDone(done.clone());
            message.encode(version, &mut out).unwrap();
            let Ok(Message::JobDone(read)) = Message::decode(version, &out[4..]) else {
                panic!("a JOB_DONE was sent");
            };
            assert_eq!(read.exitcode, exitcode);
            assert!(read.job_id_is_client_id());
        }
    }
}
