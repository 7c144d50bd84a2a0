//! A manager: one slot behind one lock, its published state, and the flights that it starts.
//!
//! The lock is held for a decision, never for an operation. Every change goes through
//! [`Manager::decide`], which carries out the slot's decision after releasing the lock. The rules
//! are in [`slot`]; this module makes no decision of its own.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::acquire::discovery::Discovery;
use super::acquire::{Acquired, Acquisition};
use super::clock::{Clock, Moment};
use super::config::Config;
use super::credential::CredentialProvider;
use super::error::{Error, ErrorKind};
use super::events::{Event, EventSink, Level};
use super::published::{NO_TOKEN, Published};
use super::slot::schedule;
use super::slot::{
    self, Call, Clearing, Decision, FlightId, FlightResult, Invalidation, NewFlight, RouteId, Slot,
    Storage, TokenId,
};
use super::snapshot::{Counters, Latency, Snapshot, TokenTimes};
use super::sync::Mutex;
use super::timers::{Timer, TimerId};
use super::{Engine, EngineSource, Reply};
use transport::Transport;

const MINIMUM_MISSED: &str = "a caller requested a longer minimum validity than the server grants; \
     the held token is used. Lower minValiditySeconds, or raise the client's access token lifespan";

/// A token manager. It starts no runtime and no background work before the first token request.
///
/// Dropping a manager lets its flights finish; closing it cancels them.
pub struct Manager<C: Clock, T: Transport> {
    clock: Arc<C>,
    events: Arc<dyn EventSink>,
    engine_source: EngineSource,
    engine: OnceLock<Engine>,
    published: Arc<Published>,
    inner: Mutex<Inner<T>>,
    this: Weak<Self>,
}

struct Inner<T> {
    slot: Slot,
    name: String,
    /// `None` once the manager is closed, which also drops the secrets.
    setup: Option<Arc<Setup<T>>>,
    timer: Option<TimerId>,
    /// The token that the published version represents.
    published_token: Option<TokenId>,
    /// The version of the last token of which JavaScript may hold a copy.
    shared_token: Option<TokenId>,
    usage: Usage,
    /// Shared with the managers of earlier configurations, whose flights may still land.
    history: Arc<Mutex<History>>,
    /// Another manager has taken over. Callers of a flight that fails here ask that one.
    has_successor: bool,
}

/// The immutable inputs of a flight: a changed configuration creates a new manager.
pub(super) struct Setup<T> {
    pub(super) config: Config,
    pub(super) credentials: CredentialProvider,
    pub(super) discovery: Arc<Discovery>,
    pub(super) transport: Arc<T>,
    /// Closed with the manager. It has no permits, so waiting for one ends only when the manager is
    /// closed. A channel would take five times the memory in every manager.
    closing: Arc<Semaphore>,
}

/// Tracks use of the held token through the hits that JavaScript had counted at certain moments.
#[derive(Clone, Copy, Default)]
struct Usage {
    token: Option<TokenId>,
    hits_on_arrival: f64,
    hits_when_stale: Option<f64>,
    /// Native code has handed out the held token.
    was_handed_out: bool,
}

/// The past events that the snapshot reports.
#[derive(Default)]
struct History {
    last_success: Option<Moment>,
    last_failure: Option<(Moment, ErrorKind)>,
    counters: Counters,
    latency: Latency,
    warned_of_lifetime: bool,
}

impl<C: Clock, T: Transport> Manager<C, T> {
    /// Creates a manager without a token. `engine_source` provides the runtime for flights.
    pub fn new(
        config: Config,
        clock: Arc<C>,
        transport: Arc<T>,
        events: Arc<dyn EventSink>,
        engine_source: EngineSource,
    ) -> Arc<Self> {
        let slot = Slot::new(config.background_refresh);
        let name = config.name.clone();
        let setup = Setup {
            credentials: CredentialProvider::new(config.credential.clone()),
            discovery: Arc::default(),
            config,
            transport,
            closing: Arc::new(Semaphore::new(0)),
        };
        Arc::new_cyclic(|this| Self {
            clock,
            events,
            engine_source,
            engine: OnceLock::new(),
            published: Arc::new(Published::default()),
            inner: Mutex::new(Inner {
                slot,
                name,
                setup: Some(Arc::new(setup)),
                timer: None,
                published_token: None,
                shared_token: None,
                usage: Usage::default(),
                history: Arc::new(Mutex::new(History::default())),
                has_successor: false,
            }),
            this: Weak::clone(this),
        })
    }

