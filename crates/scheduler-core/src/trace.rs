//! A run of the scheduler on paper: what it was told and when, and what it decided, one JSON object a line after a line that
//! says with what knowledge it began. [`crate::Core`] does the same again when it is told the same, so a trace says
//! whether a change of the code changes decisions, and it is a day of a real cluster to try other policies on.
//!
//! A trace may end in the middle of a line, when whoever wrote it was killed. It has names of files and machines in it.

use std::io::{self, BufRead, Write};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::Action;
use crate::config::Config;
use crate::core::Past;
use crate::event::Event;
use crate::ids::{Text, Time};

/// The version of the format.
const FORMAT: u32 = 1;

/// Bytes of the first line, which has all that was learned before; more are not read.
const LONGEST_HEAD: u64 = 64 << 20;

/// Bytes of every other line.
const LONGEST_LINE: u64 = 4 << 20;

/// With what a traced scheduler began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beginning {
    gelato_trace: u32,
    /// Release of the scheduler; another one may decide otherwise.
    pub release: String,
    /// Its policy.
    pub config: Config,
    /// What it had learned.
    pub past: Past,
}

/// One thing that happened, and what was decided at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds on the scheduler's clock.
    #[serde(rename = "t")]
    pub at: u64,
    /// What happened.
    #[serde(rename = "e")]
    pub event: Event,
    /// What was decided.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    pub placed: Vec<Placed>,
}

/// Job and worker, by their numbers; 0 as a worker is "compile it yourself".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed(pub u32, pub u32);

impl Placed {
    /// The decisions among actions, in their order.
    pub fn among(actions: &[Action]) -> Vec<Placed> {
        let placed = |action: &Action| match action {
            Action::UseWorker { answer, .. } => Some(Placed(answer.job.0, answer.worker.0)),
            Action::CompileYourself { job, .. } => Some(Placed(job.0, 0)),
            _ => None,
        };
        actions.iter().filter_map(placed).collect()
    }
}

/// Why a trace cannot be used.
#[derive(Debug)]
pub enum TraceError {
    /// The file cannot be read.
    Io(io::Error),
    /// It is something else.
    Foreign,
    /// It was made by a later release.
    Newer(u32),
    /// A line does not make sense.
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A line, counted from 1, is longer than any.
    TooLong(usize),
}

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TraceError::Io(error) => error.fmt(f),
            TraceError::Foreign => f.write_str("this is not a trace of Gelato's scheduler"),
            TraceError::Newer(format) => write!(
                f,
                "this trace has format {format}, and this program reads {FORMAT}"
            ),
            TraceError::Line { line, error } => write!(f, "line {line} of the trace: {error}"),
            TraceError::TooLong(line) => write!(f, "line {line} of the trace is too long"),
        }
    }
}

impl std::error::Error for TraceError {}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        TraceError::Io(error)
    }
}

/// Writes a trace, up to a size.
#[derive(Debug)]
pub struct Tracer<W> {
    to: W,
    /// Bytes that may still be written.
    left: u64,
    at: Time,
    event: Option<Event>,
}

impl<W: Write> Tracer<W> {
    /// Begins one of at most `limit` bytes, of a core made of `config` that remembers `past`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(
        to: W,
        limit: u64,
        release: &str,
        config: &Config,
        past: &Past,
    ) -> io::Result<Tracer<W>> {
        let mut tracer = Tracer {
            to,
            left: limit,
            at: Time(0),
            event: None,
        };
        tracer.write(&Beginning {
            gelato_trace: FORMAT,
            release: release.to_owned(),
            config: config.clone(),
            past: past.clone(),
        })?;
        Ok(tracer)
    }

    /// The core is about to be told this.
    pub fn before(&mut self, at: Time, event: &Event) {
        self.at = at;
        self.event = Some(event.clone());
    }

    /// The core wants this done.
    ///
    /// # Errors
    /// If it cannot be written, or the trace is as large as it may be: it is not to be used any more.
    pub fn after(&mut self, actions: &[Action]) -> io::Result<()> {
        let Some(event) = self.event.take() else {
            return Ok(());
        };
        let is_pause = matches!(event, Event::Stats { .. });
        self.write(&Step {
            at: self.at.0,
            event,
            placed: Placed::among(actions),
        })?;
        // Readings come all the time: what stands in buffers is never old.
        if is_pause { self.to.flush() } else { Ok(()) }
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.left = self
            .left
            .checked_sub(line.len() as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "it has its full size"))?;
        self.to.write_all(&line)
    }
}

/// Reads a trace, step by step.
#[derive(Debug)]
pub struct Trace<R> {
    from: R,
    line: usize,
    failed: bool,
    beginning: Beginning,
}

