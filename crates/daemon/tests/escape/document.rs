//! `docs/sandbox.md`: the page for administrators, with the tables of this suite. The tests fail if it is out of date.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use libtest_mimic::Failed;

use super::archives::{ARCHIVES, Fate};
use super::messages::MESSAGES;
use super::options::{ATTEMPTS, CLAIMS};
use super::probes::{Claims, EXCESSES, Group, PROBES};
use super::situations::COLUMNS;

const DOCUMENT: &str = "../../docs/sandbox.md";

/// The trial.
pub(crate) fn is_up_to_date() -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    if env::var_os("GELATO_WRITE_DOCS").is_some() {
        fs::write(&path, document())?;
    }
    if fs::read_to_string(&path)? == document() {
        return Ok(());
    }
    Err("docs/sandbox.md is out of date: set GELATO_WRITE_DOCS=1 to write it anew".into())
}

fn document() -> String {
    let mut text = String::from(INTRODUCTION);
    for (group, title) in [
        (Group::Files, "Files"),
        (Group::Processes, "Processes and privileges"),
        (Group::Reach, "Networks and other ways to talk"),
        (Group::Kernel, "The kernel"),
        (Group::Excess, "Too much"),
    ] {
        heading(&mut text, title, "a job tries to");
        for probe in PROBES
            .iter()
            .chain(EXCESSES)
            .filter(|probe| probe.group == group)
        {
            row(&mut text, probe.what, &probe.claims);
        }
    }
    heading(
        &mut text,
        "Options and sources for an honest compiler",
        "what a submitter sends",
    );
    for attempt in ATTEMPTS {
        row(&mut text, attempt.what, &CLAIMS);
    }
    text.push_str(ABOUT_WIRE);
    for archive in ARCHIVES {
        let fate = match archive.fate {
            Fate::Refused(_) => "refused",
            Fate::Harmless => "made harmless",
        };
        let _ = writeln!(text, "| {} | {fate} |", archive.what);
    }
    for message in MESSAGES {
        let _ = writeln!(text, "| {} | {} |", message.what, message.fate);
    }
    text
}

fn heading(text: &mut String, title: &str, first: &str) {
    let _ = write!(
        text,
        "\n### {title}\n\n| {first} | {} |\n|---|---|---|---|---|---|\n",
        COLUMNS.join(" | ")
    );
}

fn row(text: &mut String, what: &str, claims: &Claims) {
    let cells = claims.map(|claim| if claim.is_empty() { "–" } else { claim });
    let _ = writeln!(text, "| {what} | {} |", cells.join(" | "));
}

const INTRODUCTION: &str = r#"# What holds the jobs of others

A worker runs programs that came over the network: the submitter's toolchain, with the submitter's options, on the submitter's
source. They are treated as hostile. How strongly they are kept apart from the machine is the *level* of the sandbox. `gelato status` and
`gelato doctor` show the level in force and why it is not a stronger one; the daemon writes both to its log at its start, and
the scheduler and its monitors are told.

## Levels, strongest first

| level | what it is | what it needs |
|---|---|---|
| `namespaces+cgroup` | as below, and the kernel limits memory, processes and processors of each job as a whole | control groups: version 2 delegated to the daemon (`Delegate=yes` in its unit), or version 1 and a daemon started as root |
| `namespaces` | user, mount, PID, network, IPC and UTS namespaces: the toolchain is the whole read-only world, `/tmp` is the job's own, there is no network and no other process | user namespaces for ordinary users (Linux 5.2 or later); no privilege |
| `landlock` | the job sees the host's root, but may read its toolchain and write to its folder only; a longer system call filter | Landlock (Linux 5.13; signals and abstract sockets are covered from 6.12 on); no privilege |
| `chroot` | the toolchain is the root; Landlock and the filter as far as the kernel has them | a daemon started as root, or with `CAP_SYS_CHROOT`. With `CAP_SYS_ADMIN` the namespaces above are added |
| `none` | the job may do whatever its user may, within limits | to be asked for by name; for machines on which nothing else works and everybody on the network is trusted |

The daemon takes the strongest level that works, down to the one given as weakest (`--weakest-sandbox`, `daemon.weakest-sandbox`); `--sandbox
LEVEL` (`daemon.sandbox`) insists on one. A daemon without an acceptable level runs, serves its own users and takes no jobs of
others, and says why.

At every level but `none` a filter refuses system calls that no compiler needs. At every level a job runs without privileges, as
an ordinary user even if the daemon is root, with nothing of the daemon's environment and descriptors, with limits, and is killed as a whole.

## How to get a stronger level

- **Debian 10 and older, some hardened kernels** forbid user namespaces by `kernel.unprivileged_userns_clone=0`. To allow them:
  `sysctl kernel.unprivileged_userns_clone=1`, and a file in `/etc/sysctl.d` to keep it.
- **Ubuntu 23.10 and later** allow them to programs with an AppArmor profile only. Either a profile for the daemon with the rule `userns,`, or
  `sysctl kernel.apparmor_restrict_unprivileged_userns=0` for the whole machine.
- **RHEL 7 and its relations**: `sysctl user.max_user_namespaces=15000`; the kernel is too old for what is mounted, though, so the level
  is `chroot` there.
- **Docker, Podman, Kubernetes**: the default filters of containers forbid new namespaces. Landlock usually works; or give the container
  `--security-opt seccomp=unconfined` (and `--security-opt systempaths=unconfined` for a private `/proc`), or a profile that allows `unshare`, `mount` and
  `pivot_root`.
- **Landlock missing** on a newer kernel: it must be in `CONFIG_LSM` or on the kernel's command line, `lsm=landlock,…`; `cat /sys/kernel/security/lsm`
  shows what is on.
- **Control groups missing**: a service of systemd needs `Delegate=yes`, a user's service also a user manager with the memory controller delegated
  (`systemctl show -p DelegateControllers user@UID`). Without them memory and processes are watched ten times a second, which stops the careless at once and the
  malicious a moment later.

`gelato doctor` says which of these it is.

## What is tried, and what stops it

The rest of this page is made from the tables of the tests in `crates/daemon/tests/escape`: after a change run
`GELATO_WRITE_DOCS=1 cargo test -p gelato-daemon --test daemon escape::document`. Each line is a program, an option, an archive or
a message that `make test` sends to a real daemon, at every level the machine has, as root and as an ordinary user. Where a level claims to stop it, it must; and
each is shown to work where nothing stops it.

| word | what stops it |
|---|---|
| root | it is not there: the root is the toolchain, read-only, and the job's own folder |
| landlock | Landlock refuses it |
| scope | Landlock refuses it, from Linux 6.12 on |
| processes | other processes are not there, being in another PID namespace; its own end with the job |
| network, ipc | they are not there, being in another namespace; the filter refuses to ask for them as well |
| calls | the system call filter refuses it |
| user | the job is an ordinary user without capabilities |
| privileges | programs cannot give more privileges than there were |
| clean | the jail step has closed or cleared it |
| sweep | everything that descends from the job is killed at its end |
| limit | a limit of the kernel for the process, or for the user in its namespace |
| cgroup | a limit of the kernel for the job as a whole |
| watch | it is seen within a second, the job is killed and goes back to its submitter, who compiles it elsewhere |
| – | nothing claims to |
"#;

const ABOUT_WIRE: &str = r#"
## Archives and messages

These are dealt with by the daemon itself, whatever the level. A refused archive is answered with the reason, and nothing of it stays.

| what is sent | what becomes of it |
|---|---|
"#;
