//! With the compilers of this machine: reproducibility, completeness (by running the result in a chroot), and errors.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::*;
use crate::unpack::{Limits, remove_tree, unpack};
use crate::verify::programs_to_check;

const SOURCE: &str = "int add(int a, int b) { return a + b; }\nconst char *name = \"gelato\";\n";
const CXX_SOURCE: &str = "template <class T> T twice(T x) { return x + x; }\n\
    int g();\nint f(int i) { try { return twice(i) + g(); } catch (...) { return 0; } }\n";

/// A compiler of this machine; without it a test has nothing to say.
fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not installed", path.display());
        return None;
    }
    Some(path)
}

fn request(compiler: &Path) -> Request {
    Request {
        compilers: vec![compiler.to_owned()],
        extra_files: Vec::new(),
        compression: Compression::None,
    }
}

fn has(archive: &Archive, path: &str) -> bool {
    archive
        .files
        .iter()
        .any(|file| file.path == Path::new(path))
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// An unpacked archive that is removed however the test ends.
struct Root(PathBuf);

impl Root {
    fn of(archive: &Archive, folder: &Path) -> Self {
        let root = Self(folder.join("root"));
        fs::create_dir(&root.0).unwrap();
        let file = File::open(&archive.path).unwrap();
        unpack(file, Some(&archive.name), &root.0, Limits::default()).unwrap();
        root
    }

    /// Runs a program in the chroot; `None` without the right to.
    fn run(&self, program: &str, args: &[&str], input: &str) -> Option<Output> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: running in a chroot needs root");
            return None;
        }
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&self.0).arg(program).args(args);
        command.env_clear().env("PATH", "/usr/bin");
        Some(feed(&mut command, input))
    }

    /// Compiles in the chroot and with the local compiler, and compares the objects.
    fn compiles_like(&self, local: &Path, language: &str, input: &str) {
        // As workers call it.
        let name = local.to_string_lossy();
        let remote = match () {
            () if name.contains("clang") => "/usr/bin/clang",
            () if name.contains("++") => "/usr/bin/g++",
            () => "/usr/bin/gcc",
        };
        let mut args = vec!["-x", language, "-O2", "-g", "-c", "-"];
        if !local.to_string_lossy().contains("clang") {
            args.push("-fpreprocessed");
        }
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("x.o");
        let object_text = object.to_str().unwrap();
        let mut command = Command::new(local);
        // As in the chroot; it is recorded in the debug information.
        command
            .args(&args)
            .args(["-o", object_text])
            .current_dir("/");
        let here = feed(&mut command, input);
        assert!(here.status.success(), "{here:?}");
        args.extend(["-o", "/tmp/x.o"]);
        let Some(there) = self.run(remote, &args, input) else {
            return;
        };
        assert!(there.status.success(), "{there:?}");
        let there = fs::read(self.0.join("tmp/x.o")).unwrap();
        assert!(!there.is_empty());
        assert!(there == fs::read(object).unwrap(), "objects differ");
    }

    fn passes_its_checks(&self) {
        for check in programs_to_check(&self.0) {
            if let Some(output) = self.run(check.program, check.args, "") {
                assert!(output.status.success(), "{check:?}: {output:?}");
            }
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove_tree(&self.0).unwrap();
    }
}

#[test]
fn gcc_runs_in_a_chroot_and_writes_the_same_objects() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let archive = create(&request(&gcc), folder.path()).unwrap();
    for path in [
        "/bin/true",
        "/usr/bin/gcc",
        "/usr/bin/cc1",
        "/usr/bin/as",
        "/usr/bin/objcopy",
    ] {
        assert!(has(&archive, path), "{path}");
    }
    assert_eq!(
        archive.path,
        folder.path().join(format!("{}.tar", archive.name))
    );
    let root = Root::of(&archive, folder.path());
    root.passes_its_checks();
    root.compiles_like(&gcc, "c", SOURCE);
    if let Some(gxx) = installed("g++") {
        assert!(has(&archive, "/usr/bin/g++"));
        root.compiles_like(&gxx, "c++", CXX_SOURCE);
        assert_eq!(
            create(&request(&gxx), folder.path()).unwrap().name,
            archive.name
        );
    }
}

