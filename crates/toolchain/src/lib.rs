//! Packaging, identifying and installing compilers.
//!
//! A toolchain is a compiler and all it needs to run in a chroot on another machine. The submitter's side makes one
//! from what is installed ([`create`], remembered in [`native`]); the worker's side receives it as a hostile archive,
//! unpacks it and keeps it while it is useful ([`store`]); [`verify`] says which programs show that it works.
//! Names of toolchains, platforms and compilers are in [`names`], the grammar of `ICECC_VERSION` in [`version_list`].
//!
//! Everything here blocks: callers with an event loop use threads. Nothing here runs a received program or talks to
//! the network. Without the feature `archives` only these two are left, for programs that must stay small.

pub mod names;
pub mod version_list;

#[cfg(feature = "archives")]
mod compression;
#[cfg(feature = "archives")]
mod content;
#[cfg(feature = "archives")]
pub mod create;
#[cfg(feature = "archives")]
pub mod native;
#[cfg(feature = "archives")]
pub mod store;
#[cfg(feature = "archives")]
pub mod unpack;
#[cfg(feature = "archives")]
pub mod verify;

#[cfg(feature = "archives")]
pub use compression::{Compression, UnknownCompression};