    /// Creates the manager for a changed configuration. It takes over the held token, the published
    /// memory and the counters. Flights in progress stay with this manager: they finish with their
    /// original configuration, and their results are not stored.
    #[must_use]
    pub fn succeed(
        &self,
        config: Config,
        transport: Arc<T>,
        events: Arc<dyn EventSink>,
    ) -> Arc<Self> {
        let now = self.clock.now();
        let inner = self.inner.lock().hand_over(now, config, transport);
        if let (Some(id), Some(engine)) = (inner.timer, self.engine.get()) {
            engine.timers.set(id, None, &self.timer());
        }
        let successor = Arc::new_cyclic(|this| Self {
            clock: Arc::clone(&self.clock),
            events,
            engine_source: Arc::clone(&self.engine_source),
            engine: self.engine.clone(),
            published: Arc::clone(&self.published),
            inner: Mutex::new(inner),
            this: Weak::clone(this),
        });
        successor.wake();
        successor
    }

    /// The memory that callers read before they call [`Manager::ask`].
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Answers a caller.
    #[must_use]
    pub fn ask(&self, call: Call) -> Reply {
        let (decision, version) = self.decide(|inner, now| {
            let decision = inner.slot.decide(now, call);
            let new_flight = inner.count(&decision);
            (decision, new_flight)
        });
        match decision {
            Decision::Use {
                token,
                warns_of_minimum,
                ..
            } => {
                if warns_of_minimum {
                    self.log(Level::Warn, || MINIMUM_MISSED.to_owned());
                }
                Reply::Token(token, version)
            }
            Decision::Wait { flight, .. } => Reply::Flight(flight),
            Decision::Cooling { error, retry_after } => Reply::Failure(error, Some(retry_after)),
            Decision::Closed => Reply::Failure(Error::closed(), None),
        }
    }

    /// Drops the held token if it is the rejected one and neither a cool-down nor the spacing of
    /// rejections keeps it.
    #[must_use]
    pub fn invalidate(&self, rejected: &str, route: RouteId) -> Invalidation {
        let (outcome, _) = self.decide(|inner, now| {
            let outcome = inner.slot.invalidate(now, rejected, route);
            let counters = &mut inner.history.lock().counters;
            *match outcome {
                Invalidation::Dropped => &mut counters.invalidations,
                Invalidation::Kept => &mut counters.invalidations_kept,
                Invalidation::Ignored => &mut counters.invalidations_ignored,
            } += 1.0;
            (outcome, None)
        });
        outcome
    }

    /// Records that a route accepted a token. Returns whether its further acceptances matter.
    #[must_use]
    pub fn accept(&self, accepted: &str, route: RouteId) -> bool {
        let decide = |inner: &mut Inner<T>, now| (inner.slot.accept(now, accepted, route), None);
        self.decide(decide).0
    }

    /// Drops the held token, unless clears are spaced. Returns whether a token was dropped.
    #[must_use]
    pub fn clear(&self) -> bool {
        let (had_token, _) = self.decide(|inner, now| {
            let had_token = inner.slot.clear(now) == Clearing::Dropped;
            inner.history.lock().counters.invalidations += f64::from(u8::from(had_token));
            (had_token, None)
        });
        had_token
    }

