//! The daemon as a service, through the real program: sockets and notifications, logs, `--check`, who is let in, restarts.
//!
//! Each test runs as the user it is started by, and those named so as an ordinary user as well.

mod access;
mod check;
mod daemon;
mod lifecycle;
mod units;
