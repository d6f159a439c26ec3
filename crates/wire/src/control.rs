//! The text of the control port (scheduler port + 1): splitting input into lines, understanding
//! commands, and formatting answers.
//!
//! People and scripts have read these lines for many years, so every byte of the answers is fixed.
//! Who may give which command, and what it does, is the scheduler's business.
//!
//! Names and files come from the network. Control characters in them become `?`, so that nobody can
//! forge a line.

use std::collections::VecDeque;

use thiserror::Error;

use crate::prim::ByteString;

/// The longest line accepted, in bytes.
pub const MAX_LINE: usize = 4096;

/// How many complete lines may wait to be taken out.
pub const MAX_PENDING_LINES: usize = 256;

/// The last line of every answer.
pub const DONE: &str = "200 done\n";

/// The farewell, to `quit` and to who was silent for too long; [`DONE`] does not follow it.
pub const GOOD_BYE: &str = "200 Good Bye!\n";

/// The answer to `removecs` and `blockcs` without names.
pub const WHICH_HOSTS: &str = "401 Sure. But which hosts?\n";

/// The answer to `unblockcs` without names.
pub const WHICH_HOST: &str = "401 Sure. But which host?\n";

/// The answer to `help`: the commands, one a line.
pub const HELP: &str =
    "listcs\nlistblocks\nlistjobs\nremovecs\nblockcs\nunblockcs\ninternals\nhelp\nquit\n";

/// Input that is no line. The connection is to be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// No line end for too long.
    #[error("a command line of more than {MAX_LINE} bytes")]
    TooLong,
    /// Commands come in faster than they are carried out.
    #[error("more than {MAX_PENDING_LINES} commands are waiting")]
    TooMany,
}

/// Splits what is read into lines.
///
/// A line ends at any byte below the blank or above 127. What of such bytes follows in the same
/// reading belongs to the same line end; a line end that arrives alone is an empty line.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    complete: VecDeque<String>,
    /// The last reading ended with CR; an LF at the start of the next belongs to it.
    after_cr: bool,
}

impl Lines {
    /// Nothing read yet.
    pub fn new() -> Lines {
        Lines::default()
    }

    /// Takes what was read. After an error the input is lost.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let mut rest = match bytes {
            [] => return Ok(()),
            [b'\n', rest @ ..] if self.after_cr => rest,
            all => all,
        };
        self.after_cr = bytes.last() == Some(&b'\r');
        while let Some(end) = rest.iter().position(|&b| ends_line(b)) {
            self.extend_partial(&rest[..end])?;
            if self.complete.len() == MAX_PENDING_LINES {
                return Err(LineError::TooMany);
            }
            let line = std::mem::take(&mut self.partial);
            // Only ASCII gets into a line, so nothing is lost.
            self.complete
                .push_back(String::from_utf8_lossy(&line).into_owned());
            let run = rest[end..]
                .iter()
                .position(|&b| !ends_line(b))
                .unwrap_or(rest.len() - end);
            rest = &rest[end + run..];
        }
        self.extend_partial(rest)
    }

    /// The next complete line without its end.
    pub fn next_line(&mut self) -> Option<String> {
        self.complete.pop_front()
    }

    fn extend_partial(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        if self.partial.len() + bytes.len() > MAX_LINE {
            self.partial.clear();
            return Err(LineError::TooLong);
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}

fn ends_line(byte: u8) -> bool {
    !(b' '..=127).contains(&byte)
}

/// A command. Its name is recognised in any case; the names of hosts are left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All daemons, and the jobs placed on them.
    ListCs,
    /// All jobs.
    ListJobs,
    /// All blocked hosts.
    ListBlocks,
    /// Disconnect these daemons.
    RemoveCs(Vec<String>),
    /// Disconnect these daemons and refuse them from now on.
    BlockCs(Vec<String>),
    /// Accept these again.
    UnblockCs(Vec<String>),
    /// The state of these daemons in their own words; of all, if none is named.
    Internals(Vec<String>),
    /// The list of commands.
    Help,
    /// Good-bye.
    Quit,
    /// None of the above.
    Other {
        /// The first word in lower case; empty if the line is.
        word: String,
        /// The words behind it.
        arguments: Vec<String>,
        /// The whole line, for [`invalid`].
        line: String,
    },
}

impl Command {
    /// Understands one line.
    pub fn parse(line: &str) -> Command {
        let mut words = line
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned);
        let word = words.next().unwrap_or_default().to_ascii_lowercase();
        let arguments = words.collect();
        match word.as_str() {
            "listcs" => Command::ListCs,
            "listjobs" => Command::ListJobs,
            "listblocks" => Command::ListBlocks,
            "removecs" => Command::RemoveCs(arguments),
            "blockcs" => Command::BlockCs(arguments),
            "unblockcs" => Command::UnblockCs(arguments),
            "internals" => Command::Internals(arguments),
            "help" => Command::Help,
            "quit" | "exit" => Command::Quit,
            _ => Command::Other {
                word,
                arguments,
                line: line.to_owned(),
            },
        }
    }
}