#[test]
fn cross_compilers_bring_their_own_parts() {
    for target in ["arm-linux-gnueabihf", "x86_64-w64-mingw32"] {
        let Some(gcc) = installed(&format!("{target}-gcc")) else {
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        let archive = create(&request(&gcc), folder.path()).unwrap();
        let root = Root::of(&archive, folder.path());
        root.passes_its_checks();
        root.compiles_like(&gcc, "c", SOURCE);
        if let Some(gxx) = installed(&format!("{target}-g++")) {
            root.compiles_like(&gxx, "c++", CXX_SOURCE);
        }
    }
}

/// A prefix with a loader of its own and libraries that its programs find relative to themselves.
#[test]
fn a_relocated_compiler_with_its_own_loader_runs_where_there_is_no_proc() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("my prefix");
    let driver = identify::Compilers::identify(std::slice::from_ref(&gcc)).unwrap();
    let driver = driver.gcc.unwrap();
    let cc1 = driver.program("cc1").unwrap().unwrap();
    let parts = prefix.join(cc1.parent().unwrap().strip_prefix("/usr").unwrap());
    let tools = prefix.join(parts.parent().unwrap().file_name().unwrap());
    for path in ["bin", "lib"].map(|name| prefix.join(name)) {
        fs::create_dir_all(path).unwrap();
    }
    fs::create_dir_all(&parts).unwrap();
    fs::create_dir_all(tools.join("bin")).unwrap();
    fs::copy(&driver.real, prefix.join("bin/gcc")).unwrap();
    fs::copy(&cc1, parts.join("cc1")).unwrap();

    let mut libraries = libraries::Libraries::new();
    let loader = libraries.headers(&gcc).unwrap().unwrap();
    let loader = loader.interpreter.clone().unwrap();
    let own_loader = prefix.join("lib/ld.so");
    fs::copy(&loader, &own_loader).unwrap();
    let build = |args: &[&str]| {
        let mut command = Command::new(&gcc);
        let status = command.current_dir(&prefix).args(args).status().unwrap();
        assert!(status.success());
    };
    let text = prefix.join("x.c");
    fs::write(&text, "int version(void) { return 0; }").unwrap();
    build(&[
        "-shared",
        "-fPIC",
        "x.c",
        "-o",
        "lib/libown.so",
        "-Wl,-soname,libown.so",
    ]);
    fs::write(
        &text,
        "int version(void); int main(void) { return version(); }",
    )
    .unwrap();
    let option = format!("-Wl,-dynamic-linker,{}", own_loader.display());
    let assembler = tools.join("bin/as");
    build(&[
        "x.c",
        "lib/libown.so",
        &option,
        "-Wl,-rpath,$ORIGIN/../../lib",
        "-o",
        assembler.to_str().unwrap(),
    ]);

    let archive = create(&request(&prefix.join("bin/gcc")), folder.path()).unwrap();
    assert!(has(&archive, own_loader.to_str().unwrap()));
    let packed = |path: &str| {
        let mut files = archive.files.iter();
        files
            .find(|file| file.path == Path::new(path))
            .unwrap()
            .source
            .clone()
    };
    assert_eq!(packed("/usr/bin/as"), assembler.canonicalize().ok());
    let root = Root::of(&archive, folder.path());
    root.passes_its_checks();
}

#[test]
fn clang_runs_in_a_chroot_and_writes_the_same_objects() {
    let Some(clang) = installed("clang") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let archive = create(&request(&clang), folder.path()).unwrap();
    for path in [
        "/bin/true",
        "/usr/bin/clang",
        "/usr/bin/as",
        "/proc/cpuinfo",
    ] {
        assert!(has(&archive, path), "{path}");
    }
    let root = Root::of(&archive, folder.path());
    root.passes_its_checks();
    root.compiles_like(&clang, "c", SOURCE);
    root.compiles_like(&clang, "c++", CXX_SOURCE);
    let lists = |file: &&PackedFile| file.path.ends_with("share/asan_ignorelist.txt");
    if let Some(list) = archive.files.iter().find(lists) {
        // clang says which it reads.
        let args = ["-###", "-fsanitize=address", "-x", "c", "-c", "-"];
        if let Some(said) = root.run("/usr/bin/clang", &args, "") {
            let said = String::from_utf8(said.stderr).unwrap();
            assert!(said.contains("asan_ignorelist.txt"), "{list:?}: {said}");
        }
    }
}

