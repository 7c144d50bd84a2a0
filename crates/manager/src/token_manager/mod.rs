//! A manager: one slot behind one lock, the published state of the slot, and the flights of the
//! manager.
//!
//! The manager holds the lock for a decision, never during I/O or a wait. Every decision goes
//! through [`Manager::transact`], which publishes it and sets the timer under the lock, and starts
//! a flight after releasing it. The rules are in [`slot`](crate::slot); this module decides nothing
//! itself.

use std::sync::{Arc, Weak};

mod family;
mod flight;
mod flight_end;
mod history;
mod host;
mod inner;
mod log;

use crate::acquire::Acquired;
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::derived::{ManagerId, PARENT};
use crate::error::Error;
use crate::events::{Event, EventSink};
use crate::published::{NO_TOKEN, PublishedCell};
use crate::slot::{Call, Clearing, Decision, Invalidation, NewFlight, RouteId};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::timers::Timer;
use crate::{EngineSource, Reply};
use family::Family;
use flight::PreparedFlight;
use flight::RunningFlight;
pub(crate) use flight::Setup;
use host::Host;
use inner::Inner;
use oauth::{ProofClaims, SigningFault, TraceParent};
use parking_lot::Mutex as FamilyMutex;
use transport::Transport;

/// A token manager. It starts no runtime and no background work before the first token request.
///
/// A manager may have derived managers for other requests of the same client. Each derived manager
/// has its own slot; all of them share one [`Setup`].
///
/// A dropped manager lets its flights finish; a closed manager cancels them.
pub struct Manager<C: Clock, T: Transport> {
    id: ManagerId,
    host: Arc<Host<C>>,
    published: PublishedCell,
    inner: Mutex<Inner<T>>,
    family: FamilyMutex<Option<Box<Family<C, T>>>>,
    this: Weak<Self>,
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
        Arc::new_cyclic(|this| Self {
            id: PARENT,
            host: Host::new(clock, events, engine_source),
            published: PublishedCell::alone(),
            inner: Mutex::new(Inner::new(config, transport)),
            family: FamilyMutex::new(None),
            this: Weak::clone(this),
        })
    }

    /// Creates a manager of this host.
    fn of(
        host: Arc<Host<C>>,
        id: ManagerId,
        published: PublishedCell,
        inner: Inner<T>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            id,
            host,
            published,
            inner: Mutex::new(inner),
            family: FamilyMutex::new(None),
            this: Weak::clone(this),
        })
    }

    /// Creates the manager for a changed configuration. It takes over the held token, the published
    /// memory and the counters. Flights in progress stay with this manager: they finish with their
    /// original configuration, and neither manager stores their results.
    #[must_use]
    pub fn reconfigured(
        &self,
        config: Config,
        transport: Arc<T>,
        events: Arc<dyn EventSink>,
    ) -> Arc<Self> {
        let setup = {
            let inner = self.inner.lock();
            let old = inner.setup.as_ref();
            old.map(|old| Arc::new(old.replace(config, transport)))
        };
        let host = self.host.reporting_to(events);
        let family = self.family.lock().take();
        let family = family.map(|mut family| {
            family.replace(|manager| manager.moved_to(setup.clone(), Arc::clone(&host)))
        });
        let replacement = self.moved_to(setup, host);
        *replacement.family.lock() = family.map(Box::new);
        replacement
    }

    fn moved_to(&self, setup: Option<Arc<Setup<T>>>, host: Arc<Host<C>>) -> Arc<Self> {
        let inner = self.inner.lock().hand_over(host.clock.now(), setup);
        if let (Some(id), Some(engine)) = (inner.timer, host.started_engine()) {
            engine.timers.set(id, None, &self.timer());
        }
        let replacement = Self::of(host, self.id, self.published.clone(), inner);
        replacement.fire();
        replacement
    }

    /// Returns the memory that callers read before they call [`Manager::ask`].
    #[must_use]
    pub fn published(&self) -> PublishedCell {
        self.published.clone()
    }

    /// Answers a caller.
    #[must_use]
    pub fn ask(&self, call: Call) -> Reply {
        self.ask_in(None, call)
    }

    /// Answers a caller. If the call starts a flight, its requests carry the trace context.
    #[must_use]
    pub fn ask_in(&self, trace_parent: Option<TraceParent>, call: Call) -> Reply {
        let ((decision, is_cooling), version) = self.transact_in(trace_parent, |inner, now| {
            let (decision, new_flight) = inner.ask(now, call);
            ((decision, inner.slot.is_cooling(now)), new_flight)
        });
        match decision {
            Decision::Use {
                token,
                warns_of_minimum,
                ..
            } => {
                if warns_of_minimum {
                    self.warn_of_minimum(is_cooling);
                }
                Reply::Token(token, version)
            }
            Decision::Wait { flight, .. } => Reply::Flight(flight),
            Decision::WaitAndAskAgain { flight } => Reply::EarlierFlight(flight),
            Decision::Cooling { error, retry_after } => Reply::Failure(error, Some(retry_after)),
            Decision::Closed => Reply::Failure(Error::closed(), None),
        }
    }

    /// Drops the held token if this route rejected it, unless a cool-down is in effect, the last
    /// drop is too recent, or the drop budget is exhausted.
    #[must_use]
    pub fn invalidate(&self, rejected: &str, route: RouteId) -> Invalidation {
        let ((outcome, entry), _) = self.transact(|inner, now| {
            let outcome = inner.invalidate(now, rejected, route);
            let is_dropped = outcome == Invalidation::Dropped;
            ((outcome, inner.entry_if(is_dropped)), None)
        });
        self.delete(entry);
        outcome
    }

    /// Records that a route accepted a token. Returns whether to report the next acceptance by this
    /// route.
    #[must_use]
    pub fn accept(&self, accepted: &str, route: RouteId) -> bool {
        let (matters, _) = self.transact(|inner, now| (inner.accept(now, accepted, route), None));
        matters
    }

    /// Drops the held token and detaches the flight, unless there were too many clears.
    pub fn clear(&self) -> Clearing {
        let ((clearing, entry), _) = self.transact(|inner, now| {
            let clearing = inner.clear(now);
            let is_dropped = clearing == Clearing::Dropped;
            ((clearing, inner.entry_if(is_dropped)), None)
        });
        self.delete(entry);
        clearing
    }

    /// Drops the held token and the tokens of derived managers and detaches the flights, because
    /// callers must no longer use these tokens.
    pub fn drop_token(&self) {
        let derived: Vec<_> = match &*self.family.lock() {
            Some(family) => family.all().map(Arc::clone).collect(),
            None => Vec::new(),
        };
        for manager in derived {
            manager.drop_token();
        }
        let (entry, _) = self.transact(|inner, now| {
            inner.slot.drop_token(now);
            (inner.entry_if(true), None)
        });
        self.delete(entry);
    }

    /// Returns a new proof for a request to a resource server (RFC 9449 §7). `uri` is the URL of
    /// the request without query and fragment. Returns `None` for a bearer token.
    ///
    /// # Errors
    /// Returns an error if the system provides no random numbers.
    pub fn dpop_proof(
        &self,
        method: &str,
        uri: &str,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Option<String>, SigningFault> {
        let now = self.host.clock.now();
        let key = self.inner.lock().dpop_key(now, token);
        let Some(key) = key else { return Ok(None) };
        let claims = ProofClaims {
            method,
            uri,
            issued_at: now.wall(),
            nonce,
            access_token: Some(token),
        };
        key.sign_proof(&claims).map(Some)
    }

    /// Returns the manager's state and counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let derived = self.family.lock().as_ref().and_then(|family| family.sums());
        let (snapshot, _) = self.transact(|inner, now| {
            let mut snapshot = inner.snapshot(now);
            snapshot.counters.hits += self.published.hits();
            snapshot.counters.joins += self.published.joins();
            snapshot.derived = derived;
            (snapshot, None)
        });
        snapshot
    }

    /// Closes the manager and its derived managers: cancels flights and timers and drops secrets.
    /// None of them sends an event afterwards.
    pub fn close(&self) {
        let derived = self.family.lock().take();
        for manager in derived.iter().flat_map(|family| family.all()) {
            manager.end();
        }
        if let Some(setup) = self.end() {
            setup.closing.close();
        }
    }

    /// Drops the token and the secrets, and cancels the timer.
    fn end(&self) -> Option<Arc<Setup<T>>> {
        let mut inner = self.inner.lock();
        inner.slot.close();
        inner.published_token = None;
        self.published.change();
        if let (Some(id), Some(engine)) = (inner.timer, self.host.started_engine()) {
            engine.timers.set(id, None, &self.timer());
        }
        inner.request = None;
        inner.setup.take()
    }

    /// Makes a decision under the lock and carries it out. Under the lock, it plans the flight that
    /// the decision or the passage of time requires, publishes the version and sets the timer.
    /// After releasing the lock, it starts the flight, and wakes JavaScript if JavaScript may hold
    /// a copy of a dropped token. Returns the version if it represents the held token, otherwise
    /// [`NO_TOKEN`].
    fn transact<R>(
        &self,
        decision: impl FnOnce(&mut Inner<T>, Moment) -> (R, Option<NewFlight>),
    ) -> (R, u32) {
        self.transact_in(None, decision)
    }

    /// Like [`Self::transact`], for a call with a trace context.
    fn transact_in<R>(
        &self,
        trace_parent: Option<TraceParent>,
        decision: impl FnOnce(&mut Inner<T>, Moment) -> (R, Option<NewFlight>),
    ) -> (R, u32) {
        let (result, version, flight, is_gone) = {
            let mut inner = self.inner.lock();
            let now = self.host.clock.now();
            let hits = self.published.hits();
            inner.advance(now, hits);
            let (result, new_flight) = decision(&mut inner, now);
            inner.track_token(hits);
            // The code below sets the timer again, so a refresh that is due by now must start here.
            let new_flight =
                new_flight.or_else(|| inner.start_due_refresh(now, self.published.hits()));
            let version = self.publish(now, &mut inner);
            self.set_timer(now, &mut inner);
            let flight =
                new_flight.and_then(|new_flight| inner.prepare_flight(new_flight, trace_parent));
            (result, version, flight, inner.take_lost_copies())
        };
        // A runtime that has shut down drops the flight immediately, and that drop takes the lock.
        if let Some(flight) = flight {
            self.start(flight);
        }
        if is_gone && self.id == PARENT {
            self.host.events.wake();
        } else if is_gone {
            self.host.events.push(Event::TokenDropped(self.id));
        }
        (result, version)
    }

    /// Changes the version if it no longer represents the same token.
    fn publish(&self, now: Moment, inner: &mut Inner<T>) -> u32 {
        let published_token = inner.slot.servable(now);
        if published_token != inner.published_token {
            inner.published_token = published_token;
            self.published.change();
        }
        published_token.map_or(NO_TOKEN, |_| self.published.version())
    }

    fn set_timer(&self, now: Moment, inner: &mut Inner<T>) {
        let wait = inner.slot.next_change(now);
        if wait.is_none() && inner.timer.is_none() {
            return;
        }
        // Without a runtime, no flight has started yet, so no token needs a timer.
        let Some(engine) = self.host.started_engine() else {
            return;
        };
        let id = *inner.timer.get_or_insert_with(|| engine.timers.register());
        let time = wait.map(|wait| now.monotonic().saturating_add(wait));
        engine.timers.set(id, time, &self.timer());
    }

    fn timer(&self) -> Weak<dyn Timer> {
        self.this.clone()
    }

    fn start(&self, prepared: PreparedFlight<T>) {
        let Some(manager) = self.this.upgrade() else {
            return;
        };
        let (flight, facts) = (prepared.new_flight.flight, prepared.facts());
        if self.host.events.observes_starts() {
            self.host.events.push(Event::FlightStarted {
                manager: self.id,
                flight,
                facts,
                at: self.host.clock.now().wall(),
            });
        }
        let mut flight = RunningFlight::new(manager, flight, facts);
        let Some(engine) = self.host.engine() else {
            let error = Error::no_engine(&prepared.setup.config);
            flight.end(Acquired::without_request(error));
            return;
        };
        engine.handle.spawn(async move {
            // The runtime's thread allocates the larger part of the flight.
            Box::pin(flight.fly(&prepared)).await;
        });
    }
}

impl<C: Clock, T: Transport> Timer for Manager<C, T> {
    fn fire(&self) {
        self.transact(|_, _| ((), None));
    }
}
