//! What failures in a row leave behind: the cool-down during which nothing is asked for.

use std::time::Duration;

use super::backoff;
use super::clock::Moment;
use super::error::Error;

/// Failures in a row, and the cool-down after the last of them. It stays until a success.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    since: Moment,
    cooldown: Duration,
    /// How long the error says to wait: the cool-down, or longer if the server asked for that.
    retry_after: Duration,
    pub(super) failures: u32,
    pub(super) error: Error,
}

impl Trouble {
    /// One failure more.
    pub(super) fn after(before: Option<&Self>, now: Moment, error: Error, luck: f64) -> Self {
        let failures = before
            .map_or(0, |trouble| trouble.failures)
            .saturating_add(1);
        let asked = error.details().retry_after;
        let cooldown = backoff::cooldown(failures, error.kind().longest_cooldown(), asked, luck);
        let retry_after = cooldown.max(asked.unwrap_or_default());
        Self {
            since: now,
            cooldown,
            retry_after,
            failures,
            error,
        }
    }

    pub(super) fn cools(&self, now: Moment) -> bool {
        now.since(self.since) < self.cooldown
    }

    /// How long the cool-down still lasts.
    pub(super) fn remaining(&self, now: Moment) -> Duration {
        self.cooldown.saturating_sub(now.since(self.since))
    }

    pub(super) fn retry_after(&self, now: Moment) -> Duration {
        self.retry_after.saturating_sub(now.since(self.since))
    }
}