/// What a new connection is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Release of the scheduler.
    pub release: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Daemons connected.
    pub hosts: usize,
    /// Jobs it knows, running ones too.
    pub jobs: usize,
    /// The last job number given out.
    pub total: u32,
}

impl Greeting {
    /// Appends the greeting's two lines.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Greeting {
            release,
            uptime,
            hosts,
            jobs,
            total,
        } = self;
        let text = format!(
            "200-ICECC {release}: {uptime}s uptime, {hosts} hosts, {jobs} jobs in queue ({total} total).\n\
             200 Use 'help' for help and 'quit' to quit.\n"
        );
        out.extend_from_slice(text.as_bytes());
    }
}

/// A daemon as `listcs` shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostLine {
    /// Name of the node.
    pub name: ByteString,
    /// Its numeric address.
    pub address: String,
    /// The TCP port it announced.
    pub port: u32,
    /// Platform of the machine.
    pub platform: ByteString,
    /// Its measured speed.
    pub speed: f64,
    /// Jobs running there.
    pub jobs: usize,
    /// Its slots; daemons can claim anything, also less than nothing.
    pub max_jobs: i64,
    /// 0 to 1000.
    pub load: u32,
    /// For how many seconds it has been receiving a toolchain, if it is.
    pub installing_since: Option<u64>,
    /// What Gelato's scheduler adds at the end, with a blank in front; nothing in Icecream's.
    pub more: String,
}

impl HostLine {
    /// Appends the line.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        push_name(out, &self.name);
        out.extend_from_slice(format!(" ({}:{}) [", self.address, self.port).as_bytes());
        push_name(out, &self.platform);
        let numbers = format!(
            "] speed={:.2} jobs={}/{} load={}",
            self.speed, self.jobs, self.max_jobs, self.load
        );
        out.extend_from_slice(numbers.as_bytes());
        if let Some(seconds) = self.installing_since {
            out.extend_from_slice(format!(" busy installing since {seconds} s").as_bytes());
        }
        out.extend_from_slice(self.more.as_bytes());
        out.push(b'\n');
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for a worker.
    Pending,
    /// Has a worker and has not begun.
    WaitingForClient,
    /// Runs.
    Compiling,
}

/// A job as `listjobs` and `listcs` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    /// The scheduler's number.
    pub id: u32,
    /// Where it stands.
    pub state: JobState,
    /// Name of the submitting node.
    pub submitter: ByteString,
    /// Name of the worker, if it has one.
    pub worker: Option<ByteString>,
    /// The file as the submitter named it.
    pub file: ByteString,
}

impl JobLine {
    /// Appends the line as `listjobs` shows it: one blank in front.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_indented(out, " ");
    }

    /// Appends the line as `listcs` shows it below the worker: three blanks in front.
    pub fn write_below_host(&self, out: &mut Vec<u8>) {
        self.write_indented(out, "   ");
    }

    fn write_indented(&self, out: &mut Vec<u8>, indent: &str) {
        let state = match self.state {
            JobState::Pending => "PEND",
            JobState::WaitingForClient => "WAIT",
            JobState::Compiling => "COMP",
        };
        out.extend_from_slice(format!("{indent}{} {state} sub:", self.id).as_bytes());
        push_name(out, &self.submitter);
        out.extend_from_slice(b" on:");
        match &self.worker {
            Some(worker) => push_name(out, worker),
            None => out.extend_from_slice(b"<unknown>"),
        }
        out.push(b' ');
        push_name(out, &self.file);
        out.push(b'\n');
    }
}

/// Appends a line of `listblocks`.
pub fn blocked(out: &mut Vec<u8>, host: &str) {
    out.extend_from_slice(b"   ");
    push_name(out, &host.into());
    out.push(b'\n');
}

/// Appends what `removecs` and `blockcs` say of each daemon they disconnect, by the name it was given in the command.
pub fn removing(out: &mut Vec<u8>, host: &str) {
    out.extend_from_slice(b"removing host ");
    push_name(out, &host.into());
    out.push(b'\n');
}

/// Appends a daemon's description of itself: its `STATUS_TEXT`, which may have several lines.
pub fn internals(out: &mut Vec<u8>, text: &ByteString) {
    let text = text.as_bytes();
    out.extend_from_slice(text);
    if text.last() != Some(&b'\n') {
        out.push(b'\n');
    }
}

/// Appends what `internals` says of a daemon that did not answer.
pub fn not_reporting(out: &mut Vec<u8>, name: &ByteString) {
    push_name(out, name);
    out.extend_from_slice(b" not reporting\n");
}

/// Appends the answer to a line that is no command.
pub fn invalid(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(b"Invalid command '");
    push_name(out, &line.into());
    out.extend_from_slice(b"'\n");
}

