//! One job of a build as the verdict needs it, and the parts of it in the order in which they happened.

use gelato_record::{JobRecord, Verdict};

/// What a job was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Finding out what it is; getting the toolchain's name.
    Preparing,
    /// Waiting for a worker.
    Waiting,
    /// Waiting for a processor of the submitter.
    Queueing,
    /// Connecting and installing the toolchain.
    Installing,
    /// Preprocessing and sending, which go together.
    Shipping,
    /// With the worker's compiler.
    Compiling,
    /// Receiving the result.
    Receiving,
    /// Running on the submitter.
    Local,
}

/// What of a record matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) end: u64,
    pub(crate) wall: u32,
    pub(crate) cpu: u32,
    /// Bytes sent and received.
    pub(crate) moved: u32,
    /// Bytes of preprocessed source; 0 if not known.
    pub(crate) source: u32,
    /// Whether it is a compilation, and not a link or something else.
    pub(crate) compiles: bool,
    parts: [u32; 11],
}

impl Work {
    pub(crate) fn of(record: &JobRecord) -> Work {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let travels = !matches!(record.verdict, Verdict::Local | Verdict::Refused);
        let stays = matches!(
            record.reason.as_deref(),
            None | Some("no-compile-step" | "icerun" | "custom-command")
        );
        Work {
            end: record.end,
            wall: small(record.wall),
            cpu: small(record.cpu),
            moved: small(record.sent.saturating_add(record.received)),
            source: small(record.source_bytes),
            compiles: travels || record.language.is_some() && !stays,
            parts: record.phases.parts().map(|(_, ms)| small(ms)),
        }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.end.saturating_sub(self.wall.into())
    }

    /// Its wall time without waiting for a worker, a processor or the toolchain.
    pub(crate) fn busy(&self) -> u64 {
        let waits = [
            Doing::Waiting,
            Doing::Queueing,
            Doing::Preparing,
            Doing::Installing,
        ];
        let waits: u64 = waits.map(|doing| u64::from(self.part(doing))).iter().sum();
        u64::from(self.wall).saturating_sub(waits)
    }

    pub(crate) fn compiling(&self) -> u32 {
        self.part(Doing::Compiling)
    }

    /// How long it kept a slot of a worker.
    pub(crate) fn on_worker(&self) -> u64 {
        let parts = [
            Doing::Installing,
            Doing::Shipping,
            Doing::Compiling,
            Doing::Receiving,
        ];
        parts.map(|doing| u64::from(self.part(doing))).iter().sum()
    }

    /// Milliseconds of a part.
    pub(crate) fn part(&self, doing: Doing) -> u32 {
        let [
            analyse,
            toolchain,
            wait,
            connect,
            install,
            preprocess,
            send,
            compile,
            receive,
            slot,
            local,
        ] = self.parts;
        match doing {
            Doing::Preparing => analyse.saturating_add(toolchain),
            Doing::Waiting => wait,
            Doing::Queueing => slot,
            Doing::Installing => connect.saturating_add(install),
            Doing::Shipping => self.shipping(preprocess, send),
            Doing::Compiling => compile,
            Doing::Receiving => receive,
            Doing::Local => local,
        }
    }

    /// A source is sent while it is preprocessed: what the parts exceed the whole by, they were at the same time.
    fn shipping(&self, preprocess: u32, send: u32) -> u32 {
        let sum: u64 = self.parts.iter().map(|part| u64::from(*part)).sum();
        let over = sum.saturating_sub(self.wall.into());
        let over = u32::try_from(over).unwrap_or(u32::MAX);
        let both = over.min(preprocess).min(send);
        preprocess.saturating_add(send) - both
    }

    /// What it was doing from when to when, in order; what is not accounted for is at its end.
    pub(crate) fn timeline(&self) -> impl Iterator<Item = (Doing, u64, u64)> + '_ {
        let order = [
            Doing::Preparing,
            Doing::Waiting,
            Doing::Installing,
            Doing::Queueing,
            Doing::Shipping,
            Doing::Compiling,
            Doing::Receiving,
            Doing::Local,
        ];
        let mut at = self.begun();
        order.into_iter().filter_map(move |doing| {
            let begin = at;
            at = (at + u64::from(self.part(doing))).min(self.end);
            (at > begin).then_some((doing, begin, at))
        })
    }

    /// Milliseconds in which it may have used processors of the submitter.
    pub(crate) fn active_here(&self) -> u32 {
        let parts = [Doing::Preparing, Doing::Shipping, Doing::Local];
        parts
            .map(|doing| self.part(doing))
            .iter()
            .fold(0, |sum, part| sum.saturating_add(*part))
    }
}
