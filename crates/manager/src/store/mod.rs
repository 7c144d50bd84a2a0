//! The store in which the replicas of a program share tokens.
//!
//! The store belongs to the user and may be slow, unreliable or untrusted: [`entry`] encrypts the
//! tokens for it, [`circuit`] decides whether the manager calls it, and every call has its own time
//! limit. A failure of the store never fails an acquisition. The [`slot`](crate::slot) decides
//! whether the manager uses a token that the store returns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

mod call;
pub mod circuit;
pub mod entry;

use crate::clock::Clock;
use crate::config::Config;
use crate::events::{Event, EventSink, Level};
use crate::slot::Token;
use crate::slot::schedule::part;
use call::PendingCall;
pub use call::{Command, StoreAnswer, StoreCall};
use circuit::{Circuit, Fault, Operation, Probed};
use entry::{EntryKey, StoreKeys};
use oauth::Grant;

/// The time limit of a call.
const CALL_LIMIT: Duration = Duration::from_millis(250);
/// The time between two probes while the store does not answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// The time within which an event loop that is not blocked answers a ping.
const FREE_WITHIN: Duration = Duration::from_millis(20);
/// The maximum number of concurrent calls.
const MAX_CALLS: usize = 64;
/// The shortest life of an entry. Some stores keep an entry with a shorter life for ever.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// The settings of a shared store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The keys that protect the entries.
    pub keys: Arc<StoreKeys>,
    /// Whether the store may hold the tokens of users.
    pub stores_user_tokens: bool,
    /// Whether the store has a method that replaces its client.
    pub can_remake: bool,
}

/// The shared store of one configuration.
pub(crate) struct SharedStore {
    config: Config,
    settings: StoreConfig,
    circuit: Mutex<Circuit>,
    calls: Semaphore,
    /// The entries that the manager is writing, each with its next command, if any.
    writes: Mutex<HashMap<EntryKey, Option<Command>>>,
    /// The number of failed calls, across all configurations of the manager.
    failures: Arc<AtomicU64>,
}

/// The entry of one grant in its store.
pub(crate) struct StoreEntry {
    store: Arc<SharedStore>,
    key: EntryKey,
}

/// How a call ended.
enum Called {
    Done(Option<String>),
    /// The store returned an error, with this detail.
    Failed(Option<String>),
    /// The call took too long.
    Late,
    /// The manager did not call the store, because the circuit was open or the event loop was
    /// blocked.
    Skipped,
}

impl SharedStore {
    pub(crate) fn new(config: &Config, failures: &Arc<AtomicU64>) -> Option<Arc<Self>> {
        let settings = config.store.clone()?;
        Some(Arc::new(Self {
            config: config.clone(),
            settings,
            circuit: Mutex::default(),
            calls: Semaphore::new(MAX_CALLS),
            writes: Mutex::default(),
            failures: Arc::clone(failures),
        }))
    }

    /// Returns the entry for this grant.
    pub(crate) fn entry(self: &Arc<Self>, grant: &Grant) -> StoreEntry {
        StoreEntry {
            store: Arc::clone(self),
            key: self.settings.keys.entry_key(&self.config, grant),
        }
    }

    /// Calls the store, unless the circuit is open.
    async fn call(self: &Arc<Self>, events: &Arc<dyn EventSink>, command: Command) -> Called {
        if self.circuit.lock().is_open() {
            return Called::Skipped;
        }
        let operation = command.operation();
        let called = self.send(events, command).await;
        match &called {
            Called::Done(_) => {
                if self.circuit.lock().succeeded(operation) {
                    self.log_recovery(events);
                }
            }
            Called::Failed(detail) => {
                let detail = detail.as_deref();
                let text = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
                let text = format!("failed{text}");
                self.record_failure(events, operation, Fault::Refused, &text);
            }
            Called::Late | Called::Skipped => {}
        }
        called
    }

