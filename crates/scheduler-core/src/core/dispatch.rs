//! Giving queued jobs their workers, after every event, until nothing more can be placed.

use std::sync::Arc;

use crate::action::{Action, Answer, Note};
use crate::config::NO_CS_VERSION;
use crate::core::Core;
use crate::eligible::Question;
use crate::explain::{Candidate, Decision, Why};
use crate::ids::{Environment, JobId, NodeId, Text, Time};
use crate::job::{Needs, State};
use crate::node::Installing;
use crate::place::{self, Context};
use crate::queue::{Head, Reach};

/// What is to become of a queued job.
enum Verdict {
    Place(Placement),
    /// Somebody could take it, later.
    Wait {
        /// That was known already.
        known: bool,
        /// Who else waits for the same reason.
        reach: Reach,
    },
}

struct Placement {
    worker: NodeId,
    /// The offered toolchain to use; none if the submitter gets its job whether it can or not.
    environment: Option<Environment>,
    installed: bool,
    why: Why,
    candidates: Vec<Candidate>,
    eligible: usize,
}

impl Core {
    /// Tries the waiting jobs for which something may have changed: all lanes if somebody came or left, the head of each
    /// class if somebody has room, and those of the submitters that were touched.
    pub(super) fn dispatch(&mut self, now: Time, out: &mut Vec<Action>) {
        let all = self.generation != self.tried_at;
        let opened = std::mem::take(&mut self.opened);
        if self.queue.is_empty() {
            self.touched.clear();
            self.tried_at = self.generation;
            return;
        }
        let mut touched = std::mem::take(&mut self.touched);
        self.pass += 1;
        while (all || opened && self.index.open() > 0)
            && let Some(head) = self.queue.next(self.pass)
        {
            self.attempt(&head, all, now, out);
        }
        touched.dedup();
        for submitter in touched.iter().copied() {
            while let Some(head) = self.queue.next_of(submitter, self.pass) {
                self.attempt(&head, true, now, out);
            }
        }
        // What was refreshed by placing has no more room than before.
        touched.clear();
        self.touched = touched;
        self.opened = false;
        self.tried_at = self.generation;
    }

    fn attempt(&mut self, head: &Head, only_lane: bool, now: Time, out: &mut Vec<Action>) {
        self.index.prepare(&head.class.needs, &mut self.nodes);
        let reach = match self.decide(head, now) {
            Some(Verdict::Place(placement)) => return self.place(head.job, placement, now, out),
            Some(Verdict::Wait { known, reach }) => {
                if !known {
                    out.push(Action::Note(Note::Delaying { job: head.job }));
                }
                reach
            }
            None => Reach::Lane,
        };
        let reach = if only_lane { Reach::Lane } else { reach };
        self.queue.wait(head, self.pass, reach, self.generation);
    }

    fn decide(&mut self, head: &Head, now: Time) -> Option<Verdict> {
        let job = self.jobs.get(&head.job)?;
        let submitter = self.nodes.get(&job.submitter)?;
        let needs = &*head.class.needs;
        let question = Question {
            needs,
            submitter,
            now,
        };
        let on_submitter = |environment: Option<&Environment>, why| {
            Verdict::Place(Placement {
                worker: submitter.id,
                environment: environment.cloned(),
                installed: true,
                why,
                candidates: Vec::new(),
                eligible: 0,
            })
        };
        if submitter.draining {
            return Some(on_submitter(None, Why::Draining));
        }
        let preferred = match needs.preferred_host.is_empty() {
            true => Vec::new(),
            false => self.hosts.called(&needs.preferred_host),
        };
        let context = Context {
            question,
            config: &self.config,
            cluster: &self.cluster,
            index: &self.index,
            nodes: &self.nodes,
            preferred: &preferred,
        };
        if let Some(choice) = place::choose(&context, &mut self.random) {
            return Some(Verdict::Place(Placement {
                worker: choice.chosen.node.id,
                environment: Some(choice.chosen.usable.environment.clone()),
                installed: choice.chosen.usable.installed,
                why: choice.why,
                candidates: choice.candidates,
                eligible: choice.eligible,
            }));
        }
        if needs.preferred_host.is_empty()
            && let Ok(usable) = question.own_machine()
        {
            return Some(on_submitter(Some(usable.environment), Why::OwnSlot));
        }
        // Another submitter could be served where this one's blacklist stands in the way.
        let reach = if submitter.blacklist.is_empty() {
            Reach::Class
        } else {
            Reach::Lane
        };
        if head.hopeful_at == Some(self.generation) {
            return Some(Verdict::Wait { known: true, reach });
        }
        let hope = if needs.preferred_host.is_empty() {
            question.ever(submitter) || self.nodes.in_any_order().any(|node| question.ever(node))
        } else {
            let mut nodes = preferred.iter().filter_map(|id| self.nodes.get(id));
            nodes.any(|node| question.ever(node))
        };
        if hope {
            return Some(Verdict::Wait {
                known: head.hopeful_at.is_some(),
                reach,
            });
        }
        Some(on_submitter(None, Why::Nobody))
    }

