//! Every setting of Gelato, where it may come from, and what it is.
//!
//! [`keys`] is the one table: name, kind, default, variables and a line of explanation for each setting. [`file`] reads a `gelato.toml`
//! against it, [`variable`] reads environment variables as Icecream does, [`Settings`] puts both in order. What an option of a
//! command line says comes before all of it and is the program's own affair.
//!
//! The order, first wins: variable `GELATO_…`, variable `ICECC_…`, the user's file, the system's file, the default. A folder that is
//! being compiled has no say: whoever writes a source file must not choose the compiler, the host or the files that are sent.
//!
//! Nothing here is fatal. What is wrong is collected as [`Problem`]s, and the setting is as if it had not been made.

pub mod file;
pub mod icecream;
pub mod keys;
mod nearest;
mod order;
mod value;
pub mod variable;

pub use file::Problem;
pub use keys::Key;
pub use order::{Found, Origin, Settings, unknown_variables};
pub use value::{Kind, Value};
