//! What a manager, its flights and its alarm have in common: the slot behind one lock, and what is
//! published of it. The lock is held for a decision, never for an operation, and nobody is told
//! anything while it is held. Nothing is decided here.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::acquisition::{self, Acquisition, Report};
use super::alarm::{Sleeper, SleeperId};
use super::clock::{Clock, Moment};
use super::config::Config;
use super::credential::{CallId, CredentialSource};
use super::discovery::Discovery;
use super::error::{Error, ErrorKind};
use super::published::{NO_TOKEN, Published};
use super::schedule;
use super::slot::{self, Call, Decision, FlightId, Invalidation, Landing, Launch, Slot};
use super::snapshot::{Counters, Latency, Snapshot, TokenTimes};
use super::sync::Mutex;
use super::{Arrival, Engine, Level, Owner, Reply};
use crate::transport::Transport;

const MINIMUM_MISSED: &str = "a caller asked for a token that is valid for longer than the held one, and the server gives \
     none; the held one is given. Lower minValiditySeconds, or raise the client's access token \
     lifespan";

/// Gives the runtime; called for the first token.
type StartEngine = Box<dyn Fn() -> Option<Engine> + Send + Sync>;

/// One manager, without the handle whose end is its end.
pub(super) struct Shared<C: Clock, T: Transport> {
    clock: Arc<C>,
    owner: Arc<dyn Owner>,
    start_engine: StartEngine,
    engine: OnceLock<Engine>,
    published: Arc<Published>,
    inner: Mutex<Inner<T>>,
    this: Weak<Self>,
}

struct Inner<T> {
    slot: Slot,
    name: String,
    /// Gone once the manager is closed, and the secrets with it.
    open: Option<Open<T>>,
    /// A flight that was decided on and starts when the lock is released.
    departure: Option<Departure<T>>,
    sleeper: Option<SleeperId>,
    /// The serial that the published word stands for.
    serving: Option<u64>,
    /// The serial that it stood for last: of that token there may be copies, which go when the owner
    /// hears that it is gone. Who drops a token by a call needs not be told.
    copied: Option<u64>,
    /// What JavaScript had counted when the held token became stale.
    hits_when_stale: Option<f64>,
    warned_lifetime: bool,
    last_success: Option<Moment>,
    last_failure: Option<(Moment, ErrorKind)>,
    counters: Counters,
    latency: Latency,
    /// What JavaScript had counted when the held token arrived.
    hits_on_arrival: f64,
    /// The held token was handed out natively.
    was_handed_out: bool,
}

struct Open<T> {
    setup: Setup<T>,
    closing: Closing,
    /// Of flights for a former client or server: calls that were made for them are answered yet.
    former_credentials: Vec<Weak<CredentialSource>>,
}

/// Flights end when it is dropped. It has no permits to give: whoever wants one hears of its end. A
/// channel would take five times the memory, in every manager.
struct Closing(Arc<Semaphore>);

impl Closing {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A flight to be started.
struct Departure<T> {
    launch: Launch,
    setup: Setup<T>,
    closing: Arc<Semaphore>,
}

struct Setup<T> {
    config: Arc<Config>,
    credentials: Arc<CredentialSource>,
    discovery: Arc<Discovery>,
    transport: Arc<T>,
}

impl<T> Clone for Setup<T> {
    fn clone(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            credentials: Arc::clone(&self.credentials),
            discovery: Arc::clone(&self.discovery),
            transport: Arc::clone(&self.transport),
        }
    }
}

