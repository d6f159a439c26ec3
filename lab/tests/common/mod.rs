//! What the test files share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use gelato_lab::{Flavour, Layout, programs, segment};

/// For anything that takes a moment on a quiet machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// For a first job, before which a toolchain is packed and sent.
pub(crate) const FIRST_JOB: Duration = Duration::from_secs(240);

/// Why a cluster of this kind cannot be made on this machine, if so.
pub(crate) fn obstacle(layout: Layout, flavours: &[Flavour]) -> Option<String> {
    if layout == Layout::Namespaces
        && let Some(why) = segment::obstacle()
    {
        return Some(why);
    }
    if flavours.contains(&Flavour::Icecream) && programs::in_path("iceccd").is_none() {
        return Some("the distribution's package icecc is not installed".to_owned());
    }
    None
}

/// Leaves the test with a message if the cluster cannot be made.
#[macro_export]
macro_rules! require {
    ($layout:expr, $flavours:expr) => {
        if let Some(why) = common::obstacle($layout, $flavours) {
            gelato_lab::skip(&why);
            return Ok(());
        }
    };
}

/// A folder programs of any user can read; outside `/tmp`, which every host has of its own.
pub(crate) fn readable_folder() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new()
        .prefix("gelato-lab-")
        .tempdir_in("/var/tmp")?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
