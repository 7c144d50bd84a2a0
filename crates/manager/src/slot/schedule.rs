//! Given a token's lifetime, computes when the token becomes stale, when it expires and when to
//! replace it.
//!
//! The age of a token counts from the moment when the manager sent the successful request. Network
//! latency can therefore make a token look older than it is, never younger.

use std::time::Duration;

use crate::clock::Nanos;

/// The longest unused part at the end of a lifetime. It compensates for servers that count in whole
/// seconds and verifiers that allow no leeway.
const LONGEST_MARGIN: Duration = Duration::from_secs(1);
/// The fraction of the soft age after which a refresh may start even if no call triggers it.
const EARLIEST_REFRESH: f64 = 0.91;
/// The mean lead of a manager that shares a store: how long before the soft age it refreshes, as a
/// fraction of that age. `SHORT_LEAD` applies to short lifetimes, and `LEAD` to all others. The
/// leads are exponentially distributed, so the first manager starts well before the next one,
/// however many there are, and the others take its token from the store.
const SHORT_LEAD: f64 = 0.05;
const LEAD: f64 = 0.02;
/// The lifetime below which `SHORT_LEAD` applies, so that the lead exceeds the duration of a
/// request.
const SHORT_LIFETIME: Duration = Duration::from_mins(1);
/// The longest lead, as a fraction of the soft age.
const LONGEST_LEAD: f64 = 0.5;
/// The lifetime of a token if neither the response nor the token states one.
pub const ASSUMED_LIFETIME: Duration = Duration::from_secs(10);
/// The age at which the slot adopts a refreshed token: it exceeds the usual lag of resource
/// servers' clocks.
pub const SETTLED_AGE: Duration = Duration::from_secs(5);
/// The time for which the slot keeps a token that the server granted for a subject token that has
/// expired by the local clock.
const EXPIRED_SUBJECT_LIFE: Duration = Duration::from_secs(10);
/// The time for which the slot keeps a token that the server granted for a subject token of unknown
/// lifetime.
const OPAQUE_SUBJECT_LIFE: Duration = Duration::from_mins(1);
/// The minimum time between the starts of two background refreshes.
pub const REFRESH_SPACING: Duration = Duration::from_secs(1);
/// The minimum time between two requests that are due to the lifetimes that the server grants.
pub const PACE: Duration = Duration::from_secs(1);
/// The shortest pause before the slot requests a missed minimum again. The pause is a tenth of the
/// token's life if that is longer.
const SHORTEST_MINIMUM_PAUSE: Duration = Duration::from_secs(5);

/// How managers with the same request spread their refreshes over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each manager has its own token: the refreshes are spread evenly.
    Alone,
    /// The managers share tokens: one manager refreshes before the others.
    Shared,
}

/// The ages at which a token becomes stale and expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    granted: Nanos,
    hard: Nanos,
    soft: Nanos,
}

impl Life {
    /// Divides a granted lifetime according to the buffer that the user configured.
    #[must_use]
    pub fn new(granted: Duration, buffer: Duration) -> Self {
        let margin = LONGEST_MARGIN.min(part(granted, 4));
        let buffer = buffer.min(part(granted, 2)).max(margin);
        let (hard, soft) = (granted.saturating_sub(margin), granted.saturating_sub(buffer));
        Self::of(granted, hard, soft)
    }

    /// Creates a life from the values that the methods of the same names return.
    #[must_use]
    pub fn of(granted: Duration, hard: Duration, soft: Duration) -> Self {
        Self {
            granted: granted.into(),
            hard: hard.into(),
            soft: soft.into(),
        }
    }

    /// Returns the lifetime that the server granted.
    #[must_use]
    pub fn granted(&self) -> Duration {
        self.granted.into()
    }

    /// Returns the age from which the slot no longer hands out the token.
    #[must_use]
    pub fn hard(&self) -> Duration {
        self.hard.into()
    }

    /// Returns the age from which the token is due for replacement.
    #[must_use]
    pub fn soft(&self) -> Duration {
        self.soft.into()
    }

    /// Returns the age at which a background refresh starts: a random point, so that replicas that
    /// started together drift apart. `jitter` is in `0..1`.
    #[must_use]
    pub fn refresh_point(&self, jitter: f64, spread: Spread) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        let point = match spread {
            Spread::Alone => EARLIEST_REFRESH + (1.0 - EARLIEST_REFRESH) * jitter,
            Spread::Shared => {
                let mean = if self.granted() < SHORT_LIFETIME {
                    SHORT_LEAD
                } else {
                    LEAD
                };
                1.0 - (-(1.0 - jitter).ln() * mean).min(LONGEST_LEAD)
            }
        };
        self.soft().mul_f64(point)
    }

    /// Returns the length of the pause before the slot requests a missed minimum again.
    #[must_use]
    pub fn minimum_pause(&self) -> Duration {
        part(self.granted(), 10).max(SHORTEST_MINIMUM_PAUSE)
    }

    /// Whether a token of age `age` misses a minimum, or exceeds it by less than a tenth of its
    /// life.
    #[must_use]
    pub fn barely_meets(&self, minimum: Duration, age: Duration) -> bool {
        let spare = self.hard().saturating_sub(age).checked_sub(minimum);
        spare.is_none_or(|spare| spare < part(self.granted(), 10))
    }
}

/// Returns the time for which the slot may keep a token that the server granted for a subject
/// token. The time ends with the subject token, because the holder of an ended subject token must
/// not obtain the granted token. If the local clock says that the subject token has expired, or if
/// its expiry is unknown, a short assumed time applies. `expiry` is the expiry of the subject
/// token, and `now` is the current time, both since the Unix epoch.
#[must_use]
pub fn subject_life(expiry: Option<Duration>, now: Duration) -> Duration {
    match expiry {
        Some(expiry) if expiry > now => expiry.saturating_sub(now),
        Some(_) => EXPIRED_SUBJECT_LIFE,
        None => OPAQUE_SUBJECT_LIFE,
    }
}

/// Returns the length of one of `count` equal parts.
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
    fn a_token_for_a_subject_ends_with_the_subject_token() {
        for (name, expiry, expected) in [
            ("alive", Some(ms(61_500)), 1_500),
            ("expires now", Some(ms(60_000)), 10_000),
            ("expired", Some(ms(1)), 10_000),
            ("opaque", None, 60_000),
        ] {
            assert_eq!(subject_life(expiry, ms(60_000)), ms(expected), "{name}");
        }
    }

    #[test]
    fn the_refreshes_of_managers_that_share_a_store_lead_by_an_exponential_time() {
        for (name, granted, jitter, expected) in [
            ("no lead", 300_000, 0.0, 240_000),
            ("the mean", 300_000, 1.0 - (-1.0_f64).exp(), 235_200),
            ("the first of a thousand", 300_000, 0.999, 206_843),
            ("the mean of a short life", 6_000, 1.0 - (-1.0_f64).exp(), 2_850),
            ("at most half", 300_000, 1.0, 120_000),
        ] {
            let point = Life::new(ms(granted), ms(60_000)).refresh_point(jitter, Spread::Shared);
            assert!(point.abs_diff(ms(expected)) < ms(1), "{name}: {point:?}");
        }
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
            assert_eq!((life.hard(), life.soft()), (ms(hard), ms(soft)), "{name}");
        }
    }
}