impl<C: Clock, T: Transport> Shared<C, T> {
    pub(super) fn new(
        config: Config,
        clock: Arc<C>,
        transport: Arc<T>,
        owner: Arc<dyn Owner>,
        start_engine: StartEngine,
    ) -> Arc<Self> {
        let slot = Slot::new(config.background_refresh);
        let name = config.name.clone();
        let setup = Setup {
            credentials: Arc::new(CredentialSource::new(config.credential.clone())),
            discovery: Arc::default(),
            config: Arc::new(config),
            transport,
        };
        let inner = Inner {
            slot,
            name,
            open: Some(Open {
                setup,
                closing: Closing::new(),
                former_credentials: Vec::new(),
            }),
            departure: None,
            sleeper: None,
            serving: None,
            copied: None,
            hits_when_stale: None,
            warned_lifetime: false,
            last_success: None,
            last_failure: None,
            counters: Counters::default(),
            latency: Latency::default(),
            hits_on_arrival: 0.0,
            was_handed_out: false,
        };
        Arc::new_cyclic(|this| Self {
            clock,
            owner,
            start_engine,
            engine: OnceLock::new(),
            published: Arc::new(Published::default()),
            inner: Mutex::new(inner),
            this: Weak::clone(this),
        })
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Where this call is under way.
    pub(super) fn credential_source(&self, call: CallId) -> Option<Arc<CredentialSource>> {
        let inner = self.inner.lock();
        let open = inner.open.as_ref()?;
        let former = open.former_credentials.iter().filter_map(Weak::upgrade);
        former
            .chain([Arc::clone(&open.setup.credentials)])
            .find(|source| source.has(call))
    }

    pub(super) fn invalidate(&self, rejected: &str) -> Invalidation {
        self.change(|now, inner| {
            let outcome = inner.slot.invalidate(now, rejected);
            let counter = match outcome {
                Invalidation::Dropped => &mut inner.counters.invalidations,
                Invalidation::Kept => &mut inner.counters.invalidations_kept,
                Invalidation::Ignored => &mut inner.counters.invalidations_ignored,
            };
            *counter += 1.0;
            if outcome == Invalidation::Dropped {
                inner.copied = None;
            }
            outcome
        })
    }

    pub(super) fn clear(&self) -> bool {
        self.change(|now, inner| {
            let had_token = inner.slot.clear(now);
            inner.copied = None;
            if had_token {
                inner.counters.invalidations += 1.0;
            }
            had_token
        })
    }

    pub(super) fn ask(&self, call: Call) -> Reply {
        if self.engine.get().is_none() {
            match (self.start_engine)() {
                Some(engine) => drop(self.engine.set(engine)),
                None => return Reply::Failure(self.no_engine(), None),
            }
        }
        let mut warns = false;
        let reply = self.change(|now, inner| match inner.slot.decide(now, call) {
            Decision::Use {
                grant,
                is_stale,
                launch,
                warns_of_minimum,
            } => {
                warns = warns_of_minimum;
                inner.counters.hits += 1.0;
                inner.was_handed_out = true;
                if is_stale {
                    inner.counters.stale_served += 1.0;
                }
                inner.prepare(launch);
                let word = self.publish(now, inner).then(|| self.published.word());
                Reply::Token(grant, word.unwrap_or(NO_TOKEN))
            }
            Decision::Wait { flight, launch } => {
                if launch.is_none() {
                    inner.counters.joins += 1.0;
                }
                inner.prepare(launch);
                Reply::Flight(flight)
            }
            Decision::Cooling { error, retry_after } => {
                inner.counters.suppressed += 1.0;
                Reply::Failure(error, Some(retry_after))
            }
            Decision::Closed => Reply::Failure(Error::closed(), None),
        });
        if warns {
            self.warn_of_minimum();
        }
        reply
    }

    fn no_engine(&self) -> Error {
        match &self.inner.lock().open {
            Some(open) => Error::no_engine(&open.setup.config),
            None => Error::closed(),
        }
    }

    /// Changes the slot, publishes what came of it, sets the alarm, and starts a flight that is to
    /// be started: without the lock, since a runtime that has ended drops it there and then.
    fn change<R>(&self, operation: impl FnOnce(Moment, &mut Inner<T>) -> R) -> R {
        let (result, is_token_gone, departure) = {
            let mut inner = self.inner.lock();
            let now = self.clock.now();
            self.note_staleness(now, &mut inner);
            let result = operation(now, &mut inner);
            // The alarm is set anew below: what it was set for and is due by now is done here.
            let is_used = inner.was_handed_out || self.published.hits() > inner.hits_on_arrival;
            let launch = inner.slot.wake(now, is_used);
            inner.prepare(launch);
            self.publish(now, &mut inner);
            self.set_alarm(now, &mut inner);
            let is_token_gone = inner.copied.is_some() && inner.copied != inner.slot.serial();
            if is_token_gone || inner.serving.is_some() {
                inner.copied = inner.serving;
            }
            (result, is_token_gone, inner.departure.take())
        };
        if let Some(departure) = departure {
            self.start(departure);
        }
        if is_token_gone {
            self.owner.token_gone();
        }
        result
    }

    /// Makes the word say what the slot says. Whether it stands for a token now.
    fn publish(&self, now: Moment, inner: &mut Inner<T>) -> bool {
        let serving = inner.slot.serving(now);
        if serving != inner.serving {
            inner.serving = serving;
            self.published.change();
        }
        serving.is_some()
    }

    fn set_alarm(&self, now: Moment, inner: &mut Inner<T>) {
        let wait = inner.slot.next_wake(now);
        if wait.is_none() && inner.sleeper.is_none() {
            return;
        }
        let Some(engine) = self.engine.get() else {
            return;
        };
        let id = *inner
            .sleeper
            .get_or_insert_with(|| engine.alarms.register());
        let time = wait.map(|wait| now.monotonic.saturating_add(wait));
        let this: Weak<dyn Sleeper> = self.this.clone();
        engine.alarms.set(id, time, &this);
    }

    fn start(&self, departure: Departure<T>) {
        let Departure {
            launch,
            setup,
            closing,
        } = departure;
        let (Some(shared), Some(engine)) = (self.this.upgrade(), self.engine.get()) else {
            return;
        };
        let guard = Guard {
            shared,
            flight: launch.flight,
            has_landed: false,
        };
        engine.handle.spawn(async move {
            // Boxed where it ends: what many managers start at once would leave as many holes in the
            // memory of the thread that asked.
            Box::pin(fly(guard, launch.attempts, setup, closing)).await;
        });
    }

    /// Takes what a flight came to. Gives what its waiters are to hear.
    fn land(&self, flight: FlightId, report: Report) -> Option<Arrival> {
        let Report {
            result,
            requests,
            took,
            is_lifetime_assumed,
            is_superseded,
        } = report;
        let mut warn_lifetime = false;
        let (landing, word, was_over) = self.change(|now, inner| {
            inner.open.as_ref()?;
            inner.counters.retries += f64::from(requests.saturating_sub(1));
            inner.latency.add(took);
            match &result {
                Ok(_) => inner.last_success = Some(now),
                Err(_) if is_superseded => {}
                Err(error) => inner.last_failure = Some((now, error.kind())),
            }
            warn_lifetime =
                is_lifetime_assumed && !std::mem::replace(&mut inner.warned_lifetime, true);
            let serial = inner.slot.serial();
            let landing = inner.slot.land(now, flight, result, fastrand::f64());
            if inner.slot.serial() != serial {
                inner.hits_on_arrival = self.published.hits();
                inner.was_handed_out = false;
            }
            let (is_held, was_over) = match &landing.result {
                Ok(grant) => (
                    inner
                        .slot
                        .grant(now)
                        .is_some_and(|held| Arc::ptr_eq(grant, held)),
                    grant.age(now) >= grant.life.granted,
                ),
                Err(_) => (false, false),
            };
            let serves = self.publish(now, inner) && is_held;
            let word = if serves {
                self.published.word()
            } else {
                NO_TOKEN
            };
            inner.copied = None;
            Some((landing, word, was_over))
        })?;
        let lines = if is_superseded {
            Vec::new()
        } else {
            self.lines(&landing, took, warn_lifetime)
        };
        let Landing {
            result,
            fallback,
            retry_after,
            ..
        } = landing;
        Some(Arrival {
            result,
            fallback,
            retry_after,
            word,
            was_over,
            is_superseded,
            lines,
        })
    }

    /// What the log says of a landing.
    fn lines(
        &self,
        landing: &Landing,
        took: Duration,
        warn_lifetime: bool,
    ) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        let Some(name) = self.name_for_log() else {
            return lines;
        };
        let mut log = |level, message: String| {
            lines.push((level, format!("Keycloak token manager \"{name}\": {message}")));
        };
        match &landing.result {
            Ok(grant) => {
                if landing.is_turn {
                    log(Level::Info, "recovered: a token was acquired again".to_owned());
                }
                let (took, life) = (took.as_millis(), grant.life.granted.as_secs_f64());
                log(Level::Debug, format!("acquired a token in {took} ms, valid for {life} s"));
            }
            Err(error) if landing.is_turn => {
                let state = if landing.fallback.is_some() {
                    "; the held token is still valid and is served meanwhile"
                } else {
                    ""
                };
                let code = error.kind().code();
                log(Level::Warn, format!("refresh failed: {code}: {error}{state}"));
            }
            Err(_) => {}
        }
        if warn_lifetime {
            let assumed = schedule::ASSUMED_LIFETIME.as_secs();
            log(
                Level::Warn,
                format!(
                    "the server does not say how long a token lives, and the token does not \
                     either; {assumed} s are assumed"
                ),
            );
        }
        if landing.warns_of_minimum {
            log(Level::Warn, MINIMUM_MISSED.to_owned());
        }
        lines
    }

