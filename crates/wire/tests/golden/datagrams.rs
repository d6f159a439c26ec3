//! Recorded discovery: all 256 requests with their answers, and the datagrams of every scenario.

use std::collections::HashMap;

use gelato_wire::datagram::{Announcement, Datagram, Reply, request};
use gelato_wire::{ByteString, ProtocolVersion};
use serde_json::Value;

use crate::archive::Archive;

fn bytes(notes: &Value) -> Vec<u8> {
    let hex = notes["hex"].as_str().unwrap();
    let mut bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    bytes.resize(usize::try_from(notes["len"].as_u64().unwrap()).unwrap(), 0);
    bytes
}

fn cut(name: &ByteString, longest: usize) -> ByteString {
    ByteString::from_bytes(&name.as_bytes()[..name.len().min(longest)])
}

/// Both forms of one scheduler's announcement, read and written; returns the scheduler.
fn check_announcements(old: &[u8], new: &[u8]) -> Announcement {
    let Ok(Datagram::Announcement(announced)) = Datagram::decode(new) else {
        panic!("not an announcement: {new:?}");
    };
    let Ok(Datagram::OldAnnouncement(in_old_form)) = Datagram::decode(old) else {
        panic!("not an announcement: {old:?}");
    };
    assert_eq!(announced.encode(), new);
    assert_eq!(announced.encode_old(), old);
    let shorter = Announcement {
        netname: cut(&announced.netname, announced.netname.len() - 1),
        ..announced.clone()
    };
    assert_eq!(in_old_form, shorter);
    announced
}

#[test]
fn all_requests_are_answered_as_recorded() {
    let notes = Archive::load().json("discovery.json");
    let announcements = notes["announcements"].as_array().unwrap();
    let mut schedulers = HashMap::new();
    for pair in announcements.chunks(2) {
        let announced = check_announcements(&bytes(&pair[0]), &bytes(&pair[1]));
        schedulers.insert(pair[0]["from"].as_str().unwrap(), announced);
    }
    assert_eq!(schedulers["scheduler"].netname, "ICECREAM");
    assert_eq!(schedulers["nodec"].version, 43);
    let mut replies_seen = 0;
    for asker in 0..=255u8 {
        let replies = notes["replies"][asker.to_string()].as_array().unwrap();
        let answered = Datagram::decode(&[asker]).is_ok();
        assert_eq!(answered, !replies.is_empty(), "{asker}");
        for reply in replies {
            let Announcement {
                version,
                start_time,
                netname,
            } = schedulers[reply["from"].as_str().unwrap()].clone();
            let sent = Reply {
                version,
                start_time,
                netname: netname.clone(),
            };
            let recorded = bytes(reply);
            assert_eq!(sent.encode(asker.into()), recorded, "{asker}");
            replies_seen += 1;
            let Some(own) = ProtocolVersion::new(asker.into()) else {
                continue;
            };
            assert_eq!(request(own), [asker]);
            let expected = match asker {
                ..=32 => Reply {
                    version: 32,
                    start_time: 0,
                    netname: cut(&netname, 14),
                },
                33..=35 => Reply {
                    netname: cut(&netname, 18),
                    ..sent
                },
                _ => sent,
            };
            assert_eq!(Reply::decode(own, &recorded), Ok(expected), "{asker}");
        }
    }
    assert_eq!(replies_seen, 2 * 107);
}

#[test]
fn the_datagrams_of_every_scenario_are_understood() {
    let archive = Archive::load();
    let (mut requests, mut replies, mut announcements) = (0, 0, 0);
    for file in archive.names_ending_in("udp.json") {
        println!("{file}");
        let notes = archive.json(file);
        let mut askers: HashMap<&str, ProtocolVersion> = HashMap::new();
        let mut old_form = None;
        for datagram in notes.as_array().unwrap() {
            let (from, to) = (
                datagram["from"].as_str().unwrap(),
                datagram["to"].as_str().unwrap(),
            );
            let recorded = bytes(datagram);
            if let Some(&own) = askers.get(to) {
                let reply = Reply::decode(own, &recorded).unwrap();
                assert!(reply.serves(&"icecream".into()));
                // An older scheduler answers in the newest layout it knows.
                let above = recorded[0] - own.number() as u8;
                let layout = match (above, recorded.len()) {
                    (1, _) => 32,
                    (2, 32) => 35,
                    (2, _) => 37,
                    _ => own.number(),
                };
                assert_eq!(reply.encode(layout)[1..], recorded[1..]);
                replies += 1;
                continue;
            }
            match Datagram::decode(&recorded).unwrap() {
                Datagram::Request { asker } => {
                    askers.insert(from, ProtocolVersion::new(asker).unwrap());
                    requests += 1;
                }
                Datagram::OldAnnouncement(_) => old_form = Some(recorded),
                Datagram::Announcement(_) => {
                    check_announcements(
                        &old_form.take().expect("the old form comes first"),
                        &recorded,
                    );
                    announcements += 1;
                }
            }
        }
    }
    println!("{requests} requests, {replies} replies, {announcements} announcements");
    assert!(requests > 30 && replies > 30 && announcements > 5);
}
