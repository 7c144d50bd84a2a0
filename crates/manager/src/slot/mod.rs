//! The state machine: one token, at most one current flight, and every rule about when to request a
//! token again.
//!
//! Pure decisions over `now`: no I/O, no lock, no clock, no randomness. [`Slot::decide`] answers a
//! caller, [`Slot::land`] takes a flight's result, and [`Slot::wake`] starts a refresh that has
//! become due. Three concerns are independent of the state and have their own types: the cool-down
//! after failures, the spacing of rejections, and that of clears.

use std::sync::Arc;
use std::time::Duration;

mod cached_token;
mod clears;
mod cool_down;
mod rejections;
pub mod schedule;

use crate::acquire::backoff::Attempts;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use cached_token::CachedToken;
pub use cached_token::Token;
use clears::Clears;
use cool_down::CoolDown;
use rejections::Rejections;
pub use rejections::RouteId;
use schedule::REFRESH_SPACING;

/// Identifies one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

/// Identifies a token that was held: each has another id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenId(pub u64);

/// The token that a caller requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A token that is valid now.
    Any,
    /// A token that stays valid for at least this long.
    Minimum(Duration),
    /// A new token, even if a valid one is held.
    Forced,
}

/// A flight to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlight {
    /// Its id.
    pub flight: FlightId,
    /// How often it may try.
    pub attempts: Attempts,
}

/// The answer to a caller.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Take this token. A refresh may have to be started, but the caller does not wait for it.
    Use {
        /// The held token.
        token: Arc<Token>,
        /// Whether it is due for replacement.
        is_stale: bool,
        /// The refresh to start.
        new_flight: Option<NewFlight>,
        /// Whether to warn that the token misses the caller's minimum validity.
        warns_of_minimum: bool,
    },
    /// Wait for this flight, after starting it if it is new.
    Wait {
        /// The flight.
        flight: FlightId,
        /// The flight to start.
        new_flight: Option<NewFlight>,
    },
    /// Fail with the error of the last acquisition.
    Cooling {
        /// That error.
        error: Error,
        /// How long the caller should wait before it tries again.
        retry_after: Duration,
    },
    /// Fail: the manager was closed.
    Closed,
}

/// The result of a flight for its waiters.
#[derive(Clone, Debug)]
pub struct FlightResult {
    /// The token, or the failure.
    pub result: Result<Arc<Token>, Error>,
    /// After a failure: the held token, which waiters receive unless they forced a refresh.
    pub fallback: Option<Arc<Token>>,
    /// After a failure: how long callers should wait before they try again.
    pub retry_after: Option<Duration>,
    /// What became of the token.
    pub storage: Storage,
    /// Whether this is the first failure in a row, or the first success after failures.
    pub is_transition: bool,
    /// Whether to warn that the held token misses a waiter's minimum validity.
    pub warns_of_minimum: bool,
}

impl FlightResult {
    /// Whether the waiters of a flight that began before a change of the configuration ask again: a
    /// change fails no call, but it does not extend a deadline either.
    #[must_use]
    pub fn is_void_after_change(&self) -> bool {
        let failure = self.result.as_ref().err();
        failure.is_some_and(|error| error.kind() != ErrorKind::Timeout)
    }
}

/// What becomes of a token that has arrived. Waiters get it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It is the held token from now on.
    Kept,
    /// It replaces the held token once it has settled. No caller waited for it.
    Settling,
    /// It is not kept: its flight was detached, it would die before the held token, or no token
    /// arrived.
    NotKept,
    /// It is not kept because its life was over when it arrived. It is handed out all the same:
    /// its acquisition has already asked for another one.
    Over,
}

/// The outcome of reporting a rejected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// It was the held token and was dropped.
    Dropped,
    /// It is the held token and was kept: a cool-down is in effect, or the last drop is too recent.
    Kept,
    /// It is not the held token.
    Ignored,
}

/// The outcome of clearing a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearing {
    /// The held token was dropped, and a flight was detached if there was one.
    Dropped,
    /// There was no token, and the flight was detached.
    Detached,
    /// Nothing was dropped or detached: there were too many clears.
    Kept,
    /// There was nothing to drop or to detach.
    Nothing,
}

/// The condition of a slot, as snapshots report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No token, and no failure.
    Empty,
    /// A token that needs no replacement yet.
    Fresh,
    /// A valid token that is due for replacement.
    Stale,
    /// No valid token, and the last acquisition failed.
    Failing,
    /// Closed.
    Closed,
}

