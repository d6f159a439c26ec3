//! `gelato daemon --check`.

use std::net::TcpListener;

use crate::daemon::{User, folder, free_port, gelato};

fn check(user: User, config: &str, options: &[&str]) -> (bool, String) {
    let folder = folder();
    let file = folder.path().join("gelato.toml");
    std::fs::write(&file, config).unwrap();
    let port = free_port().to_string();
    let output = gelato(user, folder.path())
        .env("GELATO_CONFIG", &file)
        .args(["daemon", "--check"])
        .arg("-b")
        .arg(folder.path().join("base"))
        .arg("--socket")
        .arg(folder.path().join("socket"))
        .args(if options.contains(&"-p") {
            vec![]
        } else {
            vec!["-p", &port]
        })
        .args(options)
        .output()
        .unwrap();
    assert!(
        !folder.path().join("base").exists() && !folder.path().join("socket").exists(),
        "nothing is started or made"
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.success(),
        text + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn a_good_configuration_is_good() {
    for &user in User::all() {
        let (good, text) = check(user, "[daemon]\nallow = [\"private\", \"any\"]\n", &[]);
        assert!(good && text.contains("no problems found"), "{text}");
    }
}

#[test]
fn every_problem_is_named_with_what_to_do() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for &user in User::all() {
        let (good, text) = check(
            user,
            "[daemon]\nnice = 99\nnonsense = 1\n",
            &[
                "-p",
                &port,
                "-s",
                "no.such.host.invalid",
                "-l",
                "/etc/passwd/log",
                "--cache-limit",
                "3",
            ],
        );
        assert!(!good, "{text}");
        for part in [
            "gelato.toml:2:",
            "gelato.toml:3:",
            "TCP port",
            "is in use: stop the program that has it, or choose another port with -p",
            "no.such.host.invalid",
            "name another with -s",
            "/etc/passwd is no folder",
            "3 MB hold hardly one toolchain",
            "6 problems found",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let (good, text) = check(User::Same, "[worker]\nhours = \"Mon-\"\n", &[]);
    assert!(!good && text.contains("worker.hours"), "{text}");
    let (good, text) = check(User::Same, "", &["-i", "no-such-interface"]);
    assert!(
        !good && text.contains("no address at the interface"),
        "{text}"
    );
}

#[test]
fn what_root_alone_would_find_out_is_found_out() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root becomes another user");
    }
    let (good, text) = check(User::Same, "", &["-u", "no-such-user"]);
    assert!(
        !good && text.contains("there is no user no-such-user"),
        "{text}"
    );
    let (good, text) = check(User::Same, "", &["-u", "root"]);
    assert!(
        !good && text.contains("name a user without privileges"),
        "{text}"
    );
}
