//! Talking to the scheduler's text port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::segment;

/// Icecream's scheduler may take its time to accept: it looks at its listening sockets only when something else happens.
const PATIENCE: Duration = Duration::from_secs(40);

/// A line of `listcs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Node name.
    pub name: String,
    /// Slots.
    pub slots: u32,
    /// Load in thousandths; at 1000 the node gets no job.
    pub load: u32,
    /// It has not answered a PING, and gets no job either.
    pub suspended: bool,
}

/// One connection to the text port.
#[derive(Debug)]
pub struct Control {
    stream: TcpStream,
}

impl Control {
    /// Connects to `address` from within the namespace, if one is given, and reads the greeting.
    ///
    /// # Errors
    /// Nobody listens, or what answers is no scheduler.
    pub fn connect(namespace: Option<&str>, address: SocketAddr) -> Result<Control> {
        let stream = segment::inside(namespace, || {
            Ok(TcpStream::connect_timeout(
                &address,
                Duration::from_secs(5),
            )?)
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut control = Control { stream };
        control.read_until("200 Use")?;
        Ok(control)
    }

    /// Sends a command and gives its answer without the final line.
    ///
    /// # Errors
    /// The connection fails, or the scheduler is silent for 40 s.
    pub fn command(&mut self, command: &str) -> Result<String> {
        self.stream.write_all(format!("{command}\n").as_bytes())?;
        self.read_until("200 done")
    }

    /// The daemons that are logged in.
    ///
    /// # Errors
    /// As [`Control::command`], or a line has another form.
    pub fn nodes(&mut self) -> Result<Vec<Node>> {
        let answer = self.command("listcs")?;
        answer
            .lines()
            .filter(|line| line.starts_with(' ') && !line.starts_with("  "))
            .map(parse_node)
            .collect()
    }

    /// Reads up to and without the line that begins with `last`.
    fn read_until(&mut self, last: &str) -> Result<String> {
        let mut text = Vec::new();
        let mut part = [0; 4096];
        loop {
            let so_far = String::from_utf8_lossy(&text);
            if so_far.ends_with('\n')
                && let Some(line) = so_far.lines().next_back()
                && line.starts_with(last)
            {
                return Ok(so_far[..so_far.len() - line.len() - 1]
                    .trim_end_matches('\r')
                    .to_owned());
            }
            let length = self
                .stream
                .read(&mut part)
                .context("scheduler's text port")?;
            if length == 0 {
                bail!("the scheduler closed its text port");
            }
            text.extend_from_slice(&part[..length]);
        }
    }
}

/// ` NAME (IP:PORT) [PLATFORM] speed=0.00 jobs=CUR/MAX load=N`, perhaps followed by more.
fn parse_node(line: &str) -> Result<Node> {
    let parse = || {
        let (name, rest) = line.trim_start().split_once(" (")?;
        let field = |name: &str| {
            rest.split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(name))
        };
        let (_, slots) = field("jobs=")?.split_once('/')?;
        Some(Node {
            name: name.to_owned(),
            slots: slots.trim_start_matches('-').parse().ok()?,
            suspended: slots.starts_with('-'),
            load: field("load=")?.parse().ok()?,
        })
    };
    parse().with_context(|| format!("not a node: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_node() {
        let node = parse_node(
            " w1 (10.77.0.3:10245) [x86_64] speed=0.00 jobs=1/2 load=97 busy installing since 1 s",
        );
        assert_eq!(
            node.unwrap(),
            Node {
                name: "w1".into(),
                slots: 2,
                load: 97,
                suspended: false
            }
        );
    }
}
