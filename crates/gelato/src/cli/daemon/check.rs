//! `gelato daemon --check`: looks for everything that would keep a daemon with these options and files from serving, and
//! starts none.
//!
//! Each finding is a sentence with what to do about it. Started as root, it becomes the user the daemon would become before it
//! looks at what only that user must be able to do.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gelato_net::discovery::wanted::Place;
use gelato_sandbox::{Jailer, identity};
use rustix::fs::{Access as Mode, access};
use rustix::process::{Resource, getrlimit};

use super::service::Service;
use super::{Args, base_folder, courtesy, listen_addresses, local_socket, wanted_scheduler};
use crate::cli::settings::{self, Program};

/// Descriptors besides those of connections over the network: local wrappers, jobs, archives.
const OTHER_DESCRIPTORS: u64 = 256;

/// Megabytes that hold a few toolchains.
const USEFUL_CACHE: u64 = 512;

/// What was found.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, finding: impl ToString) {
        self.0.push(finding.to_string());
    }

    /// The value, or its error as a finding.
    fn take<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(format!("{error:#}"))).ok()
    }
}

/// Status 0 if a daemon would serve, 1 if not.
pub(super) fn run(args: &Args) -> ExitCode {
    let findings = look(args);
    for finding in &findings.0 {
        println!("{finding}");
    }
    match findings.0.len() {
        0 => {
            println!("no problems found");
            ExitCode::SUCCESS
        }
        1 => {
            println!("1 problem found");
            ExitCode::FAILURE
        }
        number => {
            println!("{number} problems found");
            ExitCode::FAILURE
        }
    }
}

fn look(args: &Args) -> Findings {
    let mut findings = Findings::default();
    let as_root = identity::is_root();
    let settings = settings::load();
    for problem in settings.problems(Program::Daemon.sections()) {
        findings.add(problem);
    }
    findings.take(courtesy::terms(&settings, true, false));
    scheduler(args, &mut findings);
    let chosen = args.max_processes.is_some();
    findings.take(courtesy::terms(&settings::load(), chosen, false));
    let socket = findings.take(local_socket(args, as_root));
    let runs = socket
        .as_ref()
        .is_some_and(|(path, _)| UnixStream::connect(path).is_ok());
    if let Some(addresses) = findings.take(listen_addresses(args)) {
        if runs {
            println!("a daemon is running: whether its port is free was not tried");
        } else {
            ports(&addresses, &mut findings);
        }
    }
    descriptors(args, &mut findings);
    if let Some(limit) = args.cache_limit
        && !args.no_remote
        && limit < USEFUL_CACHE
    {
        findings.add(format!(
            "{limit} MB hold hardly one toolchain: give --cache-limit at least {USEFUL_CACHE}"
        ));
    }
    if as_root {
        // A folder that is not there yet is made by root.
        let folders = [args.log_file.clone(), Some(args.base_or_default())];
        for folder in folders.into_iter().flatten() {
            writable(&folder, &mut findings);
        }
        match Service::find(args.user_uid.as_deref()) {
            Ok(service) => {
                if let Err(error) = service.only_become() {
                    findings.add(format!("{error:#}"));
                    return findings;
                }
            }
            Err(error) => {
                findings.add(format!("{error:#}"));
                return findings;
            }
        }
    } else {
        let base = findings.take(base_folder(args, false));
        let socket = socket.map(|(path, _)| path);
        for path in [base, args.log_file.clone(), socket].into_iter().flatten() {
            writable(&path, &mut findings);
        }
    }
    if !args.no_remote {
        let probe =
            super::sandbox::probe(&Jailer::current_exe(), args.sandbox, args.weakest_sandbox);
        if probe.level.is_none() {
            findings.add(format!(
                "no jobs of other machines can be caged here, so none are taken: {}; or say so with --no-remote",
                probe.obstacles.join("; ")
            ));
        }
    }
    findings
}

fn scheduler(args: &Args, findings: &mut Findings) {
    let Some(wanted) = findings.take(wanted_scheduler(args)) else {
        return;
    };
    let Place::Host { name, port } = wanted.place else {
        return;
    };
    match (name.as_str(), port).to_socket_addrs() {
        Ok(mut addresses) => {
            if addresses.next().is_none() {
                findings.add(format!(
                    "the scheduler's host {name} has no address: name another with -s"
                ));
            }
        }
        Err(error) => findings.add(format!(
            "the address of the scheduler's host {name} cannot be found: {error}; name another with -s"
        )),
    }
}

fn ports(addresses: &[SocketAddr], findings: &mut Findings) {
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return findings.add(format!(
                    "TCP port {} is in use: stop the program that has it, or choose another port with -p",
                    address.port()
                ));
            }
            // Without IPv6 the daemon serves IPv4 alone.
            Err(_) if address.is_ipv6() => {}
            Err(error) => findings.add(format!(
                "cannot listen on TCP port {} of {}: {error}; choose another port with -p or another interface with -i",
                address.port(),
                address.ip()
            )),
        }
    }
}

fn descriptors(args: &Args, findings: &mut Findings) {
    let needed = args.access.descriptors() + OTHER_DESCRIPTORS;
    if let Some(most) = getrlimit(Resource::Nofile).maximum
        && most < needed
    {
        findings.add(format!(
            "{most} files may be open, {needed} are needed for so many connections: raise the limit (LimitNOFILE= in a unit, \
             ulimit -Hn in a shell) or lower --connections"
        ));
    }
}

/// Whether this user can make or write a file or folder, judged by what there is of its path.
fn writable(path: &Path, findings: &mut Findings) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = path.ancestors().find(|part| part.exists()) else {
        return;
    };
    let is_folder = there.is_dir();
    if there != path && !is_folder {
        return findings.add(format!(
            "{} cannot be made: {} is no folder",
            path.display(),
            there.display()
        ));
    }
    let mode = if is_folder {
        Mode::WRITE_OK | Mode::EXEC_OK
    } else {
        Mode::WRITE_OK
    };
    if access(there, mode).is_err() {
        let what = if there == path {
            "written".to_owned()
        } else {
            format!("made in {}", there.display())
        };
        findings.add(format!(
            "{} cannot be {what} by this user: change its owner, or name another",
            path.display()
        ));
    }
}

impl Args {
    fn base_or_default(&self) -> PathBuf {
        base_folder(self, true).unwrap_or_default()
    }
}
