//! The events of a manager, which wait in a queue until its JavaScript thread drains them.
//!
//! A wake-up carries no data, so all events are in the queue. When an environment ends, the queue
//! overwrites and drops the events that it still holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::config::Config;
use super::credential::SecretCall;
use super::derived::ManagerId;
use super::slot::{Cause, FlightId, FlightResult};
use super::store::StoreCall;
use super::sync::Mutex;
use transport::DelegatedRequest;

/// The number of log lines that the queue keeps while the event loop is blocked. The queue drops
/// older lines.
const MAX_LOG_LINES: usize = 100;

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A line that needs the attention of an operator.
    Warn,
    /// A change of state.
    Info,
    /// A line for debugging.
    Debug,
}

impl Level {
    /// Returns the name of the logger's method.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The cause and the grant type of a flight, for telemetry.
#[derive(Clone, Copy, Debug)]
pub struct FlightFacts {
    /// Why the flight started.
    pub cause: Cause,
    /// The form field `grant_type` of its requests.
    pub grant_type: &'static str,
}

/// An event that JavaScript has to handle.
#[derive(Debug)]
pub enum Event {
    /// A flight started. The manager sends this event only if JavaScript observes the starts.
    FlightStarted {
        /// The manager of the flight.
        manager: ManagerId,
        /// The flight that started.
        flight: FlightId,
        /// The cause and the grant type of the flight.
        facts: FlightFacts,
        /// When the flight started, as the time since the Unix epoch.
        at: Duration,
    },
    /// A flight ended.
    FlightEnded {
        /// The manager of the flight.
        manager: ManagerId,
        /// The flight that ended.
        flight: FlightId,
        /// The result for the waiters of the flight.
        outcome: FlightResult,
        /// The version for which JavaScript may keep the token, or
        /// [`NO_TOKEN`](super::published::NO_TOKEN).
        version: u32,
        /// The cause and the grant type of the flight.
        facts: FlightFacts,
        /// The number of token requests, not counting repetitions after a lost connection.
        requests: u32,
        /// The duration of the acquisition.
        took: Duration,
    },
    /// A derived manager dropped a token of which JavaScript may hold a copy.
    TokenDropped(ManagerId),
    /// The revocation of the tokens of a closed manager has ended.
    RevocationEnded,
    /// A line for the log.
    Log(Level, String),
    /// Requests a call to the secret function.
    SecretWanted(SecretCall),
    /// Requests a call to the shared store.
    StoreWanted(StoreCall),
    /// Requests the certificates that Node trusts, for the transport.
    RootsWanted,
    /// Asks JavaScript to send a request for the transport.
    RequestWanted(DelegatedRequest),
    /// The transport no longer waits for the answer to this request.
    RequestAbandoned(u32),
}

/// Receives a manager's events. The manager may call the sink from any thread, and holds no lock
/// during the call.
pub trait EventSink: Send + Sync + 'static {
    /// Adds an event.
    fn push(&self, event: Event);

    /// Makes JavaScript read the published version again after the manager has dropped a token.
    fn wake(&self);

    /// Whether JavaScript observes the starts of flights.
    fn observes_starts(&self) -> bool {
        false
    }
}

impl dyn EventSink {
    /// Adds a log line if the manager has a logger.
    pub(super) fn log(&self, config: &Config, level: Level, message: impl FnOnce() -> String) {
        if config.has_logger {
            let (name, message) = (config.name.escape_debug(), message());
            let line = format!("Keycloak token manager \"{name}\": {message}");
            self.push(Event::Log(level, line));
        }
    }
}

/// The events of one JavaScript manager across all its configurations.
pub struct EventQueue {
    waker: Box<dyn Fn() + Send + Sync>,
    /// `None` once the queue is closed.
    open: Mutex<Option<Open>>,
    observes_ends: AtomicBool,
    observes_starts: AtomicBool,
}

