//! Both kinds of connection against each other and against bytes, discovery on loopback.

mod common;
mod discovery;
mod handshake;
mod listener;
mod options;
mod stream;
mod transfer;
