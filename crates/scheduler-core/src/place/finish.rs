//! Our own placement: the earliest expected finish of this job, without making others later.
//!
//! For each of the best few workers: how long until the job and a missing toolchain are there, how long until a slot is
//! free, how long the job takes at the speed the worker has shown for such jobs. Memory the job is expected to need must be
//! there. A slow worker is used as long as there is more to do than the fast ones can finish meanwhile; after that a job
//! rather waits a little for a fast one, but never so long that it would have been done elsewhere.

use crate::admission::{Backlog, fits};
use crate::explain::Why;
use crate::history::Forecast;
use crate::ids::{JobId, NodeId, Time};
use crate::index::{Order, Part, Room};
use crate::job::{Job, State};
use crate::node::Node;
use crate::place::{Choice, Context, Eligible, Found, Outcome, candidates, ordered};
use crate::rng::Generator;
use crate::table::Table;

/// Seconds after which a worker's speed is measured again, if a job goes to it now and then anyway.
const STALE: u64 = 600;
/// Jobs one worker's slots are foreseen for when another job might wait for it.
const ROUNDS: usize = 4;
/// Running jobs of one worker looked at.
const LOOKED_AT: usize = 64;
/// Busy workers looked at closely before a job is sent ahead.
const CLOSELY_AHEAD: usize = 4;
/// After so many milliseconds busy workers are looked at again, whatever was foreseen.
const LONGEST_PAUSE: f32 = 200.0;
/// A worker below this share of the mean speed had better get short jobs.
const SLOW: f32 = 0.8;

/// What this policy knows beyond the others.
#[derive(Clone, Copy)]
pub(crate) struct Outlook<'a> {
    pub(crate) jobs: &'a Table<JobId, Job>,
    pub(crate) backlog: Backlog,
    pub(crate) forecast: Forecast,
    pub(crate) language: usize,
    /// MiB the job is promised.
    pub(crate) memory: u32,
    /// Since when it waits for a better worker than was free, if it does.
    pub(crate) held_since: Option<Time>,
    /// Busy workers need not be looked at before.
    pub(crate) ahead_again: Time,
    /// Jobs that wait beside this one.
    pub(crate) others_waiting: usize,
}

/// Speed for the next job, as far as it does not depend on the job.
pub(super) fn score(node: &Node) -> u64 {
    ordered(node.pace.general(node.crowded_with_one_more()) * node.share_of_machine())
}

pub(super) fn choose<'a>(
    context: &Context<'a>,
    outlook: &Outlook<'a>,
    random: &mut Generator,
) -> Outcome<'a> {
    let parts: Vec<Part> = context.index.parts(context.question.needs).collect();
    let largest = parts
        .iter()
        .map(|part| context.index.largest(*part))
        .max()
        .unwrap_or(u32::MAX);
    let memory = outlook.memory.min(largest);
    let count = |room| -> usize {
        let counts = parts.iter().map(|part| context.index.count(*part, room));
        counts.sum()
    };
    let mut free = Found::new(context, Room::Free);
    free.memory = memory;
    let own = context.question.submitter;
    if own.has_free_slot() && fits(own, outlook.memory, own.memory.capacity.unwrap_or(u32::MAX)) {
        free.own();
    }
    let free_count = count(Room::Free);
    if free_count > 0 {
        free.best_for(&parts, outlook.forecast.work_ms);
    }
    estimate(context, outlook, &mut free.eligible);
    let Some(mut best) = earliest(&free.eligible) else {
        return when_nobody_is_free(context, outlook, &parts, memory, count(Room::Full));
    };
    let mut why = Why::EarliestFinish;
    let eligible = free_count.max(free.eligible.len());
    if let Some(own) = free
        .eligible
        .iter()
        .find(|one| context.question.is_submitter(one.node))
        && own.node.id != best.node.id
        && let Some(reason) = stays_home(context, outlook, own, &best)
    {
        (best, why) = (*own, reason);
    } else if eligible == 1 {
        why = Why::OnlyOne;
    } else if let Some(stale) = to_measure(context, outlook, &parts, memory, &best, random) {
        (best, why) = (stale, Why::Exploration);
    }
    // While the build goes on there will be work for everybody; at its end only what can be done before all else is.
    let tail = !own.keeps_asking() && best.expected_ms > outlook.backlog.drained_in();
    if why == Why::EarliestFinish || why == Why::OnlyOne {
        let full = if tail { count(Room::Full) } else { 0 };
        if full > 0
            && let Some((until, better)) = worth_waiting(context, outlook, &parts, memory, &best)
        {
            return Outcome::Hold { until, better };
        }
    }
    Outcome::Take(Box::new(Choice {
        chosen: best,
        why,
        for_short: is_for_short(outlook, best.node, why),
        eligible,
        candidates: candidates(&free.eligible),
    }))
}

