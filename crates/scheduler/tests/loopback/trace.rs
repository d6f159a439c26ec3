//! What a scheduler writes down is what it did.

use std::fs::File;
use std::io::BufReader;

use gelato_scheduler::Config;
use gelato_scheduler_core::trace::{Placed, Step, Trace};
use gelato_scheduler_core::{Core, Event, Time};

use crate::peers::{Cluster, config};

#[tokio::test]
async fn a_trace_played_again_gives_the_same_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let cluster = Cluster::with(Config {
        trace: Some(path.clone()),
        ..config()
    })
    .await;
    let mut asker = cluster.asker("a").await;
    let mut workers = [cluster.daemon("v", 2).await, cluster.daemon("w", 3).await];
    cluster
        .until("listcs\n", |text| text.matches("load=0").count() >= 2)
        .await;
    let ports: Vec<u32> = workers
        .iter()
        .map(|worker| u32::from(worker.listener.local_addr().unwrap().port()))
        .collect();
    for client in 1..=20 {
        asker.ask(client).await;
        let answer = asker.use_cs().await;
        let at = ports.iter().position(|port| *port == answer.port).unwrap();
        workers[at].begin(answer.job_id).await;
        workers[at].done(answer.job_id, 0).await;
    }
    cluster.stop().await;

    let trace = Trace::open(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut core = Core::new(trace.beginning().config.clone());
    core.remember(trace.beginning().past.clone());
    let steps: Vec<Step> = trace.map(Result::unwrap).collect();
    assert_eq!(steps.last().unwrap().event, Event::Stop);
    let mut decisions = 0;
    for step in steps {
        decisions += step.placed.len();
        let actions = core.handle(Time(step.at), step.event);
        assert_eq!(Placed::among(&actions), step.placed);
    }
    assert_eq!(decisions, 20);
}
