//! The state machine: one token, at most one current flight, and every rule about when to request a
//! token again.
//!
//! Pure decisions over `now`: no I/O, no lock, no clock, no randomness. [`Slot::decide`] answers a
//! caller, [`Slot::land`] takes a flight's result, and [`Slot::wake`] starts a refresh that has
//! become due. Two concerns are independent of the state and have their own types: the cool-down
//! after failures (`trouble`) and the spacing of rejections. `schedule` and `backoff` do the
//! arithmetic.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::MOST_ATTEMPTS;
use super::clock::Moment;
use super::error::{Error, ErrorKind};
use super::held::{Grant, Held};
use super::rejections::Rejections;
use super::schedule::REFRESH_SPACING;
use super::trouble::Trouble;

/// Identifies one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

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
pub struct Launch {
    /// Its id.
    pub flight: FlightId,
    /// The maximum number of attempts.
    pub attempts: u32,
}

/// The answer to a caller.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Take this token. A refresh may have to be started, but the caller does not wait for it.
    Use {
        /// The held token.
        grant: Arc<Grant>,
        /// Whether it is due for replacement.
        is_stale: bool,
        /// The refresh to start.
        launch: Option<Launch>,
        /// Whether to warn that the token misses the caller's minimum validity.
        warns_of_minimum: bool,
    },
    /// Wait for this flight, after starting it if it is new.
    Wait {
        /// The flight.
        flight: FlightId,
        /// The flight to start.
        launch: Option<Launch>,
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
pub struct Landed {
    /// The token, or the failure.
    pub result: Result<Arc<Grant>, Error>,
    /// After a failure: the held token, which waiters receive unless they forced a refresh.
    pub fallback: Option<Arc<Grant>>,
    /// After a failure: how long callers should wait before they try again.
    pub retry_after: Option<Duration>,
    /// What became of the token.
    pub storage: Storage,
    /// Whether this is the first failure in a row, or the first success after failures.
    pub is_turn: bool,
    /// Whether to warn that the held token misses a waiter's minimum validity.
    pub warns_of_minimum: bool,
}

impl Landed {
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
    Held,
    /// It is not kept: its flight was detached, it would die before the held token, or no token
    /// arrived.
    NotKept,
    /// It is not kept because its life was over when it arrived.
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
    Fetching(Flight),
    Ready(Held),
    Refreshing(Held, Flight),
    Closed,
}

/// The current flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    id: FlightId,
    /// Whether it was started without a waiter.
    is_background: bool,
    /// The largest minimum validity that a waiter requested.
    minimum: Option<Duration>,
}

/// The state machine of one manager.
#[derive(Clone, Debug)]
pub struct Slot {
    refreshes_in_background: bool,
    state: State,
    trouble: Option<Trouble>,
    rejections: Rejections,
    last_background: Option<Moment>,
    last_flight: u32,
    last_serial: u64,
}

