//! The table of all settings.
//!
//! Programs, the page `gelato.toml(5)` and `gelato config` all follow it; tests hold the page and the long options of the programs to it.

use crate::value::Kind;
use crate::variable::{self, Variable, checked, forgiving};

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// The table of the file it stands in: who reads it.
    pub section: &'static str,
    /// Its name in there.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Without any source: the value as a file would give it, without quotes.
    pub default: Preset,
    /// Variables it may come from, the strongest first.
    pub variables: &'static [Variable],
    /// What it is for, in one line without full stop.
    pub about: &'static str,
}

/// What a setting is if nobody says.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// This value.
    Fixed(&'static str),
    /// What the program finds out by itself, in words.
    Computed(&'static str),
}

use Kind::{Integer, List, Path, Paths, Switch, Text, Word};
use Preset::{Computed, Fixed};

macro_rules! keys {
    ($($constant:ident = $section:literal . $name:literal, $kind:expr, $default:expr, [$($variable:expr),*], $about:literal;)+) => {
        $(
            #[doc = $about]
            pub static $constant: Key = Key {
                section: $section,
                name: $name,
                kind: $kind,
                default: $default,
                variables: &[$($variable),*],
                about: $about,
            };
        )+

        /// All settings, in the order of the manual.
        pub static ALL: &[&Key] = &[$(&$constant),+];
    };
}

const POLICIES: &[&str] = &["auto", "prefer", "require"];
const COMPRESSIONS: &[&str] = &["none", "gzip", "bzip2", "zstd", "xz"];
const PREPROCESSING: &[&str] = &["merge", "full"];

keys! {
    NETNAME = "cluster"."netname", Text, Fixed("ICECREAM"), [],
        "Name of the network; schedulers of other names are ignored";
    SCHEDULER = "cluster"."scheduler", Text, Computed("found by broadcast"),
        [forgiving("ICECC_SCHEDULER", variable::some_text), forgiving("USE_SCHEDULER", variable::some_text)],
        "The scheduler: a host, perhaps with :port";

    POLICY = "wrapper"."policy", Word(POLICIES), Fixed("auto"),
        [checked("GELATO_POLICY"), forgiving("ICECC_REQUIRE_REMOTE", variable::requirement)],
        "What to do with a compilation that would be local: do it, try harder elsewhere first, or fail";
    DISTRIBUTE = "wrapper"."distribute", Word(&["yes", "no", "disable"]), Fixed("yes"),
        [forgiving("ICECC", variable::distribution)],
        "no: compile here under the daemon's slots; disable: compile here and ask no daemon";
    PREFERRED_HOST = "wrapper"."preferred-host", Text, Computed("any"),
        [forgiving("ICECC_PREFERRED_HOST", variable::some_text)],
        "The only worker to use";
    TOOLCHAINS = "wrapper"."toolchains", List, Computed("made by the daemon"),
        [forgiving("ICECC_VERSION", variable::comma_list)],
        "Toolchain archives to use: [PLATFORM:]FILE[=TARGET]";
    EXTRA_FILES = "wrapper"."extra-files", Paths, Computed("none"),
        [forgiving("ICECC_EXTRAFILES", variable::colon_list)],
        "Further files for the toolchain";
    CC = "wrapper"."cc", Text, Computed("the one that is called"),
        [forgiving("ICECC_CC", variable::some_text)],
        "Compiler for C";
    CXX = "wrapper"."cxx", Text, Computed("the one that is called"),
        [forgiving("ICECC_CXX", variable::some_text)],
        "Compiler for C++";
    PREPROCESSING_MODE = "wrapper"."preprocessing", Word(PREPROCESSING), Fixed("merge"),
        [forgiving("ICECC_REMOTE_CPP", variable::preprocessing)],
        "merge: only merge includes here and leave macros to the worker; full: preprocess completely here";
    CLANG_PREPROCESSING = "wrapper"."clang-preprocessing", Word(PREPROCESSING), Computed("as preprocessing"),
        [forgiving("ICECC_CLANG_REMOTE_CPP", variable::preprocessing)],
        "The same for Clang only";
    COLOR_DIAGNOSTICS = "wrapper"."color-diagnostics", Switch, Computed("as the compiler would"),
        [forgiving("ICECC_COLOR_DIAGNOSTICS", variable::begins_with_one)],
        "Whether GCC is to use colours on a terminal when it runs elsewhere";
    DEBUG_CHECKSUMS = "wrapper"."debug-checksums", Word(&["keep", "drop"]), Fixed("keep"),
        [checked("GELATO_DEBUG_CHECKSUMS")],
        "drop: Clang's DWARF 5 may lack the checksums of sources, which keep it here otherwise";
    CARET_WORKAROUND = "wrapper"."caret-workaround", Switch, Fixed("true"),
        [forgiving("ICECC_CARET_WORKAROUND", variable::begins_with_one)],
        "Compile here again if GCC had messages elsewhere that could differ from those here";
    REPEAT_RATE = "wrapper"."repeat-rate", Integer(0, 1000), Fixed("0"),
        [forgiving("ICECC_REPEAT_RATE", variable::per_mille)],
        "Of a thousand jobs of GCC, how many several workers compile, to compare";
    VERIFY_RATE = "wrapper"."verify-rate", Integer(0, 1000), Fixed("0"),
        [checked("GELATO_VERIFY_RATE")],
        "The same for every compiler, by two workers";
    ONLY_VERIFYING_WORKERS = "wrapper"."only-verifying-workers", Switch, Fixed("false"),
        [forgiving("ICECC_IGNORE_UNVERIFIED", variable::is_set)],
        "Use no worker that cannot try a toolchain before it uses it";
    COMPRESSION = "wrapper"."compression", Integer(-7, 22), Fixed("1"),
        [forgiving("ICECC_COMPRESSION", variable::integer)],
        "zstd level of what is sent";
    TOOLCHAIN_COMPRESSION = "wrapper"."toolchain-compression", Word(COMPRESSIONS), Computed("chosen by the daemon"),
        [forgiving("ICECC_ENV_COMPRESSION", variable::some_text)],
        "How toolchains are compressed";
    SLOW_NETWORK = "wrapper"."slow-network", Switch, Fixed("false"),
        [forgiving("ICECC_SLOW_NETWORK", variable::begins_with_one)],
        "Send in small pieces";
    LOCAL_JOBS = "wrapper"."local-jobs", Integer(1, 4096), Computed("one a processor"),
        [checked("GELATO_LOCAL_JOBS")],
        "How many compilations and preprocessors run here at once when no daemon counts them";
    SOCKET = "wrapper"."socket", Path, Computed("the usual places"),
        [forgiving("GELATO_SOCKET", variable::some_text)],
        "The only daemon to be asked, by the path of its socket";
    DEBUG = "wrapper"."debug", Word(&["error", "warning", "info", "debug"]), Fixed("error"),
        [forgiving("ICECC_DEBUG", variable::level)],
        "How much to report";
    LOG_FILE = "wrapper"."log-file", Path, Computed("standard error"),
        [forgiving("ICECC_LOGFILE", variable::some_text)],
        "Where to report it";
    BUILD_LOG = "wrapper"."build-log", Path, Computed("none"),
        [forgiving("GELATO_BUILD_LOG", variable::some_text)],
        "A file that gets one line for each job";
    NOTICES = "wrapper"."notices", Switch, Fixed("false"),
        [checked("GELATO_NOTICES")],
        "Say on standard error, at most once a minute, that jobs stay here because something does not work";

    DAEMON_MAX_PROCESSES = "daemon"."max-processes", Integer(0, 4096), Computed("one a processor"), [],
        "Jobs at the same time";
    DAEMON_NO_REMOTE = "daemon"."no-remote", Switch, Fixed("false"), [],
        "Take no jobs of other machines";
    DAEMON_NAME = "daemon"."name", Text, Computed("the host name"), [],
        "Name of this machine in the cluster";
    DAEMON_INTERFACE = "daemon"."interface", Text, Computed("all"), [],
        "Network interface to listen on";
    DAEMON_PORT = "daemon"."port", Integer(1, 65535), Fixed("10245"), [],
        "TCP port";
    DAEMON_ENV_BASEDIR = "daemon"."env-basedir", Path,
        Computed("/var/tmp/gelato-envs as root, else gelato/envs in the cache folder"), [],
        "Folder for toolchains";
    DAEMON_CACHE_LIMIT = "daemon"."cache-limit", Integer(0, i64::MAX), Computed("a tenth of the disk, at least 5120"), [],
        "Megabytes of toolchains to keep";
    DAEMON_NICE = "daemon"."nice", Integer(0, 19), Fixed("5"), [],
        "Niceness of jobs of other machines";
    DAEMON_SOCKET = "daemon"."socket", Path, Computed("the usual place"), [],
        "The local socket, and the only one";
    DAEMON_SANDBOX = "daemon"."sandbox", Word(&["auto", "namespaces", "landlock", "chroot", "none", "userns"]), Fixed("auto"), [],
        "How jobs of other machines are kept apart; userns is an old name of namespaces";
    DAEMON_WEAKEST_SANDBOX = "daemon"."weakest-sandbox", Word(&["namespaces", "landlock", "chroot"]), Fixed("chroot"), [],
        "The weakest way to keep them apart that may be chosen automatically";
    DAEMON_USER_UID = "daemon"."user-uid", Text, Fixed("icecc"), [],
        "User to become when started as root";
    DAEMON_LOG_FILE = "daemon"."log-file", Path, Computed("standard error"), [],
        "File for the log";
    DAEMON_VERBOSE = "daemon"."verbose", Integer(0, 3), Fixed("0"), [],
        "How much to log: 0 errors, 1 warnings, 2 information, 3 everything";
    DAEMON_COMPRESSION = "daemon"."compression", Integer(-7, 22), Fixed("1"),
        [forgiving("ICECC_COMPRESSION", variable::integer)],
        "zstd level of what is sent";

    DAEMON_ALLOW = "daemon"."allow", List, Fixed("private"), [],
        "Addresses and networks that may connect; also private (networks that are not on the Internet) and any";
    DAEMON_DENY = "daemon"."deny", List, Computed("none"), [],
        "The same for those that may not; the most specific network decides";
    DAEMON_CONNECTIONS = "daemon"."connections", Integer(1, 65535), Fixed("2000"), [],
        "Connections over the network at the same time";
    DAEMON_PEER_CONNECTIONS = "daemon"."peer-connections", Integer(1, 65535), Fixed("256"), [],
        "The same from one address";
    DAEMON_PEER_JOBS = "daemon"."peer-jobs", Integer(1, 65535), Computed("three quarters of all that may run and wait"), [],
        "Jobs of one address that run or wait";
    DAEMON_PEER_TRANSFERS = "daemon"."peer-transfers", Integer(1, 1024), Fixed("32"), [],
        "Toolchains one address may send at the same time";
    DAEMON_WAITING_SOURCE = "daemon"."waiting-source", Integer(1, 1048576), Fixed("256"), [],
        "Megabytes of source of jobs that wait for a slot";
    DAEMON_PEER_WAITING_SOURCE = "daemon"."peer-waiting-source", Integer(1, 1048576), Fixed("128"), [],
        "The same of one address";
    DAEMON_HANDSHAKE_TIME = "daemon"."handshake-time", Integer(1, 600), Fixed("10"), [],
        "Seconds until a connection must have said who it is";
    DAEMON_OPERATORS = "daemon"."operators", Word(&["anyone", "administrators"]), Fixed("anyone"), [],
        "Who of this machine may pause, drain and resume: every user, or root and the user of the daemon";

    WORKER_HOURS = "worker"."hours", Text, Computed("always"), [],
        "When jobs of other machines are taken, as in \"Mon-Fri 19:00-07:00, Sat-Sun\"";
    WORKER_MEMORY = "worker"."memory", Integer(64, i64::MAX), Computed("what the machine or its control group has"), [],
        "Megabytes that all jobs of other machines together may take";
    WORKER_MEMORY_RESERVE = "worker"."memory-reserve", Integer(0, i64::MAX), Computed("a tenth of all, at most 1024"), [],
        "Megabytes that are left: with less no job is started, with half of it the newest goes back";
    WORKER_ON_BATTERY = "worker"."on-battery", Word(&["refuse", "allow"]), Fixed("refuse"), [],
        "Jobs of other machines while this one runs on battery";
    WORKER_WHILE_IN_USE = "worker"."while-in-use", Word(&["ignore", "fewer", "refuse"]), Fixed("fewer"), [],
        "The same while somebody sits at it: all slots, half of them, or none";
    WORKER_YIELD = "worker"."yield", Switch, Fixed("true"), [],
        "Offer fewer slots while other programs use processors or disks, or processors are too hot";
    WORKER_JOB_TIME = "worker"."job-time", Integer(1, 604800), Fixed("1800"), [],
        "Seconds one job of another machine may take";
    WORKER_JOB_SILENCE = "worker"."job-silence", Integer(1, 604800), Fixed("300"), [],
        "Seconds it may neither read nor print nor compute";
    WORKER_JOB_DISK = "worker"."job-disk", Integer(1, 1048576), Fixed("8192"), [],
        "Megabytes it may write";
    WORKER_JOB_OUTPUT = "worker"."job-output", Integer(1, 1048576), Fixed("64"), [],
        "Megabytes it may print";
    WORKER_JOB_MEMORY = "worker"."job-memory", Integer(64, i64::MAX), Computed("what the machine has, at least 4096"), [],
        "Megabytes of memory it may use";

    SCHEDULER_PORT = "scheduler"."port", Integer(0, 65535), Fixed("8765"), [],
        "TCP and UDP port; the text port is the next one";
    SCHEDULER_INTERFACE = "scheduler"."interface", Text, Computed("all"), [],
        "Network interface to listen on";
    SCHEDULER_ALGORITHM = "scheduler"."algorithm", Word(&["finish", "compat", "fastest", "round_robin", "least_busy", "random"]), Fixed("finish"), [],
        "How a worker is chosen";
    SCHEDULER_OWN_MACHINE_SHARE = "scheduler"."own-machine-share", Integer(0, u32::MAX as i64), Fixed("70"), [],
        "How fast, in percent of the best other machine, an idle submitter must be to keep a job; 0 never";
    SCHEDULER_CONTROL = "scheduler"."control", Word(&["read", "open", "local"]), Fixed("read"), [],
        "What other machines may do over the text port: read, change things (open), nothing (local)";
    SCHEDULER_TOKEN_FILE = "scheduler"."control-token-file", Path,
        Computed("control-token in the state folder, made at the first start"), [],
        "File with the control token: who says it on the text port may change things from anywhere";
    SCHEDULER_TOKEN_REQUIRED = "scheduler"."control-token-required", Switch, Fixed("false"), [],
        "Nobody changes anything over the text port without the control token, not even from the scheduler's machine";
    SCHEDULER_PERSISTENT = "scheduler"."persistent-client-connection", Switch, Fixed("false"), [],
        "Do not send daemons away when a better scheduler announces itself";
    SCHEDULER_STATE_FOLDER = "scheduler"."state-folder", Path,
        Computed("/var/lib/gelato as root, else gelato in the user's state folder"), [],
        "Folder where what jobs took and how fast workers are is kept across restarts";
    SCHEDULER_FORGET = "scheduler"."forget", Switch, Fixed("false"), [],
        "Keep nothing across restarts";
    SCHEDULER_HEARTBEAT = "scheduler"."heartbeat", Integer(1, 3600), Fixed("5"), [],
        "Seconds of silence after which a peer is asked whether it is still there";
    SCHEDULER_PING_AFTER = "scheduler"."ping-after", Integer(1, 3600), Fixed("36"), [],
        "Seconds of silence after which a daemon below protocol 27 is sent a PING";
    SCHEDULER_PING_GRACE = "scheduler"."ping-grace", Integer(1, 3600), Fixed("6"), [],
        "Seconds it then has to say something";
    SCHEDULER_USER_UID = "scheduler"."user-uid", Text, Fixed("icecc"), [],
        "User to become when started as root";
    SCHEDULER_LOG_FILE = "scheduler"."log-file", Path, Computed("standard error"), [],
        "File for the log";
    SCHEDULER_VERBOSE = "scheduler"."verbose", Integer(0, 3), Fixed("0"), [],
        "How much to log: 0 errors, 1 warnings, 2 information, 3 everything";
    SCHEDULER_ALLOW = "scheduler"."allow", List, Fixed("private"), [],
        "Addresses and networks that may connect; also private (networks that are not on the Internet) and any";
    SCHEDULER_DENY = "scheduler"."deny", List, Computed("none"), [],
        "The same for those that may not; the most specific network decides";
    SCHEDULER_WEB = "scheduler"."web", Text, Computed("127.0.0.1:8767 if the scheduler has its usual port, else nowhere"), [],
        "Address and port of the web page; at another address than the machine's own, every request needs the control token";
    SCHEDULER_NO_WEB = "scheduler"."no-web", Switch, Fixed("false"), [],
        "Serve no web page";

    BUILD_JOBS = "build"."jobs", Integer(1, 65535), Computed("as many as the cluster has slots"), [],
        "Jobs of gelato build at once";
}

/// Variables that are known and no settings: for tests, for one run, or from one program to the next.
pub static OTHER_VARIABLES: &[(&str, &str)] = &[
    ("GELATO_CONFIG", "The only file of settings; empty: none"),
    (
        "ICECC_TEST_SOCKET",
        "Socket of the daemon; fail if there is none",
    ),
    (
        "ICECC_TEST_REMOTEBUILD",
        "Take this machine's own address for another machine",
    ),
    ("ICECC_TESTS", "Search on the loopback interface only"),
    (
        "ICECC_TEST_SCHEDULER_PORTS",
        "Ports to search for schedulers at",
    ),
    (
        "ICECC_TEST_FLUSH_LOG_MARK",
        "File with a line for the daemon's log on SIGHUP",
    ),
    (
        "ICECC_TEST_LOG_HEADER",
        "File with lines for the daemon's log on SIGHUP",
    ),
    ("ICECC_FAKE_STARTTIME", "Make a scheduler older than it is"),
    ("UNCACHED_ERR_FD", "Descriptor for messages, from ccache"),
];

impl Key {
    /// `section.name`, as messages and `gelato config` have it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_agrees_with_itself() {
        let mut seen = BTreeSet::new();
        for key in ALL {
            assert!(seen.insert(key.path()), "{} twice", key.path());
            assert!(!key.about.is_empty() && !key.about.ends_with('.'));
            if let Fixed(text) = key.default {
                assert!(key.kind.parse(text).is_some(), "{}", key.path());
            }
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(key.section.chars().all(plain) && key.name.chars().all(plain));
            let ours_first = key
                .variables
                .is_sorted_by_key(|variable| !variable.name.starts_with("GELATO_"));
            assert!(ours_first, "{}", key.path());
        }
        assert!(OTHER_VARIABLES.iter().all(|(name, _)| {
            ALL.iter()
                .all(|key| key.variables.iter().all(|variable| variable.name != *name))
        }));
    }
}
