//! What scheduler is wanted: `-s`, `-n` and the environment variables Icecream knows.
//!
//! Pure: variables come in as a function.

use std::time::Duration;

use gelato_wire::ByteString;
use thiserror::Error;

use super::{DEFAULT_NETNAME, Reach, SCHEDULER_PORT};

/// How long a daemon waits for answers, unless the scheduler told it another time before.
pub const DAEMON_WAIT: Duration = Duration::from_secs(3);
/// How long a monitor waits.
pub const MONITOR_WAIT: Duration = Duration::from_secs(2);

/// The scheduler somebody looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The network's name; not compared when the host is given.
    pub netname: ByteString,
    /// Where to look.
    pub place: Place,
    /// The longest wait for answers.
    pub wait: Duration,
}

/// Where to look for a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this host, without asking anybody.
    Host {
        /// Name or numeric address.
        name: String,
        /// TCP port.
        port: u16,
    },
    /// Wherever one answers.
    Network {
        /// UDP ports to ask at.
        ports: Vec<u16>,
        /// Which interfaces to ask on.
        reach: Reach,
    },
}

/// The wish makes no sense.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WantedError {
    /// The part after the last colon is no port.
    #[error("`{port}` in {origin} `{value}` is no port: a number from 1 to 65535 is needed")]
    Port {
        /// The option or variable.
        origin: &'static str,
        /// All of its value.
        value: String,
        /// The part that is wrong.
        port: String,
    },
    /// No two ports.
    #[error("ICECC_TEST_SCHEDULER_PORTS is `{value}`, two ports with a colon between are needed")]
    TestPorts {
        /// Its value.
        value: String,
    },
}

impl Wanted {
    /// What a daemon or monitor wants, by its options `-s` and `-n` and the variables `ICECC_SCHEDULER`, `USE_SCHEDULER`,
    /// `ICECC_TESTS` and `ICECC_TEST_SCHEDULER_PORTS`.
    ///
    /// # Errors
    /// A port is no port.
    pub fn from_environment(
        host_option: Option<&str>,
        netname_option: Option<&str>,
    ) -> Result<Wanted, WantedError> {
        Self::new(host_option, netname_option, |name| std::env::var(name).ok())
    }

    /// As [`from_environment`](Self::from_environment) with the environment given as a function.
    ///
    /// # Errors
    /// A port is no port.
    pub fn new(
        host_option: Option<&str>,
        netname_option: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Wanted, WantedError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let mut host = String::new();
        let mut port = None;
        // The variables are looked at only as long as nobody has named a host; a lone port stays.
        let sources = [
            ("the option -s", host_option.map(str::to_owned)),
            ("ICECC_SCHEDULER", set("ICECC_SCHEDULER")),
            ("USE_SCHEDULER", set("USE_SCHEDULER")),
        ];
        let mut seen_variable = false;
        for (origin, value) in sources {
            let is_variable = origin != "the option -s";
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            // The second variable is looked at only if the first one is not set.
            if !host.is_empty() || (is_variable && seen_variable) {
                continue;
            }
            seen_variable |= is_variable;
            let (name, given) = split_port(origin, &value)?;
            host = name.to_owned();
            port = given.or(port);
        }
        let netname = match netname_option {
            Some(name) if !name.is_empty() => name,
            _ => DEFAULT_NETNAME,
        };
        let place = if host.is_empty() {
            let ports = match set("ICECC_TEST_SCHEDULER_PORTS") {
                Some(value) => test_ports(&value)?,
                None => vec![port.unwrap_or(SCHEDULER_PORT)],
            };
            let reach = Reach::from_environment(variable);
            Place::Network { ports, reach }
        } else {
            Place::Host {
                name: host,
                port: port.unwrap_or(SCHEDULER_PORT),
            }
        };
        Ok(Wanted {
            netname: netname.into(),
            place,
            wait: DAEMON_WAIT,
        })
    }
}

/// The two ports of `ICECC_TEST_SCHEDULER_PORTS`.
pub(super) fn test_ports(value: &str) -> Result<Vec<u16>, WantedError> {
    let ports = value
        .split_once(':')
        .and_then(|(a, b)| Some(vec![parse_port(a)?, parse_port(b)?]));
    ports.ok_or_else(|| WantedError::TestPorts {
        value: value.to_owned(),
    })
}