impl<R: BufRead> Trace<R> {
    /// Looks at the first line.
    ///
    /// # Errors
    /// If the file is no trace, or one of a later release.
    pub fn open(mut from: R) -> Result<Trace<R>, TraceError> {
        #[derive(Deserialize)]
        struct Format {
            gelato_trace: u32,
        }
        let head = match line_of(&mut from, LONGEST_HEAD, 1) {
            Ok(Some(head)) => head,
            Ok(None) | Err(TraceError::TooLong(_)) => return Err(TraceError::Foreign),
            Err(error) => return Err(error),
        };
        let format: Format = serde_json::from_slice(&head).map_err(|_| TraceError::Foreign)?;
        if format.gelato_trace > FORMAT {
            return Err(TraceError::Newer(format.gelato_trace));
        }
        let beginning =
            serde_json::from_slice(&head).map_err(|error| TraceError::Line { line: 1, error })?;
        Ok(Trace {
            from,
            line: 1,
            failed: false,
            beginning,
        })
    }

    /// With what the scheduler began.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }
}

impl<R: BufRead> Iterator for Trace<R> {
    type Item = Result<Step, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.line += 1;
        let line = self.line;
        let step = line_of(&mut self.from, LONGEST_LINE, line).and_then(|text| {
            text.map(|text| {
                serde_json::from_slice(&text).map_err(|error| TraceError::Line { line, error })
            })
            .transpose()
        });
        self.failed = step.is_err();
        step.transpose()
    }
}

/// The next whole line, without its end; `None` after the last.
fn line_of(
    from: &mut impl BufRead,
    longest: u64,
    line: usize,
) -> Result<Option<Vec<u8>>, TraceError> {
    let mut text = Vec::new();
    io::Read::take(from, longest).read_until(b'\n', &mut text)?;
    if text.len() as u64 == longest && text.last() != Some(&b'\n') {
        return Err(TraceError::TooLong(line));
    }
    Ok((text.pop() == Some(b'\n')).then_some(text))
}

/// A string where it is one, else its bytes: nothing is lost.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) => to.serialize_str(text),
            Err(_) => to.collect_seq(self.as_bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(text) => Ok(Text::from(text)),
            bytes => Vec::<u8>::deserialize(bytes)
                .map(Text::from)
                .map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Core;
    use crate::event::{Login, Readings};
    use crate::ids::{ConnectionId, Environment, NodeId};

    fn login(name: Text) -> Event {
        Event::Login(Box::new(Login {
            connection: ConnectionId(1),
            address: [10, 0, 0, 1].into(),
            local_address: [10, 0, 0, 9].into(),
            port: 10245,
            slots: 4,
            environments: vec![Environment::new("x86_64", "gcc")],
            name,
            platform: Text::from("x86_64"),
            chroot: true,
            no_remote: false,
            features: 3,
            agreed_version: 44,
            own_version: 44,
        }))
    }

    fn traced() -> Vec<u8> {
        let config = Config::default();
        let mut core = Core::new(config.clone());
        let mut bytes = Vec::new();
        let mut tracer =
            Tracer::begin(&mut bytes, 1 << 20, "1", &config, &Past::default()).unwrap();
        let odd = Text::from(&b"\xff\"name"[..]);
        let readings = Readings::default();
        let node = NodeId(1);
        let stats = Event::Stats {
            node,
            load: 3,
            readings,
        };
        for (at, event) in (5..).zip([login(odd), stats, Event::Tick]) {
            tracer.before(Time(at), &event);
            let actions = core.handle(Time(at), event);
            tracer.after(&actions).unwrap();
        }
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = traced();
        let trace = Trace::open(bytes.as_slice()).unwrap();
        assert_eq!(trace.beginning().release, "1");
        let steps: Vec<Step> = trace.map(Result::unwrap).collect();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[0].event, login(Text::from(&b"\xff\"name"[..])));
        assert_eq!((steps[2].at, &steps[2].event), (7, &Event::Tick));
    }

    #[test]
    fn a_trace_cut_anywhere_gives_its_beginning() {
        let bytes = traced();
        let all: Vec<Step> = Trace::open(bytes.as_slice())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in head..bytes.len() {
            let read: Vec<Step> = Trace::open(&bytes[..length])
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(all.starts_with(&read), "{length}");
        }
    }

    #[test]
    fn other_files_are_refused_with_their_line() {
        let open = |text: &str| Trace::open(text.as_bytes()).map(drop);
        assert!(matches!(open(""), Err(TraceError::Foreign)));
        assert!(matches!(open("{}\n"), Err(TraceError::Foreign)));
        assert!(matches!(
            open("{\"gelato_trace\":2}\n"),
            Err(TraceError::Newer(2))
        ));
        let mut bytes = traced();
        bytes.extend(b"{\"t\":1,\"e\":\"Melt\"}\n");
        let last = Trace::open(bytes.as_slice()).unwrap().last().unwrap();
        assert!(matches!(last, Err(TraceError::Line { line: 5, .. })));
    }

    #[test]
    fn a_trace_has_a_largest_size() {
        let config = Config::default();
        let mut bytes = Vec::new();
        let mut tracer = Tracer::begin(&mut bytes, 2000, "1", &config, &Past::default()).unwrap();
        let full = (0..100).find(|at| {
            tracer.before(Time(*at), &login(Text::from("a")));
            tracer.after(&[]).is_err()
        });
        assert!(full.is_some());
        assert!(bytes.len() <= 2000);
        assert_eq!(bytes.last(), Some(&b'\n'));
    }
}
