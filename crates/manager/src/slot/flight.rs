//! Starts and ends flights, and stores their tokens.

use std::sync::Arc;

use super::{
    CachedToken, Call, Cause, CoolDown, CurrentFlight, FlightId, FlightResult, NewFlight, Slot,
    State, Storage, Token, TokenId,
};
use crate::acquire::backoff::Attempts;
use crate::clock::Moment;
use crate::error::Error;

impl Slot {
    /// Takes a flight's result. `jitter`, in `0..1`, is the random value for the refresh time and
    /// for the cool-down.
    pub fn land(
        &mut self,
        now: Moment,
        flight: FlightId,
        result: Result<Token, Error>,
        jitter: f64,
    ) -> FlightResult {
        self.advance(now);
        let current = self.end_flight(flight);
        match result {
            Ok(token) => self.store_success(now, current, token, jitter),
            // A later flight says more about the server than a detached flight.
            Err(error) if flight.0 != self.last_flight => FlightResult {
                retry_after: error.details().retry_after,
                ..FlightResult::of(Err(error))
            },
            Err(error) => self.store_failure(now, current, error, jitter),
        }
    }

    /// Takes the token that the shared store returned to a flight. Returns `None` if the flight has
    /// to ask the server: a caller forced a refresh, the flight is detached, the slot has dropped
    /// this token, the token does not live longer than the held one, or it misses a caller's
    /// minimum. The token says nothing about the server, so a cool-down and its failures stay.
    pub fn land_stored(
        &mut self,
        now: Moment,
        flight: FlightId,
        token: Token,
        jitter: f64,
    ) -> Option<FlightResult> {
        self.advance(now);
        let remaining = token.remaining(now);
        let current = match &self.state {
            State::Fetching(current) | State::Refreshing(_, current) if current.id == flight => {
                *current
            }
            _ => return None,
        };
        let outlives_token = |held: &CachedToken| {
            let is_same = held.token.access_token.is(token.access_token.expose());
            held.is_outdated || (!is_same && held.token.remaining(now) < remaining)
        };
        let is_usable = !remaining.is_zero()
            && !current.is_forced
            && current.minimum.is_none_or(|minimum| minimum <= remaining)
            && self.held().is_none_or(outlives_token)
            && !self.dropped.refuses(&token);
        if !is_usable {
            return None;
        }
        let current = self.end_flight(flight)?;
        let token = Arc::new(token);
        let storage = self.store(now, current, &token, false, jitter);
        Some(FlightResult {
            storage,
            ..FlightResult::of(Ok(token))
        })
    }

    fn store_success(
        &mut self,
        now: Moment,
        current: Option<CurrentFlight>,
        mut token: Token,
        jitter: f64,
    ) -> FlightResult {
        let recognition = self.repeats.recognise(now, &mut token);
        let token = Arc::new(token);
        let is_transition = self.has_failed();
        self.cool_down = None;
        self.trouble = None;
        let mut warns_of_minimum = false;
        let is_expired = token.age(now) >= token.life.granted();
        let storage = current.map_or(Storage::NotKept, |flight| {
            let storage = self.store(now, flight, &token, recognition.is_repeated, jitter);
            if let (Some(minimum), Some(held)) = (flight.minimum, self.held_mut()) {
                warns_of_minimum = held.weigh(now, minimum, storage == Storage::Kept);
            }
            storage
        });
        let storage = match storage {
            Storage::NotKept if is_expired => Storage::Expired,
            other => other,
        };
        FlightResult {
            storage,
            is_transition,
            warns_of_minimum,
            warning: recognition.warning,
            ..FlightResult::of(Ok(token))
        }
    }

    fn store_failure(
        &mut self,
        now: Moment,
        current: Option<CurrentFlight>,
        error: Error,
        jitter: f64,
    ) -> FlightResult {
        let cool_down = self.fail(now, &error, jitter);
        let mut landed = FlightResult {
            retry_after: Some(cool_down.retry_after(now)),
            is_transition: cool_down.failures == 1,
            cool_down: Some(cool_down.started()),
            ..FlightResult::of(Err(error))
        };
        if let (Some(flight), Some(held)) = (current, self.held_mut()) {
            held.retry |= flight.is_background;
            landed.warns_of_minimum = held.warns_of(now, flight.minimum.unwrap_or_default());
            landed.fallback = Some(Arc::clone(&held.token));
        }
        landed
    }

