//! The state of a manager behind its lock: the slot, the published token, and the counters.
//!
//! The manager calls every method under the lock. A method returns the work that the manager must
//! do after releasing the lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::flight::{PreparedFlight, Setup};
use super::history::{History, Usage};
use crate::acquire::{Acquired, TroubleChange};
use crate::clock::Moment;
use crate::config::Config;
use crate::derived::DerivedRequest;
use crate::error::Error;
use crate::slot::{
    Call, Cause, Clearing, Condition, Decision, FlightId, FlightResult, Invalidation, NewFlight,
    RouteId, Slot, Token, TokenId,
};
use crate::snapshot::{Counters, Snapshot, TokenTimes};
use crate::store::StoreEntry;
use crate::sync::Mutex;
use crate::timers::TimerId;
use oauth::{DpopKey, TraceParent};

/// The state of a manager, protected by its lock.
pub(super) struct Inner<T> {
    pub(super) slot: Slot,
    name: String,
    /// `None` once the manager is closed; closing also drops the secrets.
    pub(super) setup: Option<Arc<Setup<T>>>,
    /// The request of a derived manager; `None` for the request of the configuration.
    pub(super) request: Option<Arc<DerivedRequest>>,
    /// When the manager sent the last successful request.
    pub(super) last_success: Option<Moment>,
    pub(super) timer: Option<TimerId>,
    /// The token that the published version represents.
    pub(super) published_token: Option<TokenId>,
    /// The last token of which JavaScript may hold a copy.
    shared_token: Option<TokenId>,
    usage: Usage,
    /// The history, shared with the managers of earlier configurations, whose flights may not have
    /// ended.
    history: Arc<Mutex<History>>,
    /// Whether another manager has taken over. The callers of a flight that fails here ask that
    /// manager.
    is_replaced: bool,
}

impl<T> Inner<T> {
    /// Creates the state of a new manager.
    pub(super) fn new(config: Config, transport: Arc<T>) -> Self {
        let slot = Slot::new(config.background_refresh);
        let slot = slot.sharing(config.shares(&config.grant.grant_type));
        let name = config.name.clone();
        Self::with(slot, name, Arc::new(Setup::new(config, transport)), None)
    }

    /// Creates the state of a manager that is derived from this one.
    pub(super) fn derive(&self, request: Arc<DerivedRequest>) -> Option<Self> {
        let setup = self.setup.as_ref()?;
        let slot = Slot::new(request.refreshes_in_background(&setup.config));
        let slot = slot.sharing(setup.config.shares(&request.grant_type));
        Some(Self::with(slot, String::new(), Arc::clone(setup), Some(request)))
    }

    fn with(
        slot: Slot,
        name: String,
        setup: Arc<Setup<T>>,
        request: Option<Arc<DerivedRequest>>,
    ) -> Self {
        Self {
            slot,
            name,
            setup: Some(setup),
            request,
            last_success: None,
            timer: None,
            published_token: None,
            shared_token: None,
            usage: Usage::default(),
            history: Arc::new(Mutex::new(History::default())),
            is_replaced: false,
        }
    }

    /// Answers a caller. Also returns the flight to start.
    pub(super) fn ask(&mut self, now: Moment, call: Call) -> (Decision, Option<NewFlight>) {
        let decision = self.slot.decide(now, call);
        let new_flight = self.count(&decision);
        (decision, new_flight)
    }

    /// Counts the decision. Returns the flight to start.
    fn count(&mut self, decision: &Decision) -> Option<NewFlight> {
        let counts = &mut self.history.lock().counts;
        match decision {
            Decision::Use {
                is_stale,
                new_flight,
                ..
            } => {
                counts.hits += 1.0;
                if *is_stale {
                    counts.others().stale_served += 1.0;
                }
                self.usage.was_handed_out = true;
                *new_flight
            }
            Decision::Wait { new_flight, .. } => {
                counts.joins += f64::from(u8::from(new_flight.is_none()));
                *new_flight
            }
            Decision::WaitAndAskAgain { .. } => {
                counts.joins += 1.0;
                None
            }
            Decision::Cooling { .. } => {
                counts.others().suppressed += 1.0;
                None
            }
            Decision::Closed => None,
        }
    }

    /// Reports a rejected token to the slot, and counts the outcome.
    pub(super) fn invalidate(
        &mut self,
        now: Moment,
        rejected: &str,
        route: RouteId,
    ) -> Invalidation {
        let outcome = self.with_budget(|slot| slot.invalidate(now, rejected, route));
        let mut history = self.history.lock();
        let counters = history.counts.others();
        *match outcome {
            Invalidation::Dropped => &mut counters.invalidations,
            Invalidation::Kept => &mut counters.invalidations_kept,
            Invalidation::Ignored => &mut counters.invalidations_ignored,
        } += 1.0;
        outcome
    }

