//! What travels between the caller and the jail step over their socket: the recipe one way, reports the other.
//!
//! Both ends are the same executable, so the layout carries no version; it is still read with bounds, because a reader that
//! trusts lengths is a bad habit. Little-endian, strings and lists with a u32 length in front.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::cgroup::Kind;
use crate::error::Step;
use crate::job::{Exit, Identity, JobSpec, Level, Limits};
use crate::launcher::Command;

/// Longest recipe in bytes; the kernel's own limit for arguments and environment is below it.
const MAX_RECIPE: usize = 16 << 20;

/// Everything the jail step needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) level: Level,
    pub(crate) root: PathBuf,
    pub(crate) tmp: PathBuf,
    /// `None`: a rehearsal that goes through all steps and then exits 0 in place of executing a program.
    pub(crate) program: Option<OsString>,
    /// What the program is told it is called.
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: PathBuf,
    pub(crate) nice: i32,
    pub(crate) limits: Limits,
    pub(crate) identity: Option<Identity>,
    /// The job's control group, whose descriptors follow those of the streams.
    pub(crate) cgroup: Option<Kind>,
}

impl Recipe {
    pub(crate) fn of_job(spec: &JobSpec, command: Command) -> Recipe {
        Recipe {
            level: spec.level,
            root: spec.root.clone(),
            tmp: spec.tmp.clone(),
            program: Some(command.program),
            name: command.name,
            args: command.args,
            env: spec.env.clone(),
            cwd: spec.cwd.clone(),
            nice: spec.nice,
            limits: spec.limits.clone(),
            identity: spec.identity,
            cgroup: None,
        }
    }

    /// The recipe as a frame: length, then fields.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.push(self.level as u8);
        put_str(&mut out, self.root.as_os_str());
        put_str(&mut out, self.tmp.as_os_str());
        put_option(&mut out, self.program.as_deref(), put_str);
        put_str(&mut out, &self.name);
        put_u32(&mut out, self.args.len());
        for arg in &self.args {
            put_str(&mut out, arg);
        }
        put_u32(&mut out, self.env.len());
        for (name, value) in &self.env {
            put_str(&mut out, name);
            put_str(&mut out, value);
        }
        put_str(&mut out, self.cwd.as_os_str());
        out.extend_from_slice(&self.nice.to_le_bytes());
        let Limits {
            memory_bytes,
            job_memory_bytes,
            processes,
            file_size,
            cpu_seconds,
        } = self.limits;
        for limit in [
            memory_bytes,
            job_memory_bytes,
            processes,
            file_size,
            cpu_seconds,
        ] {
            put_option(&mut out, limit, |out, limit| {
                out.extend_from_slice(&limit.to_le_bytes())
            });
        }
        put_option(&mut out, self.identity, |out, identity| {
            out.extend_from_slice(&identity.uid.to_le_bytes());
            out.extend_from_slice(&identity.gid.to_le_bytes());
        });
        out.push(match self.cgroup {
            None => 0,
            Some(Kind::V1) => 1,
            Some(Kind::V2) => 2,
        });
        let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
        out[..4].copy_from_slice(&length.to_le_bytes());
        out
    }

    /// Reads one recipe frame.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Recipe> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_RECIPE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Cursor(&body)
            .recipe()
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Times and sizes as the kernel counts them for a set of reaped processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) user_micros: u64,
    pub(crate) system_micros: u64,
    pub(crate) page_faults: u64,
    pub(crate) max_rss_bytes: u64,
}

/// What the jail step, init and (before it executes the program) the job tell the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// The program has been executed.
    Started,
    /// A step failed with this errno; nothing runs.
    Failed { step: Step, errno: i32 },
    /// The program ended and all its offspring has been reaped.
    Ended { exit: Exit, usage: Usage },
    /// Sent last by the jail step: what it saw of a job it watched, and the usage for the case that init was killed and could not say
    /// the above.
    Gone { usage: Usage, seen: Seen },
}

/// What the jail step saw of a job it watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Most memory, in bytes; 0 if it was not watched.
    pub(crate) peak: u64,
    /// Whether the job was killed for its memory.
    pub(crate) out_of_memory: bool,
}

impl Report {
    /// All reports are of this size, so a write is never split and a reader needs no state.
    const SIZE: usize = 1 + 1 + 4 + 32 + 8 + 1;

