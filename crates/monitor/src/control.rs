//! The text port of a scheduler, Icecream's or ours, as somebody who types: connect, say one command, read what it answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gelato_wire::control::{DONE, MAX_LINE};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::knock;
use crate::web::Token;

/// For everything together.
const PATIENCE: Duration = Duration::from_secs(10);

/// For the farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes of answers that are read.
const MOST_BYTES: u64 = 64 * 1024;

/// Why a command was not carried out.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    /// The port cannot be reached, or went away.
    #[error("the scheduler's text port {address} cannot be used: {error}")]
    Unreachable {
        address: SocketAddr,
        error: io::Error,
    },
    /// It answered nothing in time.
    #[error("the scheduler's text port {0} does not answer")]
    Silent(SocketAddr),
    /// It does not know the command.
    #[error("this scheduler does not know the command")]
    Unknown,
    /// It refused.
    #[error("the scheduler refused: {0}")]
    Refused(String),
    /// The command cannot be said in a line of text.
    #[error("this cannot be said in a command")]
    Unspeakable,
}

/// Says a command; what was answered, without the closing line.
pub(crate) async fn say(
    address: SocketAddr,
    token: Option<&Token>,
    command: &str,
) -> Result<String, ControlError> {
    let is_line =
        command.len() < MAX_LINE && command.bytes().all(|byte| (b' '..127).contains(&byte));
    if !is_line {
        return Err(ControlError::Unspeakable);
    }
    match timeout(PATIENCE, talk(address, token, command)).await {
        Ok(Ok(answer)) => judge(answer),
        Ok(Err(error)) => Err(ControlError::Unreachable { address, error }),
        Err(_) => Err(ControlError::Silent(address)),
    }
}

async fn talk(address: SocketAddr, token: Option<&Token>, command: &str) -> io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MOST_BYTES));
    // The scheduler's own port is the one before; it may be asleep.
    let scheduler = SocketAddr::new(address.ip(), address.port().saturating_sub(1));
    let greeting = tokio::select! {
        greeting = read_until(&mut lines, |line| line.starts_with("200 ")) => greeting?,
        never = knock::wake(scheduler) => match never {},
    };
    // Icecream's schedulers have no token, and nobody else is to be shown ours.
    if let Some(token) = token
        && greeting.starts_with("200-ICECC gelato-")
    {
        write
            .write_all(format!("token {}\n", token.secret()).as_bytes())
            .await?;
        read_until(&mut lines, |line| line == DONE).await?;
    }
    write.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = read_until(&mut lines, |line| line == DONE).await?;
    answer.truncate(answer.len() - DONE.len());
    // The answer is complete; the rest is politeness.
    if write.write_all(b"quit\n").await.is_ok() {
        let _ = timeout(FAREWELL, lines.read_to_end(&mut Vec::new())).await;
    }
    Ok(answer)
}

/// Everything up to and with the line that is the last.
async fn read_until(
    lines: &mut (impl tokio::io::AsyncBufRead + Unpin),
    is_last: impl Fn(&str) -> bool,
) -> io::Result<String> {
    let mut all = String::new();
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            // A refusal may come without what was waited for.
            if all.starts_with('4') {
                all.push_str(DONE);
                return Ok(all);
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line);
        all.push_str(&line);
        if is_last(&line) {
            return Ok(all);
        }
    }
}

fn judge(answer: String) -> Result<String, ControlError> {
    if answer.starts_with("Invalid command") {
        return Err(ControlError::Unknown);
    }
    let is_refusal = |line: &&str| {
        let code = line.as_bytes();
        matches!(code, [b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..])
    };
    match answer.lines().find(is_refusal) {
        Some(line) => Err(ControlError::Refused(line[4..].to_owned())),
        None => Ok(answer.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const GREETING: &str =
        "200-ICECC 1.4: 1s uptime, 0 hosts, 0 jobs in queue (0 total).\n200 Use 'help'.\n";

    /// A text port that greets, and says each answer after a line; what it was told.
    async fn port(
        greeting: &'static str,
        answers: &'static [&'static str],
    ) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            write.write_all(greeting.as_bytes()).await.unwrap();
            let mut told = Vec::new();
            for answer in answers {
                told.extend(lines.next_line().await.unwrap());
                write.write_all(answer.as_bytes()).await.unwrap();
            }
            told
        });
        (address, told)
    }

    #[tokio::test]
    async fn a_command_is_said_and_its_answer_read() {
        let (address, told) = port(GREETING, &["removing host beta\n200 done\n"]).await;
        let token = Token::parse("0123456789abcdef").unwrap();
        let answer = say(address, Some(&token), "blockcs beta").await.unwrap();
        assert_eq!(answer, "removing host beta");
        // Icecream's scheduler is not told the token.
        assert_eq!(told.await.unwrap(), ["blockcs beta"]);
    }

    #[tokio::test]
    async fn our_schedulers_hear_the_token_first() {
        let greeting = "200-ICECC gelato-0.1.0: 1s uptime, 0 hosts, 0 jobs in queue (0 total).\n200 Use 'help'.\n";
        let (address, told) = port(greeting, &["200 done\n", "200 done\n"]).await;
        let token = Token::parse("0123456789abcdef").unwrap();
        assert_eq!(say(address, Some(&token), "drain beta").await.unwrap(), "");
        assert_eq!(
            told.await.unwrap(),
            ["token 0123456789abcdef", "drain beta"]
        );
    }

    #[tokio::test]
    async fn refusals_and_silence_are_told_apart() {
        let (address, _told) = port(GREETING, &["Invalid command 'drain b'\n200 done\n"]).await;
        let unknown = say(address, None, "drain b").await;
        assert!(matches!(unknown, Err(ControlError::Unknown)));
        let (address, _told) = port(GREETING, &["403 Only from here.\n200 done\n"]).await;
        let refused = say(address, None, "blockcs b").await;
        assert!(matches!(refused, Err(ControlError::Refused(why)) if why == "Only from here."));
        let (address, _told) = port("403 Not for you.\n", &[]).await;
        let refused = say(address, None, "blockcs b").await;
        assert!(refused.is_err());
        let (address, _told) = port(GREETING, &["200 do"]).await;
        let cut = say(address, None, "blockcs b").await;
        assert!(matches!(cut, Err(ControlError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn nothing_can_be_smuggled_into_a_command() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        for command in ["blockcs a\nremovecs b", "blockcs a\rb", "blockcs \u{fffd}"] {
            let said = say(nowhere, None, command).await;
            assert!(matches!(said, Err(ControlError::Unspeakable)));
        }
    }
}
