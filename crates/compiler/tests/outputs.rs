//! The outputs foretold against those GCC and Clang really create.
//!
//! Each line of the tables runs in a folder of its own. Every file that appears must have been foretold; every file foretold, patterns aside, must appear.
//! Without a compiler of the version the rules were made for, its table is skipped with a message (`GELATO_LAB_REQUIRE=1` makes that a failure).

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gelato_compiler::decide::{Compiler, Decision};
use gelato_compiler::{FileKind, Files, Output, Settings, Verdict, decide, names};

const SOURCE: &str = "int f(int x){int a[100];for(int i=0;i<100;i++)a[i]=x*i;return a[x];}\n";

const GCC: &str = "
gcc -c src/x.c -MD
gcc -c src/x.c -o out.d/o -MD
gcc -c src/x.c -o out.d/o.b.o -MD --coverage -fstack-usage -fcallgraph-info -fsave-optimization-record -gsplit-dwarf -g
gcc -c src/x.c --coverage -fstack-usage -fcallgraph-info -fsave-optimization-record -gsplit-dwarf -g
gcc -c src/x.c -o out.d/noext --coverage -fstack-usage -fsave-optimization-record -gsplit-dwarf -g
gcc -S src/x.c -o out.d/q.asm --coverage -fstack-usage -gsplit-dwarf -g
gcc -S src/x.c -o out.d/q.asm --coverage -fstack-usage -MD
gcc -c src/x.c -o out.d/q.o -save-temps
gcc -c src/x.c -o out.d/q.o -save-temps=obj
gcc -c src/x.c -o out.d/q.o -save-temps=cwd
gcc -c src/x.c --save-temps
gcc -c src/x.y.cc -o out.d/q.o -save-temps=cwd -fstack-usage
gcc -S src/x.y.cc -o out.d/q.s -save-temps=obj -fstack-usage
g++ -c src/x.c -o q.o -save-temps
gcc -c -x c++ src/x.c -o q.o -save-temps
gcc -c src/x.c y.c -fstack-usage -MD
gcc src/x.c main.c -o out.d/prog -fstack-usage -MD --coverage -g -gsplit-dwarf
gcc src/x.c main.c -fstack-usage -MD
gcc main.c -o prog -fstack-usage -MD
gcc main.c -o prog -save-temps
gcc main.c -o out.d/prog -save-temps=cwd
gcc main.c y.c -o out.d/prog.exe -save-temps=obj
gcc main.c -o prog.a.b -fstack-usage
gcc main.c -o prog -flto -save-temps
gcc -E src/x.c -o out.d/q.i -MD
gcc -E src/x.c -MD
gcc -M src/x.c -o out.d/q.d
gcc -M src/x.c -MF out.d/z
gcc -M src/x.c -MFout.d/z
gcc -fsyntax-only src/x.c -o out.d/q.o -MD
gcc -fsyntax-only src/x.c -fstack-usage
gcc -c src/x.c -fdump-tree-optimized -o out.d/q.o
gcc -c src/x.c -fdump-tree-optimized
gcc -c src/x.c -fdump-tree-optimized=out.d/file -o out.d/q.o
gcc -c src/x.c -fdump-final-insns -o out.d/q.o
gcc -c src/x.c -fdump-final-insns=out.d/fin -o out.d/q.o
gcc -c src/x.c -fdump-go-spec=out.d/go -o out.d/q.o
gcc -c src/x.c -dumpbase foo -fstack-usage -fdump-tree-gimple
gcc -c src/x.c -dumpdir out.d/ -fstack-usage -MD
gcc -c src/x.c -dumpdir pre- -dumpbase foo.c -dumpbase-ext .c -o out.d/q.o -fstack-usage -MD -fdump-tree-gimple
gcc -c src/x.c -o out.d/q.o -dumpbase foo.c -fstack-usage -fdump-tree-gimple -save-temps=cwd
gcc -c src/x.c -da -o out.d/q.o
gcc -c src/x.c -dp -o out.d/q.o
gcc -c src/x.c -aux-info out.d/aux -o out.d/q.o
gcc -c src/x.c -Wa,-al=out.d/list -o out.d/q.o
gcc -c src/x.c -Wa,-ahlms=out.d/list -Wa,--MD,out.d/asmdep -o out.d/q.o
gcc -c src/x.c -fopt-info-all=out.d/opt -O2 -o out.d/q.o
gcc -c src/x.c -Wp,-MD,out.d/wp -o out.d/q.o
gcc -c src/x.c -Wp,-MMD,out.d/a -MD -MF b.d -o out.d/q.o
gcc -c src/x.c -MD -MF out.d/1 -MF out.d/2 -o out.d/q.o
gcc -c src/x.c -time=out.d/time -o out.d/q.o
gcc -c s.s -o out.d/q.o -save-temps -MD
gcc -c S.S -o out.d/q.o -save-temps -MD
gcc -c -x c nosuf -MD -fstack-usage -fdump-tree-gimple -fsave-optimization-record
gcc -c -x c - -MD -fstack-usage
gcc -x c-header src/x.c
gcc -x c-header src/x.c -o out.d/h.gch -MD
gcc -c src/x.c -flto -o out.d/q.o -fstack-usage -save-temps
gcc -c src/x.c -gsplit-dwarf -o q.o
gcc -c src/x.c -g -gsplit-dwarf -gno-split-dwarf -o q.o
gcc -c src/x.c -fprofile-note=out.d/notes -ftest-coverage -o q.o
gcc -c src/x.c -o .hid.o -fstack-usage -fdump-tree-gimple
gcc -c src/x.c -o out.d/q.o -save-temps=cwd -gsplit-dwarf -MD -ftest-coverage -fdump-tree-gimple
";

