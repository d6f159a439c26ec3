//! Program names as Icecream's client reads them, and the list of those this crate reads differently on purpose.
//!
//! `data/names.txt` has one name per line and what Icecream takes it for; `data/name_deviations.txt` one line per deviation: the name, what it is here, why. A
//! deviation that is not listed fails, and so does a listed one that is none.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use gelato_compiler::Family;
use gelato_compiler::names::parse;

const NAMES: &str = include_str!("data/names.txt");
const DEVIATIONS: &str = include_str!("data/name_deviations.txt");

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("a name and what it is"))
}

fn actual(name: &str) -> String {
    let Some(tool) = parse(OsStr::new(name)) else {
        return "other".to_owned();
    };
    let language = if tool.cxx { "c++" } else { "c" };
    let family = match (tool.family, tool.certain) {
        (Some(Family::Clang), _) => " clang",
        (Some(Family::Gcc), _) => "",
        (None, true) => " unknown",
        (None, false) => " uncertain",
    };
    format!("{language}{family}")
}

#[test]
fn every_name_is_read_as_icecream_does_or_listed() {
    let mut deviations: BTreeMap<&str, &str> = lines(DEVIATIONS).collect();
    let mut complaints = String::new();
    let mut count = 0;
    for (name, expected) in lines(NAMES) {
        count += 1;
        let actual = actual(name);
        let listed = deviations
            .remove(name)
            .map(|line| line.split_once(": ").expect("a reason").0);
        if listed.unwrap_or(expected) != actual || listed == Some(expected) {
            complaints.push_str(&format!(
                "{name}: Icecream {expected}, listed {listed:?}, here {actual}\n"
            ));
        }
    }
    for name in deviations.keys() {
        complaints.push_str(&format!("{name}: listed, but there is no such name\n"));
    }
    assert_eq!(count, NAME_COUNT);
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// All of them: a lost line would be a test less.
const NAME_COUNT: usize = 55;
