//! A flight: the task that acquires a token for a manager, and the setup that it uses.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Manager;
use crate::acquire::exchanges::Exchanges;
use crate::acquire::server::KnownServer;
use crate::acquire::trouble::{AcquisitionId, Trouble};
use crate::acquire::{Acquired, Acquisition, Flight};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::credential::CredentialProvider;
use crate::derived::{DerivedRequest, ManagerId};
use crate::error::Error;
use crate::events::FlightFacts;
use crate::slot::{FlightId, NewFlight, RouteBudget, Token};
use crate::store::{SharedStore, StoreEntry};
use oauth::{Grant, TraceParent};
use transport::Transport;

/// The maximum number of different warnings that the managers of a configuration log.
const MAX_WARNINGS: usize = 256;

/// The parts that a manager shares with its derived managers, and that every flight of these
/// managers uses. Each manager has its own slot, which holds its token, its flights, its routes'
/// rejections, and its cool-down after failures that concern only its own request. A changed
/// configuration creates a new setup.
pub(crate) struct Setup<T> {
    pub(crate) config: Config,
    pub(crate) credentials: CredentialProvider,
    pub(crate) server: Arc<KnownServer>,
    pub(crate) transport: Arc<T>,
    pub(crate) trouble: Trouble,
    pub(crate) exchanges: Exchanges,
    store: Option<Arc<SharedStore>>,
    /// The number of failed calls to the store, across all configurations.
    pub(super) store_failures: Arc<AtomicU64>,
    /// The drop budget that the managers share.
    pub(super) budget: Arc<Mutex<RouteBudget>>,
    /// Hashes of the warnings that the managers have logged. The managers log each warning only
    /// once.
    warnings: Mutex<HashSet<u64>>,
    /// A semaphore that closes with the manager. It has no permits, so a wait for one ends only
    /// when the manager closes. A channel would take five times the memory in every manager.
    pub(super) closing: Arc<Semaphore>,
}

impl<T> Setup<T> {
    pub(super) fn new(config: Config, transport: Arc<T>) -> Self {
        Self::counting(config, transport, Arc::default())
    }

    fn counting(config: Config, transport: Arc<T>, store_failures: Arc<AtomicU64>) -> Self {
        Self {
            store: SharedStore::new(&config, &store_failures),
            store_failures,
            credentials: CredentialProvider::new(config.credential.clone()),
            server: Arc::default(),
            config,
            transport,
            trouble: Trouble::default(),
            exchanges: Exchanges::default(),
            budget: Arc::default(),
            warnings: Mutex::default(),
            closing: Arc::new(Semaphore::new(0)),
        }
    }

    /// Creates the setup for a changed configuration. It keeps the known facts about a server that
    /// stays the same, and the key that the manager generated.
    pub(super) fn replace(&self, config: Config, transport: Arc<T>) -> Self {
        let failures = Arc::clone(&self.store_failures);
        let new = Self::counting(config.with_key_of(&self.config), transport, failures);
        let keeps_target = self.config.target == new.config.target;
        Self {
            server: if keeps_target {
                Arc::clone(&self.server)
            } else {
                new.server
            },
            closing: Arc::clone(&self.closing),
            budget: Arc::clone(&self.budget),
            ..new
        }
    }

    /// Returns the shared store's entry for this grant, if the manager shares its token.
    pub(super) fn entry(&self, grant: &Grant) -> Option<StoreEntry> {
        let store = self.store.as_ref()?;
        let is_shared = self.config.shares(&grant.grant_type);
        is_shared.then(|| store.entry(grant))
    }

    /// Records a warning. Returns whether it is the first of its kind.
    pub(crate) fn warns_first_time(&self, warning: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        warning.hash(&mut hasher);
        let mut warnings = self.warnings.lock();
        warnings.len() < MAX_WARNINGS && warnings.insert(hasher.finish())
    }
}

/// A flight to start.
pub(super) struct PreparedFlight<T> {
    pub(super) new_flight: NewFlight,
    pub(super) setup: Arc<Setup<T>>,
    /// The request of a derived manager; `None` for the grant of the configuration.
    pub(super) request: Option<Arc<DerivedRequest>>,
    /// The trace context of the call that starts the flight.
    pub(super) trace_parent: Option<TraceParent>,
}

impl<T> PreparedFlight<T> {
    fn grant(&self) -> Cow<'_, Grant> {
        let config = &self.setup.config;
        match &self.request {
            Some(request) => Cow::Owned(request.grant(config)),
            None => Cow::Borrowed(&config.grant),
        }
    }

    pub(super) fn facts(&self) -> FlightFacts {
        FlightFacts {
            cause: self.new_flight.cause,
            grant_type: match &self.request {
                Some(request) => request.grant_type.as_str(),
                None => self.setup.config.grant.grant_type.as_str(),
            },
        }
    }
}

