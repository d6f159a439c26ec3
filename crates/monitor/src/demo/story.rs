//! What is told of the demo's jobs beyond Icecream's feed: records, explanations, and what jobs wait for.

use gelato_record::{JobRecord, Phases, Verdict};

use super::hosts::DemoHost;
use super::{Demo, DemoJob, Fate, What};
use crate::event::Event;

/// Reasons of jobs that stay local from the start: code, what it is about, words.
pub(super) const LOCAL: [(&str, Option<&str>, &str); 6] = [
    ("native-cpu", Some("-march=native"), ""),
    ("unknown-option", Some("-fflavour=pistachio"), ""),
    ("precompiled-header", Some("all.h.gch"), ""),
    ("side-files", Some("-save-temps"), ""),
    ("no-toolchain", None, "cc1plus: permission denied"),
    ("scheduler-silent", None, "no answer within 60 s"),
];

pub(super) fn object(source: &str) -> String {
    let stem = source.rsplit_once('.').map_or(source, |(stem, _)| stem);
    format!("{stem}.o")
}

/// One line on why a host was chosen.
pub(super) fn why(hosts: &[DemoHost], chosen: usize, submitter: usize, takes: u64) -> String {
    let free = hosts
        .iter()
        .filter(|host| host.here && host.busy < host.slots);
    let name = &hosts[chosen].name;
    if chosen == submitter {
        return format!("{name}: a small job, and its own submitter has a processor to spare");
    }
    format!(
        "{name}: done first, in {takes} ms; {} candidates with a free slot, toolchain there already",
        free.count() + 1
    )
}

/// What a job waits for.
pub(super) fn waits_for(position: u32, number: u32) -> (&'static str, String) {
    match number % 9 {
        0 => (
            "install",
            "the toolchain is on its way to edsger".to_owned(),
        ),
        1 => ("fair-share", "other users have waited longer".to_owned()),
        2 => (
            "memory",
            "needs 1200 MiB, and no host has so much free".to_owned(),
        ),
        _ => (
            "slot",
            format!("all slots are taken; {} before it", position - 1),
        ),
    }
}

impl Demo {
    /// The record of a job that is over sets out.
    pub(super) fn tell_record(&mut self, job: &DemoJob) {
        let user = &self.users[job.user];
        if !user.records {
            return;
        }
        let submitter = self.hosts[user.host].number;
        let mut record = self.basic_record(job);
        let wall = record.wall;
        match job.what {
            What::Compile => {
                let own = job.host == self.users[job.user].host;
                let ran = job.ends - job.begun;
                let receive = 20 + ran / 60;
                let preprocess = 30 + ran / 9;
                let send = 10 + ran / 40;
                record.verdict = if own { Verdict::Own } else { Verdict::Remote };
                record.phases.wait = job.begun - job.asked;
                record.exit = i32::from(job.fate == Fate::Wrong);
                if own {
                    record.reason = Some("assigned-here".to_owned());
                    record.phases.local = ran;
                    record.cpu = ran * 95 / 100;
                } else {
                    record.phases = Phases {
                        connect: 2,
                        preprocess,
                        send,
                        receive,
                        compile: ran.saturating_sub(receive + preprocess + send + 2),
                        ..record.phases
                    };
                    record.cpu = preprocess + 15;
                    record.worker = Some(format!("{}:10245", self.hosts[job.host].name));
                    record.sent = u64::from(job.source / 6);
                    record.received = u64::from(job.source / 20);
                }
            }
            What::Local(reason) => {
                let (code, subject, detail) = LOCAL[reason];
                record.verdict = Verdict::Local;
                record.reason = Some(code.to_owned());
                record.subject = subject.map(str::to_owned);
                record.detail = detail.to_owned();
                record.phases.local = wall;
                record.cpu = wall * 95 / 100;
            }
            What::Link => {
                record.verdict = Verdict::Local;
                record.reason = Some("no-compile-step".to_owned());
                record.language = None;
                record.source = String::new();
                record.phases.local = wall;
                record.cpu = wall * 9 / 10;
            }
            What::Again(reason) => {
                record.verdict = Verdict::FailedOver;
                record.reason = Some(reason.to_owned());
                record.detail = "the worker did not send a result".to_owned();
                record.retries = 1;
                record.phases.local = wall;
                record.cpu = wall * 95 / 100;
            }
        }
        let record = Box::new(record);
        self.records.push(Event::Record {
            host: submitter,
            record,
        });
    }

    /// A build begins with something so short that only its record tells of it.
    pub(super) fn tell_probe(&mut self, user: usize) {
        let at = &self.users[user];
        let record = JobRecord {
            end: self.now + at.clock,
            verdict: Verdict::Local,
            reason: Some("configure-probe".to_owned()),
            file: "conftest.o".to_owned(),
            source: "conftest.c".to_owned(),
            folder: format!("/home/u{}/{}", at.number, at.project),
            compiler: "gcc".to_owned(),
            language: Some("c".to_owned()),
            build: at.build.clone(),
            wall: 35,
            cpu: 30,
            phases: Phases {
                analyse: 1,
                local: 34,
                ..Phases::default()
            },
            user: Some(at.number),
            ..JobRecord::default()
        };
        self.records.push(Event::Record {
            host: self.hosts[at.host].number,
            record: Box::new(record),
        });
    }

    fn basic_record(&self, job: &DemoJob) -> JobRecord {
        let user = &self.users[job.user];
        let c = job.file.ends_with(".c");
        JobRecord {
            end: self.now + user.clock,
            file: match job.what {
                What::Compile => object(&job.file),
                _ => job.file.clone(),
            },
            source: match job.what {
                What::Compile => job.file.clone(),
                _ => String::new(),
            },
            folder: format!("/home/u{}/{}", user.number, user.project),
            compiler: if c { "gcc" } else { "g++" }.to_owned(),
            language: Some(if c { "c" } else { "c++" }.to_owned()),
            build: user.build.clone(),
            job: Some(job.number),
            wall: job.ends - job.asked,
            phases: Phases {
                analyse: 1,
                ..Phases::default()
            },
            source_bytes: job.source.into(),
            output_bytes: u64::from(job.source / 9),
            user: Some(user.number),
            ..JobRecord::default()
        }
    }
}
