//! Timelines of one slot, one for each promise about freshness. `tests/fuzzing/slot` compares the
//! slot with a model for arbitrary sequences of events. Times are in milliseconds. `jitter` is 0,
//! so random waits are as short as possible.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::slot::schedule::Life;
use oauth::AccessToken;

mod clears;
mod rejections;
mod repeats;
mod stored;

const DAY: u64 = 86_400_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(time: u64) -> Moment {
    Moment::new(ms(time), ms(DAY + time))
}

fn token(name: &str, sent: u64, lifetime: u64) -> Token {
    Token {
        access_token: AccessToken::new(name.to_owned()).unwrap(),
        dpop_key: None,
        scope: None,
        sent: at(sent),
        expiry: None,
        life: Life::new(ms(lifetime), ms(60_000)),
    }
}

fn refusal() -> Error {
    Error::new(ErrorKind::OAuth, "refused")
}

/// A slot and functions that name and check its decisions.
struct Line(Slot);

impl Line {
    fn new() -> Self {
        Self(Slot::new(true))
    }

    /// Creates a slot that has held the token `name` since the time `sent`.
    fn holding(name: &str, sent: u64, lifetime: u64) -> Self {
        let mut line = Self::new();
        let flight = line.starts(sent, Call::Any);
        line.succeeds(sent, flight, token(name, sent, lifetime));
        line
    }

    /// Checks that the call starts a flight and waits for it. Returns the flight.
    fn starts(&mut self, time: u64, call: Call) -> NewFlight {
        match self.0.decide(at(time), call) {
            Decision::Wait {
                new_flight: Some(new_flight),
                ..
            } => new_flight,
            other => panic!("at {time}: expected a new flight, got {other:?}"),
        }
    }

    /// Checks that the call waits for the current flight. Returns the flight.
    fn joins(&mut self, time: u64, call: Call) -> FlightId {
        match self.0.decide(at(time), call) {
            Decision::Wait {
                flight,
                new_flight: None,
            } => flight,
            other => panic!("at {time}: expected to join, got {other:?}"),
        }
    }

    /// Checks that the call takes the held token. Returns the name of the token, and the refresh
    /// that the call starts.
    fn takes(&mut self, time: u64, call: Call) -> (String, Option<NewFlight>) {
        match self.0.decide(at(time), call) {
            Decision::Use {
                token, new_flight, ..
            } => (token.access_token.expose().to_owned(), new_flight),
            other => panic!("at {time}: expected a token, got {other:?}"),
        }
    }

    fn succeeds(&mut self, time: u64, new_flight: NewFlight, token: Token) -> FlightResult {
        self.0.land(at(time), new_flight.flight, Ok(token), 0.0)
    }

    fn fails(&mut self, time: u64, new_flight: NewFlight, error: Error) -> FlightResult {
        self.0.land(at(time), new_flight.flight, Err(error), 0.0)
    }

    fn wakes(&mut self, time: u64, is_used: bool) -> Option<NewFlight> {
        self.0.start_due_refresh(at(time), is_used)
    }

    fn invalidates(&mut self, time: u64, token: &str) -> Invalidation {
        self.rejects(time, token, 0)
    }

    /// Reports that a route rejects a token.
    fn rejects(&mut self, time: u64, token: &str, route: u64) -> Invalidation {
        self.0.invalidate(at(time), token, RouteId(route))
    }

    /// Reports that a route accepts a token. Returns whether the next acceptance by the route
    /// matters too.
    fn accepts(&mut self, time: u64, token: &str, route: u64) -> bool {
        self.0.accept(at(time), token, RouteId(route))
    }

    fn condition(&self, time: u64) -> Condition {
        self.0.condition(at(time))
    }
}

