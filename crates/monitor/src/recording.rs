//! Events in a file: one JSON object a line, each with the time it arrived, after a line that says what the file is.
//!
//! A recording may end in the middle of a line, when whoever wrote it was killed: what stands before is good.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::Event;

/// The version of the format.
const FORMAT: u32 = 1;

/// Longest line that is read, in bytes; a host's text is the longest thing there is.
const LONGEST_LINE: u64 = 1 << 20;

/// One event and when it arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Serialize, Deserialize)]
struct Head {
    gelato_recording: u32,
}

/// Why a recording cannot be read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is not a recording of Gelato's monitor")]
    Foreign,
    /// It was made by a later release.
    #[error("this recording has format {0}, and this program reads {FORMAT}")]
    Newer(u32),
    /// A line does not make sense.
    #[error("line {line} of the recording: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A line is longer than any event.
    #[error("line {0} of the recording is too long")]
    TooLong(usize),
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    to: W,
}

impl<W: Write> Recorder<W> {
    /// Begins one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(mut to: W) -> io::Result<Recorder<W>> {
        let head = Head {
            gelato_recording: FORMAT,
        };
        write_line(&mut to, &head)?;
        Ok(Recorder { to })
    }

    /// Adds an event that arrived at `at`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, at: u64, event: &Event) -> io::Result<()> {
        let entry = Entry {
            at,
            event: event.clone(),
        };
        write_line(&mut self.to, &entry)
    }

    /// Hands on what a buffer below still holds.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// In one write, so that a killed writer loses at most its last line.
fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Reads a recording, entry by entry.
#[derive(Debug)]
pub struct Entries<R> {
    from: R,
    line: usize,
    failed: bool,
}

impl<R: BufRead> Entries<R> {
    /// Looks at the head.
    ///
    /// # Errors
    /// If the file is no recording, or one of a later release.
    pub fn open(from: R) -> Result<Entries<R>, RecordingError> {
        let mut entries = Entries {
            from,
            line: 0,
            failed: false,
        };
        let head = entries.next_line()?.ok_or(RecordingError::Foreign)?;
        let head: Head = serde_json::from_slice(&head).map_err(|_| RecordingError::Foreign)?;
        if head.gelato_recording > FORMAT {
            return Err(RecordingError::Newer(head.gelato_recording));
        }
        Ok(entries)
    }

    /// The next whole line, or `None` after the last.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, RecordingError> {
        let mut line = Vec::new();
        self.line += 1;
        io::Read::take(&mut self.from, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            return Err(RecordingError::TooLong(self.line));
        }
        Ok((line.pop() == Some(b'\n')).then_some(line))
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, RecordingError> {
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        let entry: Entry = serde_json::from_slice(&line).map_err(|error| RecordingError::Line {
            line: self.line,
            error,
        })?;
        // Whoever made the file may not have been this program.
        Ok(Some(Entry {
            at: entry.at.min(gelato_record::LATEST),
            event: entry.event.presentable(),
        }))
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.next_entry();
        self.failed = entry.is_err();
        entry.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Figures, HostFacts};

    fn recorded() -> (Vec<Entry>, Vec<u8>) {
        let events = [
            Event::Connected {
                scheduler: "10.0.0.1:8765".to_owned(),
                netname: Some("office".to_owned()),
                protocol: 44,
            },
            Event::Host {
                host: 1,
                facts: HostFacts::read("Name:a\nIP:10.0.0.2\nSpeed:1.5\nSandbox:none\n").unwrap(),
            },
            Event::Queued {
                job: 1,
                client: 1,
                file: "a\"b.c".to_owned(),
                language: 0,
            },
            Event::Done {
                job: 1,
                figures: Figures::default(),
            },
        ];
        let entries: Vec<Entry> = (7..)
            .zip(events)
            .map(|(at, event)| Entry { at, event })
            .collect();
        let mut bytes = Vec::new();
        let mut recorder = Recorder::begin(&mut bytes).unwrap();
        for entry in &entries {
            recorder.add(entry.at, &entry.event).unwrap();
        }
        (entries, bytes)
    }

    #[test]
    fn what_was_recorded_is_read() {
        let (entries, bytes) = recorded();
        let read: Vec<Entry> = Entries::open(bytes.as_slice())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, entries);
    }

    #[test]
    fn a_recording_cut_anywhere_gives_its_beginning() {
        let (entries, bytes) = recorded();
        let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in head..bytes.len() {
            let read: Vec<Entry> = Entries::open(&bytes[..length])
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(entries.starts_with(&read), "{length}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        let open = |text: &str| Entries::open(text.as_bytes()).map(drop);
        assert!(matches!(open(""), Err(RecordingError::Foreign)));
        assert!(matches!(open("hello\n"), Err(RecordingError::Foreign)));
        assert!(matches!(
            open("{\"gelato_recording\":2}\n"),
            Err(RecordingError::Newer(2))
        ));
        let bad = "{\"gelato_recording\":1}\n{\"at\":1,\"event\":\"dance\"}\n";
        let mut entries = Entries::open(bad.as_bytes()).unwrap();
        assert!(matches!(
            entries.next(),
            Some(Err(RecordingError::Line { line: 2, .. }))
        ));
        assert!(entries.next().is_none());
    }

    #[test]
    fn a_moment_nobody_can_mean_does_not_overflow_the_picture() {
        let text = format!(
            "{{\"gelato_recording\":1}}\n{{\"at\":{},\"event\":\"host-gone\",\"host\":1}}\n",
            u64::MAX
        );
        let mut entries = Entries::open(text.as_bytes()).unwrap();
        assert_eq!(entries.next().unwrap().unwrap().at, gelato_record::LATEST);
    }
}