    fn warn_of_minimum(&self) {
        if let Some(name) = self.name_for_log() {
            let line = format!("Keycloak token manager \"{name}\": {MINIMUM_MISSED}");
            self.owner.log(Level::Warn, line);
        }
    }

    /// The label, if anybody reads the log.
    fn name_for_log(&self) -> Option<String> {
        let inner = self.inner.lock();
        let config = &inner.open.as_ref()?.setup.config;
        config
            .has_logger
            .then(|| config.name.escape_debug().to_string())
    }

    /// Notices, before anything else happens, that the held token became stale or went away since.
    fn note_staleness(&self, now: Moment, inner: &mut Inner<T>) {
        let hits = self.published.hits();
        if let Some(mark) = inner.hits_when_stale {
            inner.counters.stale_served += hits - mark;
        }
        let is_stale = inner.slot.condition(now) == slot::Condition::Stale;
        inner.hits_when_stale = is_stale.then_some(hits);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.change(|now, inner| {
            let token = inner.slot.grant(now).map(|grant| TokenTimes {
                age: grant.age(now),
                soft: grant.life.soft,
                hard: grant.life.hard,
            });
            let mut counters = inner.counters;
            counters.hits += self.published.hits();
            counters.joins += self.published.joins();
            Snapshot {
                name: inner.name.clone(),
                condition: inner.slot.condition(now),
                token,
                last_success: inner.last_success,
                last_failure: inner.last_failure,
                counters,
                latency: inner.latency,
            }
        })
    }

