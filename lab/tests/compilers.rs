//! Every way in which builds name a compiler: each is compiled by a worker, and the object is the one that the bare compiler makes.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Task, Verdict, build, programs};

const C: &str = r#"
#include <stdio.h>
#ifndef EXTRA
#define EXTRA 1
#endif
int walk(const char *path, int depth) {
    printf("%s at %d\n", path, depth * EXTRA);
    return depth > 3 ? depth : walk(path, depth + EXTRA);
}
"#;

const CXX: &str = r#"
#include <new>
#include <utility>
template <typename T> struct Box {
    T *held;
    explicit Box(T value) : held(new T(std::move(value))) {}
    ~Box() { delete held; }
};
int count(const char *text) {
    Box<std::pair<int, char>> box{{0, 'a'}};
    for (; *text; text++) box.held->first += *text == box.held->second;
    return box.held->first;
}
"#;

/// For targets of which this machine has no headers.
const FREESTANDING: &str = "int square(int x) { return x * x + (x >> 3); }\n";

/// One way to name a compiler.
struct Spelling {
    name: &'static str,
    /// Programs of this machine it is about.
    needs: Vec<&'static str>,
    /// The bare compiler: program and first words.
    bare: Vec<OsString>,
    /// Program and first words of the build.
    ours: Vec<OsString>,
    /// Folders before those of the system.
    path: Vec<PathBuf>,
    env: Vec<(&'static str, OsString)>,
    source: &'static str,
    /// Compilations in one call.
    jobs: usize,
}

impl Spelling {
    fn of<const B: usize, const O: usize>(
        name: &'static str,
        bare: [&str; B],
        ours: [&str; O],
    ) -> Spelling {
        Spelling {
            name,
            needs: Vec::new(),
            bare: bare.map(OsString::from).to_vec(),
            ours: ours.map(OsString::from).to_vec(),
            path: Vec::new(),
            env: Vec::new(),
            source: "walk.c",
            jobs: 1,
        }
    }

    fn needs(mut self, programs: &[&'static str]) -> Spelling {
        self.needs.extend(programs);
        self
    }

    fn path<const N: usize>(mut self, folders: [&Path; N]) -> Spelling {
        self.path = folders.map(Path::to_owned).to_vec();
        self
    }

    fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Spelling {
        self.env.push((name, value.into()));
        self
    }

    fn source(mut self, source: &'static str) -> Spelling {
        self.source = source;
        self
    }

    fn jobs(mut self, jobs: usize) -> Spelling {
        self.jobs = jobs;
        self
    }
}

/// Folders with links, copies and scripts in front of compilers.
struct Farm {
    root: PathBuf,
    icecc: String,
    masquerade: PathBuf,
}

impl Farm {
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn link(&self, folder: &str, name: &str, to: &Path) -> Result<PathBuf> {
        let folder = self.folder(folder)?;
        symlink(to, folder.join(name))?;
        Ok(folder)
    }

    fn script(&self, folder: &str, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder(folder)?.join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(file)
    }

    /// The wrapper itself, as a file of its own under the compiler's name.
    fn copy(&self, folder: &str, hard: bool) -> Result<PathBuf> {
        let folder = self.folder(folder)?;
        let to = folder.join("gcc");
        if hard {
            fs::hard_link(&self.icecc, to)?;
        } else {
            fs::copy(&self.icecc, to)?;
        }
        Ok(folder)
    }

