//! The task that keeps a connection to a scheduler: finds one, carries messages both ways, and starts over when it is gone.
//!
//! Decides nothing about jobs. Each connection has a number of its own, so that the dispatcher can tell what belongs to which.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use gelato_net::discovery::{Wanted, find};
use gelato_net::stream::{Connection, Reader, Writer};
use gelato_net::{Limits, NetError};
use gelato_wire::Message;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::config::Reconnect;
use crate::core::vocabulary::Event;
use crate::ids::Generation;
use crate::notice::Notice;

/// Messages on their way to the scheduler. One that leaves more unread is as good as gone.
const QUEUE: usize = 4096;

/// A connection that held this long was not refused: the next wait starts from the beginning.
/// Refusals come with the login; schedulers that end one after the other must not make the network wait longer each time.
const STABLE: Duration = Duration::from_secs(3);

/// Keeps looking for and talking to schedulers until the daemon ends.
pub(crate) async fn maintain(
    wanted: Wanted,
    reconnect: Reconnect,
    limits: Limits,
    notices: mpsc::Sender<Notice>,
) {
    let limits = Limits {
        handshake: Limits::SLOW_ACCEPT,
        ..limits
    };
    let mut generation = Generation(0);
    let mut wait = reconnect.first;
    while !notices.is_closed() {
        let tried = connect(&wanted, limits).await;
        let sought = match &tried {
            Ok(connection) => Ok(connection.peer().to_string()),
            Err(reason) => Err(reason.clone()),
        };
        // Without a dispatcher the daemon is ending.
        let _daemon_ends = notices.send(Event::Sought(sought).into()).await;
        match tried {
            Ok(connection) => {
                generation = Generation(generation.0 + 1);
                let began = Instant::now();
                converse(connection, generation, &notices).await;
                if began.elapsed() >= STABLE {
                    wait = reconnect.first;
                }
            }
            Err(reason) => info!("scheduler not yet found/selected. {reason}"),
        }
        sleep(jittered(wait)).await;
        wait = (wait * 2).min(reconnect.longest);
    }
}

async fn connect(wanted: &Wanted, limits: Limits) -> Result<Connection, String> {
    let found = find(wanted).await.map_err(|error| error.to_string())?;
    debug!("trying the scheduler at {}", found.address);
    Connection::connect_tcp(found.address, limits)
        .await
        .map_err(|error| error.to_string())
}

/// Until the connection ends or the dispatcher lets go of it.
async fn converse(connection: Connection, generation: Generation, notices: &mpsc::Sender<Notice>) {
    let own_address = connection
        .local_addr()
        .map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip());
    let (messages, queue) = mpsc::channel(QUEUE);
    let version = connection.version();
    info!(
        "connected to the scheduler at {} with protocol {version}",
        connection.peer()
    );
    if notices
        .send(Notice::Link {
            generation,
            version,
            own_address,
            messages,
        })
        .await
        .is_err()
    {
        return;
    }
    let (mut reader, mut writer) = connection.split();
    let ended = tokio::select! {
        error = receive(&mut reader, generation, notices) => error,
        error = send(&mut writer, queue) => error,
    };
    match ended {
        Some(error) if error.is_closed() => warn!("scheduler closed connection"),
        Some(error) => warn!("lost the scheduler: {error}"),
        None => debug!("left the scheduler"),
    }
    // Without a dispatcher the daemon is ending.
    let _daemon_ends = notices.send(Event::LinkDown { generation }.into()).await;
}

async fn receive(
    reader: &mut Reader,
    generation: Generation,
    notices: &mpsc::Sender<Notice>,
) -> Option<NetError> {
    loop {
        match reader.receive(None, "the scheduler").await {
            Ok(message) => notices
                .send(
                    Event::Scheduler {
                        generation,
                        message,
                    }
                    .into(),
                )
                .await
                .ok()?,
            Err(error) => return Some(error),
        }
    }
}

async fn send(writer: &mut Writer, mut queue: mpsc::Receiver<Message>) -> Option<NetError> {
    while let Some(message) = queue.recv().await {
        match writer.send(&message).await {
            Ok(()) => {}
            // What an old scheduler does not know it need not hear.
            Err(NetError::Encode { error, .. }) => debug!("not sent: {error}"),
            Err(error) => return Some(error),
        }
    }
    None
}

/// Between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // The standard library's only source of randomness; good enough to spread the nodes of a network.
    let random = RandomState::new().build_hasher().finish();
    let half = wait / 2;
    half + half.mul_f64((random % 1024) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_between_half_and_all() {
        for _ in 0..100 {
            let wait = jittered(Duration::from_secs(8));
            assert!(
                (Duration::from_secs(4)..=Duration::from_secs(8)).contains(&wait),
                "{wait:?}"
            );
        }
    }
}
