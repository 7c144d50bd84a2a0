//! A naive model of the slot: a log of what happened, and each answer looked up in it anew.
//!
//! Written from what the documentation promises and not from the slot, so that one mistake is not
//! made twice. Slow on purpose.

use super::facts::{Fact, ModelFailure, ModelToken, Ns, Time};
use super::log::{Log, Row};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Any,
    Minimum(Ns),
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelStart {
    pub(crate) flight: u32,
    pub(crate) attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelAnswer {
    Take {
        token: u32,
        is_stale: bool,
        start: Option<ModelStart>,
        warns: bool,
    },
    Wait {
        flight: u32,
        start: Option<ModelStart>,
    },
    Cooling {
        failure: ModelFailure,
        retry_after: Ns,
    },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelResult {
    pub(crate) fallback: Option<u32>,
    pub(crate) is_transition: bool,
    pub(crate) warns: bool,
    pub(crate) retry_after: Option<Ns>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Dropped,
    Kept,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Empty,
    Fresh,
    Stale,
    Failing,
    Closed,
}

/// Something that changes by itself at a point of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Early,
    Due,
    Staleness,
    End,
    PauseOfMinima,
    Cooldown,
    SpacingOfRefreshes,
    SpacingOfRejections,
}

/// The slot, as far as its log can tell.
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

    pub(crate) fn call(&mut self, now: Time, ask: Ask) -> ModelAnswer {
        if self.log.is_closed() {
            return ModelAnswer::Closed;
        }
        self.log.note(now, Fact::Looked);
        let row = self.log.row();
        let cooling = row.as_ref().filter(|row| row.left(now) > 0);
        let minimum = match ask {
            Ask::Minimum(minimum) => Some(minimum),
            Ask::Any | Ask::Forced => None,
        };
        if let Some((index, token)) = self.log.held(now)
            && ask != Ask::Forced
        {
            let is_met = token.left(now) >= minimum.unwrap_or(0);
            if is_met || cooling.is_some() || token.age(now) < self.log.pause(index).1 {
                let warns = !is_met && !self.log.has_warned(index);
                if warns {
                    self.log.note(now, Fact::Warned);
                }
                let start = self.wants_caller(now).then(|| self.new_flight(now, true));
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
                let start = self.new_flight(now, false);
                (start.flight, Some(start))
            }
        };
        if let Some(minimum) = minimum {
            self.log.note(now, Fact::Awaited { flight, minimum });
        }
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
        let outlives = |(index, held): (usize, ModelToken)| {
            self.log.is_of_another_configuration(index) || token.left(now) >= held.left(now)
        };
        let is_kept = is_current && token.left(now) > 0 && self.log.held(now).is_none_or(outlives);
        let is_transition = self.log.row().is_some();
        self.log.note(
            now,
            Fact::Granted {
                flight,
                token,
                jitter,
                is_kept,
                is_current,
            },
        );
        let held = self.log.held(now).filter(|_| is_current);
        let warns = held.is_some_and(|(index, held)| {
            // Told anew only by a landing that starts a pause.
            let starts_pause = self.log.pause(index).0 == self.log.len() - 1;
            let minimum = self.log.minimum(flight).unwrap_or(0);
            starts_pause && held.left(now) < minimum && !self.log.has_warned(index)
        });
        if warns {
            self.log.note(now, Fact::Warned);
        }
        ModelResult {
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
        let row = Row {
            count: self.log.row().map_or(0, |row| row.count) + 1,
            at: now,
            failure,
            jitter,
        };
        let held = self.log.held(now).filter(|_| is_current);
        let warns = held.is_some_and(|(index, held)| {
            held.left(now) < self.log.minimum(flight).unwrap_or(0) && !self.log.has_warned(index)
        });
        self.log.note(
            now,
            Fact::Failed {
                flight,
                failure,
                jitter,
                is_current,
            },
        );
        if warns {
            self.log.note(now, Fact::Warned);
        }
        ModelResult {
            fallback: held.map(|(_, held)| held.name),
            is_transition: row.count == 1,
            warns,
            retry_after: Some(row.retry_after(now)),
        }
    }

    pub(crate) fn wake(&mut self, now: Time, is_used: bool) -> Option<ModelStart> {
        self.log.note(now, Fact::Looked);
        self.wants_wake(now, is_used)
            .then(|| self.new_flight(now, true))
    }

    pub(crate) fn reject(&mut self, now: Time, token: u32) -> Verdict {
        self.log.note(now, Fact::Looked);
        if self
            .log
            .held(now)
            .is_none_or(|(_, held)| held.name != token)
        {
            return Verdict::Ignored;
        }
        if self.log.spacing_left(now) > 0 {
            self.log.note(now, Fact::Refused);
            return Verdict::Kept;
        }
        if self.log.is_cooling(now) {
            return Verdict::Kept;
        }
        self.log.note(now, Fact::Dropped);
        Verdict::Dropped
    }

    pub(crate) fn clear(&mut self, now: Time) -> bool {
        let had_token = self.log.held(now).is_some();
        self.log.note(now, Fact::Cleared);
        had_token
    }

    pub(crate) fn configure(
        &mut self,
        now: Time,
        in_background: bool,
        changes_grant: bool,
    ) -> Option<ModelStart> {
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

    pub(crate) fn look(&self, now: Time) -> Look {
        match self.log.held(now) {
            _ if self.log.is_closed() => Look::Closed,
            Some((_, token)) if token.age(now) < token.staleness() => Look::Fresh,
            Some(_) => Look::Stale,
            None if self.log.row().is_some() => Look::Failing,
            None => Look::Empty,
        }
    }

    pub(crate) fn token(&self, now: Time) -> Option<ModelToken> {
        self.log.held(now).map(|(_, token)| token)
    }

    /// The held token may be handed out without asking.
    pub(crate) fn serves(&self, now: Time) -> bool {
        self.log.held(now).is_some() && !self.wants_caller(now)
    }

    /// A call at this time would start a refresh that it does not wait for.
    fn wants_caller(&self, now: Time) -> bool {
        self.may_refresh(now)
            && self
                .log
                .held(now)
                .is_some_and(|(index, token)| token.age(now) >= self.log.plan(index, &token).due)
    }

    /// A wake at this time would start a refresh.
    pub(crate) fn wants_wake(&self, now: Time, is_used: bool) -> bool {
        self.log.is_in_background()
            && self.may_refresh(now)
            && self.log.held(now).is_some_and(|(index, token)| {
                let plan = self.log.plan(index, &token);
                token.age(now) >= plan.early && (is_used || plan.is_pressing)
            })
    }

    fn may_refresh(&self, now: Time) -> bool {
        self.log.current().is_none()
            && !self.log.is_cooling(now)
            && self.log.refresh_spacing_left(now) == 0
    }

    /// The time until each future point.
    pub(crate) fn points(&self, now: Time) -> Vec<(Point, Ns)> {
        let mut points = vec![
            (Point::Cooldown, self.log.row().map_or(0, |row| row.left(now))),
            (Point::SpacingOfRefreshes, self.log.refresh_spacing_left(now)),
        ];
        if let Some((index, token)) = self.log.held(now) {
            let age = token.age(now);
            let plan = self.log.plan(index, &token);
            points.extend([
                (Point::Early, plan.early - age),
                (Point::Due, plan.due - age),
                (Point::Staleness, token.staleness() - age),
                (Point::End, token.end() - age),
                (Point::PauseOfMinima, self.log.pause(index).1 - age),
                (Point::SpacingOfRejections, self.log.spacing_left(now)),
            ]);
        }
        points.retain(|(_, wait)| *wait > 0);
        points
    }

    fn new_flight(&mut self, now: Time, is_background: bool) -> ModelStart {
        let flight = self.log.launches() + 1;
        let attempts = if self.log.row().is_some() { 1 } else { 3 };
        self.log.note(
            now,
            Fact::Launched {
                flight,
                is_background,
            },
        );
        ModelStart { flight, attempts }
    }
}
