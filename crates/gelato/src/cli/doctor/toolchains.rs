//! Whether the installed toolchains can be read and have what makes them one. Looks into the daemon's folder, as far as this
//! user may.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::facts::Facts;
use super::finding::Finding;
use crate::cli::status::words::count;

const CHECK: &str = "toolchains";

/// Toolchains that are looked at.
const MOST: usize = 200;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(status) = facts.status() else {
        return Vec::new();
    };
    let base = Path::new(status["base"].as_str().unwrap_or_default()).join("toolchains");
    let mut good = 0;
    let mut findings = Vec::new();
    let list = status["toolchains"]["list"].as_array();
    for toolchain in list.into_iter().flatten().take(MOST) {
        let (Some(platform), Some(name)) =
            (toolchain["platform"].as_str(), toolchain["name"].as_str())
        else {
            continue;
        };
        let folder = base.join(platform).join(name);
        match look(&folder) {
            Ok(()) => good += 1,
            Err(Fault::MayNotLook) => {
                return vec![Finding::note(
                    CHECK,
                    format!("this user may not look into {}", base.display()),
                    "run gelato doctor as the daemon's user or as root to have them looked at",
                )];
            }
            Err(Fault::Broken(what)) => findings.push(Finding::problem(
                CHECK,
                format!("the toolchain {platform}/{name} is not usable: {what}"),
                format!(
                    "remove {} and restart the daemon; the next submitter sends it again",
                    folder.display()
                ),
            )),
        }
    }
    if findings.is_empty() {
        let text = match good {
            0 => "none installed yet; the first job of a submitter brings one".to_owned(),
            good => format!("{} installed and complete", count(good, "toolchain")),
        };
        findings.push(Finding::fine(CHECK, text));
    }
    findings
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The daemon's folder is closed to this user.
    MayNotLook,
    /// What is wrong.
    Broken(String),
}

fn look(folder: &Path) -> Result<(), Fault> {
    let root = folder.join("root");
    for (path, needed) in [
        (folder.to_owned(), 0o500),
        (root.clone(), 0o500),
        (root.join("usr/bin"), 0o500),
        (root.join("usr/bin/as"), 0o500),
    ] {
        let broken = |what: String| Fault::Broken(format!("{} {what}", path.display()));
        match fs::metadata(&path) {
            Ok(found) if found.permissions().mode() & needed != needed => {
                return Err(broken("cannot be read or executed".to_owned()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Fault::MayNotLook);
            }
            Err(error) => return Err(broken(format!("is missing or damaged: {error}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_toolchain_is_looked_for() {
        let place = tempfile::tempdir().unwrap();
        let bin = place.path().join("root/usr/bin");
        fs::create_dir_all(&bin).unwrap();
        let Err(Fault::Broken(what)) = look(place.path()) else {
            panic!("no assembler, no toolchain");
        };
        assert!(what.contains("usr/bin/as is missing"), "{what}");
        fs::write(bin.join("as"), "").unwrap();
        fs::set_permissions(bin.join("as"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look(place.path()), Ok(()));
        fs::set_permissions(bin.join("as"), fs::Permissions::from_mode(0o000)).unwrap();
        assert!(matches!(look(place.path()), Err(Fault::Broken(_))));
    }
}
