//! Tries every sequence of events up to a given length, from an empty slot and from states that
//! take many events to reach. It visits states with the same future only once: [`Comparison::key`]
//! identifies them, and [`try_merge`] checks a sample of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::thread;

use manager::error::ErrorKind;
use manager::slot::Call;

use super::facts::{LUCK, ModelFailure, SECOND};
use super::pair::{Comparison, SlotEvent};
use super::scenarios::{SCENARIOS, Scenario};

/// One in this many states is a sample: the test keeps the sample, and checks that the states
/// merged into it are equivalent.
const SAMPLE: usize = 300;

/// A state to visit.
struct Visit {
    pair: Comparison,
    /// The events that led to the state.
    trail: Vec<SlotEvent>,
    may_pass: bool,
}

/// Checks that two equal states are still equal after any further event.
fn try_merge(scenario: &Scenario, one: &Comparison, other: &Comparison) -> Result<(), String> {
    let (left, right) = (scenario.choices(one, true), scenario.choices(other, true));
    if left.len() != right.len() {
        return Err("merged states have different choices".to_owned());
    }
    for (left, right) in left.into_iter().zip(right) {
        let (mut one, mut other) = (one.clone(), other.clone());
        one.apply(left)?;
        other.apply(right)?;
        if one.key() != other.key() {
            return Err(format!("merged states differ after {left:?}"));
        }
    }
    Ok(())
}

/// Returns the state after these events.
fn start(scenario: &Scenario, trail: Vec<SlotEvent>) -> Visit {
    let mut pair = Comparison::new(scenario.in_background, scenario.buffer);
    for event in &trail {
        assert_eq!(pair.apply(*event), Ok(()), "{}, on the way to {trail:#?}", scenario.name);
    }
    Visit {
        pair,
        trail,
        may_pass: true,
    }
}

fn explore(scenario: &Scenario) {
    let mut seen = HashMap::new();
    let mut merges_tried = 0;
    let starts = (scenario.starts)();
    let mut frontier: Vec<Visit> = starts.into_iter().map(|it| start(scenario, it)).collect();
    for length in 1..=scenario.length {
        let mut next = Vec::new();
        for visit in &frontier {
            for event in scenario.choices(&visit.pair, visit.may_pass) {
                let trail = || [&visit.trail[..], &[event]].concat();
                let check = |result: Result<(), String>| {
                    assert_eq!(result, Ok(()), "{}, by {:#?}", scenario.name, trail());
                };
                let mut pair = visit.pair.clone();
                check(pair.apply(event));
                if length == scenario.length {
                    continue;
                }
                // Two consecutive waits equal one longer wait.
                let may_pass = !matches!(event, SlotEvent::Pass(_));
                let is_sample = seen.len().is_multiple_of(SAMPLE);
                match seen.entry((pair.key(), may_pass)) {
                    Entry::Vacant(entry) => {
                        entry.insert(is_sample.then(|| pair.clone()));
                        next.push(Visit {
                            pair,
                            trail: trail(),
                            may_pass,
                        });
                    }
                    Entry::Occupied(entry) => {
                        if let Some(sample) = entry.get() {
                            check(try_merge(scenario, sample, &pair));
                            merges_tried += 1;
                        }
                    }
                }
            }
        }
        frontier = next;
    }
    assert!(merges_tried > 0, "{}: no states were merged", scenario.name);
}

#[test]
fn the_slot_does_what_its_model_does_in_every_sequence_of_events() {
    thread::scope(|scope| {
        for scenario in &SCENARIOS {
            scope.spawn(|| explore(scenario));
        }
    });
}

#[test]
fn every_kind_of_failure_cools_for_as_long_as_the_model_says() {
    for (kind, jitter) in ErrorKind::ALL
        .into_iter()
        .flat_map(|kind| [(kind, 0), (kind, LUCK)])
    {
        let mut pair = Comparison::new(true, 0);
        for flight in 1..9 {
            let failure = ModelFailure {
                kind,
                retry_after: None,
            };
            let fails = SlotEvent::Fail {
                flight,
                failure,
                jitter,
            };
            for event in [SlotEvent::Pass(40 * SECOND), SlotEvent::Call(Call::Any), fails] {
                assert_eq!(pair.apply(event), Ok(()), "{kind:?} number {flight}");
            }
        }
    }
}
