//! A naive model of the slot. It keeps a log of facts, and derives each answer from the log.
//!
//! The model follows the documentation and not the slot, so that it does not repeat a mistake of
//! the slot. It prefers simple code to fast code.

use manager::acquire::backoff::Attempts;
use manager::slot::{Call, Cause, Clearing, Condition, FlightId, Invalidation, NewFlight, Storage};

use super::facts::{Fact, ModelFailure, ModelToken, Ns, Time};
use super::log::{HeldToken, Log, Row};
use super::plain::ns;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelAnswer {
    Take {
        token: u32,
        is_stale: bool,
        start: Option<NewFlight>,
        warns: bool,
    },
    Wait {
        flight: u32,
        start: Option<NewFlight>,
    },
    Cooling {
        failure: ModelFailure,
        retry_after: Ns,
    },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelResult {
    pub(crate) storage: Storage,
    pub(crate) fallback: Option<u32>,
    pub(crate) is_transition: bool,
    pub(crate) warns: bool,
    pub(crate) retry_after: Option<Ns>,
}

/// The model of a slot, which has no state except its log.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) log: Log,
}

impl Model {
    pub(crate) fn new(in_background: bool) -> Self {
        Self {
            log: Log::new(in_background),
        }
    }

    pub(crate) fn call(&mut self, now: Time, call: Call) -> ModelAnswer {
        if self.log.is_closed() {
            return ModelAnswer::Closed;
        }
        self.log.note(now, Fact::Looked);
        let row = self.log.row();
        let cooling = row.as_ref().filter(|row| row.left(now) > 0);
        let is_forced = matches!(call, Call::Forced | Call::ForcedAgain);
        let minimum = match call {
            Call::Minimum(minimum) => Some(ns(minimum)),
            Call::Any | Call::Forced | Call::ForcedAgain => None,
        };
        let wanted = minimum.unwrap_or(0);
        let tokens = self.log.tokens(now);
        if let (Some(held), Some(successor)) = (tokens.held, tokens.successor)
            && held.token.left(now) < wanted
            && successor.token.left(now) >= wanted
            && !is_forced
        {
            self.log.note(now, Fact::Adopted);
        }
        if let Some(held) = self.log.held(now)
            && !is_forced
        {
            let token = held.token;
            let is_met = token.left(now) >= wanted;
            if is_met || cooling.is_some() || token.age(now) < self.log.pause(&held).1 {
                let warns = !is_met && !self.log.has_warned(&held);
                if warns {
                    self.log.note(now, Fact::Warned);
                }
                let start = self.wants_caller(now).then(|| self.new_flight(now, None));
                return ModelAnswer::Take {
                    token: token.name,
                    is_stale: token.age(now) >= token.staleness(),
                    start,
                    warns,
                };
            }
        }
        let (flight, start) = match (self.log.current(), cooling) {
            (Some(flight), _) => (flight, None),
            (None, Some(row)) => {
                return ModelAnswer::Cooling {
                    failure: row.failure,
                    retry_after: row.retry_after(now),
                };
            }
            (None, None) => {
                let start = self.new_flight(now, Some(call));
                (start.flight.0, Some(start))
            }
        };
        self.log.note(now, Fact::Awaited { flight, minimum });
        ModelAnswer::Wait { flight, start }
    }

