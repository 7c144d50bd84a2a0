//! The only code that knows N-API: options in, outcomes out, each method a few lines.
//!
//! Failures cross as data, and `lib/` makes errors of them; an `Err` from here is a bug. Results
//! reach JavaScript through one weak thread-safe function per environment. It carries the id of a
//! manager, whose events are then drained on the JavaScript thread.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::needless_pass_by_value,
    clippy::missing_errors_doc,
    reason = "the signatures that N-API functions have, whose errors are bugs"
)]

pub mod core;
mod engine;
mod env_data;
mod loop_waker;
mod options;
pub mod values;
