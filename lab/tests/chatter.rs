//! Peers that say anything in any order: ten thousand conversations with one daemon, after which it holds nothing of them.

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::SOON;
use gelato_lab::soak::random::Random;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, wait};
use gelato_net::Limits;
use gelato_net::blocking::Connection;
use gelato_wire::Message;
use gelato_wire::msg::{
    BlacklistHostEnv, ChunkCodec, CompileFile, FileChunk, GetCs, GetNativeEnv, JobDone,
    JobLocalBegin, Login, Stats, StatusText, TransferEnv, UseCs, VerifyEnv,
};

const CONVERSATIONS: usize = 10_000;
const SPEAKERS: usize = 4;
/// The first messages bring a connection into every state there is; what follows is said in that state.
const MOST_MESSAGES: u64 = 5;

fn message(random: &mut Random) -> Message {
    let job_id = u32::try_from(random.below(5)).unwrap_or(0);
    match random.below(19) {
        0 => Message::End,
        1 | 2 => Message::GetCs(GetCs {
            filename: "x.c".into(),
            count: 1,
            ..GetCs::default()
        }),
        3 | 4 => Message::JobLocalBegin(JobLocalBegin {
            outfile: "x.o".into(),
            full_job: random.below(2) == 0,
            ..JobLocalBegin::default()
        }),
        5 => Message::JobDone(JobDone {
            job_id,
            ..JobDone::default()
        }),
        6 => Message::GetNativeEnv(GetNativeEnv {
            compiler: "/no/such/compiler".into(),
            ..GetNativeEnv::default()
        }),
        7 | 8 => Message::TransferEnv(TransferEnv {
            name: format!("toolchain{job_id}").as_str().into(),
            target: "x86_64".into(),
        }),
        9 | 10 => Message::FileChunk(FileChunk {
            uncompressed_len: 100,
            codec: ChunkCodec::Lzo,
            data: vec![0x5a; 40],
        }),
        11 => Message::VerifyEnv(VerifyEnv {
            environment: "toolchain1".into(),
            target: "x86_64".into(),
        }),
        12 | 13 => Message::CompileFile(CompileFile {
            job_id,
            environment: ["__client", "toolchain1", "../.."][random.below(3)].into(),
            target: "x86_64".into(),
            compiler_name: "gcc".into(),
            ..CompileFile::default()
        }),
        14 => Message::BlacklistHostEnv(BlacklistHostEnv {
            environment: "toolchain1".into(),
            target: "x86_64".into(),
            hostname: "10.0.0.1".into(),
        }),
        15 => Message::Login(Login::default()),
        16 => Message::Stats(Stats::default()),
        17 => Message::UseCs(UseCs::default()),
        _ => Message::StatusText(StatusText { text: "?".into() }),
    }
}

/// One conversation; that the daemon hangs up is its right.
fn converse(random: &mut Random, socket: &Path, port: u16) -> Result<()> {
    let limits = Limits::default();
    let mut connection = if random.below(2) == 0 {
        Connection::connect_unix(socket, limits)?
    } else {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Connection::connect_tcp(address, limits)?
    };
    for _ in 0..random.between(1, MOST_MESSAGES) {
        if connection.send(&message(random)).is_err() {
            return Ok(());
        }
        if random.below(8) == 0 {
            let _ = connection.receive(Duration::from_millis(2), "an answer");
        }
    }
    Ok(())
}

fn descriptors(pid: i32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

#[test]
fn ten_thousand_conversations_leave_nothing_behind() -> Result<()> {
    require!(Layout::Loopback, &[]);
    let mut cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start_logged_in()?;
    let daemon = cluster.submitter();
    let (socket, port, pid) = (daemon.socket(), daemon.port(), daemon.process()?.pid());
    let before = descriptors(pid)?;
    let seed = 20_261_121;
    std::thread::scope(|scope| {
        let speakers: Vec<_> = (0..SPEAKERS)
            .map(|speaker| {
                let socket = &socket;
                scope.spawn(move || -> Result<()> {
                    let mut random = Random::new(seed + speaker as u64);
                    for number in 0..CONVERSATIONS / SPEAKERS {
                        converse(&mut random, socket, port)
                            .with_context(|| format!("conversation {number} of {speaker}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        speakers.into_iter().try_for_each(|speaker| {
            speaker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    let mut control = cluster.control()?;
    let mut last = String::new();
    wait::until_slowly(SOON, "the daemon to forget them all", || {
        last = control.command("internals worker")?;
        let quiet = last.contains("Current kids: 0 ") && !last.contains("  client ");
        let held = descriptors(pid)?;
        last.push_str(&format!("\n{held} descriptors, {before} before"));
        Ok((quiet && held <= before).then_some(()))
    })
    .with_context(|| last.clone())?;
    // All slots are free: as many jobs as there are slots begin at once.
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::connect_unix(&socket, Limits::default())?;
        connection.send(&Message::JobLocalBegin(JobLocalBegin::default()))?;
        let answer = connection.receive(SOON, "a slot")?;
        ensure!(answer.name() == "JOB_LOCAL_BEGIN", "{answer:?}");
        holders.push(connection);
    }
    drop(holders);
    ensure!(cluster.unexpected_ends().is_empty(), "the daemon ended");
    cluster.shut_down()
}
