//! Options about who may connect over the network, and how much one address may take up.

use std::time::Duration;

use clap::ValueEnum;
use gelato_daemon::{Access, Operators};
use gelato_net::Limits;
use gelato_net::access::{RuleError, Rules};

/// To be flattened into the options of the daemon.
#[derive(clap::Args)]
pub(super) struct AccessArgs {
    /// Networks that may connect [default: private]
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',', value_parser = rule)]
    allow: Option<Vec<String>>,
    /// Networks that may not
    #[arg(long, value_name = "NETWORK,…", value_delimiter = ',', value_parser = rule)]
    deny: Option<Vec<String>>,
    /// Connections over the network at the same time
    #[arg(long, value_name = "N", default_value_t = 2000)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// The same from one address
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    peer_connections: u16,
    /// Jobs of one address that run or wait [default: three quarters of all that may]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    peer_jobs: Option<u16>,
    /// Toolchains one address may send at the same time
    #[arg(long, value_name = "N", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    peer_transfers: u16,
    /// Megabytes of source of jobs that wait
    #[arg(long, value_name = "MB", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    waiting_source: u32,
    /// The same of one address
    #[arg(long, value_name = "MB", default_value_t = 128)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    peer_waiting_source: u32,
    /// Seconds until a connection must have said who it is
    #[arg(long, value_name = "S", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=600))]
    handshake_time: u16,
    /// Who of this machine may pause, drain and resume
    #[arg(long, value_enum, value_name = "WHO", default_value_t = Who::Anyone)]
    operators: Who,
}

/// What `--operators` offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    /// Every user
    Anyone,
    /// Root and the user the daemon runs as
    Administrators,
}

impl AccessArgs {
    /// The settings these options stand for.
    ///
    /// # Errors
    /// None after the options were parsed.
    pub(super) fn access(&self) -> Result<Access, RuleError> {
        Ok(Access {
            rules: rules(self.allow.as_deref(), self.deny.as_deref())?,
            connections: self.connections.into(),
            peer_connections: self.peer_connections.into(),
            peer_jobs: self.peer_jobs.map(usize::from),
            peer_transfers: self.peer_transfers.into(),
            waiting_source: megabytes(self.waiting_source),
            peer_waiting_source: megabytes(self.peer_waiting_source),
            operators: match self.operators {
                Who::Anyone => Operators::Anyone,
                Who::Administrators => Operators::Administrators,
            },
        })
    }

    /// How many descriptors connections over the network may take.
    pub(super) fn descriptors(&self) -> u64 {
        self.connections.into()
    }

    /// Limits of each connection.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            handshake: Duration::from_secs(self.handshake_time.into()),
            ..Limits::from_environment()
        }
    }
}

/// Rules from two options; an option that is not given has its default, one that is empty stands for no network.
pub(crate) fn rules(allow: Option<&[String]>, deny: Option<&[String]>) -> Result<Rules, RuleError> {
    let words = |list: &[String]| -> Vec<String> {
        let given = list.iter().filter(|word| !word.is_empty());
        given.cloned().collect()
    };
    let allow = allow.map_or_else(|| vec!["private".to_owned()], words);
    Rules::new(&allow, &deny.map(words).unwrap_or_default())
}

/// One word of such an option.
pub(crate) fn rule(word: &str) -> Result<String, RuleError> {
    if !word.is_empty() {
        Rules::new(&[word], &[])?;
    }
    Ok(word.to_owned())
}

fn megabytes(number: u32) -> usize {
    usize::try_from(number)
        .unwrap_or(usize::MAX)
        .saturating_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: AccessArgs,
    }

    fn access(line: &str) -> Result<Access, clap::Error> {
        let words = std::iter::once("iceccd").chain(line.split_whitespace());
        Program::try_parse_from(words).map(|program| program.args.access().unwrap())
    }

    #[test]
    fn without_options_the_defaults_count() {
        assert_eq!(access("").unwrap(), Access::default());
    }

    #[test]
    fn lists_are_separated_by_commas_and_may_be_empty() {
        let public = "192.0.2.1".parse().unwrap();
        let private = "10.0.0.1".parse().unwrap();
        let rules = |line: &str| access(line).unwrap().rules;
        let both = rules("--allow=private,192.0.2.0/24 --deny 10.0.0.0/24");
        assert!(both.permits(public) && !both.permits(private));
        let nobody = rules("--allow=");
        assert!(!nobody.permits(public) && !nobody.permits(private));
        assert!(nobody.permits("127.0.0.1".parse().unwrap()));
        assert!(rules("--allow any --deny=").permits(public));
        let error = access("--allow private,10.0.0.0/40").err().unwrap();
        assert!(error.to_string().contains("10.0.0.0/40"), "{error}");
    }

    #[test]
    fn limits_are_checked() {
        for line in [
            "--connections 0",
            "--peer-jobs 0",
            "--peer-transfers 2000",
            "--handshake-time x",
        ] {
            assert!(access(line).is_err(), "{line}");
        }
        let given = access("--connections 7 --peer-jobs 3 --waiting-source 2").unwrap();
        assert_eq!(
            (given.connections, given.peer_jobs, given.waiting_source),
            (7, Some(3), 2 << 20)
        );
    }
}
