//! The held token, and the ages at which it needs a refresh.

use std::sync::Arc;
use std::time::Duration;

use super::TokenId;
use super::schedule::{Life, SETTLED_AGE, Spread, part};
use crate::clock::{Moment, Nanos};
use oauth::{AccessToken, DpopKey, TokenType};

/// A token as callers receive it.
#[derive(Debug)]
pub struct Token {
    /// The token.
    pub access_token: AccessToken,
    /// The key to which the server bound the token. `None`: a bearer token.
    pub dpop_key: Option<Arc<DpopKey>>,
    /// The scope of the token, if the server named it.
    pub scope: Option<Arc<str>>,
    /// When the manager sent the successful request.
    pub sent: Moment,
    /// The expiry in the token's own claims, as the time since the Unix epoch.
    pub expiry: Option<Duration>,
    /// The ages at which the token becomes stale and expires.
    pub life: Life,
}

impl Token {
    /// Returns the type of the token, which decides how a request presents it.
    #[must_use]
    pub const fn token_type(&self) -> TokenType {
        match self.dpop_key {
            Some(_) => TokenType::Dpop,
            None => TokenType::Bearer,
        }
    }

    /// Returns the age of the token.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.sent)
    }

    /// Returns the time for which the slot may still hand out the token.
    #[must_use]
    pub fn remaining(&self, now: Moment) -> Duration {
        self.life.hard().saturating_sub(self.age(now))
    }
}

/// A token in the slot.
#[derive(Clone, Debug)]
pub(super) struct CachedToken {
    pub(super) token: Arc<Token>,
    /// The id of the token. No two tokens have the same id.
    pub(super) id: TokenId,
    early: Nanos,
    due: Nanos,
    /// Whether to refresh the token even if it is not in use, because a background refresh failed
    /// or the configuration changed.
    pub(super) retry: bool,
    /// Whether the next token replaces this one in any case, because the configured client, server
    /// or scope has changed.
    pub(super) is_outdated: bool,
    /// Until the token reaches this age, a missed minimum validity causes no request.
    minimum_pause: Nanos,
    /// Whether the slot has already reported the missed minimum.
    has_warned: bool,
    /// The token that a background refresh returned, until the slot adopts it.
    successor: Option<Box<Successor>>,
}

/// The token from a refresh that no caller waits for. A resource server whose clock is behind the
/// clock of the authorization server rejects a token that is too young. The slot therefore adopts
/// the token only when the token is old enough.
#[derive(Clone, Debug)]
struct Successor {
    token: Arc<Token>,
    arrival: Moment,
    /// The maximum time before the slot adopts the token: half of the held token's remaining time.
    longest: Duration,
    /// The random value for the token's refresh time.
    jitter: f64,
}

impl Successor {
    /// Returns the time after which the slot adopts the token if nothing else happens.
    fn settles_in(&self, now: Moment) -> Duration {
        let by_age = SETTLED_AGE.saturating_sub(self.token.age(now));
        by_age.min(self.longest.saturating_sub(now.since(self.arrival)))
    }
}

impl CachedToken {
    /// Creates the record of a token that has just arrived.
    pub(super) fn new(token: Arc<Token>, id: TokenId, jitter: f64, spread: Spread) -> Self {
        Self {
            early: token.life.refresh_point(jitter, spread).into(),
            due: token.life.soft().into(),
            token,
            id,
            retry: false,
            is_outdated: false,
            minimum_pause: Nanos::default(),
            has_warned: false,
            successor: None,
        }
    }

    /// Returns the age from which a token in use is refreshed without a caller.
    pub(super) fn early(&self) -> Duration {
        self.early.into()
    }

    /// Returns the age from which a caller that takes the token starts a refresh.
    pub(super) fn due(&self) -> Duration {
        self.due.into()
    }

    /// Keeps a refreshed token until the slot adopts it.
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

    /// Returns the time until the slot adopts the successor, if there is one.
    pub(super) fn settles_in(&self, now: Moment) -> Option<Duration> {
        let successor = self.successor.as_ref()?;
        Some(successor.settles_in(now))
    }

    /// Returns the time for which the slot may hand out the successor.
    pub(super) fn successor_remaining(&self, now: Moment) -> Duration {
        let successor = self.successor.as_ref();
        successor.map_or(Duration::ZERO, |successor| successor.token.remaining(now))
    }

    /// Removes the successor, and returns it as the next held token.
    pub(super) fn take_successor(&mut self, id: TokenId, spread: Spread) -> Option<Self> {
        let successor = self.successor.take()?;
        Some(Self::new(successor.token, id, successor.jitter, spread))
    }

    pub(super) fn drop_successor(&mut self) {
        self.successor = None;
    }

    /// Makes the token due for immediate replacement, because the configuration changed.
    pub(super) fn outdate(&mut self) {
        self.early = Nanos::default();
        self.due = Nanos::default();
        self.retry = true;
        self.is_outdated = true;
    }

    pub(super) fn is_stale(&self, now: Moment) -> bool {
        self.token.age(now) >= self.token.life.soft()
    }

    /// Schedules the next refresh after half of the remaining life, because the last refresh
    /// returned no better token.
    pub(super) fn postpone_refresh(&mut self, now: Moment) {
        let half = part(self.token.remaining(now), 2);
        self.due = self.token.age(now).saturating_add(half).into();
        self.early = self.due;
        self.retry = false;
    }

    /// Whether a missed minimum validity currently causes no request.
    pub(super) fn pauses_minima(&self, now: Moment) -> bool {
        self.token.age(now) < self.minimum_pause.into()
    }

    /// Records the outcome of a request made for this minimum. Pauses further requests of this kind
    /// if the token does not meet the minimum with some margin. For a new token, the pause starts
    /// with the token's life. For a token that the slot already held, it starts now. Returns
    /// whether to warn.
    pub(super) fn weigh(&mut self, now: Moment, minimum: Duration, is_new: bool) -> bool {
        let age = self.token.age(now);
        let life = self.token.life;
        if !life.barely_meets(minimum, age) {
            return false;
        }
        let start = if is_new { Duration::ZERO } else { age };
        self.minimum_pause = start.saturating_add(life.minimum_pause()).into();
        self.has_warned = false;
        self.warns_of(now, minimum)
    }

    /// Whether to warn that the token misses this minimum. The slot warns once per pause.
    pub(super) fn warns_of(&mut self, now: Moment, minimum: Duration) -> bool {
        self.token.remaining(now) < minimum && !std::mem::replace(&mut self.has_warned, true)
    }
}
