//! A manager on simulated time: a paused tokio clock, a scripted transport and a recording event
//! sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use manager::clock::{Clock, Moment};
use manager::config::Config;
use manager::credential::SecretCall;
use manager::derived::{ManagerId, PARENT};
use manager::error::Error;
use manager::slot::{Call, FlightId, FlightResult};
use manager::sync::Handle;
use manager::timers::Timers;
use manager::{Engine, EngineSource, Event, EventSink, Level, Manager, Reply};
use oauth::TokenRequest;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::scripted::{ScriptedTransport, Step, config};
use crate::store::SimulatedStore;

/// Tokio's paused time, and a wall clock that a test can step independently.
pub struct SimulatedClock {
    origin: Instant,
    /// The time of the wall clock at `origin`, in ms since the epoch.
    wall_at_origin: AtomicI64,
}

impl SimulatedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            wall_at_origin: AtomicI64::new(1_000_000_000_000),
        }
    }

    /// Steps the wall clock, as a time correction does or as happens when a machine was suspended.
    pub fn step_wall(&self, by_ms: i64) {
        self.wall_at_origin.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Moment {
        let monotonic = self.origin.elapsed();
        let wall = u64::try_from(self.wall_at_origin.load(Ordering::SeqCst)).unwrap();
        Moment::new(monotonic, Duration::from_millis(wall) + monotonic)
    }
}

/// An ended flight, with the version for which callers may keep its token.
pub type FlightEnd = (FlightId, FlightResult, u32);

/// Records events.
pub struct RecordingSink {
    flight_ends: mpsc::UnboundedSender<FlightEnd>,
    derived_ends: mpsc::UnboundedSender<(ManagerId, FlightResult)>,
    calls: mpsc::UnboundedSender<SecretCall>,
    /// The shared store.
    pub store: Mutex<Arc<SimulatedStore>>,
    pub lines: Mutex<Vec<(Level, String)>>,
    pub wakes: AtomicU64,
    /// The number of revocations that have ended.
    pub revocations: AtomicU64,
}

impl EventSink for RecordingSink {
    fn push(&self, event: Event) {
        match event {
            Event::FlightEnded {
                manager,
                flight,
                outcome,
                version,
                ..
            } if manager == PARENT => {
                let _ = self.flight_ends.send((flight, outcome, version));
            }
            Event::FlightEnded {
                manager, outcome, ..
            } => {
                let _ = self.derived_ends.send((manager, outcome));
            }
            Event::Log(level, message) => self.lines.lock().push((level, message)),
            Event::SecretWanted(call) => {
                let _ = self.calls.send(call);
            }
            Event::TokenDropped(_) => {
                self.wakes.fetch_add(1, Ordering::SeqCst);
            }
            Event::RevocationEnded => {
                self.revocations.fetch_add(1, Ordering::SeqCst);
            }
            Event::StoreWanted(call) => {
                let store = Arc::clone(&self.store.lock());
                store.receive(call);
            }
            Event::FlightStarted { .. }
            | Event::RootsWanted
            | Event::RequestWanted(_)
            | Event::RequestAbandoned(_) => {}
        }
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns an engine that uses this runtime, and timers that use this clock.
pub fn engine_source<C: Clock>(clock: &Arc<C>) -> EngineSource {
    let timers = Arc::new(Timers::default());
    let engine = Engine {
        handle: Handle::new(&tokio::runtime::Handle::current()),
        timers: Arc::clone(&timers),
    };
    let clock = Arc::clone(clock);
    tokio::spawn(async move { timers.run(&*clock).await });
    Arc::new(move || Some(engine.clone()))
}

/// A manager and its environment.
pub struct World {
    pub manager: Arc<Manager<SimulatedClock, ScriptedTransport>>,
    pub clock: Arc<SimulatedClock>,
    pub transport: Arc<ScriptedTransport>,
    pub sink: Arc<RecordingSink>,
    pub flight_ends: mpsc::UnboundedReceiver<FlightEnd>,
    /// The ended flights of derived managers.
    pub derived_ends: mpsc::UnboundedReceiver<(ManagerId, FlightResult)>,
    pub calls: mpsc::UnboundedReceiver<SecretCall>,
}

impl World {
    pub fn new(
        latency_ms: u64,
        script: impl Fn(u64, &TokenRequest) -> Step + Send + Sync + 'static,
    ) -> Self {
        Self::with(config(), latency_ms, script)
    }

    pub fn with(
        config: Config,
        latency_ms: u64,
        script: impl Fn(u64, &TokenRequest) -> Step + Send + Sync + 'static,
    ) -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let transport = Arc::new(ScriptedTransport::new(latency_ms, script));
        let (end_sender, flight_ends) = mpsc::unbounded_channel();
        let (derived_sender, derived_ends) = mpsc::unbounded_channel();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let sink = Arc::new(RecordingSink {
            flight_ends: end_sender,
            derived_ends: derived_sender,
            calls: call_sender,
            store: Mutex::default(),
            lines: Mutex::default(),
            wakes: AtomicU64::new(0),
            revocations: AtomicU64::new(0),
        });
        let manager = Manager::new(
            config,
            Arc::clone(&clock),
            Arc::clone(&transport),
            Arc::<RecordingSink>::clone(&sink),
            engine_source(&clock),
        );
        Self {
            manager,
            clock,
            transport,
            sink,
            flight_ends,
            derived_ends,
            calls,
        }
    }

    /// Makes the manager use this store.
    #[must_use]
    pub fn share(self, store: &Arc<SimulatedStore>) -> Self {
        *self.sink.store.lock() = Arc::clone(store);
        self
    }

    /// Changes the configuration of the manager.
    pub fn reconfigure(&mut self, config: Config) {
        let (transport, sink) = (Arc::clone(&self.transport), Arc::clone(&self.sink));
        self.manager = self.manager.reconfigured(config, transport, sink);
    }

    /// Returns the result for a caller that accepts any token, as JavaScript would see it: the
    /// token's text or an error.
    pub async fn any(&mut self) -> Result<String, Error> {
        let result = match self.manager.ask(Call::Any) {
            Reply::Token(token, _) => Ok(token),
            Reply::Failure(error, _) => Err(error),
            Reply::Flight(flight) | Reply::EarlierFlight(flight) => loop {
                let (id, outcome, _) = self.flight_end().await;
                if id == flight {
                    break outcome
                        .result
                        .or_else(|error| outcome.fallback.ok_or(error));
                }
            },
        };
        result.map(|token| token.access_token.expose().to_owned())
    }

    /// Asks for any token. Returns the flight that the caller has to wait for.
    pub fn flight(&self) -> FlightId {
        match self.manager.ask(Call::Any) {
            Reply::Flight(flight) => flight,
            other => panic!("expected a flight, got {other:?}"),
        }
    }

    /// Waits until the next flight ends.
    pub async fn flight_end(&mut self) -> FlightEnd {
        self.flight_ends.recv().await.expect("a sink")
    }

    /// Asks for any token. Returns the flight, and its call to the secret function.
    pub async fn secret_call(&mut self) -> (FlightId, SecretCall) {
        (self.flight(), self.calls.recv().await.expect("a sink"))
    }

    /// Returns the simulated time.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Returns the simulated time that has elapsed since `start`.
    pub fn since(&self, start: Moment) -> Duration {
        self.now().since(start)
    }

    pub fn warnings(&self) -> usize {
        self.sink
            .lines
            .lock()
            .iter()
            .filter(|(level, _)| *level == Level::Warn)
            .count()
    }
}

/// Lets simulated time pass.
pub async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
