//! May this node take this job, ever or now, and with which toolchain. Facts only; which of the eligible is best is
//! [`crate::place`]'s business.

use std::fmt;

use crate::config::LOAD_FULL;
use crate::ids::{Environment, Text, Time};
use crate::job::Needs;
use crate::node::Node;

/// Why a node cannot take a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Another host was asked for by name.
    NotPreferred,
    /// It offers no slot.
    NoSlots,
    /// It cannot run foreign toolchains.
    NoChroot,
    /// It takes only its own jobs.
    NoRemote,
    /// Its protocol is too old for the job.
    TooOld,
    /// It lacks a feature the job needs.
    MissingFeature,
    /// Others cannot connect to it, or not this submitter.
    Unreachable,
    /// No offered toolchain runs there, or none that is known to work.
    NoToolchain,
    /// It does not answer, is about to be disconnected, or an operator wants it to take nothing new.
    Leaving,
    /// Its load is full or not yet known.
    Loaded,
    /// All slots and the preload are taken.
    Full,
    /// It is still receiving a toolchain, and the job would need another one sent.
    Installing,
}

impl Obstacle {
    /// It may pass by itself.
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Obstacle::Loaded | Obstacle::Full | Obstacle::Installing
        )
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::NotPreferred => "another host is preferred",
            Obstacle::NoSlots => "no slots",
            Obstacle::NoChroot => "cannot run foreign toolchains",
            Obstacle::NoRemote => "takes only its own jobs",
            Obstacle::TooOld => "protocol too old",
            Obstacle::MissingFeature => "lacks a needed feature",
            Obstacle::Unreachable => "unreachable",
            Obstacle::NoToolchain => "no usable toolchain",
            Obstacle::Leaving => "leaving, draining or silent",
            Obstacle::Loaded => "loaded",
            Obstacle::Full => "full",
            Obstacle::Installing => "installing a toolchain",
        })
    }
}

/// The toolchain a node would use for a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usable<'a> {
    /// As offered by the request.
    pub(crate) environment: &'a Environment,
    /// It is there already.
    pub(crate) installed: bool,
}

/// A job, its submitter and the time: what eligibility depends on beside the node.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) needs: &'a Needs,
    pub(crate) submitter: &'a Node,
    pub(crate) now: Time,
}

impl<'a> Question<'a> {
    /// What `node` would use if it took the job now.
    pub(crate) fn now(&self, node: &Node) -> Result<Usable<'a>, Obstacle> {
        self.present_obstacle(node)?;
        self.toolchain(node)
    }

    /// As [`Question::now`], for a node that is known to have the only toolchain offered.
    pub(crate) fn now_having(&self, node: &Node) -> Result<Usable<'a>, Obstacle> {
        self.present_obstacle(node)?;
        match self.needs.environments.first() {
            Some(environment)
                if runs_on(&environment.platform, &node.platform)
                    && !self.is_blacklisted(node, environment) =>
            {
                Ok(Usable {
                    environment,
                    installed: true,
                })
            }
            _ => self.toolchain(node),
        }
    }

    fn present_obstacle(&self, node: &Node) -> Result<(), Obstacle> {
        self.lasting_obstacle(node)?;
        if node.suspended || node.is_draining() {
            return Err(Obstacle::Leaving);
        }
        if node.load >= LOAD_FULL {
            return Err(Obstacle::Loaded);
        }
        if !node.has_room() {
            return Err(Obstacle::Full);
        }
        Ok(())
    }

    /// What the submitter would use if it took its own job whatever its load, for want of anyone else.
    pub(crate) fn own_machine(&self) -> Result<Usable<'a>, Obstacle> {
        if self.submitter.suspended {
            return Err(Obstacle::Leaving);
        }
        if !self.submitter.has_free_slot() {
            return Err(Obstacle::Full);
        }
        self.toolchain(self.submitter)
    }

    /// Whether `node` could take the job some day, if it is only patient.
    pub(crate) fn ever(&self, node: &Node) -> bool {
        self.lasting_obstacle(node).is_ok()
            && !node.draining
            && (!node.resting || self.is_submitter(node))
            && (self.installed(node).is_some() || self.installable(node).is_some())
    }

    /// What keeps `node` from taking the job now.
    pub(crate) fn obstacle(&self, node: &Node) -> Option<Obstacle> {
        self.now(node).err()
    }

    pub(crate) fn is_submitter(&self, node: &Node) -> bool {
        node.id == self.submitter.id
    }

    /// Whether the submitter can connect to the node, and knows addresses of the kind it would get. Icecream knows only
    /// IPv4, and who came by IPv6 may have nothing else.
    fn can_reach(&self, node: &Node) -> bool {
        let same_kind =
            node.address_for(self.submitter).is_ipv4() == self.submitter.address.is_ipv4();
        node.is_reachable() && same_kind
    }

    fn lasting_obstacle(&self, node: &Node) -> Result<(), Obstacle> {
        let needs = self.needs;
        let own = self.is_submitter(node);
        if !needs.preferred_host.is_empty() && !node.answers_to(needs.preferred_host.as_bytes()) {
            Err(Obstacle::NotPreferred)
        } else if node.slots == 0 {
            Err(Obstacle::NoSlots)
        } else if !own && node.no_remote {
            Err(Obstacle::NoRemote)
        } else if !own && !node.chroot {
            Err(Obstacle::NoChroot)
        } else if node.own_version < needs.minimal_version {
            Err(Obstacle::TooOld)
        } else if needs.features & !node.features != 0 {
            Err(Obstacle::MissingFeature)
        } else if !own && !self.can_reach(node) {
            Err(Obstacle::Unreachable)
        } else {
            Ok(())
        }
    }

    fn toolchain(&self, node: &Node) -> Result<Usable<'a>, Obstacle> {
        if let Some(environment) = self.installed(node) {
            return Ok(Usable {
                environment,
                installed: true,
            });
        }
        let environment = self.installable(node).ok_or(Obstacle::NoToolchain)?;
        if node.installing.is_some() {
            return Err(Obstacle::Installing);
        }
        Ok(Usable {
            environment,
            installed: false,
        })
    }

    /// The submitter has its own compiler; others must list the toolchain for the wanted target.
    fn installed(&self, node: &Node) -> Option<&'a Environment> {
        if self.is_submitter(node) {
            return self.installable(node);
        }
        self.needs.environments.iter().find(|offered| {
            runs_on(&offered.platform, &node.platform)
                && node.environments.has(&offered.name, &self.needs.target)
                && !self.is_blacklisted(node, offered)
        })
    }

    fn installable(&self, node: &Node) -> Option<&'a Environment> {
        self.needs.environments.iter().find(|offered| {
            runs_on(&offered.platform, &node.platform)
                && !self.is_blacklisted(node, offered)
                && node
                    .avoided
                    .get(offered)
                    .is_none_or(|until| *until <= self.now)
        })
    }

    fn is_blacklisted(&self, node: &Node, offered: &Environment) -> bool {
        self.submitter
            .blacklist
            .get(&node.id)
            .is_some_and(|pairs| pairs.contains(offered))
    }
}