#[derive(Clone, Debug)]
enum State {
    Empty,
    Fetching(CurrentFlight),
    Ready(CachedToken),
    Refreshing(CachedToken, CurrentFlight),
    Closed,
}

/// The current flight.
#[derive(Clone, Copy, Debug)]
struct CurrentFlight {
    id: FlightId,
    /// Whether it was started without a waiter.
    is_background: bool,
    /// Whether a caller waits for it.
    is_awaited: bool,
    /// The largest minimum validity that a waiter requested.
    minimum: Option<Duration>,
}

/// The state machine of one manager.
#[derive(Clone, Debug)]
pub struct Slot {
    refreshes_in_background: bool,
    state: State,
    cool_down: Option<CoolDown>,
    rejections: Rejections,
    clears: Clears,
    last_background: Option<Moment>,
    last_flight: u32,
    last_token: TokenId,
}

impl Slot {
    /// An empty slot.
    #[must_use]
    pub fn new(refreshes_in_background: bool) -> Self {
        Self {
            refreshes_in_background,
            state: State::Empty,
            cool_down: None,
            rejections: Rejections::default(),
            clears: Clears::default(),
            last_background: None,
            last_flight: 0,
            last_token: TokenId::default(),
        }
    }

    /// Answers a caller.
    pub fn decide(&mut self, now: Moment, call: Call) -> Decision {
        self.settle(now);
        let minimum = match call {
            Call::Any | Call::Forced => None,
            Call::Minimum(minimum) => Some(minimum),
        };
        if call != Call::Forced
            && let Some(decision) = self.use_held(now, minimum)
        {
            return decision;
        }
        match (&mut self.state, &self.cool_down) {
            (State::Closed, _) => Decision::Closed,
            (State::Fetching(flight) | State::Refreshing(_, flight), _) => {
                flight.is_awaited = true;
                flight.minimum = flight.minimum.max(minimum);
                Decision::Wait {
                    flight: flight.id,
                    new_flight: None,
                }
            }
            (State::Empty | State::Ready(_), Some(cool_down)) if cool_down.cools(now) => {
                let (error, retry_after) = (cool_down.error.clone(), cool_down.retry_after(now));
                Decision::Cooling { error, retry_after }
            }
            (State::Empty | State::Ready(_), _) => match self.new_flight(now, false, minimum) {
                Some(new_flight) => Decision::Wait {
                    flight: new_flight.flight,
                    new_flight: Some(new_flight),
                },
                None => Decision::Closed,
            },
        }
    }

    /// The held token, if it meets the minimum or if no request may be made for that minimum now.
    fn use_held(&mut self, now: Moment, minimum: Option<Duration>) -> Option<Decision> {
        let is_cooling = self.is_cooling(now);
        let minimum = minimum.unwrap_or_default();
        let held = self.held()?;
        if held.token.remaining(now) < minimum && held.successor_remaining(now) >= minimum {
            self.adopt_successor(now);
        }
        let held = self.held_mut()?;
        if held.token.remaining(now) < minimum && !is_cooling && !held.pauses_minima(now) {
            return None;
        }
        let warns_of_minimum = held.warns_of(now, minimum);
        let (token, is_stale) = (Arc::clone(&held.token), held.is_stale(now));
        let new_flight = if self.is_refresh_due(now) {
            self.new_flight(now, true, None)
        } else {
            None
        };
        Some(Decision::Use {
            token,
            is_stale,
            new_flight,
            warns_of_minimum,
        })
    }

    /// Takes a flight's result. `jitter`, in `0..1`, is the randomness for refresh times.
    pub fn land(
        &mut self,
        now: Moment,
        flight: FlightId,
        result: Result<Arc<Token>, Error>,
        jitter: f64,
    ) -> FlightResult {
        self.settle(now);
        let current = self.end_flight(flight);
        match result {
            Ok(token) => self.succeed(now, current, token, jitter),
            Err(error) => self.fail(now, current, error, jitter),
        }
    }

    fn succeed(
        &mut self,
        now: Moment,
        current: Option<CurrentFlight>,
        token: Arc<Token>,
        jitter: f64,
    ) -> FlightResult {
        let is_transition = self.cool_down.take().is_some();
        let mut warns_of_minimum = false;
        let is_over = token.age(now) >= token.life.granted;
        let storage = current.map_or(Storage::NotKept, |flight| {
            let storage = self.store(now, flight, &token, jitter);
            if let (Some(minimum), Some(held)) = (flight.minimum, self.held_mut()) {
                warns_of_minimum = held.weigh(now, minimum, storage == Storage::Kept);
            }
            storage
        });
        let storage = match storage {
            Storage::NotKept if is_over => Storage::Over,
            other => other,
        };
        FlightResult {
            result: Ok(token),
            fallback: None,
            retry_after: None,
            storage,
            is_transition,
            warns_of_minimum,
        }
    }