#[test]
fn a_forced_call_joins_a_flight_only_before_its_request_is_sent() {
    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    assert_eq!(line.joins(1, Call::Forced), flight.flight);
    line.0.note_sending(flight.flight);
    for (call, joins) in [
        (Call::Any, true),
        (Call::Minimum(ms(1)), true),
        (Call::ForcedAgain, true),
        (Call::Forced, false),
    ] {
        let joined = match line.0.decide(at(2), call) {
            Decision::Wait { .. } => true,
            Decision::WaitAndAskAgain { flight: earlier } => {
                assert_eq!(earlier, flight.flight);
                false
            }
            other => panic!("{call:?}: {other:?}"),
        };
        assert_eq!(joined, joins, "{call:?}");
    }
    line.succeeds(100, flight, token("a", 0, 300_000));
    line.starts(101, Call::ForcedAgain);
}

#[test]
fn a_flight_is_needed_while_callers_wait_without_a_token() {
    let mut line = Line::holding("a", 0, 300_000);
    let refresh = line.takes(298_000, Call::Any).1.expect("a refresh").flight;
    assert!(!line.0.is_needed(refresh), "a token is held");
    line.0.advance(at(299_000));
    assert!(!line.0.is_needed(refresh), "no caller waits");
    line.joins(299_000, Call::Any);
    assert!(line.0.is_needed(refresh));
    line.0.clear(at(299_001));
    assert!(!line.0.is_needed(refresh), "the flight is detached");
}

#[test]
fn a_used_token_is_refreshed_in_the_background_and_an_unused_one_is_not() {
    let mut line = Line::holding("a", 0, 300_000);
    assert_eq!(line.wakes(218_399, true), None, "before 0.91 of the way");
    assert_eq!(line.wakes(218_400, false), None, "unused");
    assert!(line.wakes(230_000, true).is_some(), "used since");
    assert_eq!(line.wakes(230_001, true), None, "already under way");

    let mut line = Line(Slot::new(false));
    let flight = line.starts(0, Call::Any);
    line.succeeds(0, flight, token("a", 0, 300_000));
    assert_eq!(line.wakes(230_000, true), None, "switched off");
    assert!(line.takes(240_000, Call::Any).1.is_some(), "a caller starts it");
}

#[test]
fn clearing_drops_a_token_in_a_cool_down_too() {
    let mut line = Line::holding("a", 0, 300_000);
    let forced = line.starts(1_000, Call::Forced);
    line.fails(1_000, forced, refusal());
    assert_eq!(line.0.clear(at(1_400)), Clearing::Dropped);
    assert!(matches!(line.0.decide(at(1_400), Call::Any), Decision::Cooling { .. }));
}

#[test]
fn the_failure_of_a_detached_flight_starts_a_cool_down_only_if_no_later_flight_has_begun() {
    for (later, is_cooling) in
        [("none", true), ("current", false), ("succeeded", false), ("failed", false)]
    {
        let mut line = Line::new();
        let detached = line.starts(0, Call::Any);
        line.0.clear(at(100));
        if later != "none" {
            let flight = line.starts(200, Call::Any);
            match later {
                "succeeded" => drop(line.succeeds(200, flight, token("b", 200, 300_000))),
                "failed" => drop(line.fails(200, flight, refusal())),
                _ => {}
            }
        }
        line.fails(300, detached, refusal());
        let decision = line.0.decide(at(1_250), Call::Forced);
        assert_eq!(matches!(decision, Decision::Cooling { .. }), is_cooling, "{later}");
    }
}

#[test]
fn only_the_rejected_token_is_dropped() {
    let mut line = Line::holding("a", 0, 300_000);
    assert_eq!(line.invalidates(10, "older"), Invalidation::Ignored);
    assert_eq!(line.invalidates(10, "a"), Invalidation::Dropped);
    assert_eq!(line.invalidates(10, "a"), Invalidation::Ignored);
    assert_eq!(line.condition(10), Condition::Empty);
    assert_eq!(line.invalidates(10, ""), Invalidation::Ignored);
}
