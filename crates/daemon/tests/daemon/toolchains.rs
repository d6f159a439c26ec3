//! Toolchains of other machines: whole, cut, garbage, twice at once.

use std::process::Command;

use gelato_wire::Message;
use gelato_wire::msg::{TransferEnv, VerifyEnv};

use crate::fixture::{
    Node, archive, compile, ended, install, job, next, receive_file, send_file, send_toolchain,
    verify,
};
use crate::synthetic::{self, Ballast};

crate::trials!(
    a_good_one_is_installed_announced_and_verified,
    one_cut_in_half_leaves_nothing,
    garbage_is_read_to_its_end_and_fails_verification,
    d8_two_at_once_and_again_later_are_fine,
    t12_a_name_that_says_another_content_is_refused_with_the_reason,
    t27_names_that_leave_the_store_are_refused,
    a_sender_that_dies_in_the_middle_leaves_the_others_theirs,
    jobs_run_while_a_toolchain_is_being_installed,
    a_full_disk_refuses_with_its_reason_and_jobs_go_on,
    what_was_retired_serves_jobs_that_are_on_their_way,
);

async fn a_good_one_is_installed_announced_and_verified() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let name = install(&node, &mut scheduler).await;
    let root = node
        .folder
        .join("base/toolchains/x86_64")
        .join(name)
        .join("root");
    assert!(root.join("usr/bin/gcc").exists(), "{}", root.display());
}

async fn one_cut_in_half_leaves_nothing() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let (bytes, name) = archive();
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, name, &bytes[..bytes.len() / 2]).await;
    drop(submitter);
    assert_eq!(
        scheduler.login().await.environments,
        [],
        "t7: announced although it failed"
    );
    let mut submitter = node.submitter().await;
    assert!(!verify(&mut submitter, name).await);
    assert_eq!(
        std::fs::read_dir(node.folder.join("base/tmp"))
            .unwrap()
            .count(),
        0
    );
}

async fn garbage_is_read_to_its_end_and_fails_verification() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let garbage: Vec<u8> = (0..3_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, "garbage", &garbage).await;
    submitter.send(&Message::End).await.unwrap();
    // t9: without a text before it, so that Icecream's wrappers avoid this machine for that toolchain.
    assert!(!verify(&mut submitter, "garbage").await);
    assert_eq!(scheduler.login().await.environments, []);
}

async fn d8_two_at_once_and_again_later_are_fine() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let (bytes, name) = archive();
    let (mut one, mut two) = (node.submitter().await, node.submitter().await);
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    send_toolchain(&mut one, name, half).await;
    send_toolchain(&mut two, name, bytes).await;
    two.send(&Message::End).await.unwrap();
    send_file(&mut one, rest).await;
    one.send(&Message::End).await.unwrap();
    assert!(verify(&mut one, name).await);
    assert!(verify(&mut two, name).await);
    assert_eq!(scheduler.login().await.environments.len(), 1);
    let mut three = node.submitter().await;
    send_toolchain(&mut three, name, bytes).await;
    three.send(&Message::End).await.unwrap();
    assert!(verify(&mut three, name).await);
    assert_eq!(scheduler.login().await.environments.len(), 1);
}

async fn t27_names_that_leave_the_store_are_refused() {
    let (node, _scheduler, _) = Node::with_scheduler(1).await;
    for (name, target) in [
        ("..", "x86_64"),
        ("a/b", "x86_64"),
        ("", "x86_64"),
        ("abc", "../.."),
        ("abc", "/etc"),
    ] {
        let mut submitter = node.submitter().await;
        let transfer = TransferEnv {
            name: name.into(),
            target: target.into(),
        };
        submitter
            .send(&Message::TransferEnv(transfer))
            .await
            .unwrap();
        assert_eq!(
            next(&mut submitter).await.name(),
            "STATUS_TEXT",
            "{name:?} {target:?}"
        );
        ended(&mut submitter).await;
    }
}

async fn t12_a_name_that_says_another_content_is_refused_with_the_reason() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let (bytes, name) = archive();
    let wrong = format!("gelato-{}", "0".repeat(40));
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, &wrong, bytes).await;
    submitter.send(&Message::End).await.unwrap();
    assert!(!verify(&mut submitter, &wrong).await);
    let Message::StatusText(reason) = next(&mut submitter).await else {
        panic!("no reason");
    };
    let reason = reason.text.to_string_lossy();
    assert!(reason.contains(name), "{reason}");
    assert_eq!(scheduler.login().await.environments, []);
}

