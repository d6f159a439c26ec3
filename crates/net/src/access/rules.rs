//! Lists of networks: the most specific one that contains an address decides.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// What the word `private` stands for: addresses that are not routed on the Internet, so that whoever has one is on a
/// network of the same owner. Not 100.64.0.0/10: behind it are the other customers of one's provider.
const PRIVATE: [Network; 8] = [
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 168, 0, 0], 16),
    Network::v4([169, 254, 0, 0], 16),
    Network::v6(0xfe80 << 112, 10),
    Network::v6(0xfc00 << 112, 7),
    LOOPBACK[0],
    LOOPBACK[1],
];

/// This machine.
const LOOPBACK: [Network; 2] = [Network::v4([127, 0, 0, 0], 8), Network::v6(1, 128)];

/// Every address.
const ANY: [Network; 2] = [Network::v4([0, 0, 0, 0], 0), Network::v6(0, 0)];

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Which addresses may connect. The most specific network that contains an address decides, whichever list it is in; of two
/// equal ones the refusal. An address in no network may not connect, but for loopback addresses, which may unless a list
/// says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    allow: Vec<Network>,
    deny: Vec<Network>,
}

/// A word of a list that is no rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{word}` is no rule about addresses: an address, a network as 10.1.0.0/16 or fd00::/8, `private` or `any` is needed"
)]
pub struct RuleError {
    /// What was given.
    pub word: String,
}

impl Network {
    const fn v4(octets: [u8; 4], prefix: u8) -> Network {
        let [a, b, c, d] = octets;
        Network {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            prefix,
        }
    }

    const fn v6(bits: u128, prefix: u8) -> Network {
        Network {
            address: IpAddr::V6(Ipv6Addr::from_bits(bits)),
            prefix,
        }
    }

    /// The first `prefix` bits of `address`; none if it has fewer.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then(|| Network {
            address: masked(address, prefix),
            prefix,
        })
    }

    /// Whether an address is in it. IPv4 addresses written as IPv6 ones count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

impl FromStr for Network {
    type Err = RuleError;

