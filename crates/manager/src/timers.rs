//! The timers of all managers in the process.
//!
//! A timer follows the monotonic clock, so it does not notice a step of the wall clock or a
//! suspension of the machine. While any timer is set, this module compares both clocks once a
//! second; if they have drifted apart, it fires every timer, so that the managers read the clocks
//! again.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::clock::{Clock, Moment, Nanos};

/// The interval between two comparisons of the clocks.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// The drift between the clocks beyond which every timer fires.
const TOLERATED_DRIFT: Duration = Duration::from_millis(50);

/// A timer of a manager.
pub trait Timer: Send + Sync {
    /// Wakes the manager when the timer is due or the manager must read the clocks again.
    fn fire(&self);
}

/// Identifies a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(NonZeroU64);

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Nanos, TimerId), Weak<dyn Timer>>,
    times: HashMap<TimerId, Nanos>,
    last_id: u64,
}

impl Entries {
    fn remove(&mut self, id: TimerId) -> Option<Weak<dyn Timer>> {
        let time = self.times.remove(&id)?;
        self.by_time.remove(&(time, id))
    }
}

/// All timers of the process.
#[derive(Default)]
pub struct Timers {
    entries: Mutex<Entries>,
    changed: Notify,
}

impl Timers {
    /// Returns the id for a new timer.
    pub fn register(&self) -> TimerId {
        let mut entries = self.entries.lock();
        let id = TimerId(NonZeroU64::MIN.saturating_add(entries.last_id));
        entries.last_id = id.0.get();
        id
    }

    /// Sets a timer to a reading of the monotonic clock, or cancels the timer.
    pub fn set(&self, id: TimerId, time: Option<Duration>, timer: &Weak<dyn Timer>) {
        let time = time.map(Nanos::from);
        let is_earliest = {
            let mut entries = self.entries.lock();
            if entries.times.get(&id).copied() == time {
                return;
            }
            entries.remove(id);
            let Some(time) = time else { return };
            let is_earliest = entries
                .by_time
                .first_key_value()
                .is_none_or(|(key, _)| time < key.0);
            entries.times.insert(id, time);
            entries.by_time.insert((time, id), Weak::clone(timer));
            is_earliest
        };
        if is_earliest {
            self.changed.notify_one();
        }
    }

    /// Fires timers that are due. Never returns.
    pub async fn run(&self, clock: &dyn Clock) {
        let mut offset = clock.now().offset();
        loop {
            let now = clock.now();
            let drifted = now.offset().abs_diff(offset) > TOLERATED_DRIFT;
            if drifted {
                offset = now.offset();
            }
            for timer in self.take_due(now, drifted) {
                if let Some(timer) = timer.upgrade() {
                    // A timer that panics must not stop the timers of other managers.
                    let _ = catch_unwind(AssertUnwindSafe(|| timer.fire()));
                }
            }
            match self.next(now) {
                Some(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait.min(CLOCK_CHECK)) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    fn take_due(&self, now: Moment, all: bool) -> Vec<Weak<dyn Timer>> {
        let mut entries = self.entries.lock();
        let mut due = Vec::new();
        while let Some((&(time, id), _)) = entries.by_time.first_key_value() {
            if Duration::from(time) > now.monotonic() && !all {
                break;
            }
            due.extend(entries.remove(id));
        }
        due
    }

    fn next(&self, now: Moment) -> Option<Duration> {
        let entries = self.entries.lock();
        entries
            .by_time
            .first_key_value()
            .map(|(key, _)| Duration::from(key.0).saturating_sub(now.monotonic()))
    }
}
