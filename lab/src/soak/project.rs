//! What the soak builds: small distinct sources, a makefile, and the objects that the local compilers make of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::random::Random;
use crate::build;
use crate::host::{Host, Task};
use crate::programs;

/// One translation unit.
#[derive(Clone, Debug)]
struct Unit {
    name: String,
    compiler: &'static str,
    options: &'static str,
    suffix: &'static str,
    text: String,
}

/// The project in its folder.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// What the local compilers made, by the object's name.
    pub(crate) local: BTreeMap<String, Vec<u8>>,
}

impl Project {
    /// Writes the sources and compiles them without any wrapper.
    pub(crate) fn create(folder: &Path, host: &Host) -> Result<Project> {
        let units = units();
        for unit in &units {
            let name = format!("src/{}.{}", unit.name, unit.suffix);
            build::write(folder, &name, &unit.text)?;
        }
        build::write(folder, "Makefile", &makefile(&units))?;
        let names: Vec<String> = units
            .iter()
            .map(|unit| format!("{}.o", unit.name))
            .collect();
        let mut project = Project {
            folder: folder.to_owned(),
            local: BTreeMap::new(),
        };
        fs::create_dir_all(folder.join("local"))?;
        host.give(&folder.join("local"))?;
        host.run(
            &project.make("local", &names, 2),
            std::time::Duration::from_secs(240),
        )?
        .success()
        .context("the local build")?;
        for name in names {
            let object = fs::read(folder.join("local").join(&name))?;
            project.local.insert(name, object);
        }
        ensure!(project.local.len() == units.len(), "units of the same name");
        Ok(project)
    }

    /// A build of `wanted` into the folder `out`, with whatever compilers are first in `PATH`.
    pub(crate) fn make(&self, out: &str, wanted: &[String], jobs: usize) -> Task {
        Task::new("make")
            .arg(format!("-j{jobs}"))
            .arg(format!("OUT={out}"))
            .arg(format!("WANTED={}", wanted.join(" ")))
            .folder(&self.folder)
    }

    /// Some of the objects to build.
    pub(crate) fn choose(&self, random: &mut Random, count: usize) -> Vec<String> {
        let mut names: Vec<String> = self.local.keys().cloned().collect();
        random.shuffle(&mut names);
        names.truncate(count);
        names
    }

    /// What is wrong in the folder of a finished build. Without `complete`, objects may be missing.
    pub(crate) fn judge(
        &self,
        out: &str,
        wanted: &[String],
        complete: bool,
    ) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut found = build::files(&self.folder.join(out), "")?;
        for name in wanted {
            match found.remove(Path::new(name)) {
                Some(object) if Some(&object) == self.local.get(name) => {}
                Some(object) => wrong.push(format!(
                    "{out}/{name} differs from the local one ({} bytes, there {})",
                    object.len(),
                    self.local.get(name).map_or(0, Vec::len)
                )),
                None if complete => wrong.push(format!("{out}/{name} is missing")),
                None => {}
            }
        }
        wrong.extend(
            found
                .keys()
                .map(|path| format!("{out}/{} was left behind", path.display())),
        );
        Ok(wrong)
    }
}

fn makefile(units: &[Unit]) -> String {
    let mut text = String::from("all: $(addprefix $(OUT)/,$(WANTED))\n");
    for unit in units {
        let Unit {
            name,
            compiler,
            options,
            suffix,
            ..
        } = unit;
        text.push_str(&format!(
            "$(OUT)/{name}.o:\n\t{compiler} {options} -c src/{name}.{suffix} -o $@\n"
        ));
    }
    text
}

fn units() -> Vec<Unit> {
    let mut units = Vec::new();
    let mut add =
        |kind: &str, count: usize, compiler, options, suffix, text: &dyn Fn(usize) -> String| {
            for number in 0..count {
                units.push(Unit {
                    name: format!("{kind}{number}"),
                    compiler,
                    options,
                    suffix,
                    text: text(number),
                });
            }
        };
    add("c", 6, "gcc", "-O1", "c", &c);
    add("h", 2, "gcc", "-O2 -Wall", "c", &with_header);
    add("g", 4, "gcc", "-g -O1", "c", &c);
    add("p", 4, "g++", "-O1 -std=c++17", "cc", &cxx);
    add("q", 2, "g++", "-g -O0", "cc", &cxx);
    add("s", 2, "gcc", "-O2", "c", &slow);
    if programs::in_path("clang").is_some() {
        add("k", 3, "clang", "-O2", "c", &c);
        add("l", 1, "clang++", "-O1 -std=c++17", "cc", &cxx);
    }
    units
}

fn c(number: usize) -> String {
    let mut text = format!("static int state{number};\n");
    for part in 0..8 {
        text.push_str(&format!(
            "int f{number}_{part}(int *a, int n) {{\n  int s = {number};\n  for (int i = 0; i < n; i++) s = s * {part} + \
             a[i] % ({number} + {part} + 3);\n  state{number} += s;\n  return s;\n}}\n"
        ));
    }
    text
}

fn with_header(number: usize) -> String {
    format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#define LINE(x) printf(\"{number} %d\\n\", (x) + __LINE__)\n{}\
         int say{number}(int x) {{\n  if (x > {number}) abort();\n  return LINE(x);\n}}\n",
        c(number)
    )
}

fn cxx(number: usize) -> String {
    format!(
        "namespace {{ struct Base {{ virtual ~Base() = default; virtual int value(int) const = 0; }}; }}\n\
         template <int N> struct Sum : Base {{ int value(int x) const override {{ return x + N + Sum<N - 1>().value(x); }} }};\n\
         template <> struct Sum<0> : Base {{ int value(int x) const override {{ return x * {number}; }} }};\n\
         int sum{number}(int x) {{\n  Sum<{}> sum;\n  const Base &base = sum;\n  return base.value(x);\n}}\n",
        20 + number
    )
}

/// Takes half a second or so: things happen in the middle.
fn slow(number: usize) -> String {
    let all = build::slow_source();
    let functions: Vec<&str> = all.split_inclusive("\n}\n").take(50).collect();
    format!("{}int last{number};\n", functions.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_units_are_the_same() {
        let units = units();
        for (index, unit) in units.iter().enumerate() {
            for other in &units[index + 1..] {
                assert_ne!(unit.name, other.name);
                assert!(
                    unit.text != other.text
                        || unit.options != other.options
                        || unit.compiler != other.compiler,
                    "{} and {}",
                    unit.name,
                    other.name
                );
            }
        }
    }

    #[test]
    fn wrong_missing_and_foreign_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project {
            folder: folder.path().to_owned(),
            local: [("a.o", "1"), ("b.o", "2")]
                .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
                .into(),
        };
        let wanted = ["a.o".to_owned(), "b.o".to_owned()];
        build::write(folder.path(), "out/a.o", "wrong").unwrap();
        build::write(folder.path(), "out/.icecc-1-2.tmp", "").unwrap();
        let wrong = project.judge("out", &wanted, true).unwrap();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        build::write(folder.path(), "out/a.o", "1").unwrap();
        fs::remove_file(folder.path().join("out/.icecc-1-2.tmp")).unwrap();
        assert!(project.judge("out", &wanted, false).unwrap().is_empty());
        assert_eq!(project.judge("out", &wanted, true).unwrap().len(), 1);
    }
}
