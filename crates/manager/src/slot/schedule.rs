//! Arithmetic over a token's lifetime: when it goes stale, when it expires, when it is replaced.
//!
//! Ages count from the moment the successful request was sent, so the response's travel time errs
//! on the safe side.

use std::time::Duration;

/// Servers count in whole seconds and verifiers allow no leeway, so at most this much of a lifetime
/// is left unused.
const LONGEST_MARGIN: Duration = Duration::from_secs(1);
/// The fraction of the soft age after which a refresh may start without a caller.
const EARLIEST_REFRESH: f64 = 0.91;
/// Assumed if neither the response nor the token states a lifetime.
pub const ASSUMED_LIFETIME: Duration = Duration::from_secs(10);
/// A refreshed token of this age is adopted: the clocks of resource servers run behind by less.
pub const SETTLED_AGE: Duration = Duration::from_secs(5);
/// Background refreshes start at least this far apart.
pub const REFRESH_SPACING: Duration = Duration::from_secs(1);
/// The lifetimes that a server grants cause no more than one request in this time.
pub const PACE: Duration = Duration::from_secs(1);
/// A minimum that a new token missed is requested again after a tenth of the token's life, but not
/// before this.
const SHORTEST_MINIMUM_PAUSE: Duration = Duration::from_secs(5);

/// The ages at which a token becomes stale and stops being handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// The lifetime that the server granted.
    pub granted: Duration,
    /// From here on the token is not handed out.
    pub hard: Duration,
    /// From here on it is due for replacement.
    pub soft: Duration,
}

impl Life {
    /// Divides a granted lifetime, given the buffer that the user asked for.
    #[must_use]
    pub fn new(granted: Duration, buffer: Duration) -> Self {
        let margin = LONGEST_MARGIN.min(part(granted, 4));
        let buffer = buffer.min(part(granted, 2)).max(margin);
        Self {
            granted,
            hard: granted.saturating_sub(margin),
            soft: granted.saturating_sub(buffer),
        }
    }

    /// The age at which a background refresh starts: a random point, so that replicas that started
    /// together drift apart. `jitter` is in `0..1`.
    #[must_use]
    pub fn refresh_point(&self, jitter: f64) -> Duration {
        self.soft
            .mul_f64(EARLIEST_REFRESH + (1.0 - EARLIEST_REFRESH) * jitter.clamp(0.0, 1.0))
    }

    /// The length of the pause before a missed minimum is requested again.
    #[must_use]
    pub fn minimum_pause(&self) -> Duration {
        part(self.granted, 10).max(SHORTEST_MINIMUM_PAUSE)
    }

    /// Whether a token of age `age` meets a minimum so barely that a new request would soon be
    /// needed.
    #[must_use]
    pub fn barely_meets(&self, minimum: Duration, age: Duration) -> bool {
        let spare = self.hard.saturating_sub(age).checked_sub(minimum);
        spare.is_none_or(|spare| spare < part(self.granted, 10))
    }
}

/// One of `count` equal parts.
#[must_use]
pub fn part(whole: Duration, count: u32) -> Duration {
    whole.checked_div(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_life_is_divided_as_the_contract_says() {
        for (name, granted, buffer, hard, soft) in [
            ("default token and buffer", 300_000, 60_000, 299_000, 240_000),
            ("buffer over half of the life", 60_000, 60_000, 59_000, 30_000),
            ("no buffer still keeps the margin", 300_000, 0, 299_000, 299_000),
            ("three seconds", 3_000, 60_000, 2_250, 1_500),
            ("one second", 1_000, 60_000, 750, 500),
            ("one second, no buffer", 1_000, 0, 750, 750),
            ("nothing", 0, 60_000, 0, 0),
        ] {
            let life = Life::new(ms(granted), ms(buffer));
            assert_eq!((life.hard, life.soft), (ms(hard), ms(soft)), "{name}");
        }
    }
}
