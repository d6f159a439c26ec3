//! Whether a build that calls `gcc` or the like by name finds the wrapper. Reads the folders of `PATH`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "wrapper";

/// Compilers a build calls.
const NAMES: [&str; 6] = ["cc", "c++", "gcc", "g++", "clang", "clang++"];

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let found: Vec<(&str, PathBuf)> = NAMES
        .iter()
        .filter_map(|name| Some((*name, first(&facts.path, name)?)))
        .collect();
    if found.is_empty() {
        return vec![Finding::note(
            CHECK,
            "no compiler in PATH",
            "install one, for instance gcc; toolchains are made from it",
        )];
    }
    let bare: Vec<&(&str, PathBuf)> = found.iter().filter(|(_, path)| !is_wrapper(path)).collect();
    if bare.is_empty() {
        return vec![Finding::fine(
            CHECK,
            "compilers in PATH lead to the wrapper",
        )];
    }
    let names: Vec<String> = bare
        .iter()
        .map(|(name, path)| format!("{name} ({})", path.display()))
        .collect();
    let folder = masquerade_folder(&facts.path);
    let fix = match folder {
        Some(folder) => format!(
            "put {} first in PATH, or build with: gelato build -- make",
            folder.display()
        ),
        None => "build with: gelato build -- make".to_owned(),
    };
    vec![Finding::note(
        CHECK,
        format!(
            "compilers called by name are not distributed: {}",
            names.join(", ")
        ),
        fix,
    )]
}

/// The first executable of this name.
fn first(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| {
            fs::metadata(file)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// Whether it is a link to Gelato's or Icecream's wrapper, or to ccache, which starts one if told to.
fn is_wrapper(path: &Path) -> bool {
    let Ok(target) = fs::canonicalize(path) else {
        return false;
    };
    let name = target.file_name().and_then(OsStr::to_str).unwrap_or("");
    match name {
        "icecc" | "icerun" | "gelato" | "gelato-wrapper" => true,
        "ccache" => std::env::var("CCACHE_PREFIX")
            .is_ok_and(|prefix| Path::new(&prefix).file_name() == Some(OsStr::new("icecc"))),
        _ => false,
    }
}

/// A folder of links to the wrapper that exists: in `PATH` too late, of this installation, or where packages put it.
fn masquerade_folder(path: &OsStr) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).and_then(Path::parent);
    let usual = [
        "/usr/local/libexec/icecc/bin",
        "/usr/libexec/icecc/bin",
        "/usr/lib/icecc/bin",
    ];
    std::env::split_paths(path)
        .chain(own.map(|prefix| prefix.join("libexec/icecc/bin")))
        .chain(usual.iter().map(PathBuf::from))
        .find(|folder| NAMES.iter().any(|name| is_wrapper(&folder.join(name))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_to_the_wrapper_are_found_wherever_they_stand() {
        let place = tempfile::tempdir().unwrap();
        let (bare, links) = (place.path().join("bare"), place.path().join("links"));
        for folder in [&bare, &links] {
            fs::create_dir(folder).unwrap();
        }
        for file in [bare.join("gcc"), place.path().join("icecc")] {
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(place.path().join("icecc"), links.join("gcc")).unwrap();
        let wrong = std::env::join_paths([&bare, &links]).unwrap();
        let right = std::env::join_paths([&links, &bare]).unwrap();
        assert!(!is_wrapper(&first(&wrong, "gcc").unwrap()));
        assert!(is_wrapper(&first(&right, "gcc").unwrap()));
        assert_eq!(first(&right, "clang"), None);
        assert_eq!(masquerade_folder(&wrong), Some(links));
    }
}
