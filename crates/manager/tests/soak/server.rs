//! A server that changes its behaviour. Its tokens contain the time of their grant and their
//! lifetime.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manager::clock::{Clock, Moment};
use manager::config::{Config, Credential, CredentialConfig};
use oauth::TokenRequest;
use parking_lot::Mutex;
use stand_ins::scripted::{Step, config, refusal, reset, secret, starting, wrong_secret};
use stand_ins::simulated::SimulatedClock;

/// The lifetime that a manager assumes if the server states none.
const ASSUMED: Duration = Duration::from_secs(10);

/// The server's reaction to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Resetting,
    Starting,
    Refusing,
    Babbling,
    Silent,
    Flaky,
    /// Grants a shorter lifetime than usual, down to zero.
    Mean,
    /// Does not state a lifetime.
    Vague,
}

pub(crate) const MOODS: [Mood; 9] = [
    Mood::Well,
    Mood::Resetting,
    Mood::Starting,
    Mood::Refusing,
    Mood::Babbling,
    Mood::Silent,
    Mood::Flaky,
    Mood::Mean,
    Mood::Vague,
];

/// A grant, as the text of its token describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issue {
    pub(crate) at: Moment,
    pub(crate) lifetime: Duration,
}

impl Issue {
    fn to_token(self) -> String {
        let parts = [self.at.monotonic(), self.at.wall(), self.lifetime]
            .map(|part| part.as_nanos().to_string());
        format!("token-#-{}", parts.join("-"))
    }

    pub(crate) fn of_token(token: &str) -> Self {
        let mut parts = token.split('-').skip(2).map(|part| part.parse().unwrap());
        let mut next = || Duration::from_nanos(parts.next().unwrap());
        let (monotonic, wall, lifetime) = (next(), next(), next());
        let at = Moment::new(monotonic, wall);
        Self { at, lifetime }
    }
}

struct ServerState {
    mood: Mood,
    secret: String,
    /// The shortest lifetime in the current window.
    least: Duration,
    /// The number of requests in the current window.
    requests: usize,
}

pub(crate) struct SimulatedServer {
    lifetime: Duration,
    clock: OnceLock<Arc<SimulatedClock>>,
    state: Mutex<ServerState>,
}

impl SimulatedServer {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            clock: OnceLock::new(),
            state: Mutex::new(ServerState {
                mood: Mood::Well,
                secret: "secret-0".to_owned(),
                least: lifetime,
                requests: 0,
            }),
        }
    }

    pub(crate) fn set_clock(&self, clock: &Arc<SimulatedClock>) {
        assert!(self.clock.set(Arc::clone(clock)).is_ok());
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    /// Returns a configuration with the current secret.
    pub(crate) fn config(&self) -> Config {
        let secret = secret(&self.state.lock().secret);
        Config {
            credential: CredentialConfig::Given(Credential::Secret(secret)),
            ..config()
        }
    }

    pub(crate) fn set_secret(&self, secret: String) {
        self.state.lock().secret = secret;
    }

    /// Ends a window. Returns the number of its requests and the shortest lifetime that the server
    /// granted in it.
    pub(crate) fn take_counts(&self) -> (usize, Duration) {
        let mut state = self.state.lock();
        let least = std::mem::replace(&mut state.least, self.lifetime);
        (std::mem::take(&mut state.requests), least)
    }

    pub(crate) fn answer(&self, request: &TokenRequest) -> Step {
        let mut state = self.state.lock();
        state.requests += 1;
        let body = std::str::from_utf8(request.body.as_ref().unwrap()).unwrap();
        let expected = format!("client_secret={}&", state.secret);
        if !format!("{body}&").contains(&expected) {
            return wrong_secret();
        }
        let lifetime = match state.mood {
            Mood::Well => self.lifetime,
            Mood::Flaky if fastrand::bool() => self.lifetime,
            Mood::Mean => Duration::from_secs(fastrand::u64(0..self.lifetime.as_secs())),
            Mood::Vague => Duration::ZERO,
            Mood::Flaky | Mood::Resetting => return reset(),
            Mood::Starting => {
                return starting(fastrand::bool().then(|| fastrand::u64(0..4)));
            }
            Mood::Refusing => return wrong_secret(),
            Mood::Babbling => return refusal(200, "<html>"),
            Mood::Silent => return Step::Hang,
        };
        // The manager treats a lifetime of zero as absent.
        let expires_in = lifetime.as_secs();
        let lifetime = if lifetime.is_zero() {
            ASSUMED
        } else {
            lifetime
        };
        state.least = state.least.min(lifetime);
        let at = self.clock.get().unwrap().now();
        let token = Issue { at, lifetime }.to_token();
        refusal(200, &format!("{{\"access_token\":\"{token}\",\"expires_in\":{expires_in}}}"))
    }
}
