//! A network of its own: one namespace per host, joined by a bridge in one more namespace.
//!
//! Needs root and the `ip` program. Addresses are private and exist only inside the namespaces, so every segment uses
//! the same ones; only the namespaces' names differ, and all begin with the segment's prefix.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const NAMES: &str = "/run/netns";

/// The namespaces of one cluster; dropping it removes them.
#[derive(Debug)]
pub struct Segment {
    prefix: String,
    hosts: u8,
}

impl Segment {
    /// Makes `hosts` hosts, numbered from 1, each reaching the others.
    ///
    /// # Errors
    /// `ip` is missing or refuses.
    pub fn new(prefix: &str, hosts: u8) -> Result<Segment> {
        // Two first-time calls of `ip netns add` at once disturb each other when they prepare the folder of names.
        let lock = File::open("/run")?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        let segment = Segment {
            prefix: prefix.to_owned(),
            hosts,
        };
        let bridge = segment.bridge();
        ip(&["netns", "add", &bridge])?;
        ip(&["-n", &bridge, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "bridge", "up"])?;
        for number in 1..=hosts {
            let host = segment.name(number);
            let port = format!("port{number}");
            ip(&["netns", "add", &host])?;
            ip(&[
                "-n", &bridge, "link", "add", &port, "type", "veth", "peer", "name", "eth0",
                "netns", &host,
            ])?;
            ip(&[
                "-n", &bridge, "link", "set", &port, "master", "bridge", "up",
            ])?;
            let address = format!("{}/24", Segment::address(number));
            ip(&[
                "-n",
                &host,
                "addr",
                "add",
                &address,
                "broadcast",
                "+",
                "dev",
                "eth0",
            ])?;
            ip(&["-n", &host, "link", "set", "eth0", "up"])?;
            ip(&["-n", &host, "link", "set", "lo", "up"])?;
        }
        Ok(segment)
    }

    /// Address of host `number`.
    pub fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, number)
    }

    /// Name of the namespace of host `number`.
    pub fn name(&self, number: u8) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Names of all its namespaces.
    pub(crate) fn names(&self) -> Vec<String> {
        [self.bridge()]
            .into_iter()
            .chain((1..=self.hosts).map(|number| self.name(number)))
            .collect()
    }

    /// Cuts host `number` off, as pulling its cable would.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn unplug(&self, number: u8) -> Result<()> {
        ip(&[
            "-n",
            &self.bridge(),
            "link",
            "set",
            &format!("port{number}"),
            "down",
        ])
    }

    /// Joins host `number` again.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn plug(&self, number: u8) -> Result<()> {
        ip(&[
            "-n",
            &self.bridge(),
            "link",
            "set",
            &format!("port{number}"),
            "up",
        ])
    }

    fn bridge(&self) -> String {
        format!("{}b", self.prefix)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

/// Names of existing network namespaces that begin with `prefix`.
pub fn existing(prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(NAMES) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// File that stands for the namespace called `name`.
pub fn file(name: &str) -> PathBuf {
    Path::new(NAMES).join(name)
}

/// Runs `work` inside the network namespace `name`, or here if there is none.
///
/// A thread of its own enters the namespace, so the caller stays where it is.
///
/// # Errors
/// The namespace cannot be entered, or `work`'s own error.
pub fn inside<T: Send>(name: Option<&str>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(name) = name else {
        return work();
    };
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let file =
                File::open(file(name)).with_context(|| format!("network namespace {name}"))?;
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&file),
                Some(LinkNameSpaceType::Network),
            )?;
            work()
        });
        match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Why no segment can be made here, if so.
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    for program in ["ip", "nsenter", "unshare", "setpriv"] {
        if crate::programs::in_path(program).is_none() {
            return Some(format!("the program {program} is not installed"));
        }
    }
    None
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(words)
        .output()
        .context("cannot start ip")?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
