//! Guards against growth, with figures that do not depend on the load of the machine: the memory
//! that the core allocates and keeps. The test fails if a figure differs from the recorded figure
//! by more than a fifth, even if it is smaller, so that you record improvements. `GUARD=record`
//! rewrites `guard/figures.json`.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "guard/counting.rs"]
mod counting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, path::Path};

use counting::{HeapUse, counts};
use manager::clock::SystemClock;
use manager::config::{Config, Target};
use manager::slot::Call;
use manager::{EngineSource, Event, EventSink, Manager, Reply};
use oauth::{Answer, TokenEndpoint, TokenRequest};
use rustls::ServerConfig;
use stand_ins::scripted::config;
use stand_ins::simulated::engine_source;
use stand_ins::sockets::{settle, soon};
use stand_ins::tls::{Certificates, ThreadedServer};
use tokio::sync::Notify;
use transport::{
    ClientIdentity, HttpTransport, Progress, Transport, TransportError, TrustSettings,
    set_node_roots,
};
use zeroize::Zeroizing;

/// The fraction by which a figure may differ from the recorded figure.
const TOLERANCE: f64 = 0.2;
/// The absolute tolerance, for figures near zero.
const ROUNDING: f64 = 0.05;
const WARM_UP: u32 = 20;
const ACQUISITIONS: u32 = 100;
const MANAGERS: u32 = 500;
/// About as many authorities as Node trusts.
const AUTHORITIES: usize = 140;

/// Returns an answer whose token is as long as the token of a service account with a few roles.
fn token_response() -> String {
    format!(
        "{{\"access_token\":\"{}\",\"expires_in\":3600,\"refresh_expires_in\":0,\
         \"token_type\":\"Bearer\",\"not-before-policy\":0,\"scope\":\"profile email\"}}",
        "t".repeat(1_300)
    )
}

/// Answers immediately, without a socket.
struct Canned(String);

impl Transport for Canned {
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
        Ok(Answer::new(200, |_| None, Zeroizing::new(self.0.clone().into_bytes())))
    }
}

/// Waits for flights without allocating memory.
#[derive(Default)]
struct Waiter {
    ended: Notify,
    has_token: AtomicBool,
}

impl EventSink for Waiter {
    fn push(&self, event: Event) {
        if let Event::FlightEnded { outcome, .. } = event {
            self.has_token
                .store(outcome.result.is_ok(), Ordering::SeqCst);
            self.ended.notify_one();
        }
    }

    fn wake(&self) {}
}

/// The parts that managers share.
struct Process {
    clock: Arc<SystemClock>,
    source: EngineSource,
}

impl Process {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let source = engine_source(&clock);
        Self { clock, source }
    }

    fn client<T: Transport>(&self, url: &str, transport: T) -> CountedClient<T> {
        let config = Config {
            target: Target::Endpoint(TokenEndpoint::parse(url).unwrap()),
            has_logger: false,
            ..config()
        };
        let waiter = Arc::<Waiter>::default();
        let events = Arc::<Waiter>::clone(&waiter);
        let clock = Arc::clone(&self.clock);
        let source = Arc::clone(&self.source);
        let manager = Manager::new(config, clock, Arc::new(transport), events, source);
        CountedClient { manager, waiter }
    }
}

struct CountedClient<T: Transport> {
    manager: Arc<Manager<SystemClock, T>>,
    waiter: Arc<Waiter>,
}

impl<T: Transport> CountedClient<T> {
    async fn acquire(&self) {
        assert!(matches!(self.manager.ask(Call::Forced), Reply::Flight(_)));
        soon(self.waiter.ended.notified()).await;
        assert!(self.waiter.has_token.load(Ordering::SeqCst));
        settle().await;
    }

    async fn acquire_often(&self, figures: &mut Figures, name: &str) {
        for _ in 0..WARM_UP {
            self.acquire().await;
        }
        let before = counts();
        for _ in 0..ACQUISITIONS {
            self.acquire().await;
        }
        figures.note(name, ACQUISITIONS, before);
    }
}