fn push_name(out: &mut Vec<u8>, name: &ByteString) {
    let printable = |&byte: &u8| if byte < b' ' { b'?' } else { byte };
    out.extend(name.as_bytes().iter().map(printable));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn lines(readings: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new();
        for reading in readings {
            lines.receive(reading).unwrap();
        }
        std::iter::from_fn(|| lines.next_line()).collect()
    }

    #[test]
    fn any_run_of_control_characters_ends_a_line() {
        assert_eq!(
            lines(&[b"listcs\r\nhelp\r\n"]),
            ["listcs", "help"].map(str::to_owned)
        );
        assert_eq!(
            lines(&[b"a\nb\rc\x01d\xe4\xf6e\n\n\n"]),
            ["a", "b", "c", "d", "e"].map(str::to_owned)
        );
        assert_eq!(lines(&[b"lis", b"tcs", b"\n"]), ["listcs".to_owned()]);
    }

    #[test]
    fn a_line_end_alone_is_an_empty_line_but_not_the_second_half_of_crlf() {
        assert_eq!(lines(&[b"a\n", b"\n"]), ["a", ""].map(str::to_owned));
        assert_eq!(lines(&[b"a\r", b"\nb\n"]), ["a", "b"].map(str::to_owned));
        assert_eq!(lines(&[b"a\r", b"", b"\n"]), ["a".to_owned()]);
    }

    #[test]
    fn lines_and_their_number_are_bounded() {
        let mut long = Lines::new();
        long.receive(&[b'a'; MAX_LINE]).unwrap();
        assert_eq!(long.receive(b"a"), Err(LineError::TooLong));
        let mut many = Lines::new();
        for _ in 0..MAX_PENDING_LINES {
            many.receive(b"a\n").unwrap();
        }
        assert_eq!(many.receive(b"a\n"), Err(LineError::TooMany));
    }

    #[test]
    fn commands_ignore_case_and_names_keep_it() {
        assert_eq!(Command::parse("LISTcs"), Command::ListCs);
        assert_eq!(Command::parse("listcs please"), Command::ListCs);
        assert_eq!(Command::parse("EXIT"), Command::Quit);
        assert_eq!(
            Command::parse(" removecs  Alpha\tbeta "),
            Command::RemoveCs(vec!["Alpha".into(), "beta".into()])
        );
        assert_eq!(
            Command::parse("Foo bar"),
            Command::Other {
                word: "foo".into(),
                arguments: vec!["bar".into()],
                line: "Foo bar".into()
            }
        );
        assert!(matches!(Command::parse(""), Command::Other { word, .. } if word.is_empty()));
    }

    #[test]
    fn answers_are_what_scripts_expect() {
        let greeting = Greeting {
            release: "1.4.90".into(),
            uptime: 22,
            hosts: 3,
            jobs: 0,
            total: 0,
        };
        assert_eq!(
            text(|out| greeting.write(out)),
            "200-ICECC 1.4.90: 22s uptime, 3 hosts, 0 jobs in queue (0 total).\n\
             200 Use 'help' for help and 'quit' to quit.\n"
        );
        let mut host = HostLine {
            name: "beta".into(),
            address: "10.77.0.3".into(),
            port: 10245,
            platform: "x86_64".into(),
            speed: 0.0,
            jobs: 1,
            max_jobs: 8,
            load: 0,
            installing_since: Some(1),
            more: String::new(),
        };
        assert_eq!(
            text(|out| host.write(out)),
            " beta (10.77.0.3:10245) [x86_64] speed=0.00 jobs=1/8 load=0 busy installing since 1 s\n"
        );
        host.installing_since = None;
        host.speed = 12.346;
        assert_eq!(
            text(|out| host.write(out)),
            " beta (10.77.0.3:10245) [x86_64] speed=12.35 jobs=1/8 load=0\n"
        );
        let mut job = JobLine {
            id: 5,
            state: JobState::Pending,
            submitter: "ws".into(),
            worker: None,
            file: "h-sched/src/f7.cpp".into(),
        };
        assert_eq!(
            text(|out| job.write(out)),
            " 5 PEND sub:ws on:<unknown> h-sched/src/f7.cpp\n"
        );
        job.state = JobState::WaitingForClient;
        job.worker = Some("ws".into());
        assert_eq!(
            text(|out| job.write_below_host(out)),
            "   5 WAIT sub:ws on:ws h-sched/src/f7.cpp\n"
        );
        job.state = JobState::Compiling;
        assert_eq!(
            text(|out| job.write(out)),
            " 5 COMP sub:ws on:ws h-sched/src/f7.cpp\n"
        );
        assert_eq!(text(|out| blocked(out, "10.77.0.5")), "   10.77.0.5\n");
        assert_eq!(text(|out| removing(out, "beta")), "removing host beta\n");
        assert_eq!(
            text(|out| not_reporting(out, &"beta".into())),
            "beta not reporting\n"
        );
        assert_eq!(
            text(|out| invalid(out, "foo bar")),
            "Invalid command 'foo bar'\n"
        );
        assert_eq!(text(|out| invalid(out, "")), "Invalid command ''\n");
        assert_eq!(
            text(|out| internals(out, &"Node Name: ws\n  load: 1\n".into())),
            text(|out| internals(out, &"Node Name: ws\n  load: 1".into())),
        );
    }

    #[test]
    fn names_cannot_forge_lines() {
        let name = ByteString::from("evil\n200 done\r");
        assert_eq!(
            text(|out| not_reporting(out, &name)),
            "evil?200 done? not reporting\n"
        );
    }
}
