//! Whether a job's description can be carried out, before anything is started.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::SandboxError;
use crate::identity;
use crate::job::{Identity, JobSpec, Level};

/// Refuses what nobody could carry out.
pub(crate) fn check(spec: &JobSpec) -> Result<(), SandboxError> {
    let absolute = |path: &Path| path.is_absolute();
    if !absolute(&spec.root)
        || !absolute(&spec.tmp)
        || !absolute(&spec.cwd)
        || !absolute(Path::new(&spec.program))
    {
        return Err(SandboxError::BadSpec(
            "root, tmp, cwd and program must be absolute paths",
        ));
    }
    if spec.level == Level::Chroot && inside(&spec.root, &spec.tmp).is_none() {
        return Err(SandboxError::BadSpec(
            "at the chroot level the job's folder must lie inside the root",
        ));
    }
    let strings = [
        &spec.program,
        spec.root.as_os_str(),
        spec.tmp.as_os_str(),
        spec.cwd.as_os_str(),
    ];
    let texts = spec.args.iter().map(OsString::as_os_str);
    let environment = spec
        .env
        .iter()
        .flat_map(|(name, value)| [name.as_os_str(), value.as_os_str()]);
    if strings
        .into_iter()
        .chain(texts)
        .chain(environment)
        .any(|text| text.as_bytes().contains(&0))
    {
        return Err(SandboxError::BadSpec(
            "NUL byte in a path, argument or variable",
        ));
    }
    if spec
        .env
        .iter()
        .any(|(name, _)| name.is_empty() || name.as_bytes().contains(&b'='))
    {
        return Err(SandboxError::BadSpec(
            "variable with an empty name or with = in it",
        ));
    }
    Ok(())
}

/// The part of `tmp` below `root`, if it lies there without detours.
pub(crate) fn inside<'a>(root: &Path, tmp: &'a Path) -> Option<&'a Path> {
    let below = tmp.strip_prefix(root).ok()?;
    let plain = below
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    (plain && below != Path::new("")).then_some(below)
}

/// Refuses jobs of root, and users only root could become.
pub(crate) fn check_identity(wanted: Option<Identity>) -> Result<(), SandboxError> {
    if !identity::is_root() {
        let own = identity::current();
        return match wanted {
            Some(other) if other != own => Err(SandboxError::BadSpec(
                "only root can run a job as another user",
            )),
            _ => Ok(()),
        };
    }
    match wanted {
        Some(Identity { uid, gid }) if uid != 0 && gid != 0 => Ok(()),
        _ => Err(SandboxError::RunsAsRoot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        JobSpec {
            level: Level::UserNamespace,
            root: "/r".into(),
            tmp: "/t".into(),
            program: "/bin/true".into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            nice: 0,
            limits: crate::Limits::default(),
            identity: None,
        }
    }

    #[test]
    fn unusable_descriptions_are_refused() {
        assert!(check(&spec()).is_ok());
        let bad = [
            JobSpec {
                program: "bin/true".into(),
                ..spec()
            },
            JobSpec {
                root: "r".into(),
                ..spec()
            },
            JobSpec {
                level: Level::Chroot,
                ..spec()
            },
            JobSpec {
                level: Level::Chroot,
                tmp: "/r".into(),
                ..spec()
            },
            JobSpec {
                level: Level::Chroot,
                tmp: "/r/../t".into(),
                ..spec()
            },
            JobSpec {
                args: vec!["a\0b".into()],
                ..spec()
            },
            JobSpec {
                env: vec![("A=B".into(), "".into())],
                ..spec()
            },
            JobSpec {
                env: vec![("".into(), "x".into())],
                ..spec()
            },
        ];
        for spec in bad {
            assert!(
                matches!(check(&spec), Err(SandboxError::BadSpec(_))),
                "{spec:?}"
            );
        }
        assert!(
            check(&JobSpec {
                level: Level::Chroot,
                tmp: "/r/tmp/1".into(),
                ..spec()
            })
            .is_ok()
        );
    }
}
