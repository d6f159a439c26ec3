//! What steers the wrapper, read once: settings ([`gelato_settings`]) and the surroundings that are none.
//!
//! The names of variables in the comments are the strongest source of each; most may stand in `gelato.toml`, too. What the compilers read themselves is none of
//! our business here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use gelato_compiler::Family;
use gelato_net::Limits;
use gelato_settings::{Key, Origin, Problem, Settings, Value, keys};

use crate::log::Level;
use crate::policy::Policy;

/// What `ICECC` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Unset, or a word we do not know.
    Distribute,
    /// `no`: never on another machine, but under the daemon's slots.
    LocalOnly,
    /// `disable`: no daemon at all.
    NoDaemon,
}

/// Settings and surroundings, as far as they are set.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    pub(crate) wish: Wish,
    /// `GELATO_POLICY`, `ICECC_REQUIRE_REMOTE`
    pub(crate) policy: Policy,
    /// Who said so: a variable, or a file and a line.
    pub(crate) policy_origin: String,
    /// `ICECC_VERSION`
    pub(crate) toolchains: Option<OsString>,
    /// `ICECC_CC`
    pub(crate) cc: Option<OsString>,
    /// `ICECC_CXX`
    pub(crate) cxx: Option<OsString>,
    /// `ICECC_EXTRAFILES`
    pub(crate) extra_files: Option<OsString>,
    /// `ICECC_REMOTE_CPP`: expand macros here.
    full_preprocessing: bool,
    /// `ICECC_CLANG_REMOTE_CPP`: the same for Clang, unless the other one decides.
    full_clang_preprocessing: bool,
    /// `ICECC_COLOR_DIAGNOSTICS`: no colours from a remote GCC if `false`.
    pub(crate) colours: Option<bool>,
    /// `GELATO_DEBUG_CHECKSUMS`: objects of Clang may lack the checksums of sources that DWARF 5 has.
    pub(crate) drop_debug_checksums: bool,
    /// `ICECC_COMPRESSION`: zstd level of what we send.
    pub(crate) compression_level: i32,
    /// `ICECC_ENV_COMPRESSION`
    pub(crate) toolchain_compression: Option<OsString>,
    /// `ICECC_PREFERRED_HOST`
    pub(crate) preferred_host: Option<OsString>,
    /// `ICECC_IGNORE_UNVERIFIED`
    pub(crate) only_verifying_workers: bool,
    /// `ICECC_SLOW_NETWORK`
    slow_network: bool,
    /// `GELATO_LOCAL_JOBS`: how many locks there are, if not one a processor.
    pub(crate) local_jobs: Option<usize>,
    /// `ICECC_REPEAT_RATE`: of a thousand jobs of GCC, how many are compiled by several workers and compared.
    pub(crate) repeat_rate: u32,
    /// `GELATO_VERIFY_RATE`: the same for all compilers, by two workers.
    pub(crate) verify_rate: u32,
    /// `ICECC_CARET_WORKAROUND`: whatever a remote GCC prints leads to a compilation here, which quotes source lines.
    pub(crate) caret_workaround: bool,
    /// `ICECC_DEBUG`
    pub(crate) level: Level,
    /// `ICECC_LOGFILE`
    pub(crate) log_file: Option<PathBuf>,
    /// `UNCACHED_ERR_FD`: where ccache wants messages.
    pub(crate) message_descriptor: Option<OsString>,
    /// `GELATO_NOTICES`: say on standard error when jobs stay here because something does not work.
    pub(crate) notices: bool,
    /// What is wrong with settings of the wrapper.
    pub(crate) problems: Vec<Problem>,
    /// `ICECC_TEST_REMOTEBUILD`
    pub(crate) test_remote_build: bool,
    /// `ICECC_TEST_SOCKET`
    pub(crate) test_socket: Option<PathBuf>,
    /// `GELATO_SOCKET`
    pub(crate) socket: Option<PathBuf>,
    /// `GELATO_BUILD_LOG`
    pub(crate) build_log: Option<PathBuf>,
    /// `GELATO_BUILD_ID`: the build that the job belongs to.
    pub(crate) build_id: Option<OsString>,
    /// `HOME`
    pub(crate) home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, if absolute.
    pub(crate) cache_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, if absolute.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `PATH`
    pub(crate) path: Option<OsString>,
    /// `_ICECC_SAFEGUARD`: how deep we are in programs started by ourselves.
    pub(crate) depth: u32,
}

/// Name of the variable that counts the depth.
pub(crate) const DEPTH: &str = "_ICECC_SAFEGUARD";

impl Variables {
    /// From environment and files.
    pub(crate) fn read() -> Variables {
        let user = rustix::process::geteuid().as_raw();
        let settings = Settings::load(|name| env::var_os(name), user);
        Variables::from(&settings, |name| env::var_os(name))
    }

