//! Control groups: a group for each job that limits its memory and processes, tells whether it ran out, and reaches all of it.
//!
//! The daemon looks for a home once ([`Home::find`], before it gives up root) and makes a [`Group`] in it for each job. The job
//! moves itself in through descriptors it is handed, so that the jail step and init stay outside of its limits. Version 2 needs a subtree
//! that is ours (`Delegate=yes` of systemd, or root), version 1 needs root at the start; what is needed of both is the memory controller.
//!
//! Not here: what a job may use (the caller says), and what happens without control groups (`watch`).

mod find;
mod group;
mod home;

pub use home::Home;

pub(crate) use group::{Group, Readings};

use std::fmt;

/// The kernel's two kinds of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A hierarchy for each controller; root only.
    V1,
    /// One hierarchy for all, parts of which may be handed to users.
    V2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::V1 => "cgroup v1",
            Kind::V2 => "cgroup v2",
        })
    }
}

/// What a hierarchy can limit, as far as we use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Controller {
    Memory,
    Pids,
    Cpu,
}

impl Controller {
    const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
        }
    }

    /// Those named in a list.
    fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Controller> {
        let names: Vec<&str> = names.collect();
        Controller::ALL
            .into_iter()
            .filter(|controller| names.contains(&controller.name()))
            .collect()
    }
}
