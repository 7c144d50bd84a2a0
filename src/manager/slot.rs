//! The heart: one token, at most one current flight, and every rule about when to ask again.
//!
//! Pure decisions over `now`: no I/O, no lock, no clock, no randomness of its own. [`Slot::decide`]
//! says what a caller does, [`Slot::land`] takes a flight's result, [`Slot::wake`] says what is due
//! when time has passed. Two things go on beside the state and have a type of their own: the trouble
//! after failures, with or without a token, and the spacing of rejections. `schedule` and `backoff`
//! do the arithmetic.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::MOST_ATTEMPTS;
use super::clock::Moment;
use super::error::Error;
use super::held::{Grant, Held};
use super::rejections::Rejections;
use super::schedule::REFRESH_SPACING;
use super::trouble::Trouble;

/// Names one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A token valid now.
    Any,
    /// A token valid for so long.
    Minimum(Duration),
    /// A token that the server gives now.
    Forced,
}

/// A flight to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub flight: FlightId,
    /// How many attempts it has.
    pub attempts: u32,
}

/// What a caller does.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Takes this token; a refresh may have to be started, which the caller does not wait for.
    Use {
        /// The held token.
        grant: Arc<Grant>,
        /// Whether it is due for replacement.
        is_stale: bool,
        /// The refresh to start.
        launch: Option<Launch>,
        /// Its minimum is not met, and nobody was told yet.
        warns_of_minimum: bool,
    },
    /// Waits for this flight, after starting it if it is new.
    Wait {
        /// The flight.
        flight: FlightId,
        /// The flight to start.
        launch: Option<Launch>,
    },
    /// Fails with the error of the last acquisition.
    Cooling {
        /// That error.
        error: Error,
        /// How long until it makes sense to ask again.
        retry_after: Duration,
    },
    /// Fails: the manager was closed.
    Closed,
}

/// What a flight gave its waiters.
#[derive(Clone, Debug)]
pub struct Landed {
    /// The token, or the failure.
    pub result: Result<Arc<Grant>, Error>,
    /// After a failure: the held token, for waiters that did not force a refresh.
    pub fallback: Option<Arc<Grant>>,
    /// After a failure: how long until it makes sense to ask again.
    pub retry_after: Option<Duration>,
    /// What became of the token.
    pub storage: Storage,
    /// The first failure of a row, or the first success after one.
    pub is_turn: bool,
    /// The held token misses a waiter's minimum, and no warning has said so yet.
    pub warns_of_minimum: bool,
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

/// What became of a token that a resource server rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// It was the held one and is gone.
    Dropped,
    /// It is the held one and stays: a cool-down lasts, or the last drop is too recent.
    Kept,
    /// It is not the held one.
    Ignored,
}

/// What the slot looks like from outside.
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
    /// Nobody waited for it when it was started.
    is_background: bool,
    /// The largest minimum that somebody waits for.
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

    /// What a caller does.
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

    /// The held token, if it meets the minimum, or if no request may be made for the minimum now.
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

    /// Takes a flight's result. `luck` is in `0..1`.
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

    /// Keeps a new token unless it is over already or the held one lives longer. Says whether it did.
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

    /// The refresh that is due now that time has passed. `is_used` says whether the held token was
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
    /// rejections forbids it. A flight begun before is detached with it.
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

    /// Drops the held token whatever it is, and detaches a flight. Says whether there was a token.
    pub fn clear(&mut self, now: Moment) -> bool {
        self.settle(now);
        let had_token = self.held().is_some();
        if !matches!(self.state, State::Closed) {
            self.state = State::Empty;
        }
        self.rejections.forgive();
        had_token
    }

    /// The slot for a changed configuration, which starts without a cool-down. If the change
    /// concerns what is granted, to whom or by whom, the held token is served until a new one
    /// replaces it, which is asked for at once. Flights stay with this slot, which holds no token any
    /// more, so that what they give is stored nowhere.
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

    /// Ends everything.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.trouble = None;
    }

    /// The serial of the held token, if it may be handed out without asking [`Slot::decide`] until
    /// the next time that [`Slot::next_wake`] names.
    #[must_use]
    pub fn serving(&self, now: Moment) -> Option<u64> {
        let held = self.held()?;
        let is_over = held.grant.remaining(now).is_zero();
        (!is_over && !self.is_refresh_due(now)).then_some(held.serial)
    }

    /// How long until something changes by itself: nothing at all if a refresh is due, used or not.
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

    /// What the slot looks like from outside.
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

    /// The held token, unless it is over.
    #[must_use]
    pub fn grant(&self, now: Moment) -> Option<&Arc<Grant>> {
        let grant = self.held().map(|held| &held.grant)?;
        (!grant.remaining(now).is_zero()).then_some(grant)
    }

    /// Names the held token; another token has another serial.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.held().map(|held| held.serial)
    }

    /// Lets go of a token that is over, and notes that one reached its staleness.
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

    /// Whether a caller who takes the held token starts a refresh by that.
    fn is_refresh_due(&self, now: Moment) -> bool {
        match &self.state {
            State::Ready(held) => held.grant.age(now) >= held.due && self.may_refresh(now),
            _ => false,
        }
    }

    /// Whether a refresh is due that no caller starts.
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

    /// Whether a background refresh may start now, for all that time has to say.
    fn may_refresh(&self, now: Moment) -> bool {
        !self.is_cooling(now) && self.refresh_spacing(now).is_zero()
    }

    /// How long background refreshes must keep away from the last one.
    fn refresh_spacing(&self, now: Moment) -> Duration {
        self.last_background
            .map_or(Duration::ZERO, |last| REFRESH_SPACING.saturating_sub(now.since(last)))
    }

    /// Starts a flight, where there is none.
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

    /// Ends the current flight if it is this one; a detached flight changes nothing.
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
