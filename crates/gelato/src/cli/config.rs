//! `gelato config`: every setting, what it is, and who said so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gelato_settings::keys::{self, Preset};
use gelato_settings::{Found, Key, Origin, Settings, Value, icecream};
use serde_json::json;

/// Options of `gelato config`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Only look for mistakes in files and variables; status 1 if there are any
    #[arg(long, conflicts_with = "json")]
    check: bool,
    /// Also say what each setting is for and which variables it may come from
    #[arg(short, long)]
    verbose: bool,
    /// Turn Icecream's icecc.conf into a gelato.toml, on standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "check", "only"])]
    from_icecc: Option<PathBuf>,
    /// Only these settings or sections
    #[arg(value_name = "SETTING")]
    only: Vec<String>,
}

/// Status 0; 1 if there are mistakes or a name is none.
pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(file) = &args.from_icecc {
        return import(file);
    }
    let settings = super::settings::load();
    let selected: Vec<&Key> = keys::ALL
        .iter()
        .copied()
        .filter(|key| {
            let named = |name: &String| *name == key.path() || name == key.section;
            args.only.is_empty() || args.only.iter().any(named)
        })
        .collect();
    for name in &args.only {
        if !keys::ALL
            .iter()
            .any(|key| *name == key.path() || name == key.section)
        {
            eprintln!("gelato config: there is no setting or section {name}");
            return ExitCode::FAILURE;
        }
    }
    let mistakes = mistakes(&settings);
    if args.json {
        println!("{:#}", as_json(&settings, &selected, &mistakes));
        return ExitCode::SUCCESS;
    }
    if !args.check {
        print!("{}", as_toml(&settings, &selected, args));
    }
    for mistake in &mistakes {
        eprintln!("{mistake}");
    }
    if args.check && !mistakes.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn import(path: &Path) -> ExitCode {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("gelato config: cannot read {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let import = icecream::read(&String::from_utf8_lossy(&text));
    let mut section = "";
    for (its_section, name, value) in &import.settings {
        if *its_section != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            section = its_section;
            println!("{gap}[{section}]");
        }
        println!("{name} = {value}");
    }
    for (line, problem) in &import.problems {
        eprintln!("{}:{line}: {problem}", path.display());
    }
    if import.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A line for each mistake in any file or variable.
fn mistakes(settings: &Settings<'_>) -> Vec<String> {
    let sections: Vec<&str> = keys::ALL.iter().map(|key| key.section).collect();
    let mut mistakes: Vec<String> = settings
        .problems(&sections)
        .iter()
        .map(ToString::to_string)
        .collect();
    let names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    for (name, near) in gelato_settings::unknown_variables(names.iter().map(String::as_str)) {
        mistakes.push(match near {
            Some(near) => format!("{name}: nobody reads this variable; did you mean {near}?"),
            None => format!("{name}: nobody reads this variable"),
        });
    }
    mistakes
}

/// As a file that says the same, with the origin of everything beside it.
fn as_toml(settings: &Settings<'_>, selected: &[&Key], args: &Args) -> String {
    const ORIGIN_COLUMN: usize = 44;
    let mut text = String::new();
    if args.only.is_empty() {
        for (path, there) in settings.places() {
            let state = if there { "read" } else { "not there" };
            let _ = writeln!(text, "# {} ({state})", path.display());
        }
    }
    let mut section = "";
    for key in selected {
        if key.section != section {
            section = key.section;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{section}]");
        }
        if args.verbose {
            let _ = writeln!(text, "# {}: {}.", key.about, key.kind.expectation());
            let variables: Vec<&str> = key.variables.iter().map(|variable| variable.name).collect();
            if !variables.is_empty() {
                let _ = writeln!(text, "# Variables: {}.", variables.join(", "));
            }
        }
        let found = settings.find(key);
        let what = match (&found.value, key.default) {
            (Some(value), _) => format!("{} = {value}", key.name),
            (None, Preset::Computed(words) | Preset::Fixed(words)) => {
                format!("# {}: {words}", key.name)
            }
        };
        let _ = writeln!(text, "{what:<ORIGIN_COLUMN$} # {}", origin(&found));
        if args.verbose {
            text.push('\n');
        }
    }
    text
}

fn origin(found: &Found) -> String {
    match &found.origin {
        Origin::Default => "default".to_owned(),
        Origin::Variable(name) => (*name).to_owned(),
        Origin::File(path, line) => format!("{}:{line}", path.display()),
    }
}

