//! A worker that lies: it takes jobs like any other, and answers with half an object, garbage, silence.
//!
//! It speaks for itself alone, on a host of its own, so that a submitter meets it over the network as it would a broken
//! machine. A compile error that it made up cannot be told from a true one and is not among its lies.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use gelato_net::Limits;
use gelato_net::discovery::{DEFAULT_NETNAME, Place, Reach, SCHEDULER_PORT, Wanted, find};
use gelato_net::listener::{Listener, Retry};
use gelato_net::stream::Connection;
use gelato_wire::chunk::{Compressor, DEFAULT_LEVEL};
use gelato_wire::msg::{
    ChunkCodec, CompileFile, CompileResult, FileChunk, Login, Stats, VerifyEnvResult,
};
use gelato_wire::types::features;
use gelato_wire::{Environment, Message};

use super::project::Project;
use crate::host::Host;
use crate::segment;

/// The port daemons take jobs at.
const PORT: u16 = 10245;

/// Whoever asks must not wait for us for ever, nor we for him.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it can do to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    HangUp,
    NoResult,
    HalfAnObjectAndGone,
    HalfAnObject,
    EmptyObject,
    Garbage,
    WrongMessage,
    FailureWithoutText,
    CompilerCrash,
    Silence,
}

const LIES: [Lie; 10] = [
    Lie::HalfAnObject,
    Lie::HangUp,
    Lie::HalfAnObjectAndGone,
    Lie::Garbage,
    Lie::EmptyObject,
    Lie::Silence,
    Lie::WrongMessage,
    Lie::NoResult,
    Lie::FailureWithoutText,
    Lie::CompilerCrash,
];

/// The liar at work; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Liar {
    told: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Liar {
    /// Starts it on `host`. It claims to have the toolchains `names`.
    pub(crate) fn start(host: &Host, names: BTreeSet<String>, project: &Project) -> Liar {
        let told = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let speaker = Speaker {
            told: told.clone(),
            names,
            project: project.clone(),
        };
        let namespace = host.namespace().map(str::to_owned);
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            segment::inside(namespace.as_deref(), || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(speaker.work(&stopped))
            })
        });
        Liar {
            told,
            stop,
            thread: Some(thread),
        }
    }

    /// How many jobs it has spoilt.
    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && let Ok(Err(error)) = thread.join()
        {
            eprintln!("the liar gave up: {error:#}");
        }
    }
}

#[derive(Clone)]
struct Speaker {
    told: Arc<AtomicUsize>,
    names: BTreeSet<String>,
    project: Project,
}

impl Speaker {
    async fn work(self, stop: &AtomicBool) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let mut listener = Listener::bind_tcp(address, Retry::NEVER).await?;
        let serving = async {
            loop {
                let socket = listener.accept().await;
                let speaker = self.clone();
                tokio::spawn(async move {
                    if let Ok(connection) = Connection::accept(socket, Limits::default()).await {
                        let _ = tokio::time::timeout(PATIENCE, speaker.serve(connection)).await;
                    }
                });
            }
        };
        let advertising = async {
            loop {
                let _ = self.advertise().await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let told_to_stop = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = advertising => {}
            () = told_to_stop => {}
        }
        Ok(())
    }

    /// Logs in and stays, as long as the scheduler does.
    async fn advertise(&self) -> Result<()> {
        let wanted = Wanted {
            netname: DEFAULT_NETNAME.into(),
            place: Place::Network {
                ports: vec![SCHEDULER_PORT],
                reach: Reach::Everywhere,
            },
            wait: Duration::from_secs(3),
        };
        let scheduler = find(&wanted).await?;
        let mut link = Connection::connect_tcp(scheduler.address, Limits::default()).await?;
        let platform = std::env::consts::ARCH;
        let login = Login {
            port: PORT.into(),
            max_kids: 1,
            environments: self
                .names
                .iter()
                .map(|name| Environment {
                    platform: platform.into(),
                    name: name.as_str().into(),
                })
                .collect(),
            nodename: "liar".into(),
            host_platform: platform.into(),
            chroot_possible: true,
            noremote: false,
            supported_features: features::ENV_XZ | features::ENV_ZSTD,
        };
        link.send(&Message::Login(login)).await?;
        loop {
            link.send(&Message::Stats(Stats::default())).await?;
            // Whatever the scheduler has to say: it only has to go on talking.
            while tokio::time::timeout(Duration::from_secs(3), link.receive(None, "the scheduler"))
                .await
                .map_or(Ok(false), |message| message.map(|_| true))?
            {}
        }
    }

    async fn serve(&self, mut connection: Connection) -> Result<()> {
        let mut job = None;
        loop {
            match connection.receive(Some(PATIENCE), "a job").await? {
                Message::CompileFile(file) => {
                    let lie = LIES[self.told.fetch_add(1, Ordering::Relaxed) % LIES.len()];
                    if lie == Lie::HangUp {
                        return Ok(());
                    }
                    job = Some((file, lie));
                }
                Message::VerifyEnv(_) => {
                    let ok = VerifyEnvResult { ok: true };
                    connection.send(&Message::VerifyEnvResult(ok)).await?;
                }
                Message::End => {
                    if let Some((job, lie)) = job.take() {
                        return self.lie(&mut connection, &job, lie).await;
                    }
                }
                _ => {}
            }
        }
    }

    async fn lie(&self, connection: &mut Connection, job: &CompileFile, lie: Lie) -> Result<()> {
        let mut result = CompileResult::default();
        match lie {
            Lie::HangUp | Lie::NoResult => return Ok(()),
            Lie::Silence => {
                tokio::time::sleep(Duration::from_secs(6)).await;
                return Ok(());
            }
            Lie::WrongMessage => {
                let message = Message::VerifyEnvResult(VerifyEnvResult { ok: true });
                return Ok(connection.send(&message).await?);
            }
            Lie::FailureWithoutText => result.status = 1,
            Lie::CompilerCrash => {
                result.status = 1;
                result.stderr = "gcc: internal compiler error: Segmentation fault\n".into();
            }
            Lie::HalfAnObjectAndGone | Lie::HalfAnObject | Lie::EmptyObject | Lie::Garbage => {}
        }
        let failed = result.status != 0;
        connection.send(&Message::CompileResult(result)).await?;
        if failed {
            return Ok(());
        }
        let output = job.output_file.to_string_lossy();
        let name = Path::new(&*output).file_name().unwrap_or_default();
        let object = self
            .project
            .local
            .get(name.to_str().unwrap_or_default())
            .map_or(&[] as &[u8], Vec::as_slice);
        match lie {
            Lie::HalfAnObject | Lie::HalfAnObjectAndGone => {
                let mut compressor = Compressor::new(connection.version(), DEFAULT_LEVEL)?;
                let chunk = compressor.compress(&object[..object.len() / 2])?;
                connection.send(&Message::FileChunk(chunk)).await?;
            }
            Lie::Garbage => {
                let chunk = FileChunk {
                    uncompressed_len: 5000,
                    codec: ChunkCodec::Lzo,
                    data: vec![0xa5; 700],
                };
                connection.send(&Message::FileChunk(chunk)).await?;
            }
            _ => {}
        }
        if lie == Lie::HalfAnObjectAndGone {
            return Ok(());
        }
        connection.send(&Message::End).await?;
        // Until he has hung up: what was sent must not be lost on the way.
        let _ = connection.receive(Some(PATIENCE), "the end").await;
        Ok(())
    }
}