    pub(crate) fn succeed(
        &mut self,
        now: Time,
        flight: u32,
        token: ModelToken,
        jitter: Ns,
    ) -> ModelResult {
        let is_current = self.log.current() == Some(flight);
        let held = self.log.held(now);
        let is_outdated = |held: &HeldToken| self.log.is_of_another_configuration(held);
        let outlives =
            |held: HeldToken| is_outdated(&held) || token.left(now) >= held.token.left(now);
        let storage = if is_current && token.left(now) > 0 && held.is_none_or(outlives) {
            if self.log.is_awaited(flight) || held.as_ref().is_none_or(is_outdated) {
                Storage::Kept
            } else {
                Storage::Settling
            }
        } else if token.age(now) >= token.lifetime {
            Storage::Expired
        } else {
            Storage::NotKept
        };
        let is_transition = self.log.row().is_some();
        self.log.note(
            now,
            Fact::Granted {
                flight,
                token,
                jitter,
                storage,
                is_current,
            },
        );
        let held = self.log.held(now).filter(|_| is_current);
        let is_adopted = held.is_some_and(|held| held.token.name == token.name);
        let warns = held.is_some_and(|held| {
            // Only a landing that starts a pause repeats the warning.
            let starts_pause = self.log.pause(&held) != (held.since, 0)
                && self.log.pause(&held).0 == self.log.len();
            let minimum = self.log.minimum(flight).unwrap_or(0);
            starts_pause && held.token.left(now) < minimum && !self.log.has_warned(&held)
        });
        if warns {
            self.log.note(now, Fact::Warned);
        }
        ModelResult {
            // The token may have settled at once.
            storage: if is_adopted { Storage::Kept } else { storage },
            fallback: None,
            is_transition,
            warns,
            retry_after: None,
        }
    }

    pub(crate) fn fail(
        &mut self,
        now: Time,
        flight: u32,
        failure: ModelFailure,
        jitter: Ns,
    ) -> ModelResult {
        let is_current = self.log.current() == Some(flight);
        let is_last = self.log.launches() == flight;
        let row = Row {
            count: self.log.row().map_or(0, |row| row.count) + 1,
            at: now,
            failure,
            jitter,
        };
        let held = self.log.held(now).filter(|_| is_current);
        let warns = held.is_some_and(|held| {
            let minimum = self.log.minimum(flight).unwrap_or(0);
            held.token.left(now) < minimum && !self.log.has_warned(&held)
        });
        self.log.note(
            now,
            Fact::Failed {
                flight,
                failure,
                jitter,
                is_current,
                is_last,
            },
        );
        if warns {
            self.log.note(now, Fact::Warned);
        }
        let retry_after = if is_last {
            Some(row.retry_after(now))
        } else {
            failure.retry_after
        };
        ModelResult {
            storage: Storage::NotKept,
            fallback: held.map(|held| held.token.name),
            is_transition: is_last && row.count == 1,
            warns,
            retry_after,
        }
    }

    pub(crate) fn wake(&mut self, now: Time, is_used: bool) -> Option<NewFlight> {
        self.log.note(now, Fact::Looked);
        self.wants_wake(now, is_used)
            .then(|| self.new_flight(now, None))
    }

    /// `is_spaced` is the slot's own answer; other tests check the spacing of rejections.
    pub(crate) fn reject(&mut self, now: Time, token: u32, is_spaced: bool) -> Invalidation {
        self.log.note(now, Fact::Looked);
        let held = self.log.held(now);
        if held.is_none_or(|held| held.token.name != token) {
            return Invalidation::Ignored;
        }
        if is_spaced || self.log.is_cooling(now) {
            return Invalidation::Kept;
        }
        self.log.note(now, Fact::Dropped);
        Invalidation::Dropped
    }

    /// `is_spaced` is the slot's own answer; other tests check the spacing of clears.
    pub(crate) fn clear(&mut self, now: Time, is_spaced: bool) -> Clearing {
        self.log.note(now, Fact::Looked);
        let verdict = match (self.log.held(now), self.log.current()) {
            (None, None) => return Clearing::Nothing,
            _ if is_spaced => return Clearing::Kept,
            (Some(_), _) => Clearing::Dropped,
            (None, Some(_)) => Clearing::Detached,
        };
        self.log.note(now, Fact::Cleared);
        verdict
    }

