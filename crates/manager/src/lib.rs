//! Decides when to request a token, and for which callers.
//!
//! [`Manager`] ties the pure [`slot`] to a clock, a transport, a runtime and an [`EventSink`].

use std::sync::Arc;
use std::time::Duration;

pub mod acquire;
pub mod clock;
pub mod config;
pub mod credential;
pub mod derived;
pub mod error;
pub mod events;
pub mod options;
pub mod published;
pub mod slot;
pub mod snapshot;
pub mod store;
pub mod sync;
pub mod timers;
mod token_manager;

use error::Error;
use slot::{FlightId, Token};
use sync::Handle;
use timers::Timers;

pub use events::{Event, EventQueue, EventSink, Level};
pub use token_manager::Manager;

/// The reply to a caller.
#[derive(Debug)]
pub enum Reply {
    /// A token, and the version for which the caller may keep it, or
    /// [`NO_TOKEN`](published::NO_TOKEN).
    Token(Arc<Token>, u32),
    /// Wait for the result of this flight.
    Flight(FlightId),
    /// Wait for the end of this flight, and then make the call again, as
    /// [`Call::ForcedAgain`](slot::Call::ForcedAgain).
    EarlierFlight(FlightId),
    /// A failure, and the time that the caller should wait before it tries again.
    Failure(Error, Option<Duration>),
}

/// The parts that all managers of a process share: a runtime, and the timers that run on that
/// runtime.
#[derive(Clone)]
pub struct Engine {
    /// Runs flights.
    pub handle: Handle,
    /// Wakes managers.
    pub timers: Arc<Timers>,
}

/// Returns the runtime, or `None` if the system currently cannot start the runtime's thread.
pub type EngineSource = Arc<dyn Fn() -> Option<Engine> + Send + Sync>;
