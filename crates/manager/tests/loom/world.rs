//! A manager with the locks, versions and tasks of loom.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use loom::sync::{Condvar, Mutex as LoomMutex};
use loom::thread::JoinHandle;
use manager::clock::{Clock, Moment};
use manager::config::Config;
use manager::slot::{Call, FlightId, FlightResult};
use manager::sync::{Handle, spawn};
use manager::timers::Timers;
use manager::{self, Engine, Event, EventQueue, EventSink, Reply};
use stand_ins::scripted::{ScriptedTransport, token_answer, wrong_secret};

pub(crate) type LoomManager = manager::Manager<StoppedClock, ScriptedTransport>;

/// The default limit on preemptions of a thread that could have continued. Most faults need one or
/// two, and without a limit a test takes hours. `LOOM_MAX_PREEMPTIONS` overrides it.
const PREEMPTIONS: usize = 3;

/// Runs `test` in every order. No deadline ever passes, because the test drives no timers.
pub(crate) fn model(test: impl Fn() + Send + Sync + 'static) {
    let timers = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = timers.enter();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(test);
}

/// A clock that advances only on request.
pub(crate) struct StoppedClock(AtomicU64);

impl StoppedClock {
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        let monotonic = Duration::from_millis(self.0.load(Ordering::SeqCst));
        let wall = Duration::from_secs(1_000_000_000).saturating_add(monotonic);
        Moment::new(monotonic, wall)
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Token,
    Refusal,
    /// The runtime drops the task before the request ends.
    Lost,
}

/// An ended flight, with the version for which callers may keep its token.
pub(crate) type LoomFlightEnd = (FlightId, FlightResult, u32);

/// Records ended flights, and calls the manager for every event. The call deadlocks if the manager
/// holds a lock meanwhile.
#[derive(Default)]
pub(crate) struct LoomSink {
    flight_ends: Mutex<Vec<LoomFlightEnd>>,
    manager: OnceLock<Weak<LoomManager>>,
}

impl LoomSink {
    /// Takes the recorded ends of flights.
    pub(crate) fn flight_ends(&self) -> Vec<LoomFlightEnd> {
        std::mem::take(&mut *self.flight_ends.lock().unwrap())
    }
}

impl EventSink for LoomSink {
    fn push(&self, event: Event) {
        self.wake();
        if let Event::FlightEnded {
            flight,
            outcome,
            version,
            ..
        } = event
        {
            let flight_end = (flight, outcome, version);
            self.flight_ends.lock().unwrap().push(flight_end);
        }
    }

    fn wake(&self) {
        if let Some(manager) = self.manager.get().and_then(Weak::upgrade) {
            let _ = manager.snapshot();
        }
    }
}

/// Wake-ups that the event loop has not handled yet.
#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) wakes: LoomMutex<u32>,
    rang: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.wakes.lock().unwrap() += 1;
        self.rang.notify_one();
    }

    /// Waits for a wake-up. If none arrives, loom reports a deadlock.
    pub(crate) fn wait(&self) {
        let mut wakes = self.wakes.lock().unwrap();
        while *wakes == 0 {
            wakes = self.rang.wait(wakes).unwrap();
        }
        *wakes -= 1;
    }
}

/// A manager and its environment.
pub(crate) struct LoomWorld {
    pub(crate) manager: Arc<LoomManager>,
    pub(crate) clock: Arc<StoppedClock>,
    pub(crate) transport: Arc<ScriptedTransport>,
    pub(crate) sink: Arc<LoomSink>,
    pub(crate) flights: Handle,
    timers: Arc<Timers>,
    queue: Option<Arc<EventQueue>>,
}

impl LoomWorld {
    pub(crate) fn new(config: Config, outcome: Outcome) -> Self {
        let sink = Arc::new(LoomSink::default());
        let world = Self::with(config, outcome, Arc::<LoomSink>::clone(&sink));
        let _ = sink.manager.set(Arc::downgrade(&world.manager));
        Self { sink, ..world }
    }

    /// Creates a world whose event queue rings the bell.
    pub(crate) fn with_queue(config: Config, outcome: Outcome) -> (Self, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        let rings = Arc::clone(&bell);
        let queue = EventQueue::new(move || rings.ring());
        let mut world = Self::with(config, outcome, queue.next_sink());
        world.queue = Some(queue);
        (world, bell)
    }

    fn with(config: Config, outcome: Outcome, events: Arc<dyn EventSink>) -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(0)));
        let transport = Arc::new(ScriptedTransport::new(0, move |_, _| match outcome {
            Outcome::Refusal => wrong_secret(),
            Outcome::Token | Outcome::Lost => token_answer(300),
        }));
        let flights = match outcome {
            Outcome::Lost => Handle::ended(),
            Outcome::Token | Outcome::Refusal => Handle::default(),
        };
        let timers = Arc::new(Timers::default());
        let engine = Engine {
            handle: flights.clone(),
            timers: Arc::clone(&timers),
        };
        let manager = LoomManager::new(
            config,
            Arc::clone(&clock),
            Arc::clone(&transport),
            events,
            Arc::new(move || Some(engine.clone())),
        );
        Self {
            manager,
            clock,
            transport,
            sink: Arc::default(),
            flights,
            timers,
            queue: None,
        }
    }

    pub(crate) fn queue(&self) -> &Arc<EventQueue> {
        self.queue.as_ref().expect("a world with a queue")
    }

    /// Replaces the manager with one that has a changed configuration.
    pub(crate) fn reconfigure(&mut self, config: Config) {
        let events = match &self.queue {
            Some(queue) => queue.next_sink(),
            None => Arc::<LoomSink>::clone(&self.sink),
        };
        let transport = Arc::clone(&self.transport);
        self.manager = self.manager.reconfigured(config, transport, events);
    }

    /// Gets the first token. Returns the version that represents it.
    pub(crate) fn warm(&self) -> u32 {
        assert!(matches!(self.manager.ask(Call::Any), Reply::Flight(_)));
        self.flights.join();
        match self.manager.ask(Call::Any) {
            Reply::Token(_, version) => version,
            other => panic!("expected a token, got {other:?}"),
        }
    }

    /// Wakes the managers whose timers are due, on another thread.
    pub(crate) fn fire_timers(&self) -> JoinHandle<()> {
        let (timers, clock) = (Arc::clone(&self.timers), Arc::clone(&self.clock));
        spawn(move || {
            let mut run = pin!(timers.run(&*clock));
            assert!(
                run.as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
        })
    }
}
