//! The heart: one token, at most one current flight, and every rule about when to ask again.
//!
//! Pure decisions over `now`: no I/O, no lock, no clock, no randomness of its own. [`Slot::decide`]
//! says what a caller does, [`Slot::land`] takes a flight's result, [`Slot::wake`] says what is due
//! when time has passed. Two things are orthogonal to the state and have a type of their own: the
//! [`Trouble`] after failures, and the spacing of [`Rejections`].

use std::sync::Arc;
use std::time::Duration;

use super::backoff::{self, MOST_ATTEMPTS};
use super::clock::Moment;
use super::error::Error;
use super::rejections::Rejections;
use super::schedule::{Life, REFRESH_SPACING, part};
use crate::oauth::AccessToken;

/// Names one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

/// A token as it is handed out.
#[derive(Debug)]
pub struct Grant {
    /// The token.
    pub token: AccessToken,
    /// Its scope, as far as known.
    pub scope: Option<String>,
    /// When the request that succeeded was sent.
    pub sent: Moment,
    /// The ages at which it changes its worth.
    pub life: Life,
}

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
        stale: bool,
        /// The refresh to start.
        launch: Option<Launch>,
        /// Its minimum is not met, and nobody was told yet.
        warn_minimum: bool,
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

/// What becomes of a flight's result.
#[derive(Clone, Debug)]
pub struct Landing {
    /// What those who wait get.
    pub result: Result<Arc<Grant>, Error>,
    /// The held token, for those whose call it serves though the flight failed.
    pub fallback: Option<Arc<Grant>>,
    /// The first failure of a row.
    pub is_first_failure: bool,
    /// The first success after a failure.
    pub has_recovered: bool,
    /// Somebody's minimum is missed by the token that is held now, and nobody was told yet.
    pub warn_minimum: bool,
    /// After a failure: how long until it makes sense to ask again.
    pub retry_after: Option<Duration>,
}

/// What is due when time has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// A refresh that nobody waits for.
    pub launch: Option<Launch>,
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

#[derive(Clone, Copy, Debug)]
struct Flight {
    id: FlightId,
    /// Nobody waited for it when it was started.
    is_background: bool,
    /// The largest minimum that somebody waits for.
    minimum: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Held {
    grant: Arc<Grant>,
    serial: u64,
    /// The age at which a token in use is refreshed, caller or not.
    early: Duration,
    /// The age at which a caller's use starts a refresh.
    due: Duration,
    /// A background refresh failed: it is tried again, used or not.
    retry: bool,
    /// Minima that this token misses cause no request before this age.
    minimum_pause: Option<Duration>,
    /// Somebody was told that a minimum is missed.
    warned_minimum: bool,
}

impl Held {
    fn age(&self, now: Moment) -> Duration {
        now.since(self.grant.sent)
    }

    fn remaining(&self, now: Moment) -> Duration {
        self.grant.life.hard.saturating_sub(self.age(now))
    }

    fn is_stale(&self, now: Moment) -> bool {
        self.age(now) >= self.grant.life.soft
    }

    fn pauses_minima(&self, now: Moment) -> bool {
        self.minimum_pause.is_some_and(|until| self.age(now) < until)
    }

    /// Whether to say now that a minimum is missed: once for every pause.
    fn warn_minimum(&mut self) -> bool {
        !std::mem::replace(&mut self.warned_minimum, true)
    }
}

/// Failures in a row, and the cool-down after the last of them. It stays until a success.
#[derive(Clone, Debug)]
struct Trouble {
    since: Moment,
    cooldown: Duration,
    /// How long the error says to wait: the cool-down, or longer if the server asked for that.
    retry_after: Duration,
    failures: u32,
    error: Error,
}

impl Trouble {
    fn cools(&self, now: Moment) -> bool {
        now.since(self.since) < self.cooldown
    }

