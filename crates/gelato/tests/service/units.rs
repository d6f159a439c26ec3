//! The units of systemd: what they start exists, and they forbid nothing that jobs need.

use std::path::Path;
use std::process::Command;

const SERVICES: &[&str] = &[
    "iceccd.service",
    "icecc-scheduler.service",
    "user/iceccd.service",
];

fn unit(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn what_units_start_can_be_started() {
    for name in SERVICES {
        let unit = unit(name);
        let line = value(&unit, "ExecStart").unwrap();
        let mut words = line.split_whitespace();
        let program = words.next().unwrap().strip_prefix("@sbindir@/").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join(program);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gelato"), &link).unwrap();
        let status = Command::new(link)
            .args(words)
            .arg("--help")
            .env("GELATO_CONFIG", "")
            .output()
            .unwrap()
            .status;
        assert!(status.success(), "{name}: {line}");
        assert_eq!(value(&unit, "Type"), Some("notify"), "{name}");
    }
}

#[test]
fn the_daemon_may_make_namespaces_and_control_groups() {
    for name in ["iceccd.service", "user/iceccd.service"] {
        let unit = unit(name);
        for forbidden in [
            "RestrictNamespaces",
            "ProtectProc",
            "ProcSubset",
            "ProtectKernelTunables",
            "ProtectKernelLogs",
            "ProtectControlGroups",
            "ProtectHostname",
            "SystemCallFilter",
            "PrivateUsers",
            "MemoryDenyWriteExecute",
        ] {
            assert_eq!(value(&unit, forbidden), None, "{name}");
        }
        assert!(value(&unit, "Delegate").is_some(), "{name}");
        assert_eq!(value(&unit, "OOMPolicy"), Some("continue"), "{name}");
        // The daemon's own bounds when it is stopped, and the longest time between two looks at the machine.
        let seconds = |key| value(&unit, key).and_then(|text| text.parse::<u32>().ok());
        assert!(seconds("TimeoutStopSec") > Some(35), "{name}");
        assert!(seconds("WatchdogSec") >= Some(120), "{name}");
    }
}