const CLANG: &str = "
clang -c src/x.c -MD
clang -c src/x.c -o out.d/o -MD
clang -c src/x.c -o out.d/o.b.o -MD --coverage -fstack-usage -ftime-trace -fsave-optimization-record -gsplit-dwarf -g -O2
clang -c src/x.c --coverage -fstack-usage -ftime-trace -fsave-optimization-record -gsplit-dwarf -g -O2
clang -S src/x.c -o out.d/q.asm --coverage -fstack-usage -MD -ftime-trace -fsave-optimization-record
clang -S src/x.c -g -gsplit-dwarf -o out.d/q.asm
clang -c src/x.c -g -gsplit-dwarf=single -o out.d/q.o
clang -c src/x.c -g -gsplit-dwarf=split -o out.d/q.o
clang -c src/x.c -gsplit-dwarf -o out.d/q.o
clang -c src/x.c -gsplit-dwarf -g0 -o out.d/q.o
clang -c src/x.c -o out.d/q.o -save-temps
clang -c src/x.c -o out.d/q.o -save-temps=obj
clang -c src/x.y.cc -o out.d/q.o -save-temps=cwd
clang -S src/x.c -o out.d/q.s -save-temps=obj
clang -c src/x.c -o out.d/q.o -save-temps=obj --coverage -fstack-usage -ftime-trace -fsave-optimization-record -MD
clang -c src/x.c y.c -fstack-usage -MD --coverage
clang src/x.c main.c -o out.d/prog -MD --coverage -g -gsplit-dwarf -fsave-optimization-record
clang main.c -MD
clang main.c -fstack-usage
clang main.c y.c -MD -o out.d/prog.exe -save-temps=obj
clang -E src/x.c -o out.d/q.i -MD
clang -E src/x.c -MD
clang -M src/x.c -MF out.d/z
clang -fsyntax-only src/x.c -o out.d/q.o -MD
clang -c src/x.c -foptimization-record-file=out.d/rec -o out.d/q.o
clang -c src/x.c -foptimization-record-passes=inline -o out.d/q.o
clang -c src/x.c -MJ out.d/cdb -o out.d/q.o
clang -c src/x.c --serialize-diagnostics out.d/dia -o out.d/q.o
clang -c src/x.c -serialize-diagnostics out.d/dia -o out.d/q.o
clang -c src/x.c -gen-cdb-fragment-path out.d/cdbs -o out.d/q.o
clang -c src/x.c -emit-llvm -MD
clang -S src/x.c -emit-llvm
clang -c src/x.c -flto -o out.d/q.o -MD
clang -emit-ast src/x.c
clang -c src/x.c -Wp,-MD,out.d/wp -o out.d/q.o
clang -c src/x.c -Wp,-MMD -o out.d/q.o
clang -c src/x.c -Wp,-MD,out.d/a -MF out.d/b -o out.d/q.o
clang -c src/x.c -no-integrated-as -Wa,-al=out.d/list -o out.d/q.o
clang -c s.s -o out.d/q.o -save-temps
clang -c S.S -o out.d/q.o -save-temps -MD
clang -c -x c - -MD
clang -x c-header src/x.c
clang -x c-header src/x.c -o out.d/h.pch -MD
clang -c src/x.c -fproc-stat-report=out.d/stat -o q.o
clang --analyze src/x.c
clang -c src/x.c -save-stats=obj -o out.d/q.o
clang -c src/x.c -save-stats -o out.d/q.o
";

