//! Drops of rejected tokens, per route.

use super::*;

/// Reports that route 0 rejects the token `name` at `time`, and replaces the token with `next`
/// immediately.
fn drop_and_replace(line: &mut Line, time: u64, name: &str, next: &str) {
    assert_eq!(line.invalidates(time, name), Invalidation::Dropped, "{name} at {time}");
    let flight = line.starts(time, Call::Any);
    line.succeeds(time, flight, token(next, time, 300_000));
}

#[test]
fn the_spacing_of_a_route_doubles_at_each_further_drop_until_its_budget_is_spent() {
    let mut line = Line::holding("0", 0, 300_000);
    drop_and_replace(&mut line, 0, "0", "1");
    let mut time = 0;
    for (name, next, spacing) in [("1", "2", 1), ("2", "3", 2), ("3", "4", 4), ("4", "5", 8)] {
        for refusal in [1, spacing * 500, spacing * 1_000 - 1] {
            assert_eq!(line.invalidates(time + refusal, name), Invalidation::Kept, "{name}");
        }
        time += spacing * 1_000;
        drop_and_replace(&mut line, time, name, next);
    }
    assert_eq!(line.invalidates(time + 16_000, "5"), Invalidation::Kept, "three units are kept");
    assert_eq!(line.invalidates(60_000, "5"), Invalidation::Dropped, "one more a minute");
}

/// Each case shows how routes treat the replacement "1" of a token that route 0 rejected at time 0.
#[test]
fn a_route_is_forgiven_if_it_does_not_reject_the_replacement() {
    type Events = &'static [(u64, &'static str)];
    let rows: [(&str, Events, u64, bool); 7] = [
        ("accepted for as long as the spacing", &[(100, "accept")], 1_100, true),
        ("accepted for less", &[(100, "accept")], 1_099, false),
        ("accepted and rejected", &[(100, "accept"), (200, "reject")], 2_000, false),
        ("rejected and accepted", &[(200, "reject"), (300, "accept")], 2_000, false),
        ("neither, until it is stale", &[], 240_000, true),
        ("neither, and not stale yet", &[], 239_000, false),
        ("rejected, until it is stale", &[(500, "reject")], 240_000, false),
    ];
    for (name, events, time, is_forgiven) in rows {
        let mut line = Line::holding("0", 0, 300_000);
        drop_and_replace(&mut line, 0, "0", "1");
        for (time, event) in events {
            match *event {
                "accept" => assert!(line.accepts(*time, "1", 0), "{name}"),
                _ => assert_eq!(line.invalidates(*time, "1"), Invalidation::Kept, "{name}"),
            }
        }
        drop_and_replace(&mut line, time, "1", "2");
        let after_first_spacing = line.invalidates(time + 1_000, "2");
        let expected = if is_forgiven {
            Invalidation::Dropped
        } else {
            Invalidation::Kept
        };
        assert_eq!(after_first_spacing, expected, "{name}");
    }
}

#[test]
fn a_route_that_accepts_its_replacement_costs_no_budget() {
    let mut line = Line::holding("0", 0, 300_000);
    let mut name = "0".to_owned();
    for round in 1..=40_u64 {
        let (time, next) = (round * 5_000, round.to_string());
        drop_and_replace(&mut line, time, &name, &next);
        assert!(line.accepts(time + 1, &next, 0));
        assert!(!line.accepts(time + 1_001, &next, 0), "forgiven");
        name = next;
    }
}

#[test]
fn the_drops_of_a_route_change_nothing_for_another_but_for_one_second() {
    let mut line = Line::holding("0", 0, 300_000);
    drop_and_replace(&mut line, 0, "0", "1");
    drop_and_replace(&mut line, 1_000, "1", "2");
    drop_and_replace(&mut line, 3_000, "2", "3");
    assert_eq!(line.rejects(3_999, "3", 7), Invalidation::Kept, "a second between drops");
    assert_eq!(line.rejects(4_000, "3", 7), Invalidation::Dropped);
}

