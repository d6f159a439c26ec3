//! A server on a thread of its own, and as much of a browser as the tests need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use gelato_monitor::recording::Entry;
use gelato_monitor::web::{Clock, Config, Port, Server, Token};
use gelato_monitor::{Event, HostFacts, feed};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

/// Nothing here takes this long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// What operators must say.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    events: Sender<Entry>,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Site {
    /// On the loopback address.
    pub(crate) fn start() -> Site {
        Site::listening_at("127.0.0.1:0")
    }

    pub(crate) fn listening_at(listen: &str) -> Site {
        let config = Config {
            listen: listen.parse().unwrap(),
            clock: Clock::Wall,
            port: Port::None,
            token: Some(Token::parse(TOKEN).unwrap()),
            pass_on: None,
            folder: None,
            history: None,
        };
        let (events, heard) = channel(100_000);
        let (end, ended) = oneshot::channel();
        let (say, address) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = Server::bind(config).await.unwrap();
                say.send(server.address()).unwrap();
                let stop = async {
                    let _ = ended.await;
                };
                server.run(heard, stop).await;
            });
        });
        let mut address = address.recv().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        Site {
            address,
            events,
            end: Some((end, running)),
        }
    }

    /// Something happens now.
    pub(crate) fn tell(&self, event: Event) {
        let at = feed::now();
        self.events.blocking_send(Entry { at, event }).unwrap();
    }

    pub(crate) fn connected(&self) {
        self.tell(Event::Connected {
            scheduler: "10.0.0.1:8765".to_owned(),
            netname: Some("test".to_owned()),
            protocol: 44,
        });
    }

    pub(crate) fn host(&self, number: u32) {
        self.tell(Event::Host {
            host: number,
            facts: HostFacts {
                name: format!("host{number}"),
                ip: format!("10.0.0.{number}"),
                slots: 4,
                ..HostFacts::default()
            },
        });
    }

    /// Asks for a path, with further lines of the head.
    pub(crate) fn get(&self, path: &str, lines: &[&str]) -> Answer {
        self.ask("GET", path, lines, "")
    }

    pub(crate) fn ask(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !lines.iter().any(|line| line.starts_with("Host:")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for line in lines {
            head += &format!("{line}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Answer::parse(&text)
    }

    /// Looks at the live stream.
    pub(crate) fn watch(&self) -> Stream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!(
            "GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        Stream(BufReader::new(stream))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some((end, running)) = self.end.take() {
            let _ = end.send(());
            let _ = running.join();
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A line of the head.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A live stream, event by event.
pub(crate) struct Stream(pub(crate) BufReader<TcpStream>);

impl Stream {
    /// The next event and its data.
    pub(crate) fn next(&mut self) -> (String, serde_json::Value) {
        let mut event = String::new();
        loop {
            let mut line = Vec::new();
            assert!(self.0.read_until(b'\n', &mut line).unwrap() > 0, "the end");
            // Between the lines of events stand those of chunks.
            let line = String::from_utf8(line).unwrap();
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (event, serde_json::from_str(data).unwrap());
            }
        }
    }
}
