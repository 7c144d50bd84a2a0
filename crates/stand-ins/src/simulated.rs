//! A manager on simulated time: paused tokio clocks, a scripted transport and a recording event
//! sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use manager::clock::{Clock, Moment};
use manager::config::{AssertionSettings, Config, Credential, CredentialConfig, Target};
use manager::credential::SecretCall;
use manager::slot::{Call, FlightId, FlightResult};
use manager::timers::Timers;
use manager::{Engine, Event, EventSink, Level, Manager, Reply};
use oauth::{
    Answer, ClientAuthentication, ClientCredentialsGrant, ClientSecret, RetryAfter, TokenEndpoint,
    TokenRequest,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport::{ClientIdentity, Progress, Transport, TransportError};
use zeroize::Zeroizing;

/// Tokio's paused time, and a wall clock that can be stepped independently.
pub struct SimulatedClock {
    origin: Instant,
    /// Seconds since the epoch at the origin, in ms.
    wall_at_origin: AtomicU64,
}

impl SimulatedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            wall_at_origin: AtomicU64::new(1_000_000_000_000),
        }
    }

    /// Steps the wall clock: a correction of the time, or a machine that was suspended.
    pub fn step_wall(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.wall_at_origin.fetch_add(by, Ordering::SeqCst);
    }

    /// Steps the wall clock back.
    pub fn step_wall_back(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.wall_at_origin.fetch_sub(by, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Moment {
        let monotonic = self.origin.elapsed();
        let wall = Duration::from_millis(self.wall_at_origin.load(Ordering::SeqCst));
        Moment {
            monotonic,
            wall: wall + monotonic,
        }
    }
}

/// The server's reaction to a request.
#[derive(Clone)]
pub enum Step {
    /// Answers.
    Answer {
        status: u16,
        retry_after: Option<u64>,
        body: String,
    },
    /// Fails.
    Fail(TransportError),
    /// Never answers.
    Hang,
    /// Panics, as a bug in this crate would.
    Panic,
}

/// A token with this lifetime in seconds.
pub fn token_answer(lifetime: u64) -> Step {
    Step::Answer {
        status: 200,
        retry_after: None,
        body: format!("{{\"access_token\":\"token-#\",\"expires_in\":{lifetime}}}"),
    }
}

/// An answer without a token.
pub fn refusal(status: u16, body: &str) -> Step {
    Step::Answer {
        status,
        retry_after: None,
        body: body.to_owned(),
    }
}

/// Keycloak's answer to a wrong secret.
pub fn wrong_secret() -> Step {
    refusal(401, "{\"error\":\"unauthorized_client\",\"error_description\":\"Invalid client\"}")
}

type Script = Box<dyn Fn(u64, &TokenRequest) -> Step + Send + Sync>;

/// Answers by a script, which receives the number of the request, counted from 1.
pub struct ScriptedTransport {
    script: Script,
    /// The time from the arrival of a request, when the script runs, to the arrival of the answer.
    pub latency_ms: AtomicU64,
    /// The number of requests sent.
    requests: AtomicUsize,
}

impl ScriptedTransport {
    pub fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for ScriptedTransport {
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
        request: &TokenRequest,
        _progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        let step = (self.script)(number, request);
        let latency = Duration::from_millis(self.latency_ms.load(Ordering::SeqCst));
        tokio::time::sleep(latency).await;
        match step {
            Step::Answer {
                status,
                retry_after,
                body,
            } => Ok(Answer {
                status,
                retry_after: retry_after.map(|s| RetryAfter::After(Duration::from_secs(s))),
                content_encoding: None,
                body: Zeroizing::new(body.replace('#', &number.to_string()).into_bytes()),
            }),
            Step::Fail(error) => Err(error),
            Step::Hang => std::future::pending().await,
            Step::Panic => panic!("scripted"),
        }
    }
}

/// A landed flight, with the version for which its token may be kept.
pub type FlightEnd = (FlightId, FlightResult, u32);

/// Records events.
pub struct RecordingSink {
    landings: mpsc::UnboundedSender<FlightEnd>,
    calls: mpsc::UnboundedSender<SecretCall>,
    pub lines: Mutex<Vec<(Level, String)>>,
    pub wakes: AtomicU64,
}

impl EventSink for RecordingSink {
    fn push(&self, event: Event) {
        match event {
            Event::FlightEnded {
                flight,
                landed,
                version,
            } => {
                let _ = self.landings.send((flight, landed, version));
            }
            Event::Log(level, message) => self.lines.lock().push((level, message)),
            Event::SecretWanted(call) => {
                let _ = self.calls.send(call);
            }
            Event::RootsWanted => {}
        }
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// A manager and its environment.
pub struct World {
    pub manager: Arc<Manager<SimulatedClock, ScriptedTransport>>,
    pub clock: Arc<SimulatedClock>,
    pub transport: Arc<ScriptedTransport>,
    pub sink: Arc<RecordingSink>,
    pub landings: mpsc::UnboundedReceiver<FlightEnd>,
    pub calls: mpsc::UnboundedReceiver<SecretCall>,
}

pub fn config() -> Config {
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
        has_logger: true,
    }
}

pub fn secret(text: &str) -> Arc<ClientSecret> {
    Arc::new(ClientSecret::new(text.to_owned()).unwrap())
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
        let transport = Arc::new(ScriptedTransport {
            script: Box::new(script),
            latency_ms: AtomicU64::new(latency_ms),
            requests: AtomicUsize::new(0),
        });
        let (landing_sender, landings) = mpsc::unbounded_channel();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let sink = Arc::new(RecordingSink {
            landings: landing_sender,
            calls: call_sender,
            lines: Mutex::default(),
            wakes: AtomicU64::new(0),
        });
        let timers = Arc::new(Timers::default());
        let engine = Engine {
            handle: Handle::current(),
            timers: Arc::clone(&timers),
        };
        let timer_clock = Arc::clone(&clock);
        tokio::spawn(async move { timers.run(&*timer_clock).await });
        let manager = Manager::new(
            config,
            Arc::clone(&clock),
            Arc::clone(&transport),
            Arc::<RecordingSink>::clone(&sink),
            Arc::new(move || Some(engine.clone())),
        );
        Self {
            manager,
            clock,
            transport,
            sink,
            landings,
            calls,
        }
    }

    /// Continues with a changed configuration.
    pub fn reconfigure(&mut self, config: Config) {
        let (transport, sink) = (Arc::clone(&self.transport), Arc::clone(&self.sink));
        self.manager = self.manager.succeed(config, transport, sink);
    }

    /// The final result of a caller, as JavaScript would see it: a token's text or an error.
    pub async fn call(&mut self, call: Call) -> Result<String, manager::error::Error> {
        match self.manager.ask(call) {
            Reply::Token(token, _) => Ok(token.access_token.expose().to_owned()),
            Reply::Failure(error, _) => Err(error),
            Reply::Flight(flight) => loop {
                let (id, landed, _) = self.landings.recv().await.expect("a sink");
                if id == flight {
                    let fallback = landed.fallback.filter(|_| call != Call::Forced);
                    return match (landed.result, fallback) {
                        (Ok(token), _) | (Err(_), Some(token)) => {
                            Ok(token.access_token.expose().to_owned())
                        }
                        (Err(error), None) => Err(error),
                    };
                }
            },
        }
    }

    pub async fn any(&mut self) -> Result<String, manager::error::Error> {
        self.call(Call::Any).await
    }

    /// The simulated time.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The elapsed simulated time.
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
