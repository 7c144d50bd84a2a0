//! Tokens that the server returns again.

use super::*;

const LIFE: u64 = 300_000;

fn expiring(name: &str, sent: u64, expiry: u64) -> Token {
    Token {
        expiry: Some(at(expiry).wall()),
        ..token(name, sent, LIFE)
    }
}

#[test]
fn a_repeated_token_keeps_its_first_life() {
    let mut line = Line::holding("a", 0, LIFE);
    line.invalidates(100_000, "a");
    let flight = line.starts(100_000, Call::Any);
    let landed = line.succeeds(100_001, flight, token("a", 100_000, LIFE));
    assert_eq!((landed.storage, landed.warning), (Storage::Kept, None));
    assert_eq!(line.0.token(at(100_001)).expect("a token").sent, at(0));
    line.starts(299_000, Call::Any);
}

#[test]
fn a_refresh_that_returns_the_held_token_postpones_the_next_one() {
    let mut line = Line::holding("a", 0, LIFE);
    let id = line.0.token_id();
    let refresh = line.wakes(240_000, true).expect("a refresh");
    let landed = line.succeeds(240_001, refresh, token("a", 240_000, LIFE));
    assert_eq!(landed.storage, Storage::NotKept);
    assert_eq!(line.0.token_id(), id);
    assert!(line.wakes(269_500, true).is_none());
    assert!(line.wakes(269_501, true).is_some(), "after half of the remaining life");
}

#[test]
fn a_repeated_token_counts_as_new_after_its_first_life() {
    for (name, expiry, warning, end) in [
        ("opaque", None, LifetimeWarning::Repeated, 300_000 + 299_000),
        ("not expired", Some(400_000), LifetimeWarning::Repeated, 300_000 + 299_000),
        ("expired", Some(299_999), LifetimeWarning::Over, 300_000 + 9_000),
    ] {
        let repeated = |sent| Token {
            expiry: expiry.map(|expiry| at(expiry).wall()),
            ..token("a", sent, LIFE)
        };
        let mut line = Line::new();
        let first = line.starts(0, Call::Any);
        line.succeeds(0, first, repeated(0));
        let flight = line.starts(300_000, Call::Any);
        let landed = line.succeeds(300_000, flight, repeated(300_000));
        assert_eq!((landed.storage, landed.warning), (Storage::Kept, Some(warning)), "{name}");
        assert!(line.0.token(at(end - 1)).is_some(), "{name}");
        line.0.advance(at(end));
        assert!(line.0.token(at(end)).is_none(), "{name}");
    }
}

#[test]
fn a_successor_and_its_predecessor_are_both_recognised() {
    let mut line = Line::holding("a", 0, LIFE);
    let refresh = line.wakes(240_000, true).expect("a refresh");
    line.succeeds(240_000, refresh, token("b", 240_000, LIFE));
    for (name, first) in [("b", 240_000), ("a", 0)] {
        let forced = line.starts(241_000, Call::Forced);
        let landed = line.succeeds(241_000, forced, token(name, 241_000, LIFE));
        assert_eq!(landed.result.expect("a token").sent, at(first), "{name}");
    }
    assert_eq!(line.takes(241_001, Call::Any).0, "b", "which lives longer");
}

#[test]
fn a_token_that_expires_early_by_its_own_claims_is_new_at_first() {
    let mut line = Line::new();
    let flight = line.starts(1_000, Call::Any);
    let landed = line.succeeds(1_000, flight, expiring("a", 1_000, 500));
    assert_eq!((landed.storage, landed.warning), (Storage::Kept, None), "the clocks may differ");
}