/// The figures, keyed by name.
#[derive(Default)]
struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Records the average per operation since `before`.
    fn note(&mut self, name: &str, times: u32, before: HeapUse) {
        let now = counts();
        let each = |count: i64| count as f64 / f64::from(times);
        let allocations = each(now.allocations - before.allocations);
        self.0
            .insert(format!("{name}: allocations"), (allocations * 10.0).round() / 10.0);
        self.0
            .insert(format!("{name}: bytes"), each(now.bytes - before.bytes).round());
    }

    /// Records the average that each operation since `before` has kept.
    fn note_kept(&mut self, name: &str, times: u32, before: HeapUse) {
        let kept = (counts().live - before.live) as f64 / f64::from(times);
        self.0.insert(format!("{name}: bytes kept"), kept.round());
    }
}

/// Measures the costs of new managers, of managers that hold a token, and of calls.
async fn count_managers(process: &Process, figures: &mut Figures) {
    let server = ThreadedServer::start(None, true, |_| token_response());
    let make = || process.client(server.url(), HttpTransport::new(TrustSettings::default()));
    drop(make());
    let mut clients = Vec::with_capacity(MANAGERS as usize);
    let before = counts();
    clients.extend((0..MANAGERS).map(|_| make()));
    figures.note("a manager", MANAGERS, before);
    figures.note_kept("a manager", MANAGERS, before);

    make().acquire().await;
    let before = counts();
    for client in &clients {
        client.acquire().await;
    }
    figures.note_kept("the token of a manager", MANAGERS, before);

    let client = &clients[0];
    let before = counts();
    for _ in 0..ACQUISITIONS {
        assert!(matches!(client.manager.ask(Call::Any), Reply::Token(..)));
    }
    figures.note("a call that finds a token", ACQUISITIONS, before);
    let _ = client.manager.clear();
    assert!(matches!(client.manager.ask(Call::Any), Reply::Flight(_)));
    let before = counts();
    for _ in 0..ACQUISITIONS {
        assert!(matches!(client.manager.ask(Call::Any), Reply::Flight(_)));
    }
    figures.note("a call that joins a flight", ACQUISITIONS, before);
    soon(client.waiter.ended.notified()).await;
}

/// Returns the configuration of a server, and hands over the server's authority many times as
/// Node's roots.
fn trusted_server() -> Arc<ServerConfig> {
    let certificates = Certificates::new("guard");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    let authority = fs::read_to_string(certificates.path("ca")).unwrap();
    set_node_roots(&authority.repeat(AUTHORITIES));
    certificates.server_config("server")
}

async fn count_acquisitions(process: &Process, figures: &mut Figures) {
    let canned = process.client("http://127.0.0.1:1/token", Canned(token_response()));
    canned
        .acquire_often(figures, "an acquisition without sockets")
        .await;
    let config = trusted_server();
    for (connection, kept) in [("kept", true), ("new", false)] {
        for (scheme, tls) in [("http", None), ("https", Some(Arc::clone(&config)))] {
            let server = ThreadedServer::start(tls, kept, |_| token_response());
            let client = process.client(server.url(), HttpTransport::new(TrustSettings::default()));
            let name = format!("an acquisition over {scheme}, {connection} connection");
            client.acquire_often(figures, &name).await;
        }
    }
}

#[tokio::test]
async fn no_figure_is_further_than_a_fifth_from_what_is_recorded() {
    let process = Process::new();
    let mut figures = Figures::default();
    count_managers(&process, &mut figures).await;
    count_acquisitions(&process, &mut figures).await;

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guard/figures.json");
    if env::var("GUARD").is_ok_and(|wish| wish == "record") {
        let text = serde_json::to_string_pretty(&figures.0).unwrap();
        fs::write(file, text + "\n").unwrap();
        return;
    }
    let recorded = fs::read_to_string(file).expect("the recorded figures");
    let recorded: BTreeMap<String, f64> = serde_json::from_str(&recorded).unwrap();
    assert!(
        figures.0.keys().eq(recorded.keys()),
        "the recorded figures have other names: record them again with GUARD=record"
    );
    let mut outside = Vec::new();
    for ((name, figure), was) in figures.0.iter().zip(recorded.values()) {
        println!("{name}: {figure}, recorded {was}");
        if (figure - was).abs() > was * TOLERANCE + ROUNDING {
            outside.push(format!("{name}: {figure}, recorded {was}"));
        }
    }
    assert!(
        outside.is_empty(),
        "these figures differ from the recorded ones by more than {TOLERANCE}:\n{}\n\
         A larger figure is a regression. Record an intended change with GUARD=record.",
        outside.join("\n")
    );
}