/// Whether programs for platform `of` run on a machine of platform `on`.
pub(crate) fn runs_on(of: &Text, on: &Text) -> bool {
    const WIDER: &[(&[u8], &[&[u8]])] = &[
        (b"i386", &[b"i486", b"i586", b"i686", b"x86_64"]),
        (b"i486", &[b"i586", b"i686", b"x86_64"]),
        (b"i586", &[b"i686", b"x86_64"]),
        (b"i686", &[b"x86_64"]),
        (b"ppc", &[b"ppc64"]),
        (b"s390", &[b"s390x"]),
    ];
    of == on
        || WIDER
            .iter()
            .any(|(narrow, wide)| of.as_bytes() == *narrow && wide.contains(&on.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::node::Installing;
    use crate::node::tests::node;

    fn needs() -> Needs {
        Needs {
            mark: 0,
            environments: [Environment::new("x86_64", "gcc-12")].into(),
            target: Text::from("x86_64"),
            preferred_host: Text::default(),
            minimal_version: 21,
            features: 0,
            ipv6: false,
        }
    }

    fn ask(needs: &Needs, submitter: &Node, node: &Node) -> Result<bool, Obstacle> {
        let question = Question {
            needs,
            submitter,
            now: Time(0),
        };
        question.now(node).map(|usable| usable.installed)
    }

    fn ready(id: u32) -> Node {
        let mut node = node(id, 2);
        node.load = 0;
        node
    }

    #[test]
    fn platforms_run_their_ancestors() {
        let runs = |of: &str, on: &str| runs_on(&Text::from(of), &Text::from(on));
        assert!(runs("x86_64", "x86_64"));
        assert!(runs("i386", "x86_64"));
        assert!(runs("ppc", "ppc64"));
        assert!(!runs("x86_64", "i386"));
        assert!(!runs("x86_64", "aarch64"));
        assert!(runs("riscv64", "riscv64"));
    }

    #[test]
    fn each_demand_has_its_obstacle() {
        let submitter = ready(1);
        let check = |change: &dyn Fn(&mut Node, &mut Needs)| {
            let (mut worker, mut needs) = (ready(2), needs());
            change(&mut worker, &mut needs);
            ask(&needs, &submitter, &worker)
        };
        assert_eq!(check(&|_, _| ()), Ok(false));
        assert_eq!(check(&|w, _| w.slots = 0), Err(Obstacle::NoSlots));
        assert_eq!(check(&|w, _| w.chroot = false), Err(Obstacle::NoChroot));
        assert_eq!(check(&|w, _| w.no_remote = true), Err(Obstacle::NoRemote));
        assert_eq!(
            check(&|w, n| (w.own_version, n.minimal_version) = (41, 42)),
            Err(Obstacle::TooOld)
        );
        assert_eq!(check(&|_, n| n.features = 2), Err(Obstacle::MissingFeature));
        assert_eq!(
            check(&|w, _| w.reach.failures = 1),
            Err(Obstacle::Unreachable)
        );
        assert_eq!(
            check(&|_, n| n.environments = [].into()),
            Err(Obstacle::NoToolchain)
        );
        assert_eq!(check(&|w, _| w.load = 1000), Err(Obstacle::Loaded));
        assert_eq!(check(&|w, _| w.suspended = true), Err(Obstacle::Leaving));
        assert_eq!(check(&|w, _| w.draining = true), Err(Obstacle::Leaving));
        assert_eq!(
            check(&|_, n| n.preferred_host = Text::from("else")),
            Err(Obstacle::NotPreferred)
        );
        assert_eq!(
            check(&|_, n| n.preferred_host = Text::from("10.0.0.2")),
            Ok(false)
        );
        assert_eq!(
            check(&|w, _| {
                for job in 0..3 {
                    w.jobs.insert(JobId(job));
                }
                w.jobs.insert(JobId(3));
            }),
            Err(Obstacle::Full)
        );
    }

    #[test]
    fn nobody_gets_an_address_of_a_kind_it_may_not_know() {
        let at = |id: u32, address: &str, local: &str| {
            let mut node = ready(id);
            node.address = address.parse().unwrap();
            node.local_address = local.parse().unwrap();
            node
        };
        let v4 = at(1, "10.0.0.2", "10.0.0.1");
        let v6 = at(2, "fd00::2", "fd00::1");
        let here4 = at(3, "127.0.0.1", "127.0.0.1");
        let here6 = at(4, "::1", "::1");
        let other = Err(Obstacle::Unreachable);
        assert_eq!(ask(&needs(), &v4, &v6), other);
        assert_eq!(ask(&needs(), &v6, &v4), other);
        assert_eq!(ask(&needs(), &here4, &here6), other);
        // The scheduler's own machine is handed out at the address its submitter knows.
        for submitter in [&v4, &v6] {
            assert!(ask(&needs(), submitter, &here4).is_ok());
            assert!(ask(&needs(), submitter, &here6).is_ok());
            assert!(ask(&needs(), submitter, submitter).is_ok());
        }
        assert!(ask(&needs(), &v6, &at(5, "fd00::5", "fd00::1")).is_ok());
    }

    #[test]
    fn a_submitter_may_do_its_own_jobs_where_others_may_not() {
        let mut own = ready(1);
        (own.chroot, own.no_remote, own.reach.failures) = (false, true, 3);
        assert_eq!(ask(&needs(), &own, &own), Ok(true));
    }

    #[test]
    fn an_installing_worker_serves_what_it_has() {
        let submitter = ready(1);
        let mut worker = ready(2);
        worker.installing = Some(Installing {
            environment: Environment::new("x86_64", "gcc-13"),
            job: JobId(1),
            since: Time(0),
        });
        assert_eq!(
            ask(&needs(), &submitter, &worker),
            Err(Obstacle::Installing)
        );
        worker
            .environments
            .insert(Environment::new("x86_64", "gcc-12"));
        assert_eq!(ask(&needs(), &submitter, &worker), Ok(true));
    }

    #[test]
    fn installed_means_for_the_wanted_target() {
        let submitter = ready(1);
        let mut worker = ready(2);
        worker
            .environments
            .insert(Environment::new("aarch64", "gcc-12"));
        assert_eq!(ask(&needs(), &submitter, &worker), Ok(false));
        let mut cross = needs();
        cross.target = Text::from("aarch64");
        assert_eq!(ask(&cross, &submitter, &worker), Ok(true));
    }

    #[test]
    fn blacklisted_and_avoided_pairs_are_not_used() {
        let (mut submitter, mut worker) = (ready(1), ready(2));
        let pair = Environment::new("x86_64", "gcc-12");
        submitter
            .blacklist
            .entry(worker.id)
            .or_default()
            .insert(pair.clone());
        assert_eq!(
            ask(&needs(), &submitter, &worker),
            Err(Obstacle::NoToolchain)
        );
        let mut two = needs();
        two.environments = [
            two.environments.to_vec(),
            vec![Environment::new("i386", "gcc-i386")],
        ]
        .concat()
        .into();
        assert_eq!(ask(&two, &submitter, &worker), Ok(false));

        submitter.blacklist.clear();
        worker.avoided.insert(pair, Time(1));
        assert_eq!(
            ask(&needs(), &submitter, &worker),
            Err(Obstacle::NoToolchain)
        );
        let needs = needs();
        let later = Question {
            needs: &needs,
            submitter: &submitter,
            now: Time(1),
        };
        assert!(later.now(&worker).is_ok());
    }
}