    /// The manager's state and counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (snapshot, _) = self.decide(|inner, now| {
            let mut snapshot = inner.snapshot(now);
            snapshot.counters.hits += self.published.hits();
            snapshot.counters.joins += self.published.joins();
            (snapshot, None)
        });
        snapshot
    }

    /// Cancels flights and timers and drops secrets. No event follows.
    pub fn close(&self) {
        let setup = {
            let mut inner = self.inner.lock();
            inner.slot.close();
            inner.published_token = None;
            self.published.change();
            if let (Some(id), Some(engine)) = (inner.timer, self.engine.get()) {
                engine.timers.set(id, None, &self.timer());
            }
            inner.setup.take()
        };
        if let Some(setup) = setup {
            setup.closing.close();
        }
    }

    /// Makes a decision under the lock and carries it out in this order: plan the flight that the
    /// decision or the passage of time requires, publish the version, set the timer; then, without the
    /// lock, start the flight, and wake JavaScript if it may hold a copy of a token that is gone.
    /// Returns the version if it represents the held token, otherwise [`NO_TOKEN`].
    fn decide<R>(
        &self,
        decision: impl FnOnce(&mut Inner<T>, Moment) -> (R, Option<NewFlight>),
    ) -> (R, u32) {
        let (result, version, flight, is_gone) = {
            let mut inner = self.inner.lock();
            let now = self.clock.now();
            let hits = self.published.hits();
            inner.slot.settle(now);
            inner.track_token(hits);
            inner.count_stale_hits(now, hits);
            let (result, new_flight) = decision(&mut inner, now);
            inner.track_token(hits);
            // The timer is set again below, so a refresh that is due by now must start here.
            let new_flight = new_flight.or_else(|| inner.wake(now, self.published.hits()));
            let version = self.publish(now, &mut inner);
            self.set_timer(now, &mut inner);
            let flight = new_flight.and_then(|new_flight| inner.flight(new_flight));
            (result, version, flight, inner.lost_copies())
        };
        // A runtime that has shut down drops the flight immediately, which takes the lock.
        if let Some((new_flight, setup)) = flight {
            self.start(new_flight, setup);
        }
        if is_gone {
            self.events.wake();
        }
        (result, version)
    }

    /// Changes the version if it represents another token than before.
    fn publish(&self, now: Moment, inner: &mut Inner<T>) -> u32 {
        let published_token = inner.slot.servable(now);
        if published_token != inner.published_token {
            inner.published_token = published_token;
            self.published.change();
        }
        published_token.map_or(NO_TOKEN, |_| self.published.version())
    }

    fn set_timer(&self, now: Moment, inner: &mut Inner<T>) {
        let wait = inner.slot.next_wake(now);
        if wait.is_none() && inner.timer.is_none() {
            return;
        }
        // Without a runtime no flight has started yet, so no token needs a timer.
        let Some(engine) = self.engine.get() else {
            return;
        };
        let id = *inner.timer.get_or_insert_with(|| engine.timers.register());
        let time = wait.map(|wait| now.monotonic.saturating_add(wait));
        engine.timers.set(id, time, &self.timer());
    }

    fn timer(&self) -> Weak<dyn Timer> {
        self.this.clone()
    }

    fn start(&self, new_flight: NewFlight, setup: Arc<Setup<T>>) {
        let Some(manager) = self.this.upgrade() else {
            return;
        };
        let flight = RunningFlight {
            manager,
            id: new_flight.flight,
            has_landed: false,
        };
        let Some(engine) = self.engine() else {
            let error = Error::no_engine(&setup.config);
            return flight.land(Acquired::without_request(error));
        };
        engine.handle.spawn(async move {
            // Boxed on the runtime's thread, which also frees it: flights that many managers start
            // at once would otherwise fragment the calling thread's heap.
            Box::pin(flight.fly(new_flight, setup)).await;
        });
    }

    /// Returns the runtime, and starts it for the first flight.
    fn engine(&self) -> Option<&Engine> {
        if self.engine.get().is_none() {
            drop(self.engine.set((self.engine_source)()?));
        }
        self.engine.get()
    }

    /// Stores the result of a flight and notifies its waiters.
    fn land(&self, flight: FlightId, acquired: Acquired) {
        let took = acquired.took;
        let (landed, version) = self.decide(|inner, now| (inner.land(now, flight, acquired), None));
        // `None`: the manager was closed.
        let Some((landed, warns_of_lifetime)) = landed else {
            return;
        };
        self.log_landing(&landed, took);
        if warns_of_lifetime {
            let assumed = schedule::ASSUMED_LIFETIME.as_secs();
            self.log(Level::Warn, || {
                format!(
                    "neither the token response nor the token gives a lifetime; assuming \
                     {assumed} s; check that the server returns expires_in"
                )
            });
        }
        self.events.push(Event::FlightEnded {
            flight,
            version: if landed.storage == Storage::Kept {
                version
            } else {
                NO_TOKEN
            },
            landed,
        });
    }

    fn log_landing(&self, landed: &FlightResult, took: Duration) {
        match &landed.result {
            Ok(token) => {
                if landed.is_transition {
                    self.log(Level::Info, || "recovered: acquired a token again".to_owned());
                }
                let (took, life) = (took.as_millis(), token.life.granted.as_secs_f64());
                self.log(Level::Debug, || {
                    format!("acquired a token in {took} ms, valid for {life} s")
                });
            }
            Err(error) if landed.is_transition => {
                let state = if landed.fallback.is_some() {
                    "; the held token is still valid and is used meanwhile"
                } else {
                    ""
                };
                let code = error.kind().code();
                self.log(Level::Warn, || format!("refresh failed: {code}: {error}{state}"));
            }
            Err(_) => {}
        }
        if landed.warns_of_minimum {
            self.log(Level::Warn, || MINIMUM_MISSED.to_owned());
        }
    }

    fn log(&self, level: Level, message: impl FnOnce() -> String) {
        let setup = self.inner.lock().setup.clone();
        if let Some(setup) = setup {
            self.events.log(&setup.config, level, message);
        }
    }
}