impl Slot {
    /// An empty slot.
    #[must_use]
    pub fn new(refreshes_in_background: bool) -> Self {
        Self {
            refreshes_in_background,
            state: State::Empty,
            trouble: None,
            rejections: Rejections::default(),
            last_background: None,
            last_flight: 0,
            last_serial: 0,
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
        match (&mut self.state, &self.trouble) {
            (State::Closed, _) => Decision::Closed,
            (State::Fetching(flight) | State::Refreshing(_, flight), _) => {
                flight.minimum = flight.minimum.max(minimum);
                Decision::Wait {
                    flight: flight.id,
                    launch: None,
                }
            }
            (State::Empty | State::Ready(_), Some(trouble)) if trouble.cools(now) => {
                let (error, retry_after) = (trouble.error.clone(), trouble.retry_after(now));
                Decision::Cooling { error, retry_after }
            }
            (State::Empty | State::Ready(_), _) => match self.launch(now, false, minimum) {
                Some(launch) => Decision::Wait {
                    flight: launch.flight,
                    launch: Some(launch),
                },
                None => Decision::Closed,
            },
        }
    }

    /// The held token, if it meets the minimum or if no request may be made for that minimum now.
    fn use_held(&mut self, now: Moment, minimum: Option<Duration>) -> Option<Decision> {
        let is_cooling = self.is_cooling(now);
        let minimum = minimum.unwrap_or_default();
        let held = self.held_mut()?;
        if held.grant.remaining(now) < minimum && !is_cooling && !held.pauses_minima(now) {
            return None;
        }
        let warns_of_minimum = held.warns_of(now, minimum);
        let (grant, is_stale) = (Arc::clone(&held.grant), held.is_stale(now));
        let launch = if self.is_refresh_due(now) {
            self.launch(now, true, None)
        } else {
            None
        };
        Some(Decision::Use {
            grant,
            is_stale,
            launch,
            warns_of_minimum,
        })
    }

    /// Takes a flight's result. `luck`, in `0..1`, is the randomness for refresh times.
    pub fn land(
        &mut self,
        now: Moment,
        flight: FlightId,
        result: Result<Arc<Grant>, Error>,
        luck: f64,
    ) -> Landed {
        self.settle(now);
        let current = self.end_flight(flight);
        match result {
            Ok(grant) => self.succeed(now, current, grant, luck),
            Err(error) => self.fail(now, current, error, luck),
        }
    }

    fn succeed(
        &mut self,
        now: Moment,
        current: Option<Flight>,
        grant: Arc<Grant>,
        luck: f64,
    ) -> Landed {
        let is_turn = self.trouble.take().is_some();
        let (mut is_held, mut warns_of_minimum) = (false, false);
        if let Some(flight) = current {
            is_held = self.store(now, &grant, luck);
            if let (Some(minimum), Some(held)) = (flight.minimum, self.held_mut()) {
                warns_of_minimum = held.weigh(now, minimum, is_held);
            }
        }
        let storage = if is_held {
            Storage::Held
        } else if grant.age(now) >= grant.life.granted {
            Storage::Over
        } else {
            Storage::NotKept
        };
        Landed {
            result: Ok(grant),
            fallback: None,
            retry_after: None,
            storage,
            is_turn,
            warns_of_minimum,
        }
    }

    fn fail(&mut self, now: Moment, current: Option<Flight>, error: Error, luck: f64) -> Landed {
        let trouble = Trouble::after(self.trouble.as_ref(), now, error.clone(), luck);
        let mut landed = Landed {
            result: Err(error),
            fallback: None,
            retry_after: Some(trouble.retry_after(now)),
            storage: Storage::NotKept,
            is_turn: trouble.failures == 1,
            warns_of_minimum: false,
        };
        if !matches!(self.state, State::Closed) {
            self.trouble = Some(trouble);
        }
        if let (Some(flight), Some(held)) = (current, self.held_mut()) {
            held.retry |= flight.is_background;
            landed.warns_of_minimum = held.warns_of(now, flight.minimum.unwrap_or_default());
            landed.fallback = Some(Arc::clone(&held.grant));
        }
        landed
    }

    /// Stores a new token unless it has expired or the held one lives longer. Returns whether it
    /// was stored.
    fn store(&mut self, now: Moment, grant: &Arc<Grant>, luck: f64) -> bool {
        let remaining = grant.remaining(now);
        let held = self.held_mut();
        let outlives = |held: &Held| !held.is_outdated && remaining < held.grant.remaining(now);
        if remaining.is_zero() || held.as_deref().is_some_and(outlives) {
            if let Some(held) = held {
                held.postpone_refresh(now);
            }
            return false;
        }
        let is_replacement = held.is_some();
        self.rejections.arrived(now, is_replacement);
        self.last_serial = self.last_serial.wrapping_add(1);
        self.state = State::Ready(Held::new(Arc::clone(grant), self.last_serial, luck));
        true
    }

    /// The refresh that the passage of time has made due. `is_used` says whether the held token was
    /// handed out from the cache.
    pub fn wake(&mut self, now: Moment, is_used: bool) -> Option<Launch> {
        self.settle(now);
        if self.is_wake_due(now, is_used) {
            self.launch(now, true, None)
        } else {
            None
        }
    }

    /// Drops the held token if it is the rejected one and neither a cool-down nor the spacing of
    /// rejections keeps it. Also detaches a flight that started earlier.
    pub fn invalidate(&mut self, now: Moment, rejected: &str) -> Invalidation {
        self.settle(now);
        let is_held = self
            .held()
            .is_some_and(|held| held.grant.token.is(rejected));
        if !is_held {
            return Invalidation::Ignored;
        }
        let is_spaced = self.rejections.is_spaced(now);
        if is_spaced || self.is_cooling(now) {
            return Invalidation::Kept;
        }
        self.rejections.dropped();
        self.state = State::Empty;
        Invalidation::Dropped
    }

    /// Drops the held token unconditionally, and detaches the flight. Returns whether a token was
    /// held.
    pub fn clear(&mut self, now: Moment) -> bool {
        self.settle(now);
        let had_token = self.held().is_some();
        if !matches!(self.state, State::Closed) {
            self.state = State::Empty;
        }
        self.rejections.forgive();
        had_token
    }

    /// Creates the slot for a changed configuration, without a cool-down. If the change concerns
    /// the grant, the client or the server, a new token is requested immediately, and the held one
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
            trouble: None,
            rejections: self.rejections.clone(),
            last_background: None,
            last_flight: self.last_flight,
            last_serial: self.last_serial,
        }
    }

    /// Closes the slot: it holds no token and starts no flight from now on.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.trouble = None;
    }

    /// The serial of the held token, if it may be handed out without calling [`Slot::decide`] until
    /// the time that [`Slot::next_wake`] returns.
    #[must_use]
    pub fn serving(&self, now: Moment) -> Option<u64> {
        let held = self.held()?;
        let is_over = held.grant.remaining(now).is_zero();
        (!is_over && !self.is_refresh_due(now)).then_some(held.serial)
    }

    /// The time until the slot next changes without a call: zero if a refresh is due even for an
    /// unused token.
    #[must_use]
    pub fn next_wake(&self, now: Moment) -> Option<Duration> {
        if self.is_wake_due(now, false) {
            return Some(Duration::ZERO);
        }
        let held = self.held()?;
        let age = held.grant.age(now);
        let life = held.grant.life;
        let points = [held.early, held.due, life.soft, life.hard];
        let waits = points.into_iter().map(|point| point.saturating_sub(age));
        let cooldown = self.trouble.as_ref().map(|trouble| trouble.remaining(now));
        let spacing = self.refresh_spacing(now);
        let waits = waits.chain(cooldown).chain([spacing]);
        waits.filter(|wait| !wait.is_zero()).min()
    }

    /// The condition of the slot, as snapshots report it.
    #[must_use]
    pub fn condition(&self, now: Moment) -> Condition {
        match (&self.state, self.held()) {
            (State::Closed, _) => Condition::Closed,
            (_, Some(held)) if !held.is_stale(now) => Condition::Fresh,
            (_, Some(held)) if !held.grant.remaining(now).is_zero() => Condition::Stale,
            _ if self.trouble.is_some() => Condition::Failing,
            _ => Condition::Empty,
        }
    }

    /// The held token, unless it has expired.
    #[must_use]
    pub fn grant(&self, now: Moment) -> Option<&Arc<Grant>> {
        let grant = self.held().map(|held| &held.grant)?;
        (!grant.remaining(now).is_zero()).then_some(grant)
    }

    /// Identifies the held token: every token has a different serial.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.held().map(|held| held.serial)
    }

    /// Drops an expired token, and records when a token becomes stale.
    fn settle(&mut self, now: Moment) {
        let Some(held) = self.held() else { return };
        let is_over = held.grant.remaining(now).is_zero();
        if held.is_stale(now) {
            self.rejections.reached_staleness();
        }
        if is_over {
            self.state = match std::mem::replace(&mut self.state, State::Empty) {
                State::Refreshing(_, flight) => State::Fetching(flight),
                _ => State::Empty,
            };
        }
    }

    fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Ready(held) | State::Refreshing(held, _) => Some(held),
            State::Empty | State::Fetching(_) | State::Closed => None,
        }
    }

    fn held_mut(&mut self) -> Option<&mut Held> {
        match &mut self.state {
            State::Ready(held) | State::Refreshing(held, _) => Some(held),
            State::Empty | State::Fetching(_) | State::Closed => None,
        }
    }

    fn is_cooling(&self, now: Moment) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.cools(now))
    }

    /// Whether a caller that takes the held token starts a refresh.
    fn is_refresh_due(&self, now: Moment) -> bool {
        match &self.state {
            State::Ready(held) => held.grant.age(now) >= held.due && self.may_refresh(now),
            _ => false,
        }
    }

    /// Whether a refresh is due without a caller.
    fn is_wake_due(&self, now: Moment, is_used: bool) -> bool {
        let is_due = match &self.state {
            State::Ready(held) => {
                let ages = held.early..held.grant.life.hard;
                ages.contains(&held.grant.age(now)) && (is_used || held.retry)
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
    fn launch(
        &mut self,
        now: Moment,
        is_background: bool,
        minimum: Option<Duration>,
    ) -> Option<Launch> {
        let id = FlightId(self.last_flight.wrapping_add(1));
        let flight = Flight {
            id,
            is_background,
            minimum,
        };
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
        let attempts = if self.trouble.is_some() {
            1
        } else {
            MOST_ATTEMPTS
        };
        Some(Launch {
            flight: id,
            attempts,
        })
    }

    /// Ends the current flight if it has this id; a detached flight changes nothing.
    fn end_flight(&mut self, id: FlightId) -> Option<Flight> {
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
#[path = "slot_tests.rs"]
mod tests;
