//! Toolchains of other machines: whole, cut, garbage, twice at once.

use gelato_wire::Message;
use gelato_wire::msg::TransferEnv;

use crate::fixture::{Node, archive, ended, install, next, send_toolchain, verify};

crate::trials!(
    a_good_one_is_installed_announced_and_verified,
    one_cut_in_half_leaves_nothing,
    garbage_is_read_to_its_end_and_fails_verification,
    d8_two_at_once_and_again_later_are_fine,
    t12_a_name_that_says_another_content_is_refused_with_the_reason,
    t27_names_that_leave_the_store_are_refused,
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
    crate::fixture::send_file(&mut one, rest).await;
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