    fn retry_after(&self, now: Moment) -> Duration {
        self.retry_after.saturating_sub(now.since(self.since))
    }
}

/// The state machine of one manager.
#[derive(Clone, Debug)]
pub struct Slot {
    background_refresh: bool,
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
    pub fn new(background_refresh: bool) -> Self {
        Self {
            background_refresh,
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
        let cooling = self.is_cooling(now);
        let (wanted, forced) = match call {
            Call::Any => (Duration::ZERO, false),
            Call::Minimum(minimum) => (minimum, false),
            Call::Forced => (Duration::ZERO, true),
        };
        if let (false, Some(held)) = (forced, self.held_mut()) {
            let meets = held.remaining(now) >= wanted;
            if meets || cooling || held.pauses_minima(now) {
                let grant = Arc::clone(&held.grant);
                let stale = held.is_stale(now);
                let warn_minimum = !meets && held.warn_minimum();
                let launch =
                    self.is_refresh_due(now).then(|| self.launch(now, true, None)).flatten();
                return Decision::Use { grant, stale, launch, warn_minimum };
            }
        }
        let minimum = (wanted > Duration::ZERO).then_some(wanted);
        match (&mut self.state, &self.trouble) {
            (State::Closed, _) => Decision::Closed,
            (State::Fetching(flight) | State::Refreshing(_, flight), _) => {
                flight.minimum = flight.minimum.max(minimum);
                Decision::Wait { flight: flight.id, launch: None }
            }
            (State::Empty | State::Ready(_), Some(trouble)) if trouble.cools(now) => {
                Decision::Cooling {
                    error: trouble.error.clone(),
                    retry_after: trouble.retry_after(now),
                }
            }
            (State::Empty | State::Ready(_), _) => match self.launch(now, false, minimum) {
                Some(launch) => Decision::Wait { flight: launch.flight, launch: Some(launch) },
                None => Decision::Closed,
            },
        }
    }

    /// Takes a flight's result. `lifetime` is what the server granted. `luck` is in `0..1`.
    pub fn land(
        &mut self,
        now: Moment,
        flight: FlightId,
        result: Result<Arc<Grant>, Error>,
        luck: f64,
    ) -> Landing {
        self.settle(now);
        let current = self.end_flight(flight);
        match result {
            Ok(grant) => self.succeed(now, current, grant, luck),
            Err(error) => self.fail(now, current, error, luck),
        }
    }

    /// What is due when time has passed. `used` says whether the held token was handed out from the
    /// cache.
    pub fn wake(&mut self, now: Moment, used: bool) -> Due {
        self.settle(now);
        if !self.background_refresh || self.is_cooling(now) {
            return Due::default();
        }
        let is_due = match &self.state {
            State::Ready(held) => held.age(now) >= held.early && (used || held.retry),
            _ => false,
        };
        Due { launch: is_due.then(|| self.launch(now, true, None)).flatten() }
    }

    /// Drops the held token if it is the rejected one and neither a cool-down nor the spacing of
    /// rejections forbids it.
    pub fn invalidate(&mut self, now: Moment, rejected: &str) -> Invalidation {
        self.settle(now);
        let cooling = self.is_cooling(now);
        match self.held_mut() {
            Some(held) if held.grant.token.is(rejected) => {
                if cooling || !self.rejections.may_drop(now) {
                    return Invalidation::Kept;
                }
                self.drop_token();
                Invalidation::Dropped
            }
            _ => Invalidation::Ignored,
        }
    }

    /// Drops the held token whatever it is, and detaches a flight. Says whether there was a token.
    pub fn clear(&mut self, now: Moment) -> bool {
        self.settle(now);
        let had_token = self.held_mut().is_some();
        self.drop_token();
        self.rejections.forgive();
        had_token
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
        let is_valid = held.age(now) < held.grant.life.hard;
        (is_valid && !self.is_refresh_due(now)).then_some(held.serial)
    }

    /// How long until something changes by itself.
    #[must_use]
    pub fn next_wake(&self, now: Moment) -> Option<Duration> {
        let held = self.held()?;
        let age = held.age(now);
        let until = |point: Duration| point.checked_sub(age).filter(|wait| !wait.is_zero());
        let mut next = until(held.grant.life.hard)?;
        let cooldown = self.trouble.as_ref().and_then(|trouble| {
            trouble.cooldown.checked_sub(now.since(trouble.since)).filter(|wait| !wait.is_zero())
        });
        let others = [until(held.early), until(held.due), until(held.grant.life.soft), cooldown];
        for wait in others.into_iter().flatten() {
            next = next.min(wait);
        }
        Some(next)
    }

    /// What the slot looks like from outside.
    #[must_use]
    pub fn condition(&self, now: Moment) -> Condition {
        match (&self.state, self.held()) {
            (State::Closed, _) => Condition::Closed,
            (_, Some(held)) if held.age(now) < held.grant.life.soft => Condition::Fresh,
            (_, Some(held)) if held.age(now) < held.grant.life.hard => Condition::Stale,
            _ if self.trouble.is_some() => Condition::Failing,
            _ => Condition::Empty,
        }
    }

    /// The held token.
    #[must_use]
    pub fn grant(&self) -> Option<&Arc<Grant>> {
        self.held().map(|held| &held.grant)
    }

    /// Names the held token; another token has another serial.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.held().map(|held| held.serial)
    }

    /// Lets go of a token that is over, and notes that one reached its staleness unrefused.
    fn settle(&mut self, now: Moment) {
        let Some(held) = self.held() else { return };
        let (is_stale, is_over) = (held.is_stale(now), held.remaining(now).is_zero());
        if is_stale {
            self.rejections.reached_staleness();
        }
        if !is_over {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Empty) {
            State::Refreshing(_, flight) => State::Fetching(flight),
            _ => State::Empty,
        };
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
        self.trouble.as_ref().is_some_and(|trouble| trouble.cools(now))
    }

