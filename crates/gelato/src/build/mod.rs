//! What `gelato build` is made of: the compilers' masquerade, the cluster to use, the command to
//! run, the sum of what happened, and what bounded it.

pub(crate) mod aftermath;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod masquerade;
pub(crate) mod private;
pub(crate) mod summary;
