//! The users of the demo: each builds, links, thinks for a while, and builds again.

use super::hosts::DemoHost;
use super::{Demo, LEAVER, What, story};
use crate::event::Event;

const FOLDERS: [&str; 6] = ["core", "ui", "net", "base", "media", "tests"];

const SOURCES: [&str; 8] = [
    "parser.cpp",
    "lexer.cpp",
    "window.cpp",
    "menu.cpp",
    "socket.c",
    "http.cpp",
    "string.cpp",
    "allocator.c",
];

const PROJECTS: [&str; 5] = ["gelateria", "browser", "kernel", "firmware", "compiler"];

/// Longest thinking between two builds, in ms.
const THINKING: u32 = 14_000;

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) host: usize,
    pub(super) number: u32,
    pub(super) project: &'static str,
    /// What the build is called, if the user's programs tell.
    pub(super) build: Option<String>,
    /// Whether the user's client is one that writes records.
    pub(super) records: bool,
    /// Milliseconds by which the clock is ahead.
    pub(super) clock: u64,
    at_once: usize,
    files: Vec<String>,
    in_flight: usize,
    links: u32,
    idle_until: u64,
    builds: u32,
}

impl User {
    pub(super) fn job_is_over(&mut self, _what: What) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

pub(super) fn invented(random: &mut fastrand::Rng, hosts: &[DemoHost], now: u64) -> Vec<User> {
    let slots: u32 = hosts.iter().map(|host| host.slots).sum();
    let places = (0..hosts.len()).filter(|&host| host != LEAVER && !hosts[host].faulty);
    let count = (2 + hosts.len() / 6).min(hosts.len());
    let at_once = (slots as usize * 11 / 10 / count).clamp(4, 64);
    let users = places.take(count).enumerate();
    users
        .map(|(index, host)| User {
            host,
            number: 1000 + index as u32 % 3,
            project: PROJECTS[index % PROJECTS.len()],
            build: None,
            records: index % 5 != 3,
            clock: if index == 2 { 4_000 } else { 0 },
            at_once,
            files: Vec::new(),
            in_flight: 0,
            links: 0,
            idle_until: now + u64::from(random.u32(..4)) * 1_000 * u64::from(index > 0),
            builds: 0,
        })
        .collect()
}

/// Milliseconds a file takes on a usual host: always the same.
pub(super) fn duration(file: &str) -> u64 {
    let hash = file.bytes().fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    match hash % 23 {
        0 => 9_000 + u64::from(hash % 5_000),
        _ => 500 + u64::from(hash / 7 % 4_500),
    }
}

impl Demo {
    /// One step of a user.
    pub(super) fn work(&mut self, index: usize, events: &mut Vec<Event>) {
        let user = &mut self.users[index];
        if user.idle_until > self.now {
            return;
        }
        if user.files.is_empty() && user.in_flight == 0 {
            if user.links > 0 {
                user.links -= 1;
                user.in_flight += 1;
                let file = match user.links {
                    0 => format!("bin/{}", user.project),
                    part => format!("lib/lib{}{part}.so", user.project),
                };
                let takes = 800 + self.below(3_500);
                self.begin_here(index, file, What::Link, takes.into(), events);
                return;
            }
            if user.build.is_some() || user.builds > 0 && user.idle_until == 0 {
                user.build = None;
                user.idle_until = self.now + 11_000 + u64::from(self.random.u32(..THINKING));
                return;
            }
            self.begin_build(index);
        }
        for _ in 0..8 {
            let user = &mut self.users[index];
            if user.in_flight >= user.at_once {
                return;
            }
            let Some(file) = user.files.pop() else {
                return;
            };
            user.in_flight += 1;
            self.begin_file(index, file, events);
        }
    }

    fn begin_build(&mut self, index: usize) {
        let mut files: Vec<String> = FOLDERS
            .iter()
            .flat_map(|folder| {
                SOURCES
                    .iter()
                    .map(move |source| format!("{folder}/{source}"))
            })
            .collect();
        self.random.shuffle(&mut files);
        // Now and then only what was changed.
        if self.below(4) == 0 {
            files.truncate(12);
        } else {
            let again: Vec<String> = files.iter().map(|file| format!("plugin/{file}")).collect();
            files.extend(again);
        }
        let now = self.now;
        let user = &mut self.users[index];
        user.builds += 1;
        user.links = 1 + user.builds % 3;
        user.files = files;
        user.idle_until = 0;
        user.build = (index % 4 != 1).then(|| {
            let (project, seconds) = (user.project, now / 1000);
            format!("{project}-{seconds}-{}", 4_000 + 7 * user.builds)
        });
        if user.records {
            self.tell_probe(index);
        }
    }

    fn begin_file(&mut self, index: usize, file: String, events: &mut Vec<Event>) {
        match self.below(18) {
            0 => {
                let reason = self.below(story::LOCAL.len() as u32) as usize;
                let takes = duration(&file) / 2;
                let object = story::object(&file);
                self.begin_here(index, object, What::Local(reason), takes, events);
            }
            _ => self.ask(index, file, events),
        }
    }
}