fn as_json(settings: &Settings<'_>, selected: &[&Key], mistakes: &[String]) -> serde_json::Value {
    let files: Vec<_> = settings
        .places()
        .map(|(path, there)| json!({ "path": path.to_string_lossy(), "read": there }))
        .collect();
    let list: Vec<_> = selected
        .iter()
        .map(|key| {
            let found = settings.find(key);
            let variables: Vec<&str> = key.variables.iter().map(|variable| variable.name).collect();
            let default = match key.default {
                Preset::Fixed(text) => json!({ "value": key.kind.parse(text).as_ref().map(plain) }),
                Preset::Computed(words) => json!({ "computed": words }),
            };
            let origin = match &found.origin {
                Origin::Default => json!({ "kind": "default" }),
                Origin::Variable(name) => json!({ "kind": "variable", "name": name }),
                Origin::File(path, line) => {
                    json!({ "kind": "file", "path": path.to_string_lossy(), "line": line })
                }
            };
            json!({
                "setting": key.path(),
                "value": found.value.as_ref().map(plain),
                "origin": origin,
                "default": default,
                "variables": variables,
                "about": key.about,
                "takes": key.kind.expectation(),
            })
        })
        .collect();
    json!({ "files": files, "settings": list, "problems": mistakes })
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text.to_string_lossy()),
        Value::Integer(number) => json!(number),
        Value::Switch(on) => json!(on),
        Value::Word(word) => json!(word),
        Value::List(items) => {
            json!(
                items
                    .iter()
                    .map(|item| item.to_string_lossy())
                    .collect::<Vec<_>>()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use gelato_settings::file::File;

    use super::*;

    const SHOW: Args = Args {
        json: false,
        check: false,
        verbose: false,
        from_icecc: None,
        only: Vec::new(),
    };

    fn variables(name: &str) -> Option<std::ffi::OsString> {
        match name {
            "GELATO_CONFIG" => Some("".into()),
            "ICECC_REQUIRE_REMOTE" => Some("1".into()),
            "ICECC_EXTRAFILES" => Some("/a \"b\":/c".into()),
            _ => None,
        }
    }

    #[test]
    fn what_is_shown_can_be_a_file() {
        let settings = Settings::load(variables, 0);
        for verbose in [false, true] {
            let text = as_toml(&settings, keys::ALL, &Args { verbose, ..SHOW });
            let file = File::parse(Path::new("shown"), &text, None);
            assert_eq!(file.problems, [], "{text}");
            for key in keys::ALL {
                let value = settings.value(key);
                assert_eq!(
                    file.get(key).map(|(value, _)| value.clone()),
                    value,
                    "{}",
                    key.path()
                );
            }
        }
    }

    #[test]
    fn origins_are_named() {
        let settings = Settings::load(variables, 0);
        let text = as_toml(&settings, &[&keys::POLICY, &keys::DAEMON_PORT], &SHOW);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("[wrapper]"));
        let policy = lines.next().unwrap();
        assert!(
            policy.starts_with("policy = \"require\" ")
                && policy.ends_with("# ICECC_REQUIRE_REMOTE")
        );
        assert!(text.ends_with("# default\n"));
        let json = as_json(&settings, &[&keys::POLICY], &[]);
        assert_eq!(
            json["settings"][0]["origin"]["name"],
            "ICECC_REQUIRE_REMOTE"
        );
        assert_eq!(json["settings"][0]["default"]["value"], "auto");
    }

    #[test]
    fn the_manual_has_every_setting() {
        let page = include_str!("../../../../man/gelato.toml.5");
        let mut rest = page;
        for key in keys::ALL {
            let heading = format!(".Ss \\[lB]{}\\[rB]\n", key.section);
            assert!(
                page.contains(&heading),
                "[{}] is not in gelato.toml(5)",
                key.section
            );
            let item = format!(".It Cm {} ", key.name);
            let Some(at) = rest.find(&item) else {
                panic!(
                    "{} is not in gelato.toml(5), or not in the order of the table",
                    key.path()
                );
            };
            rest = &rest[at + item.len()..];
            let entry = rest.split("\n.It ").next().unwrap_or_default();
            for variable in key.variables {
                assert!(
                    entry.contains(variable.name),
                    "{}: {}",
                    key.path(),
                    variable.name
                );
            }
            if let Preset::Fixed(text) = key.default {
                assert!(entry.contains(text), "the default of {}", key.path());
            }
        }
    }
}