    pub(crate) fn write(self, mut to: impl Write) -> io::Result<()> {
        let mut out = Vec::with_capacity(Self::SIZE);
        let mut last = Seen::default();
        let (kind, step, number, usage) = match self {
            Report::Started => (0, 0, 0, Usage::default()),
            Report::Failed { step, errno } => (1, step as u8, errno, Usage::default()),
            Report::Ended {
                exit: Exit::Code(code),
                usage,
            } => (2, 0, code, usage),
            Report::Ended {
                exit: Exit::Signal(signal),
                usage,
            } => (3, 0, signal, usage),
            Report::Gone { usage, seen } => {
                last = seen;
                (4, 0, 0, usage)
            }
        };
        out.extend_from_slice(&[kind, step]);
        out.extend_from_slice(&i32::to_le_bytes(number));
        for value in [
            usage.user_micros,
            usage.system_micros,
            usage.page_faults,
            usage.max_rss_bytes,
        ] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&last.peak.to_le_bytes());
        out.push(u8::from(last.out_of_memory));
        to.write_all(&out)
    }

    /// The next report, or `None` when there will be none any more.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Option<Report>> {
        let mut body = [0; Self::SIZE];
        match from.read_exact(&mut body) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Cursor(&body)
            .report()
            .map(Some)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_str(out: &mut Vec<u8>, text: &OsStr) {
    put_u32(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_le_bytes)
    }

    fn str(&mut self) -> Option<OsString> {
        let length = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(OsString::from_vec(text.to_vec()))
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn recipe(&mut self) -> Option<Recipe> {
        let number = self.u8()?;
        let level = Level::ALL
            .into_iter()
            .find(|&level| level as u8 == number)?;
        let recipe = Recipe {
            level,
            root: self.str()?.into(),
            tmp: self.str()?.into(),
            program: self.option(Self::str)?,
            name: self.str()?,
            args: self.list(Self::str)?,
            env: self.list(|cursor| Some((cursor.str()?, cursor.str()?)))?,
            cwd: self.str()?.into(),
            nice: self.i32()?,
            limits: Limits {
                memory_bytes: self.option(Self::u64)?,
                job_memory_bytes: self.option(Self::u64)?,
                processes: self.option(Self::u64)?,
                file_size: self.option(Self::u64)?,
                cpu_seconds: self.option(Self::u64)?,
            },
            identity: self.option(|cursor| {
                Some(Identity {
                    uid: cursor.u32()?,
                    gid: cursor.u32()?,
                })
            })?,
            cgroup: match self.u8()? {
                0 => None,
                1 => Some(Kind::V1),
                2 => Some(Kind::V2),
                _ => return None,
            },
        };
        self.0.is_empty().then_some(recipe)
    }

    fn report(&mut self) -> Option<Report> {
        let kind = self.u8()?;
        let step = self.u8()?;
        let number = self.i32()?;
        let usage = Usage {
            user_micros: self.u64()?,
            system_micros: self.u64()?,
            page_faults: self.u64()?,
            max_rss_bytes: self.u64()?,
        };
        let seen = Seen {
            peak: self.u64()?,
            out_of_memory: self.u8()? != 0,
        };
        Some(match kind {
            0 => Report::Started,
            1 => Report::Failed {
                step: Step::from_number(step)?,
                errno: number,
            },
            2 => Report::Ended {
                exit: Exit::Code(number),
                usage,
            },
            3 => Report::Ended {
                exit: Exit::Signal(number),
                usage,
            },
            4 => Report::Gone { usage, seen },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            level: Level::Chroot,
            root: "/a/root".into(),
            tmp: "/a/root/tmp/1".into(),
            program: Some("/usr/bin/gcc".into()),
            name: "gcc".into(),
            args: vec!["-c".into(), OsString::from_vec(vec![0xff, b'x']), "".into()],
            env: vec![
                ("PATH".into(), "/usr/bin".into()),
                ("EMPTY".into(), "".into()),
            ],
            cwd: "/tmp/1".into(),
            nice: -3,
            limits: Limits {
                memory_bytes: Some(u64::MAX),
                job_memory_bytes: Some(9),
                processes: None,
                file_size: Some(0),
                cpu_seconds: Some(7),
            },
            identity: Some(Identity {
                uid: 65534,
                gid: 12,
            }),
            cgroup: Some(Kind::V2),
        }
    }

    #[test]
    fn recipe_survives_the_socket() {
        for recipe in [
            recipe(),
            Recipe {
                program: None,
                identity: None,
                level: Level::Landlock,
                cgroup: None,
                ..recipe()
            },
        ] {
            assert_eq!(
                Recipe::read(recipe.encode().as_slice()).expect("whole"),
                recipe
            );
        }
    }

    #[test]
    fn cut_recipe_is_an_error_at_every_length() {
        let whole = recipe().encode();
        for length in 0..whole.len() {
            assert!(Recipe::read(&whole[..length]).is_err(), "{length}");
            let mut body = whole[..length].to_vec();
            if let Some(size) = length.checked_sub(4) {
                body[..4].copy_from_slice(&(size as u32).to_le_bytes());
                assert!(Recipe::read(body.as_slice()).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn reports_survive_the_socket() {
        let usage = Usage {
            user_micros: 1,
            system_micros: u64::MAX,
            page_faults: 3,
            max_rss_bytes: 4,
        };
        for report in [
            Report::Started,
            Report::Failed {
                step: Step::PivotRoot,
                errno: 1,
            },
            Report::Ended {
                exit: Exit::Code(255),
                usage,
            },
            Report::Ended {
                exit: Exit::Signal(9),
                usage,
            },
            Report::Gone {
                usage,
                seen: Seen {
                    peak: 5,
                    out_of_memory: true,
                },
            },
        ] {
            let mut bytes = Vec::new();
            report.write(&mut bytes).expect("vector");
            assert_eq!(bytes.len(), Report::SIZE);
            assert_eq!(Report::read(bytes.as_slice()).expect("whole"), Some(report));
            assert_eq!(Report::read(&bytes[..bytes.len() - 1]).expect("cut"), None);
        }
    }
}
