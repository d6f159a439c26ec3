//! `gelato toolchain`: archives of compilers, made by hand; also `icecc-create-env` with Icecream's arguments.
//!
//! Daemons make the archives they need by themselves. This is for people who name archives in `ICECC_VERSION`, and for
//! scripts that call the old program.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gelato_toolchain::Compression;
use gelato_toolchain::create::{Archive, CreateError, Request, create};

use super::toolchain_test;

#[derive(Args)]
pub(crate) struct ToolchainArgs {
    #[command(subcommand)]
    command: ToolchainCommand,
}

#[derive(Subcommand)]
enum ToolchainCommand {
    /// Make an archive of a compiler that other machines can run
    Create(CreateArgs),
    /// Say whether an archive works on this machine, and if not, why (also called icecc-test-env)
    Test(TestArgs),
}

#[derive(Args)]
struct TestArgs {
    /// The archive
    archive: PathBuf,
    /// Say nothing but what is wrong
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args)]
struct CreateArgs {
    /// Compiler, by name or path; a C compiler brings its C++ compiler along
    #[arg(default_value = "gcc")]
    compiler: PathBuf,
    /// File to add at its own path, such as a compiler plugin; may be given several times
    #[arg(long = "addfile", value_name = "FILE")]
    extra_files: Vec<PathBuf>,
    /// Compression: none, gzip, bzip2, zstd or xz
    #[arg(long, default_value = "gzip", value_name = "TYPE")]
    compression: Compression,
    /// Folder for the archive
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    output_dir: PathBuf,
}

pub(crate) fn run(args: ToolchainArgs) -> ExitCode {
    let args = match args.command {
        ToolchainCommand::Create(args) => args,
        ToolchainCommand::Test(args) => {
            let name = "gelato toolchain test";
            return toolchain_test::run(name, &args.archive, args.quiet);
        }
    };
    let made = find_compiler(&args.compiler).and_then(|compiler| {
        let request = Request {
            compilers: vec![compiler],
            extra_files: args.extra_files,
            compression: args.compression,
        };
        create(&request, &args.output_dir).map_err(|error| error.to_string())
    });
    match made {
        Ok(archive) => {
            println!("{}", archive.path.display());
            ExitCode::SUCCESS
        }
        Err(reason) => fail("gelato toolchain create", &reason),
    }
}

const CREATE_ENV_USAGE: &str = "\
Usage: icecc-create-env COMPILER [CXX_COMPILER] [--addfile FILE]... [--compression TYPE]
       icecc-create-env [--gcc GCC GXX] [--clang CLANG [WRAPPER]] [--addfile FILE]... [--compression TYPE]

Packs a compiler into an archive in the current folder, for ICECC_VERSION.
  --addfile FILE      add FILE at its own path
  --compression TYPE  none, gzip (the default), bzip2, zstd or xz
  --help              show this text
  --version           show the version
";

