//! What the cluster was: samples of its use, finished builds and slow files, in one file of bounded size.
//!
//! Nothing depends on it. A file that cannot be opened or written means a warning and no history, never a delay: what is to be kept goes to
//! a thread of its own, and is dropped if that thread is behind.
//!
//! - [`sample`]: what is kept of a moment, and how moments add up to minutes and hours
//! - [`sampler`]: the picture in, samples out
//! - [`store`]: the file; [`seal`]: whether it is damaged; [`retention`]: how long things are kept, and what goes first when there is too much
//! - [`query`]: periods asked for
//! - [`writer`]: the thread; [`invented`]: a past for the demo

/// Name of the file in a state folder.
pub const FILE: &str = "history.redb";

mod invented;
mod query;
mod retention;
mod sample;
mod sampler;
mod seal;
mod store;
mod writer;

pub use invented::invent;
pub use query::{HostCurve, Past, PastFile, Point, Question};
pub use sample::{Batch, FileSum, HostUse, Sample};
pub use sampler::Sampler;
pub use store::{HistoryError, PastBuild, Store};
pub use writer::History;
