//! Nodes by the names and addresses people call them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ids::{NodeId, Text};
use crate::node::Node;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    names: BTreeMap<Text, BTreeSet<NodeId>>,
    addresses: BTreeMap<IpAddr, BTreeSet<NodeId>>,
}

impl Hosts {
    pub(crate) fn add(&mut self, node: &Node) {
        let names = self.names.entry(node.name.clone()).or_default();
        names.insert(node.id);
        for address in node.addresses() {
            self.addresses.entry(address).or_default().insert(node.id);
        }
    }

    pub(crate) fn remove(&mut self, node: &Node) {
        if let Some(named) = self.names.get_mut(&node.name) {
            named.remove(&node.id);
            if named.is_empty() {
                self.names.remove(&node.name);
            }
        }
        for address in node.addresses() {
            if let Some(there) = self.addresses.get_mut(&address) {
                there.remove(&node.id);
                if there.is_empty() {
                    self.addresses.remove(&address);
                }
            }
        }
    }

    /// Those of this name or address, in order of login.
    pub(crate) fn called(&self, host: &Text) -> Vec<NodeId> {
        let mut all = self.at(host);
        if let Some(named) = self.names.get(host) {
            all.extend(named);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Those that are handed out with this address, in order of login.
    pub(crate) fn at(&self, address: &Text) -> Vec<NodeId> {
        let address = std::str::from_utf8(address.as_bytes()).unwrap_or("");
        address
            .parse()
            .ok()
            .and_then(|address: IpAddr| self.addresses.get(&address))
            .map(|there| there.iter().copied().collect())
            .unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty()
    }
}