    fn fail(
        &mut self,
        now: Moment,
        current: Option<CurrentFlight>,
        error: Error,
        jitter: f64,
    ) -> FlightResult {
        let cool_down = CoolDown::after(self.cool_down.as_ref(), now, error.clone(), jitter);
        let mut landed = FlightResult {
            result: Err(error),
            fallback: None,
            retry_after: Some(cool_down.retry_after(now)),
            storage: Storage::NotKept,
            is_transition: cool_down.failures == 1,
            warns_of_minimum: false,
        };
        if !matches!(self.state, State::Closed) {
            self.cool_down = Some(cool_down);
        }
        if let (Some(flight), Some(held)) = (current, self.held_mut()) {
            held.retry |= flight.is_background;
            landed.warns_of_minimum = held.warns_of(now, flight.minimum.unwrap_or_default());
            landed.fallback = Some(Arc::clone(&held.token));
        }
        landed
    }

    /// Stores a new token unless it has expired or the held one lives longer. A token that no caller
    /// waits for settles first, unless the held one was granted for another configuration.
    fn store(
        &mut self,
        now: Moment,
        flight: CurrentFlight,
        token: &Arc<Token>,
        jitter: f64,
    ) -> Storage {
        let remaining = token.remaining(now);
        let held = self.held_mut();
        let outlives =
            |held: &CachedToken| !held.is_outdated && remaining < held.token.remaining(now);
        if remaining.is_zero() || held.as_deref().is_some_and(outlives) {
            if let Some(held) = held {
                held.postpone_refresh(now);
            }
            return Storage::NotKept;
        }
        if let Some(held) = held
            && !flight.is_awaited
            && !held.is_outdated
        {
            held.succeed_by(now, Arc::clone(token), jitter);
            self.settle(now);
            let is_waiting = self.held().is_some_and(CachedToken::has_successor);
            return if is_waiting {
                Storage::Settling
            } else {
                Storage::Kept
            };
        }
        let id = self.next_token();
        self.state = State::Ready(CachedToken::new(Arc::clone(token), id, jitter));
        self.adopted(now);
        Storage::Kept
    }

    /// Makes the successor the held token. A flight in progress continues.
    fn adopt_successor(&mut self, now: Moment) {
        let id = self.next_token();
        let successor = self.held_mut().and_then(|held| held.take_successor(id));
        self.state = match (std::mem::replace(&mut self.state, State::Empty), successor) {
            (State::Ready(_), Some(next)) => State::Ready(next),
            (State::Refreshing(_, flight), Some(next)) => State::Refreshing(next, flight),
            (other, _) => other,
        };
        self.adopted(now);
    }

    fn adopted(&mut self, now: Moment) {
        self.rejections.adopted(now);
        self.clears.adopted(now);
    }

    fn next_token(&mut self) -> TokenId {
        self.last_token = TokenId(self.last_token.0.wrapping_add(1));
        self.last_token
    }

    /// The refresh that the passage of time has made due. `is_used` says whether the held token was
    /// handed out from the cache.
    pub fn wake(&mut self, now: Moment, is_used: bool) -> Option<NewFlight> {
        self.settle(now);
        if self.is_wake_due(now, is_used) {
            self.new_flight(now, true, None)
        } else {
            None
        }
    }

    /// Drops the held token if it is the one that this route rejected and neither a cool-down nor
    /// the spacing of rejections keeps it. Also detaches a flight that started earlier. A successor
    /// is adopted at once.
    pub fn invalidate(&mut self, now: Moment, rejected: &str, route: RouteId) -> Invalidation {
        self.settle(now);
        if !self.holds(rejected) {
            return Invalidation::Ignored;
        }
        let is_allowed = self.rejections.allows_drop(now, route);
        if !is_allowed || self.is_cooling(now) {
            return Invalidation::Kept;
        }
        self.rejections.dropped(now, route);
        if self.held().is_some_and(CachedToken::has_successor) {
            self.detach_flight();
            self.adopt_successor(now);
        } else {
            self.state = State::Empty;
        }
        Invalidation::Dropped
    }

