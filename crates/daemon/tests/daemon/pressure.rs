//! Many large toolchains in a cache that holds two: whatever is evicted, nothing is taken from a job.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gelato_wire::Message;

use crate::fixture::{Node, Scheduler, compile, job, receive_file, send_toolchain, verify};
use crate::synthetic::{self, Ballast};

crate::trials!(thirty_large_toolchains_in_a_cache_for_two);

const TOOLCHAINS: usize = 30;
const SUBMITTERS: usize = 5;
const MEGABYTES: u64 = 200;

async fn thirty_large_toolchains_in_a_cache_for_two() {
    let slots = u32::try_from(SUBMITTERS).unwrap();
    let (node, scheduler, _) = Node::configured_with_scheduler(slots, |config| {
        config.cache_limit = Some((2 * MEGABYTES + 40) << 20);
    })
    .await;
    let node = Arc::new(node);
    let known = Arc::new(Mutex::new(BTreeSet::new()));
    let listening = tokio::spawn(listen(scheduler, Arc::clone(&known)));
    let ballast = Arc::new(Ballast::new(MEGABYTES));
    // Each of them, and side by side and later some of them again.
    let mut jobs: VecDeque<usize> = (0..TOOLCHAINS).collect();
    jobs.extend((0..TOOLCHAINS).step_by(6).flat_map(|number| [number; 6]));
    let count = jobs.len();
    let jobs = Arc::new(Mutex::new(jobs));
    let begin = Instant::now();
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|_| {
            let (jobs, known) = (Arc::clone(&jobs), Arc::clone(&known));
            let (node, ballast) = (Arc::clone(&node), Arc::clone(&ballast));
            tokio::spawn(async move {
                let mut sent = 0;
                loop {
                    let next = jobs.lock().unwrap().pop_front();
                    let Some(number) = next else { return sent };
                    sent += one_job(&node, number, &known, &ballast).await;
                }
            })
        })
        .collect();
    let mut sent = 0;
    for submitter in submitters {
        sent += submitter.await.unwrap();
    }
    eprintln!(
        "{TOOLCHAINS} toolchains of {MEGABYTES} MB, {sent} transfers, {count} jobs in {:?}",
        begin.elapsed()
    );
    // Nothing is in use any more: what is announced fits.
    while known.lock().unwrap().len() > 2 {
        tokio::task::yield_now().await;
    }
    listening.abort();
}

/// Sends the toolchain if the scheduler does not know that it is there; how often that was.
async fn one_job(
    node: &Node,
    number: usize,
    known: &Mutex<BTreeSet<String>>,
    ballast: &Ballast,
) -> usize {
    let name = format!("large-{number:02}");
    let is_known = known.lock().unwrap().contains(&name);
    let mut submitter = node.submitter().await;
    if !is_known {
        let archive = synthetic::large(&[("tag", name.as_bytes())], ballast);
        send_toolchain(&mut submitter, &name, &archive).await;
        submitter.send(&Message::End).await.unwrap();
        assert!(verify(&mut submitter, &name).await, "{name} was refused");
    }
    let source = "sleep 0.1; cat /tag >$out; test -s /ballast || exit 9\n";
    let request = job(u32::try_from(number).unwrap(), &name, &["-c"]);
    let answer = compile(&mut submitter, request, source).await;
    assert_eq!(answer.status, 0, "{name}: {}", answer.stderr);
    let object = receive_file(&mut submitter).await;
    assert_eq!(object, name.as_bytes(), "another toolchain");
    usize::from(!is_known)
}

async fn listen(mut scheduler: Scheduler, known: Arc<Mutex<BTreeSet<String>>>) {
    loop {
        if let Message::Login(login) = scheduler.next().await {
            let names = login.environments.iter().map(|one| one.name.to_string());
            *known.lock().unwrap() = names.collect();
        }
    }
}
