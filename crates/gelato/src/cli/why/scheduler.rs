//! What the scheduler says about a job it has placed: best effort, and only Gelato's says anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gelato_record::JobRecord;
use serde_json::json;

use crate::cli::ask::{self, Daemon};

/// For connecting, and for each line of the answer.
const WAIT: Duration = Duration::from_millis(400);

/// Longer answers are cut.
const MOST_BYTES: u64 = 64 << 10;
const MOST_LINES: usize = 40;

/// The scheduler's lines about the job; none if it does not say, or has been started since.
pub(super) fn explanation(socket: Option<&PathBuf>, record: &JobRecord) -> Vec<String> {
    let Some(job) = record.job else {
        return Vec::new();
    };
    let Daemon::Gelato { answer, .. } = ask::ask(socket, &json!({ "ask": "status" })) else {
        return Vec::new();
    };
    let scheduler = &answer["scheduler"];
    let connected = scheduler["since"].as_u64().unwrap_or(u64::MAX);
    if scheduler["gelato"] != true || !is_its_number(record, connected) {
        return Vec::new();
    }
    let address = scheduler["address"].as_str().and_then(control_port);
    address
        .and_then(|address| ask_control(address, job).ok())
        .unwrap_or_default()
}

/// Whether the job began under the scheduler that the daemon is connected to since then, in seconds since 1970: each one counts anew, and
/// jobs outlive their scheduler.
fn is_its_number(record: &JobRecord, connected: u64) -> bool {
    record.end.saturating_sub(record.wall) / 1000 >= connected
}

/// The text port stands behind the other one.
fn control_port(scheduler: &str) -> Option<SocketAddr> {
    let mut address: SocketAddr = scheduler.parse().ok()?;
    address.set_port(address.port().checked_add(1)?);
    Some(address)
}

fn ask_control(address: SocketAddr, job: u32) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    stream.write_all(format!("why {job}\nquit\n").as_bytes())?;
    Ok(facts(BufReader::new(stream.take(MOST_BYTES))))
}

/// The lines between the answers' numbers, which begin with a blank.
fn facts(reader: impl BufRead) -> Vec<String> {
    let begin = Instant::now();
    let unknown = |line: &String| line.contains("is not known");
    reader
        .split(b'\n')
        .map_while(Result::ok)
        .take_while(|_| begin.elapsed() < WAIT * 2)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.starts_with(' ') && !unknown(line))
        .map(|line| line.trim_end().to_owned())
        .take(MOST_LINES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_facts_are_taken_from_the_conversation() {
        let text = b"200-ICECC 1.4: 30s uptime, 2 hosts, 0 jobs in queue\r\n200 Use 'help' for help and 'quit' to quit.\n 7 on:alpha \
                     because: quickest\n   alpha: 3 s\xff\n200 done\n200 Good Bye!\n";
        assert_eq!(
            facts(&text[..]),
            [" 7 on:alpha because: quickest", "   alpha: 3 s\u{fffd}"]
        );
        assert!(facts(&b"200 x\n 9 is not known, or too long ago\n"[..]).is_empty());
        assert!(facts(&b""[..]).is_empty());
    }

    #[test]
    fn a_number_of_an_earlier_scheduler_is_not_asked_for() {
        let record = |end, wall| JobRecord {
            end,
            wall,
            ..JobRecord::default()
        };
        assert!(is_its_number(&record(1_005_000, 4000), 1000));
        assert!(!is_its_number(&record(999_000, 10), 1000));
        // It was given out before the scheduler was started anew, and ended after.
        assert!(!is_its_number(&record(1_005_000, 60_000), 1000));
    }

    #[test]
    fn the_text_port_is_the_next_one() {
        let port = |text| control_port(text).map(|address| address.port());
        assert_eq!(port("10.0.0.1:8765"), Some(8766));
        assert_eq!(port("[::1]:8765"), Some(8766));
        assert_eq!(port("10.0.0.1:65535"), None);
        assert_eq!(port("unix"), None);
    }
}