/// Not a test by itself: the one below starts it in other surroundings.
#[test]
fn packs_where_it_is_told() {
    if let (Some(compiler), Some(folder)) = (
        std::env::var_os("PACK_COMPILER"),
        std::env::var_os("PACK_INTO"),
    ) {
        let mut request = request(Path::new(&compiler));
        if compiler.as_encoded_bytes().ends_with(b"gcc") {
            request.compression = Compression::Gzip;
        }
        create(&request, Path::new(&folder)).unwrap();
    }
}

#[test]
fn surroundings_make_no_difference() {
    for compiler in ["gcc", "clang"] {
        let Some(compiler) = installed(compiler) else {
            continue;
        };
        let mut archives = Vec::new();
        for (umask, folder, locale) in [("022", "/", "C"), ("077", "/usr/bin", "en_US.UTF-8")] {
            let out = tempfile::tempdir().unwrap();
            let status = Command::new("/bin/sh")
                .args(["-c", "umask $0; exec \"$@\"", umask])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "create::tests::packs_where_it_is_told"])
                .env("PACK_COMPILER", &compiler)
                .env("PACK_INTO", out.path())
                .env("LC_ALL", locale)
                .env("LANG", locale)
                .current_dir(folder)
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
            let files: Vec<_> = fs::read_dir(out.path()).unwrap().flatten().collect();
            assert_eq!(files.len(), 1, "{files:?}");
            let mode = files[0].metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o644);
            archives.push((files[0].file_name(), fs::read(files[0].path()).unwrap()));
        }
        assert_eq!(archives[0].0, archives[1].0);
        assert!(archives[0].1 == archives[1].1, "archives differ");
    }
}

#[test]
fn scripts_and_links_lead_to_the_compiler_behind_them() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let plain = create(&request(&gcc), folder.path()).unwrap();
    let linked = folder.path().join("linked-gcc");
    symlink(&gcc, &linked).unwrap();
    let wrapped = folder.path().join("gcc");
    script(&wrapped, "#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n");
    let hidden = folder.path().join("hidden-gcc");
    script(
        &hidden,
        "#!/bin/bash\nexec -a /usr/bin/hidden-gcc /usr/bin/gcc \"$@\"\n",
    );
    let mut paths = vec![linked, wrapped, hidden];
    paths.extend(installed("../lib/ccache/gcc"));
    for path in paths {
        let archive = create(&request(&path), folder.path()).unwrap();
        assert_eq!(archive.name, plain.name, "{}", path.display());
        let is_script = fs::read(&path).unwrap().starts_with(b"#!");
        let scripts: Vec<_> = archive.scripts.iter().map(|(path, _)| path).collect();
        assert_eq!(scripts, if is_script { vec![&path] } else { vec![] });
        let target = path.canonicalize().unwrap();
        assert!(archive.links.contains(&(path, target)));
    }
    if let Some(clang) = installed("clang") {
        let wrapped = folder.path().join("my-clang");
        script(&wrapped, "#!/bin/sh\nexec /usr/bin/clang++ \"$@\"\n");
        let plain = create(&request(&clang), folder.path()).unwrap();
        let archive = create(&request(&wrapped), folder.path()).unwrap();
        assert_eq!(archive.name, plain.name);
    }
}

#[test]
fn a_machine_without_cxx_packs_its_c_compiler() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let driver = identify::Compilers::identify(&[gcc]).unwrap().gcc.unwrap();
    let cc1 = driver.program("cc1").unwrap().unwrap();
    // A compiler of its own: the driver looks for its parts from where it is.
    let copy = folder.path().join("bin/gcc");
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::copy(&driver.real, &copy).unwrap();
    let parts = folder
        .path()
        .join(cc1.parent().unwrap().strip_prefix("/usr").unwrap());
    fs::create_dir_all(&parts).unwrap();
    symlink(&cc1, parts.join("cc1")).unwrap();
    let archive = create(&request(&copy), folder.path()).unwrap();
    assert!(has(&archive, "/usr/bin/gcc") && has(&archive, "/usr/bin/cc1"));
    assert!(!has(&archive, "/usr/bin/g++") && !has(&archive, "/usr/bin/cc1plus"));
    assert!(archive.absent.contains(&folder.path().join("bin/g++")));
}

