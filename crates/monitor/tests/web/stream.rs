//! The live stream.

use gelato_monitor::Event;

use crate::site::{Site, Stream};

/// Reads changes until one has what is wanted.
fn until<T>(stream: &mut Stream, wanted: impl Fn(&serde_json::Value) -> Option<T>) -> T {
    loop {
        let (event, data) = stream.next();
        assert_eq!(event, "delta");
        if let Some(found) = wanted(&data) {
            return found;
        }
    }
}

#[test]
fn a_browser_sees_everything_and_then_what_changes() {
    let site = Site::start();
    site.connected();
    site.host(1);
    site.host(2);
    let queued = Event::Queued {
        job: 7,
        client: 1,
        file: "a.c".to_owned(),
        language: 0,
    };
    site.tell(queued);
    let mut stream = loop {
        // Events are on their way to the picture.
        let mut stream = site.watch();
        let (event, data) = stream.next();
        assert_eq!(event, "snapshot");
        if data["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1) {
            assert_eq!(data["hosts"].as_array().unwrap().len(), 2);
            assert_eq!(data["cluster"]["netname"], "test");
            assert_eq!(data["jobs"][0]["state"], "queued");
            break stream;
        }
    };
    let mut second = site.watch();
    assert_eq!(second.next().0, "snapshot");
    site.tell(Event::Begun { job: 7, host: 2 });
    for stream in [&mut stream, &mut second] {
        let state = until(stream, |data| {
            let job = data["jobs"].as_array()?.first()?.clone();
            (job["state"] == "running").then_some(job["file"].clone())
        });
        assert_eq!(state, "a.c");
    }
    site.tell(Event::Lost {
        reason: "gone".to_owned(),
    });
    until(&mut stream, |data| {
        (data["cluster"]["link"] == "down").then_some(())
    });
}

#[test]
fn a_scheduler_without_records_says_so_and_reconnecting_keeps_history() {
    let site = Site::start();
    site.connected();
    site.host(1);
    site.host(2);
    let job = |number| Event::Queued {
        job: number,
        client: 1,
        file: "a.c".to_owned(),
        language: 0,
    };
    for number in 1..=3 {
        site.tell(job(number));
        site.tell(Event::Begun {
            job: number,
            host: 2,
        });
        let figures = Default::default();
        site.tell(Event::Done {
            job: number,
            figures,
        });
    }
    site.tell(Event::Lost {
        reason: "restart".to_owned(),
    });
    // The new scheduler counts anew.
    site.connected();
    site.host(2);
    let mut stream = site.watch();
    let (_, mut seen) = stream.next();
    while seen["cluster"]["hosts"] != 1 || seen["cluster"]["link"] != "up" {
        (_, seen) = stream.next();
    }
    let cluster = site.get("/api/v1/cluster", &[]).json();
    assert_eq!(cluster["has_records"], false);
    assert_eq!(cluster["totals"]["remote"], 3);
    let hosts = site.get("/api/v1/hosts", &[]).json();
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 2);
    let id = hosts["hosts"][1]["id"].to_string();
    let host = site.get(&format!("/api/v1/hosts/{id}"), &[]).json();
    assert_eq!(host["host"]["as_server"]["jobs"], 3);
    assert_eq!(host["recent"].as_array().unwrap().len(), 3);
}
