//! Runs the slot and its model side by side: it applies every event to both and compares their
//! observable state. It also checks, without the model, that the slot loses no valid token and
//! hands out no expired token.

use std::fmt::Debug;

use manager::slot::schedule::Life;
use manager::slot::{
    Call, Clearing, Decision, FlightId, FlightResult, Invalidation, RouteId, Slot, Token, TokenId,
};
use oauth::AccessToken;

use super::facts::{Fact, ModelFailure, ModelToken, Ns, SECOND, Time};
use super::model::{Model, ModelResult};
use super::plain;
use super::plain::{duration, moment, ns, number};

/// An event for the slot and the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotEvent {
    /// Time passes.
    Pass(Ns),
    /// The wall clock steps. A suspension of the machine looks like a step forward.
    WallStep(Ns),
    Call(Call),
    /// An API rejects the held token, or the last one if the slot holds none.
    RejectLast,
    /// An API rejects a token that the slot does not hold.
    RejectOther,
    Clear,
    Wake {
        is_used: bool,
    },
    /// A flight lands with a token.
    Succeed {
        flight: u32,
        lifetime: Ns,
        /// Whether the manager sent the request at the start of the flight, and not just now.
        has_travelled: bool,
        jitter: Ns,
    },
    Fail {
        flight: u32,
        failure: ModelFailure,
        jitter: Ns,
    },
    Configure {
        in_background: bool,
        changes_grant: bool,
    },
    Close,
}

/// The slot and the model at one time.
#[derive(Clone)]
pub(crate) struct Comparison {
    pub(crate) slot: Slot,
    pub(crate) model: Model,
    pub(crate) now: Time,
    buffer: Ns,
    /// The name and the id of the token that the slot stored last.
    pub(crate) last: Option<(u32, TokenId)>,
}

type Checked = Result<(), String>;

impl Comparison {
    pub(crate) fn new(in_background: bool, buffer: Ns) -> Self {
        Self {
            slot: Slot::new(in_background),
            model: Model::new(in_background),
            now: Time {
                mono: 0,
                wall: 1_000_000_000 * SECOND,
            },
            buffer,
            last: None,
        }
    }

    /// Applies an event to the slot and the model. Returns the first difference or broken rule as
    /// an error.
    pub(crate) fn apply(&mut self, event: SlotEvent) -> Checked {
        let (now, at) = (self.now, moment(self.now));
        let before = self.slot.token(at).cloned();
        let mut may_lose = false;
        match event {
            SlotEvent::Pass(wait) => self.now = now.plus(wait),
            SlotEvent::WallStep(by) => self.now.wall += by,
            SlotEvent::Call(call) => self.call(call)?,
            SlotEvent::RejectLast => {
                let last = self.last.map_or(0, |(token, _)| token);
                may_lose = self.reject(last)? == Invalidation::Dropped;
            }
            SlotEvent::RejectOther => {
                self.reject(u32::MAX)?;
            }
            SlotEvent::Clear => {
                let clearing = self.slot.clear(at);
                let expected = self.model.clear(now, clearing == Clearing::Kept);
                same("clearing", &clearing, &expected)?;
                may_lose = clearing == Clearing::Dropped;
            }
            SlotEvent::Wake { is_used } => {
                let new_flight = self.slot.start_due_refresh(at, is_used);
                same("the wake", &new_flight, &self.model.wake(now, is_used))?;
            }
            SlotEvent::Succeed {
                flight,
                lifetime,
                has_travelled,
                jitter,
            } => {
                let in_the_air = self.model.log.in_the_air();
                let new_flight = in_the_air.into_iter().find(|(other, _)| *other == flight);
                let token = ModelToken {
                    name: flight,
                    sent: new_flight
                        .filter(|_| has_travelled)
                        .map_or(now, |(_, at)| at),
                    lifetime,
                    buffer: self.buffer,
                };
                self.succeed(token, jitter)?;
            }
            SlotEvent::Fail {
                flight,
                failure,
                jitter,
            } => self.fail(flight, failure, jitter)?,
            SlotEvent::Configure {
                in_background,
                changes_grant,
            } => self.configure(in_background, changes_grant)?,
            SlotEvent::Close => {
                self.slot.close();
                self.model.close(now);
                may_lose = true;
            }
        }
        if self.now != now {
            self.slot.advance(moment(self.now));
            self.model.log.note(self.now, Fact::Looked);
        }
        self.adopted();
        let is_over = before.is_none_or(|token| token.remaining(moment(self.now)).is_zero());
        let is_there = self.slot.token(moment(self.now)).is_some();
        ensure(is_over || is_there || may_lose, "the slot lost a valid token")?;
        self.compare()
    }

    fn call(&mut self, call: Call) -> Checked {
        let decision = self.slot.decide(moment(self.now), call);
        if let Decision::Use { token, .. } = &decision {
            self.handed_out(token)?;
        }
        same("the answer", &plain::answer(&decision), &self.model.call(self.now, call))
    }

    fn reject(&mut self, token: u32) -> Result<Invalidation, String> {
        let (now, rejected) = (self.now, plain::name(token));
        let verdict = self.slot.invalidate(moment(now), &rejected, RouteId(0));
        let is_spaced = verdict == Invalidation::Kept;
        same("the rejection", &verdict, &self.model.reject(now, token, is_spaced))?;
        Ok(verdict)
    }

