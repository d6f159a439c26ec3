//! The verdict for people: a sentence with what to do, and the figures behind it.

use super::sweep::{Heading, Times};
use super::work::{Doing, Work};
use super::{Bound, Evidence, Facts};

pub(super) fn sentence(bound: Bound, works: &[Work], times: &Times) -> String {
    let percent = |heading| format!("{:.0} %", 100.0 * times.share(heading));
    match bound {
        Bound::SubmitterCpu => format!(
            "This machine's processors were the limit for {} of the build: preprocessing and local work filled them. \
             More workers do not help; fewer or precompiled headers, a machine with more processors, or a lower -j would.",
            percent(Heading::SubmitterCpu)
        ),
        Bound::Network => format!(
            "The network was the limit for {} of the build: jobs were being sent or received rather than compiled. \
             A faster link to the workers or less debug information would help, more workers would not.",
            percent(Heading::Network)
        ),
        Bound::Slots => format!(
            "Slots were the limit for {} of the build: jobs waited for workers, or all workers were busy. \
             More workers would make it faster.",
            percent(Heading::Slots)
        ),
        Bound::Stragglers => format!(
            "For {} of the build a few jobs were left that took much longer than others of their size: \
             look at the workers they ran on.",
            percent(Heading::Tail)
        ),
        Bound::CriticalPath => format!(
            "For {} of the build the rest of it waited for its longest compilation of {:.1} s: \
             start that file first, or split it.",
            percent(Heading::Tail),
            longest(works) as f64 / 1000.0
        ),
        Bound::Links => format!(
            "For {} of the build only links and other work of this machine ran, which cannot travel: \
             a faster linker, shared libraries or fewer binaries would help.",
            percent(Heading::Links)
        ),
        Bound::Nothing if times.share(Heading::Toolchain) >= super::LEAST_SHARE => format!(
            "For {} of the build its jobs waited until the compiler was packed or had reached a worker: \
             this is done once for each compiler and worker, so the next build will not wait.",
            percent(Heading::Toolchain)
        ),
        Bound::Nothing if times.share(Heading::Nothing) >= super::LEAST_SHARE => format!(
            "For {} of the build no job ran: the build tool was busy with itself or waited for something else.",
            percent(Heading::Nothing)
        ),
        Bound::Nothing => {
            "Nothing in particular was the limit: workers and this machine had room for more jobs. Try a higher -j.".to_owned()
        }
    }
}

pub(super) fn evidence(bound: Bound, works: &[Work], times: &Times, facts: Facts) -> Vec<Evidence> {
    let mut rows = Vec::new();
    let mut add = |what: &str, value: f64, unit: &str| {
        rows.push(Evidence {
            what: what.to_owned(),
            value: (value * 10.0).round() / 10.0,
            unit: unit.to_owned(),
        });
    };
    for (what, heading) in [
        ("this machine's processors the limit", Heading::SubmitterCpu),
        ("network the limit", Heading::Network),
        ("slots the limit", Heading::Slots),
        ("only links and local work", Heading::Links),
        ("few jobs left", Heading::Tail),
        ("toolchain on its way", Heading::Toolchain),
        ("room for more jobs", Heading::Working),
        ("no job at all", Heading::Nothing),
    ] {
        add(what, 100.0 * times.share(heading), "%");
    }
    add("wall time", times.wall as f64, "ms");
    let cpu: u64 = works.iter().map(|work| u64::from(work.cpu)).sum();
    if facts.processors > 0 && times.wall > 0 {
        let whole = times.wall as f64 * f64::from(facts.processors);
        add(
            "this machine's processors used",
            100.0 * cpu as f64 / whole,
            "%",
        );
    }
    add("longest compilation", longest(works) as f64, "ms");
    let moved: u64 = works.iter().map(|work| u64::from(work.moved)).sum();
    add("sent and received", moved as f64, "B");
    let mean = |doing: Doing| {
        let those = works.iter().filter(|work| work.on_worker() > 0);
        let (sum, count) = those.fold((0, 0), |(sum, count), work| {
            (sum + u64::from(work.part(doing)), count + 1)
        });
        sum as f64 / f64::from(count.max(1))
    };
    if bound == Bound::Slots || mean(Doing::Waiting) >= 10.0 {
        add("mean wait for a worker", mean(Doing::Waiting), "ms");
    }
    if bound == Bound::Network || bound == Bound::SubmitterCpu {
        add(
            "mean time to preprocess and send",
            mean(Doing::Shipping),
            "ms",
        );
        add("mean time to compile", mean(Doing::Compiling), "ms");
    }
    if facts.slots > 0 {
        add("slots", facts.slots.into(), "");
    }
    add(
        "most jobs on workers at a time",
        times.most_on_workers.into(),
        "",
    );
    rows
}

fn longest(works: &[Work]) -> u64 {
    let compilations = works.iter().filter(|work| work.compiles);
    compilations.map(Work::busy).max().unwrap_or(0)
}