    /// Whether a caller who takes the held token starts a refresh by that.
    fn is_refresh_due(&self, now: Moment) -> bool {
        match &self.state {
            State::Ready(held) => held.age(now) >= held.due && !self.is_cooling(now),
            _ => false,
        }
    }

    fn launch(
        &mut self,
        now: Moment,
        is_background: bool,
        minimum: Option<Duration>,
    ) -> Option<Launch> {
        let id = FlightId(self.last_flight.wrapping_add(1));
        let flight = Flight { id, is_background, minimum };
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
        let attempts = if self.trouble.is_some() { 1 } else { MOST_ATTEMPTS };
        Some(Launch { flight: id, attempts })
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

    fn succeed(
        &mut self,
        now: Moment,
        current: Option<Flight>,
        grant: Arc<Grant>,
        luck: f64,
    ) -> Landing {
        let has_recovered = self.trouble.take().is_some();
        let warn_minimum = current.is_some_and(|flight| {
            let is_stored = self.store(now, &grant, luck);
            self.weigh(now, flight.minimum, is_stored)
        });
        Landing {
            result: Ok(grant),
            fallback: None,
            is_first_failure: false,
            has_recovered,
            warn_minimum,
            retry_after: None,
        }
    }

    /// Keeps a new token unless it is over already or the held one lives longer. Says whether it did.
    fn store(&mut self, now: Moment, grant: &Arc<Grant>, luck: f64) -> bool {
        let age = now.since(grant.sent);
        let remaining = grant.life.hard.saturating_sub(age);
        let held_remaining = self.held().map(|held| held.remaining(now));
        if remaining.is_zero() || held_remaining.is_some_and(|held| remaining < held) {
            self.postpone_refresh(now);
            return false;
        }
        let spaced = self.last_background.map_or(Duration::ZERO, |last| {
            // The age that the new token will have when the next background refresh may start.
            REFRESH_SPACING.saturating_sub(now.since(last)).saturating_add(age)
        });
        self.rejections.arrived(now, held_remaining.is_some());
        self.last_serial = self.last_serial.wrapping_add(1);
        self.state = State::Ready(Held {
            grant: Arc::clone(grant),
            serial: self.last_serial,
            early: grant.life.refresh_point(luck).max(spaced),
            due: grant.life.soft.max(spaced),
            retry: false,
            minimum_pause: None,
            warned_minimum: false,
        });
        true
    }

    /// After a refresh that brought nothing better, the next is due after half of what is left.
    fn postpone_refresh(&mut self, now: Moment) {
        if let Some(held) = self.held_mut() {
            let next = held.age(now).saturating_add(part(held.remaining(now), 2));
            let next = next.max(held.age(now).saturating_add(REFRESH_SPACING));
            held.early = next;
            held.due = next;
            held.retry = false;
        }
    }

    /// Pauses minima that the token held now does not meet with something to spare: until a part of
    /// its life is over if it is new, for as long from now if it was held before. Says whether to
    /// warn.
    fn weigh(&mut self, now: Moment, minimum: Option<Duration>, is_new: bool) -> bool {
        let (Some(minimum), Some(held)) = (minimum, self.held_mut()) else { return false };
        let age = held.age(now);
        let life = held.grant.life;
        if !life.barely_meets(minimum, age) {
            return false;
        }
        let start = if is_new { Duration::ZERO } else { age };
        held.minimum_pause = Some(start.saturating_add(life.minimum_pause()));
        held.warned_minimum = false;
        held.remaining(now) < minimum && held.warn_minimum()
    }

    fn fail(
        &mut self,
        now: Moment,
        current: Option<Flight>,
        error: Error,
        luck: f64,
    ) -> Landing {
        let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures);
        let failures = failures.saturating_add(1);
        let asked = error.details().retry_after;
        let longest = error.kind().longest_cooldown();
        let cooldown = backoff::cooldown(failures, longest, asked, luck);
        let retry_after = cooldown.max(asked.unwrap_or_default());
        if !matches!(self.state, State::Closed) {
            self.trouble = Some(Trouble {
                since: now,
                cooldown,
                retry_after,
                failures,
                error: error.clone(),
            });
        }
        let mut warn_minimum = false;
        let mut fallback = None;
        if let (Some(flight), Some(held)) = (current, self.held_mut()) {
            held.retry |= flight.is_background;
            warn_minimum =
                flight.minimum.is_some_and(|minimum| held.remaining(now) < minimum)
                    && held.warn_minimum();
            fallback = Some(Arc::clone(&held.grant));
        }
        Landing {
            result: Err(error),
            fallback,
            is_first_failure: failures == 1,
            has_recovered: false,
            warn_minimum,
            retry_after: Some(retry_after),
        }
    }

    /// Forgets the token and detaches the flight.
    fn drop_token(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Empty;
        }
    }
}
