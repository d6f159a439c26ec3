//! The memory that running jobs take, by their processes: for machines where no control group counts it, and for looks in between
//! where one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Sources;
use crate::ids::ClientId;

/// Processes of one job looked at; one that has more is counted too low.
const MOST_PROCESSES: usize = 600;

/// The outermost process of every running job.
#[derive(Debug, Default)]
pub(crate) struct Live {
    processes: Mutex<BTreeMap<ClientId, u32>>,
}

/// A job in the list, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    list: Arc<Live>,
    id: ClientId,
}

impl Live {
    /// From now on this job's outermost process is this.
    pub(crate) fn enter(self: &Arc<Live>, id: ClientId, process: u32) -> Listed {
        self.lock().insert(id, process);
        Listed {
            list: Arc::clone(self),
            id,
        }
    }

    /// Resident memory of each job, in bytes. What its processes share is counted for each of them, but for copies that are about
    /// to become another program.
    pub(crate) fn memory(&self, sources: &Sources) -> Vec<(ClientId, u64)> {
        let processes = self.lock().clone();
        processes
            .into_iter()
            .map(|(id, process)| (id, resident(sources, process)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, u32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.lock().remove(&self.id);
    }
}

/// Of a process and everything it started.
fn resident(sources: &Sources, process: u32) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let (mut todo, mut seen, mut pages) = (vec![(process, None)], 0, 0u64);
    while let Some((process, parent)) = todo.pop() {
        seen += 1;
        if seen > MOST_PROCESSES {
            break;
        }
        let folder = format!("/proc/{process}");
        // One that has ended meanwhile takes nothing.
        let sizes = sizes(&sources.text(format!("{folder}/statm")));
        pages = pages.saturating_add(match (sizes, parent) {
            // Just forked: all of it is its parent's still.
            (Some((size, own)), Some((of_parent, shared))) if size == of_parent => {
                own.saturating_sub(shared)
            }
            (Some((_, own)), _) => own,
            (None, _) => 0,
        });
        for thread in sources.names(format!("{folder}/task")) {
            let children = sources.text(format!("{folder}/task/{thread}/children"));
            todo.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|child| Some((child.parse::<u32>().ok()?, sizes))),
            );
        }
    }
    pages.saturating_mul(page)
}

/// Pages of address space and pages in memory.
fn sizes(statm: &str) -> Option<(u64, u64)> {
    let mut fields = statm.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::fake::Machine;
    use super::*;

    #[test]
    fn a_job_is_all_its_processes() {
        let machine = Machine::new(&[
            ("/proc/10/statm", "900 100 50 1 0 2 0\n"),
            ("/proc/10/task/10/children", "11 12 "),
            ("/proc/11/statm", "800 20 50 1 0 2 0\n"),
            ("/proc/11/task/11/children", ""),
            ("/proc/11/task/15/children", "13"),
            ("/proc/13/statm", "900 3 50 1 0 2 0\n"),
        ]);
        let page = rustix::param::page_size() as u64;
        let live = Arc::new(Live::default());
        let job = live.enter(ClientId::new(7), 10);
        let _gone = live.enter(ClientId::new(8), 99);
        assert_eq!(
            live.memory(&machine.sources()),
            [(ClientId::new(7), 123 * page), (ClientId::new(8), 0)]
        );
        drop(job);
        assert_eq!(live.memory(&machine.sources()).len(), 1);
    }

    #[test]
    fn a_copy_of_its_parent_counts_once() {
        let machine = Machine::new(&[
            ("/proc/10/statm", "900 500 50 1 0 2 0\n"),
            ("/proc/10/task/10/children", "11"),
            ("/proc/11/statm", "900 490 50 1 0 2 0\n"),
        ]);
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident(&machine.sources(), 10), 500 * page);
        machine.write("/proc/11/statm", "900 520 50 1 0 2 0\n");
        assert_eq!(resident(&machine.sources(), 10), 520 * page);
    }

    #[test]
    fn a_circle_ends() {
        let machine = Machine::new(&[("/proc/1/task/1/children", "1 1")]);
        assert_eq!(resident(&machine.sources(), 1), 0);
    }

    #[test]
    fn this_process_takes_some() {
        assert!(resident(&Sources::default(), std::process::id()) > 1 << 20);
    }
}
