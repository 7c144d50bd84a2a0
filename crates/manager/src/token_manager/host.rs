//! What a manager shares with its derived managers apart from the configuration: the clock, the
//! event sink, and the runtime with the flights that wait for their start.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flight::{PreparedFlight, RunningFlight};
use crate::clock::Clock;
use crate::events::EventSink;
use crate::slot::schedule::part;
use crate::sync::Handle;
use crate::{Engine, EngineSource};
use transport::Transport;

/// The number of flights in progress beyond which further flights wait for their start. It is twice
/// the number of requests that the transport sends to one origin at once.
const MOST_FLIGHTS: usize = 128;

/// The clock, the event sink and the runtime of a manager and of its derived managers.
pub(super) struct Host<C: Clock, T: Transport> {
    pub(super) clock: Arc<C>,
    pub(super) events: Arc<dyn EventSink>,
    engine_source: EngineSource,
    engine: OnceLock<Engine>,
    queue: Mutex<Queue<C, T>>,
    permits: Arc<Semaphore>,
}

/// The flights that wait for their start, in order.
struct Queue<C: Clock, T: Transport> {
    flights: VecDeque<WaitingFlight<C, T>>,
    /// Whether a [`Starter`] runs.
    has_starter: bool,
}

struct WaitingFlight<C: Clock, T: Transport> {
    flight: RunningFlight<C, T>,
    prepared: PreparedFlight<T>,
    /// The reading of the monotonic clock when the wait began.
    since: Duration,
}

impl<C: Clock, T: Transport> Host<C, T> {
    pub(super) fn new(
        clock: Arc<C>,
        events: Arc<dyn EventSink>,
        engine_source: EngineSource,
    ) -> Arc<Self> {
        Self::with(clock, events, engine_source, OnceLock::new())
    }

    /// Creates the host for a changed configuration, which has its own event sink.
    pub(super) fn reporting_to(&self, events: Arc<dyn EventSink>) -> Arc<Self> {
        let (clock, source) = (Arc::clone(&self.clock), Arc::clone(&self.engine_source));
        Self::with(clock, events, source, self.engine.clone())
    }

    fn with(
        clock: Arc<C>,
        events: Arc<dyn EventSink>,
        engine_source: EngineSource,
        engine: OnceLock<Engine>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock,
            events,
            engine_source,
            engine,
            queue: Mutex::new(Queue {
                flights: VecDeque::new(),
                has_starter: false,
            }),
            permits: Arc::new(Semaphore::new(MOST_FLIGHTS)),
        })
    }

    /// Returns the runtime if a flight has started it.
    pub(super) fn started_engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// Returns the runtime. Starts it for the first flight.
    pub(super) fn engine(&self) -> Option<&Engine> {
        if self.engine.get().is_none() {
            drop(self.engine.set((self.engine_source)()?));
        }
        self.engine.get()
    }

    /// Starts a flight. If many flights are in progress, further flights wait, because a task takes
    /// more memory than a token, and would leave fragmented memory behind. A flight that waits for a
    /// function of its own starts at once, because other functions may hang.
    pub(super) fn start(
        self: &Arc<Self>,
        engine: &Engine,
        flight: RunningFlight<C, T>,
        prepared: PreparedFlight<T>,
    ) {
        let needs_permit = !prepared.wants_assertion();
        let permits = needs_permit.then(|| Arc::clone(&self.permits));
        let permit = permits.and_then(|permits| permits.try_acquire_owned().ok());
        let waiting = WaitingFlight {
            flight,
            prepared,
            since: self.clock.now().monotonic,
        };
        if permit.is_some() || !needs_permit {
            waiting.start(&engine.handle, Duration::ZERO, permit);
            return;
        }
        let had_starter = {
            let mut queue = self.queue.lock();
            queue.flights.push_back(waiting);
            std::mem::replace(&mut queue.has_starter, true)
        };
        if !had_starter {
            let starter = Starter {
                host: Arc::clone(self),
                has_ended: false,
            };
            engine.handle.spawn(starter.run(engine.handle.clone()));
        }
    }

    fn waited(&self, since: Duration) -> Duration {
        self.clock.now().monotonic.saturating_sub(since)
    }
}

impl<C: Clock, T: Transport> WaitingFlight<C, T> {
    fn start(self, handle: &Handle, waited: Duration, permit: Option<OwnedSemaphorePermit>) {
        handle.spawn(async move {
            // The runtime's thread allocates and frees the flight, so that the flights of many
            // managers do not fragment the calling thread's heap.
            Box::pin(self.flight.fly(self.prepared, waited)).await;
            drop(permit);
        });
    }
}

/// Starts the waiting flights.
struct Starter<C: Clock, T: Transport> {
    host: Arc<Host<C, T>>,
    has_ended: bool,
}

impl<C: Clock, T: Transport> Starter<C, T> {
    async fn run(mut self, handle: Handle) {
        while let Some(waiting) = self.next() {
            let permit = self.permit(&waiting).await;
            let waited = self.host.waited(waiting.since);
            waiting.start(&handle, waited, permit);
        }
    }

    fn next(&mut self) -> Option<WaitingFlight<C, T>> {
        let mut queue = self.host.queue.lock();
        let next = queue.flights.pop_front();
        if next.is_none() {
            queue.flights = VecDeque::new();
            queue.has_starter = false;
            self.has_ended = true;
        }
        next
    }

    /// Waits until the flight may start, at most for half of the time limit and until the manager
    /// closes.
    async fn permit(&self, waiting: &WaitingFlight<C, T>) -> Option<OwnedSemaphorePermit> {
        let prepared = &waiting.prepared;
        let longest = part(prepared.setup.config.request_timeout, 2);
        let left = longest.saturating_sub(self.host.waited(waiting.since));
        tokio::select! {
            biased;
            permit = Arc::clone(&self.host.permits).acquire_owned() => permit.ok(),
            _ = prepared.setup.closing.acquire() => None,
            () = tokio::time::sleep(left) => None,
        }
    }
}

/// A runtime that shuts down drops its tasks, and with them the flights, which notify their waiters.
impl<C: Clock, T: Transport> Drop for Starter<C, T> {
    fn drop(&mut self) {
        if !self.has_ended {
            let flights = {
                let mut queue = self.host.queue.lock();
                queue.has_starter = false;
                std::mem::take(&mut queue.flights)
            };
            drop(flights);
        }
    }
}
