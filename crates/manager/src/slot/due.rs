//! The state of a slot as its callers see it, and the refreshes that are due.
//!
//! These functions describe the slot as [`Slot::advance`] left it.

use std::sync::Arc;
use std::time::Duration;

use super::schedule::REFRESH_SPACING;
use super::{Condition, CoolDown, Slot, State, Token, TokenId};
use crate::clock::Moment;

impl Slot {
    /// Returns the id of the held token if JavaScript may serve it without [`Slot::decide`] until
    /// the time that [`Slot::next_change`] returns.
    #[must_use]
    pub fn servable(&self, now: Moment) -> Option<TokenId> {
        let held = self.held()?;
        let is_expired = held.token.remaining(now).is_zero();
        (!is_expired && !self.is_refresh_due(now)).then_some(held.id)
    }

    /// Returns the time until the slot next changes without a call: zero if a refresh is due
    /// although no caller has used the token.
    #[must_use]
    pub fn next_change(&self, now: Moment) -> Option<Duration> {
        if self.is_refresh_due_without_call(now, false) {
            return Some(Duration::ZERO);
        }
        let held = self.held()?;
        let age = held.token.age(now);
        let life = held.token.life;
        let points = [held.early(), held.due(), life.soft(), life.hard()];
        let waits = points.into_iter().map(|point| point.saturating_sub(age));
        let cool_downs = self.cool_downs().map(|cool_down| cool_down.remaining(now));
        let spacing = self.refresh_spacing(now);
        let settling = held.settles_in(now);
        let waits = waits.chain(cool_downs).chain([spacing]).chain(settling);
        waits.filter(|wait| !wait.is_zero()).min()
    }

    /// Returns the condition of the slot, as snapshots report it.
    #[must_use]
    pub fn condition(&self, now: Moment) -> Condition {
        match (&self.state, self.held()) {
            (State::Closed, _) => Condition::Closed,
            (_, Some(held)) if !held.is_stale(now) => Condition::Fresh,
            (_, Some(held)) if !held.token.remaining(now).is_zero() => Condition::Stale,
            _ if self.has_failed() => Condition::Failing,
            _ => Condition::Empty,
        }
    }

    /// Returns the held token, unless it has expired.
    #[must_use]
    pub fn token(&self, now: Moment) -> Option<&Arc<Token>> {
        let token = self.held().map(|held| &held.token)?;
        (!token.remaining(now).is_zero()).then_some(token)
    }

    /// Returns the id of the held token. No two tokens have the same id.
    #[must_use]
    pub fn token_id(&self) -> Option<TokenId> {
        self.held().map(|held| held.id)
    }

    fn cool_downs(&self) -> impl Iterator<Item = &CoolDown> {
        self.trouble
            .as_deref()
            .into_iter()
            .chain(self.cool_down.as_deref())
    }

    /// Whether the last acquisition failed.
    pub(super) fn has_failed(&self) -> bool {
        self.cool_downs().next().is_some()
    }

    /// Returns the cool-down that is in effect.
    pub(super) fn cooling(&self, now: Moment) -> Option<&CoolDown> {
        self.cool_downs().find(|cool_down| cool_down.cools(now))
    }

    /// Whether a cool-down is in effect.
    pub(crate) fn is_cooling(&self, now: Moment) -> bool {
        self.cooling(now).is_some()
    }

    /// Returns the cool-down after the last failure.
    pub(super) fn last_cool_down(&self) -> Option<&CoolDown> {
        self.cool_downs().next()
    }

    /// Whether a caller that takes the held token starts a refresh.
    pub(super) fn is_refresh_due(&self, now: Moment) -> bool {
        match &self.state {
            State::Ready(held) => {
                !held.has_successor() && held.token.age(now) >= held.due() && self.may_refresh(now)
            }
            _ => false,
        }
    }

    /// Whether a refresh is due without a caller.
    pub(super) fn is_refresh_due_without_call(&self, now: Moment, is_used: bool) -> bool {
        let is_due = match &self.state {
            State::Ready(held) => {
                let ages = held.early()..held.token.life.hard();
                !held.has_successor()
                    && ages.contains(&held.token.age(now))
                    && (is_used || held.retry)
            }
            _ => false,
        };
        is_due && self.refreshes_in_background && self.may_refresh(now)
    }

    /// Whether the cool-down and the spacing of background refreshes allow a refresh now.
    fn may_refresh(&self, now: Moment) -> bool {
        !self.is_cooling(now) && self.refresh_spacing(now).is_zero()
    }

    /// Returns the time until the spacing allows the next background refresh.
    fn refresh_spacing(&self, now: Moment) -> Duration {
        let last = self.last_background.as_deref();
        last.map_or(Duration::ZERO, |last| REFRESH_SPACING.saturating_sub(now.since(*last)))
    }
}