    fn from(settings: &Settings<'_>, variable: impl Fn(&str) -> Option<OsString>) -> Variables {
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let path = |key| settings.text(key).map(PathBuf::from);
        let number = |key| settings.integer(key).unwrap_or(0);
        let policy = settings.find(&keys::POLICY);
        let preprocessing = settings.find(&keys::PREPROCESSING_MODE);
        let full = |value: &Option<Value>| matches!(value, Some(Value::Word("full")));
        let full_preprocessing = full(&preprocessing.value);
        let full_clang_preprocessing = match settings.value(&keys::CLANG_PREPROCESSING) {
            Some(value) if !matches!(preprocessing.origin, Origin::Variable(_)) => {
                full(&Some(value))
            }
            _ => full_preprocessing,
        };
        Variables {
            wish: match settings.word(&keys::DISTRIBUTE) {
                Some("no") => Wish::LocalOnly,
                Some("disable") => Wish::NoDaemon,
                _ => Wish::Distribute,
            },
            policy: match policy.value {
                Some(Value::Word("require")) => Policy::Require,
                Some(Value::Word("prefer")) => Policy::Prefer,
                _ => Policy::Auto,
            },
            policy_origin: origin(&policy.origin),
            toolchains: list(settings, &keys::TOOLCHAINS, b','),
            cc: settings.text(&keys::CC),
            cxx: settings.text(&keys::CXX),
            extra_files: list(settings, &keys::EXTRA_FILES, b':'),
            full_preprocessing,
            full_clang_preprocessing,
            colours: match settings.value(&keys::COLOR_DIAGNOSTICS) {
                Some(Value::Switch(on)) => Some(on),
                _ => None,
            },
            drop_debug_checksums: settings.word(&keys::DEBUG_CHECKSUMS) == Some("drop"),
            compression_level: i32::try_from(number(&keys::COMPRESSION)).unwrap_or(1),
            toolchain_compression: settings.text(&keys::TOOLCHAIN_COMPRESSION),
            preferred_host: settings.text(&keys::PREFERRED_HOST),
            only_verifying_workers: settings.switch(&keys::ONLY_VERIFYING_WORKERS),
            slow_network: settings.switch(&keys::SLOW_NETWORK),
            local_jobs: settings
                .integer(&keys::LOCAL_JOBS)
                .and_then(|number| usize::try_from(number).ok()),
            repeat_rate: u32::try_from(number(&keys::REPEAT_RATE)).unwrap_or(0),
            verify_rate: u32::try_from(number(&keys::VERIFY_RATE)).unwrap_or(0),
            caret_workaround: settings.switch(&keys::CARET_WORKAROUND),
            level: match settings.word(&keys::DEBUG) {
                Some("debug") => Level::Debug,
                Some("info") => Level::Info,
                Some("warning") => Level::Warning,
                _ => Level::Error,
            },
            log_file: path(&keys::LOG_FILE),
            message_descriptor: variable("UNCACHED_ERR_FD"),
            notices: settings.switch(&keys::NOTICES),
            problems: settings.problems(&["wrapper"]),
            test_remote_build: variable("ICECC_TEST_REMOTEBUILD").is_some(),
            test_socket: variable("ICECC_TEST_SOCKET").map(PathBuf::from),
            socket: path(&keys::SOCKET),
            build_log: path(&keys::BUILD_LOG),
            build_id: variable("GELATO_BUILD_ID").filter(|id| !id.is_empty()),
            home: absolute("HOME"),
            cache_home: absolute("XDG_CACHE_HOME"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            path: variable("PATH"),
            depth: match variable(DEPTH) {
                None => 0,
                Some(value) => match value.as_bytes() {
                    [digit @ b'0'..=b'9', ..] => u32::from(digit - b'0'),
                    _ => 1,
                },
            },
        }
    }

    /// Whether macros are expanded here for a compiler of this family, if the command line does not decide.
    pub(crate) fn full_preprocessing(&self, family: Family) -> bool {
        match family {
            Family::Gcc => self.full_preprocessing,
            Family::Clang => self.full_clang_preprocessing,
        }
    }

    /// How long connections wait, and how much they send at once.
    pub(crate) fn limits(&self) -> Limits {
        if self.slow_network {
            Limits::default().for_slow_network()
        } else {
            Limits::default()
        }
    }
}

/// A list as Icecream's variables have it. An empty list in a file is no list; an empty variable is a list of nothing.
fn list(settings: &Settings<'_>, key: &Key, separator: u8) -> Option<OsString> {
    let found = settings.find(key);
    let Some(Value::List(items)) = found.value else {
        return None;
    };
    if items.is_empty() && !matches!(found.origin, Origin::Variable(_)) {
        return None;
    }
    let items: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    Some(OsStr::from_bytes(&items.join(&separator)).to_owned())
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Default => "the default".to_owned(),
        Origin::Variable(name) => (*name).to_owned(),
        Origin::File(path, line) => format!("{}:{line}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Variables {
        let variable = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| OsString::from(value))
        };
        Variables::from(&Settings::without_files(variable), variable)
    }

    #[test]
    fn nothing_set() {
        let variables = read(&[]);
        assert_eq!(variables.wish, Wish::Distribute);
        assert_eq!(variables.policy, Policy::Auto);
        assert_eq!(variables.toolchains, None);
        assert_eq!(variables.extra_files, None);
        assert_eq!(variables.compression_level, 1);
        assert_eq!(variables.colours, None);
        assert_eq!(variables.limits(), Limits::default());
        assert_eq!(variables.level, Level::Error);
        assert_eq!(variables.depth, 0);
        assert!(variables.caret_workaround && !variables.only_verifying_workers);
        assert!(variables.problems.is_empty());
    }

    #[test]
    fn every_variable_of_icecream() {
        let variables = read(&[
            ("ICECC", "No"),
            ("ICECC_VERSION", "/a.tar.xz,ia64:/b.tar.zst=ia64"),
            ("ICECC_CC", "gcc-12"),
            ("ICECC_CXX", "/usr/bin/g++"),
            ("ICECC_EXTRAFILES", "a:/b"),
            ("ICECC_COLOR_DIAGNOSTICS", "1"),
            ("ICECC_CARET_WORKAROUND", "0"),
            ("ICECC_COMPRESSION", "0x5"),
            ("ICECC_ENV_COMPRESSION", "xz"),
            ("ICECC_PREFERRED_HOST", "node"),
            ("ICECC_REPEAT_RATE", "20"),
            ("ICECC_SLOW_NETWORK", "1"),
            ("ICECC_DEBUG", "warnings"),
            ("ICECC_LOGFILE", "relative/log"),
            ("UNCACHED_ERR_FD", "7"),
            ("ICECC_IGNORE_UNVERIFIED", ""),
            ("ICECC_TEST_SOCKET", "/socket"),
            ("ICECC_TEST_REMOTEBUILD", ""),
            ("ICECC_REQUIRE_REMOTE", "1"),
            ("_ICECC_SAFEGUARD", "1"),
        ]);
        assert_eq!(variables.wish, Wish::LocalOnly);
        let text = |value: &Option<OsString>| value.clone().and_then(|v| v.into_string().ok());
        assert_eq!(
            text(&variables.toolchains).as_deref(),
            Some("/a.tar.xz,ia64:/b.tar.zst=ia64")
        );
        assert_eq!(text(&variables.cc).as_deref(), Some("gcc-12"));
        assert_eq!(text(&variables.cxx).as_deref(), Some("/usr/bin/g++"));
        assert_eq!(text(&variables.extra_files).as_deref(), Some("a:/b"));
        assert_eq!(variables.colours, Some(true));
        assert!(!variables.caret_workaround);
        assert_eq!(variables.compression_level, 5);
        assert_eq!(
            text(&variables.toolchain_compression).as_deref(),
            Some("xz")
        );
        assert_eq!(text(&variables.preferred_host).as_deref(), Some("node"));
        assert_eq!(variables.repeat_rate, 20);
        assert_eq!(variables.limits().largest_write, Limits::SLOW_NETWORK_WRITE);
        assert_eq!(variables.level, Level::Warning);
        assert_eq!(variables.log_file, Some("relative/log".into()));
        assert_eq!(text(&variables.message_descriptor).as_deref(), Some("7"));
        assert!(variables.only_verifying_workers && variables.test_remote_build);
        assert_eq!(variables.test_socket, Some("/socket".into()));
        assert_eq!(variables.policy, Policy::Require);
        assert_eq!(variables.policy_origin, "ICECC_REQUIRE_REMOTE");
        assert_eq!(variables.depth, 1);
    }

    #[test]
    fn empty_lists_of_variables_are_lists_of_nothing() {
        let variables = read(&[("ICECC_VERSION", ""), ("ICECC_EXTRAFILES", "")]);
        assert_eq!(variables.toolchains, Some(OsString::new()));
        assert_eq!(variables.extra_files, Some(OsString::new()));
    }

    #[test]
    fn the_general_word_on_preprocessing_wins_over_that_for_clang() {
        let full = |pairs: &[(&str, &str)]| {
            let variables = read(pairs);
            [Family::Gcc, Family::Clang].map(|family| variables.full_preprocessing(family))
        };
        let general = |value| ("ICECC_REMOTE_CPP", value);
        let clang = |value| ("ICECC_CLANG_REMOTE_CPP", value);
        assert_eq!(full(&[]), [false, false]);
        assert_eq!(full(&[general("0")]), [true, true]);
        assert_eq!(full(&[general("")]), [true, true]);
        assert_eq!(full(&[clang("0")]), [false, true]);
        assert_eq!(full(&[general("1"), clang("0")]), [false, false]);
        assert_eq!(full(&[general("0"), clang("1")]), [true, true]);
    }
}
