//! Time lines of one slot. Times are in milliseconds; `jitter` is 0, so random waits are shortest.

use super::*;
use crate::acquire::backoff::Attempts;
use crate::error::{Error, ErrorKind};
use crate::slot::schedule::Life;
use oauth::AccessToken;

mod clears;
mod rejections;
mod repeats;
mod settling;

const DAY: u64 = 86_400_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(time: u64) -> Moment {
    Moment {
        monotonic: ms(time),
        wall: ms(DAY + time),
    }
}

fn token(name: &str, sent: u64, lifetime: u64) -> Token {
    Token {
        access_token: AccessToken::new(name.to_owned()).unwrap(),
        scope: None,
        sent: at(sent),
        expiry: None,
        life: Life::new(ms(lifetime), ms(60_000)),
    }
}

fn refusal() -> Error {
    Error::new(ErrorKind::OAuth, "refused")
}

fn outage() -> Error {
    Error::new(ErrorKind::Network, "unreachable")
}

/// A slot with names for what came out of it.
struct Line(Slot);

impl Line {
    fn new() -> Self {
        Self(Slot::new(true))
    }

    /// A slot that holds `name` since the time `sent`.
    fn holding(name: &str, sent: u64, lifetime: u64) -> Self {
        let mut line = Self::new();
        let flight = line.starts(sent, Call::Any);
        line.succeeds(sent, flight, token(name, sent, lifetime));
        line
    }

    /// The call starts a flight and waits for it.
    fn starts(&mut self, time: u64, call: Call) -> NewFlight {
        match self.0.decide(at(time), call) {
            Decision::Wait {
                new_flight: Some(new_flight),
                ..
            } => new_flight,
            other => panic!("at {time}: expected a new flight, got {other:?}"),
        }
    }

    /// The call waits for a flight that is there.
    fn joins(&mut self, time: u64, call: Call) -> FlightId {
        match self.0.decide(at(time), call) {
            Decision::Wait {
                flight,
                new_flight: None,
            } => flight,
            other => panic!("at {time}: expected to join, got {other:?}"),
        }
    }

    /// The call takes the held token: its name, and the refresh it starts.
    fn takes(&mut self, time: u64, call: Call) -> (String, Option<NewFlight>) {
        match self.0.decide(at(time), call) {
            Decision::Use {
                token, new_flight, ..
            } => (token.access_token.expose().to_owned(), new_flight),
            other => panic!("at {time}: expected a token, got {other:?}"),
        }
    }

    /// The call takes the held token. Whether to warn about a missed minimum.
    fn warns(&mut self, time: u64, call: Call) -> bool {
        match self.0.decide(at(time), call) {
            Decision::Use {
                warns_of_minimum, ..
            } => warns_of_minimum,
            other => panic!("at {time}: expected a token, got {other:?}"),
        }
    }

    /// The call fails by the cool-down: how long until it makes sense to ask again, in ms.
    fn cools(&mut self, time: u64, call: Call) -> u128 {
        match self.0.decide(at(time), call) {
            Decision::Cooling { retry_after, .. } => retry_after.as_millis(),
            other => panic!("at {time}: expected the cool-down, got {other:?}"),
        }
    }

    /// Goes on with the slot of a changed configuration. Returns the former one.
    fn hands_over(&mut self, time: u64, changes_grant: bool) -> Self {
        let successor = self.0.hand_over(at(time), true, changes_grant);
        Self(std::mem::replace(&mut self.0, successor))
    }

    fn succeeds(&mut self, time: u64, new_flight: NewFlight, token: Token) -> FlightResult {
        self.0.land(at(time), new_flight.flight, Ok(token), 0.0)
    }

    fn fails(&mut self, time: u64, new_flight: NewFlight, error: Error) -> FlightResult {
        self.0.land(at(time), new_flight.flight, Err(error), 0.0)
    }

    fn wakes(&mut self, time: u64, is_used: bool) -> Option<NewFlight> {
        self.0.due_refresh(at(time), is_used)
    }

    fn invalidates(&mut self, time: u64, token: &str) -> Invalidation {
        self.rejects(time, token, 0)
    }

    /// A route rejects a token.
    fn rejects(&mut self, time: u64, token: &str, route: u64) -> Invalidation {
        self.0.invalidate(at(time), token, RouteId(route))
    }

