//! All sources of settings in their order.
//!
//! Reading is lazy where it can be: files at once, because their number is two, variables when somebody asks.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::file::{File, Place, Problem};
use crate::keys::{self, Key, Preset};
use crate::nearest::nearest;
use crate::value::Value;
use crate::variable::{Reading, Variable};

/// The file of the machine.
pub(crate) const SYSTEM_FILE: &str = "/etc/gelato/gelato.toml";
/// Names the only file instead.
pub(crate) const CONFIG_VARIABLE: &str = "GELATO_CONFIG";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// This variable.
    Variable(&'static str),
    /// A line of a file.
    File(PathBuf, usize),
}

/// A setting as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `None`: the program finds out by itself.
    pub value: Option<Value>,
    /// Who said so.
    pub origin: Origin,
}

/// The environment.
type Environment<'a> = Box<dyn Fn(&str) -> Option<OsString> + 'a>;

/// Every setting of this process.
pub struct Settings<'a> {
    variable: Environment<'a>,
    /// The strongest first.
    files: Vec<File>,
    /// Where files were looked for, the strongest first.
    places: Vec<PathBuf>,
}

impl<'a> Settings<'a> {
    /// Reads the files. `user` is the user this process acts for; another user's file does not count.
    pub fn load(variable: impl Fn(&str) -> Option<OsString> + 'a, user: u32) -> Settings<'a> {
        let absolute = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("HOME");
        let mut places = Vec::new();
        let mut owned_by = None;
        match variable(CONFIG_VARIABLE) {
            Some(only) if only.is_empty() => {}
            Some(only) => places.push(PathBuf::from(only)),
            None => {
                owned_by = Some(user);
                let folder = absolute("XDG_CONFIG_HOME")
                    .or_else(|| home.as_ref().map(|home| home.join(".config")));
                places.extend(folder.map(|folder| folder.join("gelato/gelato.toml")));
                places.push(PathBuf::from(SYSTEM_FILE));
            }
        }
        let files = places
            .iter()
            .filter_map(|path| File::read(path, owned_by, home.as_deref()))
            .collect();
        Settings {
            variable: Box::new(variable),
            files,
            places,
        }
    }

    /// Settings of variables and defaults alone.
    pub fn without_files(variable: impl Fn(&str) -> Option<OsString> + 'a) -> Settings<'a> {
        Settings {
            variable: Box::new(variable),
            files: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Where files were looked for, and whether one was there; the strongest first.
    pub fn places(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.places.iter().map(|path| {
            let there = self.files.iter().any(|file| file.path() == path);
            (path.as_path(), there)
        })
    }

    /// One setting with its origin.
    pub fn find(&self, key: &Key) -> Found {
        for variable in key.variables {
            let text = (self.variable)(variable.name);
            if let Some(Ok(value)) = text.and_then(|text| read(variable, key, &text)) {
                return Found {
                    value: Some(value),
                    origin: Origin::Variable(variable.name),
                };
            }
        }
        for file in &self.files {
            if let Some((value, line)) = file.get(key) {
                return Found {
                    value: Some(value.clone()),
                    origin: Origin::File(file.path().to_owned(), line),
                };
            }
        }
        Found {
            value: match key.default {
                Preset::Fixed(text) => key.kind.parse(text),
                Preset::Computed(_) => None,
            },
            origin: Origin::Default,
        }
    }

    /// One setting; `None` if the program is to find out by itself.
    pub fn value(&self, key: &Key) -> Option<Value> {
        self.find(key).value
    }

    /// What a file says of a setting, whatever the variables say.
    pub fn in_file(&self, key: &Key) -> Option<&Value> {
        let mut values = self.files.iter().filter_map(|file| file.get(key));
        values.next().map(|(value, _)| value)
    }

    /// A text or path.
    pub fn text(&self, key: &Key) -> Option<OsString> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Word(word)) => Some(word.into()),
            _ => None,
        }
    }

    /// A number.
    pub fn integer(&self, key: &Key) -> Option<i64> {
        match self.value(key) {
            Some(Value::Integer(number)) => Some(number),
            _ => None,
        }
    }

    /// A switch, off unless somebody says otherwise.
    pub fn switch(&self, key: &Key) -> bool {
        matches!(self.value(key), Some(Value::Switch(true)))
    }

    /// A word out of the list of the setting.
    pub fn word(&self, key: &Key) -> Option<&'static str> {
        match self.value(key) {
            Some(Value::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Everything that is wrong with files and with variables of these sections.
    pub fn problems(&self, sections: &[&str]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .files
            .iter()
            .flat_map(|file| &file.problems)
            .filter(|problem| {
                problem
                    .section
                    .is_none_or(|section| sections.contains(&section))
            })
            .cloned()
            .collect();
        for key in keys::ALL
            .iter()
            .filter(|key| sections.contains(&key.section))
        {
            for variable in key.variables {
                if matches!(variable.reading, Reading::Checked)
                    && let Some(text) = (self.variable)(variable.name)
                    && let Some(Err(why)) = read(variable, key, &text)
                {
                    problems.push(Problem {
                        place: Place::Variable(variable.name),
                        text: why,
                        section: Some(key.section),
                    });
                }
            }
        }
        problems
    }
}

/// The value a variable gives; `None` if it is as good as unset.
fn read(variable: &Variable, key: &Key, text: &OsStr) -> Option<Result<Value, String>> {
    match variable.reading {
        Reading::Forgiving(read) => read(text).map(Ok),
        Reading::Checked if text.is_empty() => None,
        Reading::Checked => {
            let value = text.to_str().and_then(|text| key.kind.parse(text));
            Some(value.ok_or_else(|| {
                format!(
                    "\"{}\" does not fit; {} is expected",
                    text.to_string_lossy().escape_debug(),
                    key.kind.expectation()
                )
            }))
        }
    }
}

/// Names like those of our variables that are none, with the one that may have been meant.
pub fn unknown_variables<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Vec<(&'a str, Option<&'static str>)> {
    let known: Vec<&'static str> = keys::ALL
        .iter()
        .flat_map(|key| key.variables)
        .map(|variable| variable.name)
        .chain(keys::OTHER_VARIABLES.iter().map(|(name, _)| *name))
        .collect();
    names
        .into_iter()
        .filter(|name| name.starts_with("ICECC_") || name.starts_with("GELATO_"))
        .filter(|name| !known.contains(name))
        .map(|name| (name, nearest(name, known.iter().copied())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    fn variables(pairs: &[(&str, &OsStr)]) -> impl Fn(&str) -> Option<OsString> + use<> {
        let map: BTreeMap<String, OsString> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        move |name| map.get(name).cloned()
    }

    #[test]
    fn our_variable_then_icecreams_then_the_file_then_the_default() {
        let folder = tempfile::tempdir().expect("folder");
        let below = folder.path().join("gelato");
        fs::create_dir(&below).expect("folder");
        let path = below.join("gelato.toml");
        fs::write(&path, "[wrapper]\npolicy = \"prefer\"\n").expect("file");
        let user = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&path).expect("file"));
        let place = ("XDG_CONFIG_HOME", folder.path().as_os_str());
        let require = ("ICECC_REQUIRE_REMOTE", OsStr::new("1"));
        let auto = ("GELATO_POLICY", OsStr::new("auto"));
        let policy = |pairs: &[(&str, &OsStr)]| {
            let found = Settings::load(variables(pairs), user).find(&keys::POLICY);
            match found.value {
                Some(Value::Word(word)) => (word, found.origin),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            policy(&[place, require, auto]),
            ("auto", Origin::Variable("GELATO_POLICY"))
        );
        assert_eq!(
            policy(&[place, require]),
            ("require", Origin::Variable("ICECC_REQUIRE_REMOTE"))
        );
        assert_eq!(policy(&[place]), ("prefer", Origin::File(path.clone(), 2)));
        let none = ("GELATO_CONFIG", OsStr::new(""));
        assert_eq!(policy(&[place, none]), ("auto", Origin::Default));
        let only = ("GELATO_CONFIG", path.as_os_str());
        assert_eq!(policy(&[only]), ("prefer", Origin::File(path.clone(), 2)));
        let empty = ("GELATO_POLICY", OsStr::new(""));
        assert_eq!(policy(&[empty, none]), ("auto", Origin::Default));
    }

    #[test]
    fn a_wrong_variable_of_ours_is_a_problem_and_counts_for_nothing() {
        let settings =
            Settings::without_files(variables(&[("GELATO_POLICY", OsStr::new("reqire"))]));
        assert_eq!(settings.word(&keys::POLICY), Some("auto"));
        let problems = settings.problems(&["wrapper"]);
        assert_eq!(
            problems[0].to_string(),
            "GELATO_POLICY: \"reqire\" does not fit; \"auto\", \"prefer\" or \"require\" is expected"
        );
        assert!(settings.problems(&["daemon"]).is_empty());
    }

    #[test]
    fn defaults_are_values() {
        let settings = Settings::without_files(|_| None);
        assert_eq!(settings.integer(&keys::DAEMON_PORT), Some(10245));
        assert_eq!(settings.integer(&keys::COMPRESSION), Some(1));
        assert!(settings.switch(&keys::CARET_WORKAROUND));
        assert_eq!(settings.text(&keys::NETNAME), Some("ICECREAM".into()));
        assert_eq!(settings.value(&keys::TOOLCHAINS), None);
    }

    #[test]
    fn misspelt_variables_are_noticed() {
        let names = [
            "ICECC_PREFERED_HOST",
            "GELATO_POLICY",
            "PATH",
            "ICECC_TEST_SOCKET",
        ];
        assert_eq!(
            unknown_variables(names),
            [("ICECC_PREFERED_HOST", Some("ICECC_PREFERRED_HOST"))]
        );
    }
}
