//! The only code that knows N-API: options in, outcomes out, each method a few lines.
//!
//! Failures cross as data; `lib/` makes errors of them. An `Err` from here is a bug. Results reach
//! JavaScript through one weak thread-safe function an environment, which carries the id of a
//! manager whose mailbox then is emptied on the JavaScript thread.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::needless_pass_by_value,
    clippy::missing_errors_doc,
    reason = "the signatures that N-API functions have, whose errors are bugs"
)]

pub mod core;
mod engine;
mod nudge;
mod options;
mod room;
pub mod shapes;