    /// A route accepts a token. Whether its next acceptance matters, too.
    fn accepts(&mut self, time: u64, token: &str, route: u64) -> bool {
        self.0.accept(at(time), token, RouteId(route))
    }

    fn condition(&self, time: u64) -> Condition {
        self.0.condition(at(time))
    }
}

fn minimum(millis: u64) -> Call {
    Call::Minimum(ms(millis))
}

#[test]
fn callers_on_a_miss_share_one_flight_and_its_token() {
    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    assert_eq!(flight.attempts, Attempts::Many);
    for time in 1..100 {
        assert_eq!(line.joins(time, Call::Any), flight.flight);
    }
    line.succeeds(100, flight, token("a", 0, 300_000));
    assert_eq!(line.takes(101, Call::Any), ("a".to_owned(), None));
}

#[test]
fn a_forced_call_joins_a_flight_only_before_its_request_is_sent() {
    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    assert_eq!(line.joins(1, Call::Forced), flight.flight);
    line.0.sending(flight.flight);
    for (call, joins) in
        [(Call::Any, true), (minimum(1), true), (Call::ForcedAgain, true), (Call::Forced, false)]
    {
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
fn a_token_is_fresh_then_stale_then_over() {
    let mut line = Line::holding("a", 0, 300_000);
    for (time, condition) in [
        (0, Condition::Fresh),
        (239_999, Condition::Fresh),
        (240_000, Condition::Stale),
        (298_999, Condition::Stale),
        (299_000, Condition::Empty),
    ] {
        assert_eq!(line.condition(time), condition, "{time}");
    }
    assert_eq!(line.takes(239_999, Call::Any).1, None);
    line.starts(299_000, Call::Any);
}

#[test]
fn a_caller_with_a_stale_token_gets_it_and_starts_the_one_refresh() {
    let mut line = Line::holding("a", 0, 300_000);
    let (name, new_flight) = line.takes(240_000, Call::Any);
    assert_eq!(name, "a");
    let new_flight = new_flight.expect("a refresh");
    assert_eq!(line.takes(240_001, Call::Any), ("a".to_owned(), None));
    line.succeeds(240_050, new_flight, token("b", 240_000, 300_000));
    assert_eq!(line.takes(245_000, Call::Any), ("b".to_owned(), None));
}

#[test]
fn a_token_that_ends_during_its_refresh_is_no_longer_given_and_callers_join() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(298_000, Call::Any).1.expect("a refresh");
    assert_eq!(line.joins(299_000, Call::Any), new_flight.flight);
    assert!(line.0.token(at(299_000)).is_none());
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
fn the_held_token_may_be_served_without_asking_unless_a_caller_is_needed() {
    let mut line = Line::holding("a", 0, 300_000);
    let id = line.0.token_id();
    assert_eq!(line.0.servable(at(239_999)), id);
    assert_eq!(line.0.servable(at(240_000)), None, "a caller is needed to start the refresh");
    let new_flight = line.takes(240_000, Call::Any).1.unwrap();
    assert_eq!(line.0.servable(at(240_001)), id, "a refresh is under way");
    line.fails(241_000, new_flight, outage());
    assert_eq!(line.0.servable(at(241_499)), id, "a cool-down lasts");
    assert_eq!(line.0.servable(at(241_500)), None, "the cool-down is over");
    assert_eq!(line.0.servable(at(299_000)), None, "the token has expired");
}

#[test]
fn the_next_wake_is_the_next_time_that_something_changes() {
    let mut line = Line::holding("a", 0, 300_000);
    for (time, wait) in
        [(0, Some(218_400)), (218_400, Some(21_600)), (240_000, Some(59_000)), (299_000, None)]
    {
        assert_eq!(line.0.next_change(at(time)), wait.map(ms), "{time}");
    }
    let new_flight = line.takes(250_000, Call::Any).1.unwrap();
    line.fails(250_000, new_flight, outage());
    assert_eq!(line.0.next_change(at(250_000)), Some(ms(500)), "the end of the cool-down");
    assert_eq!(Line::new().0.next_change(at(0)), None);
}

#[test]
fn a_failed_background_refresh_is_retried_after_the_cool_down_even_without_a_caller() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.wakes(218_400, true).unwrap();
    let landing = line.fails(218_500, new_flight, outage());
    assert_eq!(landing.fallback.map(|g| g.access_token.expose().to_owned()), Some("a".to_owned()));
    assert_eq!(line.wakes(219_399, false), None, "refreshes start a second apart");
    let again = line
        .wakes(219_500, false)
        .expect("tried again, unused as it is");
    assert_eq!(
        again.attempts,
        Attempts::One,
        "the acquisition after a failed one makes a single attempt"
    );
    assert_eq!(line.takes(219_600, Call::Any).0, "a");
}

#[test]
fn a_failure_with_a_valid_token_is_not_thrown_and_one_without_is() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(250_000, Call::Any).1.unwrap();
    line.fails(250_100, new_flight, refusal());
    assert_eq!(line.takes(250_200, Call::Any), ("a".to_owned(), None));
    assert_eq!(line.condition(250_200), Condition::Stale);

    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    let landing = line.fails(100, flight, refusal());
    assert!(landing.fallback.is_none());
    assert_eq!(line.cools(100, Call::Any), 1_000);
    assert_eq!(line.condition(100), Condition::Failing);
}

