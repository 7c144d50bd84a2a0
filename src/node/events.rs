//! The events of a manager, as JavaScript handles them.

use std::time::Duration;

use super::core::Core;
use super::engine;
use super::values::{
    AcquisitionData, CoolDownData, EventData, FailureData, epoch_ms, request_wanted, store_wanted,
};
use manager::clock::Clock;
use manager::credential::SecretCall;
use manager::events::FlightFacts;
use manager::published::NO_TOKEN;
use manager::slot::{FlightResult, Storage, Token};
use manager::store::{Command, StoreAnswer, StoreCall};

impl Core {
    pub(super) fn event(&self, is_former: bool, event: manager::Event) -> Option<EventData> {
        Some(match event {
            manager::Event::FlightStarted {
                manager,
                flight,
                facts,
                at,
            } => EventData::FlightStarted {
                manager: manager.0,
                flight: flight.0,
                cause: facts.cause.as_str(),
                grant_type: facts.grant_type,
                at: epoch_ms(at),
            },
            manager::Event::FlightEnded {
                manager,
                flight,
                outcome,
                version,
                facts,
                requests,
                took,
            } => {
                let is_observed = self.events.observes_ends();
                let acquisition = is_observed.then(|| acquisition(facts, requests, took, &outcome));
                let place = (manager.0, flight.0, version);
                self.flight_ended(place, outcome, acquisition, is_former)
            }
            manager::Event::TokenDropped(manager) => EventData::TokenDropped { manager: manager.0 },
            manager::Event::RevocationEnded => EventData::RevocationEnded {},
            manager::Event::Log(level, message) => EventData::Log {
                level: level.as_str().to_owned(),
                message,
            },
            // The event belongs to an earlier configuration, whose functions must not run any more.
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
        (manager, flight, version): (u32, u32, u32),
        outcome: FlightResult,
        acquisition: Option<AcquisitionData>,
        is_former: bool,
    ) -> EventData {
        if is_former && outcome.is_void_after_change() {
            return EventData::AskAgain {
                manager,
                flight,
                acquisition,
            };
        }
        // A token may expire while the event loop is blocked.
        let now = engine::clock().now();
        let has_expired = |token: &Token| token.age(now) >= token.life.granted();
        match outcome.result {
            Ok(token) if outcome.storage != Storage::Expired && has_expired(&token) => {
                EventData::AskAgain {
                    manager,
                    flight,
                    acquisition,
                }
            }
            Ok(token) => EventData::Acquired {
                manager,
                flight,
                token: self.token(token, version),
                acquisition,
            },
            Err(error) => EventData::Failed {
                manager,
                flight,
                failure: FailureData::new(&error, outcome.retry_after),
                fallback: outcome
                    .fallback
                    .filter(|token| !has_expired(token))
                    .map(|token| self.token(token, NO_TOKEN)),
                acquisition,
            },
        }
    }

    /// Starts a call to the secret function or to an assertion function. Returns the id of the
    /// call, or `None` if no acquisition waits for it.
    fn begin_secret_call(&self, call: SecretCall) -> Option<u32> {
        if !call.start() {
            return None;
        }
        let id = self.last_secret_call.get().wrapping_add(1);
        self.last_secret_call.set(id);
        self.secret_calls.borrow_mut().insert(id, call);
        Some(id)
    }

    /// Starts a call to the store. Returns `None` if the manager no longer waits for it. Also
    /// forgets the calls that the manager has abandoned, because a store may never answer them.
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

fn acquisition(
    facts: FlightFacts,
    requests: u32,
    took: Duration,
    outcome: &FlightResult,
) -> AcquisitionData {
    let failure = outcome.result.as_ref().err();
    AcquisitionData {
        cause: facts.cause.as_str(),
        grant_type: facts.grant_type,
        attempts: requests,
        seconds: took.as_secs_f64(),
        failure: failure.map(|error| FailureData::new(error, outcome.retry_after)),
        cool_down: outcome.cool_down.map(|cool_down| CoolDownData {
            seconds: cool_down.length.as_secs_f64(),
            failures: cool_down.failures,
        }),
        has_recovered: failure.is_none() && outcome.is_transition,
    }
}
