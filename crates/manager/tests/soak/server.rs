//! A server with moods, which keeps a record of what it granted, and when.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manager::clock::{Clock, Moment};
use oauth::TokenRequest;
use parking_lot::Mutex;
use transport::{NetworkFault, TransportError};

use stand_ins::simulated::{SimulatedClock, Step, refusal, token_answer, wrong_secret};

/// How many grants it remembers: more than can be asked about.
const REMEMBERED: usize = 1_000;
/// What a token of an unstated life is taken to live.
const ASSUMED: Duration = Duration::from_secs(10);

/// Its reaction to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Resetting,
    Starting,
    Refusing,
    Babbling,
    Silent,
    Flaky,
    /// Grants less than usual, down to nothing.
    Mean,
    /// Does not say for how long it grants.
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

/// A token that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issue {
    pub(crate) at: Moment,
    pub(crate) lifetime: Duration,
}

struct ServerState {
    mood: Mood,
    secret: String,
    issued: VecDeque<(u64, Issue)>,
    /// Least that was granted since somebody asked.
    least: Duration,
    requests: usize,
}

/// The server.
pub(crate) struct SimulatedServer {
    lifetime: u64,
    clock: OnceLock<Arc<SimulatedClock>>,
    state: Mutex<ServerState>,
}

impl SimulatedServer {
    pub(crate) fn new(lifetime: u64) -> Self {
        Self {
            lifetime,
            clock: OnceLock::new(),
            state: Mutex::new(ServerState {
                mood: Mood::Well,
                secret: "secret-0".to_owned(),
                issued: VecDeque::new(),
                least: Duration::from_secs(lifetime),
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

    pub(crate) fn secret(&self) -> String {
        self.state.lock().secret.clone()
    }

    pub(crate) fn set_secret(&self, secret: String) {
        self.state.lock().secret = secret;
    }

    /// The requests and the shortest life granted since this was asked last.
    pub(crate) fn take_counts(&self) -> (usize, Duration) {
        let mut state = self.state.lock();
        let usual = Duration::from_secs(self.lifetime);
        (std::mem::take(&mut state.requests), std::mem::replace(&mut state.least, usual))
    }

    /// Its record of a token.
    pub(crate) fn issue(&self, token: &str) -> Issue {
        let number: u64 = token.strip_prefix("token-").unwrap().parse().unwrap();
        let state = self.state.lock();
        let known = state.issued.iter().rev().find(|(n, _)| *n == number);
        known.expect("a token that was issued, and lately").1
    }

    pub(crate) fn answer(&self, number: u64, request: &TokenRequest) -> Step {
        let now = self.clock.get().unwrap().now();
        let mut state = self.state.lock();
        state.requests += 1;
        let body = std::str::from_utf8(request.body.as_ref().unwrap()).unwrap();
        let asked = format!("client_secret={}&", state.secret);
        if !format!("{body}&").contains(&asked) {
            return wrong_secret();
        }
        let lifetime = match state.mood {
            Mood::Well => self.lifetime,
            Mood::Flaky if fastrand::bool() => self.lifetime,
            Mood::Mean => fastrand::u64(0..self.lifetime),
            Mood::Vague => ASSUMED.as_secs(),
            Mood::Flaky | Mood::Resetting => return reset(),
            Mood::Starting => return starting(),
            Mood::Refusing => return wrong_secret(),
            Mood::Babbling => return refusal(200, "<html>"),
            Mood::Silent => return Step::Hang,
        };
        let lifetime_is_stated = state.mood != Mood::Vague;
        // A lifetime of zero counts as absent.
        let life = match lifetime {
            0 => ASSUMED,
            lifetime => Duration::from_secs(lifetime),
        };
        state.least = state.least.min(life);
        let issue = Issue {
            at: now,
            lifetime: life,
        };
        state.issued.push_back((number, issue));
        if state.issued.len() > REMEMBERED {
            state.issued.pop_front();
        }
        if lifetime_is_stated {
            token_answer(lifetime)
        } else {
            refusal(200, "{\"access_token\":\"token-#\"}")
        }
    }
}

fn reset() -> Step {
    Step::Fail(TransportError::Network {
        fault: NetworkFault::Reset,
        detail: "the connection was reset".to_owned(),
    })
}

fn starting() -> Step {
    Step::Answer {
        status: 503,
        retry_after: fastrand::bool().then(|| fastrand::u64(0..4)),
        body: "starting".to_owned(),
    }
}