    fn place(&mut self, id: JobId, placement: Placement, now: Time, out: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        self.queue.placed(job);
        job.state = State::Placed {
            worker: placement.worker,
        };
        let (client, submitter, siblings) = (job.client, job.submitter, job.siblings.clone());
        self.placements += 1;
        let installs = !placement.installed && placement.worker != submitter;
        let Some(worker) = self.nodes.get_mut(&placement.worker) else {
            return;
        };
        worker.jobs.insert(id);
        worker.last_placement = self.placements;
        worker.placements += 1;
        let platform = worker.platform.clone();
        if placement.why == Why::Nobody {
            out.push(Action::Note(Note::AssigningSubmitter { job: id }));
        } else {
            out.push(Action::Note(Note::Selected {
                job: id,
                node: worker.name.clone(),
                why: placement.why,
            }));
        }
        out.push(Action::Note(Note::Put {
            job: id,
            node: worker.name.clone(),
            install: installs,
        }));
        out.extend(self.answer(id, client, submitter, &placement));
        if installs && let Some(environment) = placement.environment {
            self.begin_installation(
                placement.worker,
                Installing {
                    environment,
                    job: id,
                    since: now,
                },
            );
        }
        self.refresh(placement.worker);
        if let Some(siblings) = siblings {
            self.narrow(&siblings, &platform);
        }
        self.decisions.add(Decision {
            at: now,
            job: id,
            submitter,
            worker: placement.worker,
            why: placement.why,
            candidates: placement.candidates,
            eligible: placement.eligible,
            nodes: self.nodes.len(),
        });
    }

    fn answer(
        &self,
        job: JobId,
        client: crate::ClientId,
        submitter: NodeId,
        placement: &Placement,
    ) -> Option<Action> {
        let (asker, worker) = (
            self.nodes.get(&submitter)?,
            self.nodes.get(&placement.worker)?,
        );
        if submitter == placement.worker && asker.agreed_version >= NO_CS_VERSION {
            return Some(Action::CompileYourself {
                node: submitter,
                job,
                client,
            });
        }
        let platform = match &placement.environment {
            Some(environment) => environment.platform.clone(),
            None => worker.platform.clone(),
        };
        Some(Action::UseWorker {
            node: submitter,
            answer: Box::new(Answer {
                job,
                client,
                worker: worker.id,
                address: worker.address_for(asker),
                port: worker.port,
                platform,
                installed: placement.installed,
                matched_job: asker
                    .requested
                    .matched(&worker.compiled)
                    .map_or(0, |job| job.0),
            }),
        })
    }

    /// All jobs of one request must use the same toolchain: once one has gone to a machine of `platform`, the others offer
    /// only the toolchain for that, if there is one.
    fn narrow(&mut self, siblings: &[JobId], platform: &Text) {
        for id in siblings {
            let Some(job) = self.jobs.get_mut(id) else {
                continue;
            };
            let offered = &job.needs.environments;
            if job.state != State::Queued || offered.len() < 2 {
                continue;
            }
            let Some(same) = offered.iter().find(|offer| offer.platform == *platform) else {
                continue;
            };
            self.queue.remove(job);
            job.needs = Arc::new(Needs {
                environments: Arc::from([same.clone()]),
                ..(*job.needs).clone()
            });
            job.needs = self.queue.push(job);
        }
    }
}
