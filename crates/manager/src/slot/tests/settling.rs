//! Successors of a held token, from arrival to adoption.

use super::*;

/// A slot with the token "a", valid for 300 s, and its successor "b", granted at `sent`.
fn settling(sent: u64) -> Line {
    let mut line = Line::holding("a", 0, 300_000);
    let flight = line.wakes(sent, true).expect("a refresh");
    let landed = line.succeeds(sent, flight, token("b", sent, 300_000));
    assert_eq!(landed.storage, Storage::Settling);
    line
}

#[test]
fn a_refreshed_token_is_adopted_when_it_is_five_seconds_old() {
    let mut line = settling(220_000);
    let version = line.0.servable(at(220_001));
    assert!(version.is_some(), "the held token is served without asking");
    assert_eq!(line.0.next_change(at(221_000)), Some(ms(4_000)));
    assert_eq!(line.takes(224_999, Call::Any), ("a".to_owned(), None), "no further refresh is due");
    assert!(line.wakes(224_999, true).is_none());
    assert_eq!(line.0.servable(at(224_999)), version);
    assert_eq!(line.takes(225_000, Call::Any), ("b".to_owned(), None));
    assert_ne!(line.0.servable(at(225_000)), version);
}

#[test]
fn a_successor_is_adopted_earlier_where_the_held_token_is_about_to_end() {
    let mut line = settling(295_000);
    assert_eq!(line.takes(296_999, Call::Any).0, "a");
    assert_eq!(line.takes(297_000, Call::Any).0, "b", "half of the remaining 4 s");
}

#[test]
fn a_successor_is_adopted_at_once_where_it_is_needed() {
    type Event = fn(&mut Line);
    let rows: [(&str, Event, &str); 6] = [
        ("nothing happened", |_| {}, "a"),
        (
            "the held token is rejected",
            |line| {
                assert_eq!(line.invalidates(220_500, "a"), Invalidation::Dropped);
            },
            "b",
        ),
        (
            "only the successor meets a minimum",
            |line| {
                assert_eq!(line.takes(220_500, minimum(100_000)).0, "b");
            },
            "b",
        ),
        (
            "both meet a minimum",
            |line| {
                assert_eq!(line.takes(220_500, minimum(10_000)).0, "a");
            },
            "a",
        ),
        (
            "a caller waits for a newer one",
            |line| {
                let forced = line.starts(220_500, Call::Forced);
                line.succeeds(220_600, forced, token("c", 220_500, 300_000));
            },
            "c",
        ),
        (
            "a newer one fails",
            |line| {
                let forced = line.starts(220_500, Call::Forced);
                line.fails(220_600, forced, outage());
            },
            "a",
        ),
    ];
    for (name, event, expected) in rows {
        let mut line = settling(220_000);
        event(&mut line);
        assert_eq!(line.takes(221_000, Call::Any).0, expected, "{name}");
    }
}

#[test]
fn a_token_is_adopted_at_once_if_a_caller_waits_or_the_held_one_is_of_another_configuration() {
    let mut line = Line::holding("a", 0, 300_000);
    let refresh = line.wakes(220_000, true).expect("a refresh");
    assert_eq!(line.joins(220_001, minimum(100_000)), refresh.flight);
    let landed = line.succeeds(220_100, refresh, token("b", 220_000, 300_000));
    assert_eq!(landed.storage, Storage::Kept, "a caller waits");

    let mut line = Line::holding("a", 0, 300_000);
    line.hands_over(1_000, true);
    let refresh = line.wakes(1_000, false).expect("a refresh");
    let landed = line.succeeds(1_100, refresh, token("b", 1_000, 300_000));
    assert_eq!(landed.storage, Storage::Kept, "another configuration");
}

#[test]
fn clearing_and_a_changed_configuration_drop_the_successor() {
    let mut line = settling(220_000);
    assert_eq!(line.0.clear(at(220_500)), Clearing::Dropped);
    line.starts(220_501, Call::Any);

    let mut line = settling(220_000);
    line.hands_over(220_500, false);
    assert_eq!(line.takes(230_000, Call::Any).0, "a");
}