#[test]
fn the_cool_down_holds_for_every_kind_of_call_and_counts_down() {
    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    assert_eq!(line.fails(0, flight, refusal()).retry_after, Some(ms(1_000)));
    assert_eq!(line.cools(1, minimum(5_000)), 999);
    line.0.clear(at(2));
    assert_eq!(line.cools(400, Call::Forced), 600);
    assert_eq!(line.cools(999, Call::Any), 1);
    assert_eq!(line.starts(1_000, Call::Any).attempts, Attempts::One);
}

#[test]
fn cool_downs_double_in_a_row_of_failures_and_a_success_ends_the_row() {
    for (error, expected) in [
        (refusal(), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]),
        (outage(), [500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]),
    ] {
        let mut line = Line::new();
        let mut time = 0;
        for (index, cool_down) in expected.into_iter().enumerate() {
            let flight = line.starts(time, Call::Any);
            let landing = line.fails(time, flight, error.clone());
            assert_eq!(landing.retry_after, Some(ms(cool_down)), "{index}");
            assert_eq!(landing.is_transition, index == 0, "only the first of a row is news");
            time += cool_down;
        }
        let flight = line.starts(time, Call::Any);
        assert!(
            line.succeeds(time, flight, token("a", time, 300_000))
                .is_transition,
            "recovered"
        );
        let forced = line.starts(time, Call::Forced);
        assert_eq!(forced.attempts, Attempts::Few);
        assert_eq!(line.fails(time, forced, error).retry_after, Some(ms(expected[0])));
    }
}

#[test]
fn a_cool_down_after_a_long_retry_after_is_30_s_and_the_error_says_what_the_server_said() {
    let config = crate::config::tests::config();
    let error = outage().in_acquisition(&config, None, 1, Some(ms(120_000)));
    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    assert_eq!(line.fails(0, flight, error).retry_after, Some(ms(120_000)));
    assert_eq!(line.cools(29_999, Call::Any), 90_001);
    line.starts(30_000, Call::Any);
}

#[test]
fn a_forced_call_joins_or_starts_a_flight_and_the_held_token_survives_its_failure() {
    let mut line = Line::holding("a", 0, 300_000);
    let forced = line.starts(1_000, Call::Forced);
    assert_eq!(line.joins(1_001, Call::Forced), forced.flight);
    assert_eq!(line.takes(1_002, Call::Any).0, "a", "others need not wait");
    line.fails(1_100, forced, refusal());
    assert_eq!(line.takes(1_200, Call::Any).0, "a");
    line.cools(1_200, Call::Forced);
    assert_eq!(line.wakes(2_200, true), None, "it was no background refresh");
}

#[test]
fn a_minimum_counts_to_the_end_that_is_kept_and_not_to_staleness() {
    let mut line = Line::holding("a", 0, 300_000);
    assert_eq!(line.takes(0, minimum(299_000)).0, "a");
    assert_eq!(line.takes(100_000, minimum(199_000)).0, "a");
    line.starts(100_000, minimum(199_001));
}

#[test]
fn a_minimum_that_nothing_meets_costs_one_request_a_tenth_of_a_life() {
    let mut line = Line::holding("a", 0, 300_000);
    let flight = line.starts(1_000, minimum(300_000));
    let landing = line.succeeds(1_000, flight, token("b", 1_000, 300_000));
    assert!(landing.warns_of_minimum, "those who asked are told once");
    for time in [1_001, 5_000, 30_999] {
        assert_eq!(line.takes(time, minimum(300_000)).0, "b");
        assert!(!line.warns(time, minimum(300_000)));
    }
    line.starts(31_000, minimum(300_000));
}

