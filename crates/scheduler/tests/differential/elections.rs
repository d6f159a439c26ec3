//! Our scheduler and Icecream's on one network: the newer protocol keeps the daemons, whoever started first.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Child;

use gelato_net::discovery::Reach;
use gelato_scheduler::{Config, Scheduler};
use gelato_wire::msg::Login;
use gelato_wire::{Message, ProtocolVersion, Session};
use tokio::runtime::Builder;

use crate::pair::{Control, NETWORK, Peer, start_icecream};

/// Icecream's scheduler with one daemon.
struct Icecream {
    child: Child,
    port: u16,
    control: Control,
    daemon: Peer,
}

impl Icecream {
    fn start(more: &[&str]) -> Icecream {
        let (child, port) = start_icecream(more);
        let mut control = Control::connect((Ipv4Addr::LOCALHOST, port + 1).into());
        let mut daemon = Peer {
            stream: TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap(),
            session: Session::new(ProtocolVersion::NEWEST),
        };
        daemon.introduce(&mut control);
        daemon.send(&Message::Login(Login {
            nodename: "d".into(),
            host_platform: "x86_64".into(),
            noremote: true,
            ..Login::default()
        }));
        assert!(matches!(daemon.receive(), Message::CsConf(_)));
        Icecream {
            child,
            port,
            control,
            daemon,
        }
    }
}

impl Drop for Icecream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours comes later and announces itself to Icecream's; runs until `enough`.
fn announce_ours(icecream: &mut Icecream, enough: impl FnOnce(&mut Icecream)) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        port: 0,
        netname: NETWORK.to_owned(),
        interface: Some("lo".to_owned()),
        reach: Reach::Addresses(vec![Ipv4Addr::LOCALHOST]),
        announce_to: vec![icecream.port],
        ..Config::default()
    };
    let scheduler = runtime.block_on(Scheduler::bind(config)).unwrap();
    let running = runtime.spawn(scheduler.run(std::future::pending()));
    enough(icecream);
    running.abort();
}

#[test]
fn icecreams_older_scheduler_sends_its_daemons_to_ours() {
    if crate::is_missing() {
        return;
    }
    let mut icecream = Icecream::start(&[]);
    announce_ours(&mut icecream, |icecream| icecream.daemon.ends());
    let listed = icecream.control.ask("listcs");
    assert!(!listed.contains(" d ("), "{listed}");
}

#[test]
fn icecreams_scheduler_keeps_them_if_told_to() {
    if crate::is_missing() {
        return;
    }
    let mut icecream = Icecream::start(&["-r"]);
    announce_ours(&mut icecream, |icecream| {
        // It looks at the announcement between two commands.
        for _ in 0..20 {
            icecream.control.ask("listblocks");
        }
    });
    let listed = icecream.control.ask("listcs");
    assert!(listed.contains(" d ("), "{listed}");
}
