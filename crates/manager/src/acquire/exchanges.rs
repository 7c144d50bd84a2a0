//! Limits the token exchanges that the server refuses, so that callers with invalid user tokens
//! cannot turn each of their requests into a token request.
//!
//! Until the first refusal, only the transport limits the exchanges in progress: with a limit of ten,
//! a thousand users with valid tokens who sign in again after a restart would wait in turn. A first
//! burst of invalid tokens therefore costs as many requests as the transport sends at once.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;

/// The maximum number of refused exchanges in a window.
const MOST: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The exchanges of a manager and its derived managers.
#[derive(Default)]
pub(crate) struct Exchanges(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the server refused the last exchanges, the oldest first.
    refusals: VecDeque<Moment>,
    in_progress: usize,
}

impl Exchanges {
    /// Begins an exchange. While the server refuses exchanges, the exchanges in progress count as
    /// refused. Returns the time to wait if too many exchanges count as refused.
    pub(super) fn begin(&self, now: Moment) -> Result<ExchangeGuard<'_>, Duration> {
        let mut state = self.0.lock();
        while state
            .refusals
            .front()
            .is_some_and(|refused| now.since(*refused) >= WINDOW)
        {
            state.refusals.pop_front();
        }
        if let Some(oldest) = state.refusals.front()
            && state.refusals.len().saturating_add(state.in_progress) >= MOST
        {
            return Err(WINDOW.saturating_sub(now.since(*oldest)));
        }
        state.in_progress = state.in_progress.saturating_add(1);
        Ok(ExchangeGuard(self))
    }

    /// Records that the server refused an exchange.
    pub(super) fn refused(&self, now: Moment) {
        self.0.lock().refusals.push_back(now);
    }
}

/// An exchange in progress.
pub(super) struct ExchangeGuard<'a>(&'a Exchanges);

impl Drop for ExchangeGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.in_progress = state.in_progress.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_exchanges_a_second_may_be_refused() {
        let exchanges = Exchanges::default();
        let at = |ms: u64| Moment {
            monotonic: Duration::from_millis(ms),
            wall: Duration::from_millis(ms),
        };
        let unlimited: Vec<_> = (0..20).map(|_| exchanges.begin(at(0))).collect();
        assert!(unlimited.iter().all(Result::is_ok), "before the first refusal");
        drop(unlimited);
        for time in 0..9 {
            exchanges.refused(at(time * 10));
        }
        let last = exchanges.begin(at(100));
        assert!(last.is_ok());
        assert_eq!(exchanges.begin(at(100)).err(), Some(Duration::from_millis(900)));
        drop(last);
        assert!(exchanges.begin(at(100)).is_ok(), "the exchange succeeded");
        exchanges.refused(at(110));
        assert!(exchanges.begin(at(999)).is_err());
        assert!(exchanges.begin(at(1_000)).is_ok(), "the first refusal is a second ago");
    }
}