#[derive(Default)]
struct Open {
    events: VecDeque<(Generation, Event)>,
    generation: Generation,
    /// Whether a wake-up is on its way. The wake-up covers every event that enters the queue before
    /// its arrival.
    is_woken: bool,
}

/// The number of a manager's configuration.
type Generation = u32;

impl EventQueue {
    /// Creates an empty queue. When JavaScript must drain the queue, the queue calls `waker`, on
    /// any thread and without holding its own lock.
    #[must_use]
    pub fn new(waker: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            waker: Box::new(waker),
            open: Mutex::new(Some(Open::default())),
            observes_ends: AtomicBool::new(false),
            observes_starts: AtomicBool::new(false),
        })
    }

    /// Creates the sink for a new configuration. From then on, [`EventQueue::drain`] flags the
    /// events of earlier configurations.
    #[must_use]
    pub fn next_sink(self: &Arc<Self>) -> Arc<dyn EventSink> {
        let mut open = self.open.lock();
        let generation = open.as_mut().map_or(0, |open| {
            open.generation = open.generation.wrapping_add(1);
            open.generation
        });
        Arc::new(Sink {
            queue: Arc::clone(self),
            generation,
        })
    }

    /// Empties the queue, and returns its events. The flag of each event says whether the event
    /// comes from a former configuration.
    #[must_use]
    pub fn drain(&self) -> Vec<(bool, Event)> {
        let mut open = self.open.lock();
        let Some(open) = &mut *open else {
            return Vec::new();
        };
        open.is_woken = false;
        let current = open.generation;
        open.events
            .drain(..)
            .map(|(generation, event)| (generation != current, event))
            .collect()
    }

    /// Records which acquisition events JavaScript observes from now on.
    pub fn observe(&self, ends: bool, starts: bool) {
        self.observes_ends.store(ends, Ordering::Relaxed);
        self.observes_starts.store(starts, Ordering::Relaxed);
    }

    /// Whether JavaScript observes the ends of acquisitions.
    #[must_use]
    pub fn observes_ends(&self) -> bool {
        self.observes_ends.load(Ordering::Relaxed)
    }

    /// Drops all queued and all future events.
    pub fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    fn add(&self, add: impl FnOnce(&mut Open)) {
        let was_woken = {
            let mut open = self.open.lock();
            let Some(open) = &mut *open else { return };
            add(open);
            std::mem::replace(&mut open.is_woken, true)
        };
        if !was_woken {
            (self.waker)();
        }
    }
}

impl Open {
    fn push(&mut self, generation: Generation, event: Event) {
        let is_log = |event: &Event| matches!(event, Event::Log(..));
        let is_full = || {
            let lines = self.events.iter().filter(|(_, event)| is_log(event));
            lines.count() >= MAX_LOG_LINES
        };
        if is_log(&event)
            && is_full()
            && let Some(oldest) = self.events.iter().position(|(_, event)| is_log(event))
        {
            self.events.remove(oldest);
        }
        self.events.push_back((generation, event));
    }
}

/// The events of one configuration.
struct Sink {
    queue: Arc<EventQueue>,
    generation: Generation,
}

impl EventSink for Sink {
    fn push(&self, event: Event) {
        self.queue.add(|open| open.push(self.generation, event));
    }

    fn wake(&self) {
        self.queue.add(|_| {});
    }

    fn observes_starts(&self) -> bool {
        self.queue.observes_starts.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hundred_log_lines_are_kept_while_nobody_drains_the_queue() {
        let queue = EventQueue::new(|| {});
        let sink = queue.next_sink();
        for number in 0..130 {
            sink.push(Event::Log(Level::Debug, format!("{number}")));
        }
        sink.push(Event::RootsWanted);
        let mut lines = Vec::new();
        for (_, event) in queue.drain() {
            match event {
                Event::Log(_, line) => lines.push(line),
                Event::RootsWanted => {}
                other => panic!("{other:?}"),
            }
        }
        let newest: Vec<_> = (30..130).map(|number| number.to_string()).collect();
        assert_eq!(lines, newest);
    }
}
