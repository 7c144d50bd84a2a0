//! A flight: the task that acquires a token for a manager, and the setup that it uses.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Manager;
use super::inner::PreparedFlight;
use crate::acquire::exchanges::Exchanges;
use crate::acquire::server::KnownServer;
use crate::acquire::trouble::{AcquisitionId, Trouble};
use crate::acquire::{Acquired, Acquisition, Flight};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::credential::CredentialProvider;
use crate::derived::ManagerId;
use crate::error::Error;
use crate::events::FlightFacts;
use crate::slot::{FlightId, RouteBudget};
use transport::Transport;

/// The number of different warnings that a configuration logs once each.
const MAX_WARNINGS: usize = 256;

/// The parts that every flight of a manager and of its derived managers uses: all that derived
/// managers share. Each has its own slot, and with it its own token, flights, rejections of routes
/// and cool-down after failures that concern its request alone. A changed configuration creates a
/// new setup.
pub(crate) struct Setup<T> {
    pub(crate) config: Config,
    pub(crate) credentials: CredentialProvider,
    pub(crate) server: Arc<KnownServer>,
    pub(crate) transport: Arc<T>,
    pub(crate) trouble: Trouble,
    pub(crate) exchanges: Exchanges,
    /// The budget of tokens that routes may have dropped.
    pub(super) budget: Arc<Mutex<RouteBudget>>,
    /// Hashes of the warnings that are logged once, whichever manager meets them first.
    warnings: Mutex<HashSet<u64>>,
    /// A semaphore that closes with the manager. It has no permits, so a wait for one ends only
    /// when the manager closes. A channel would take five times the memory in every manager.
    pub(super) closing: Arc<Semaphore>,
}

impl<T> Setup<T> {
    pub(super) fn new(config: Config, transport: Arc<T>) -> Self {
        Self {
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
        let new = Self::new(config.with_key_of(&self.config), transport);
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

    /// Records a warning. Returns whether it is the first of its kind.
    pub(crate) fn warns_first_time(&self, warning: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        warning.hash(&mut hasher);
        let mut warnings = self.warnings.lock();
        warnings.len() < MAX_WARNINGS && warnings.insert(hasher.finish())
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

    /// Acquires a token, unless the manager closes first.
    pub(super) async fn fly(self, prepared: PreparedFlight<T>) {
        let id = self.acquisition_id();
        let (setup, new_flight) = (&prepared.setup, prepared.new_flight);
        let _probe = setup.trouble.guard(id);
        let acquisition = Acquisition {
            setup,
            grant: prepared.grant(),
            trace_parent: prepared.trace_parent.as_ref(),
            id,
            clock: &*self.manager.clock,
            events: &self.manager.events,
            attempts: new_flight.attempts,
            is_paced: new_flight.is_paced,
            flight: &self,
        };
        let acquired = tokio::select! {
            biased;
            _ = setup.closing.acquire() => return,
            acquired = acquisition.run() => acquired,
        };
        self.end(acquired);
    }

    fn acquisition_id(&self) -> AcquisitionId {
        u64::from(self.manager.id.0).rotate_left(u32::BITS) | u64::from(self.id.0)
    }

    pub(super) fn end(mut self, acquired: Acquired) {
        // If the code below panics, `drop` notifies the waiters.
        self.manager.end_flight(self.id, self.facts, acquired);
        self.has_ended = true;
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
