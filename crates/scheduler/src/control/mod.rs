//! The text port: one task per connection, which reads lines, asks the hub, and writes its answers.

pub(crate) mod answers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gelato_net::options::{self, Side};
use gelato_net::stream::Socket;
use gelato_wire::control::{Command, DONE, GOOD_BYE, Lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ControlAccess;
use crate::door::Door;
use crate::hub::{Answer, Input};
use crate::token::Token;

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(36);
/// How long a peer has to take an answer.
const WRITE: Duration = Duration::from_secs(30);
/// How long daemons have to describe themselves, all together.
const INTERNALS: Duration = Duration::from_secs(3);
/// Connections at a time.
const CONNECTIONS: usize = 64;

/// Wrong tokens after which a connection is closed.
const WRONG_TOKENS: u32 = 3;

/// Who may do what.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) access: ControlAccess,
    pub(crate) token: Option<Token>,
    pub(crate) token_required: bool,
}

impl Gate {
    /// Whether somebody, on this machine or not, may change things without a token.
    fn is_open_to(&self, local: bool) -> bool {
        !self.token_required && (local || self.access == ControlAccess::Open)
    }

    fn is_token(&self, word: &str) -> bool {
        self.token.as_ref().is_some_and(|token| token.is(word))
    }

    fn refusal(&self) -> &'static [u8] {
        match self.token {
            Some(_) => answers::WRONG_TOKEN.as_bytes(),
            None => answers::NO_TOKEN.as_bytes(),
        }
    }
}

/// The word behind `token`; it goes no further.
fn token_of(command: &Command) -> Option<&str> {
    match command {
        Command::Other {
            word, arguments, ..
        } if word == "token" => Some(arguments.first().map_or("", String::as_str)),
        _ => None,
    }
}

/// Whether a line begins a request of a browser. Any page can make one send lines of its choice to this port, from this machine;
/// but this line comes before them.
fn is_of_browser(line: &str) -> bool {
    let version = line.rsplit(' ').next();
    version.is_some_and(|version| version.starts_with("HTTP/"))
}

/// Accepts for ever.
pub(crate) async fn accept(mut door: Door, hub: mpsc::Sender<Input>, gate: Gate) {
    let gate = Arc::new(gate);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Socket::Tcp(stream) = door.accept().await else {
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("closing a control connection: {CONNECTIONS} others are open");
            continue;
        };
        let (hub, gate) = (hub.clone(), Arc::clone(&gate));
        tokio::spawn(async move {
            options::set_for_messages(&stream, Side::Accepting);
            // The peer may leave at any moment; there is nobody to tell.
            let _ = serve(stream, &hub, &gate).await;
            drop(place);
        });
    }
}

async fn serve(mut stream: TcpStream, hub: &mpsc::Sender<Input>, gate: &Gate) -> Result<(), Gone> {
    let peer = stream.peer_addr()?;
    let local = is_local(peer, stream.local_addr()?);
    if gate.access == ControlAccess::Local && !local {
        return write(&mut stream, &answers::not_for_others()).await;
    }
    let mut may_change = gate.is_open_to(local);
    let mut wrong_tokens = 0;
    let greeting = ask(hub, |reply| Input::Greeting { reply }).await?;
    write(&mut stream, &greeting).await?;
    let mut lines = Lines::new();
    let mut buffer = [0; 1024];
    loop {
        while let Some(line) = lines.next_line() {
            if is_of_browser(&line) {
                tracing::warn!("closing a control connection of {peer}: a browser speaks there");
                return Ok(());
            }
            let command = Command::parse(&line);
            if command == Command::Quit {
                return write(&mut stream, GOOD_BYE.as_bytes()).await;
            }
            if let Some(word) = token_of(&command) {
                if gate.is_token(word) {
                    may_change = true;
                    write(&mut stream, answers::TOKEN_ACCEPTED.as_bytes()).await?;
                    continue;
                }
                wrong_tokens += 1;
                let who = peer.ip();
                // The hub may have ended; then there is nobody to tell.
                let _ = hub.send(Input::WrongToken { who }).await;
                let end = wrong_tokens == WRONG_TOKENS;
                let mut text = gate.refusal().to_vec();
                text.extend_from_slice(if end { GOOD_BYE } else { DONE }.as_bytes());
                write(&mut stream, &text).await?;
                if end {
                    return Ok(());
                }
                continue;
            }
            let answer = ask(hub, |reply| Input::Command {
                command,
                may_change,
                who: peer.ip(),
                reply,
            });
            let text = complete(answer.await?).await;
            write(&mut stream, &text).await?;
        }
        match timeout(IDLE, stream.read(&mut buffer)).await {
            Err(_) => return write(&mut stream, GOOD_BYE.as_bytes()).await,
            Ok(Ok(0)) => return Ok(()),
            Ok(length) => {
                let read = buffer.get(..length?).unwrap_or_default();
                lines.receive(read).map_err(|error| {
                    tracing::debug!("closing a control connection: {error}");
                    Gone
                })?;
            }
        }
    }
}

/// The connection, or the scheduler, is no more.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Gone
    }
}

/// Waits for the daemons the answer needs.
async fn complete(answer: Answer) -> Vec<u8> {
    let mut text = answer.text;
    let deadline = Instant::now() + INTERNALS;
    for (name, reply) in answer.waiting {
        match timeout_at(deadline, reply).await {
            Ok(Ok(words)) => gelato_wire::control::internals(&mut text, &words),
            _ => gelato_wire::control::not_reporting(&mut text, &name),
        }
    }
    text.extend_from_slice(DONE.as_bytes());
    text
}

async fn ask<T>(
    hub: &mpsc::Sender<Input>,
    question: impl FnOnce(oneshot::Sender<T>) -> Input,
) -> Result<T, Gone> {
    let (sender, receiver) = oneshot::channel();
    hub.send(question(sender)).await.map_err(|_| Gone)?;
    receiver.await.map_err(|_| Gone)
}

async fn write(stream: &mut TcpStream, text: &[u8]) -> Result<(), Gone> {
    match timeout(WRITE, stream.write_all(text)).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Gone),
    }
}

/// Whether the other end is on this machine.
fn is_local(peer: SocketAddr, own: SocketAddr) -> bool {
    peer.ip().is_loopback() || peer.ip() == own.ip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_change_nothing_unless_that_is_wanted() {
        let open = |access, token_required, local| {
            let gate = Gate {
                access,
                token: None,
                token_required,
            };
            gate.is_open_to(local)
        };
        for access in [ControlAccess::Read, ControlAccess::Local] {
            assert!(open(access, false, true) && !open(access, false, false));
        }
        assert!(open(ControlAccess::Open, false, false));
        for local in [true, false] {
            assert!(!open(ControlAccess::Open, true, local));
        }
        let at = |address: &str| address.parse::<SocketAddr>().unwrap();
        assert!(is_local(at("127.0.0.1:5"), at("127.0.0.1:8766")));
        assert!(is_local(at("[::1]:5"), at("[::1]:8766")));
        assert!(is_local(at("10.0.0.1:5"), at("10.0.0.1:8766")));
        assert!(!is_local(at("10.0.0.2:5"), at("10.0.0.1:8766")));
        assert!(!is_local(at("[fd00::2]:5"), at("[fd00::1]:8766")));
    }
}
