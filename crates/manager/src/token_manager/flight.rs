//! A flight: the task that acquires a token for a manager, and the setup that it uses.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Manager;
use crate::acquire::server::KnownServer;
use crate::acquire::{Acquired, Acquisition, Flight};
use crate::clock::Clock;
use crate::config::Config;
use crate::credential::CredentialProvider;
use crate::error::Error;
use crate::slot::{FlightId, NewFlight};
use transport::Transport;

/// The parts that every flight of a manager uses. A change of the configuration creates a new
/// manager.
pub(crate) struct Setup<T> {
    pub(crate) config: Config,
    pub(crate) credentials: CredentialProvider,
    pub(crate) server: Arc<KnownServer>,
    pub(crate) transport: Arc<T>,
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
            closing: Arc::new(Semaphore::new(0)),
        }
    }

    /// Creates the setup for a changed configuration. It keeps the known facts about a server that
    /// stays the same.
    pub(super) fn replace(&self, config: Config, transport: Arc<T>) -> Self {
        let new = Self::new(config, transport);
        let keeps_target = self.config.target == new.config.target;
        Self {
            server: if keeps_target {
                Arc::clone(&self.server)
            } else {
                new.server
            },
            closing: Arc::clone(&self.closing),
            ..new
        }
    }
}

/// A flight in progress. It notifies its waiters exactly once, even if its task panics or is
/// cancelled.
pub(super) struct RunningFlight<C: Clock, T: Transport> {
    manager: Arc<Manager<C, T>>,
    id: FlightId,
    has_ended: bool,
}

impl<C: Clock, T: Transport> RunningFlight<C, T> {
    pub(super) fn new(manager: Arc<Manager<C, T>>, id: FlightId) -> Self {
        Self {
            manager,
            id,
            has_ended: false,
        }
    }

    /// Acquires a token, unless the manager closes first.
    pub(super) async fn fly(self, new_flight: NewFlight, setup: Arc<Setup<T>>) {
        let acquisition = Acquisition {
            setup: &setup,
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

    pub(super) fn end(mut self, acquired: Acquired) {
        // If the code below panics, `drop` notifies the waiters.
        self.manager.end_flight(self.id, acquired);
        self.has_ended = true;
    }
}

impl<C: Clock, T: Transport> Flight for RunningFlight<C, T> {
    fn note_sending(&self) {
        self.manager.inner.lock().slot.note_sending(self.id);
    }

    fn is_needed(&self) -> bool {
        self.manager.inner.lock().slot.is_needed(self.id)
    }
}

impl<C: Clock, T: Transport> Drop for RunningFlight<C, T> {
    fn drop(&mut self) {
        if !self.has_ended {
            // The task panicked or was cancelled, or the runtime has shut down.
            self.manager
                .end_flight(self.id, Acquired::without_request(Error::internal()));
        }
    }
}
