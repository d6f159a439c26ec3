//! The table of cases, as text. Its head explains the form.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// All cases.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the order of the file.
    pub cases: Vec<Case>,
    /// The files every case begins with.
    pub tree: PathBuf,
}

/// One line to run.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique.
    pub name: String,
    /// Shell lines to be run before, with the bare compilers.
    pub prepare: Vec<String>,
    /// The shell line in question.
    pub run: String,
    /// Whether every compilation of the line has to be done by a worker.
    pub remote: bool,
    /// What the bare compiler does by chance.
    pub rules: Vec<Rule>,
    /// A file without which the case is left out.
    pub needs: Option<PathBuf>,
}

/// What follows a text, as far as it looks like a part of a file name, does not count.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The text before.
    pub after: String,
}

impl Table {
    /// Reads a table; `tree` holds the files of every case.
    ///
    /// # Errors
    /// A line that means nothing, a name used twice or not at all.
    pub fn parse(text: &str, tree: PathBuf) -> Result<Table> {
        let mut rules: Vec<(Rule, bool)> = Vec::new();
        let mut cases: Vec<Case> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let at = || format!("line {number}: {line:?}");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once(' ').with_context(at)?;
            let value = value.trim();
            if key == "rule" {
                let mut parts = value.splitn(3, ' ');
                let (Some(name), Some(after), Some(_reason)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    bail!("a rule has a name, a text and a reason: {}", at());
                };
                let rule = Rule {
                    name: name.to_owned(),
                    after: after.to_owned(),
                };
                rules.push((rule, false));
                continue;
            }
            if key == "case" {
                if cases.iter().any(|case| case.name == value) {
                    bail!("a second case of this name: {}", at());
                }
                cases.push(Case {
                    name: value.to_owned(),
                    prepare: Vec::new(),
                    run: String::new(),
                    remote: false,
                    rules: Vec::new(),
                    needs: None,
                });
                continue;
            }
            let case = cases.last_mut().with_context(at)?;
            match (key, value) {
                ("prepare", line) => case.prepare.push(line.to_owned()),
                ("run", line) if case.run.is_empty() => case.run = line.to_owned(),
                ("where", "remote") => case.remote = true,
                ("needs", file) => case.needs = Some(file.into()),
                ("rules", names) => {
                    for name in names.split(' ') {
                        let (rule, used) = rules
                            .iter_mut()
                            .find(|(rule, _)| rule.name == name)
                            .with_context(at)?;
                        *used = true;
                        case.rules.push(rule.clone());
                    }
                }
                _ => bail!("unknown: {}", at()),
            }
        }
        if let Some(case) = cases.iter().find(|case| case.run.is_empty()) {
            bail!("case {} runs nothing", case.name);
        }
        if let Some((rule, _)) = rules.iter().find(|(_, used)| !used) {
            bail!("rule {} is not used", rule.name);
        }
        Ok(Table { cases, tree })
    }
}

impl Rule {
    /// The text without what does not count.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut result = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(&first) = rest.first() {
            if let Some(behind) = rest.strip_prefix(self.after.as_bytes()) {
                result.extend_from_slice(self.after.as_bytes());
                let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
                let length = behind.iter().take_while(part).count();
                rest = behind.get(length..).unwrap_or_default();
            } else {
                result.push(first);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        result
    }

    /// [`Rule::apply`] for each of `rules`.
    pub fn apply_all(rules: &[Rule], text: &[u8]) -> Vec<u8> {
        rules
            .iter()
            .fold(text.to_vec(), |text, rule| rule.apply(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A comment.
rule chance /tmp/ names made by chance

case one
prepare mkdir x
run gcc -v -c x.c
where remote
rules chance
needs /bin/sh

case two
run gcc
";

    #[test]
    fn reads_cases_and_rules() {
        let table = Table::parse(TEXT, "tree".into()).unwrap();
        let [one, two] = &table.cases[..] else {
            panic!("{table:?}");
        };
        assert_eq!((one.run.as_str(), one.remote), ("gcc -v -c x.c", true));
        assert_eq!(one.prepare, ["mkdir x"]);
        assert_eq!((two.run.as_str(), two.remote), ("gcc", false));
        assert_eq!(
            Rule::apply_all(&one.rules, b"as /tmp/cc12.s -o /tmp/x"),
            b"as /tmp/ -o /tmp/"
        );
    }

    #[test]
    fn odd_tables_are_refused() {
        for text in [
            "case a\nrun x\ncase a\nrun y\n",
            "case a\n",
            "run x\n",
            "case a\nrun x\nrules none\n",
            "case a\nrun x\nwhere local\n",
            "rule r /tmp/ why\ncase a\nrun x\n",
        ] {
            assert!(Table::parse(text, PathBuf::new()).is_err(), "{text}");
        }
    }
}
