//! The waits between the attempts of one acquisition, and the cool-down after a failed one.

use std::time::Duration;

/// Attempts of an acquisition whose predecessor did not fail.
pub const MOST_ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

const FIRST_COOLDOWN: Duration = Duration::from_secs(1);
/// After failures that an operator has to fix.
pub const LONG_COOLDOWN: Duration = Duration::from_secs(30);
/// After transient failures: a portal must recover soon after Keycloak does.
pub const SHORT_COOLDOWN: Duration = Duration::from_secs(5);
/// A `Retry-After` lengthens a cool-down to this at most.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const COOLDOWN_JITTER: f64 = 0.25;

/// The wait before the attempt that follows attempt number `attempt` (counted from 1): full jitter
/// on 200 ms doubling, at most 2 s.
#[must_use]
pub fn wait_after(attempt: u32, jitter: f64) -> Duration {
    doubled(FIRST_WAIT, attempt, LONGEST_WAIT).mul_f64(jitter.clamp(0.0, 1.0))
}

/// The cool-down after the failure number `failures` in a row (counted from 1).
#[must_use]
pub fn cooldown(
    failures: u32,
    longest: Duration,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Duration {
    let base = doubled(FIRST_COOLDOWN, failures, longest);
    let jittered = base.mul_f64(1.0 + COOLDOWN_JITTER * jitter.clamp(0.0, 1.0));
    jittered.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// `first` doubled for every step after the first, at most `longest`.
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
    fn waits_double_from_200_ms_to_2_s_with_full_jitter() {
        for (attempt, most) in [(1, 200), (2, 400), (3, 800), (4, 1_600), (5, 2_000), (40, 2_000)] {
            assert_eq!(wait_after(attempt, 1.0), Duration::from_millis(most), "{attempt}");
            assert_eq!(wait_after(attempt, 0.0), Duration::ZERO, "{attempt}");
        }
    }

    #[test]
    fn cooldowns_double_to_their_cap_and_are_lengthened_by_up_to_a_quarter() {
        let secs = Duration::from_secs;
        for (name, failures, longest, retry_after, jitter, millis) in [
            ("first", 1, LONG_COOLDOWN, None, 0.0, 1_000),
            ("second", 2, LONG_COOLDOWN, None, 0.0, 2_000),
            ("fifth", 5, LONG_COOLDOWN, None, 0.0, 16_000),
            ("sixth is capped", 6, LONG_COOLDOWN, None, 0.0, 30_000),
            ("capped at 5 s for what passes", 9, SHORT_COOLDOWN, None, 0.0, 5_000),
            ("jitter", 1, LONG_COOLDOWN, None, 1.0, 1_250),
            ("jitter over the cap", 99, LONG_COOLDOWN, None, 1.0, 37_500),
            ("Retry-After lengthens", 1, SHORT_COOLDOWN, Some(secs(12)), 1.0, 12_000),
            ("Retry-After is capped", 1, SHORT_COOLDOWN, Some(secs(120)), 0.0, 30_000),
            ("Retry-After does not shorten", 5, LONG_COOLDOWN, Some(secs(2)), 0.0, 16_000),
        ] {
            let got = cooldown(failures, longest, retry_after, jitter);
            assert_eq!(got, Duration::from_millis(millis), "{name}");
        }
    }
}