#[test]
fn extra_files_come_with_their_libraries_whatever_their_mode() {
    let Some(gcc) = installed("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut libraries = libraries::Libraries::new();
    let own = libraries
        .headers(&std::env::current_exe().unwrap())
        .unwrap()
        .unwrap();
    let loader = libraries.loader(&own).unwrap();
    let Some(library) = libraries.find("libstdc++.so.6".as_ref(), own.abi, &loader) else {
        eprintln!("skipped: no libstdc++");
        return;
    };
    let plugin = folder.path().join("a plugin.so");
    fs::copy(library, &plugin).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).unwrap();
    let link = folder.path().join("link.so");
    symlink(&plugin, &link).unwrap();
    let list = folder.path().join("ignore.list");
    fs::write(&list, "src:*\n").unwrap();
    let mut request = request(&gcc);
    let plain = create(&request, folder.path()).unwrap();
    request.extra_files = vec![
        folder.path().join("x/../link.so"),
        plugin.clone(),
        list.clone(),
    ];
    assert!(matches!(
        create(&request, folder.path()),
        Err(CreateError::Missing { .. })
    ));
    request.extra_files[0] = link.clone();
    let archive = create(&request, folder.path()).unwrap();
    assert_ne!(archive.name, plain.name);
    for path in [&plugin, &link, &list] {
        assert!(has(&archive, path.to_str().unwrap()), "{}", path.display());
    }
    let of = |name: &str| archive.files.iter().any(|file| file.path.ends_with(name));
    assert!(of("libgcc_s.so.1"));
    let kind = |path: &Path| archive.files.iter().find(|file| file.path == path).unwrap();
    assert!(!kind(&plugin).executable);
    assert_eq!(kind(&link).source, Some(plugin.canonicalize().unwrap()));
}

#[test]
fn names_cover_modes_and_paths() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    script(&file, "content");
    let name = |path: &str| {
        let items = plan::Items::from([(path.into(), Some(file.clone()))]);
        pack::pack(&items, Compression::None, folder.path())
            .unwrap()
            .1
    };
    let first = name("/a");
    assert_eq!(first, name("/a"));
    assert_ne!(first, name("/b"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_ne!(first, name("/a"));
}

#[test]
fn what_cannot_be_packed_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no compiler").unwrap();
    let mute = folder.path().join("gcc");
    script(&mute, "#!/bin/sh\nexit 0\n");
    for (compiler, part) in [
        (folder.path().join("missing"), "cannot be read"),
        (PathBuf::from("/bin/true"), "no compiler"),
        (text, "no compiler"),
        (mute, "no compiler"),
        (folder.path().to_owned(), "no compiler"),
    ] {
        let error = create(&request(&compiler), &out).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(matches!(
        create(&Request::default(), &out),
        Err(CreateError::NothingToPackage)
    ));
    if let Some(gcc) = installed("gcc") {
        for (file, part) in [
            ("/no/such/file", "cannot be read"),
            ("/usr", "not a regular file"),
        ] {
            let mut request = request(&gcc);
            request.extra_files = vec![PathBuf::from(file)];
            let error = create(&request, &out).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(file), "{error}");
        }
        let error = create(&request(&gcc), &out.join("missing")).unwrap_err();
        assert!(matches!(error, CreateError::Write { .. }));
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

/// What `create` says of these, which must be soon: it must neither wait nor read for ever.
fn refused_soon(compiler: &Path, extra_files: Vec<PathBuf>) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    let request = Request {
        extra_files,
        ..request(compiler)
    };
    std::thread::spawn(move || {
        let out = tempfile::tempdir().unwrap();
        sender.send(create(&request, out.path()).unwrap_err().to_string())
    });
    receiver
        .recv_timeout(std::time::Duration::from_secs(100))
        .expect("an answer")
}

#[test]
fn a_program_that_never_stops_talking_is_no_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let endless = folder.path().join("gcc");
    script(&endless, "#!/bin/sh\nexec yes\n");
    let error = refused_soon(&endless, Vec::new());
    assert!(error.contains("no compiler"), "{error}");
}

#[test]
fn pipes_and_devices_are_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("gcc");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = refused_soon(&pipe, Vec::new());
    assert!(error.contains("not a regular file"), "{error}");
    let Some(gcc) = installed("gcc") else { return };
    refused_soon(&gcc, vec![pipe]);
    refused_soon(&gcc, vec!["/dev/zero".into()]);
}
