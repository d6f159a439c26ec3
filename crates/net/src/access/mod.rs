//! Who may connect: rules about addresses, and how often refusals are said.
//!
//! Pure. Listeners ask [`Rules`] right after a connection was accepted, close what is not permitted, and ask [`Refusals`]
//! whether to log it. What a peer that may connect does then is not looked at here.

mod refusals;
mod rules;

pub use refusals::Refusals;
pub use rules::{Network, RuleError, Rules, canonical};
