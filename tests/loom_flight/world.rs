//! A manager whose locks, words and tasks are loom's.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use keycloak_token_manager::manager::alarm::Alarms;
use keycloak_token_manager::manager::clock::{Clock, Moment};
use keycloak_token_manager::manager::config::{
    AssertionSettings, Config, Credential, Material, Target,
};
use keycloak_token_manager::manager::credential::CallId;
use keycloak_token_manager::manager::mailbox::Mailbox;
use keycloak_token_manager::manager::slot::{Call, FlightId};
use keycloak_token_manager::manager::sync::{Handle, spawn};
use keycloak_token_manager::manager::{self, Arrival, Engine, Level, Owner, Reply};
use keycloak_token_manager::oauth::{
    Answer, ClientAuthentication, ClientCredentialsGrant, ClientSecret, TokenEndpoint, TokenRequest,
};
use keycloak_token_manager::transport::{
    ClientIdentity, Connection, Room, Transport, TransportError,
};
use loom::sync::{Condvar, Mutex as LoomMutex};
use loom::thread::JoinHandle;
use zeroize::Zeroizing;

pub(crate) type Manager = manager::Manager<StoppedClock, ScriptedTransport>;

/// A thread is interrupted so many times where it could have gone on: most faults need one or two,
/// and without a bound a test takes hours. `LOOM_MAX_PREEMPTIONS` changes it.
const PREEMPTIONS: usize = 3;

/// Runs `test` in every order. Deadlines are never reached: nothing drives their timers.
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

/// A clock that goes when it is told to.
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

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Token,
    Refusal,
    /// The task is dropped without having ended.
    Lost,
}

/// Answers at once.
pub(crate) struct ScriptedTransport {
    outcome: Outcome,
    requests: AtomicU64,
}

impl ScriptedTransport {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for ScriptedTransport {
    type Pass = ();

    async fn admit(
        &self,
        _endpoint: &TokenEndpoint,
        _identity: Option<&Arc<ClientIdentity>>,
    ) -> Result<(), TransportError> {
        Ok(())
    }

    async fn roots(&self) {}

    async fn send(
        &self,
        _pass: &(),
        _request: &TokenRequest,
        _connection: Connection,
        _silence: Duration,
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

/// Records landings, and asks the manager back about everything: a lock that were held meanwhile
/// would be a deadlock.
#[derive(Default)]
pub(crate) struct RecordingOwner {
    landings: Mutex<Vec<(FlightId, Arrival)>>,
    manager: OnceLock<Weak<Manager>>,
}

impl RecordingOwner {
    /// What was recorded since the last time.
    pub(crate) fn landings(&self) -> Vec<(FlightId, Arrival)> {
        std::mem::take(&mut *self.landings.lock().unwrap())
    }

    fn ask_back(&self) {
        if let Some(manager) = self.manager.get().and_then(Weak::upgrade) {
            let _ = manager.snapshot();
        }
    }
}

impl Owner for RecordingOwner {
    fn flight_landed(&self, flight: FlightId, arrival: Arrival) {
        self.ask_back();
        self.landings.lock().unwrap().push((flight, arrival));
    }

    fn token_gone(&self) {
        self.ask_back();
    }

    fn log(&self, _level: Level, _message: String) {
        self.ask_back();
    }

    fn ask_secret(&self, _call: CallId) {
        self.ask_back();
    }

    fn ask_roots(&self) {
        self.ask_back();
    }
}

/// Nudges that the event loop has not seen yet.
#[derive(Default)]
pub(crate) struct Bell {
    nudges: LoomMutex<u32>,
    rang: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.nudges.lock().unwrap() += 1;
        self.rang.notify_one();
    }

    /// Waits for a nudge, for ever if there is none: loom then says "deadlock".
    pub(crate) fn wait(&self) {
        let mut nudges = self.nudges.lock().unwrap();
        while *nudges == 0 {
            nudges = self.rang.wait(nudges).unwrap();
        }
        *nudges -= 1;
    }
}

/// A manager and all its surroundings.
pub(crate) struct World {
    pub(crate) manager: Arc<Manager>,
    pub(crate) clock: Arc<StoppedClock>,
    pub(crate) transport: Arc<ScriptedTransport>,
    pub(crate) owner: Arc<RecordingOwner>,
    pub(crate) flights: Handle,
    alarms: Arc<Alarms>,
    mailbox: Option<Arc<Mailbox>>,
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
        credential: Credential::Given(Material::Secret(secret("s3cr+t"))),
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

impl World {
    pub(crate) fn new(config: Config, outcome: Outcome) -> Self {
        let owner = Arc::new(RecordingOwner::default());
        let told: Arc<dyn Owner> = Arc::<RecordingOwner>::clone(&owner);
        Self::with(config, outcome, owner, told)
    }

    /// Its owner is a mailbox, which rings the bell.
    pub(crate) fn with_mailbox(config: Config, outcome: Outcome) -> (Self, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        let rings = Arc::clone(&bell);
        let mailbox = Arc::new(Mailbox::new(move || rings.ring()));
        let told: Arc<dyn Owner> = Arc::<Mailbox>::clone(&mailbox);
        let mut world = Self::with(config, outcome, Arc::default(), told);
        world.mailbox = Some(mailbox);
        (world, bell)
    }

    fn with(
        config: Config,
        outcome: Outcome,
        owner: Arc<RecordingOwner>,
        told: Arc<dyn Owner>,
    ) -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(0)));
        let transport = Arc::new(ScriptedTransport {
            outcome,
            requests: AtomicU64::new(0),
        });
        let flights = match outcome {
            Outcome::Lost => Handle::ended(),
            Outcome::Token | Outcome::Refusal => Handle::default(),
        };
        let alarms = Arc::new(Alarms::default());
        let engine = Engine::new(flights.clone(), Arc::clone(&alarms), Room::new());
        let manager =
            Manager::new(config, Arc::clone(&clock), Arc::clone(&transport), told, move || {
                Some(engine.clone())
            });
        let manager = Arc::new(manager);
        let _ = owner.manager.set(Arc::downgrade(&manager));
        Self {
            manager,
            clock,
            transport,
            owner,
            flights,
            alarms,
            mailbox: None,
        }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        self.mailbox.as_deref().expect("made with one")
    }

    pub(crate) fn reconfigure(&self, config: Config) {
        self.manager
            .reconfigure(config, Arc::clone(&self.transport));
    }

    /// Gets the first token. The word that stands for it.
    pub(crate) fn warm(&self) -> u32 {
        assert!(matches!(self.manager.ask(Call::Any), Reply::Flight(_)));
        self.flights.join();
        match self.manager.ask(Call::Any) {
            Reply::Token(_, word) => word,
            other => panic!("expected a token, got {other:?}"),
        }
    }

    /// Wakes on another thread whoever is due.
    pub(crate) fn ring_alarms(&self) -> JoinHandle<()> {
        let (alarms, clock) = (Arc::clone(&self.alarms), Arc::clone(&self.clock));
        spawn(move || {
            let mut run = pin!(alarms.run(&*clock));
            assert!(
                run.as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
        })
    }
}
