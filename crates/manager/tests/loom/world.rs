//! A manager whose locks, versions and tasks are loom's.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use loom::sync::{Condvar, Mutex as LoomMutex};
use loom::thread::JoinHandle;
use manager::clock::{Clock, Moment};
use manager::config::{AssertionSettings, Config, Credential, CredentialConfig, Target};
use manager::slot::{Call, FlightId, FlightResult};
use manager::sync::{Handle, spawn};
use manager::timers::Timers;
use manager::{self, Engine, Event, EventQueue, EventSink, Reply};
use oauth::{
    Answer, ClientAuthentication, ClientCredentialsGrant, ClientSecret, TokenEndpoint, TokenRequest,
};
use transport::{ClientIdentity, Progress, Transport, TransportError};
use zeroize::Zeroizing;

pub(crate) type LoomManager = manager::Manager<StoppedClock, LoomTransport>;

/// The default number of preemptions of a thread that could have continued. Most faults need one or
/// two, and without a limit a test takes hours. `LOOM_MAX_PREEMPTIONS` overrides it.
const PREEMPTIONS: usize = 3;

/// Runs `test` in every order. Deadlines are never reached, because nothing drives their timers.
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
        Moment { monotonic, wall }
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Token,
    Refusal,
    /// The task is dropped before it ends.
    Lost,
}

/// Answers immediately.
pub(crate) struct LoomTransport {
    outcome: Outcome,
    requests: AtomicU64,
}

impl LoomTransport {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for LoomTransport {
    type Pass = ();

    async fn admit(
        &self,
        _endpoint: &TokenEndpoint,
        _identity: Option<&Arc<ClientIdentity>>,
        _progress: &Progress,
    ) -> Result<(), TransportError> {
        Ok(())
    }

    async fn send(
        &self,
        _pass: &mut (),
        _request: &TokenRequest,
        _progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let (status, body) = match self.outcome {
            Outcome::Refusal => (401, "{\"error\":\"invalid_client\"}".to_owned()),
            Outcome::Token | Outcome::Lost => {
                (200, format!("{{\"access_token\":\"token-{number}\",\"expires_in\":300}}"))
            }
        };
        Ok(Answer {
            status,
            retry_after: None,
            content_encoding: None,
            body: Zeroizing::new(body.into_bytes()),
        })
    }
}

/// A landed flight, with the version for which its token may be kept.
pub(crate) type LoomFlightEnd = (FlightId, FlightResult, u32);

/// Records landings, and calls the manager for every event, which deadlocks if a lock is held
/// meanwhile.
#[derive(Default)]
pub(crate) struct LoomSink {
    landings: Mutex<Vec<LoomFlightEnd>>,
    manager: OnceLock<Weak<LoomManager>>,
}

impl LoomSink {
    /// Takes the recorded landings.
    pub(crate) fn landings(&self) -> Vec<LoomFlightEnd> {
        std::mem::take(&mut *self.landings.lock().unwrap())
    }
}

impl EventSink for LoomSink {
    fn push(&self, event: Event) {
        self.wake();
        if let Event::FlightEnded {
            flight,
            landed,
            version,
        } = event
        {
            let landing = (flight, landed, version);
            self.landings.lock().unwrap().push(landing);
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
    wakes: LoomMutex<u32>,
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
    pub(crate) transport: Arc<LoomTransport>,
    pub(crate) sink: Arc<LoomSink>,
    pub(crate) flights: Handle,
    timers: Arc<Timers>,
    queue: Option<Arc<EventQueue>>,
}

pub(crate) fn config() -> Config {
    Config {
        target: Target::Endpoint(
            TokenEndpoint::parse("http://127.0.0.1:1/realms/r/token").unwrap(),
        ),
        assertion: AssertionSettings::default(),
        grant: ClientCredentialsGrant {
            client_id: "portal".to_owned(),
            authentication: ClientAuthentication::SecretPost,
            scope: None,
            parameters: Vec::new(),
        },
        credential: CredentialConfig::Given(Credential::Secret(secret("s3cr+t"))),
        expiry_buffer: Duration::from_mins(1),
        request_timeout: Duration::from_secs(15),
        background_refresh: true,
        name: "portal".to_owned(),
        has_logger: false,
    }
}

pub(crate) fn secret(text: &str) -> Arc<ClientSecret> {
    Arc::new(ClientSecret::new(text.to_owned()).unwrap())
}

impl LoomWorld {
    pub(crate) fn new(config: Config, outcome: Outcome) -> Self {
        let sink = Arc::new(LoomSink::default());
        let world = Self::with(config, outcome, Arc::<LoomSink>::clone(&sink));
        let _ = sink.manager.set(Arc::downgrade(&world.manager));
        Self { sink, ..world }
    }

    /// Creates a world whose events go to a queue that rings the bell.
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
        let transport = Arc::new(LoomTransport {
            outcome,
            requests: AtomicU64::new(0),
        });
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
        self.queue.as_ref().expect("made with one")
    }

    /// Continues with a changed configuration.
    pub(crate) fn reconfigure(&mut self, config: Config) {
        let events = match &self.queue {
            Some(queue) => queue.next_sink(),
            None => Arc::<LoomSink>::clone(&self.sink),
        };
        let transport = Arc::clone(&self.transport);
        self.manager = self.manager.succeed(config, transport, events);
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

    /// Wakes the due sleepers on another thread.
    pub(crate) fn ring_alarms(&self) -> JoinHandle<()> {
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
