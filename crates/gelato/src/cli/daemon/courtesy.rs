//! The settings of `[worker]` that say when jobs of others are taken and how many.

use anyhow::Context as _;
use gelato_daemon::{CourtesyTerms, MemoryTerms, WhileInUse};
use gelato_settings::{Key, Origin, Settings, keys};

use super::limits::megabytes;

/// What the settings say. `chosen` tells whether somebody chose the number of slots.
///
/// Under `tests` nothing but memory counts that is not set: how many jobs a machine takes must not depend on who uses it while
/// tests run.
pub(super) fn terms(
    settings: &Settings<'_>,
    chosen: bool,
    tests: bool,
) -> anyhow::Result<CourtesyTerms> {
    let counts = |key: &Key| !tests || settings.find(key).origin != Origin::Default;
    let hours = match settings.text(&keys::WORKER_HOURS) {
        Some(text) => {
            let text = text.to_string_lossy().into_owned();
            Some(text.parse().with_context(|| {
                format!("the setting {} is \"{text}\"", keys::WORKER_HOURS.path())
            })?)
        }
        None => None,
    };
    Ok(CourtesyTerms {
        hours,
        refuse_on_battery: counts(&keys::WORKER_ON_BATTERY)
            && settings.word(&keys::WORKER_ON_BATTERY) == Some("refuse"),
        while_in_use: match settings.word(&keys::WORKER_WHILE_IN_USE) {
            _ if !counts(&keys::WORKER_WHILE_IN_USE) => WhileInUse::Ignore,
            Some("refuse") => WhileInUse::Refuse,
            Some("fewer") => WhileInUse::Fewer,
            _ => WhileInUse::Ignore,
        },
        yield_to_owner: counts(&keys::WORKER_YIELD) && settings.switch(&keys::WORKER_YIELD),
        follow_cpus: !chosen,
        memory: MemoryTerms {
            most: megabytes(settings, &keys::WORKER_MEMORY),
            reserve: megabytes(settings, &keys::WORKER_MEMORY_RESERVE),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, tests: bool) -> anyhow::Result<CourtesyTerms> {
        super::super::limits::tests::read(text, |settings| terms(settings, true, tests))
    }

    #[test]
    fn without_settings_a_worker_is_courteous() {
        let usual = with("", false).unwrap();
        assert!(usual.refuse_on_battery && usual.yield_to_owner);
        assert_eq!(usual.while_in_use, WhileInUse::Fewer);
        assert_eq!(usual.memory, MemoryTerms::default());
        assert!(usual.hours.is_none() && !usual.follow_cpus);
    }

    #[test]
    fn tests_see_only_what_is_set() {
        let tests = with("", true).unwrap();
        assert!(!tests.refuse_on_battery && !tests.yield_to_owner);
        assert_eq!(tests.while_in_use, WhileInUse::Ignore);
        let set = with("[worker]\nyield = true\nwhile-in-use = \"refuse\"\n", true).unwrap();
        assert!(set.yield_to_owner && !set.refuse_on_battery);
        assert_eq!(set.while_in_use, WhileInUse::Refuse);
    }

    #[test]
    fn memory_is_in_megabytes_and_hours_are_checked() {
        let set = with("[worker]\nmemory = 4096\nmemory-reserve = 0\n", false).unwrap();
        assert_eq!(set.memory.most, Some(4 << 30));
        assert_eq!(set.memory.reserve, Some(0));
        let wrong = with("[worker]\nhours = \"Mo 8-9\"\n", false).unwrap_err();
        let text = format!("{wrong:#}");
        assert!(
            text.contains("worker.hours") && text.contains("\"Mo\""),
            "{text}"
        );
        assert!(
            with(
                "[worker]\nhours = \"Mon-Fri 19:00-07:00, Sat-Sun\"\n",
                false
            )
            .is_ok()
        );
    }
}