impl<T> Inner<T> {
    /// Counts the decision. Returns the flight to start.
    fn count(&mut self, decision: &Decision) -> Option<NewFlight> {
        let counters = &mut self.history.lock().counters;
        match decision {
            Decision::Use {
                is_stale,
                new_flight,
                ..
            } => {
                counters.hits += 1.0;
                counters.stale_served += f64::from(u8::from(*is_stale));
                self.usage.was_handed_out = true;
                *new_flight
            }
            Decision::Wait { new_flight, .. } => {
                counters.joins += f64::from(u8::from(new_flight.is_none()));
                *new_flight
            }
            Decision::Cooling { .. } => {
                counters.suppressed += 1.0;
                None
            }
            Decision::Closed => None,
        }
    }

    /// Counts the hits since the held token became stale, before anything else changes.
    fn count_stale_hits(&mut self, now: Moment, hits: f64) {
        if let Some(mark) = self.usage.hits_when_stale {
            self.history.lock().counters.stale_served += hits - mark;
        }
        let is_stale = self.slot.condition(now) == slot::Condition::Stale;
        self.usage.hits_when_stale = is_stale.then_some(hits);
    }

    /// The refresh that the passage of time has made due.
    fn wake(&mut self, now: Moment, hits: f64) -> Option<NewFlight> {
        let is_used = self.usage.was_handed_out || hits > self.usage.hits_on_arrival;
        self.slot.wake(now, is_used)
    }

    fn flight(&mut self, new_flight: NewFlight) -> Option<(NewFlight, Arc<Setup<T>>)> {
        let setup = Arc::clone(self.setup.as_ref()?);
        self.history.lock().counters.acquisitions += 1.0;
        Some((new_flight, setup))
    }

    /// Whether JavaScript may hold a copy of a token that is no longer the held one.
    fn lost_copies(&mut self) -> bool {
        let is_gone = self.shared_token.is_some() && self.shared_token != self.slot.token_id();
        if is_gone || self.published_token.is_some() {
            self.shared_token = self.published_token;
        }
        is_gone
    }