    /// Records that a route accepted a token. Returns whether its further acceptances matter,
    /// because it rejected tokens not long ago.
    pub fn accept(&mut self, now: Moment, accepted: &str, route: RouteId) -> bool {
        self.settle(now);
        !self.holds(accepted) || self.rejections.accepted(now, route)
    }

    /// Drops the held token and its successor and detaches the flight, unless clears are spaced.
    pub fn clear(&mut self, now: Moment) -> Clearing {
        self.settle(now);
        let clearing = match self.state {
            State::Empty | State::Closed => return Clearing::Nothing,
            State::Fetching(_) => Clearing::Detached,
            State::Ready(_) | State::Refreshing(..) => Clearing::Dropped,
        };
        if !self.clears.allows(now) {
            return Clearing::Kept;
        }
        self.state = State::Empty;
        clearing
    }

    fn holds(&self, token: &str) -> bool {
        self.held()
            .is_some_and(|held| held.token.access_token.is(token))
    }

    /// Creates the slot for a changed configuration, without a cool-down. If the change concerns
    /// the token, the client or the server, a new token is requested immediately, and the held one
    /// is served until then. Flights stay with this slot, which no longer holds a token, so their
    /// results are not stored.
    #[must_use]
    pub fn hand_over(
        &mut self,
        now: Moment,
        refreshes_in_background: bool,
        changes_grant: bool,
    ) -> Self {
        self.settle(now);
        let state = match std::mem::replace(&mut self.state, State::Empty) {
            State::Empty | State::Fetching(_) => State::Empty,
            State::Ready(mut held) | State::Refreshing(mut held, _) => {
                held.drop_successor();
                if changes_grant {
                    held.outdate();
                }
                State::Ready(held)
            }
            State::Closed => State::Closed,
        };
        Self {
            refreshes_in_background,
            state,
            cool_down: None,
            rejections: self.rejections.clone(),
            clears: self.clears.clone(),
            last_background: None,
            last_flight: self.last_flight,
            last_token: self.last_token,
        }
    }

