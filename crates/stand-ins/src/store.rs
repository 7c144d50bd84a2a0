//! A shared store in memory, which can fail in the same ways as a real one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::simulated::pass;
use manager::store::{Command, StoreAnswer, StoreCall};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The condition of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Works,
    /// Answers after this many milliseconds.
    Slow(u64),
    /// Does not answer until it works again, but can replace its client.
    Hangs,
    /// Does not answer until it works again, not even a request to replace its client.
    Stuck,
    /// Returns an error.
    Fails,
    /// The event loop is blocked, so no call reaches the store.
    Blocked,
    /// The event loop is blocked during a call, so the answer waits.
    Stalled,
    /// Reads and deletes entries, but stores no new entry.
    Full,
}

/// The store of any number of managers.
pub struct SimulatedStore {
    condition: Mutex<Condition>,
    pub entries: Mutex<HashMap<String, (String, Instant)>>,
    /// The calls that the store received, such as `get`.
    pub calls: Mutex<Vec<&'static str>>,
    /// The calls that the store has not answered.
    hanging: Mutex<Vec<StoreCall>>,
    /// The calls that wait for the event loop.
    held: Mutex<Vec<StoreCall>>,
    /// The number of calls that made the store replace its client.
    pub remakes: AtomicU64,
}

impl Default for SimulatedStore {
    fn default() -> Self {
        Self {
            condition: Mutex::new(Condition::Works),
            entries: Mutex::default(),
            calls: Mutex::default(),
            hanging: Mutex::default(),
            held: Mutex::default(),
            remakes: AtomicU64::new(0),
        }
    }
}

impl SimulatedStore {
    pub fn set(&self, condition: Condition) {
        *self.condition.lock() = condition;
        if condition == Condition::Works {
            let held = std::mem::take(&mut *self.held.lock());
            for call in held {
                self.receive(call);
            }
            let hanging = std::mem::take(&mut *self.hanging.lock());
            for call in hanging {
                let answer = self.answer(&call.command);
                call.settle(answer);
            }
        }
    }

    /// Returns the calls since this function was last called.
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock())
    }

    /// Returns the number of calls that the store's client has not answered.
    pub fn in_flight(&self) -> usize {
        self.hanging.lock().len()
    }

    /// Receives a call, as the JavaScript thread does.
    pub(crate) fn receive(&self, call: StoreCall) {
        let condition = *self.condition.lock();
        let is_ping = matches!(call.command, Command::Ping);
        if condition == Condition::Blocked || (condition == Condition::Stalled && is_ping) {
            return self.held.lock().push(call);
        }
        if !call.start() {
            return;
        }
        if is_ping {
            return call.settle(StoreAnswer::Done(None));
        }
        self.calls.lock().push(match &call.command {
            Command::Get(_) => "get",
            Command::Set(..) => "set",
            Command::Delete(_) => "delete",
            Command::Remake => "remake",
            Command::Ping => "ping",
        });
        if matches!(call.command, Command::Remake) && condition != Condition::Stuck {
            // The old client's calls end.
            self.hanging.lock().clear();
            self.remakes.fetch_add(1, Ordering::SeqCst);
            return call.settle(StoreAnswer::Done(None));
        }
        match condition {
            Condition::Hangs | Condition::Stuck => self.hanging.lock().push(call),
            Condition::Stalled => self.held.lock().push(call),
            Condition::Fails => call.settle(StoreAnswer::Failed(Some("ECONNREFUSED".to_owned()))),
            Condition::Full if matches!(call.command, Command::Set(..)) => {
                call.settle(StoreAnswer::Failed(None));
            }
            Condition::Slow(millis) => {
                let answer = self.answer(&call.command);
                tokio::spawn(async move {
                    pass(millis).await;
                    call.settle(answer);
                });
            }
            _ => {
                let answer = self.answer(&call.command);
                call.settle(answer);
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of the store")]
    fn answer(&self, command: &Command) -> StoreAnswer {
        let mut entries = self.entries.lock();
        let now = Instant::now();
        StoreAnswer::Done(match command {
            Command::Get(key) => {
                let entry = entries.get(key.as_str()).filter(|(_, end)| *end > now);
                entry.map(|(value, _)| value.clone())
            }
            Command::Set(key, value, millis) => {
                let end = now + Duration::from_millis(*millis);
                entries.insert(key.as_str().to_owned(), (value.clone(), end));
                None
            }
            Command::Delete(key) => {
                entries.remove(key.as_str());
                None
            }
            Command::Remake | Command::Ping => None,
        })
    }
}
