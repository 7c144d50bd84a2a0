//! The events of a manager, as JavaScript handles them.

use super::core::Core;
use super::engine;
use super::values::{EventData, FailureData, request_wanted, store_wanted};
use manager::clock::Clock;
use manager::credential::SecretCall;
use manager::published::NO_TOKEN;
use manager::slot::{FlightResult, Storage, Token};
use manager::store::{Command, StoreAnswer, StoreCall};

impl Core {
    pub(super) fn event(&self, is_former: bool, event: manager::Event) -> Option<EventData> {
        Some(match event {
            manager::Event::FlightEnded {
                manager,
                flight,
                outcome,
                version,
            } => self.flight_ended(manager.0, flight.0, outcome, version, is_former),
            manager::Event::TokenDropped(manager) => EventData::TokenDropped { manager: manager.0 },
            manager::Event::RevocationEnded => EventData::RevocationEnded {},
            manager::Event::Log(level, message) => EventData::Log {
                level: level.as_str().to_owned(),
                message,
            },
            // The user's function belongs to another configuration now.
            manager::Event::SecretWanted(_)
            | manager::Event::RequestWanted(_)
            | manager::Event::StoreWanted(_)
                if is_former =>
            {
                return None;
            }
            manager::Event::SecretWanted(call) => EventData::SecretWanted {
                manager: call.manager().0,
                call: self.begin_secret_call(call)?,
            },
            manager::Event::StoreWanted(call) => self.begin_store_call(call)?,
            manager::Event::RootsWanted => EventData::RootsWanted {},
            manager::Event::RequestWanted(delegated) => {
                if !delegated.pending.start() {
                    return None;
                }
                let mut requests = self.requests.borrow_mut();
                requests.insert(delegated.id, delegated.pending);
                request_wanted(delegated.id, delegated.request)
            }
            manager::Event::RequestAbandoned(request) => {
                self.requests.borrow_mut().remove(&request)?;
                EventData::RequestAbandoned { request }
            }
        })
    }

    fn flight_ended(
        &self,
        manager: u32,
        flight: u32,
        outcome: FlightResult,
        version: u32,
        is_former: bool,
    ) -> EventData {
        if is_former && outcome.is_void_after_change() {
            return EventData::AskAgain { manager, flight };
        }
        // A token may expire while the event loop is blocked.
        let now = engine::clock().now();
        let has_expired = |token: &Token| token.age(now) >= token.life.granted;
        match outcome.result {
            Ok(token) if outcome.storage != Storage::Expired && has_expired(&token) => {
                EventData::AskAgain { manager, flight }
            }
            Ok(token) => EventData::Acquired {
                manager,
                flight,
                token: self.token(token, version),
            },
            Err(error) => EventData::Failed {
                manager,
                flight,
                failure: FailureData::new(&error, outcome.retry_after),
                fallback: outcome
                    .fallback
                    .filter(|token| !has_expired(token))
                    .map(|token| self.token(token, NO_TOKEN)),
            },
        }
    }

    /// Starts a call to the secret function or to an assertion function. Returns the id of the call,
    /// or `None` if no acquisition waits for it.
    fn begin_secret_call(&self, call: SecretCall) -> Option<u32> {
        if !call.start() {
            return None;
        }
        let id = self.last_secret_call.get().wrapping_add(1);
        self.last_secret_call.set(id);
        self.secret_calls.borrow_mut().insert(id, call);
        Some(id)
    }

    /// Starts a call to the store. Returns `None` if the manager no longer waits for it. Also forgets
    /// the calls that the manager has abandoned: a store may never answer.
    fn begin_store_call(&self, call: StoreCall) -> Option<EventData> {
        if !call.start() {
            return None;
        }
        if matches!(call.command, Command::Ping) {
            call.settle(StoreAnswer::Done(None));
            return None;
        }
        let id = self.last_store_call.get().wrapping_add(1);
        self.last_store_call.set(id);
        let event = store_wanted(id, &call.command);
        let mut calls = self.store_calls.borrow_mut();
        calls.retain(|_, call| !call.is_abandoned());
        calls.insert(id, call);
        Some(event)
    }
}
