//! The two clocks that determine a token's age. Only this module reads them.
//!
//! A monotonic clock pauses while the machine is suspended, and a wall clock may jump. The age of a
//! token follows the clock that advanced more.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic reading of a new clock. A shared store may return tokens that are older than the
/// process, and their ages must not exceed this reading.
const EARLIEST: Duration = oauth::MAX_LIFETIME;

/// A time in nanoseconds, at most 584 years. It takes half the memory of a `Duration`, and every
/// manager holds many times.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(u64);

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration::from(*self).fmt(f)
    }
}

impl From<Duration> for Nanos {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(Nanos(time): Nanos) -> Self {
        Self::from_nanos(time)
    }
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    monotonic: Nanos,
    wall: Nanos,
}

impl Moment {
    /// Creates a reading from the values that the methods of the same names return.
    #[must_use]
    pub fn new(monotonic: Duration, wall: Duration) -> Self {
        Self {
            monotonic: monotonic.into(),
            wall: wall.into(),
        }
    }

    /// Returns the time since an arbitrary origin. It never decreases.
    #[must_use]
    pub fn monotonic(self) -> Duration {
        self.monotonic.into()
    }

    /// Returns the time since the Unix epoch.
    #[must_use]
    pub fn wall(self) -> Duration {
        self.wall.into()
    }

    /// Returns the time since `earlier`, by the clock that advanced more.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic().saturating_sub(earlier.monotonic());
        let wall = self.wall().saturating_sub(earlier.wall());
        monotonic.max(wall)
    }

    /// Returns the moment that is `time` after this one.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self::new(self.monotonic().saturating_add(time), self.wall().saturating_add(time))
    }

    /// Returns the reading of the wall clock as a `SystemTime`, for comparison with dates that a
    /// server sends.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH.checked_add(self.wall()).unwrap_or(UNIX_EPOCH)
    }

    /// Returns the time by which the wall clock is ahead of the monotonic clock. The difference
    /// changes only after a step of the wall clock or a suspension of the machine.
    #[must_use]
    pub fn offset(self) -> Duration {
        self.wall().saturating_sub(self.monotonic())
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
        Moment::new(
            self.origin.elapsed().saturating_add(EARLIEST),
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic: u64, wall: u64) -> Moment {
        Moment::new(Duration::from_secs(monotonic), Duration::from_secs(wall))
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