    /// Runs a step of the slot with the drop budget that the managers share.
    fn with_budget<R>(&mut self, step: impl FnOnce(&mut Slot) -> R) -> R {
        let Some(setup) = &self.setup else {
            return step(&mut self.slot);
        };
        let mut budget = setup.budget.lock();
        self.slot.swap_budget(&mut budget);
        let result = step(&mut self.slot);
        self.slot.swap_budget(&mut budget);
        result
    }

    /// Records that a route accepted a token.
    pub(super) fn accept(&mut self, now: Moment, accepted: &str, route: RouteId) -> bool {
        self.with_budget(|slot| slot.accept(now, accepted, route))
    }

    /// Clears the slot, and counts a dropped token.
    pub(super) fn clear(&mut self, now: Moment) -> Clearing {
        let clearing = self.slot.clear(now);
        if clearing == Clearing::Dropped {
            self.history.lock().counts.others().invalidations += 1.0;
        }
        clearing
    }

    /// Counts the hits since the held token became stale. Must run before any other change of the
    /// state.
    fn count_stale_hits(&mut self, now: Moment, hits: f64) {
        if let Some(mark) = self.usage.hits_when_stale.filter(|mark| hits > *mark) {
            self.history.lock().counts.others().stale_served += hits - mark;
        }
        let is_stale = self.slot.condition(now) == Condition::Stale;
        self.usage.hits_when_stale = is_stale.then_some(hits);
    }

    /// Starts the refresh that the passage of time has made due.
    pub(super) fn start_due_refresh(&mut self, now: Moment, hits: f64) -> Option<NewFlight> {
        let is_used = self.usage.was_handed_out || hits > self.usage.hits_on_arrival;
        self.slot.start_due_refresh(now, is_used)
    }

    /// Counts a flight that is about to start, and returns its setup. `trace_parent` belongs to the
    /// current call, so background refreshes do not carry it.
    pub(super) fn prepare_flight(
        &mut self,
        new_flight: NewFlight,
        trace_parent: Option<TraceParent>,
    ) -> Option<PreparedFlight<T>> {
        let setup = Arc::clone(self.setup.as_ref()?);
        self.history.lock().counts.acquisitions += 1.0;
        Some(PreparedFlight {
            new_flight,
            setup,
            request: self.request.clone(),
            trace_parent: trace_parent.filter(|_| new_flight.cause != Cause::Refresh),
        })
    }

    /// Whether JavaScript may hold a copy of a token that the slot has dropped or replaced.
    pub(super) fn take_lost_copies(&mut self) -> bool {
        let is_gone = self.shared_token.is_some() && self.shared_token != self.slot.token_id();
        if is_gone || self.published_token.is_some() {
            self.shared_token = self.published_token;
        }
        is_gone
    }

    /// Ends a flight. Returns the result for its waiters, or `None` if the manager is closed.
    pub(super) fn end_flight(
        &mut self,
        now: Moment,
        flight: FlightId,
        acquired: Acquired,
    ) -> Option<FlightResult> {
        self.setup.as_ref()?;
        let Acquired {
            result,
            requests,
            took,
            warning,
            trouble,
        } = acquired;
        {
            let mut history = self.history.lock();
            if requests > 1 {
                history.counts.others().retries += f64::from(requests.saturating_sub(1));
            }
            history.latency.add(took);
            match &result {
                Ok(_) => history.last_success = Some(now),
                // The current configuration has not failed.
                Err(_) if self.is_replaced => {}
                Err(error) => history.last_failure = Some(Box::new((now, error.kind()))),
            }
        }
        if self.is_end_of_subject(&result) {
            self.with_budget(|slot| slot.subject_ended(now));
        }
        let mut outcome = self.slot.land(now, flight, result, fastrand::f64());
        outcome.is_transition |= trouble == TroubleChange::Ended;
        outcome.is_transition &= trouble != TroubleChange::Repeated;
        outcome
            .cool_down
            .take_if(|_| trouble == TroubleChange::Repeated);
        outcome.warning = outcome.warning.or(warning);
        outcome
            .warning
            .take_if(|warning| !self.history.lock().is_first(*warning));
        // The manager does not log a failure after which the callers ask the replacement.
        outcome.is_transition &= !(self.is_replaced && outcome.is_void_after_change());
        Some(outcome)
    }

    /// Ends a flight with a token from the shared store. Returns the result for its waiters, or
    /// `None` if the flight has to ask the server.
    pub(super) fn end_stored_flight(
        &mut self,
        now: Moment,
        flight: FlightId,
        token: Token,
        took: Duration,
    ) -> Option<FlightResult> {
        self.setup.as_ref()?;
        let outcome = self.slot.land_stored(now, flight, token, fastrand::f64())?;
        let mut history = self.history.lock();
        history.counts.others().store_hits += 1.0;
        history.latency.add(took);
        Some(outcome)
    }

    /// Returns the shared store's entry for a token that the slot has dropped.
    pub(super) fn entry_if(&self, is_dropped: bool) -> Option<StoreEntry> {
        let setup = self.setup.as_ref().filter(|_| is_dropped)?;
        match &self.request {
            Some(request) => setup.entry(&request.grant(&setup.config)),
            None => setup.entry(&setup.config.grant),
        }
    }

