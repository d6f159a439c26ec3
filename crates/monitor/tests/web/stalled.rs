//! Browsers that do not read: they cost little and delay nobody.

use std::net::SocketAddr;

use gelato_monitor::{Event, HostFacts};

use crate::site::Site;

/// Browsers that ask for the stream and never read it.
const STALLED: usize = 60;

/// Hosts, so that a snapshot has more bytes than the system takes for a connection.
const HOSTS: u32 = 600;

/// Changes of all of them that are told meanwhile.
const CHANGES: usize = 2;

/// What stalled browsers may cost all together, in bytes; one snapshot each would be twice that.
const MOST_MEMORY: u64 = 50 << 20;

fn describe(site: &Site, load: u32) {
    for number in 0..HOSTS {
        site.tell(Event::Host {
            host: number + 1,
            facts: HostFacts {
                name: format!("host{number}"),
                ip: format!("10.0.{}.{}", number / 250, number % 250),
                slots: 8,
                load,
                others: (0..20)
                    .map(|line| (format!("Line{line}"), "x".repeat(100)))
                    .collect(),
                ..HostFacts::default()
            },
        });
    }
}

/// Bytes of this process in memory.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Asks for the stream, with a small buffer on this side.
fn stall(runtime: &tokio::runtime::Runtime, address: SocketAddr) -> tokio::net::TcpStream {
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let head = "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(head.as_bytes()).unwrap(), head.len());
        stream
    })
}

#[test]
fn stalled_browsers_cost_little_and_delay_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let site = Site::start();
    site.connected();
    describe(&site, 0);
    let mut good = site.watch();
    let (_, mut data) = good.next();
    while data["cluster"]["hosts"] != HOSTS {
        (_, data) = good.next();
    }
    let before = memory();
    let stalled: Vec<_> = (0..STALLED)
        .map(|_| stall(&runtime, site.address))
        .collect();
    for change in 1..=CHANGES {
        describe(&site, change as u32);
        // The one that reads sees every host change.
        let mut changed = 0;
        while changed < HOSTS {
            let (_, data) = good.next();
            let hosts = data["hosts"].as_array().unwrap();
            changed += hosts.iter().filter(|host| host["load"] == change).count() as u32;
        }
        assert_eq!(site.get("/api/v1/cluster", &[]).status, 200);
    }
    let metrics = site.get("/metrics", &[]).body;
    let looking = format!("gelato_monitor_clients {}", STALLED + 1);
    assert!(
        metrics.contains(&looking),
        "stalled browsers were not looking"
    );
    let cost = memory().saturating_sub(before);
    assert!(cost < MOST_MEMORY, "{} MiB", cost >> 20);
    drop(stalled);
}