    /// Sends a call to the JavaScript thread, and waits for the answer.
    async fn send(self: &Arc<Self>, events: &Arc<dyn EventSink>, command: Command) -> Called {
        let operation = command.operation();
        let (call, mut pending) = StoreCall::new(command);
        let answered = timeout(self.limit(), async {
            // The semaphore never closes.
            let _permit = self.calls.acquire().await;
            events.push(Event::StoreWanted(call));
            (&mut pending.answer).await
        });
        match answered.await {
            Ok(Ok(StoreAnswer::Done(value))) => Called::Done(value),
            Ok(Ok(StoreAnswer::Failed(detail))) => Called::Failed(detail),
            // The functions belong to an earlier configuration.
            Ok(Err(_)) => Called::Skipped,
            Err(_) if !pending.has_started() => Called::Skipped,
            Err(_) => {
                if self.circuit.lock().suspect() {
                    self.start_inquiry(events, operation, pending);
                }
                Called::Late
            }
        }
    }

    /// Finds out whether the store was slow or a blocked event loop delayed the answer.
    fn start_inquiry(
        self: &Arc<Self>,
        events: &Arc<dyn EventSink>,
        operation: Operation,
        pending: PendingCall,
    ) {
        let (store, events) = (Arc::clone(self), Arc::clone(events));
        tokio::spawn(async move {
            let (ping, mut echo) = StoreCall::new(Command::Ping);
            events.push(Event::StoreWanted(ping));
            let is_free = timeout(FREE_WITHIN, &mut echo.answer).await.is_ok();
            let has_answered = !is_free && {
                drop(echo.answer.await);
                let answer = timeout(CALL_LIMIT, pending.answer).await;
                matches!(answer, Ok(Ok(StoreAnswer::Done(_))))
            };
            if has_answered {
                store.circuit.lock().acquit();
            } else {
                let text = format!("did not answer within {} ms", store.limit().as_millis());
                store.record_failure(&events, operation, Fault::TimedOut, &text);
            }
        });
    }

    fn record_failure(
        self: &Arc<Self>,
        events: &Arc<dyn EventSink>,
        operation: Operation,
        fault: Fault,
        text: &str,
    ) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let failed = self.circuit.lock().failed(operation, fault);
        if failed.is_first {
            events.log(&self.config, Level::Warn, || failure_message(operation, text));
        }
        if failed.opens {
            self.start_probes(events);
        }
    }

    fn limit(&self) -> Duration {
        CALL_LIMIT.min(part(self.config.request_timeout, 2))
    }

    /// Probes the store at intervals until it answers or the manager no longer exists. Sends no
    /// probe while the last one is in flight, because probes would pile up in a hanging store.
    fn start_probes(self: &Arc<Self>, events: &Arc<dyn EventSink>) {
        let (store, events) = (Arc::downgrade(self), Arc::clone(events));
        tokio::spawn(async move {
            let mut in_flight = None;
            loop {
                sleep(PROBE_INTERVAL).await;
                let Some(store) = store.upgrade() else { return };
                let Some(has_answered) = store.probe(&events, &mut in_flight).await else {
                    continue;
                };
                if !has_answered {
                    store.failures.fetch_add(1, Ordering::Relaxed);
                }
                let probed = store.circuit.lock().probed(has_answered);
                let is_remaking = in_flight.as_mut().is_some_and(PendingCall::is_remaking);
                match probed {
                    Probed::Closes => return store.log_recovery(&events),
                    Probed::Remakes if store.settings.can_remake && !is_remaking => {
                        store.remake(&events, &mut in_flight).await;
                    }
                    Probed::StaysOpen | Probed::Remakes => {}
                }
            }
        });
    }

    /// Probes the store, unless the last call is still unanswered. Returns whether the store
    /// answers, or `None` if the manager cannot tell because the event loop is blocked.
    async fn probe(
        &self,
        events: &Arc<dyn EventSink>,
        in_flight: &mut Option<PendingCall>,
    ) -> Option<bool> {
        if in_flight.as_mut().is_none_or(PendingCall::has_ended) {
            let probe = Command::Get(self.settings.keys.probe_key());
            match self.call_once(events, probe).await {
                Ok(answer) => return answer.map(|answer| matches!(answer, StoreAnswer::Done(_))),
                Err(pending) => *in_flight = Some(pending),
            }
        }
        let has_started = in_flight.as_ref().is_some_and(PendingCall::has_started);
        has_started.then_some(false)
    }

    /// Makes the store replace its client. The old client's calls no longer count as in flight.
    async fn remake(&self, events: &Arc<dyn EventSink>, in_flight: &mut Option<PendingCall>) {
        match self.call_once(events, Command::Remake).await {
            Ok(Some(StoreAnswer::Done(_))) => *in_flight = None,
            Ok(_) => {}
            Err(pending) => *in_flight = Some(pending),
        }
    }

    /// Makes a call that concerns no entry. Returns its answer, or `None` if the functions belong
    /// to an earlier configuration. Returns the call itself if it takes too long.
    async fn call_once(
        &self,
        events: &Arc<dyn EventSink>,
        command: Command,
    ) -> Result<Option<StoreAnswer>, PendingCall> {
        let (call, mut pending) = StoreCall::new(command);
        events.push(Event::StoreWanted(call));
        match timeout(self.limit(), &mut pending.answer).await {
            Ok(answer) => Ok(answer.ok()),
            Err(_) => Err(pending),
        }
    }

    fn log_recovery(&self, events: &Arc<dyn EventSink>) {
        let message = "the shared store works again";
        events.log(&self.config, Level::Info, || message.to_owned());
    }
}

