//! The wrapper as a program: run against real compilers, without a daemon and with scripted ones.

mod alone;
mod cluster;
mod compilers;
mod differential;
mod fixture;
mod peers;
mod records;
mod settings;
mod signals;
mod verification;