#[test]
fn a_minimum_that_the_new_token_barely_meets_pauses_as_well() {
    let mut line = Line::new();
    let flight = line.starts(0, minimum(290_000));
    assert!(
        !line
            .succeeds(0, flight, token("a", 0, 300_000))
            .warns_of_minimum,
        "it is met"
    );
    assert_eq!(line.takes(9_000, minimum(290_000)).0, "a");
    assert!(line.warns(9_001, minimum(290_000)), "missed now, and no request for it");
    assert!(!line.warns(9_002, minimum(290_000)), "said once");
    line.starts(30_000, minimum(290_000));
}

#[test]
fn a_minimum_met_with_a_tenth_to_spare_does_not_pause() {
    let mut line = Line::new();
    let flight = line.starts(0, minimum(200_000));
    line.succeeds(0, flight, token("a", 0, 300_000));
    assert_eq!(line.takes(99_000, minimum(200_000)).0, "a");
    line.starts(99_001, minimum(200_000));
}

#[test]
fn the_pause_of_minima_lasts_5_s_at_least() {
    let mut line = Line::new();
    let flight = line.starts(0, minimum(60_000));
    line.succeeds(0, flight, token("a", 0, 20_000));
    assert_eq!(line.takes(4_999, minimum(60_000)).0, "a");
    line.starts(5_000, minimum(60_000));
}

#[test]
fn a_minimum_whose_request_fails_gets_the_valid_token_with_a_warning() {
    let mut line = Line::holding("a", 0, 300_000);
    let flight = line.starts(100_000, minimum(250_000));
    let landing = line.fails(100_100, flight, outage());
    assert!(landing.warns_of_minimum);
    assert_eq!(landing.fallback.unwrap().access_token.expose(), "a");
    assert_eq!(line.takes(100_200, minimum(250_000)).0, "a", "in the cool-down, too");
    line.starts(101_100, minimum(250_000));
}

#[test]
fn a_minimum_joins_a_flight_that_is_there() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(245_000, Call::Any).1.unwrap();
    assert_eq!(line.joins(245_001, minimum(100_000)), new_flight.flight);
}

#[test]
fn a_token_that_is_over_on_arrival_is_handed_out_and_not_kept() {
    for (name, lifetime, arrival) in [("zero", 0, 10), ("late", 1_000, 5_000)] {
        let mut line = Line::new();
        let flight = line.starts(0, Call::Any);
        let landing = line.succeeds(arrival, flight, token("a", 0, lifetime));
        assert!(landing.result.is_ok(), "{name}");
        assert_eq!(line.condition(arrival), Condition::Empty, "{name}");
        line.starts(arrival, Call::Any);
    }
}

#[test]
fn a_token_that_would_die_before_the_held_one_never_replaces_it() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(240_000, Call::Any).1.unwrap();
    let landing = line.succeeds(240_000, new_flight, token("short", 240_000, 10_000));
    assert_eq!(landing.result.unwrap().access_token.expose(), "short", "those who waited get it");
    assert_eq!(line.takes(240_001, Call::Any), ("a".to_owned(), None));
    // 59 s were left: the next refresh is due after half of that.
    assert_eq!(line.takes(269_499, Call::Any).1, None);
    assert!(line.takes(269_500, Call::Any).1.is_some());
}

#[test]
fn background_refreshes_start_a_second_apart() {
    let mut line = Line::holding("a", 0, 1_000);
    let first = line.wakes(455, true).expect("the first");
    line.succeeds(456, first, token("b", 455, 1_000));
    for time in (457..1_205).step_by(10) {
        assert_eq!(line.wakes(time, true), None, "{time}");
        assert_eq!(line.takes(time.min(1_204), Call::Any).1, None, "{time}");
    }
    line.starts(1_205, Call::Any);
}

/// A held token, a background refresh of it that failed at once at `time`, and a detached flight.
fn failed_beside_a_detached_flight(lifetime: u64, time: u64) -> (Line, NewFlight) {
    let mut line = Line::new();
    let detached = line.starts(0, Call::Any);
    line.0.clear(at(0));
    let flight = line.starts(0, Call::Any);
    line.succeeds(0, flight, token("a", 0, lifetime));
    let refresh = line.wakes(time, true).expect("a refresh");
    line.fails(time, refresh, outage());
    (line, detached)
}

