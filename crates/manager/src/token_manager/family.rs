//! The managers that are derived from a manager, and the memory that they publish.

use std::collections::HashMap;
use std::sync::Arc;

use super::Manager;
use crate::acquire::revocation::Revocation;
use crate::clock::Clock;
use crate::derived::{DerivedRequest, ManagerId, PARENT};
use crate::published::{Published, PublishedCell};
use crate::snapshot::{Counters, DerivedSums};
use transport::Transport;

/// The number of managers that share an allocation of published memory, which JavaScript maps once.
const CHUNK: usize = 256;

/// The derived managers of a manager. A derived manager itself has no derived managers.
pub(super) struct Family<C: Clock, T: Transport> {
    managers: HashMap<ManagerId, Arc<Manager<C, T>>>,
    last_id: ManagerId,
    chunks: Vec<Arc<[Published]>>,
    free: Vec<PublishedCell>,
    /// The counters of managers that no longer exist.
    past: Counters,
}

impl<C: Clock, T: Transport> Default for Family<C, T> {
    fn default() -> Self {
        Self {
            managers: HashMap::new(),
            last_id: PARENT,
            chunks: Vec::new(),
            free: Vec::new(),
            past: Counters::default(),
        }
    }
}

impl<C: Clock, T: Transport> Family<C, T> {
    pub(super) fn get(&self, id: ManagerId) -> Option<Arc<Manager<C, T>>> {
        self.managers.get(&id).map(Arc::clone)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Manager<C, T>>> {
        self.managers.values()
    }

    pub(super) fn chunk(&self, number: usize) -> Option<Arc<[Published]>> {
        self.chunks.get(number).map(Arc::clone)
    }

    /// Adds the manager that `make` creates for an id and published memory.
    pub(super) fn add(
        &mut self,
        make: impl FnOnce(ManagerId, PublishedCell) -> Arc<Manager<C, T>>,
    ) -> (ManagerId, PublishedCell) {
        let id = self.next_id();
        let cell = self.cell();
        let manager = make(id, cell.clone());
        self.managers.insert(id, manager);
        (id, cell)
    }

    fn next_id(&mut self) -> ManagerId {
        loop {
            self.last_id = ManagerId(self.last_id.0.wrapping_add(1));
            if self.last_id != PARENT && !self.managers.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    fn cell(&mut self) -> PublishedCell {
        if let Some(cell) = self.free.pop() {
            return cell;
        }
        let number = self.chunks.len();
        let chunk: Arc<[Published]> = (0..CHUNK).map(|_| Published::default()).collect();
        self.chunks.push(Arc::clone(&chunk));
        // The first cell of the chunk is the last of the list.
        self.free = (0..CHUNK)
            .rev()
            .map(|index| PublishedCell::new(Arc::clone(&chunk), number, index))
            .collect();
        self.free
            .pop()
            .unwrap_or_else(|| PublishedCell::new(chunk, number, 0))
    }

    /// Removes a manager, whose counters stay in the sums.
    pub(super) fn remove(&mut self, id: ManagerId) -> Option<Arc<Manager<C, T>>> {
        let manager = self.managers.remove(&id)?;
        self.past.add(&manager.counters());
        self.free.push(manager.published.clone());
        Some(manager)
    }

    /// Returns the sums; `None` before the first derived manager.
    pub(super) fn sums(&self) -> Option<DerivedSums> {
        if self.last_id == PARENT {
            return None;
        }
        let mut sums = DerivedSums {
            managers: 0,
            tokens: 0,
            counters: self.past,
        };
        for manager in self.managers.values() {
            sums.managers = sums.managers.saturating_add(1);
            let holds_token = u32::from(manager.holds_token());
            sums.tokens = sums.tokens.saturating_add(holds_token);
            sums.counters.add(&manager.counters());
        }
        Some(sums)
    }

    /// Moves every manager to a changed configuration.
    pub(super) fn replace(
        &mut self,
        replacement: impl Fn(&Manager<C, T>) -> Arc<Manager<C, T>>,
    ) -> Self {
        let managers = self
            .managers
            .drain()
            .map(|(id, manager)| (id, replacement(&manager)))
            .collect();
        Self {
            managers,
            last_id: self.last_id,
            chunks: std::mem::take(&mut self.chunks),
            free: std::mem::take(&mut self.free),
            past: self.past,
        }
    }
}

impl<C: Clock, T: Transport> Manager<C, T> {
    /// Derives a manager for another request. Returns its id and its published memory; `None` if
    /// this manager is closed.
    pub fn derive(&self, request: DerivedRequest) -> Option<(ManagerId, PublishedCell)> {
        let inner = self.inner.lock().derive(Arc::new(request))?;
        let mut family = self.family.lock();
        let family = family.get_or_insert_default();
        Some(family.add(|id, published| Self::of(Arc::clone(&self.host), id, published, inner)))
    }

    /// Returns a derived manager, or `None` if JavaScript has released it.
    #[must_use]
    pub fn derived(&self, id: ManagerId) -> Option<Arc<Self>> {
        self.family.lock().as_ref()?.get(id)
    }

    /// Returns a part of the memory that derived managers publish.
    #[must_use]
    pub fn published_chunk(&self, number: usize) -> Option<Arc<[Published]>> {
        self.family.lock().as_ref()?.chunk(number)
    }

    /// Closes a derived manager and reuses its memory. A caller that still waits for this manager
    /// never receives an answer.
    pub fn release(&self, id: ManagerId) {
        let released = {
            let mut family = self.family.lock();
            family.as_mut().and_then(|family| family.remove(id))
        };
        if let Some(manager) = released {
            manager.end();
            manager.published.reset();
        }
    }

    /// Closes the manager and its derived managers as [`Manager::close`] does, but first takes
    /// their tokens, except for those in the shared store, and revokes the taken tokens in the
    /// background. Returns whether there is a token to revoke. If so, the manager sends log lines
    /// until [`Event::RevocationEnded`](crate::Event::RevocationEnded).
    pub fn revoke(&self) -> bool {
        let now = self.host.clock.now();
        let tokens: Vec<_> = {
            let family = self.family.lock();
            let derived = family.iter().flat_map(|family| family.all());
            derived
                .map(|manager| &**manager)
                .chain([self])
                .filter_map(|manager| {
                    let inner = manager.inner.lock();
                    // The other replicas use the tokens in the shared store.
                    let is_shared = inner.entry_if(true).is_some();
                    let token = inner.slot.token(now).filter(|_| !is_shared);
                    token.map(Arc::clone)
                })
                .collect()
        };
        let setup = self.inner.lock().setup.clone();
        self.close();
        let (Some(setup), Some(engine), false) =
            (setup, self.host.started_engine(), tokens.is_empty())
        else {
            return false;
        };
        let revocation = Revocation {
            setup,
            clock: Arc::clone(&self.host.clock),
            events: Arc::clone(&self.host.events),
            tokens,
        };
        engine.handle.spawn(revocation.run());
        true
    }

    /// Returns the counters without any other effect.
    fn counters(&self) -> Counters {
        let mut counters = self.inner.lock().counters();
        counters.hits += self.published.hits();
        counters.joins += self.published.joins();
        counters
    }

    fn holds_token(&self) -> bool {
        let now = self.host.clock.now();
        self.inner.lock().slot.token(now).is_some()
    }
}
