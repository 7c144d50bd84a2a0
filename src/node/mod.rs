//! The only code that knows N-API. Each function converts its arguments, makes one call and
//! converts the result.
//!
//! Failures cross the boundary as data, from which `lib/` creates errors; an `Err` from here is a
//! bug. Results reach JavaScript through one unreferenced thread-safe function per environment,
//! which carries the id of a manager. The JavaScript thread then drains the events of this manager.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::needless_pass_by_value,
    clippy::missing_errors_doc,
    reason = "N-API fixes these signatures, and an `Err` from these functions is a bug"
)]

pub mod core;
pub mod derived;
mod engine;
mod env_data;
mod events;
mod external_string;
mod fetch_transport;
mod loop_waker;
pub mod module;
mod options;
pub mod values;