    pub(crate) fn configure(
        &mut self,
        now: Time,
        in_background: bool,
        changes_grant: bool,
    ) -> Option<NewFlight> {
        self.log.note(
            now,
            Fact::Configured {
                in_background,
                changes_grant,
            },
        );
        self.wake(now, false)
    }

    pub(crate) fn close(&mut self, now: Time) {
        self.log.note(now, Fact::Closed);
    }

    pub(crate) fn condition(&self, now: Time) -> Condition {
        match self.token(now) {
            _ if self.log.is_closed() => Condition::Closed,
            Some(token) if token.age(now) < token.staleness() => Condition::Fresh,
            Some(_) => Condition::Stale,
            None if self.log.row().is_some() => Condition::Failing,
            None => Condition::Empty,
        }
    }

    pub(crate) fn token(&self, now: Time) -> Option<ModelToken> {
        self.log.held(now).map(|held| held.token)
    }

    /// Whether the slot may serve the held token without a call.
    pub(crate) fn serves(&self, now: Time) -> bool {
        self.log.held(now).is_some() && !self.wants_caller(now)
    }

    /// Returns the held token, if the slot may start a refresh now.
    fn refreshable(&self, now: Time) -> Option<HeldToken> {
        let tokens = self.log.tokens(now);
        tokens
            .held
            .filter(|_| tokens.successor.is_none() && self.may_refresh(now))
    }

    /// Whether a call at this time would start a refresh without waiting for it.
    fn wants_caller(&self, now: Time) -> bool {
        let is_due = |held: HeldToken| held.token.age(now) >= self.log.plan(&held).due;
        self.refreshable(now).is_some_and(is_due)
    }

    /// Whether a wake at this time would start a refresh.
    pub(crate) fn wants_wake(&self, now: Time, is_used: bool) -> bool {
        self.log.is_in_background()
            && self.refreshable(now).is_some_and(|held| {
                let plan = self.log.plan(&held);
                held.token.age(now) >= plan.early && (is_used || plan.is_pressing)
            })
    }

    fn may_refresh(&self, now: Time) -> bool {
        self.log.current().is_none()
            && !self.log.is_cooling(now)
            && self.log.refresh_spacing_left(now) == 0
    }

    /// Returns the times until the future points at which time alone changes the state.
    pub(crate) fn points(&self, now: Time) -> Vec<Ns> {
        let cool_down = self.log.row().map_or(0, |row| row.left(now));
        let mut points = vec![cool_down, self.log.refresh_spacing_left(now)];
        let tokens = self.log.tokens(now);
        if let Some(held) = tokens.held {
            let (token, plan) = (held.token, self.log.plan(&held));
            let pause = self.log.pause(&held).1;
            let ages = [plan.early, plan.due, token.staleness(), token.end(), pause];
            points.extend(ages.map(|age| age - token.age(now)));
        }
        points.extend(tokens.successor.map(|successor| successor.settles_in(now)));
        points.retain(|wait| *wait > 0);
        points
    }

    fn new_flight(&mut self, now: Time, call: Option<Call>) -> NewFlight {
        let is_background = call.is_none();
        let is_forced = matches!(call, Some(Call::Forced | Call::ForcedAgain));
        let flight = self.log.launches() + 1;
        let attempts = if self.log.row().is_some() {
            Attempts::One
        } else if !is_background && self.log.held(now).is_none() {
            Attempts::Many
        } else {
            Attempts::Few
        };
        self.log.note(
            now,
            Fact::Launched {
                flight,
                is_background,
            },
        );
        let was_dropped = self.log.was_dropped();
        let cause = match (is_background, is_forced, was_dropped) {
            (true, ..) => Cause::Refresh,
            (_, true, _) => Cause::Forced,
            (_, _, true) => Cause::Rejected,
            _ => Cause::Miss,
        };
        NewFlight {
            flight: FlightId(flight),
            cause,
            attempts,
            is_paced: !is_forced && !was_dropped,
            reads_store: !is_forced,
        }
    }
}
