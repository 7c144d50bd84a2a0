//! The state that a manager reports. It contains no secret and no token.

use std::time::Duration;

use super::clock::{Moment, Nanos};
use super::error::ErrorKind;
use super::slot::Condition;

/// Counters that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// The number of calls that the manager answered with the held token.
    pub hits: f64,
    /// The number of calls that waited for a flight that had already started.
    pub joins: f64,
    /// The number of acquisitions that the manager started.
    pub acquisitions: f64,
    /// The number of attempts after the first one of an acquisition.
    pub retries: f64,
    /// The number of hits that the manager answered with a stale token.
    pub stale_served: f64,
    /// The number of tokens that invalidations and clears dropped.
    pub invalidations: f64,
    /// The number of invalidations that kept the held token.
    pub invalidations_kept: f64,
    /// The number of invalidations of a token other than the held one.
    pub invalidations_ignored: f64,
    /// The number of calls whose acquisition a cool-down prevented.
    pub suppressed: f64,
    /// The number of acquisitions that the shared store answered.
    pub store_hits: f64,
    /// The number of calls to the shared store that failed.
    pub store_failures: f64,
}

/// The durations of finished acquisitions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// The number of finished acquisitions.
    pub count: f64,
    /// The sum of the durations.
    pub sum: Nanos,
    /// The longest duration.
    pub max: Nanos,
    /// The duration of the last acquisition.
    pub last: Nanos,
}

impl Counters {
    /// Adds other counters to these.
    pub(super) fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.joins += other.joins;
        self.acquisitions += other.acquisitions;
        self.retries += other.retries;
        self.stale_served += other.stale_served;
        self.invalidations += other.invalidations;
        self.invalidations_kept += other.invalidations_kept;
        self.invalidations_ignored += other.invalidations_ignored;
        self.suppressed += other.suppressed;
        self.store_hits += other.store_hits;
        self.store_failures += other.store_failures;
    }
}

/// The number of derived managers, and the sums of their counters.
#[derive(Clone, Copy, Debug)]
pub struct DerivedSums {
    /// The number of derived managers that have requested a token and are still in use.
    pub managers: u32,
    /// The number of tokens that these managers hold.
    pub tokens: u32,
    /// The sums of the counters of these managers and of released managers.
    pub counters: Counters,
}

impl Latency {
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1.0;
        self.sum = Duration::from(self.sum).saturating_add(took).into();
        self.last = took.into();
        self.max = self.max.max(self.last);
    }
}

/// The held token's times.
#[derive(Clone, Copy, Debug)]
pub struct TokenTimes {
    /// The time since the manager sent the successful request.
    pub age: Duration,
    /// The age at which the token is due for replacement.
    pub soft: Duration,
    /// The age at which the manager stops serving the token.
    pub hard: Duration,
}

/// The state of a manager.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The manager's label.
    pub name: String,
    /// The thumbprint of the DPoP key.
    pub dpop_thumbprint: Option<String>,
    /// The condition of the slot.
    pub condition: Condition,
    /// The times of the held token.
    pub token: Option<TokenTimes>,
    /// The time of the last success.
    pub last_success: Option<Moment>,
    /// The time and kind of the last failure.
    pub last_failure: Option<(Moment, ErrorKind)>,
    /// The counters.
    pub counters: Counters,
    /// The durations of the acquisitions.
    pub latency: Latency,
    /// The sums of the derived managers; `None` if the manager has had no derived managers.
    pub derived: Option<DerivedSums>,
}