#[test]
fn gcc_creates_what_was_foretold() {
    check("gcc", GCC, &["-dumpversion"], |version| {
        version.trim().parse() == Ok(12)
    });
}

#[test]
fn clang_creates_what_was_foretold() {
    check("clang", CLANG, &["--version"], |text| {
        text.contains("version 14.")
    });
}

/// Specifications for Ada, which nobody asks a farm for, are not foretold.
#[test]
fn a_surprise_is_noticed() {
    if Command::new("gcc").arg("--version").output().is_ok() {
        let text = complaint("gcc -c src/x.c -fdump-ada-spec -o q.o").expect("a complaint");
        assert!(text.contains("x_c.ads"), "{text}");
    }
}

fn check(compiler: &str, table: &str, ask: &[&str], known: impl Fn(&str) -> bool) {
    let version = Command::new(compiler).args(ask).output();
    if !version.is_ok_and(|output| known(&String::from_utf8_lossy(&output.stdout))) {
        assert_ne!(
            env::var("GELATO_LAB_REQUIRE").as_deref(),
            Ok("1"),
            "no {compiler} of the version wanted"
        );
        eprintln!("skipped: no {compiler} of the version wanted");
        return;
    }
    let complaints: Vec<String> = table
        .lines()
        .filter(|line| !line.is_empty())
        .filter_map(|line| complaint(line).map(|text| format!("{line}\n  {text}")))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What is wrong with the prophecy for one line.
fn complaint(line: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path();
    for sub in ["src", "out.d"] {
        fs::create_dir(root.join(sub)).expect("folder");
    }
    for (name, text) in [
        ("src/x.c", SOURCE),
        ("src/x.y.cc", SOURCE),
        ("y.c", SOURCE),
        ("nosuf", SOURCE),
        ("main.c", "int main(){return 0;}\n"),
        ("s.s", ".globl q\nq: ret\n"),
        ("S.S", ".globl q\nq: ret\n"),
    ] {
        fs::write(root.join(name), text).expect("file");
    }
    let before = files(root, root);
    let mut words = line.split_whitespace();
    let program = words.next().expect("program");
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let decision = read(program, &words, root);
    let status = Command::new(program)
        .args(&words)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("compiler");
    if !status.success() {
        return Some(format!("{status}"));
    }
    let created: BTreeSet<PathBuf> = files(root, root).difference(&before).cloned().collect();
    let surprise: Vec<_> = created
        .iter()
        .filter(|file| !decision.outputs.iter().any(|output| covers(output, file)))
        .collect();
    let missing: Vec<_> = decision
        .outputs
        .iter()
        .filter(|output| !output.pattern && !created.contains(Path::new(&output.path)))
        .collect();
    (!surprise.is_empty() || !missing.is_empty())
        .then(|| format!("not foretold: {surprise:?}, not created: {missing:?}"))
}

fn covers(output: &Output, file: &Path) -> bool {
    let (name, file) = (
        output.path.as_encoded_bytes(),
        file.as_os_str().as_encoded_bytes(),
    );
    if output.pattern {
        file.starts_with(name)
    } else {
        file == name
    }
}

fn read(program: &str, words: &[OsString], root: &Path) -> Decision {
    let tool = names::parse(program.as_ref()).expect("a compiler");
    let compiler = Compiler {
        family: tool.family.expect("a family"),
        cxx: tool.cxx,
        default_target: Some("x86_64-pc-linux-gnu".to_owned()),
    };
    let settings = Settings::from_environment(|_| None, compiler.family, false, root.to_owned());
    let decision = decide(&compiler, words, &settings, &Folder(root));
    if let Verdict::Remote(plan) = &decision.verdict {
        let listed = |name: &OsString| decision.outputs.iter().any(|output| output.path == *name);
        assert!(listed(&plan.output), "{words:?}");
    }
    decision
}

fn files(root: &Path, folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(root, &path));
        } else {
            found.insert(path.strip_prefix(root).expect("below").to_owned());
        }
    }
    found
}

struct Folder<'a>(&'a Path);

impl Files for Folder<'_> {
    fn kind(&self, path: &Path) -> FileKind {
        match fs::metadata(self.0.join(path)) {
            Ok(metadata) if metadata.is_file() => FileKind::Regular,
            Ok(metadata) if metadata.is_dir() => FileKind::Directory,
            Ok(_) => FileKind::Other,
            Err(_) => FileKind::Missing,
        }
    }
    fn read(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(path))
    }
}
