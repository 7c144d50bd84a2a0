//! Consecutive failures, and the cool-down during which the slot starts no flight.

use std::time::Duration;

use crate::acquire::backoff;
use crate::clock::Moment;
use crate::error::Error;
use crate::slot::StartedCoolDown;

/// Consecutive failures and the cool-down after the last one. A success clears both.
#[derive(Clone, Debug)]
pub(crate) struct CoolDown {
    since: Moment,
    length: Duration,
    /// The time that the error tells callers to wait: the cool-down, or a longer time if the server
    /// requested it.
    retry_after: Duration,
    pub(crate) failures: u32,
    pub(crate) error: Error,
}

impl CoolDown {
    /// Returns the state after one more failure.
    pub(crate) fn after(before: Option<&Self>, now: Moment, error: Error, jitter: f64) -> Self {
        let failures = before
            .map_or(0, |cool_down| cool_down.failures)
            .saturating_add(1);
        let asked = error.details().retry_after;
        let length = backoff::cool_down(failures, error.kind().cool_down(), asked, jitter);
        let retry_after = length.max(asked.unwrap_or_default());
        Self {
            since: now,
            length,
            retry_after,
            failures,
            error,
        }
    }

    pub(crate) fn cools(&self, now: Moment) -> bool {
        now.since(self.since) < self.length
    }

    /// Returns the facts that telemetry reports when the cool-down starts.
    pub(super) const fn started(&self) -> StartedCoolDown {
        StartedCoolDown {
            length: self.length,
            failures: self.failures,
        }
    }

    /// Returns the remaining time of the cool-down.
    pub(super) fn remaining(&self, now: Moment) -> Duration {
        self.length.saturating_sub(now.since(self.since))
    }

    pub(crate) fn retry_after(&self, now: Moment) -> Duration {
        self.retry_after.saturating_sub(now.since(self.since))
    }
}