/// A job is sent ahead to a busy worker when a slot there will be free by the time it arrives; not earlier, for until then
/// somebody else may be the better choice.
fn when_nobody_is_free<'a>(
    context: &Context<'a>,
    outlook: &Outlook<'a>,
    parts: &[Part],
    memory: u32,
    full: usize,
) -> Outcome<'a> {
    if full == 0 {
        return Outcome::Nobody { again: None };
    }
    if context.question.now < outlook.ahead_again {
        let again = Some(outlook.ahead_again);
        return Outcome::Nobody { again };
    }
    let mut found = Found::new(context, Room::Full);
    found.memory = memory;
    found.closely = CLOSELY_AHEAD;
    found.best_for(parts, outlook.forecast.work_ms);
    estimate(context, outlook, &mut found.eligible);
    let lead = |one: &Eligible<'_>| one.send_ms * 2.0 + 50.0;
    let soon = found
        .eligible
        .iter()
        .filter(|one| one.wait_ms <= lead(one))
        .min_by(|a, b| a.expected_ms.total_cmp(&b.expected_ms));
    let in_time = |one: &&Eligible<'_>| {
        context.question.submitter.keeps_asking() || one.expected_ms <= outlook.backlog.drained_in()
    };
    if let Some(best) = soon.filter(in_time).copied() {
        return Outcome::Take(Box::new(Choice {
            chosen: best,
            why: Why::SentAhead,
            for_short: is_for_short(outlook, best.node, Why::SentAhead),
            eligible: full,
            candidates: candidates(&found.eligible),
        }));
    }
    let again = found
        .eligible
        .iter()
        .filter(|one| one.wait_ms > lead(one))
        .map(|one| (one.wait_ms - lead(one)).clamp(20.0, LONGEST_PAUSE) as u64)
        .min();
    Outcome::Nobody {
        again: again.map(|after| Time(context.question.now.0 + after)),
    }
}

/// Long jobs are for fast workers: what goes to a slow one had better be short.
fn is_for_short(outlook: &Outlook<'_>, node: &Node, why: Why) -> bool {
    matches!(why, Why::EarliestFinish | Why::OnlyOne | Why::SentAhead)
        && node.pace.general(true) * node.share_of_machine() < SLOW * outlook.backlog.mean_speed()
}

fn earliest<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .min_by(|a, b| a.expected_ms.total_cmp(&b.expected_ms))
        .copied()
}

