//! What callers ask of a slot, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::Token;
use crate::acquire::backoff::Attempts;
use crate::error::{Error, ErrorKind};

/// Identifies one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

/// Identifies a held token; no two have the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenId(pub u64);

/// What a caller requires of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A token that is valid now.
    Any,
    /// A token that stays valid for at least this long.
    Minimum(Duration),
    /// A new token, even if a valid one is held. Its request must be sent after the call.
    Forced,
    /// The same, for a caller that has waited for a request that was sent before its call.
    ForcedAgain,
}

impl Call {
    /// Whether the held token does not answer this call.
    pub(super) const fn is_forced(self) -> bool {
        matches!(self, Self::Forced | Self::ForcedAgain)
    }

    pub(super) const fn minimum(self) -> Option<Duration> {
        match self {
            Self::Minimum(minimum) => Some(minimum),
            Self::Any | Self::Forced | Self::ForcedAgain => None,
        }
    }
}

/// A flight to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlight {
    /// Its id.
    pub flight: FlightId,
    /// How often it may try.
    pub attempts: Attempts,
    /// Whether its request is sent at least a second after the one that returned the last token: the
    /// lifetimes that a server grants must not cause more than one request per second.
    pub is_paced: bool,
}

/// The answer to a caller.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Take this token. A refresh may have to be started, but the caller does not wait for it.
    Use {
        /// The held token.
        token: Arc<Token>,
        /// Whether it is due for replacement.
        is_stale: bool,
        /// The refresh to start.
        new_flight: Option<NewFlight>,
        /// Whether to warn that the token misses the caller's minimum validity.
        warns_of_minimum: bool,
    },
    /// Wait for this flight, after starting it if it is new.
    Wait {
        /// The flight.
        flight: FlightId,
        /// The flight to start.
        new_flight: Option<NewFlight>,
    },
    /// Wait for this flight, whose request was sent before the call, and then ask with
    /// [`Call::ForcedAgain`].
    WaitAndAskAgain {
        /// The flight.
        flight: FlightId,
    },
    /// Fail with the error of the last acquisition.
    Cooling {
        /// That error.
        error: Error,
        /// How long the caller should wait before it tries again.
        retry_after: Duration,
    },
    /// Fail: the manager was closed.
    Closed,
}

/// The result of a flight for its waiters.
#[derive(Clone, Debug)]
pub struct FlightResult {
    /// The token, or the failure.
    pub result: Result<Arc<Token>, Error>,
    /// After a failure: the held token, which waiters receive unless they forced a refresh.
    pub fallback: Option<Arc<Token>>,
    /// After a failure: how long callers should wait before they try again.
    pub retry_after: Option<Duration>,
    /// Whether and how the token was stored.
    pub storage: Storage,
    /// Whether this is the first failure in a row, or the first success after failures.
    pub is_transition: bool,
    /// Whether to warn that the held token misses a waiter's minimum validity.
    pub warns_of_minimum: bool,
    /// What to warn of if the token's lifetime is doubtful.
    pub warning: Option<LifetimeWarning>,
}

/// Why the lifetime of a token is doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeWarning {
    /// Neither the token response nor the token gives a lifetime.
    Unknown,
    /// No lifetime was left when the token arrived.
    Over,
    /// The server returned the same token again after its lifetime.
    Repeated,
}

impl FlightResult {
    /// Whether the waiters must ask again if the configuration changed during this flight. A
    /// timeout is reported instead, because asking again would extend their deadline.
    #[must_use]
    pub fn is_void_after_change(&self) -> bool {
        let failure = self.result.as_ref().err();
        failure.is_some_and(|error| error.kind() != ErrorKind::Timeout)
    }
}

/// What becomes of a token that has arrived. Waiters get it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It is the held token from now on.
    Kept,
    /// It replaces the held token once it has settled. No caller waited for it.
    Settling,
    /// It is not kept: its flight was detached, it would expire before the held token, it arrived
    /// in the unused last part of its lifetime, or no token arrived.
    NotKept,
    /// It is not kept because it had already expired when it arrived. It is handed out all the
    /// same: its acquisition has already asked for another one.
    Expired,
}

/// The outcome of reporting a rejected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// It was the held token and was dropped.
    Dropped,
    /// It is the held token and was kept: a cool-down is in effect, the last drop is too recent, or
    /// the budget of drops is used up.
    Kept,
    /// It is not the held token.
    Ignored,
}

/// The outcome of clearing a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearing {
    /// The held token was dropped, and a flight was detached if there was one.
    Dropped,
    /// There was no token, and the flight was detached.
    Detached,
    /// Nothing was dropped or detached: there were too many clears.
    Kept,
    /// There was nothing to drop or to detach.
    Nothing,
}

/// The condition of a slot, as snapshots report it.
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
