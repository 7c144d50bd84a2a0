//! The end of a flight: the slot stores the result, the waiters receive it, and the shared store
//! deletes a token that must not be used any more.

use std::sync::Arc;
use std::time::Duration;

use super::Manager;
use crate::acquire::Acquired;
use crate::clock::Clock;
use crate::events::{Event, FlightFacts};
use crate::published::NO_TOKEN;
use crate::slot::{FlightId, FlightResult, Storage, Token};
use crate::store::StoreEntry;
use transport::Transport;

/// The facts about a flight that has ended, with its number of requests and its duration.
#[derive(Clone, Copy)]
struct Effort {
    facts: FlightFacts,
    requests: u32,
    took: Duration,
}

impl<C: Clock, T: Transport> Manager<C, T> {
    /// Stores the result of a flight and notifies its waiters. Returns the token if other managers
    /// may use it as well: the slot has stored it, and its lifetime is certain.
    pub(super) fn end_flight(
        &self,
        flight: FlightId,
        facts: FlightFacts,
        acquired: Acquired,
    ) -> Option<Arc<Token>> {
        let (requests, took) = (acquired.requests, acquired.took);
        let is_doubtful = acquired.warning.is_some();
        let ((outcome, entry), version) = self.transact(|inner, now| {
            let entry = inner.entry_if(inner.is_end_of_subject(&acquired.result));
            ((inner.end_flight(now, flight, acquired), entry), None)
        });
        self.delete(entry);
        // `None`: the manager was closed.
        let outcome = outcome?;
        self.log_outcome(&outcome, took);
        let is_stored = matches!(outcome.storage, Storage::Kept | Storage::Settling);
        let token = outcome.result.as_ref().ok().map(Arc::clone);
        self.notify(
            flight,
            outcome,
            version,
            Effort {
                facts,
                requests,
                took,
            },
        );
        token.filter(|_| is_stored && !is_doubtful)
    }

    /// Ends a flight with a token from the shared store. Returns whether the slot uses the token.
    pub(super) fn end_stored_flight(
        &self,
        flight: FlightId,
        facts: FlightFacts,
        token: Token,
        took: Duration,
    ) -> bool {
        let (outcome, version) =
            self.transact(|inner, now| (inner.end_stored_flight(now, flight, token, took), None));
        let Some(outcome) = outcome else { return false };
        self.log_stored(&outcome);
        let effort = Effort {
            facts,
            requests: 0,
            took,
        };
        self.notify(flight, outcome, version, effort);
        true
    }

    fn notify(&self, flight: FlightId, outcome: FlightResult, version: u32, effort: Effort) {
        let Effort {
            facts,
            requests,
            took,
        } = effort;
        self.host.events.push(Event::FlightEnded {
            manager: self.id,
            flight,
            version: if outcome.storage == Storage::Kept {
                version
            } else {
                NO_TOKEN
            },
            outcome,
            facts,
            requests,
            took,
        });
    }

    /// Deletes the entry of a dropped token from the shared store, in the background. Other
    /// replicas write the entry again when they replace their tokens.
    pub(super) fn delete(&self, entry: Option<StoreEntry>) {
        // A manager without a runtime has started no flight, and therefore holds no token.
        if let (Some(entry), Some(engine)) = (entry, self.host.started_engine()) {
            let events = Arc::clone(&self.host.events);
            let deletion = async move { entry.delete(&events).await };
            engine.handle.spawn(deletion);
        }
    }
}
