//! When to request a token, and for which callers.
//!
//! [`Manager`] ties the pure [`slot`] to a clock, a transport, a runtime and an [`EventSink`].

use std::sync::Arc;
use std::time::Duration;

mod acquisition;
pub mod alarm;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod credential;
mod discovery;
pub mod error;
pub mod events;
pub mod held;
pub mod options;
pub mod published;
mod rejections;
pub mod schedule;
pub mod slot;
pub mod snapshot;
pub mod sync;
mod token_manager;
mod trouble;

use alarm::Alarms;
use error::Error;
use held::Grant;
use slot::FlightId;
use sync::Handle;

pub use events::{Event, EventQueue, EventSink, Level};
pub use token_manager::Manager;

/// What a caller gets.
#[derive(Debug)]
pub enum Reply {
    /// A token, and the word for which it may be kept, or [`NO_TOKEN`](published::NO_TOKEN).
    Token(Arc<Grant>, u32),
    /// This flight's result, later.
    Flight(FlightId),
    /// A failure, and how long until it makes sense to ask again.
    Failure(Error, Option<Duration>),
}

/// What the managers of a process share: a runtime, and the timers that run on it.
#[derive(Clone)]
pub struct Engine {
    /// Where flights run.
    pub handle: Handle,
    /// Wakes managers.
    pub alarms: Arc<Alarms>,
}

/// Gives the runtime, or `None` if the system has no thread for it now.
pub type EngineSource = Arc<dyn Fn() -> Option<Engine> + Send + Sync>;
