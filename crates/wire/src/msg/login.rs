//! Messages between a daemon and its scheduler about the daemon itself.

use super::message;
use crate::prim::{ByteString, Environment};

message! {
    /// The first message of a daemon, and sent again whenever its toolchains change; then only
    /// `environments` counts.
    Login = "LOGIN" {
        /// The daemon's TCP port; 0 if it takes no remote jobs.
        port: u32,
        /// Job slots.
        max_kids: u32,
        /// Installed toolchains: platform they compile for, and name.
        environments: Vec<Environment>,
        /// Name of the node; if empty the scheduler uses the address.
        nodename: ByteString,
        /// Platform of the machine.
        host_platform: ByteString,
        /// Whether jobs of others can be caged here.
        chroot_possible: bool,
        /// Whether only the machine's own jobs may run here.
        noremote: bool where 26..,
        /// Bits of [`features`](crate::types::features).
        supported_features: u32 where 42..,
    }
}

message! {
    /// Load of a daemon.
    Stats = "STATS" {
        /// 0 to 1000; 1000 asks for no remote jobs.
        load: u32,
        /// Load average of one minute, times 1000.
        load_avg_1: u32,
        /// Load average of five minutes, times 1000.
        load_avg_5: u32,
        /// Load average of fifteen minutes (whatever the name says), times 1000.
        load_avg_10: u32,
        /// Free memory in MiB.
        free_mem: u32,
    }
}

message! {
    /// The scheduler's answer to every `LOGIN`.
    CsConf = "CS_CONF" {
        /// Seconds between statistics; 3.
        max_scheduler_pong: u32,
        /// Seconds of silence before a `PING`; 36. Daemons do not use it.
        max_scheduler_ping: u32,
        /// Empty from Icecream's schedulers of today; some 320 kB of benchmark source from very old ones;
        /// begins with [`GELATO_SCHEDULER`](super::GELATO_SCHEDULER) from ours.
        bench_source: ByteString,
    }
}
