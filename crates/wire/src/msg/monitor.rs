//! Messages from the scheduler to monitors. `MON_JOB_DONE` has the fields of [`JobDone`](super::JobDone).

use super::message;
use crate::prim::{ByteString, Environment};

message! {
    /// A job was asked for.
    MonGetCs = "MON_GET_CS" {
        /// Always empty.
        environments: Vec<Environment> where ..=28,
        /// Shortened file name.
        filename: ByteString,
        /// Number of a [`Language`](crate::types::Language).
        language: u32,
        /// Always 1.
        count: u32 where ..=28,
        /// Platform.
        target: ByteString where ..=28,
        /// Always 0.
        arg_flags: u32 where ..=28,
        /// Always 0.
        client_id: u32 where ..=28,
        /// Always empty.
        preferred_host: ByteString where 22..=28,
        /// The job.
        job_id: u32,
        /// The scheduler's number of the submitting daemon.
        host_id: u32,
    }
}

message! {
    /// A job began.
    MonJobBegin = "MON_JOB_BEGIN" {
        /// The job.
        job_id: u32,
        /// Unix time on the clock of the daemon that runs it, in seconds.
        start_time: u32,
        /// The scheduler's number of the daemon that runs it.
        host_id: u32,
    }
}

message! {
    /// A local job began.
    MonLocalJobBegin = "MON_LOCAL_JOB_BEGIN" {
        /// The scheduler's number of the daemon.
        host_id: u32,
        /// The job.
        job_id: u32,
        /// Unix time on the daemon's clock, in seconds.
        start_time: u32,
        /// Shortened name of the output.
        file: ByteString,
    }
}

message! {
    /// What is known of a daemon.
    MonStats = "MON_STATS" {
        /// The scheduler's number of the daemon, from 1 in the order of logins, never reused.
        host_id: u32,
        /// Lines `Key:value\n`.
        statmsg: ByteString,
    }
}
