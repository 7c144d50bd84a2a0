//! The held token, and the ages at which it needs a refresh.

use std::sync::Arc;
use std::time::Duration;

use super::TokenId;
use super::schedule::{Life, SETTLED_AGE, part};
use crate::clock::Moment;
use oauth::AccessToken;

/// A token as callers receive it.
#[derive(Debug)]
pub struct Token {
    /// The token.
    pub access_token: AccessToken,
    /// Its scope, if known.
    pub scope: Option<String>,
    /// When the request that succeeded was sent.
    pub sent: Moment,
    /// When it expires by its own claims, since the Unix epoch.
    pub expiry: Option<Duration>,
    /// The ages at which it becomes stale and expires.
    pub life: Life,
}

impl Token {
    /// The age of the token.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.sent)
    }

    /// How long it may still be handed out.
    #[must_use]
    pub fn remaining(&self, now: Moment) -> Duration {
        self.life.hard.saturating_sub(self.age(now))
    }
}

/// A token in the slot.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) token: Arc<Token>,
    /// Identifies the token; no two have the same id.
    pub(super) id: TokenId,
    /// The age at which a token in use is refreshed without a caller.
    pub(super) early: Duration,
    /// The age at which a caller's use starts a refresh.
    pub(super) due: Duration,
    /// Whether to refresh even if the token is not in use: a background refresh failed, or the
    /// configuration changed.
    pub(super) retry: bool,
    /// It was granted to another client, by another server or for another scope than is now
    /// configured, so the next token replaces it in any case.
    pub(super) is_outdated: bool,
    /// Before this age, a minimum validity that this token misses causes no request.
    minimum_pause: Duration,
    /// The missed minimum was already reported.
    has_warned: bool,
    /// The token that a background refresh returned, until it is adopted.
    successor: Option<Box<Successor>>,
}

/// The token of a refresh that no caller waits for. A resource server whose clock is behind the
/// authorization server's rejects a token that is too young, so the token is adopted only once it
/// has settled.
#[derive(Clone, Debug)]
struct Successor {
    token: Arc<Token>,
    arrival: Moment,
    /// It is adopted after this time at the latest: half of the remaining time of the held token.
    longest: Duration,
    /// The randomness for its refresh time.
    jitter: f64,
}

impl Successor {
    /// The time until it is adopted if nothing else happens.
    fn settles_in(&self, now: Moment) -> Duration {
        let by_age = SETTLED_AGE.saturating_sub(self.token.age(now));
        by_age.min(self.longest.saturating_sub(now.since(self.arrival)))
    }
}

impl CachedToken {
    /// Creates the record of a token that has just arrived.
    pub(super) fn new(token: Arc<Token>, id: TokenId, jitter: f64) -> Self {
        Self {
            early: token.life.refresh_point(jitter),
            due: token.life.soft,
            token,
            id,
            retry: false,
            is_outdated: false,
            minimum_pause: Duration::ZERO,
            has_warned: false,
            successor: None,
        }
    }

    /// Keeps a refreshed token until it has settled.
    pub(super) fn hold_successor(&mut self, now: Moment, token: Arc<Token>, jitter: f64) {
        self.retry = false;
        self.successor = Some(Box::new(Successor {
            token,
            arrival: now,
            longest: part(self.token.remaining(now), 2),
            jitter,
        }));
    }

    pub(super) const fn has_successor(&self) -> bool {
        self.successor.is_some()
    }

    /// The time until the successor is adopted, if there is one.
    pub(super) fn settles_in(&self, now: Moment) -> Option<Duration> {
        let successor = self.successor.as_ref()?;
        Some(successor.settles_in(now))
    }

    /// How long the successor may be handed out.
    pub(super) fn successor_remaining(&self, now: Moment) -> Duration {
        let successor = self.successor.as_ref();
        successor.map_or(Duration::ZERO, |successor| successor.token.remaining(now))
    }

    /// Makes a held token of the successor.
    pub(super) fn take_successor(&mut self, id: TokenId) -> Option<Self> {
        let successor = self.successor.take()?;
        Some(Self::new(successor.token, id, successor.jitter))
    }

    pub(super) fn drop_successor(&mut self) {
        self.successor = None;
    }

    /// Makes the token due for immediate replacement, because the configuration changed.
    pub(super) fn outdate(&mut self) {
        self.early = Duration::ZERO;
        self.due = Duration::ZERO;
        self.retry = true;
        self.is_outdated = true;
    }

    pub(super) fn is_stale(&self, now: Moment) -> bool {
        self.token.age(now) >= self.token.life.soft
    }

    /// After a refresh that returned no better token, schedules the next one after half of the
    /// remaining life.
    pub(super) fn postpone_refresh(&mut self, now: Moment) {
        let half = part(self.token.remaining(now), 2);
        self.due = self.token.age(now).saturating_add(half);
        self.early = self.due;
        self.retry = false;
    }

    /// Whether a missed minimum validity currently causes no request.
    pub(super) fn pauses_minima(&self, now: Moment) -> bool {
        self.token.age(now) < self.minimum_pause
    }

    /// Records the outcome of a request made for this minimum. Pauses further such requests if the
    /// token does not meet the minimum with some margin: a new token until a certain part of its
    /// life has passed, a token held before for the same time from now. Returns whether to warn.
    pub(super) fn weigh(&mut self, now: Moment, minimum: Duration, is_new: bool) -> bool {
        let age = self.token.age(now);
        let life = self.token.life;
        if !life.barely_meets(minimum, age) {
            return false;
        }
        let start = if is_new { Duration::ZERO } else { age };
        self.minimum_pause = start.saturating_add(life.minimum_pause());
        self.has_warned = false;
        self.warns_of(now, minimum)
    }

    /// Whether to warn now that this minimum is missed: once per pause.
    pub(super) fn warns_of(&mut self, now: Moment, minimum: Duration) -> bool {
        self.token.remaining(now) < minimum && !std::mem::replace(&mut self.has_warned, true)
    }
}
