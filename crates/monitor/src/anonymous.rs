//! Events without names: hosts, files, users, builds and words people wrote become others, the same each time, so that pictures of a
//! cluster can be shown to strangers. Numbers, times and sizes stay.

use std::net::Ipv4Addr;

use gelato_record::JobRecord;

use crate::event::Event;

/// Endings of files that say nothing but the language.
const ENDINGS: [&str; 12] = [
    "c", "cc", "cpp", "cxx", "C", "h", "hpp", "m", "mm", "s", "S", "o",
];

/// The event as strangers may see it.
pub fn anonymous(event: Event) -> Event {
    match event {
        Event::Connected { protocol, .. } => Event::Connected {
            scheduler: "scheduler".to_owned(),
            netname: None,
            protocol,
        },
        // It names addresses.
        Event::Lost { .. } => Event::Lost {
            reason: "the connection was lost".to_owned(),
        },
        Event::Host { host, mut facts } => {
            facts.ip = address(&facts.ip);
            facts.name = name("host", &facts.name);
            let telling = ["Algorithm", "Sandbox", "Software", "Scheduler"];
            facts.others.retain(|key, value| {
                let harmless = |letter: char| letter.is_ascii_digit();
                telling.contains(&key.as_str())
                    || value == "true"
                    || value == "false"
                    || value.chars().all(harmless)
            });
            Event::Host { host, facts }
        }
        Event::Queued {
            job,
            client,
            file,
            language,
        } => Event::Queued {
            job,
            client,
            file: path(&file),
            language,
        },
        Event::LocalBegun { job, host, file } => Event::LocalBegun {
            job,
            host,
            file: path(&file),
        },
        Event::Scheduler {
            version,
            started,
            algorithm,
            blocked,
        } => Event::Scheduler {
            version,
            started,
            algorithm,
            blocked: blocked.iter().map(|host| name("host", host)).collect(),
        },
        Event::Record { host, record } => Event::Record {
            host,
            record: Box::new(nameless(*record)),
        },
        Event::Explained { job, .. } => Event::Explained {
            job,
            why: "hidden: it names hosts".to_owned(),
        },
        Event::Waiting {
            job,
            position,
            reason,
            ..
        } => Event::Waiting {
            job,
            position,
            reason,
            text: "hidden: it names hosts".to_owned(),
        },
        Event::Operator {
            command, result, ..
        } => Event::Operator {
            who: "somebody".to_owned(),
            command: command
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            result: if result == "ok" {
                result
            } else {
                "refused".to_owned()
            },
        },
        event @ (Event::HostGone { .. }
        | Event::Begun { .. }
        | Event::Done { .. }
        | Event::LocalDone { .. }) => event,
    }
}

fn nameless(record: JobRecord) -> JobRecord {
    let worker = record.worker.as_deref().map(|worker| {
        let (host, port) = worker.rsplit_once(':').unwrap_or((worker, "0"));
        format!("{}:{port}", name("host", host))
    });
    let compiler = record
        .compiler
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    JobRecord {
        detail: String::new(),
        subject: None,
        file: path(&record.file),
        source: path(&record.source),
        folder: path(&record.folder),
        compiler,
        build: record.build.as_deref().map(|build| name("build", build)),
        worker,
        user: None,
        ..record
    }
}

/// A path of as many parts, each another word; what a file ends with stays.
fn path(text: &str) -> String {
    let parts = text.split('/').map(|part| match part {
        "" | "." | ".." => part.to_owned(),
        part => match part.rsplit_once('.') {
            Some((stem, ending)) if ENDINGS.contains(&ending) => {
                format!("{:04x}.{ending}", hash(stem) & 0xffff)
            }
            _ => format!("{:04x}", hash(part) & 0xffff),
        },
    });
    parts.collect::<Vec<_>>().join("/")
}

fn name(kind: &str, text: &str) -> String {
    format!("{kind}-{:04x}", hash(text) & 0xffff)
}

fn address(text: &str) -> String {
    let [_, b, c, d] = hash(text).to_be_bytes();
    Ipv4Addr::new(10, b, c, d).to_string()
}

/// FNV-1a: the same in every run. It hides from readers, not from somebody who tries names.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Demo;

    /// Words of the demo that name somebody or something.
    fn names(event: &Event, found: &mut Vec<String>) {
        match event {
            Event::Host { facts, .. } => found.extend([facts.name.clone(), facts.ip.clone()]),
            Event::Queued { file, .. } | Event::LocalBegun { file, .. } => {
                found.extend(file.split(['/', '.']).map(str::to_owned));
            }
            Event::Record { record, .. } => {
                let texts = [&record.file, &record.source, &record.folder];
                found.extend(
                    texts
                        .into_iter()
                        .flat_map(|text| text.split(['/', '.']))
                        .map(str::to_owned),
                );
                found.extend(record.build.clone());
            }
            _ => {}
        }
    }

    #[test]
    fn no_name_of_the_demo_is_left() {
        let mut demo = Demo::new(3, 8, 1_700_000_000_000);
        let events: Vec<Event> = (0..600).flat_map(|_| demo.step()).collect();
        let mut found = Vec::new();
        events.iter().for_each(|event| names(event, &mut found));
        found.retain(|name| name.len() > 4);
        found.sort();
        found.dedup();
        assert!(found.len() > 10);
        for event in events {
            let text = format!("{:?}", anonymous(event));
            for name in &found {
                assert!(!text.contains(name.as_str()), "{name} is in {text}");
            }
        }
    }

    #[test]
    fn the_same_name_is_the_same_stranger() {
        assert_eq!(path("src/ui/a.cpp"), path("src/ui/a.cpp"));
        assert!(path("/src/a.cpp").starts_with('/') && path("a.cpp").ends_with(".cpp"));
        assert_ne!(name("host", "ada"), name("host", "eda"));
    }
}
