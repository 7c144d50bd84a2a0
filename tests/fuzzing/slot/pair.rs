//! The slot and its model side by side: every event goes to both, and all that can be seen of them
//! is compared; besides, what must hold of the slot whatever the model says.

use std::fmt::Debug;
use std::sync::Arc;

use keycloak_token_manager::manager::held::Grant;
use keycloak_token_manager::manager::schedule::Life;
use keycloak_token_manager::manager::slot::{
    self, Call, Decision, FlightId, Launch, Slot, Storage,
};
use keycloak_token_manager::oauth::AccessToken;

use super::facts::{Failure, Ns, SECOND, Time, Token};
use super::model::{Ask, Landed, Model, Verdict};
use super::plain;
use super::plain::{duration, moment, ns, number};

/// An event for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time passes.
    Pass(Ns),
    /// The wall clock is stepped; forward is also what a suspended machine looks like.
    Step(Ns),
    Call(Ask),
    /// The token that is held, or was last, is rejected.
    RejectLast,
    /// A token that is not held is rejected.
    RejectOther,
    Clear,
    Wake {
        is_used: bool,
    },
    /// A flight lands with a token.
    Succeed {
        flight: u32,
        lifetime: Ns,
        /// Its request was sent at the launch and not just now.
        has_travelled: bool,
        luck: Ns,
    },
    Fail {
        flight: u32,
        failure: Failure,
        luck: Ns,
    },
    Configure {
        in_background: bool,
        changes_grant: bool,
    },
    Close,
}

/// Both, at a time.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) slot: Slot,
    pub(crate) model: Model,
    pub(crate) now: Time,
    buffer: Ns,
    /// The token that was stored last, and its serial.
    pub(crate) last: Option<(u32, u64)>,
    /// What the slot itself did, for what must hold without a model.
    current: Option<u32>,
    last_background: Option<Time>,
    last_failure: Option<Time>,
}

/// What of the slot a token's holder cares about.
struct Before {
    token: Option<Arc<Grant>>,
    serial: Option<u64>,
}

type Outcome = Result<(), String>;