    /// Starts the cool-down after a failure. If the shared cool-down already has this error,
    /// returns that cool-down instead.
    fn fail(&mut self, now: Moment, error: &Error, jitter: f64) -> CoolDown {
        let is_known = |known: &&Arc<CoolDown>| known.error.is_same_as(error);
        if let Some(known) = self.trouble.as_ref().filter(is_known) {
            return CoolDown::clone(known);
        }
        let cool_down = CoolDown::after(self.last_cool_down(), now, error.clone(), jitter);
        if !matches!(self.state, State::Closed) {
            let copy = cool_down.clone();
            (self.trouble, self.cool_down) = if error.is_shared() {
                (Some(Arc::new(copy)), None)
            } else {
                (None, Some(Box::new(copy)))
            };
        }
        cool_down
    }

    /// Stores a new token unless it has expired. A held token that is not outdated stays if it
    /// lives longer than the new token or is the same token. A token that no caller waits for
    /// settles first, unless the held token is outdated.
    fn store(
        &mut self,
        now: Moment,
        flight: CurrentFlight,
        token: &Arc<Token>,
        is_repeated: bool,
        jitter: f64,
    ) -> Storage {
        let remaining = token.remaining(now);
        let held = self.held_mut();
        let outlives = |held: &CachedToken| {
            let left = held.token.remaining(now);
            !held.is_outdated && (remaining < left || is_repeated && remaining == left)
        };
        if remaining.is_zero() || held.as_deref().is_some_and(outlives) {
            if let Some(held) = held {
                held.postpone_refresh(now);
            }
            return Storage::NotKept;
        }
        self.repeats.remember(token);
        self.was_dropped = false;
        if let Some(held) = self.held_mut()
            && !flight.is_awaited
            && !held.is_outdated
        {
            held.hold_successor(now, Arc::clone(token), jitter);
            self.advance(now);
            let is_waiting = self.held().is_some_and(CachedToken::has_successor);
            return if is_waiting {
                Storage::Settling
            } else {
                Storage::Kept
            };
        }
        let id = self.next_token();
        self.state = State::Ready(CachedToken::new(Arc::clone(token), id, jitter, self.spread));
        self.adopted(now);
        Storage::Kept
    }

    /// Makes the successor the held token. The current flight continues.
    pub(super) fn adopt_successor(&mut self, now: Moment) {
        let (id, spread) = (self.next_token(), self.spread);
        let successor = self
            .held_mut()
            .and_then(|held| held.take_successor(id, spread));
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

    /// Records a new flight, which the caller of this function must start. `call` is the call that
    /// waits for the flight; a flight without a call runs in the background. Returns `None` if a
    /// flight is current or the slot is closed.
    pub(super) fn new_flight(&mut self, now: Moment, call: Option<Call>) -> Option<NewFlight> {
        let is_background = call.is_none();
        let id = FlightId(self.last_flight.wrapping_add(1));
        let flight = CurrentFlight {
            id,
            is_background,
            is_awaited: !is_background,
            is_sent: false,
            is_forced: call.is_some_and(Call::is_forced),
            minimum: call.and_then(Call::minimum),
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
            self.last_background = Some(Box::new(now));
        }
        let attempts = if self.has_failed() {
            Attempts::One
        } else if is_needed {
            Attempts::Many
        } else {
            Attempts::Few
        };
        let cause = match call {
            None => Cause::Refresh,
            Some(call) if call.is_forced() => Cause::Forced,
            Some(_) if self.was_dropped => Cause::Rejected,
            Some(_) => Cause::Miss,
        };
        Some(NewFlight {
            flight: id,
            cause,
            attempts,
            is_paced: !self.was_dropped && cause != Cause::Forced,
            reads_store: cause != Cause::Forced,
        })
    }

    /// Records that a flight is about to send a token request.
    pub fn note_sending(&mut self, id: FlightId) {
        if let State::Fetching(flight) | State::Refreshing(_, flight) = &mut self.state
            && flight.id == id
        {
            flight.is_sent = true;
        }
    }

    /// Whether callers wait for this flight while the slot holds no token.
    #[must_use]
    pub fn is_needed(&self, id: FlightId) -> bool {
        matches!(&self.state, State::Fetching(flight) if flight.id == id && flight.is_awaited)
    }

    /// Whether no later flight has begun.
    pub(crate) const fn is_latest(&self, id: FlightId) -> bool {
        id.0 == self.last_flight
    }

    pub(super) fn detach_flight(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Empty) {
            State::Refreshing(held, _) => State::Ready(held),
            State::Fetching(_) => State::Empty,
            other => other,
        };
    }

    /// Ends the current flight if it has this id. A detached flight does not change the state here,
    /// but its success ends the cool-down, and its failure starts one unless a later flight has
    /// begun.
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