/// A flight in progress. It notifies its waiters exactly once, even if its task panics or is
/// cancelled.
pub(super) struct RunningFlight<C: Clock, T: Transport> {
    manager: Arc<Manager<C, T>>,
    id: FlightId,
    facts: FlightFacts,
    has_ended: bool,
}

impl<C: Clock, T: Transport> RunningFlight<C, T> {
    pub(super) fn new(manager: Arc<Manager<C, T>>, id: FlightId, facts: FlightFacts) -> Self {
        Self {
            manager,
            id,
            facts,
            has_ended: false,
        }
    }

    /// Acquires a token, and writes it to the shared store if the manager has one. Stops when the
    /// manager closes.
    pub(super) async fn fly(&mut self, prepared: &PreparedFlight<T>) {
        let Some((token, entry)) = self.acquire(prepared).await else {
            return;
        };
        let host = &self.manager.host;
        let write = Box::pin(entry.write(&*host.clock, &host.events, &token));
        tokio::select! {
            biased;
            _ = prepared.setup.closing.acquire() => {}
            () = write => {}
        }
    }

    /// Acquires a token, unless the manager closes first. Asks the shared store, if the manager has
    /// one, before the server. Returns the token to write to the store.
    async fn acquire(&mut self, prepared: &PreparedFlight<T>) -> Option<(Arc<Token>, StoreEntry)> {
        let (setup, new_flight) = (&prepared.setup, &prepared.new_flight);
        let grant = &*prepared.grant();
        let entry = setup.entry(grant);
        let flight = &*self;
        let mut acquisition = Acquisition {
            setup,
            grant,
            trace_parent: prepared.trace_parent.as_ref(),
            id: flight.acquisition_id(),
            clock: &*flight.manager.host.clock,
            events: &flight.manager.host.events,
            attempts: new_flight.attempts,
            is_paced: new_flight.is_paced,
            waited: Duration::ZERO,
            flight,
        };
        let stored = entry.as_ref().filter(|_| new_flight.reads_store);
        let acquire = async {
            if let Some(entry) = stored {
                acquisition.waited = Box::pin(flight.read_store(entry)).await?;
            }
            let _probe = setup.trouble.guard(acquisition.id);
            Some(acquisition.run().await)
        };
        let acquired = tokio::select! {
            biased;
            _ = setup.closing.acquire() => return None,
            acquired = acquire => acquired,
        };
        let Some(acquired) = acquired else {
            self.has_ended = true;
            return None;
        };
        self.end(acquired).zip(entry)
    }

    /// Ends the flight with the token from the shared store. If the manager cannot use that token,
    /// returns the time that the store took.
    async fn read_store(&self, entry: &StoreEntry) -> Option<Duration> {
        let clock = &*self.manager.host.clock;
        let start = clock.now();
        let stored = entry.read(clock, &self.manager.host.events).await;
        let waited = clock.now().monotonic().saturating_sub(start.monotonic());
        let has_ended = stored.is_some_and(|token| {
            self.manager
                .end_stored_flight(self.id, self.facts, token, waited)
        });
        (!has_ended).then_some(waited)
    }

    fn acquisition_id(&self) -> AcquisitionId {
        u64::from(self.manager.id.0).rotate_left(u32::BITS) | u64::from(self.id.0)
    }

    /// Ends the flight. Returns the token to write to the shared store, if the flight obtained one.
    pub(super) fn end(&mut self, acquired: Acquired) -> Option<Arc<Token>> {
        // If the code below panics, `drop` notifies the waiters.
        let kept = self.manager.end_flight(self.id, self.facts, acquired);
        self.has_ended = true;
        kept
    }
}

impl<C: Clock, T: Transport> Flight for RunningFlight<C, T> {
    fn note_sending(&self) {
        self.manager.inner.lock().slot.note_sending(self.id);
    }

    fn note_success(&self, sent: Moment) {
        self.manager.inner.lock().last_success = Some(sent);
    }

    fn last_success(&self) -> Option<Moment> {
        self.manager.inner.lock().last_success
    }

    fn is_latest(&self) -> bool {
        self.manager.inner.lock().slot.is_latest(self.id)
    }

    fn is_needed(&self) -> bool {
        self.manager.inner.lock().slot.is_needed(self.id)
    }

    fn manager(&self) -> ManagerId {
        self.manager.id
    }
}

impl<C: Clock, T: Transport> Drop for RunningFlight<C, T> {
    fn drop(&mut self) {
        if !self.has_ended {
            // The task panicked or was cancelled, or the runtime has shut down.
            let acquired = Acquired::without_request(Error::internal());
            self.manager.end_flight(self.id, self.facts, acquired);
        }
    }
}
