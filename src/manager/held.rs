//! A token that is held, and the ages at which something is due for it.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::schedule::{Life, part};
use crate::oauth::AccessToken;

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

impl Grant {
    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.sent)
    }

    /// How long it is still handed out.
    #[must_use]
    pub fn remaining(&self, now: Moment) -> Duration {
        self.life.hard.saturating_sub(self.age(now))
    }
}

/// A grant in the slot.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) grant: Arc<Grant>,
    /// Names it; another token has another serial.
    pub(super) serial: u64,
    /// The age at which a token in use is refreshed, caller or not.
    pub(super) early: Duration,
    /// The age at which a caller's use starts a refresh.
    pub(super) due: Duration,
    /// A background refresh failed: it is tried again, used or not.
    pub(super) retry: bool,
    /// It was granted to another client, by another server or for another scope than those
    /// configured now: whatever is granted next replaces it.
    pub(super) is_outdated: bool,
    /// Minima that this token misses cause no request before this age.
    minimum_pause: Duration,
    /// Somebody was told that a minimum is missed.
    has_warned: bool,
}

impl Held {
    /// A token that has just arrived.
    pub(super) fn new(grant: Arc<Grant>, serial: u64, luck: f64) -> Self {
        Self {
            early: grant.life.refresh_point(luck),
            due: grant.life.soft,
            grant,
            serial,
            retry: false,
            is_outdated: false,
            minimum_pause: Duration::ZERO,
            has_warned: false,
        }
    }

    /// The configuration changed: the token is to be replaced at once, used or not.
    pub(super) fn outdate(&mut self) {
        self.early = Duration::ZERO;
        self.due = Duration::ZERO;
        self.retry = true;
        self.is_outdated = true;
    }

    pub(super) fn is_stale(&self, now: Moment) -> bool {
        self.grant.age(now) >= self.grant.life.soft
    }

    /// After a refresh that brought nothing better, the next is due after half of what is left.
    pub(super) fn postpone_refresh(&mut self, now: Moment) {
        let half = part(self.grant.remaining(now), 2);
        self.due = self.grant.age(now).saturating_add(half);
        self.early = self.due;
        self.retry = false;
    }

    /// Whether a minimum that is missed causes no request now.
    pub(super) fn pauses_minima(&self, now: Moment) -> bool {
        self.grant.age(now) < self.minimum_pause
    }

    /// Takes what came of a request made for this minimum, and pauses further ones if the token does
    /// not meet it with something to spare: until a part of its life is over if it is new, for as
    /// long from now if it was held before. Says whether to warn.
    pub(super) fn weigh(&mut self, now: Moment, minimum: Duration, is_new: bool) -> bool {
        let age = self.grant.age(now);
        let life = self.grant.life;
        if !life.barely_meets(minimum, age) {
            return false;
        }
        let start = if is_new { Duration::ZERO } else { age };
        self.minimum_pause = start.saturating_add(life.minimum_pause());
        self.has_warned = false;
        self.warns_of(now, minimum)
    }

    /// Whether to warn now that this minimum is missed: once for every pause.
    pub(super) fn warns_of(&mut self, now: Moment, minimum: Duration) -> bool {
        self.grant.remaining(now) < minimum && !std::mem::replace(&mut self.has_warned, true)
    }
}