    /// The result for the flight's waiters, and whether to warn of an assumed lifetime. `None` if
    /// the manager is closed.
    fn land(
        &mut self,
        now: Moment,
        flight: FlightId,
        acquired: Acquired,
    ) -> Option<(FlightResult, bool)> {
        self.setup.as_ref()?;
        let Acquired {
            result,
            requests,
            took,
            is_lifetime_assumed,
        } = acquired;
        let warns_of_lifetime = {
            let mut history = self.history.lock();
            history.counters.retries += f64::from(requests.saturating_sub(1));
            history.latency.add(took);
            match &result {
                Ok(_) => history.last_success = Some(now),
                // The present configuration has not failed.
                Err(_) if self.has_successor => {}
                Err(error) => history.last_failure = Some((now, error.kind())),
            }
            is_lifetime_assumed && !std::mem::replace(&mut history.warned_of_lifetime, true)
        };
        let mut landed = self.slot.land(now, flight, result, fastrand::f64());
        // A failure after which the callers ask the successor is not logged.
        landed.is_transition &= !(self.has_successor && landed.is_void_after_change());
        Some((landed, warns_of_lifetime))
    }

    /// Starts to count the use of a token that was adopted.
    fn track_token(&mut self, hits: f64) {
        let token = self.slot.token_id();
        if token.is_some() && token != self.usage.token {
            self.usage = Usage {
                token,
                hits_on_arrival: hits,
                ..Usage::default()
            };
        }
    }

    fn snapshot(&self, now: Moment) -> Snapshot {
        let token = self.slot.token(now).map(|token| TokenTimes {
            age: token.age(now),
            soft: token.life.soft,
            hard: token.life.hard,
        });
        let history = self.history.lock();
        Snapshot {
            name: self.name.clone(),
            condition: self.slot.condition(now),
            token,
            last_success: history.last_success,
            last_failure: history.last_failure,
            counters: history.counters,
            latency: history.latency,
        }
    }

    /// The initial state of the successor. Only flights in progress stay here.
    fn hand_over(&mut self, now: Moment, config: Config, transport: Arc<T>) -> Self {
        let old = self.setup.as_ref();
        let keeps_target = old.is_some_and(|old| old.config.target == config.target);
        let keeps_grant = old.is_some_and(|old| old.config.grant == config.grant);
        let changes_grant = !(keeps_target && keeps_grant);
        let discovery = old.filter(|_| keeps_target).map(|old| &old.discovery);
        let slot = self
            .slot
            .hand_over(now, config.background_refresh, changes_grant);
        let name = config.name.clone();
        let setup = old.map(|old| {
            Arc::new(Setup {
                credentials: CredentialProvider::new(config.credential.clone()),
                discovery: discovery.cloned().unwrap_or_default(),
                config,
                transport,
                closing: Arc::clone(&old.closing),
            })
        });
        Self {
            slot,
            name,
            setup,
            timer: self.timer.take(),
            published_token: self.published_token.take(),
            shared_token: self.shared_token.take(),
            usage: std::mem::take(&mut self.usage),
            history: Arc::clone(&self.history),
            has_successor: std::mem::replace(&mut self.has_successor, true),
        }
    }
}

impl<C: Clock, T: Transport> Timer for Manager<C, T> {
    fn wake(&self) {
        self.decide(|_, _| ((), None));
    }
}

/// A flight in progress. Its waiters are notified exactly once, even if its task panics or is
/// cancelled.
struct RunningFlight<C: Clock, T: Transport> {
    manager: Arc<Manager<C, T>>,
    id: FlightId,
    has_landed: bool,
}

impl<C: Clock, T: Transport> RunningFlight<C, T> {
    /// Acquires a token, unless the manager is closed first.
    async fn fly(self, new_flight: NewFlight, setup: Arc<Setup<T>>) {
        let acquisition = Acquisition {
            setup: &setup,
            clock: &*self.manager.clock,
            events: &self.manager.events,
            attempts: new_flight.attempts,
        };
        let acquired = tokio::select! {
            biased;
            _ = setup.closing.acquire() => return,
            acquired = acquisition.run() => acquired,
        };
        self.land(acquired);
    }

    fn land(mut self, acquired: Acquired) {
        // If the code below panics, `drop` notifies the waiters.
        self.manager.land(self.id, acquired);
        self.has_landed = true;
    }
}

impl<C: Clock, T: Transport> Drop for RunningFlight<C, T> {
    fn drop(&mut self) {
        if !self.has_landed {
            // The task panicked or was cancelled, or the runtime has shut down.
            self.manager
                .land(self.id, Acquired::without_request(Error::internal()));
        }
    }
}
