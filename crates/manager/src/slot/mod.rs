//! The state machine: one token, at most one current flight, and all rules about when to request
//! the next token.
//!
//! The decisions are pure functions of the state and `now`: no I/O, no lock, no clock, no
//! randomness. [`Slot::decide`] answers a caller, [`Slot::land`] takes a flight's result, and
//! [`Slot::start_due_refresh`] starts a refresh that has become due. Separate types handle the
//! cool-down after failures, the spacing of rejections and of clears, and tokens that the server
//! repeats.

use std::sync::Arc;
use std::time::Duration;

mod cached_token;
mod clears;
mod cool_down;
mod decision;
mod dropped;
mod due;
mod flight;
mod rejections;
mod repeats;
pub mod schedule;

use crate::clock::Moment;
use cached_token::CachedToken;
pub use cached_token::Token;
use clears::Clears;
pub(crate) use cool_down::CoolDown;
pub use decision::{
    Call, Cause, Clearing, Condition, Decision, FlightId, FlightResult, Invalidation,
    LifetimeWarning, NewFlight, StartedCoolDown, Storage, TokenId,
};
use dropped::Dropped;
use rejections::Rejections;
pub use rejections::{RouteBudget, RouteId};
use repeats::Repeats;
use schedule::Spread;

#[derive(Clone, Debug)]
enum State {
    Empty,
    Fetching(CurrentFlight),
    Ready(CachedToken),
    Refreshing(CachedToken, CurrentFlight),
    Closed,
}

/// The flight whose token the slot will store. A detached flight gives its token only to its
/// waiters.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, and each is needed alone"
)]
struct CurrentFlight {
    id: FlightId,
    /// Whether the flight started without a waiter.
    is_background: bool,
    /// Whether a caller has joined the flight. Remains true after all callers have left.
    is_awaited: bool,
    /// Whether the flight has sent its request.
    is_sent: bool,
    /// Whether a caller of the flight forced a refresh, so that it needs a token from the server.
    is_forced: bool,
    /// The largest minimum validity that a waiter requested.
    minimum: Option<Duration>,
}

/// The state machine of one manager.
#[derive(Clone, Debug)]
pub struct Slot {
    refreshes_in_background: bool,
    /// How managers with the same request spread their refreshes over time.
    spread: Spread,
    state: State,
    /// The cool-down after failures that concern this request alone.
    cool_down: Option<Box<CoolDown>>,
    /// The cool-down after failures that every request of the client shares.
    trouble: Option<Arc<CoolDown>>,
    rejections: Rejections,
    clears: Clears,
    repeats: Repeats,
    dropped: Dropped,
    last_background: Option<Box<Moment>>,
    /// Whether the slot has dropped a token since it last stored one.
    was_dropped: bool,
    last_flight: u32,
    last_token: TokenId,
}

impl Slot {
    /// Creates an empty slot.
    #[must_use]
    pub fn new(refreshes_in_background: bool) -> Self {
        Self {
            refreshes_in_background,
            spread: Spread::Alone,
            state: State::Empty,
            cool_down: None,
            trouble: None,
            rejections: Rejections::default(),
            clears: Clears::default(),
            repeats: Repeats::default(),
            dropped: Dropped::default(),
            last_background: None,
            was_dropped: false,
            last_flight: 0,
            last_token: TokenId::default(),
        }
    }

    /// Sets whether the slot shares its token with other managers through a store. Call this
    /// function before the slot holds a token.
    #[must_use]
    pub const fn sharing(mut self, is_shared: bool) -> Self {
        self.spread = if is_shared {
            Spread::Shared
        } else {
            Spread::Alone
        };
        self
    }

    /// Answers a caller.
    pub fn decide(&mut self, now: Moment, call: Call) -> Decision {
        self.advance(now);
        let minimum = call.minimum();
        if !call.is_forced()
            && let Some(decision) = self.use_held(now, minimum)
        {
            return decision;
        }
        let cooling = self
            .cooling(now)
            .map(|cool_down| (cool_down.error.clone(), cool_down.retry_after(now)));
        match (&mut self.state, cooling) {
            (State::Closed, _) => Decision::Closed,
            (State::Fetching(flight) | State::Refreshing(_, flight), _)
                if call == Call::Forced && flight.is_sent =>
            {
                Decision::WaitAndAskAgain { flight: flight.id }
            }
            (State::Fetching(flight) | State::Refreshing(_, flight), _) => {
                flight.is_awaited = true;
                flight.is_forced |= call.is_forced();
                flight.minimum = flight.minimum.max(minimum);
                Decision::Wait {
                    flight: flight.id,
                    new_flight: None,
                }
            }
            (State::Empty | State::Ready(_), Some((error, retry_after))) => {
                Decision::Cooling { error, retry_after }
            }
            (State::Empty | State::Ready(_), None) => match self.new_flight(now, Some(call)) {
                Some(new_flight) => Decision::Wait {
                    flight: new_flight.flight,
                    new_flight: Some(new_flight),
                },
                None => Decision::Closed,
            },
        }
    }

    /// Returns the held token if it meets the minimum, or if the slot may not start a flight for
    /// that minimum now.
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
            self.new_flight(now, None)
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

    /// Starts the refresh that the passage of time has made due. `is_used` says whether a caller
    /// has used the held token.
    pub fn start_due_refresh(&mut self, now: Moment, is_used: bool) -> Option<NewFlight> {
        self.advance(now);
        if self.is_refresh_due_without_call(now, is_used) {
            self.new_flight(now, None)
        } else {
            None
        }
    }