async fn a_sender_that_dies_in_the_middle_leaves_the_others_theirs() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let bytes = synthetic::toolchain(&[]);
    let (half, _) = bytes.split_at(bytes.len() / 2);
    let mut first = node.submitter().await;
    send_toolchain(&mut first, "shell", half).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = node.submitter().await;
        send_toolchain(&mut other, "shell", &bytes).await;
        other.send(&Message::End).await.unwrap();
        others.push(other);
    }
    drop(first);
    for other in &mut others {
        assert!(verify(other, "shell").await);
    }
    let toolchains = loop {
        let login = scheduler.login().await;
        if !login.environments.is_empty() {
            break login.environments;
        }
    };
    assert_eq!(toolchains.len(), 1);
    let left = std::fs::read_dir(node.folder.join("base/tmp")).unwrap();
    assert_eq!(left.count(), 0);
}

async fn jobs_run_while_a_toolchain_is_being_installed() {
    let (node, mut scheduler, _) = Node::with_scheduler(2).await;
    let bytes = synthetic::toolchain(&[]);
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, "shell", &bytes).await;
    submitter.send(&Message::End).await.unwrap();
    assert!(verify(&mut submitter, "shell").await);
    scheduler.login().await;
    let mut slow = node.submitter().await;
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    send_toolchain(&mut slow, "another", half).await;
    for number in 0..6 {
        let mut submitter = node.submitter().await;
        let answer = compile(&mut submitter, job(number, "shell", &["-c"]), "").await;
        assert_eq!(answer.status, 0, "{}", answer.stderr);
    }
    send_file(&mut slow, rest).await;
    slow.send(&Message::End).await.unwrap();
    assert!(verify(&mut slow, "another").await);
}

/// Started as root, the executable runs the trial again with a file system of its own for the daemon's folders.
async fn a_full_disk_refuses_with_its_reason_and_jobs_go_on() {
    const SMALL: &str = "GELATO_TEST_SMALL_DISK";
    const NAME: &str = "a_full_disk_refuses_with_its_reason_and_jobs_go_on";
    if std::env::var_os(SMALL).is_some() {
        return on_a_small_disk().await;
    }
    if !gelato_sandbox::identity::is_root() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let ran = tokio::task::spawn_blocking(move || {
        let script = "mount -t tmpfs -o size=400m,mode=1777 none /var/tmp && exec \"$@\"";
        Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(program)
            .args(["--exact", NAME])
            .env(SMALL, "1")
            .output()
            .unwrap()
    });
    let output = ran.await.unwrap();
    crate::fixture::assert_one_passed(&output);
}

async fn on_a_small_disk() {
    let (node, mut scheduler, _) = Node::with_scheduler(1).await;
    let mut submitter = node.submitter().await;
    send_toolchain(&mut submitter, "shell", &synthetic::toolchain(&[])).await;
    submitter.send(&Message::End).await.unwrap();
    assert!(verify(&mut submitter, "shell").await);
    scheduler.login().await;
    let mut submitter = node.submitter().await;
    let bytes = synthetic::large(&[], &Ballast::new(500));
    send_toolchain(&mut submitter, "large", &bytes).await;
    submitter.send(&Message::End).await.unwrap();
    let verify = VerifyEnv {
        environment: "large".into(),
        target: "x86_64".into(),
    };
    submitter.send(&Message::VerifyEnv(verify)).await.unwrap();
    // No verdict, after which submitters would avoid this machine for good.
    let Message::StatusText(status) = next(&mut submitter).await else {
        panic!("no reason");
    };
    let reason = status.text.to_string_lossy();
    assert!(reason.contains("No space left on device"), "{reason}");
    let left = std::fs::read_dir(node.folder.join("base/tmp")).unwrap();
    assert_eq!(left.count(), 0);
    assert_eq!(scheduler.login().await.environments.len(), 1);
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(1, "shell", &["-c"]), "").await;
    assert_eq!(answer.status, 0, "{}", answer.stderr);
}

async fn what_was_retired_serves_jobs_that_are_on_their_way() {
    let (node, mut scheduler, _) =
        Node::configured_with_scheduler(1, |config| config.cache_limit = Some(1)).await;
    let bytes = synthetic::toolchain(&[]);
    for name in ["first", "second"] {
        let mut submitter = node.submitter().await;
        send_toolchain(&mut submitter, name, &bytes).await;
        submitter.send(&Message::End).await.unwrap();
        assert!(verify(&mut submitter, name).await);
        // Its job, after which nothing holds it.
        let answer = compile(&mut submitter, job(1, name, &["-c"]), "").await;
        assert_eq!(answer.status, 0);
        receive_file(&mut submitter).await;
        ended(&mut submitter).await;
    }
    let mut announced = Vec::new();
    while announced != ["second"] {
        if let Message::Login(login) = scheduler.next().await {
            let names = login.environments.iter().map(|one| one.name.to_string());
            announced = names.collect();
        }
    }
    let mut submitter = node.submitter().await;
    let answer = compile(&mut submitter, job(2, "first", &["-c"]), "").await;
    assert_eq!(answer.status, 0, "{}", answer.stderr);
}