#[test]
fn a_refusal_during_the_cool_down_is_kept_and_counts() {
    let mut line = Line::holding("0", 0, 300_000);
    drop_and_replace(&mut line, 0, "0", "1");
    let forced = line.starts(100, Call::Forced);
    line.fails(100, forced, refusal());
    assert_eq!(line.invalidates(1_050, "1"), Invalidation::Kept);
    assert!(line.accepts(1_060, "1", 0));
    drop_and_replace(&mut line, 2_200, "1", "2");
    assert_eq!(line.invalidates(4_199, "2"), Invalidation::Kept, "2 s now");
    assert_eq!(line.invalidates(4_200, "2"), Invalidation::Dropped);
}

#[test]
fn only_so_many_routes_are_remembered() {
    let mut line = Line::holding("0", 0, 3_600_000);
    let mut name = "0".to_owned();
    for route in 0..300 {
        let (time, next) = (route * 60_000, format!("r{route}"));
        assert_eq!(line.rejects(time, &name, route), Invalidation::Dropped, "{route}");
        let flight = line.starts(time, Call::Any);
        line.succeeds(time, flight, token(&next, time, 86_400_000));
        name = next;
    }
}

/// Simulates callers of an API that ask for a token ten times a second, each on its own route, for
/// `seconds`. `accepts` says whether a route accepts a token that the server granted at a given
/// time. A login takes no time. Returns the number of logins.
fn call_routes(
    seconds: u64,
    routes: impl Fn(u64) -> Vec<u64>,
    mut accepts: impl FnMut(u64, u64, u64) -> bool,
) -> u64 {
    let mut line = Line::new();
    let mut logins = 0;
    let mut granted = 0;
    for time in (0..seconds * 1_000).step_by(100) {
        for route in routes(time) {
            let new_flight = match line.0.decide(at(time), Call::Any) {
                Decision::Use { new_flight, .. } | Decision::Wait { new_flight, .. } => new_flight,
                other => panic!("at {time}: {other:?}"),
            };
            if let Some(new_flight) = new_flight.or_else(|| line.wakes(time, true)) {
                logins += 1;
                line.succeeds(time, new_flight, token(&time.to_string(), time, 300_000));
            }
            if let Some(held) = line.0.token(at(time)) {
                granted = held.access_token.expose().parse().unwrap();
            }
            if accepts(time, route, granted) {
                line.accepts(time, &granted.to_string(), route);
            } else {
                line.rejects(time, &granted.to_string(), route);
            }
        }
    }
    logins
}

#[test]
fn an_api_that_rejects_everything_for_a_minute_causes_at_most_twelve_logins() {
    let one = call_routes(60, |_| vec![0], |_, _, _| false);
    assert_eq!(one, 6, "at 0, 0, 1, 3, 7 and 15 s");
    let many = call_routes(60, |time| vec![time / 100 % 300], |_, _, _| false);
    assert_eq!(many, 9, "the first, and the budget");
}

#[test]
fn a_route_that_needs_a_new_token_gets_it_beside_routes_that_reject_every_token() {
    const NEW: u64 = 99;
    for broken in [1, 3] {
        for start in (0..590_000).step_by(8_300) {
            let mut healed = None;
            let logins = call_routes(
                600,
                |time| (0..broken).chain((time >= start).then_some(NEW)).collect(),
                |time, route, granted| {
                    let accepts = route == NEW && granted >= start && granted > 0;
                    if accepts {
                        healed.get_or_insert(time - start);
                    }
                    accepts
                },
            );
            let healed = healed.expect("the new route gets its token");
            assert!(healed <= 1_500, "{broken} broken, at {start}: {healed} ms");
            assert!(logins <= 20, "{broken} broken, at {start}: {logins} logins");
        }
    }
}
