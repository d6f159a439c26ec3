//! Settings for the long-lived programs: what the files say becomes options that were not typed.
//!
//! So a value from a file is read, checked and used exactly as if it stood on the command line, and what does stand there wins.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::parser::ValueSource;
use gelato_settings::file::Place;
use gelato_settings::{Key, Origin, Settings, Value, keys};

/// The settings of this process.
pub(crate) fn load() -> Settings<'static> {
    Settings::load(
        |name| std::env::var_os(name),
        rustix::process::geteuid().as_raw(),
    )
}

/// Programs that take settings as options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Daemon,
    Scheduler,
    Build,
}

impl Program {
    /// The program of a subcommand.
    pub(crate) fn of_subcommand(name: &str) -> Option<Program> {
        match name {
            "daemon" => Some(Program::Daemon),
            "scheduler" => Some(Program::Scheduler),
            "build" => Some(Program::Build),
            _ => None,
        }
    }

    /// The sections it reads.
    pub(crate) fn sections(self) -> &'static [&'static str] {
        match self {
            Program::Daemon => &["cluster", "daemon", "worker"],
            Program::Scheduler => &["cluster", "scheduler"],
            Program::Build => &["cluster", "wrapper", "build"],
        }
    }

    /// Its settings that are options, with the option's name.
    pub(crate) fn options(self) -> Vec<(&'static Key, &'static str)> {
        let section = match self {
            Program::Daemon => "daemon",
            Program::Scheduler => "scheduler",
            Program::Build => "build",
        };
        let mut options: Vec<_> = keys::ALL
            .iter()
            .filter(|key| key.section == section && key.path() != keys::DAEMON_COMPRESSION.path())
            .map(|&key| (key, key.name))
            .collect();
        match self {
            Program::Daemon => options.extend([
                (&keys::NETNAME, "netname"),
                (&keys::SCHEDULER, "scheduler-host"),
            ]),
            Program::Scheduler => options.push((&keys::NETNAME, "netname")),
            Program::Build => {}
        }
        options
    }
}

/// The words that stand for settings of files, as far as `typed` does not have the options already.
pub(crate) fn words(
    program: Program,
    settings: &Settings<'_>,
    typed: &ArgMatches,
) -> Vec<OsString> {
    let is_typed = |option: &str| {
        let id = option.replace('-', "_");
        typed.try_contains_id(&id).is_ok()
            && typed.value_source(&id) == Some(ValueSource::CommandLine)
    };
    let mut words = Vec::new();
    for (key, option) in program.options() {
        let found = settings.find(key);
        let (Some(value), Origin::File(..)) = (found.value, found.origin) else {
            continue;
        };
        match (option, value) {
            ("control", Value::Word(who)) => {
                if !is_typed("control-open") && !is_typed("control-local") && who != "read" {
                    words.push(format!("--control-{who}").into());
                }
            }
            (option, _) if is_typed(option) => {}
            ("verbose", Value::Integer(level)) => {
                let level = usize::try_from(level).unwrap_or(0);
                words.extend(std::iter::repeat_n(OsString::from("-v"), level));
            }
            (_, Value::Switch(true)) => words.push(format!("--{option}").into()),
            (_, Value::Switch(false)) => {}
            (_, Value::Integer(number)) => words.push(format!("--{option}={number}").into()),
            (_, Value::Word(word)) => words.push(format!("--{option}={word}").into()),
            (_, Value::Text(text)) => {
                let mut word = OsString::from(format!("--{option}="));
                word.push(text);
                words.push(word);
            }
            (_, Value::List(items)) => {
                let mut word = OsString::from(format!("--{option}="));
                for (index, item) in items.iter().enumerate() {
                    word.push(if index == 0 { "" } else { "," });
                    word.push(item);
                }
                words.push(word);
            }
        }
    }
    words
}

/// Says what is wrong with the files. `Err` if the program would run with settings other than those somebody tried to make.
pub(crate) fn check(program: Program, settings: &Settings<'_>) -> Result<(), ()> {
    let mut result = Ok(());
    for problem in settings.problems(program.sections()) {
        eprintln!("{problem}");
        // A build goes on in any case; a service that does not start is noticed sooner than one that serves the wrong network.
        if program != Program::Build && !matches!(problem.place, Place::File(_)) {
            result = Err(());
        }
    }
    if result.is_err() {
        eprintln!("not started: correct this, or set GELATO_CONFIG to nothing to do without files");
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Gelato;

    fn with(text: &str, line: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gelato.toml");
        std::fs::write(&file, text).unwrap();
        let settings = Settings::load(
            |name| (name == "GELATO_CONFIG").then(|| file.clone().into_os_string()),
            0,
        );
        assert_eq!(
            settings.problems(&["cluster", "daemon", "scheduler", "build"]),
            []
        );
        let matches = Gelato::command().get_matches_from(line.split_whitespace());
        let (name, matches) = matches.subcommand().unwrap();
        let program = Program::of_subcommand(name).unwrap();
        let words = words(program, &settings, matches);
        words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn every_setting_of_a_program_is_an_option_and_the_other_way_round() {
        let mut gelato = Gelato::command();
        gelato.build();
        // Once for a start, not for a machine.
        let only_typed = [
            "check",
            "daemonize",
            "detached-child",
            "trace",
            "help",
            "version",
            "command",
        ];
        for (program, name) in [
            (Program::Daemon, "daemon"),
            (Program::Scheduler, "scheduler"),
            (Program::Build, "build"),
        ] {
            let command = gelato.find_subcommand(name).unwrap();
            let ids: Vec<String> = command
                .get_arguments()
                .map(|argument| argument.get_id().as_str().replace('_', "-"))
                .map(|id| {
                    if id == "control-open" || id == "control-local" {
                        "control".to_owned()
                    } else {
                        id
                    }
                })
                .collect();
            let options = program.options();
            for (key, option) in &options {
                assert!(
                    ids.iter().any(|id| id == option),
                    "{} is no option",
                    key.path()
                );
            }
            for id in ids {
                let known = options.iter().any(|(_, option)| *option == id)
                    || only_typed.contains(&id.as_str())
                    || id == "child"
                    || (program == Program::Build && ["verbose", "policy"].contains(&id.as_str()));
                assert!(known, "--{id} of {name} is no setting");
            }
        }
    }

    #[test]
    fn files_give_what_was_not_typed() {
        let text = "[cluster]\nnetname = \"lab\"\nscheduler = \"host:8000\"\n\
            [daemon]\nport = 4000\nno-remote = true\nverbose = 2\nallow = [\"private\", \"192.0.2.0/24\"]\ndeny = []\nsandbox = \"userns\"\nenv-basedir = \"/srv/envs\"\n\
            [scheduler]\ncontrol = \"open\"\npersistent-client-connection = false\n[build]\njobs = 7\n";
        assert_eq!(
            with(text, "gelato daemon -p 1 --netname x"),
            [
                "--no-remote",
                "--env-basedir=/srv/envs",
                "--sandbox=userns",
                "-v",
                "-v",
                "--allow=private,192.0.2.0/24",
                "--deny=",
                "--scheduler-host=host:8000"
            ]
        );
        assert_eq!(
            with(text, "gelato scheduler"),
            ["--control-open", "--netname=lab"]
        );
        assert_eq!(with(text, "gelato scheduler --control-local -n y"), [""; 0]);
        assert_eq!(with(text, "gelato build make"), ["--jobs=7"]);
        assert_eq!(with(text, "gelato build -j 3 make"), [""; 0]);
        assert!(!Path::new("/srv/envs").exists());
    }
}
