//! Where discovery reaches: the broadcast addresses of this machine's interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use if_addrs::{IfAddr, Interface};

/// Which interfaces datagrams are sent on, and from which they are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Every IPv4 interface that can broadcast, loopback and point-to-point ones excepted.
    #[default]
    Everywhere,
    /// The interface of this name, or the one that has this address.
    Interface(String),
    /// 127.0.0.1 only, for test runs.
    Loopback,
    /// Exactly these addresses, for networks without broadcast.
    Addresses(Vec<Ipv4Addr>),
}

impl Reach {
    /// Everywhere, or loopback if `ICECC_TESTS` is set.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Reach {
        match variable("ICECC_TESTS") {
            Some(_) => Reach::Loopback,
            None => Reach::Everywhere,
        }
    }

    /// The addresses to send to.
    ///
    /// # Errors
    /// The system does not tell its interfaces.
    pub fn destinations(&self) -> io::Result<Vec<Ipv4Addr>> {
        match self {
            Reach::Loopback => Ok(vec![Ipv4Addr::LOCALHOST]),
            Reach::Addresses(addresses) => Ok(addresses.clone()),
            Reach::Everywhere | Reach::Interface(_) => {
                let interfaces = if_addrs::get_if_addrs()?;
                Ok(self.broadcasts(&interfaces))
            }
        }
    }

    /// A filter for what arrives, from the interfaces as they are now.
    ///
    /// # Errors
    /// The system does not tell its interfaces, or has none of the wanted name.
    pub fn filter(&self) -> io::Result<Filter> {
        let Reach::Interface(name) = self else {
            return Ok(Filter::All);
        };
        let interfaces = if_addrs::get_if_addrs()?;
        self.filter_among(&interfaces).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no interface `{name}` with an IPv4 address"),
            )
        })
    }

    fn broadcasts(&self, interfaces: &[Interface]) -> Vec<Ipv4Addr> {
        let mut found = Vec::new();
        for interface in interfaces {
            let IfAddr::V4(v4) = &interface.addr else {
                continue;
            };
            let wanted = match self {
                Reach::Interface(name) => is_named(interface, name),
                _ => v4.ip != Ipv4Addr::LOCALHOST,
            };
            if let Some(broadcast) = v4.broadcast
                && wanted
                && !interface.is_p2p
                && !found.contains(&broadcast)
            {
                found.push(broadcast);
            }
        }
        found
    }

    fn filter_among(&self, interfaces: &[Interface]) -> Option<Filter> {
        let Reach::Interface(name) = self else {
            return Some(Filter::All);
        };
        let mut own = Vec::new();
        let mut networks = Vec::new();
        for interface in interfaces {
            if let IfAddr::V4(v4) = &interface.addr {
                own.push(v4.ip);
                if is_named(interface, name) {
                    networks.push((v4.ip, v4.netmask));
                }
            }
        }
        (!networks.is_empty()).then_some(Filter::Networks { own, networks })
    }
}

/// The addresses of an interface, given by its name or one of its addresses: those of IPv4 first, then those of IPv6 that are
/// the same seen from everywhere, in the system's order.
///
/// # Errors
/// The system does not tell its interfaces.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| is_named(interface, name))
        .map(Interface::ip)
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    Ok(addresses)
}

fn is_named(interface: &Interface, name: &str) -> bool {
    interface.name == name || name.parse::<IpAddr>() == Ok(interface.ip())
}

/// From whom datagrams are taken. A socket bound to one address gets no broadcasts, therefore the
/// socket takes all and what comes from elsewhere is sorted out here: the sender must be in a network of the
/// interface, or be this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// From everybody.
    All,
    /// From some.
    Networks {
        /// Addresses of this machine.
        own: Vec<Ipv4Addr>,
        /// Address and mask of each network.
        networks: Vec<(Ipv4Addr, Ipv4Addr)>,
    },
}

impl Filter {
    /// Whether to listen to this sender.
    pub fn admits(&self, from: SocketAddr) -> bool {
        match self {
            Filter::All => true,
            Filter::Networks { own, networks } => match from.ip() {
                IpAddr::V4(ip) => {
                    own.contains(&ip)
                        || networks
                            .iter()
                            .any(|&(address, mask)| ip & mask == address & mask)
                }
                IpAddr::V6(_) => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfOperStatus, Ifv4Addr};

    fn interface(name: &str, ip: [u8; 4], broadcast: Option<[u8; 4]>, is_p2p: bool) -> Interface {
        Interface {
            name: name.to_owned(),
            addr: IfAddr::V4(Ifv4Addr {
                ip: ip.into(),
                netmask: [255, 255, 255, 0].into(),
                prefixlen: 24,
                broadcast: broadcast.map(Ipv4Addr::from),
            }),
            index: None,
            oper_status: IfOperStatus::Up,
            is_p2p,
        }
    }

    fn machine() -> Vec<Interface> {
        vec![
            interface("lo", [127, 0, 0, 1], Some([127, 255, 255, 255]), false),
            interface("eth0", [10, 0, 0, 5], Some([10, 0, 0, 255]), false),
            interface("eth1", [10, 0, 1, 5], Some([10, 0, 1, 255]), false),
            interface("wg0", [10, 9, 0, 1], Some([10, 9, 0, 255]), true),
            interface("tun0", [10, 8, 0, 1], None, false),
        ]
    }

    #[test]
    fn only_interfaces_that_can_broadcast_are_used() {
        let everywhere = Reach::Everywhere.broadcasts(&machine());
        assert_eq!(
            everywhere,
            [Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::new(10, 0, 1, 255)]
        );
        for name in ["eth1", "10.0.1.5"] {
            let one = Reach::Interface(name.to_owned()).broadcasts(&machine());
            assert_eq!(one, [Ipv4Addr::new(10, 0, 1, 255)]);
        }
    }

    #[test]
    fn an_interface_admits_its_network_and_this_machine() {
        let filter = Reach::Interface("eth0".to_owned())
            .filter_among(&machine())
            .unwrap();
        for (from, admitted) in [
            ("10.0.0.77:1", true),
            ("127.0.0.1:1", true),
            ("10.0.1.5:1", true),
            ("10.0.1.77:1", false),
            ("192.168.0.1:1", false),
            ("[::1]:1", false),
        ] {
            assert_eq!(filter.admits(from.parse().unwrap()), admitted, "{from}");
        }
        assert!(
            Reach::Interface("eth9".to_owned())
                .filter_among(&machine())
                .is_none()
        );
        assert!(Filter::All.admits("192.168.0.1:1".parse().unwrap()));
    }
}