    pub(super) fn reconfigure(&self, config: Config, transport: Arc<T>) {
        self.change(|now, inner| {
            let Some(open) = &mut inner.open else { return };
            let old = &open.setup;
            let changes_grant =
                old.config.target != config.target || old.config.grant != config.grant;
            // A credential meant for another client or server is not for a flight under way.
            let credentials = if changes_grant {
                old.credentials.retire();
                let former = Arc::downgrade(&old.credentials);
                open.former_credentials
                    .retain(|source| source.strong_count() > 0);
                open.former_credentials.push(former);
                Arc::new(CredentialSource::new(config.credential.clone()))
            } else {
                old.credentials.replace(config.credential.clone());
                Arc::clone(&old.credentials)
            };
            let discovery = if old.config.target == config.target {
                Arc::clone(&old.discovery)
            } else {
                Arc::default()
            };
            let in_background = config.background_refresh;
            inner.name.clone_from(&config.name);
            open.setup = Setup {
                config: Arc::new(config),
                credentials,
                discovery,
                transport,
            };
            let launch = inner.slot.reconfigure(now, in_background, changes_grant);
            inner.prepare(launch);
        });
    }

    pub(super) fn close(&self) {
        let open = {
            let mut inner = self.inner.lock();
            inner.slot.close();
            inner.serving = None;
            self.published.change();
            if let (Some(id), Some(engine)) = (inner.sleeper, self.engine.get()) {
                let this: Weak<dyn Sleeper> = self.this.clone();
                engine.alarms.set(id, None, &this);
            }
            inner.open.take()
        };
        drop(open);
    }
}

impl<T> Inner<T> {
    fn prepare(&mut self, launch: Option<Launch>) {
        let (Some(launch), Some(open)) = (launch, &self.open) else {
            return;
        };
        self.counters.acquisitions += 1.0;
        self.departure = Some(Departure {
            launch,
            setup: open.setup.clone(),
            closing: Arc::clone(&open.closing.0),
        });
    }
}

impl<C: Clock, T: Transport> Sleeper for Shared<C, T> {
    fn wake(&self) {
        self.change(|_, _| ());
    }
}

/// Acquires a token, unless the manager is closed before.
async fn fly<C: Clock, T: Transport>(
    guard: Guard<C, T>,
    attempts: u32,
    setup: Setup<T>,
    closing: Arc<Semaphore>,
) {
    let acquisition = Acquisition {
        config: &setup.config,
        credentials: &setup.credentials,
        discovery: &setup.discovery,
        transport: &*setup.transport,
        clock: &*guard.shared.clock,
        owner: &guard.shared.owner,
        attempts,
    };
    let report = tokio::select! {
        biased;
        _ = closing.acquire() => return,
        report = acquisition.run() => report,
    };
    guard.land(report);
}

/// Sees to it that those who wait for a flight hear of it once, whatever happens to its task.
struct Guard<C: Clock, T: Transport> {
    shared: Arc<Shared<C, T>>,
    flight: FlightId,
    has_landed: bool,
}

impl<C: Clock, T: Transport> Guard<C, T> {
    fn land(mut self, report: Report) {
        self.tell(report);
    }

    fn tell(&mut self, report: Report) {
        let arrival = self.shared.land(self.flight, report);
        // What panics before this is told by the drop; what panics after it was told.
        self.has_landed = true;
        if let Some(arrival) = arrival {
            self.shared.owner.flight_landed(self.flight, arrival);
        }
    }
}

impl<C: Clock, T: Transport> Drop for Guard<C, T> {
    fn drop(&mut self) {
        if !self.has_landed {
            self.tell(acquisition::lost());
        }
    }
}
