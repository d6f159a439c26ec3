//! What operators ask and what the scheduler is told about the node.

use super::*;

fn ask(bench: &mut Bench, number: u32, asker: Option<u32>, request: &str) -> Vec<Action> {
    bench.connect(number, Origin::Socket);
    bench.event(Event::Ask {
        id: id(number),
        asker,
        request: request.into(),
    })
}

/// What the daemon answered.
fn answer(actions: &[Action]) -> serde_json::Value {
    let answers = actions.iter().find_map(|action| match action {
        Action::Send(_, Message::Answer(answer)) => {
            Some(serde_json::from_slice(answer.text.as_bytes()).unwrap())
        }
        Action::Describe(_, status) => Some((**status).clone()),
        _ => None,
    });
    answers.unwrap_or_else(|| panic!("{actions:?}"))
}

#[test]
fn a_pause_is_answered_and_shown_until_resumed() {
    let mut bench = Bench::with_scheduler(2);
    let request = r#"{"ask":"pause","for":60,"why":"exam"}"#;
    let told = answer(&ask(&mut bench, 1, Some(1000), request));
    assert_eq!(told["mode"], "paused");
    assert_eq!(told["until"], 1060);
    assert_eq!(told["accepting"], false);
    let status = answer(&ask(&mut bench, 2, None, r#"{"ask":"status"}"#));
    assert_eq!(status["why"], "exam");
    assert_eq!(status["reasons"][0]["code"], "paused");
    assert_eq!(status["scheduler"]["connected"], true);
    let told = answer(&ask(&mut bench, 3, Some(1000), r#"{"ask":"resume"}"#));
    assert_eq!(
        (&told["mode"], &told["accepting"]),
        (&"running".into(), &true.into())
    );
}

#[test]
fn administrators_alone_operate_where_the_settings_say_so() {
    let mut bench = Bench::new(2);
    bench.core.settings.about.user = 7;
    bench.core.settings.about.operators = crate::access::Operators::Administrators;
    for (number, asker, code) in [
        (1, Some(1000), "not-allowed"),
        (2, None, "not-allowed"),
        (3, Some(0), ""),
        (4, Some(7), ""),
    ] {
        let told = answer(&ask(&mut bench, number, asker, r#"{"ask":"drain"}"#));
        assert_eq!(
            told["error"]["code"].as_str().unwrap_or(""),
            code,
            "{asker:?}"
        );
    }
    let status = answer(&ask(&mut bench, 5, Some(1000), r#"{"ask":"status"}"#));
    assert_eq!(status["mode"], "draining", "everybody may look");
}

#[test]
fn nonsense_is_answered_and_other_machines_are_not() {
    let mut bench = Bench::new(2);
    for (number, request, code) in [
        (1, "{", "malformed"),
        (2, r#"{"ask":"dance"}"#, "unknown-request"),
        (3, "{}", "unknown-request"),
        (4, r#"{"ask":"pause","for":"long"}"#, "malformed"),
    ] {
        let told = answer(&ask(&mut bench, number, Some(0), request));
        assert_eq!(told["error"]["code"], code, "{request}");
    }
    bench.connect(5, Origin::Network([10, 0, 0, 9].into()));
    let actions = bench.event(Event::Ask {
        id: id(5),
        asker: None,
        request: r#"{"ask":"status"}"#.into(),
    });
    assert!(
        closed(&actions)
            && !actions
                .iter()
                .any(|action| matches!(action, Action::Describe(..)))
    );
}

#[test]
fn only_a_scheduler_of_our_own_is_told_about_the_node_and_only_news() {
    let notes = |actions: &[Action]| -> Vec<String> {
        actions
            .iter()
            .filter_map(|action| match action {
                Action::Report(Message::NodeNote(note)) => Some(note.text.to_string()),
                _ => None,
            })
            .collect()
    };
    let configured = |banner: &str| {
        Message::CsConf(CsConf {
            max_scheduler_pong: 3,
            max_scheduler_ping: 36,
            bench_source: banner.into(),
        })
    };
    let mut bench = Bench::with_scheduler(2);
    assert_eq!(notes(&bench.scheduler_says(configured(""))).len(), 0);
    assert_eq!(
        notes(&ask(&mut bench, 1, Some(0), r#"{"ask":"drain"}"#)).len(),
        0
    );
    let told = notes(&bench.scheduler_says(configured("gelato/1")));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("\"mode\":\"draining\""), "{told:?}");
    assert_eq!(
        notes(&bench.scheduler_says(configured("gelato/1"))).len(),
        0
    );
    assert_eq!(
        notes(&ask(&mut bench, 2, Some(0), r#"{"ask":"resume"}"#)).len(),
        1
    );
}

#[test]
fn records_are_for_those_whose_jobs_they_are_about() {
    let mut bench = Bench::new(2);
    bench.core.settings.about.user = 7;
    let question = |bench: &mut Bench, number, asker| {
        let actions = ask(bench, number, asker, r#"{"ask":"records","last":5}"#);
        actions.into_iter().find_map(|action| match action {
            Action::Recall(_, question) => Some(question),
            _ => None,
        })
    };
    let request = serde_json::json!({ "ask": "records", "last": 5 });
    for (number, asker, user) in [
        (1, Some(1000), Some(1000)),
        (2, Some(0), None),
        (3, Some(7), None),
    ] {
        let expected = crate::records::desk::Question::read(&request, user).unwrap();
        assert_eq!(question(&mut bench, number, asker), Some(expected));
    }
    let told = answer(&ask(&mut bench, 4, None, r#"{"ask":"records"}"#));
    assert_eq!(told["error"]["code"], "not-allowed");
    let told = answer(&ask(
        &mut bench,
        5,
        Some(0),
        r#"{"ask":"records","last":"x"}"#,
    ));
    assert_eq!(told["error"]["code"], "malformed");
}

#[test]
fn records_go_to_schedulers_that_know_them() {
    let mut bench = Bench::with_scheduler(2);
    for (banner, takes) in [
        ("", false),
        ("gelato/1", false),
        ("gelato/2", true),
        ("gelato/17", true),
        ("gelato/x", false),
    ] {
        bench.scheduler_says(Message::CsConf(CsConf {
            max_scheduler_pong: 3,
            max_scheduler_ping: 36,
            bench_source: banner.into(),
        }));
        assert_eq!(bench.core.scheduler_takes_records(), takes, "{banner:?}");
    }
    bench.event(Event::LinkDown { generation: LINK });
    assert!(!bench.core.scheduler_takes_records());
}
