//! Namespaces of a job, and what to say when the machine refuses them.

use std::fs;
use std::io;

use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;

use crate::error::{At, Failed, Step};

/// What the job is called inside its UTS namespace, the same on every worker.
pub(crate) const HOST_NAME: &[u8] = b"gelato";

/// User and group id of the job as it sees itself in its user namespace, the same on every worker and not root.
const INNER_ID: u32 = 1000;

/// Moves the calling process into a user namespace of its own in which exactly its user and group exist.
pub(crate) fn enter_user() -> Result<(), Failed> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(UnshareFlags::NEWUSER).at(Step::UserNamespace)?;
    // The kernel lets an unprivileged process map its group only after it gave up changing supplementary groups.
    let map = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).at(Step::MapIdentity)
    };
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("{INNER_ID} {uid} 1"))?;
    map("gid_map", format!("{INNER_ID} {gid} 1"))
}

/// Everything else. The PID namespace is for the children; the network namespace has nothing but a loopback that is down.
pub(crate) fn enter_others() -> Result<(), Failed> {
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    unshare(flags).at(Step::Namespaces)
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the flags separate namespaces only, never the descriptor table that other code may rely on.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// What to change when this step failed this way on this machine.
pub(crate) fn hint(step: Step, errno: i32) -> Option<&'static str> {
    let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok();
    hint_from(step, errno, &|name| {
        sysctl(name).map(|text| text.trim().to_owned())
    })
}

fn hint_from(
    step: Step,
    errno: i32,
    sysctl: &dyn Fn(&str) -> Option<String>,
) -> Option<&'static str> {
    let is = |name: &str, value: &str| sysctl(name).as_deref() == Some(value);
    let refused = matches!(errno, libc::EPERM | libc::EACCES);
    let makes_namespaces = matches!(
        step,
        Step::UserNamespace | Step::MapIdentity | Step::Namespaces | Step::PrivateMounts
    );
    let mounts = matches!(step, Step::BindRoot | Step::MountTmp | Step::PivotRoot);
    match step {
        Step::UserNamespace if errno == libc::ENOSPC && is("user/max_user_namespaces", "0") => {
            Some(
                "user namespaces are switched off: set the sysctl user.max_user_namespaces to 10000 or so",
            )
        }
        Step::UserNamespace | Step::Namespaces if errno == libc::ENOSPC => Some(
            "raise the sysctls user.max_user_namespaces, user.max_mnt_namespaces, user.max_pid_namespaces \
             and user.max_net_namespaces",
        ),
        Step::UserNamespace if matches!(errno, libc::EINVAL | libc::ENOSYS) => {
            Some("the kernel was built without user namespaces")
        }
        Step::UserNamespace if refused && is("kernel/unprivileged_userns_clone", "0") => {
            Some("set the sysctl kernel.unprivileged_userns_clone to 1")
        }
        _ if makes_namespaces
            && refused
            && is("kernel/apparmor_restrict_unprivileged_userns", "1") =>
        {
            Some(
                "install an AppArmor profile that grants userns to gelato, or set the sysctl \
                 kernel.apparmor_restrict_unprivileged_userns to 0",
            )
        }
        Step::BindRoot | Step::MountTmp if errno == libc::EACCES => Some(
            "every folder on the way to the toolchain and to the job's folder must be searchable for the job's user",
        ),
        _ if (makes_namespaces || mounts) && refused => Some(
            "something forbids namespaces or mounts here, such as a container, its system call filter (a container needs \
             --security-opt seccomp=unconfined or a profile that lets unshare and mount pass), or a daemon running in a chroot",
        ),
        Step::Confine if errno == libc::EOPNOTSUPP => Some(
            "Landlock needs Linux 5.13 and must be switched on: add landlock to the kernel's parameter lsm=, and see that no container's \
             system call filter refuses it",
        ),
        Step::SystemCallFilter => {
            Some("the kernel needs CONFIG_SECCOMP_FILTER, and a container must let seccomp(2) pass")
        }
        Step::ControlGroup => Some(
            "something changed the daemon's control groups: restart it, as a service with Delegate=yes or as root",
        ),
        Step::Chroot if errno == libc::EPERM => {
            Some("start the daemon as root, or give it CAP_SYS_CHROOT")
        }
        Step::Chroot if errno == libc::EACCES => Some(
            "every folder on the way to the toolchain must be searchable for the daemon's user",
        ),
        Step::SwitchIdentity if refused => {
            Some("the daemon needs CAP_SETUID and CAP_SETGID to run jobs as another user")
        }
        Step::Supervise if errno == libc::EAGAIN => {
            Some("raise the limit of processes of the daemon's user")
        }
        _ => None,
    }
}

/// Names the job's machine.
pub(crate) fn set_host_name() -> io::Result<()> {
    Ok(rustix::system::sethostname(HOST_NAME)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_switch_that_is_set() {
        let none = |_: &str| None;
        let debian =
            |name: &str| (name == "kernel/unprivileged_userns_clone").then(|| "0".to_owned());
        let ubuntu = |name: &str| {
            (name == "kernel/apparmor_restrict_unprivileged_userns").then(|| "1".to_owned())
        };
        let hint = |step, errno, sysctl| hint_from(step, errno, sysctl).unwrap_or_default();
        let off = |name: &str| (name == "user/max_user_namespaces").then(|| "0".to_owned());
        assert!(hint(Step::UserNamespace, libc::ENOSPC, &none).contains("max_user_namespaces"));
        assert!(hint(Step::UserNamespace, libc::ENOSPC, &off).contains("switched off"));
        assert!(hint(Step::Confine, libc::EOPNOTSUPP, &none).contains("lsm="));
        assert!(
            hint(Step::UserNamespace, libc::EPERM, &debian).contains("unprivileged_userns_clone")
        );
        assert!(hint(Step::PrivateMounts, libc::EACCES, &ubuntu).contains("AppArmor"));
        assert!(hint(Step::UserNamespace, libc::EPERM, &none).contains("container"));
        assert!(hint(Step::Chroot, libc::EPERM, &none).contains("CAP_SYS_CHROOT"));
        assert!(hint(Step::BindRoot, libc::EACCES, &none).contains("searchable"));
        assert!(hint(Step::BindRoot, libc::EPERM, &none).contains("container"));
        assert_eq!(hint_from(Step::Exec, libc::EPERM, &none), None);
    }
}
