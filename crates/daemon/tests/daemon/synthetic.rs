//! Toolchains made up of a shell. Their `gcc` runs the lines of its source as commands, with the output in `$out`, so that
//! a source says what its compiler does; if it makes nothing and ends well, `object` is the output.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;

const GCC: &str = "#!/bin/sh\n\
    PATH=/bin\n\
    out=\n\
    while [ $# -gt 0 ]; do case $1 in -o) out=$2 ;; esac; shift; done\n\
    while IFS= read -r line; do eval \"$line\"; done\n\
    [ -s \"$out\" ] || echo object >\"$out\"\n";

/// What is in every one of them, as entries of an archive.
fn common() -> &'static [u8] {
    static COMMON: OnceLock<Vec<u8>> = OnceLock::new();
    COMMON.get_or_init(|| {
        let programs = ["/bin/sh", "/bin/true", "/bin/sleep", "/bin/cat"];
        let mut files: BTreeSet<String> = programs.map(str::to_owned).into();
        for program in programs {
            let output = Command::new("ldd").arg(program).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let words = text.split_whitespace();
            files.extend(
                words
                    .filter(|word| word.starts_with('/'))
                    .map(str::to_owned),
            );
        }
        let mut entries = Vec::new();
        for file in files {
            let content = std::fs::read(&file).unwrap();
            entries.extend(entry(file.trim_start_matches('/'), &content));
        }
        entries.extend(entry("usr/bin/as", b"#!/bin/sh\nexit 0\n"));
        entries.extend(entry("usr/bin/gcc", GCC.as_bytes()));
        entries
    })
}

/// One executable file of an archive.
fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, name, content).unwrap();
    let mut bytes = tar.into_inner().unwrap();
    // Without the end mark.
    bytes.truncate(bytes.len() - 1024);
    bytes
}

/// A plain archive with these further files.
pub(crate) fn toolchain(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = common().to_vec();
    for (name, content) in files {
        bytes.extend(entry(name, content));
    }
    bytes.extend([0; 1024]);
    bytes
}

/// An archive with these further files and the ballast.
pub(crate) fn large(files: &[(&str, &[u8])], ballast: &Ballast) -> Vec<u8> {
    let mut head = common().to_vec();
    for (name, content) in files {
        head.extend(entry(name, content));
    }
    let mut bytes = zstd::bulk::compress(&head, 1).unwrap();
    bytes.extend(&ballast.0);
    bytes
}

/// The end of an archive: a large file of one random block again and again, which is small when compressed.
pub(crate) struct Ballast(Vec<u8>);

impl Ballast {
    pub(crate) fn new(megabytes: u64) -> Ballast {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let random = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let block: Vec<u8> = random.take((1 << 20) / 8).flatten().collect();
        let mut header = tar::Header::new_gnu();
        header.set_path("ballast").unwrap();
        header.set_mode(0o644);
        header.set_size(megabytes << 20);
        header.set_cksum();
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(22).unwrap();
        encoder.write_all(header.as_bytes()).unwrap();
        for _ in 0..megabytes {
            encoder.write_all(&block).unwrap();
        }
        encoder.write_all(&[0; 1024]).unwrap();
        Ballast(encoder.finish().unwrap())
    }
}
