//! Limits the token exchanges that the server refuses, so that callers with invalid user tokens
//! cannot turn each of their requests into a token request.
//!
//! Until the first refusal, only the transport limits the exchanges in progress. Otherwise, a
//! thousand users with valid tokens would have to wait in turn after a restart. A first burst of
//! invalid tokens can therefore cause as many requests as the transport sends at once. After a
//! refusal, the refusals of the last second and the exchanges in progress may not exceed ten
//! together. Other exchanges wait, and fail once the server has refused ten.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Moment;

/// The maximum number of refused exchanges in a window.
const MOST: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The exchanges of a manager and its derived managers.
#[derive(Default)]
pub(crate) struct Exchanges {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// The times of the last refusals, oldest first.
    refusals: VecDeque<Moment>,
    in_progress: usize,
}

/// Whether an exchange may begin.
pub(super) enum Admission<'a> {
    Begun(ExchangeGuard<'a>),
    /// If the server refused all exchanges in progress, one more would exceed the limit. The oldest
    /// refusal leaves the window after this time.
    Busy(Duration),
    /// The server has refused too many exchanges. The limit ends after this time.
    Refused(Duration),
}

impl Exchanges {
    pub(super) fn begin(&self, now: Moment) -> Admission<'_> {
        let mut state = self.state.lock();
        while state
            .refusals
            .front()
            .is_some_and(|refused| now.since(*refused) >= WINDOW)
        {
            state.refusals.pop_front();
        }
        let refused = state.refusals.len();
        if let Some(oldest) = state.refusals.front() {
            let left = WINDOW.saturating_sub(now.since(*oldest));
            if refused >= MOST {
                return Admission::Refused(left);
            }
            if refused.saturating_add(state.in_progress) >= MOST {
                return Admission::Busy(left);
            }
        }
        state.in_progress = state.in_progress.saturating_add(1);
        Admission::Begun(ExchangeGuard(self))
    }

    /// Waits until an exchange ends, at most for this time.
    pub(super) async fn wait(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest, self.ended.notified()).await;
    }

    /// Records that the server refused an exchange.
    pub(super) fn refused(&self, now: Moment) {
        self.state.lock().refusals.push_back(now);
    }
}

/// An exchange in progress.
pub(super) struct ExchangeGuard<'a>(&'a Exchanges);

impl Drop for ExchangeGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_progress = state.in_progress.saturating_sub(1);
        drop(state);
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_exchanges_a_second_may_be_refused() {
        let exchanges = Exchanges::default();
        let at = |ms: u64| Moment::new(Duration::from_millis(ms), Duration::from_millis(ms));
        let begun = |admission| matches!(admission, Admission::Begun(_));
        let unlimited: Vec<_> = (0..20).map(|_| exchanges.begin(at(0))).collect();
        assert!(unlimited.into_iter().all(begun), "before the first refusal");
        for time in 0..9 {
            exchanges.refused(at(time * 10));
        }
        let last = exchanges.begin(at(100));
        let busy = exchanges.begin(at(100));
        assert!(matches!(busy, Admission::Busy(left) if left == Duration::from_millis(900)));
        assert!(begun(last) && begun(exchanges.begin(at(100))), "the exchange succeeded");
        exchanges.refused(at(110));
        let refused = exchanges.begin(at(999));
        assert!(matches!(refused, Admission::Refused(left) if left == Duration::from_millis(1)));
        assert!(begun(exchanges.begin(at(1_000))), "the first refusal is a second ago");
    }
}