fn estimate(context: &Context<'_>, outlook: &Outlook<'_>, eligible: &mut [Eligible<'_>]) {
    for one in eligible {
        let own = context.question.is_submitter(one.node);
        let sending = match (own, one.usable.installed) {
            (true, _) => 0.0,
            (false, true) => one.node.send_ms,
            (false, false) => one.node.send_ms + one.node.install_ms,
        };
        let waiting = if one.free {
            0.0
        } else {
            wait_ms(one.node, context.question.now)
        };
        one.wait_ms = waiting;
        one.send_ms = sending;
        one.expected_ms = sending.max(waiting) + run_ms(one.node, outlook, own);
    }
}

/// How long the job runs there.
fn run_ms(node: &Node, outlook: &Outlook<'_>, own: bool) -> f32 {
    let speed = node
        .pace
        .speed(outlook.language, node.crowded_with_one_more());
    let share = if own {
        node.share_left_by_clients()
    } else {
        node.share_of_machine()
    };
    outlook.forecast.work_ms / (speed * share).max(0.01)
}

/// Until a slot of a busy worker is free, in milliseconds. A job that should have ended may take as long again as it is
/// late.
fn wait_ms(node: &Node, now: Time) -> f32 {
    match node.next_free_at.0.checked_sub(now.0) {
        Some(left) => left as f32,
        None => (now.0 - node.next_free_at.0) as f32 * 0.5,
    }
}

/// When a slot of a worker will be free for one more job, by what its jobs are expected to take.
pub(crate) fn next_free_at(node: &Node, jobs: &Table<JobId, Job>, now: Time) -> Time {
    let mut ends = [f32::MAX; LOOKED_AT];
    let (mut running, mut queued, mut queued_ms) = (0, 0, 0.0);
    for job in node.jobs.iter().filter_map(|job| jobs.get(job)) {
        match job.begun_at {
            Some(begun) if running < LOOKED_AT => {
                let passed = now.0.saturating_sub(begun.0) as f32;
                let left = job.expected_ms - passed;
                ends[running] = left.max(left * -0.5);
                running += 1;
            }
            Some(_) => {}
            None => {
                queued += 1;
                queued_ms += job.expected_ms;
            }
        }
    }
    let slots = usize::try_from(node.slots).unwrap_or(usize::MAX);
    let others = usize::try_from(node.inherited.occupied()).unwrap_or(usize::MAX);
    let idle = slots.saturating_sub(running + node.local.len() + others);
    // Those that have not begun take the idle slots first, then what is free first.
    let ends = &mut ends[..running];
    let ahead = match queued.cmp(&idle) {
        std::cmp::Ordering::Less => return now,
        _ => queued - idle,
    };
    let after = if ends.is_empty() {
        queued_ms / slots.max(1) as f32
    } else {
        let rounds = (ahead / ends.len()) as f32;
        let (_, end, _) = ends.select_nth_unstable_by(ahead % ends.len(), f32::total_cmp);
        *end + rounds * queued_ms / queued.max(1) as f32
    };
    Time(now.0 + after as u64)
}

/// When the slots of a worker are free for one more job, in milliseconds from now, earliest first.
fn slots_free_in(node: &Node, outlook: &Outlook<'_>, now: Time) -> Vec<f32> {
    let mut queued = Vec::new();
    let mut slots: Vec<f32> = Vec::new();
    for job in node.jobs.iter().take(LOOKED_AT) {
        let Some(job) = outlook.jobs.get(job) else {
            continue;
        };
        match (job.state, job.begun_at) {
            (State::Compiling { .. }, Some(begun)) => {
                let passed = now.0.saturating_sub(begun.0) as f32;
                // One that should be done by now will take as long again as it is late.
                slots.push(
                    (job.expected_ms - passed)
                        .max((passed - job.expected_ms) * 0.5)
                        .max(1.0),
                );
            }
            _ => queued.push(job.expected_ms),
        }
    }
    let free = usize::try_from(node.slots)
        .unwrap_or(usize::MAX)
        .saturating_sub(slots.len() + node.local.len())
        .min(LOOKED_AT);
    slots.extend(std::iter::repeat_n(0.0, free));
    if slots.is_empty() {
        slots.push(outlook.forecast.work_ms);
    }
    slots.sort_by(f32::total_cmp);
    for job in queued {
        slots[0] += job;
        slots.sort_by(f32::total_cmp);
    }
    slots
}

/// Whether the submitter keeps a job that another would finish earlier.
fn stays_home(
    context: &Context<'_>,
    outlook: &Outlook<'_>,
    own: &Eligible<'_>,
    best: &Eligible<'_>,
) -> Option<Why> {
    let config = context.config;
    if outlook.forecast.work_ms <= config.small_job_ms as f32 {
        return Some(Why::SmallJob);
    }
    let percent = config.own_machine_percent;
    let idle = own.node.submitted.len() <= 1 && own.node.occupied() == 0;
    (percent > 0 && idle && own.expected_ms * percent as f32 <= best.expected_ms * 100.0)
        .then_some(Why::OwnMachine)
}

/// A worker nobody has used for long gets a job now and then, if that costs little: it may have become faster.
fn to_measure<'a>(
    context: &Context<'a>,
    outlook: &Outlook<'a>,
    parts: &[Part],
    memory: u32,
    best: &Eligible<'a>,
    random: &mut Generator,
) -> Option<Eligible<'a>> {
    if !random.percent(context.config.exploration_percent) {
        return None;
    }
    let mut found = Found::new(context, Room::Free);
    found.memory = memory;
    found.search(parts, Order::Waited, 1, None);
    estimate(context, outlook, &mut found.eligible);
    let now = context.question.now;
    let limit = outlook.backlog.drained_in().max(best.expected_ms * 2.0);
    found
        .eligible
        .into_iter()
        .find(|one| now.seconds_since(one.node.last_placed_at) >= STALE && one.expected_ms <= limit)
}

/// Until when to wait, and for whom, if a busy worker would finish the job earlier than the best free one.
fn worth_waiting(
    context: &Context<'_>,
    outlook: &Outlook<'_>,
    parts: &[Part],
    memory: u32,
    best: &Eligible<'_>,
) -> Option<(Time, NodeId)> {
    let now = context.question.now;
    let mut busy = Found::new(context, Room::Full);
    busy.memory = memory;
    busy.best_for(parts, outlook.forecast.work_ms);
    let mut finishes: Vec<(f32, f32, NodeId)> = Vec::new();
    for one in &busy.eligible {
        if !one.usable.installed || context.question.is_submitter(one.node) {
            continue;
        }
        let run = run_ms(one.node, outlook, false);
        for start in slots_free_in(one.node, outlook, now) {
            for round in 0..ROUNDS {
                let start = start.max(one.node.send_ms) + run * round as f32;
                finishes.push((start + run, start, one.node.id));
            }
        }
    }
    finishes.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The others that wait will want these places, too.
    let (finish, start, node) = finishes.get(outlook.others_waiting).copied()?;
    if finish >= best.expected_ms {
        return None;
    }
    let patience = best.expected_ms - (finish - start);
    let waited = outlook
        .held_since
        .map_or(0.0, |since| now.0.saturating_sub(since.0) as f32);
    let until = Time(now.0 + start.clamp(10.0, 500.0) as u64);
    (waited < patience).then_some((until, node))
}
