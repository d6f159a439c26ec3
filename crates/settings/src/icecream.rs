//! Icecream's `icecc.conf`: shell assignments that init scripts turn into options.
//!
//! Programs never read it, Icecream's neither; `gelato config --from-icecc` turns it into a `gelato.toml` once. Only plain assignments of a literal are
//! understood, which is all that the file has as distributed. SUSE's file has the same names beginning with `ICECREAM_`.

use crate::keys::{self, Key};
use crate::value::{Kind, Value};

/// What a file says: settings in the order of the table, and lines that could not be understood, with their numbers.
#[derive(Debug, Default, PartialEq)]
pub struct Import {
    /// Settings with their values.
    pub settings: Vec<(&'static str, &'static str, Value)>,
    /// Line number and what is wrong there.
    pub problems: Vec<(usize, String)>,
}

/// Reads the text of an `icecc.conf`.
pub fn read(text: &str) -> Import {
    let mut found: Vec<(&'static Key, Value)> = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = assignment(line) else {
            problems.push((
                index + 1,
                "this is no assignment of a plain value".to_owned(),
            ));
            continue;
        };
        let name = name
            .strip_prefix("ICECC_")
            .or_else(|| name.strip_prefix("ICECREAM_"));
        if value.is_empty() {
            continue;
        }
        match settings(name.unwrap_or_default(), value) {
            Some(Ok(values)) => {
                for (key, value) in values {
                    // The last assignment counts, as in a shell.
                    found.retain(|(known, _)| !std::ptr::eq(*known, key));
                    found.push((key, value));
                }
            }
            Some(Err(expected)) => problems.push((index + 1, expected)),
            None => problems.push((index + 1, "Gelato has no such setting".to_owned())),
        }
    }
    let settings = keys::ALL
        .iter()
        .filter_map(|key| {
            let (_, value) = found.iter().find(|(known, _)| std::ptr::eq(*known, *key))?;
            Some((key.section, key.name, value.clone()))
        })
        .collect();
    Import { settings, problems }
}

type Values = Vec<(&'static Key, Value)>;

/// What a variable means without its prefix; `None` if nothing.
fn settings(name: &str, value: &str) -> Option<Result<Values, String>> {
    let one = |key: &'static Key| {
        let parsed = match key.kind {
            Kind::Path if !value.starts_with('/') => None,
            kind => kind.parse(value),
        };
        match parsed {
            Some(value) => Ok(vec![(key, value)]),
            None => Err(format!("{} is expected", key.kind.expectation())),
        }
    };
    Some(match name {
        "NETNAME" => one(&keys::NETNAME),
        "SCHEDULER_HOST" => one(&keys::SCHEDULER),
        "NICE_LEVEL" => one(&keys::DAEMON_NICE),
        "LOG_FILE" => one(&keys::DAEMON_LOG_FILE),
        "BASEDIR" => one(&keys::DAEMON_ENV_BASEDIR),
        "CACHE_LIMIT" => one(&keys::DAEMON_CACHE_LIMIT),
        "SCHEDULER_LOG_FILE" => one(&keys::SCHEDULER_LOG_FILE),
        // Icecream's words: 0 means one job, and none of other machines.
        "MAX_JOBS" if value == "0" => Ok(vec![
            (&keys::DAEMON_MAX_PROCESSES, Value::Integer(1)),
            (&keys::DAEMON_NO_REMOTE, Value::Switch(true)),
        ]),
        "MAX_JOBS" => one(&keys::DAEMON_MAX_PROCESSES),
        "ALLOW_REMOTE" if value == "no" => Ok(vec![(&keys::DAEMON_NO_REMOTE, Value::Switch(true))]),
        "ALLOW_REMOTE" => Ok(Vec::new()),
        // SUSE's; a scheduler is a service of its own here.
        "RUN_SCHEDULER" if value == "no" => Ok(Vec::new()),
        "RUN_SCHEDULER" => Err("no setting: enable the service icecc-scheduler instead".to_owned()),
        _ => return None,
    })
}

/// `NAME=value`, `NAME="value"` or `NAME='value'`, perhaps with a comment behind it.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once('=')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let (value, behind) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest.get(1..)?.split_once(quote)?,
        _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    let behind = behind.trim();
    let is_plain = !value.contains(['$', '`', '\\', '"', '\'']);
    (is_name && is_plain && (behind.is_empty() || behind.starts_with('#'))).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let settings = read(text).settings;
        let line = |(section, name, value)| format!("{section}.{name} = {value}");
        settings.into_iter().map(line).collect()
    }

    #[test]
    fn a_distributed_file_is_understood() {
        let text = "#\n# Nice level\nICECC_NICE_LEVEL=\"5\"\nICECC_LOG_FILE=\"/var/log/iceccd.log\"\nICECC_NETNAME=\"\"\n\
            ICECC_MAX_JOBS=\"\"\nICECC_ALLOW_REMOTE=\"yes\"\nICECC_BASEDIR=\"/var/cache/icecc\"\n\
            ICECC_SCHEDULER_LOG_FILE='/var/log/icecc_scheduler.log' # all of it\nICECC_SCHEDULER_HOST=\"\"\nICECC_CACHE_LIMIT=\"\"\n";
        assert_eq!(read(text).problems, []);
        assert_eq!(
            shown(text),
            [
                "daemon.env-basedir = \"/var/cache/icecc\"",
                "daemon.nice = 5",
                "daemon.log-file = \"/var/log/iceccd.log\"",
                "scheduler.log-file = \"/var/log/icecc_scheduler.log\"",
            ]
        );
    }

    #[test]
    fn words_with_a_meaning_of_their_own() {
        assert_eq!(
            shown("ICECREAM_MAX_JOBS=0"),
            ["daemon.max-processes = 1", "daemon.no-remote = true"]
        );
        assert_eq!(shown("ICECC_ALLOW_REMOTE=no"), ["daemon.no-remote = true"]);
        assert_eq!(read("ICECREAM_RUN_SCHEDULER=no").problems, []);
        assert_eq!(read("ICECREAM_RUN_SCHEDULER=yes").problems.len(), 1);
        assert_eq!(
            shown("ICECC_NETNAME=a\nICECC_NETNAME=b"),
            ["cluster.netname = \"b\""]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let lines: Vec<usize> = read(
            "ICECC_NICE_LEVEL=99\nexport X\nICECC_NETNAME=$(hostname)\nICECC_OTHER=1\nICECC_LOG_FILE=log\n",
        )
        .problems
        .into_iter()
        .map(|(line, _)| line)
        .collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }

    proptest! {
        #[test]
        fn no_text_trips_it(text in "(ICECC_(NETNAME|MAX_JOBS|X)=?[\"' #$é0-9]{0,6}\n|\\PC{0,20}\n){0,5}") {
            let _ = read(&text);
        }
    }
}
