//! Tokens from a shared store, and the conditions under which a slot takes them.

use super::*;

/// Returns a slot that shares its token.
fn sharing(line: Line) -> Line {
    Line(line.0.sharing(true))
}

impl Line {
    /// Offers a token from the store to a flight. Returns how the slot stores the token; `None` if
    /// the slot refuses it.
    fn stored(&mut self, time: u64, flight: NewFlight, token: Token) -> Option<Storage> {
        let landed = self.0.land_stored(at(time), flight.flight, token, 0.0);
        landed.map(|result| result.storage)
    }
}

#[test]
fn a_flight_takes_a_token_that_lives_longer_than_the_held_one_and_meets_the_minimum() {
    for (name, call, stored, expected) in [
        ("longer", Call::Minimum(ms(60_000)), token("b", 200_000, 300_000), true),
        ("misses the minimum", Call::Minimum(ms(60_000)), token("b", 5_000, 300_000), false),
        ("the held token", Call::Minimum(ms(60_000)), token("a", 200_000, 300_000), false),
        ("over", Call::Minimum(ms(60_000)), token("b", 0, 250_000), false),
        ("forced", Call::Forced, token("b", 200_000, 300_000), false),
    ] {
        let mut line = sharing(Line::holding("a", 0, 300_000));
        let flight = line.starts(250_000, call);
        assert_eq!(flight.reads_store, call != Call::Forced, "{name}");
        let storage = line.stored(250_010, flight, stored);
        assert_eq!(storage, expected.then_some(Storage::Kept), "{name}");
        let held = line.takes(250_020, Call::Any).0;
        assert_eq!(held, if expected { "b" } else { "a" }, "{name}");
    }
}

#[test]
fn a_caller_that_forces_a_refresh_keeps_the_flight_that_it_joins_from_taking_a_token() {
    let mut line = sharing(Line::new());
    let flight = line.starts(0, Call::Any);
    assert!(flight.reads_store);
    line.joins(1, Call::Forced);
    assert_eq!(line.stored(2, flight, token("b", 0, 300_000)), None);
    line.succeeds(3, flight, token("c", 0, 300_000));
    assert_eq!(line.takes(4, Call::Any).0, "c");
}

#[test]
fn a_token_that_no_caller_waits_for_settles_also_if_it_comes_from_the_store() {
    for (name, sent, life, storage) in [
        ("young", 238_000, 300_000, Some(Storage::Settling)),
        ("old", 230_000, 300_000, Some(Storage::Kept)),
        ("shorter than the held one", 230_000, 60_000, None),
    ] {
        let mut line = sharing(Line::holding("a", 0, 300_000));
        let flight = line.takes(240_000, Call::Any).1.expect("a refresh");
        let stored = token("b", sent, life);
        assert_eq!(line.stored(240_010, flight, stored), storage, "{name}");
        let held = line.takes(240_020, Call::Any).0;
        let expected = if storage == Some(Storage::Kept) {
            "b"
        } else {
            "a"
        };
        assert_eq!(held, expected, "{name}");
    }
}

#[test]
fn after_a_drop_a_flight_takes_only_another_token_that_was_granted_later() {
    type Dropping = fn(&mut Line);
    let drops: [(&str, Dropping); 3] = [
        ("rejected", |line| assert_eq!(line.invalidates(10_000, "a"), Invalidation::Dropped)),
        ("cleared", |line| assert_eq!(line.0.clear(at(10_000)), Clearing::Dropped)),
        ("dropped", |line| line.0.drop_token(at(10_000))),
    ];
    for (drop_name, drop) in drops {
        for (name, stored, expected) in [
            ("the dropped one", token("a", 0, 300_000), false),
            ("the dropped one, with a later date", token("a", 10_005, 300_000), false),
            ("granted before", token("b", 9_999, 300_000), false),
            ("granted after", token("b", 10_001, 300_000), true),
        ] {
            let mut line = sharing(Line::new());
            let flight = line.starts(0, Call::Any);
            line.succeeds(0, flight, token("a", 0, 300_000));
            drop(&mut line);
            let flight = line.starts(10_010, Call::Any);
            let taken = line.stored(10_020, flight, stored);
            assert_eq!(taken.is_some(), expected, "{drop_name}: {name}");
        }
    }
}

#[test]
fn a_detached_flight_takes_no_token_from_the_store() {
    let mut line = sharing(Line::new());
    let flight = line.starts(0, Call::Any);
    assert_eq!(line.0.clear(at(1)), Clearing::Detached);
    assert_eq!(line.stored(2, flight, token("b", 2, 300_000)), None);
}

#[test]
fn a_token_from_the_store_does_not_end_a_row_of_failures() {
    let mut line = sharing(Line::holding("a", 0, 300_000));
    let flight = line.takes(240_000, Call::Any).1.expect("a refresh");
    line.fails(240_010, flight, refusal());
    let flight = line.takes(245_000, Call::Any).1.expect("another refresh");
    assert!(
        line.stored(245_010, flight, token("b", 230_000, 300_000))
            .is_some()
    );
    let flight = line.starts(245_020, Call::Forced);
    let result = line.succeeds(245_030, flight, token("c", 245_020, 300_000));
    assert!(result.is_transition, "the server works again");
}