/// The whole program behind the name `icecc-create-env`. Exit status 0, or 1 with one line on standard error.
pub(crate) fn create_env_main(argv: Vec<OsString>) -> ExitCode {
    const NAME: &str = "icecc-create-env";
    let mut words: Vec<OsString> = argv.into_iter().skip(1).collect();
    if words.first().is_some_and(|word| word == "--respect-path") {
        words.remove(0);
    }
    match words.first().and_then(|word| word.to_str()) {
        Some("--help" | "-h") => {
            print!("{CREATE_ENV_USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("{NAME} {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let made = parse_create_env(words).and_then(|mut request| {
        let compilers = request.compilers.iter();
        request.compilers = compilers
            .map(|compiler| find_compiler(compiler))
            .collect::<Result<_, _>>()?;
        create(&request, Path::new(".")).map_err(|error: CreateError| error.to_string())
    });
    match made {
        Ok(archive) => {
            report_as_icecream_does(&archive);
            ExitCode::SUCCESS
        }
        Err(reason) => fail(NAME, &reason),
    }
}

/// Reads Icecream's argument forms.
fn parse_create_env(words: Vec<OsString>) -> Result<Request, String> {
    let mut request = Request::default();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let mut value = |what: &str| {
            let value = words.next();
            value.ok_or_else(|| format!("{} needs {what}", word.to_string_lossy()))
        };
        match word.to_str() {
            Some("--gcc") => {
                let needs = "a C and a C++ compiler";
                let compilers = [value(needs)?, value(needs)?];
                request.compilers.extend(compilers.map(PathBuf::from));
            }
            Some("--clang") => {
                request.compilers.push(value("a compiler")?.into());
                // A wrapper for workers of ten years ago, which the archive does without.
                let _wrapper = words.next_if(|next| !is_option(next));
            }
            Some("--addfile") => request.extra_files.push(value("a file")?.into()),
            Some("--compression") => {
                let word = value("a type")?;
                let parsed = word.to_string_lossy().parse();
                request.compression = parsed.map_err(|error| format!("{error}"))?;
            }
            _ if is_option(&word) => {
                return Err(format!(
                    "unknown argument {}; see --help",
                    word.to_string_lossy()
                ));
            }
            _ => request.compilers.push(word.into()),
        }
    }
    if request.compilers.is_empty() {
        return Err("no compiler named; see --help".to_owned());
    }
    Ok(request)
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-")
}

/// Prints what scripts and Icecream's daemon read: the file's name after `creating`, and alone on descriptor 5 if
/// somebody listens there.
fn report_as_icecream_does(archive: &Archive) {
    let file = archive.path.file_name().unwrap_or_default();
    let mut text = Vec::new();
    for packed in &archive.files {
        text.extend_from_slice(b"adding file ");
        text.extend_from_slice(packed.path.as_os_str().as_bytes());
        if let Some(source) = packed
            .source
            .as_ref()
            .filter(|source| **source != packed.path)
        {
            text.push(b'=');
            text.extend_from_slice(source.as_os_str().as_bytes());
        }
        text.push(b'\n');
    }
    text.extend_from_slice(b"creating ");
    let name = [file.as_bytes(), b"\n"].concat();
    text.extend_from_slice(&name);
    // Icecream's daemon closes our standard output; the archive is made all the same.
    let _not_read = std::io::stdout().write_all(&text);
    if let Ok(mut listener) = OpenOptions::new().write(true).open("/dev/fd/5") {
        let _gone = listener.write_all(&name);
    }
}

/// A name without slash is looked up in `PATH`, where our own wrapper does not count.
fn find_compiler(name: &Path) -> Result<PathBuf, String> {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| is_program(candidate) && !is_wrapper(candidate))
        .ok_or_else(|| format!("cannot find {} in PATH; give its full path", name.display()))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn is_wrapper(path: &Path) -> bool {
    let real = path.canonicalize().unwrap_or_default();
    let name = real.file_name().unwrap_or_default();
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    name == "icecc" || name == "icerun" || own.is_ok_and(|own| own == real)
}

fn fail(program: &str, reason: &str) -> ExitCode {
    eprintln!("{program}: {reason}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        parse_create_env(line.split_whitespace().map(OsString::from).collect())
    }

    fn compilers(line: &str) -> Vec<String> {
        let request = parse(line).unwrap();
        let compilers = request.compilers.iter();
        compilers.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn all_of_icecreams_forms_are_understood() {
        assert_eq!(compilers("gcc"), ["gcc"]);
        assert_eq!(compilers("/a/gcc /a/g++ --addfile f"), ["/a/gcc", "/a/g++"]);
        assert_eq!(compilers("--gcc g G --clang c"), ["g", "G", "c"]);
        assert_eq!(compilers("--clang c wrapper --gcc g G"), ["c", "g", "G"]);
        let request = parse("clang --addfile a --addfile b --compression bz2").unwrap();
        assert_eq!(request.extra_files, [Path::new("a"), Path::new("b")]);
        assert_eq!(request.compression, Compression::Bzip2);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "no compiler"),
            ("--gcc g", "--gcc needs"),
            ("gcc --addfile", "--addfile needs"),
            ("gcc --compression lzw", "lzw"),
            ("gcc --frob", "--frob"),
        ] {
            let reason = parse(line).unwrap_err();
            assert!(reason.contains(part), "{line}: {reason}");
        }
    }

    #[test]
    fn compilers_are_looked_up_by_name_and_taken_by_path() {
        assert_eq!(find_compiler(Path::new("./x")).unwrap(), Path::new("./x"));
        assert!(find_compiler(Path::new("no-such-compiler")).is_err());
        let shell = find_compiler(Path::new("sh")).unwrap();
        assert!(shell.is_absolute());
    }
}