impl StoreEntry {
    /// Returns the entry's token. A failure of the store counts as a miss, as does an entry written
    /// without this manager's secret.
    pub(crate) async fn read(
        &self,
        clock: &dyn Clock,
        events: &Arc<dyn EventSink>,
    ) -> Option<Token> {
        let Called::Done(value) = self
            .store
            .call(events, Command::Get(self.key.clone()))
            .await
        else {
            return None;
        };
        let stored = self.store.settings.keys.open(&self.key, &value?)?;
        let config = &self.store.config;
        let dpop = config.dpop.as_ref();
        let dpop_key = dpop.map(|dpop| Arc::clone(&dpop.key));
        stored.into_token(clock.now(), config.expiry_buffer, dpop_key)
    }

    /// Writes a token, unless its life is nearly over.
    pub(crate) async fn write(
        &self,
        clock: &dyn Clock,
        events: &Arc<dyn EventSink>,
        token: &Token,
    ) {
        let life = token.remaining(clock.now());
        let sealed = self.store.settings.keys.seal(&self.key, token);
        if let Some(value) = sealed.filter(|_| life >= SHORTEST_LIFE) {
            let millis = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
            let command = Command::Set(self.key.clone(), value, millis);
            self.write_in_turn(events, command).await;
        }
    }

    /// Writes or deletes the entry after the write in progress. If several commands wait for that
    /// write, carries out only the last one.
    async fn write_in_turn(&self, events: &Arc<dyn EventSink>, command: Command) {
        let mut next = match self.store.writes.lock().entry(self.key.clone()) {
            Entry::Occupied(mut waiting) => {
                waiting.insert(Some(command));
                return;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(None);
                Some(command)
            }
        };
        while let Some(command) = next {
            self.store.call(events, command).await;
            let mut writes = self.store.writes.lock();
            next = writes.get_mut(&self.key).and_then(Option::take);
            if next.is_none() {
                writes.remove(&self.key);
            }
        }
    }

    /// Deletes the entry. If a write is in progress, waits for it, because it would restore the
    /// entry.
    pub(crate) async fn delete(&self, events: &Arc<dyn EventSink>) {
        let command = Command::Delete(self.key.clone());
        self.write_in_turn(events, command).await;
    }
}

fn failure_message(operation: Operation, detail: &str) -> String {
    let method = match operation {
        Operation::Get => "get",
        Operation::Set => "set",
        Operation::Delete => "delete",
    };
    format!(
        "the shared store's {method} method {detail}; meanwhile, the manager requests tokens from \
         the server and keeps trying the store"
    )
}