    /// An address, or an address, a slash and the number of bits that count; bits behind those are ignored.
    fn from_str(word: &str) -> Result<Network, RuleError> {
        let parsed = match word.split_once('/') {
            None => word.parse().ok().and_then(|address: IpAddr| {
                let address = canonical(address);
                Network::new(address, if address.is_ipv4() { 32 } else { 128 })
            }),
            Some((address, prefix)) => {
                let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
                let prefix = prefix.parse().ok().filter(|_| digits);
                address
                    .parse()
                    .ok()
                    .zip(prefix)
                    .and_then(|(a, p)| Network::new(a, p))
            }
        };
        parsed.ok_or_else(|| RuleError {
            word: word.to_owned(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Rules {
    /// Rules from the words of two lists: addresses, networks, `private`, `any`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn new<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Rules, RuleError> {
        let mut allow = networks(allow)?;
        for loopback in LOOPBACK {
            if !allow.contains(&loopback) {
                allow.push(loopback);
            }
        }
        Ok(Rules {
            allow,
            deny: networks(deny)?,
        })
    }

    /// Whether this address may connect.
    pub fn permits(&self, address: IpAddr) -> bool {
        let allowed = longest(&self.allow, address);
        allowed.is_some() && allowed > longest(&self.deny, address)
    }
}

impl Default for Rules {
    /// Private networks.
    fn default() -> Rules {
        Rules {
            allow: PRIVATE.to_vec(),
            deny: Vec::new(),
        }
    }
}

/// An IPv4 address written as an IPv6 one becomes an IPv4 address.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn networks<S: AsRef<str>>(words: &[S]) -> Result<Vec<Network>, RuleError> {
    let mut networks = Vec::new();
    for word in words {
        match word.as_ref().trim() {
            "any" => networks.extend(ANY),
            "private" => networks.extend(PRIVATE),
            word => networks.push(word.parse()?),
        }
    }
    Ok(networks)
}

/// Bits of the most specific network that contains the address.
fn longest(networks: &[Network], address: IpAddr) -> Option<u8> {
    networks
        .iter()
        .filter(|network| network.contains(address))
        .map(|network| network.prefix)
        .max()
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permits(allow: &[&str], deny: &[&str], address: &str) -> bool {
        let rules = Rules::new(allow, deny).unwrap();
        rules.permits(address.parse().unwrap())
    }

    #[test]
    fn without_rules_private_networks_may_connect() {
        let rules = Rules::default();
        assert!(
            ["private"]
                .iter()
                .all(|word| Rules::new(&[*word], &[]).is_ok())
        );
        for address in [
            "10.255.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.9.9",
            "169.254.1.1",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "fe80::1",
            "fd12::1",
            "fc00::",
            "::ffff:10.0.0.1",
        ] {
            assert!(rules.permits(address.parse().unwrap()), "{address}");
            assert!(permits(&["private"], &[], address), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.0",
            "172.15.0.1",
            "192.169.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "2001:db8::1",
            "::2",
            "fec0::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!rules.permits(address.parse().unwrap()), "{address}");
            assert!(permits(&["any"], &[], address), "{address}");
        }
    }

    #[test]
    fn the_most_specific_network_decides_and_refusal_wins_a_tie() {
        let allow = ["10.0.0.0/8", "10.1.2.3"];
        let deny = ["10.1.0.0/16"];
        assert!(permits(&allow, &deny, "10.2.0.1"));
        assert!(!permits(&allow, &deny, "10.1.0.1"));
        assert!(permits(&allow, &deny, "10.1.2.3"));
        assert!(!permits(&["10.0.0.0/8"], &["10.0.0.0/8"], "10.0.0.1"));
        assert!(!permits(&["any"], &["any"], "10.0.0.1"));
        assert!(permits(&["private"], &["any"], "10.0.0.1"));
        assert!(!permits(&["private"], &["any"], "8.8.8.8"));
    }

    #[test]
    fn loopback_may_connect_unless_denied() {
        assert!(permits(&["10.0.0.0/8"], &[], "127.0.0.1"));
        assert!(permits(&[], &[], "::1"));
        assert!(permits(&[], &["any"], "127.0.0.1"));
        assert!(!permits(&[], &["127.0.0.2"], "127.0.0.2"));
        assert!(!permits(&[], &["127.0.0.0/8"], "127.0.0.1"));
        assert!(!permits(&[], &["::1"], "::1"));
    }

    #[test]
    fn words_that_are_no_rules_are_named() {
        for word in [
            "",
            "private ip",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "fd00::/129",
            "10.0.0.0/+8",
            "host",
            "10.0.0.0/8/8",
            "/8",
        ] {
            let error = Rules::new(&[word], &[]).unwrap_err();
            assert_eq!(error.word, word);
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{word}` is no rule")),
                "{error}"
            );
        }
        assert!(Rules::new(&["  any "], &["10.1.2.3/8", "fd00::1", "::/0"]).is_ok());
        assert_eq!(
            "10.1.2.3/8".parse::<Network>().unwrap().to_string(),
            "10.0.0.0/8"
        );
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        ]
    }

    proptest! {
        #[test]
        fn no_word_trips_it(word in "[0-9a-f:./ ]{0,24}|\\PC{0,12}") {
            let _ = Rules::new(&[&word], &[]);
        }

        #[test]
        fn a_network_contains_exactly_what_begins_alike(a in address(), b in address(), prefix in 0u8..=128) {
            let Some(network) = Network::new(canonical(a), prefix) else { return Ok(()) };
            prop_assert!(network.contains(a));
            let same = match (canonical(a), canonical(b)) {
                (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix),
                (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix),
                _ => false,
            };
            prop_assert_eq!(network.contains(b), same);
            let again: Network = network.to_string().parse().unwrap();
            prop_assert_eq!(again, network);
        }

        #[test]
        fn one_more_refusal_never_lets_anybody_in(
            allow in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..4),
            deny in proptest::collection::vec((any::<u32>(), 0u8..=32), 1..4),
            at in any::<u32>(),
        ) {
            let words = |list: &[(u32, u8)]| -> Vec<String> {
                list.iter().map(|(bits, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(*bits))).collect()
            };
            let fewer = Rules::new(&words(&allow), &words(&deny[1..])).unwrap();
            let more = Rules::new(&words(&allow), &words(&deny)).unwrap();
            let at = IpAddr::V4(Ipv4Addr::from_bits(at));
            prop_assert!(fewer.permits(at) || !more.permits(at));
        }
    }
}
