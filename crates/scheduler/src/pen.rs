//! Writes the trace of this scheduler, if one is wanted: every event and what was decided, to be played again. A full disk
//! ends the trace and nothing else.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use gelato_scheduler_core::trace::Tracer;
use gelato_scheduler_core::{Action, Config, Event, Past, Time};

/// Bytes a trace may have: about a million jobs.
const LARGEST: u64 = 2 << 30;

/// See the module.
#[derive(Default)]
pub(crate) struct Pen {
    tracer: Option<(Tracer<BufWriter<File>>, PathBuf)>,
}

impl Pen {
    /// Begins a trace in `path`, replacing what is there, of a core made of `config` that remembers `past`.
    pub(crate) fn begin(path: &Path, config: &Config, past: &Past) -> Pen {
        let begin = || -> io::Result<_> {
            let file = BufWriter::new(File::create(path)?);
            Tracer::begin(file, LARGEST, crate::server::release(), config, past)
        };
        match begin() {
            Ok(tracer) => Pen {
                tracer: Some((tracer, path.to_owned())),
            },
            Err(error) => {
                tracing::warn!("no trace is written: {}: {error}", path.display());
                Pen::default()
            }
        }
    }

    pub(crate) fn before(&mut self, at: Time, event: &Event) {
        if let Some((tracer, _)) = &mut self.tracer {
            tracer.before(at, event);
        }
    }

    pub(crate) fn after(&mut self, actions: &[Action]) {
        if let Some((tracer, path)) = &mut self.tracer
            && let Err(error) = tracer.after(actions)
        {
            tracing::warn!("the trace {} ends here: {error}", path.display());
            self.tracer = None;
        }
    }
}