impl Pair {
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
            current: None,
            last_background: None,
            last_failure: None,
        }
    }

    /// Lets something happen to both. Says what is wrong, if anything is.
    pub(crate) fn apply(&mut self, event: Event) -> Outcome {
        let now = self.now;
        let before = Before {
            token: self.slot.grant(moment(now)).cloned(),
            serial: self.slot.serial(),
        };
        let mut may_lose = false;
        match event {
            Event::Pass(wait) => self.now = now.plus(wait),
            Event::Step(by) => self.now.wall += by,
            Event::Call(ask) => self.call(ask)?,
            Event::RejectLast => {
                let last = self.last.map_or(0, |(token, _)| token);
                may_lose = self.reject(last)? == Verdict::Dropped;
            }
            Event::RejectOther => {
                self.reject(u32::MAX)?;
            }
            Event::Clear => {
                let had_token = self.slot.clear(moment(now));
                same("clearing", &had_token, &self.model.clear(now))?;
                (may_lose, self.current) = (true, None);
            }
            Event::Wake { is_used } => {
                let launch = self.slot.wake(moment(now), is_used);
                self.launched(launch, true)?;
                let expected = self.model.wake(now, is_used);
                same("the wake", &launch.map(plain::start), &expected)?;
            }
            Event::Succeed {
                flight,
                lifetime,
                has_travelled,
                luck,
            } => {
                let in_the_air = self.model.log.in_the_air();
                let launch = in_the_air.into_iter().find(|(other, _)| *other == flight);
                let token = Token {
                    name: flight,
                    sent: launch.filter(|_| has_travelled).map_or(now, |(_, at)| at),
                    lifetime,
                    buffer: self.buffer,
                };
                self.succeed(token, luck, &before)?;
            }
            Event::Fail {
                flight,
                failure,
                luck,
            } => self.fail(flight, failure, luck, &before)?,
            Event::Configure {
                in_background,
                changes_grant,
            } => self.configure(in_background, changes_grant)?,
            Event::Close => {
                self.slot.close();
                self.model.close(now);
                (may_lose, self.current) = (true, None);
            }
        }
        let is_over = before
            .token
            .is_none_or(|token| token.remaining(moment(self.now)).is_zero());
        let is_there = self.slot.grant(moment(self.now)).is_some();
        ensure(is_over || is_there || may_lose, "a valid token was lost")?;
        self.compare()
    }

    fn call(&mut self, ask: Ask) -> Outcome {
        let decision = self.slot.decide(moment(self.now), plain::call(ask));
        match &decision {
            Decision::Use { grant, launch, .. } => {
                self.handed_out(grant)?;
                ensure(ask != Ask::Forced, "a forced call got the held token")?;
                self.launched(*launch, true)?;
            }
            Decision::Wait { flight, launch } => {
                self.launched(*launch, false)?;
                ensure(self.current == Some(flight.0), "a call waits for no current flight")?;
            }
            Decision::Cooling { .. } | Decision::Closed => {}
        }
        same("the answer", &plain::answer(&decision), &self.model.call(self.now, ask))
    }

    fn reject(&mut self, token: u32) -> Result<Verdict, String> {
        let now = self.now;
        let verdict = plain::verdict(self.slot.invalidate(moment(now), &plain::name(token)));
        same("the rejection", &verdict, &self.model.reject(now, token))?;
        if verdict == Verdict::Dropped {
            self.current = None;
            let is_cooling = self.last_failure.is_some_and(|at| now.after(at) < SECOND);
            ensure(!is_cooling, "a rejection dropped a token in a cool-down")?;
        }
        Ok(verdict)
    }

    fn configure(&mut self, in_background: bool, changes_grant: bool) -> Outcome {
        let (now, at) = (self.now, moment(self.now));
        let mut successor = self.slot.hand_over(at, in_background, changes_grant);
        same("the slot handed over", &self.slot.serial(), &None)?;
        let launch = successor.wake(at, false);
        self.slot = successor;
        (self.current, self.last_failure, self.last_background) = (None, None, None);
        self.launched(launch, true)?;
        let expected = self.model.configure(now, in_background, changes_grant);
        same("the change of configuration", &launch.map(plain::start), &expected)
    }

    fn fail(&mut self, flight: u32, failure: Failure, luck: Ns, before: &Before) -> Outcome {
        let (now, at) = (self.now, moment(self.now));
        let error = Err(plain::error(failure));
        let landing = self
            .slot
            .land(at, FlightId(flight), error, plain::part(luck));
        let given = landing.result.as_ref().err().map(plain::failure);
        same("the failure", &given, &Some(failure))?;
        self.last_failure = Some(now);
        let landed = self.model.fail(now, flight, failure, luck);
        self.landed(&landing, &landed)?;
        self.ended(flight, before)
    }

    /// The token is named after its flight.
    fn succeed(&mut self, token: Token, luck: Ns, before: &Before) -> Outcome {
        let (now, flight) = (self.now, token.name);
        let life = Life::new(duration(token.lifetime), duration(token.buffer));
        same("the end of a life", &ns(life.hard), &token.end())?;
        same("the staleness of a life", &ns(life.soft), &token.staleness())?;
        let grant = Arc::new(Grant {
            token: AccessToken::new(plain::name(flight)).unwrap(),
            scope: None,
            sent: moment(token.sent),
            life,
        });
        let given = Ok(Arc::clone(&grant));
        let landing = self
            .slot
            .land(moment(now), FlightId(flight), given, plain::part(luck));
        let serial = self.slot.serial();
        let storage = if serial.is_some() && serial != before.serial {
            Storage::Held
        } else if token.age(now) >= token.lifetime {
            Storage::Over
        } else {
            Storage::NotKept
        };
        same("what became of the token", &landing.storage, &storage)?;
        let is_given = landing
            .result
            .as_ref()
            .is_ok_and(|got| Arc::ptr_eq(got, &grant));
        ensure(is_given, "those who waited did not get the token that arrived")?;
        self.last_failure = None;
        let landed = self.model.succeed(now, flight, token, luck);
        self.landed(&landing, &landed)?;
        if self.slot.serial() != before.serial && self.slot.serial().is_some() {
            ensure(self.current == Some(flight), "a detached flight was stored")?;
            let held = self.slot.grant(moment(now)).map(|held| number(held));
            same("what was stored", &held, &Some(flight))?;
            self.last = self.slot.serial().map(|serial| (flight, serial));
        }
        self.ended(flight, before)
    }

    fn landed(&self, landing: &slot::Landed, expected: &Landed) -> Outcome {
        if let Some(grant) = &landing.fallback {
            self.handed_out(grant)?;
        }
        // After the end nobody hears of it.
        if self.model.log.is_closed() {
            return ensure(landing.fallback.is_none(), "a token after the end");
        }
        let landed = Landed {
            fallback: landing.fallback.as_deref().map(number),
            is_turn: landing.is_turn,
            warns: landing.warns_of_minimum,
            retry_after: landing.retry_after.map(ns),
        };
        same("the landing", &landed, expected)
    }

    /// A flight came to its end. A detached one changes nothing about the held token.
    fn ended(&mut self, flight: u32, before: &Before) -> Outcome {
        if self.current == Some(flight) {
            self.current = None;
            return Ok(());
        }
        let token = self.slot.grant(moment(self.now));
        let is_same = match (token, &before.token) {
            (Some(after), Some(before)) => Arc::ptr_eq(after, before),
            (None, None) => true,
            _ => false,
        };
        ensure(is_same, "a detached flight changed the held token")
    }

    fn launched(&mut self, launch: Option<Launch>, is_background: bool) -> Outcome {
        let Some(launch) = launch else { return Ok(()) };
        let passed = |since: Option<Time>| since.is_none_or(|at| self.now.after(at) >= SECOND);
        ensure(self.current.is_none(), "two current flights")?;
        ensure(passed(self.last_failure), "a launch within the shortest cool-down")?;
        ensure(
            !is_background || passed(self.last_background),
            "two background refreshes within a second",
        )?;
        self.current = Some(launch.flight.0);
        if is_background {
            self.last_background = Some(self.now);
        }
        Ok(())
    }

    fn handed_out(&self, grant: &Grant) -> Outcome {
        let age = ns(grant.age(moment(self.now)));
        let (end, over) = (ns(grant.life.hard), ns(grant.life.granted));
        ensure(age < end && age < over, "a token was handed out past its end")
    }

    /// Compares all that can be seen without changing anything.
    fn compare(&self) -> Outcome {
        let (now, at) = (self.now, moment(self.now));
        let look = plain::look(self.slot.condition(at));
        same("the condition", &look, &self.model.look(now))?;
        let token = self.slot.grant(at).map(|grant| number(grant));
        same("the held token", &token, &self.model.token(now).map(|token| token.name))?;
        let serving = self.slot.serving(at);
        same("serving", &serving.is_some(), &self.model.serves(now))?;
        if let (Some(token), Some((last, serial))) = (token, self.last) {
            same("the token of the serial", &token, &last)?;
            same("the serial", &self.slot.serial(), &Some(serial))?;
            same("the serial served", &serving.unwrap_or(serial), &serial)?;
        }
        // Who serves without asking does what a call would have done.
        let decision = self.slot.clone().decide(at, Call::Any);
        let needs_nobody = matches!(decision, Decision::Use { launch: None, .. });
        same("serving without asking", &serving.is_some(), &needs_nobody)?;
        self.compare_wake()
    }

    /// The next wake is at once if a refresh is due that waits for nobody; or else at a point at
    /// which something may change, and nothing changes before it.
    fn compare_wake(&self) -> Outcome {
        let now = self.now;
        let wait = self.slot.next_wake(moment(now)).map(ns);
        let points = self.model.points(now);
        if self.model.wants_wake(now, false) {
            return same("the wake that is due", &wait, &Some(0));
        }
        if let Some(wait) = wait {
            let is_point = points.iter().any(|(_, point)| *point == wait);
            ensure(is_point, "the next wake is at no point at which anything changes")?;
        }
        let seen = |time: Time| {
            (
                self.model.look(time),
                self.model.serves(time),
                self.model.wants_wake(time, true),
                self.model.wants_wake(time, false),
            )
        };
        for (point, later) in points {
            if wait.is_none_or(|wait| later < wait) {
                same(
                    &format!("what is seen at {point:?}, before the next wake"),
                    &seen(now.plus(later)),
                    &seen(now),
                )?;
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, fault: &str) -> Outcome {
    if holds { Ok(()) } else { Err(fault.to_owned()) }
}

fn same<T: Debug + PartialEq>(what: &str, slot: &T, model: &T) -> Outcome {
    if slot == model {
        return Ok(());
    }
    Err(format!("{what}: the slot gives {slot:?}, the model {model:?}"))
}