    /// Drops the held token if this route rejected it, unless a cool-down is in effect, the last
    /// drop is too recent, or the drop budget is exhausted. Also detaches the current flight. If
    /// there is a successor, adopts it immediately.
    pub fn invalidate(&mut self, now: Moment, rejected: &str, route: RouteId) -> Invalidation {
        self.advance(now);
        if !self.holds(rejected) {
            return Invalidation::Ignored;
        }
        let is_allowed = self.rejections.allows_drop(now, route);
        if !is_allowed || self.is_cooling(now) {
            return Invalidation::Kept;
        }
        self.rejections.dropped(now, route);
        self.was_dropped = true;
        self.record_drop(now);
        if self.held().is_some_and(CachedToken::has_successor) {
            self.detach_flight();
            self.adopt_successor(now);
        } else {
            self.state = State::Empty;
        }
        Invalidation::Dropped
    }

    /// Records that a route accepted the held token. Returns whether to report the next acceptance,
    /// which matters if the route has recently rejected tokens or if this token is not the held
    /// token.
    pub fn accept(&mut self, now: Moment, accepted: &str, route: RouteId) -> bool {
        self.advance(now);
        !self.holds(accepted) || self.rejections.accepted(now, route)
    }

    /// Drops the held token and its successor and detaches the flight, unless there were too many
    /// clears.
    pub fn clear(&mut self, now: Moment) -> Clearing {
        self.advance(now);
        let clearing = match self.state {
            State::Empty | State::Closed => return Clearing::Nothing,
            State::Fetching(_) => Clearing::Detached,
            State::Ready(_) | State::Refreshing(..) => Clearing::Dropped,
        };
        if !self.clears.allows(now) {
            return Clearing::Kept;
        }
        self.was_dropped = true;
        self.record_drop(now);
        self.state = State::Empty;
        clearing
    }

    /// Drops the held token and its successor and detaches the flight, regardless of earlier
    /// clears, because callers must not use the token any more.
    pub fn drop_token(&mut self, now: Moment) {
        if !matches!(self.state, State::Closed) {
            self.was_dropped = true;
            self.record_drop(now);
            self.state = State::Empty;
        }
    }

    /// Drops the held token, because the server has refused its subject token as no longer valid.
    /// The refusal shows that routes were right to reject the held token.
    pub fn subject_ended(&mut self, now: Moment) {
        self.drop_token(now);
        self.rejections.were_right();
    }

    /// Swaps the slot's drop budget with `budget`, which a manager shares with its derived
    /// managers. The manager calls this function before and after a rejection or an acceptance.
    pub const fn swap_budget(&mut self, budget: &mut RouteBudget) {
        self.rejections.swap_budget(budget);
    }

    /// Sets the current cool-down that all requests of the client share.
    pub(crate) fn share_trouble(&mut self, trouble: Option<Arc<CoolDown>>) {
        self.trouble = trouble;
    }

    fn holds(&self, token: &str) -> bool {
        self.held()
            .is_some_and(|held| held.token.access_token.is(token))
    }

    /// Creates the slot for a changed configuration, without a cool-down. If the change concerns
    /// the token, the client or the server, the new slot makes the held token due for immediate
    /// replacement, and serves it until the new token arrives. Flights in progress stay with this
    /// slot as detached flights, so neither slot stores their tokens. Discards a successor.
    #[must_use]
    pub fn hand_over(
        &mut self,
        now: Moment,
        refreshes_in_background: bool,
        changes_grant: bool,
    ) -> Self {
        self.advance(now);
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
            spread: self.spread,
            state,
            cool_down: None,
            trouble: None,
            rejections: self.rejections.clone(),
            clears: self.clears.clone(),
            repeats: self.repeats.clone(),
            dropped: self.dropped.clone(),
            last_background: None,
            was_dropped: self.was_dropped || changes_grant,
            last_flight: self.last_flight,
            last_token: self.last_token,
        }
    }

    /// Closes the slot: it holds no token and starts no flight from now on.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.cool_down = None;
        self.trouble = None;
        self.repeats = Repeats::default();
        self.dropped = Dropped::default();
    }

    /// Remembers the token that the slot is about to drop, so that the slot does not take it back
    /// from the store.
    fn record_drop(&mut self, now: Moment) {
        if self.spread == Spread::Shared {
            let token = self.held().map(|held| Arc::clone(&held.token));
            self.dropped.record(now, token.as_deref());
        }
    }

    /// Brings the slot up to `now`: adopts a successor that is old enough or whose predecessor has
    /// expired, drops an expired token, and forgives the routes that have not rejected the held
    /// token by the time the token becomes stale. Call this function before the read-only
    /// functions.
    pub fn advance(&mut self, now: Moment) {
        let Some(held) = self.held() else { return };
        if held.is_stale(now) {
            self.rejections.reached_staleness();
        }
        let Some(held) = self.held() else { return };
        let is_expired = |held: &CachedToken| held.token.remaining(now).is_zero();
        let settles = held.settles_in(now);
        if settles.is_some_and(|wait| wait.is_zero() || is_expired(held)) {
            // After a step of the wall clock, the successor may expire before the held token.
            if held.successor_remaining(now) >= held.token.remaining(now) {
                self.adopt_successor(now);
            } else if let Some(held) = self.held_mut() {
                held.drop_successor();
            }
        }
        if self.held().is_some_and(is_expired) {
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
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