#[test]
fn background_refreshes_start_a_second_apart_even_if_a_late_success_ends_the_cool_down() {
    let (mut line, detached) = failed_beside_a_detached_flight(300_000, 250_000);
    line.succeeds(250_100, detached, token("late", 0, 300_000));
    assert_eq!(line.takes(250_100, Call::Any).1, None, "by a caller");
    assert_eq!(line.wakes(250_999, true), None, "by nobody");
    assert_eq!(line.0.next_change(at(250_100)), Some(ms(900)));
    assert!(line.wakes(251_000, false).is_some());
}

#[test]
fn a_failed_refresh_is_due_at_once_when_a_late_success_ends_the_cool_down() {
    let (mut line, detached) = failed_beside_a_detached_flight(300_000, 220_000);
    let again = line.wakes(221_000, false).expect("tried again");
    line.fails(221_000, again, refusal());
    line.succeeds(222_500, detached, token("late", 0, 300_000));
    assert_eq!(line.0.next_change(at(222_500)), Some(Duration::ZERO));
    assert!(line.wakes(222_500, false).is_some());
    assert_ne!(line.0.next_change(at(222_500)), Some(Duration::ZERO), "no longer due");
}

#[test]
fn a_refresh_that_brought_nothing_better_is_due_after_half_of_less_than_two_seconds() {
    let mut line = Line::holding("a", 0, 300_000);
    let forced = line.starts(298_000, Call::Forced);
    line.succeeds(298_000, forced, token("over", 298_000, 0));
    assert_eq!(line.takes(298_499, Call::Any).1, None);
    assert!(line.takes(298_500, Call::Any).1.is_some());
}

#[test]
fn clearing_detaches_a_flight_which_still_answers_and_is_not_stored() {
    let mut line = Line::new();
    let old = line.starts(0, Call::Any);
    assert_eq!(line.0.clear(at(10)), Clearing::Detached);
    let new = line.starts(20, Call::Any);
    assert_ne!(old.flight, new.flight);
    let landing = line.succeeds(30, old, token("old", 0, 300_000));
    assert_eq!(landing.result.unwrap().access_token.expose(), "old");
    assert_eq!(line.joins(40, Call::Any), new.flight, "the later flight is not disturbed");
    line.succeeds(50, new, token("new", 20, 300_000));
    assert_eq!(line.takes(60, Call::Any).0, "new");
    let late = line.fails(70, old, outage());
    assert!(late.fallback.is_none());
    assert_eq!(line.takes(80, Call::Any).0, "new");
}