    /// The installed GCC in another prefix.
    fn relocated(&self) -> Result<Option<PathBuf>> {
        let ask = |words: &[&str]| -> Result<PathBuf> {
            let output = std::process::Command::new("gcc").args(words).output()?;
            let text = String::from_utf8(output.stdout)?;
            Ok(fs::canonicalize(text.trim())?)
        };
        let Some(gcc) = programs::in_path("gcc") else {
            return Ok(None);
        };
        let cc1 = ask(&["-print-prog-name=cc1"])?;
        let version = cc1.parent().context("cc1 without a folder")?;
        let target = version.parent().and_then(Path::file_name);
        let target = target.context("cc1 without a target")?;
        let prefix = self.folder("relocated")?;
        let private = prefix
            .join("lib/gcc")
            .join(target)
            .join(version.file_name().context("cc1 without a version")?);
        let binutils = prefix.join(target).join("bin");
        for folder in [&prefix.join("bin"), &private, &binutils] {
            fs::create_dir_all(folder)?;
        }
        fs::copy(fs::canonicalize(gcc)?, prefix.join("bin/gcc"))?;
        fs::copy(&cc1, private.join("cc1"))?;
        let assembler = programs::in_path("as").context("no assembler")?;
        fs::copy(fs::canonicalize(assembler)?, binutils.join("as"))?;
        gelato_lab::sources::copy(&version.join("include"), &private.join("include"))?;
        Ok(Some(prefix.join("bin/gcc")))
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn spellings(farm: &Farm) -> Result<Vec<Spelling>> {
    let icecc = farm.icecc.as_str();
    let masquerade = farm.masquerade.as_path();
    let path = |name: &str| programs::in_path(name).unwrap_or_default();
    let text = |path: &Path| path.display().to_string();

    let chain = farm.link("first", "gcc", &farm.masquerade.join("gcc"))?;
    farm.link("second", "gcc", &chain.join("gcc"))?;
    let chain = farm.root.join("second");
    let copied = farm.copy("copied", false)?;
    let hard = farm.copy("hard", true)?;
    let cache = farm.link("cache", "gcc", &path("ccache"))?;
    let is_clang = farm.link("is-clang", "cc", &path("clang"))?;
    farm.link("is-clang", "gcc", &path("clang"))?;
    let clang_for_arm = farm.link("is-clang", "aarch64-linux-gnu-clang", &path("clang"))?;
    let script = text(&farm.script(
        "script",
        "gcc",
        "#!/bin/sh\n# With a macro of its own.\nexec /usr/bin/gcc -DEXTRA=3 \"$@\" -fno-inline\n",
    )?);
    // What these do can only be seen by asking them.
    let clever =
        "#!/bin/sh\nextra=-DEXTRA=5\nfor word; do case $word in -O3) extra=;; esac; done\n";
    let clever_gcc = format!("{clever}exec gcc $extra ${{1+\"$@\"}} -fno-inline\n");
    let clever_gcc = text(&farm.script("clever", "my-gcc", &clever_gcc)?);
    let clever_clang = format!("{clever}exec clang++ $extra \"$@\" -fno-inline\n");
    let clever_clang = text(&farm.script("clever", "clang++", &clever_clang)?);
    let cached = "#!/bin/sh\nexec ccache gcc \"$@\"\n";
    let cached = text(&farm.script("cached", "gcc", cached)?);
    let relocated = farm.relocated()?.map(|gcc| text(&gcc)).unwrap_or_default();
    let clang = text(&path("clang"));

    let mut all = vec![
        Spelling::of("gcc", ["gcc"], [icecc, "gcc"]),
        Spelling::of("g++", ["g++"], [icecc, "g++"]).source("count.cc"),
        Spelling::of("absolute path", ["gcc"], [icecc, "/usr/bin/gcc"]),
        Spelling::of("cc", ["cc"], [icecc, "cc"]).needs(&["cc"]),
        Spelling::of("gcc-12", ["gcc-12"], [icecc, "gcc-12"]).needs(&["gcc-12"]),
        Spelling::of("g++-12", ["g++-12"], [icecc, "g++-12"])
            .needs(&["g++-12"])
            .source("count.cc"),
        Spelling::of(
            "gcc with a triplet",
            ["x86_64-linux-gnu-gcc-12"],
            [icecc, "x86_64-linux-gnu-gcc-12"],
        )
        .needs(&["x86_64-linux-gnu-gcc-12"]),
        Spelling::of("clang", ["clang"], [icecc, "clang"]).needs(&["clang"]),
        Spelling::of("clang++-14", ["clang++-14"], [icecc, "clang++-14"])
            .needs(&["clang++-14"])
            .source("count.cc"),
        Spelling::of("symlink farm", ["gcc"], ["gcc"]).path([masquerade]),
        Spelling::of("symlink farm, c++", ["c++"], ["c++"])
            .path([masquerade])
            .source("count.cc"),
        Spelling::of("chain of links", ["gcc"], ["gcc"]).path([&chain]),
        Spelling::of("copied wrapper", ["gcc"], ["gcc"]).path([&copied]),
        Spelling::of("hard link", ["gcc"], ["gcc"]).path([&hard]),
        Spelling::of("two folders of ours", ["gcc"], ["gcc"]).path([&copied, &chain]),
        Spelling::of("launcher of a launcher", ["gcc"], [icecc, icecc, "gcc"]),
        Spelling::of("CC=icecc", ["gcc"], [icecc]),
        Spelling::of("CXX=icecc", ["g++"], [icecc]).source("count.cc"),
        Spelling::of("shell wrapper", [script.as_str()], [icecc, &script]),
        Spelling::of("shell wrapper behind links", [script.as_str()], ["gcc"])
            .path([masquerade, &farm.root.join("script")]),
        Spelling::of(
            "shell wrapper with conditions",
            [clever_gcc.as_str()],
            [icecc, &clever_gcc],
        ),
        Spelling::of(
            "shell wrapper of clang",
            [clever_clang.as_str()],
            [icecc, &clever_clang],
        )
        .needs(&["clang++"])
        .source("count.cc"),
        Spelling::of("shell wrapper with ccache", ["gcc"], [icecc, &cached]).needs(&["ccache"]),
        Spelling::of("ccache in front", ["gcc"], ["ccache", "gcc"])
            .needs(&["ccache"])
            .env("CCACHE_PREFIX", icecc),
        Spelling::of("ccache in front of links", ["gcc"], ["ccache", "gcc"])
            .needs(&["ccache"])
            .env("CCACHE_PREFIX", icecc)
            .env("CCACHE_RECACHE", "1")
            .path([masquerade]),
        Spelling::of("ccache behind", ["gcc"], ["gcc"])
            .needs(&["ccache"])
            .path([masquerade, &cache]),
        Spelling::of("cc that is clang", ["clang"], [icecc, "cc"])
            .needs(&["clang"])
            .path([&is_clang]),
        Spelling::of("gcc that is clang", ["clang"], [icecc, "gcc"])
            .needs(&["clang"])
            .path([&is_clang]),
        Spelling::of(
            "gcc for ARM",
            ["arm-linux-gnueabihf-gcc"],
            [icecc, "arm-linux-gnueabihf-gcc"],
        )
        .needs(&["arm-linux-gnueabihf-gcc"]),
        Spelling::of(
            "g++ for ARM",
            ["arm-linux-gnueabihf-g++"],
            [icecc, "arm-linux-gnueabihf-g++"],
        )
        .needs(&["arm-linux-gnueabihf-g++"])
        .source("count.cc"),
        Spelling::of(
            "gcc for Windows",
            ["x86_64-w64-mingw32-gcc"],
            [icecc, "x86_64-w64-mingw32-gcc"],
        )
        .needs(&["x86_64-w64-mingw32-gcc"]),
        Spelling::of(
            "g++ for Windows",
            ["x86_64-w64-mingw32-g++"],
            [icecc, "x86_64-w64-mingw32-g++"],
        )
        .needs(&["x86_64-w64-mingw32-g++"])
        .source("count.cc"),
        Spelling::of(
            "clang --target",
            ["clang", "--target=aarch64-linux-gnu"],
            [icecc, "clang", "--target=aarch64-linux-gnu"],
        )
        .needs(&["clang"])
        .source("square.c"),
        Spelling::of(
            "clang with a triplet",
            [clang.as_str(), "--target=aarch64-linux-gnu"],
            [icecc, "aarch64-linux-gnu-clang"],
        )
        .needs(&["clang"])
        .path([&clang_for_arm])
        .source("square.c"),
        Spelling::of(
            "libtool",
            ["libtool", "--quiet", "--tag=CC", "--mode=compile", "gcc"],
            [
                "libtool",
                "--quiet",
                "--tag=CC",
                "--mode=compile",
                icecc,
                "gcc",
            ],
        )
        .needs(&["libtool"])
        .jobs(2),
    ];
    if !relocated.is_empty() {
        all.push(Spelling::of(
            "relocated prefix",
            [relocated.as_str()],
            [icecc, &relocated],
        ));
    }
    Ok(all)
}

fn task(words: &[OsString], spelling: &Spelling, folder: &Path) -> Result<Task> {
    let (program, first) = words.split_first().context("no program")?;
    let output = match spelling.jobs {
        1 => "object.o",
        _ => "object.lo",
    };
    Ok(Task::new(program)
        .args(first)
        .args(["-O2", "-Wall", "-c", spelling.source, "-o", output])
        .folder(folder))
}

fn try_one(spelling: &Spelling, submitter: &Daemon, folder: &Path) -> Result<()> {
    let clear = || -> Result<()> {
        for name in build::files(folder, ".o")?.keys() {
            fs::remove_file(folder.join(name))?;
        }
        Ok(())
    };
    clear()?;
    let bare = submitter
        .host()
        .run(&task(&spelling.bare, spelling, folder)?, SOON)?
        .success()
        .context("bare")?;
    let expected = build::files(folder, ".o")?;
    clear()?;

    submitter.forget_jobs()?;
    let mut ours = submitter
        .wrapped(task(&spelling.ours, spelling, folder)?)
        .env("ICECC_ENV_COMPRESSION", "zstd");
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    let path = std::env::join_paths(spelling.path.iter().chain(&system))?;
    ours = ours.env("PATH", path);
    for (name, value) in &spelling.env {
        ours = ours.env(*name, value.clone());
    }
    let done = submitter.host().run(&ours, FIRST_JOB)?.success()?;
    // ccache preprocesses by itself.
    let aside = Verdict::Local("preprocess-only".to_owned());
    let mut jobs = submitter.jobs()?;
    jobs.retain(|job| job.verdict != aside);
    ensure!(
        jobs.len() == spelling.jobs
            && jobs
                .iter()
                .all(|job| matches!(job.verdict, Verdict::Remote(_))),
        "not remote: {jobs:?} {}",
        submitter.wrapper_log().text()
    );
    ensure!(
        (done.out(), done.err()) == (bare.out(), bare.err()),
        "says something else: {:?} {:?}",
        done.out(),
        done.err()
    );
    build::same(&build::files(folder, ".o")?, &expected)
}

#[test]
fn every_spelling_of_a_compiler_is_compiled_remotely() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Gelato]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "walk.c", C)?;
    build::write(&folder, "count.cc", CXX)?;
    build::write(&folder, "square.c", FREESTANDING)?;
    let submitter = cluster.submitter();
    let farm = Farm {
        root: cluster.work_folder("farm")?,
        icecc: submitter.programs().icecc.display().to_string(),
        masquerade: submitter.programs().masquerade.clone(),
    };
    let all = spellings(&farm)?;
    let mut remote = 0;
    let mut problems = Vec::new();
    for spelling in &all {
        let absent = spelling
            .needs
            .iter()
            .find(|name| programs::in_path(name).is_none());
        if let Some(program) = absent {
            gelato_lab::skip(&format!("{}: {program} is not installed", spelling.name));
            continue;
        }
        match try_one(spelling, submitter, &folder) {
            Ok(()) => remote += 1,
            Err(error) => problems.push(format!("{}: {error:#}", spelling.name)),
        }
    }
    eprintln!(
        "{remote} of {} spellings remote, with the object of the bare compiler",
        all.len()
    );
    if !problems.is_empty() {
        bail!("{}", problems.join("\n\n"));
    }
    cluster.shut_down()
}