/// Host (perhaps empty) and port: the last colon separates them, except in a bare IPv6 address.
fn split_port<'a>(
    origin: &'static str,
    value: &'a str,
) -> Result<(&'a str, Option<u16>), WantedError> {
    if value.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((value, None));
    }
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) => match parse_port(port) {
            Some(number) => (host, Some(number)),
            None => {
                return Err(WantedError::Port {
                    origin,
                    value: value.to_owned(),
                    port: port.to_owned(),
                });
            }
        },
        None => (value, None),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok((host, port))
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Wanted, WantedError> {
        Wanted::new(option, None, |name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    fn place(option: Option<&str>, variables: &[(&str, &str)]) -> Place {
        wanted(option, variables).unwrap().place
    }

    fn host(name: &str, port: u16) -> Place {
        let name = name.to_owned();
        Place::Host { name, port }
    }

    fn network(ports: &[u16], reach: Reach) -> Place {
        let ports = ports.to_vec();
        Place::Network { ports, reach }
    }

    #[test]
    fn nothing_given_means_asking_everywhere() {
        let wanted = wanted(None, &[]).unwrap();
        assert_eq!(wanted.netname, "ICECREAM");
        assert_eq!(wanted.place, network(&[8765], Reach::Everywhere));
        assert_eq!(wanted.wait, Duration::from_secs(3));
        let named = Wanted::new(None, Some("lab"), |_| None).unwrap();
        assert_eq!(named.netname, "lab");
    }

    #[test]
    fn the_option_precedes_the_variables_in_order() {
        let both = [("ICECC_SCHEDULER", "b"), ("USE_SCHEDULER", "c:7")];
        assert_eq!(place(Some("a:9"), &both), host("a", 9));
        assert_eq!(place(Some("a"), &both), host("a", 8765));
        assert_eq!(place(None, &both), host("b", 8765));
        assert_eq!(place(None, &both[1..]), host("c", 7));
        assert_eq!(place(Some(""), &both), host("b", 8765));
        let empty = [("ICECC_SCHEDULER", ""), ("USE_SCHEDULER", "c")];
        assert_eq!(place(None, &empty), host("c", 8765));
    }

    #[test]
    fn a_lone_port_is_asked_at_by_broadcast() {
        let everywhere = Reach::Everywhere;
        assert_eq!(
            place(Some(":9000"), &[]),
            network(&[9000], everywhere.clone())
        );
        let variable = [("ICECC_SCHEDULER", ":9001")];
        assert_eq!(place(None, &variable), network(&[9001], everywhere));
        let host_later = [("USE_SCHEDULER", "h")];
        assert_eq!(place(Some(":9000"), &host_later), host("h", 9000));
    }

    #[test]
    fn the_last_colon_separates() {
        assert_eq!(place(Some("a:b:5"), &[]), host("a:b", 5));
        assert_eq!(place(Some("::1"), &[]), host("::1", 8765));
        assert_eq!(place(Some("[::1]:5"), &[]), host("::1", 5));
        assert_eq!(place(Some("10.0.0.1:5"), &[]), host("10.0.0.1", 5));
    }

    #[test]
    fn wrong_ports_are_named() {
        for wrong in ["h:", "h:0", "h:65536", "h:x", "h:-1"] {
            let error = wanted(Some(wrong), &[]).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
        let error = wanted(None, &[("USE_SCHEDULER", "h:x")]).unwrap_err();
        assert!(error.to_string().contains("USE_SCHEDULER"), "{error}");
        assert!(wanted(None, &[("ICECC_TEST_SCHEDULER_PORTS", "1")]).is_err());
    }

    #[test]
    fn test_runs_stay_on_loopback() {
        let loopback = Reach::Loopback;
        let tests = [
            ("ICECC_TESTS", "1"),
            ("ICECC_TEST_SCHEDULER_PORTS", "8767:8769"),
        ];
        assert_eq!(
            place(None, &tests),
            network(&[8767, 8769], loopback.clone())
        );
        assert_eq!(place(None, &tests[..1]), network(&[8765], loopback));
    }
}