    fn configure(&mut self, in_background: bool, changes_grant: bool) -> Checked {
        let (now, at) = (self.now, moment(self.now));
        let mut successor = self.slot.hand_over(at, in_background, changes_grant);
        same("the slot handed over", &self.slot.token_id(), &None)?;
        let new_flight = successor.start_due_refresh(at, false);
        self.slot = successor;
        let expected = self.model.configure(now, in_background, changes_grant);
        same("the change of configuration", &new_flight, &expected)
    }

    fn fail(&mut self, flight: u32, failure: ModelFailure, jitter: Ns) -> Checked {
        let (now, at) = (self.now, moment(self.now));
        let error = Err(plain::error(failure));
        let landing = self
            .slot
            .land(at, FlightId(flight), error, plain::part(jitter));
        let given = landing.result.as_ref().err().map(plain::failure);
        same("the failure", &given, &Some(failure))?;
        let landed = self.model.fail(now, flight, failure, jitter);
        self.landed(&landing, &landed)
    }

    /// Lands a flight with a token, which has the name of the flight.
    fn succeed(&mut self, model: ModelToken, jitter: Ns) -> Checked {
        let (now, flight) = (self.now, model.name);
        let life = Life::new(duration(model.lifetime), duration(model.buffer));
        same("the end of a life", &ns(life.hard()), &model.end())?;
        same("the staleness of a life", &ns(life.soft()), &model.staleness())?;
        let token = Token {
            dpop_key: None,
            access_token: AccessToken::new(plain::name(flight)).unwrap(),
            scope: None,
            sent: moment(model.sent),
            expiry: None,
            life,
        };
        let landing = self
            .slot
            .land(moment(now), FlightId(flight), Ok(token), plain::part(jitter));
        let is_given = landing
            .result
            .as_ref()
            .is_ok_and(|got| got.access_token.is(&plain::name(flight)));
        ensure(is_given, "the waiting callers did not get the token of the landing")?;
        let landed = self.model.succeed(now, flight, model, jitter);
        self.landed(&landing, &landed)
    }

    /// Records the held token if the slot adopted it just now.
    fn adopted(&mut self) {
        let (id, token) = (self.slot.token_id(), self.slot.token(moment(self.now)));
        if let (Some(id), Some(token)) = (id, token)
            && self.last.is_none_or(|(_, last)| last != id)
        {
            self.last = Some((number(token), id));
        }
    }

    fn landed(&self, landing: &FlightResult, expected: &ModelResult) -> Checked {
        same("the storage of the token", &landing.storage, &expected.storage)?;
        if let Some(token) = &landing.fallback {
            self.handed_out(token)?;
        }
        // A closed manager reports no landing.
        if self.model.log.is_closed() {
            return ensure(landing.fallback.is_none(), "a closed slot handed out a token");
        }
        let landed = ModelResult {
            storage: landing.storage,
            fallback: landing.fallback.as_deref().map(number),
            is_transition: landing.is_transition,
            warns: landing.warns_of_minimum,
            retry_after: landing.retry_after.map(ns),
        };
        same("the landing", &landed, expected)
    }

    fn handed_out(&self, token: &Token) -> Checked {
        let age = ns(token.age(moment(self.now)));
        let (end, over) = (ns(token.life.hard()), ns(token.life.granted()));
        ensure(age < end && age < over, "the slot handed out an expired token")
    }

    /// Compares the state that the read-only functions show.
    fn compare(&self) -> Checked {
        let (now, at) = (self.now, moment(self.now));
        same("the condition", &self.slot.condition(at), &self.model.condition(now))?;
        let token = self.slot.token(at).map(|token| number(token));
        same("the held token", &token, &self.model.token(now).map(|token| token.name))?;
        let servable = self.slot.servable(at);
        same("servable", &servable.is_some(), &self.model.serves(now))?;
        if let (Some(token), Some((last, id))) = (token, self.last) {
            same("the token of the id", &token, &last)?;
            same("the id", &self.slot.token_id(), &Some(id))?;
            same("the id served", &servable.unwrap_or(id), &id)?;
        }
        // The slot serves a token without a call if, and only if, a call would return it without a
        // new flight.
        let decision = self.slot.clone().decide(at, Call::Any);
        let needs_nobody = matches!(
            decision,
            Decision::Use {
                new_flight: None,
                ..
            }
        );
        same("servable without a call", &servable.is_some(), &needs_nobody)?;
        self.compare_wake()
    }

    /// Compares the next wake. If a refresh is due even for an unused token, the wake is immediate.
    /// Otherwise it falls on a point at which the state may change, and the state does not change
    /// earlier.
    fn compare_wake(&self) -> Checked {
        let now = self.now;
        let wait = self.slot.next_change(moment(now)).map(ns);
        let points = self.model.points(now);
        if self.model.wants_wake(now, false) {
            return same("the wake that is due", &wait, &Some(0));
        }
        if let Some(wait) = wait {
            let is_point = points.contains(&wait);
            ensure(is_point, "the next wake is not at a point at which the state changes")?;
        }
        let seen = |time: Time| {
            (
                self.model.condition(time),
                self.model.serves(time),
                self.model.wants_wake(time, true),
                self.model.wants_wake(time, false),
            )
        };
        for later in points {
            if wait.is_none_or(|wait| later < wait) {
                same("the state before the next wake", &seen(now.plus(later)), &seen(now))?;
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, fault: &str) -> Checked {
    if holds { Ok(()) } else { Err(fault.to_owned()) }
}

fn same<T: Debug + PartialEq>(what: &str, slot: &T, model: &T) -> Checked {
    if slot == model {
        return Ok(());
    }
    Err(format!("{what}: the slot gives {slot:?}, the model {model:?}"))
}
