//! The two clocks that determine a token's age. Only this module reads them.
//!
//! A monotonic clock pauses while the machine is suspended, and a wall clock may jump. The age of a
//! token follows the clock that advanced more.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic reading of a new clock. A shared store may return tokens that are older than the
/// process, and their ages must not exceed this reading.
const EARLIEST: Duration = oauth::MAX_LIFETIME;

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// The time since an arbitrary origin. It never decreases.
    pub monotonic: Duration,
    /// The time since the Unix epoch.
    pub wall: Duration,
}

impl Moment {
    /// Returns the time since `earlier`, by the clock that advanced more.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        let wall = self.wall.saturating_sub(earlier.wall);
        monotonic.max(wall)
    }

    /// Returns the moment that is later by `time`.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self {
            monotonic: self.monotonic.saturating_add(time),
            wall: self.wall.saturating_add(time),
        }
    }

    /// Returns the reading of the wall clock as a `SystemTime`, for comparison with dates that a
    /// server sends.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(self.wall).unwrap_or(UNIX_EPOCH)
    }

    /// Returns the time by which the wall clock is ahead of the monotonic clock. The difference
    /// changes only after a step of the wall clock or a suspension of the machine.
    #[must_use]
    pub fn offset(self) -> Duration {
        self.wall.saturating_sub(self.monotonic)
    }
}

/// Provides the current time.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Moment;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Creates a clock whose monotonic origin is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    fn now(&self) -> Moment {
        Moment {
            monotonic: self.origin.elapsed().saturating_add(EARLIEST),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic: u64, wall: u64) -> Moment {
        Moment {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        }
    }

    #[test]
    fn the_clock_that_advanced_more_counts() {
        for (name, later, seconds) in [
            ("both agree", at(15, 1_005), 5),
            ("the wall clock stepped back", at(15, 400), 5),
            ("the wall clock stepped forward", at(15, 4_600), 3_600),
            ("the machine was suspended", at(10, 1_060), 60),
            ("no time passed", at(10, 1_000), 0),
        ] {
            assert_eq!(later.since(at(10, 1_000)), Duration::from_secs(seconds), "{name}");
        }
    }
}