    /// Whether the server refused an exchange because the subject token has ended.
    pub(super) fn is_end_of_subject(&self, result: &Result<Token, Error>) -> bool {
        let request = self.request.as_ref();
        request.is_some_and(|request| request.grant_type.is_exchange())
            && matches!(result, Err(error) if error.is_end_of_subject())
    }

    /// Whether to log that a token misses a minimum validity: once for all tokens.
    pub(super) fn warns_of_minimum(&self) -> bool {
        !std::mem::replace(&mut self.history.lock().has_warned_of_minimum, true)
    }

    /// Applies the changes that time alone causes: the slot adopts a successor, or a held token
    /// expires. Also applies the trouble that other managers of the client have recorded. The
    /// manager calls this method before every decision.
    pub(super) fn advance(&mut self, now: Moment, hits: f64) {
        if let Some(setup) = &self.setup {
            self.slot.share_trouble(setup.trouble.cool_down());
        }
        self.slot.advance(now);
        self.track_token(hits);
        self.count_stale_hits(now, hits);
    }

    /// Starts to count the use of a newly adopted token.
    pub(super) fn track_token(&mut self, hits: f64) {
        let token = self.slot.token_id();
        if token.is_some() && token != self.usage.token {
            self.usage = Usage {
                token,
                hits_on_arrival: hits,
                ..Usage::default()
            };
        }
    }

    pub(super) fn snapshot(&self, now: Moment) -> Snapshot {
        let token = self.slot.token(now).map(|token| TokenTimes {
            age: token.age(now),
            soft: token.life.soft(),
            hard: token.life.hard(),
        });
        let counters = self.counters();
        let history = self.history.lock();
        let dpop = self
            .setup
            .as_ref()
            .and_then(|setup| setup.config.dpop.as_ref());
        Snapshot {
            name: match (&self.setup, &self.request) {
                (Some(setup), Some(_)) => setup.config.name.clone(),
                _ => self.name.clone(),
            },
            dpop_thumbprint: dpop.map(|dpop| dpop.key.thumbprint().to_owned()),
            condition: self.slot.condition(now),
            token,
            last_success: history.last_success,
            last_failure: history.last_failure.as_deref().copied(),
            counters,
            latency: history.latency,
            derived: None,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.history.lock().counts.all();
        // All managers of a client call the same store, so only the parent reports its failures.
        if let (Some(setup), None) = (&self.setup, &self.request) {
            #[expect(clippy::cast_precision_loss, reason = "a counter")]
            let failures = setup.store_failures.load(Ordering::Relaxed) as f64;
            counters.store_failures = failures;
        }
        counters
    }

    /// Returns the key to which this token is bound: the key of the held token, or the configured
    /// key for any other token. `None`: the token is a bearer token.
    pub(super) fn dpop_key(&self, now: Moment, token: &str) -> Option<Arc<DpopKey>> {
        let held = self.slot.token(now);
        if let Some(held) = held.filter(|held| held.access_token.is(token)) {
            return held.dpop_key.clone();
        }
        let dpop = self.setup.as_ref()?.config.dpop.as_ref()?;
        Some(Arc::clone(&dpop.key))
    }

    /// Returns the initial state of the replacement. Only the flights in progress stay with this
    /// state.
    pub(super) fn hand_over(&mut self, now: Moment, setup: Option<Arc<Setup<T>>>) -> Self {
        let (old, new) = (self.setup.as_deref(), setup.as_deref());
        let grant = |setup: &Setup<T>| match &self.request {
            Some(request) => request.grant(&setup.config),
            None => setup.config.grant.clone(),
        };
        let (keeps_target, keeps_grant) = match (old, new) {
            (Some(old), Some(new)) => (
                old.config.target == new.config.target,
                grant(old) == grant(new) && old.config.dpop == new.config.dpop,
            ),
            _ => (false, false),
        };
        let refreshes_in_background = new.is_some_and(|new| match &self.request {
            Some(request) => request.refreshes_in_background(&new.config),
            None => new.config.background_refresh,
        });
        let name = match (new, &self.request) {
            (Some(new), None) => new.config.name.clone(),
            _ => std::mem::take(&mut self.name),
        };
        let is_shared = new.is_some_and(|new| match &self.request {
            Some(request) => new.config.shares(&request.grant_type),
            None => new.config.shares(&new.config.grant.grant_type),
        });
        let slot = self
            .slot
            .hand_over(now, refreshes_in_background, !(keeps_target && keeps_grant))
            .sharing(is_shared);
        Self {
            slot,
            name,
            setup,
            request: self.request.take(),
            last_success: self.last_success.filter(|_| keeps_target),
            timer: self.timer.take(),
            published_token: self.published_token.take(),
            shared_token: self.shared_token.take(),
            usage: std::mem::take(&mut self.usage),
            history: Arc::clone(&self.history),
            is_replaced: std::mem::replace(&mut self.is_replaced, true),
        }
    }
}
