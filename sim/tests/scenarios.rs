//! The standard scenarios: what must always hold, how near the bound they come, and how they compare with Icecream's
//! ranking. Nothing here depends on time or chance, so the ratios are asserted: closely for one seed, which is not a typical
//! one, and over seeds nothing was ever tuned with.

use gelato_scheduler_core::{Algorithm, Past};
use gelato_sim::report::{self, Row, short_build_ratio};
use gelato_sim::world::run_knowing;
use gelato_sim::{Scenario, run, scenario};

/// `gelato-sim SEED` prints the figures of others.
const SEED: u64 = 2;

/// Plays with both rankings; ours must break no rule and promise no memory twice.
fn row(scenario: &Scenario) -> Row {
    let row = Row::of(scenario);
    assert_eq!(row.finish.violations, [""; 0], "{}", row.name);
    assert_eq!(row.compat.violations, [""; 0], "{}", row.name);
    assert_eq!(row.finish.overcommits, 0, "{}", row.name);
    row
}

/// What may be expected: `gelato-sim 100-120` prints it for more seeds. In the middle every scenario is within 1.13 of its
/// bound. Where speeds differ, the aim of 0.85 of Icecream's is met by the best seeds only, the middle is 0.94: as Icecream's
/// ranking is within 1.12 of the bound there, there is no more to be gained.
#[test]
fn fresh_seeds_spread_no_further_than_known() {
    for many in report::many(100..=104) {
        let [_, bound, worst] = report::spread(&many.over_bound);
        let [_, compat, _] = report::spread(&many.of_compat);
        assert_eq!(many.faults, 0, "{}", many.name);
        let (most_bound, worst_bound, most_compat) = match many.name {
            "equal hosts" => (1.05, 1.10, 0.97),
            "speeds 1:1:2:4" => (1.10, 1.20, 0.96),
            "one dying host" => (1.05, 1.12, 0.97),
            "two users, 200 and 20" => (1.15, 1.20, 0.92),
            "memory-bound" => (1.13, 1.18, 0.64),
            "cold toolchains" => (1.13, 1.20, 1.01),
            "1:1:2:4, first build" => (1.15, 1.25, 1.02),
            "crowded hosts" => (1.13, 1.20, 0.99),
            other => panic!("{other} is new: say what may be expected"),
        };
        assert!(bound <= most_bound, "{}: {bound} of the bound", many.name);
        assert!(worst <= worst_bound, "{}: {worst} of the bound", many.name);
        assert!(compat <= most_compat, "{}: {compat} of compat", many.name);
    }
}

#[test]
fn equal_hosts() {
    let row = row(&scenario::equal_hosts(SEED));
    assert!(row.over_bound() <= 1.10, "{}", row.over_bound());
    assert!(row.of_compat() <= 1.0, "{}", row.of_compat());
}

#[test]
fn different_speeds() {
    let row = row(&scenario::different_speeds(SEED));
    assert!(row.over_bound() <= 1.10, "{}", row.over_bound());
    assert!(row.of_compat() <= 0.97, "{}", row.of_compat());
}

#[test]
fn one_dying_host() {
    let row = row(&scenario::dying_host(SEED));
    assert!(row.over_bound() <= 1.10, "{}", row.over_bound());
    assert!(row.of_compat() <= 0.99, "{}", row.of_compat());
    assert!(row.finish.begun > 800, "what died was begun again");
}

#[test]
fn two_users() {
    let row = row(&scenario::two_users(SEED));
    // A job that is better off waiting for a fast worker lets others pass.
    let (unfair, begun) = (row.finish.unfair, row.finish.begun);
    assert!(unfair * 50 <= begun, "{unfair} of {begun}");
    assert!(row.of_compat() <= 1.0, "{}", row.of_compat());
    for seed in [SEED, 100, 101, 102, 103, 104] {
        let short = short_build_ratio(Algorithm::Finish, seed);
        assert!(short <= 1.2, "{short} with seed {seed}");
        assert!(short < short_build_ratio(Algorithm::Compat, seed));
    }
}

#[test]
fn memory_bound() {
    let row = row(&scenario::memory_bound(SEED));
    assert!(row.over_bound() <= 1.10, "{}", row.over_bound());
    assert!(row.compat.overcommits > 0, "there would be too little");
}

#[test]
fn cold_toolchains() {
    let row = row(&scenario::cold_toolchains(SEED));
    assert!(row.over_bound() <= 1.15, "{}", row.over_bound());
    assert!(row.of_compat() <= 1.0, "{}", row.of_compat());
}

#[test]
fn nothing_known_yet() {
    let row = row(&scenario::first_build(SEED));
    assert!(row.over_bound() <= 1.20, "{}", row.over_bound());
}

#[test]
fn crowded_hosts() {
    let row = row(&scenario::crowded_hosts(SEED));
    assert!(row.over_bound() <= 1.15, "{}", row.over_bound());
    assert!(row.of_compat() <= 1.0, "{}", row.of_compat());
}

#[test]
fn every_algorithm_keeps_the_rules() {
    for algorithm in Algorithm::ALL {
        for scenario in [scenario::dying_host(2), scenario::two_users(2)] {
            let outcome = run(&scenario, algorithm);
            let name = algorithm.name();
            assert_eq!(outcome.violations, [""; 0], "{} by {name}", scenario.name);
        }
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    let first = run(&scenario::dying_host(7), Algorithm::Finish);
    assert_eq!(first, run(&scenario::dying_host(7), Algorithm::Finish));
    assert_ne!(
        first.mark,
        run(&scenario::dying_host(8), Algorithm::Finish).mark
    );
}

#[test]
fn a_restarted_scheduler_that_remembers_is_as_good() {
    let (mut not, mut knowing, mut kept) = (0, 0, 0);
    for seed in [1, 2, 3, 4] {
        let mut scenario = scenario::first_build(seed);
        let cold = run(&scenario, Algorithm::Finish);
        not += cold.makespan_ms;
        knowing += run_knowing(&scenario, Algorithm::Finish, cold.past).makespan_ms;
        scenario.warm = true;
        kept += run(&scenario, Algorithm::Finish).makespan_ms;
    }
    assert!(knowing < not, "{knowing} knowing, {not} not");
    let ratio = knowing as f64 / kept as f64;
    assert!(
        (0.93..1.07).contains(&ratio),
        "{knowing} knowing, {kept} kept"
    );
}

#[test]
fn knowing_nothing_is_as_not_being_told() {
    let scenario = scenario::different_speeds(SEED);
    assert_eq!(
        run_knowing(&scenario, Algorithm::Finish, Past::default()),
        run(&scenario, Algorithm::Finish)
    );
}
