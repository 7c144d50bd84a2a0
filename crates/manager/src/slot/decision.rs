//! The calls that a slot receives, and its answers.

use std::sync::Arc;
use std::time::Duration;

use super::Token;
use crate::acquire::backoff::Attempts;
use crate::error::{Error, ErrorKind};

/// Identifies one acquisition of one manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u32);

/// Identifies a held token. No two tokens have the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenId(pub u32);

/// The requirements of a caller for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A token that is valid now.
    Any,
    /// A token that stays valid for at least this long.
    Minimum(Duration),
    /// A new token, even if the slot holds a valid one. The manager must send the request for this
    /// token after the call.
    Forced,
    /// Like [`Self::Forced`], for a caller that has already waited for a flight that sent its
    /// request before the call.
    ForcedAgain,
}

impl Call {
    /// Whether the call demands a new token, so that the held token cannot answer it.
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

/// Why a flight starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A call found no token that meets its requirements.
    Miss,
    /// The held token is due for replacement, and no call waits.
    Refresh,
    /// A call forced a refresh.
    Forced,
    /// A call found no token, because a rejection or a clear had dropped it.
    Rejected,
}

impl Cause {
    /// Returns the name that telemetry reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Refresh => "refresh",
            Self::Forced => "forced",
            Self::Rejected => "rejected",
        }
    }
}

/// A flight to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlight {
    /// The id of the flight.
    pub flight: FlightId,
    /// Why the flight starts.
    pub cause: Cause,
    /// The number of attempts that the flight may make.
    pub attempts: Attempts,
    /// Whether the flight sends its request at least a second after the last successful request:
    /// the lifetimes that a server grants must not cause more than one request per second.
    pub is_paced: bool,
    /// Whether the flight may use a token from the shared store.
    pub reads_store: bool,
}

/// The answer to a caller.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Take this token. The caller may have to start a refresh, but does not wait for it.
    Use {
        /// The held token.
        token: Arc<Token>,
        /// Whether the token is due for replacement.
        is_stale: bool,
        /// The refresh to start.
        new_flight: Option<NewFlight>,
        /// Whether to warn that the token misses the caller's minimum validity.
        warns_of_minimum: bool,
    },
    /// Wait for this flight. If it is new, start it first.
    Wait {
        /// The flight.
        flight: FlightId,
        /// The flight to start.
        new_flight: Option<NewFlight>,
    },
    /// Wait for this flight, which sent its request before the call, and then make the call again,
    /// as [`Call::ForcedAgain`].
    WaitAndAskAgain {
        /// The flight.
        flight: FlightId,
    },
    /// Fail with the error of the last acquisition.
    Cooling {
        /// The error of the last acquisition.
        error: Error,
        /// The time that the caller should wait before it tries again.
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
    /// The held token after a failure. Waiters receive it unless they forced a refresh.
    pub fallback: Option<Arc<Token>>,
    /// The time that callers should wait before they try again after a failure.
    pub retry_after: Option<Duration>,
    /// Whether and how the slot stored the token.
    pub storage: Storage,
    /// Whether this is the first failure in a row, or the first success after failures.
    pub is_transition: bool,
    /// Whether to warn that the held token misses a waiter's minimum validity.
    pub warns_of_minimum: bool,
    /// The warning to log if the token's lifetime is doubtful.
    pub warning: Option<LifetimeWarning>,
    /// The cool-down that the failure has started.
    pub cool_down: Option<StartedCoolDown>,
}

/// A cool-down that has just started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedCoolDown {
    /// The time during which the slot starts no flight.
    pub length: Duration,
    /// The number of consecutive failures.
    pub failures: u32,
}

/// Why the lifetime of a token is doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeWarning {
    /// Neither the token response nor the token gives a lifetime.
    Unknown,
    /// The lifetime was over when the token arrived.
    Over,
    /// A cache held the token response for longer than the token's lifetime.
    Aged,
    /// The server returned the same token again after the lifetime of the token was over.
    Repeated,
}

impl FlightResult {
    /// Creates the result of a flight that changes nothing in the slot.
    pub(super) fn of(result: Result<Arc<Token>, Error>) -> Self {
        Self {
            result,
            fallback: None,
            retry_after: None,
            storage: Storage::NotKept,
            is_transition: false,
            warns_of_minimum: false,
            warning: None,
            cool_down: None,
        }
    }

    /// Whether the waiters must ask again if the configuration changed during this flight. After a
    /// timeout they receive the error instead, because asking again would extend their deadline.
    #[must_use]
    pub fn is_void_after_change(&self) -> bool {
        let failure = self.result.as_ref().err();
        failure.is_some_and(|error| error.kind() != ErrorKind::Timeout)
    }
}

/// How the slot stores a token that has arrived. Waiters get the token in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The slot holds the token from now on.
    Kept,
    /// The token replaces the held token as soon as the new one is old enough. No caller waited for
    /// it.
    Settling,
    /// The slot does not keep a token: none arrived, the flight was detached, the token would
    /// expire before the held one, or it arrived in the unused last part of its lifetime.
    NotKept,
    /// The slot does not keep the token, because the token had already expired on arrival. The
    /// waiters still receive it, because the acquisition has already requested a second token.
    Expired,
}

/// The outcome of reporting a rejected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The slot held the token and dropped it.
    Dropped,
    /// The slot holds the token and kept it: a cool-down is in effect, the last drop is too recent,
    /// or the drop budget is exhausted.
    Kept,
    /// The slot does not hold the token.
    Ignored,
}

/// The outcome of clearing a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearing {
    /// The slot dropped the held token, and detached the current flight if there was one.
    Dropped,
    /// The slot held no token and detached the current flight.
    Detached,
    /// The slot kept the token and the flight, because there were too many clears.
    Kept,
    /// The slot had no token to drop and no flight to detach.
    Nothing,
}

/// The condition of a slot, as snapshots report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The slot holds no token, and the last acquisition did not fail.
    Empty,
    /// The held token needs no replacement yet.
    Fresh,
    /// The held token is valid but due for replacement.
    Stale,
    /// The slot holds no valid token, and the last acquisition failed.
    Failing,
    /// The slot is closed.
    Closed,
}
