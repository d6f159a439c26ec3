//! A whole scheduler on loopback ports, talked to as daemons, monitors and people do.

mod control;
mod elections;
mod hostile;
mod jobs;
mod monitors;
mod news;
mod peers;
mod recovery;
mod stuck;
mod trace;