#[test]
fn the_failure_of_a_detached_flight_starts_the_cool_down_like_any_other() {
    let mut line = Line::new();
    let old = line.starts(0, Call::Any);
    line.0.clear(at(10));
    line.fails(20, old, refusal());
    assert_eq!(line.cools(21, Call::Any), 999);
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

#[test]
fn dropping_a_token_detaches_its_refresh() {
    let mut line = Line::holding("a", 0, 300_000);
    let refresh = line.takes(245_000, Call::Any).1.unwrap();
    assert_eq!(line.invalidates(245_001, "a"), Invalidation::Dropped);
    let fresh = line.starts(245_002, Call::Any);
    assert_ne!(fresh.flight, refresh.flight);
    line.succeeds(245_100, refresh, token("detached", 245_000, 300_000));
    assert_eq!(line.joins(245_101, Call::Any), fresh.flight);
}

#[test]
fn the_cool_down_keeps_a_rejected_token_and_clearing_does_not() {
    let mut line = Line::holding("a", 0, 300_000);
    let forced = line.starts(1_000, Call::Forced);
    line.fails(1_000, forced, outage());
    assert_eq!(line.invalidates(1_499, "a"), Invalidation::Kept);
    assert_eq!(line.takes(1_499, Call::Any).0, "a");
    assert_eq!(line.invalidates(1_500, "a"), Invalidation::Dropped);

    let mut line = Line::holding("a", 0, 300_000);
    let forced = line.starts(1_000, Call::Forced);
    line.fails(1_000, forced, outage());
    assert_eq!(line.0.clear(at(1_400)), Clearing::Dropped);
    line.cools(1_400, Call::Any);
}

#[test]
fn the_clock_that_says_over_first_wins() {
    let wall_step = |by: i64| Moment {
        monotonic: ms(10_000),
        wall: ms(DAY + 10_000).saturating_add_signed_ms(by),
    };
    let mut line = Line::holding("a", 0, 300_000);
    assert!(line.0.servable(wall_step(0)).is_some());
    assert!(line.0.servable(wall_step(-3_600_000)).is_some(), "a step back changes nothing");
    assert!(line.0.servable(wall_step(288_999)).is_none(), "stale by the wall clock");
    assert!(line.0.token(wall_step(288_999)).is_some());
    assert!(line.0.token(wall_step(289_000)).is_none(), "over by the wall clock");
    let after_suspend = Moment {
        monotonic: ms(10_000),
        wall: ms(DAY + 400_000),
    };
    assert!(matches!(
        line.0.decide(after_suspend, Call::Any),
        Decision::Wait {
            new_flight: Some(_),
            ..
        }
    ));
}

trait SignedMs {
    fn saturating_add_signed_ms(self, by: i64) -> Self;
}

impl SignedMs for Duration {
    fn saturating_add_signed_ms(self, by: i64) -> Self {
        let by_ms = ms(by.unsigned_abs());
        if by < 0 {
            self.saturating_sub(by_ms)
        } else {
            self.saturating_add(by_ms)
        }
    }
}

#[test]
fn a_changed_secret_keeps_the_token_and_ends_the_cool_down() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(245_000, Call::Any).1.unwrap();
    line.fails(245_000, new_flight, refusal());
    line.hands_over(245_100, false);
    let again = line.wakes(245_100, false);
    assert_eq!(again.expect("the refresh that failed").attempts, Attempts::Few);
    assert_eq!(line.takes(245_100, Call::Any).0, "a");
    assert_eq!(line.0.token_id(), Some(TokenId(1)));

    let mut line = Line::new();
    let flight = line.starts(0, Call::Any);
    line.fails(0, flight, refusal());
    line.cools(1, Call::Any);
    line.hands_over(2, false);
    assert_eq!(line.starts(2, Call::Any).attempts, Attempts::Many);
}

#[test]
fn a_flight_of_a_former_configuration_changes_nothing_in_the_present_one() {
    for changes_grant in [false, true] {
        let mut line = Line::new();
        let old = line.starts(0, Call::Any);
        let mut former = line.hands_over(1, changes_grant);
        assert_eq!(line.wakes(1, true), None, "nobody waits for a token");
        let new = line.starts(2, Call::Any);
        assert_ne!(old.flight, new.flight);
        line.fails(3, new, refusal());
        former.succeeds(4, old, token("old", 0, 300_000));
        assert_eq!(former.condition(4), Condition::Empty);
        line.cools(5, Call::Any);
    }
}

#[test]
fn a_changed_client_keeps_the_old_token_until_the_new_one_is_there() {
    let mut line = Line::holding("old", 0, 3_600_000);
    line.hands_over(1_000, true);
    let new = line.wakes(1_000, false).expect("asked for at once");
    assert_eq!(line.takes(1_001, Call::Any), ("old".to_owned(), None));
    line.fails(1_100, new, outage());
    assert_eq!(line.takes(1_200, Call::Any).0, "old", "as long as it lives");
    let again = line.wakes(2_100, false).expect("tried again, used or not");
    line.succeeds(2_200, again, token("new", 2_100, 60_000));
    assert_eq!(line.takes(2_300, Call::Any).0, "new", "though it dies before the old one");
}

#[test]
fn nothing_happens_after_the_end() {
    let mut line = Line::holding("a", 0, 300_000);
    let new_flight = line.takes(245_000, Call::Any).1.unwrap();
    line.0.close();
    for call in [Call::Any, minimum(1), Call::Forced] {
        assert!(matches!(line.0.decide(at(245_001), call), Decision::Closed), "{call:?}");
    }
    assert_eq!(line.invalidates(245_001, "a"), Invalidation::Ignored);
    assert_eq!(line.0.clear(at(245_001)), Clearing::Nothing);
    line.hands_over(245_001, true);
    assert_eq!(line.wakes(245_001, true), None);
    line.fails(245_002, new_flight, outage());
    line.succeeds(245_003, new_flight, token("b", 245_000, 300_000));
    assert_eq!(line.condition(245_004), Condition::Closed);
    assert_eq!(line.0.next_change(at(245_004)), None);
    assert_eq!(line.0.servable(at(245_004)), None);
    assert_eq!(line.wakes(245_004, true), None);
}
