//! Bad and hostile toolchain archives, from their bytes to the reason in the wrapper's log and record; and a worker that is
//! killed while it unpacks one.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Verdict, build, wait};

fn cluster() -> Result<Cluster> {
    Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .quick_reconnect()
        .start()
}

/// One entry of a tar archive, with its content.
fn entry(kind: u8, name: &str, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(124, format!("{:011o}", content.len()).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in block.iter_mut().skip(148).zip(sum.as_bytes()) {
        *place = *byte;
    }
    let mut bytes = block.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str) -> Vec<u8> {
    entry(b'0', name, "", 0o755, b"content\n")
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

fn compressed(program: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let mut input = child.stdin.take().context("no input")?;
    let bytes = bytes.to_vec();
    let feeding = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output()?;
    feeding.join().ok().context("not fed")??;
    Ok(output.stdout)
}

/// Compiles with this archive: done here, for the reason, with the words in the log and in the record.
fn is_refused(submitter: &Daemon, folder: &Path, archive: &Path, words: &str) -> Result<()> {
    submitter.forget_jobs()?;
    let record = folder.join("record");
    let task = submitter
        .compile_task("gcc", &["-c", "a.c"], folder)
        .env("ICECC_VERSION", archive)
        .env("GELATO_BUILD_LOG", &record);
    submitter.host().run(&task, FIRST_JOB)?.success()?;
    let text = fs::read_to_string(&record)?;
    fs::remove_file(&record)?;
    let fields: Vec<&str> = text.trim_end().split('\t').collect();
    let log = submitter.wrapper_log();
    ensure!(
        matches!(fields.as_slice(), [_, _, "failed-over", "toolchain-rejected", .., said] if said.contains(words)),
        "{words}: {text}{}",
        log.tail(20)
    );
    ensure!(log.count(words) > 0, "{words}: {}", log.tail(20));
    Ok(())
}

fn cases(names: &[&str]) -> Result<()> {
    let cluster = cluster()?;
    let submitter = cluster.submitter();
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a;\n")?;
    for (name, bytes, words) in all()? {
        if names.contains(&name.as_str()) {
            let path = folder.join(format!("{name}.tar.gz"));
            fs::write(&path, bytes)?;
            is_refused(submitter, &folder, &path, words)?;
        }
    }
    let worker = cluster.workers().first().context("no worker")?;
    let base = worker.base_dir();
    ensure!(list(&base.join("tmp"))?.is_empty(), "something is left");
    ensure!(
        list(&base.join("toolchains"))?.is_empty(),
        "something was installed"
    );
    cluster.shut_down()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Name, bytes, and words of the reason.
fn all() -> Result<Vec<(String, Vec<u8>, &'static str)>> {
    let noise: Vec<u8> = (0..100_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let whole = archive(&[file("usr/bin/as"), entry(b'0', "noise", "", 0o644, &noise)]);
    let cut = |bytes: &[u8]| bytes[..bytes.len() * 2 / 3].to_vec();
    let mut damaged = compressed("gzip", &whole)?;
    if let Some(byte) = damaged.iter_mut().nth_back(5) {
        // In the checksum.
        *byte ^= 0x55;
    }
    let folder = entry(b'5', "again/", "", 0o755, b"");
    let zeros = vec![0; 200 << 20];
    let mut cases = vec![
        ("climb", archive(&[file("../../evil")]), "contains `..`"),
        (
            "link",
            archive(&[
                file("usr/bin/as"),
                entry(b'2', "usr/out", "../../..", 0o777, b""),
            ]),
            "leads outside by a link",
        ),
        (
            "device",
            archive(&[entry(b'3', "dev/sda", "", 0o666, b"")]),
            "is a device",
        ),
        (
            "hard",
            archive(&[entry(b'1', "passwd", "/etc/passwd", 0o644, b"")]),
            "is a hard link to something that is no file",
        ),
        ("plain-cut", cut(&whole), "archive is truncated"),
        ("damaged", damaged, "archive is damaged"),
        ("garbage", noise, "archive is damaged"),
        (
            "none",
            archive(&[file("usr/bin/gcc")]),
            "holds no toolchain",
        ),
        (
            "many",
            compressed("zstd", &archive(&vec![folder; 200_001]))?,
            "more than 200000 entries",
        ),
        (
            "bomb",
            compressed("zstd", &archive(&[entry(b'0', "zeros", "", 0o644, &zeros)]))?,
            "bytes unpacked for each compressed byte",
        ),
    ];
    for (name, program) in [
        ("gz-cut", "gzip"),
        ("bz2-cut", "bzip2"),
        ("xz-cut", "xz"),
        ("zst-cut", "zstd"),
    ] {
        cases.push((name, cut(&compressed(program, &whole)?), "archive is"));
    }
    let named = cases.into_iter();
    Ok(named
        .map(|(name, bytes, words)| (name.to_owned(), bytes, words))
        .collect())
}

#[test]
fn bad_archives_are_refused_with_their_reason() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    cases(&[
        "plain-cut",
        "gz-cut",
        "bz2-cut",
        "xz-cut",
        "zst-cut",
        "damaged",
        "garbage",
        "none",
        "many",
        "bomb",
    ])
}

/// Two at a time: whoever sends more of these is not let in for a while.
#[test]
fn hostile_archives_are_refused_with_their_reason() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    cases(&["climb", "link"])?;
    cases(&["device", "hard"])
}

#[test]
fn a_worker_killed_while_it_unpacks_is_as_before_when_it_starts_again() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = cluster()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a;\n")?;
    let submitter = cluster.submitter();
    let first = submitter.compile("gcc", &["-c", "a.c"], &folder, FIRST_JOB)?;
    first.success()?;
    let jobs = submitter.jobs()?;
    ensure!(
        matches!(&jobs[..], [job] if is_remote(&job.verdict)),
        "{jobs:?}"
    );
    submitter.forget_jobs()?;
    let base = cluster.workers().first().context("no worker")?.base_dir();
    ensure!(
        list(&base.join("toolchains/x86_64"))?.len() == 1,
        "not installed"
    );

    // Unpacking this takes a while, and more of it does not come before the worker is killed.
    let large = folder.join("large.tar");
    let rest = [
        file("usr/bin/as"),
        entry(b'0', "large", "", 0o644, &vec![7; 300 << 20]),
    ];
    fs::write(&large, archive(&rest))?;
    let task = submitter
        .compile_task("gcc", &["-c", "a.c"], &folder)
        .env("ICECC_VERSION", &large);
    let running = submitter.host().start(&task)?;
    let tmp = base.join("tmp");
    wait::until(SOON, "the large archive to be unpacked", || {
        let arriving = list(&tmp).ok()?.pop()?;
        let written = fs::metadata(arriving.join("root/large")).ok()?;
        (written.len() > 0).then_some(())
    })?;
    cluster.kill_daemon(1);
    running.wait(FIRST_JOB)?.success()?;
    ensure!(!list(&tmp)?.is_empty(), "it had been finished");

    cluster.start_daemon(1)?;
    cluster.wait_ready()?;
    ensure!(list(&tmp)?.is_empty(), "something is left");
    ensure!(
        list(&base.join("toolchains/x86_64"))?.len() == 1,
        "not kept"
    );
    let submitter = cluster.submitter();
    submitter.forget_jobs()?;
    let again = submitter.compile("gcc", &["-c", "a.c"], &folder, FIRST_JOB)?;
    again.success()?;
    let jobs = submitter.jobs()?;
    ensure!(
        matches!(&jobs[..], [job] if is_remote(&job.verdict)),
        "{jobs:?}"
    );
    // The new process found it on disk.
    let worker = cluster.workers().first().context("no worker")?;
    let sent = format!("sends the toolchain x86_64/{}", name_of(&base)?);
    ensure!(worker.log().count(&sent) == 1, "{}", worker.log().tail(40));
    cluster.shut_down()
}

fn is_remote(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Remote(_))
}

/// The only toolchain that is installed.
fn name_of(base: &Path) -> Result<String> {
    let installed = list(&base.join("toolchains/x86_64"))?;
    let name = installed.first().and_then(|path| path.file_name());
    Ok(name
        .context("nothing is installed")?
        .to_string_lossy()
        .into_owned())
}
