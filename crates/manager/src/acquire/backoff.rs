//! The waits between the attempts of one acquisition, and the cool-down after a failed one.

use std::time::Duration;

/// The number of attempts that an acquisition may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// One attempt: the previous acquisition failed.
    One,
    /// Up to three attempts: the slot holds a token, or no caller waits.
    Few,
    /// Up to three attempts, and more until half of the time limit has passed: callers wait, and
    /// the slot holds no token. If the server restarts, they get a token after a few seconds
    /// instead of an error.
    Many,
}

impl Attempts {
    const FEW: u32 = 3;

    /// Returns the same number, or [`Attempts::Many`] if callers now wait without a token because
    /// the held token has expired.
    #[must_use]
    pub fn for_flight(self, is_needed: bool) -> Self {
        match self {
            Self::Few if is_needed => Self::Many,
            other => other,
        }
    }

    /// Whether another attempt may start after `made` attempts. `spent` is the part of the time
    /// `limit` that will have passed by then.
    #[must_use]
    pub fn allow_another(self, made: u32, spent: Duration, limit: Duration) -> bool {
        let most = if self == Self::One { 1 } else { Self::FEW };
        let is_early = spent < limit.checked_div(2).unwrap_or_default();
        made < most && spent < limit || self == Self::Many && is_early
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The cool-downs after consecutive failures: each is twice as long as the previous one, up to a
/// maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoolDownRange {
    first: Duration,
    longest: Duration,
}

/// The cool-downs after failures that an operator has to fix.
pub const LONG_COOL_DOWN: CoolDownRange = CoolDownRange {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};
/// The cool-downs after transient failures. They are short so that a portal recovers soon after
/// Keycloak. The first one must have ended when a caller tries again after a second.
pub const SHORT_COOL_DOWN: CoolDownRange = CoolDownRange {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(5),
};
/// The longest cool-down that a `Retry-After` can cause.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const COOL_DOWN_JITTER: f64 = 0.25;

/// Returns the wait after attempt number `attempt`, counted from 1: a random time between half of a
/// limit and the whole limit. The limit starts at 200 ms and doubles after each attempt, to a
/// maximum of 1 s.
#[must_use]
pub fn wait_after(attempt: u32, jitter: f64) -> Duration {
    let part = 0.5 + 0.5 * jitter.clamp(0.0, 1.0);
    doubled(FIRST_WAIT, attempt, LONGEST_WAIT).mul_f64(part)
}

/// Returns the cool-down after this number of consecutive failures.
#[must_use]
pub fn cool_down(
    failures: u32,
    range: CoolDownRange,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Duration {
    let base = doubled(range.first, failures, range.longest);
    let jittered = base.mul_f64(1.0 + COOL_DOWN_JITTER * jitter.clamp(0.0, 1.0));
    jittered.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// Returns `first`, doubled for every step after the first, but at most `longest`.
#[must_use]
pub fn doubled(first: Duration, step: u32, longest: Duration) -> Duration {
    let factor = 1_u32
        .checked_shl(step.saturating_sub(1))
        .unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_without_a_token_get_further_attempts_until_half_of_the_deadline() {
        let limit = Duration::from_secs(10);
        for (attempts, made, spent, expected) in [
            (Attempts::One, 1, 0, false),
            (Attempts::Few, 2, 9_999, true),
            (Attempts::Few, 2, 10_000, false),
            (Attempts::Few, 3, 0, false),
            (Attempts::Many, 2, 9_999, true),
            (Attempts::Many, 3, 4_999, true),
            (Attempts::Many, 3, 5_000, false),
            (Attempts::Many, 2, 10_000, false),
        ] {
            let got = attempts.allow_another(made, Duration::from_millis(spent), limit);
            assert_eq!(got, expected, "{attempts:?} after {made} in {spent} ms");
        }
    }

    #[test]
    fn waits_double_from_200_ms_to_1_s_and_vary_by_half() {
        for (attempt, most) in [(1, 200), (2, 400), (3, 800), (4, 1_000), (40, 1_000)] {
            assert_eq!(wait_after(attempt, 1.0), Duration::from_millis(most), "{attempt}");
            assert_eq!(wait_after(attempt, 0.0), Duration::from_millis(most / 2), "{attempt}");
        }
    }
}
