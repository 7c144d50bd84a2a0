//! The alarms of all managers in the process.
//!
//! A timer follows the monotonic clock, so it does not notice a step of the wall clock or a machine
//! that was suspended. While any alarm is set, both clocks are compared once a second; if they have
//! drifted apart, every sleeper is woken to read them again.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::clock::{Clock, Moment};

/// How often the clocks are compared.
const CLOCK_CHECK: Duration = Duration::from_secs(1);
/// How far they may drift apart before every sleeper is woken.
const TOLERATED_DRIFT: Duration = Duration::from_millis(50);

/// Receives an alarm.
pub trait Sleeper: Send + Sync {
    /// Called when the alarm is due or the clocks must be read again.
    fn wake(&self);
}

/// Identifies a sleeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SleeperId(pub u64);

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Duration, SleeperId), Weak<dyn Sleeper>>,
    times: HashMap<SleeperId, Duration>,
    last_id: u64,
}

impl Entries {
    fn remove(&mut self, id: SleeperId) -> Option<Weak<dyn Sleeper>> {
        let time = self.times.remove(&id)?;
        self.by_time.remove(&(time, id))
    }
}

/// The alarms that are set.
#[derive(Default)]
pub struct Alarms {
    entries: Mutex<Entries>,
    changed: Notify,
}

impl Alarms {
    /// Returns the id for a new sleeper.
    pub fn register(&self) -> SleeperId {
        let mut entries = self.entries.lock();
        entries.last_id = entries.last_id.saturating_add(1);
        SleeperId(entries.last_id)
    }

    /// Sets the alarm of a sleeper to a reading of the monotonic clock, or cancels it.
    pub fn set(&self, id: SleeperId, time: Option<Duration>, sleeper: &Weak<dyn Sleeper>) {
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
            entries.by_time.insert((time, id), Weak::clone(sleeper));
            is_earliest
        };
        if is_earliest {
            self.changed.notify_one();
        }
    }

    /// Wakes sleepers whose alarms are due. Never returns.
    pub async fn run(&self, clock: &dyn Clock) {
        let mut offset = clock.now().offset();
        loop {
            let now = clock.now();
            let drifted = now.offset().abs_diff(offset) > TOLERATED_DRIFT;
            if drifted {
                offset = now.offset();
            }
            for sleeper in self.take_due(now, drifted) {
                if let Some(sleeper) = sleeper.upgrade() {
                    // A sleeper that panics must not stop the alarms of the others.
                    let _ = catch_unwind(AssertUnwindSafe(|| sleeper.wake()));
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

    fn take_due(&self, now: Moment, all: bool) -> Vec<Weak<dyn Sleeper>> {
        let mut entries = self.entries.lock();
        let mut due = Vec::new();
        while let Some((&(time, id), _)) = entries.by_time.first_key_value() {
            if time > now.monotonic && !all {
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
            .map(|(key, _)| key.0.saturating_sub(now.monotonic))
    }
}
