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

/// The reply to a caller.
#[derive(Debug)]
pub enum Reply {
    /// A token, and the word for which it may be kept, or [`NO_TOKEN`](published::NO_TOKEN).
    Token(Arc<Grant>, u32),
    /// The result of this flight, once it lands.
    Flight(FlightId),
    /// A failure, and how long the caller should wait before it tries again.
    Failure(Error, Option<Duration>),
}

/// The parts that all managers of a process share: a runtime, and the alarms that run on it.
#[derive(Clone)]
pub struct Engine {
    /// Runs flights.
    pub handle: Handle,
    /// Wakes managers.
    pub alarms: Arc<Alarms>,
}

/// Returns the runtime, or `None` if the system cannot start its thread now.
pub type EngineSource = Arc<dyn Fn() -> Option<Engine> + Send + Sync>;