    /// Closes the slot: it holds no token and starts no flight from now on.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.cool_down = None;
    }

    /// The id of the held token, if it may be handed out without calling [`Slot::decide`] until
    /// the time that [`Slot::next_wake`] returns.
    #[must_use]
    pub fn servable(&self, now: Moment) -> Option<TokenId> {
        let held = self.held()?;
        let is_over = held.token.remaining(now).is_zero();
        (!is_over && !self.is_refresh_due(now)).then_some(held.id)
    }

    /// The time until the slot next changes without a call: zero if a refresh is due even for an
    /// unused token.
    #[must_use]
    pub fn next_wake(&self, now: Moment) -> Option<Duration> {
        if self.is_wake_due(now, false) {
            return Some(Duration::ZERO);
        }
        let held = self.held()?;
        let age = held.token.age(now);
        let life = held.token.life;
        let points = [held.early, held.due, life.soft, life.hard];
        let waits = points.into_iter().map(|point| point.saturating_sub(age));
        let cooldown = self
            .cool_down
            .as_ref()
            .map(|cool_down| cool_down.remaining(now));
        let spacing = self.refresh_spacing(now);
        let settling = held.settles_in(now);
        let waits = waits.chain(cooldown).chain([spacing]).chain(settling);
        waits.filter(|wait| !wait.is_zero()).min()
    }

    /// The condition of the slot, as snapshots report it.
    #[must_use]
    pub fn condition(&self, now: Moment) -> Condition {
        match (&self.state, self.held()) {
            (State::Closed, _) => Condition::Closed,
            (_, Some(held)) if !held.is_stale(now) => Condition::Fresh,
            (_, Some(held)) if !held.token.remaining(now).is_zero() => Condition::Stale,
            _ if self.cool_down.is_some() => Condition::Failing,
            _ => Condition::Empty,
        }
    }

    /// The held token, unless it has expired.
    #[must_use]
    pub fn token(&self, now: Moment) -> Option<&Arc<Token>> {
        let token = self.held().map(|held| &held.token)?;
        (!token.remaining(now).is_zero()).then_some(token)
    }

    /// Identifies the held token: every token has a different id.
    #[must_use]
    pub fn token_id(&self) -> Option<TokenId> {
        self.held().map(|held| held.id)
    }

    /// Lets time take effect: adopts a successor that has settled or is needed, drops an expired
    /// token, and records when a token becomes stale. The functions that only look describe the
    /// slot as it was left by this.
    pub fn settle(&mut self, now: Moment) {
        let Some(held) = self.held() else { return };
        if held.is_stale(now) {
            self.rejections.reached_staleness();
        }
        let Some(held) = self.held() else { return };
        let is_over = |held: &CachedToken| held.token.remaining(now).is_zero();
        let settles = held.settles_in(now);
        if settles.is_some_and(|wait| wait.is_zero() || is_over(held)) {
            // After a step of the wall clock the successor may end before the held token.
            if held.successor_remaining(now) >= held.token.remaining(now) {
                self.adopt_successor(now);
            } else if let Some(held) = self.held_mut() {
                held.drop_successor();
            }
        }
        if self.held().is_some_and(is_over) {
            self.state = match std::mem::replace(&mut self.state, State::Empty) {
                State::Refreshing(_, flight) => State::Fetching(flight),
                _ => State::Empty,
            };
        }
    }

    fn held(&self) -> Option<&CachedToken> {
        match &self.state {
            State::Ready(held) | State::Refreshing(held, _) => Some(held),
            State::Empty | State::Fetching(_) | State::Closed => None,
        }
    }

    fn held_mut(&mut self) -> Option<&mut CachedToken> {
        match &mut self.state {
            State::Ready(held) | State::Refreshing(held, _) => Some(held),
            State::Empty | State::Fetching(_) | State::Closed => None,
        }
    }

    fn is_cooling(&self, now: Moment) -> bool {
        self.cool_down
            .as_ref()
            .is_some_and(|cool_down| cool_down.cools(now))
    }

    /// Whether a caller that takes the held token starts a refresh.
    fn is_refresh_due(&self, now: Moment) -> bool {
        match &self.state {
            State::Ready(held) => {
                !held.has_successor() && held.token.age(now) >= held.due && self.may_refresh(now)
            }
            _ => false,
        }
    }

    /// Whether a refresh is due without a caller.
    fn is_wake_due(&self, now: Moment, is_used: bool) -> bool {
        let is_due = match &self.state {
            State::Ready(held) => {
                let ages = held.early..held.token.life.hard;
                !held.has_successor()
                    && ages.contains(&held.token.age(now))
                    && (is_used || held.retry)
            }
            _ => false,
        };
        is_due && self.refreshes_in_background && self.may_refresh(now)
    }

    /// Whether the spacing of background refreshes allows one to start now.
    fn may_refresh(&self, now: Moment) -> bool {
        !self.is_cooling(now) && self.refresh_spacing(now).is_zero()
    }

    /// The minimum interval between background refreshes.
    fn refresh_spacing(&self, now: Moment) -> Duration {
        self.last_background
            .map_or(Duration::ZERO, |last| REFRESH_SPACING.saturating_sub(now.since(last)))
    }

    /// Starts a flight. Requires that none is current.
    fn new_flight(
        &mut self,
        now: Moment,
        is_background: bool,
        minimum: Option<Duration>,
    ) -> Option<NewFlight> {
        let id = FlightId(self.last_flight.wrapping_add(1));
        let flight = CurrentFlight {
            id,
            is_background,
            is_awaited: !is_background,
            minimum,
        };
        let is_needed = !is_background && matches!(self.state, State::Empty);
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Empty => State::Fetching(flight),
            State::Ready(held) => State::Refreshing(held, flight),
            other => {
                self.state = other;
                return None;
            }
        };
        self.last_flight = id.0;
        if is_background {
            self.last_background = Some(now);
        }
        let attempts = if self.cool_down.is_some() {
            Attempts::One
        } else if is_needed {
            Attempts::Many
        } else {
            Attempts::Few
        };
        Some(NewFlight {
            flight: id,
            attempts,
        })
    }

    fn detach_flight(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Empty) {
            State::Refreshing(held, _) => State::Ready(held),
            State::Fetching(_) => State::Empty,
            other => other,
        };
    }

    /// Ends the current flight if it has this id; a detached flight changes nothing.
    fn end_flight(&mut self, id: FlightId) -> Option<CurrentFlight> {
        let (next, flight) = match std::mem::replace(&mut self.state, State::Closed) {
            State::Fetching(flight) if flight.id == id => (State::Empty, Some(flight)),
            State::Refreshing(held, flight) if flight.id == id => {
                (State::Ready(held), Some(flight))
            }
            other => (other, None),
        };
        self.state = next;
        flight
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]
mod tests;
