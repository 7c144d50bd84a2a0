//! Calls that clear the slot.

use super::*;

#[test]
fn two_hundred_clears_within_a_second_cause_four_logins() {
    let mut line = Line::holding("0", 0, 300_000);
    let mut logins = 1;
    for time in (1..=1_000).step_by(5) {
        line.0.clear(at(time));
        if let Decision::Wait {
            new_flight: Some(new_flight),
            ..
        } = line.0.decide(at(time), Call::Any)
        {
            logins += 1;
            line.succeeds(time, new_flight, token(&time.to_string(), time, 300_000));
        }
    }
    assert_eq!(logins, 4, "the first, and three clears");
}

#[test]
fn clears_are_spaced_after_three_within_ten_seconds() {
    let mut line = Line::new();
    let mut clears = |time: u64| {
        if let Decision::Wait {
            new_flight: Some(new_flight),
            ..
        } = line.0.decide(at(time), Call::Any)
        {
            line.succeeds(time, new_flight, token(&time.to_string(), time, 300_000));
        }
        line.0.clear(at(time)) == Clearing::Dropped
    };
    for (time, is_honoured) in [
        (0, true),
        (10, true),
        (20, true),
        (30, false),
        (1_029, false),
        (1_030, true),
        (1_040, false),
        (3_039, false),
        (3_040, true),
        (3_050, false),
        (7_049, false),
        (7_050, true),
        (17_049, true),
        (27_049, true),
        (27_050, true),
        (27_051, true),
        (27_052, false),
    ] {
        assert_eq!(clears(time), is_honoured, "{time}");
    }
    for time in (40_000..400_000).step_by(4_000) {
        assert!(clears(time), "{time}: never more than three within ten seconds");
    }
}

#[test]
fn a_clear_that_finds_nothing_is_free() {
    let mut line = Line::new();
    for time in 0..100 {
        assert_eq!(line.0.clear(at(time)), Clearing::Nothing);
    }
    let flight = line.starts(100, Call::Any);
    line.succeeds(100, flight, token("a", 100, 300_000));
    assert_eq!(line.0.clear(at(101)), Clearing::Dropped);
}
