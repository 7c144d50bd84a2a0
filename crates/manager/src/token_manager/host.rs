//! What a manager shares with its derived managers apart from the configuration: the clock, the
//! event sink and the runtime.

use std::sync::{Arc, OnceLock};

use crate::clock::Clock;
use crate::events::EventSink;
use crate::{Engine, EngineSource};

/// The clock, the event sink and the runtime of a manager and of its derived managers.
pub(super) struct Host<C: Clock> {
    pub(super) clock: Arc<C>,
    pub(super) events: Arc<dyn EventSink>,
    engine_source: EngineSource,
    engine: OnceLock<Engine>,
}

impl<C: Clock> Host<C> {
    pub(super) fn new(
        clock: Arc<C>,
        events: Arc<dyn EventSink>,
        engine_source: EngineSource,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock,
            events,
            engine_source,
            engine: OnceLock::new(),
        })
    }

    /// Creates the host for a changed configuration, which has its own event sink.
    pub(super) fn reporting_to(&self, events: Arc<dyn EventSink>) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(&self.clock),
            events,
            engine_source: Arc::clone(&self.engine_source),
            engine: self.engine.clone(),
        })
    }

    /// Returns the runtime if a flight has started it.
    pub(super) fn started_engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// Returns the runtime. Starts it for the first flight.
    pub(super) fn engine(&self) -> Option<&Engine> {
        if self.engine.get().is_none() {
            drop(self.engine.set((self.engine_source)()?));
        }
        self.engine.get()
    }
}
