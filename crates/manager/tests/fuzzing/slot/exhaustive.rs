//! Every sequence of events up to a length, from an empty slot and from states far off. What is
//! equal in all that decides its future is visited once: see [`Comparison::key`], and [`try_merge`],
//! which tries it on a sample.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;

use manager::error::ErrorKind;

use super::facts::{LUCK, ModelFailure, SECOND};
use super::model::Ask;
use super::pair::{Comparison, SlotEvent};
use super::scenarios::{SCENARIOS, Scenario};

/// Added to every length: each costs about five times the time of the one before.
const DEEPER: &str = "SLOT_DEEPER";

/// A state that is visited next.
struct Visit {
    number: usize,
    pair: Comparison,
    may_pass: bool,
}

struct Fault {
    visit: usize,
    event: SlotEvent,
    says: String,
}

/// The states that were reached.
#[derive(Default)]
struct Seen {
    numbers: HashMap<u64, usize>,
    /// How each was reached first: from the start of this number, or from another state.
    parents: Vec<Result<(usize, SlotEvent), usize>>,
    /// Something else than time led to it.
    may_pass: Vec<bool>,
    samples: HashMap<u64, Comparison>,
    merges_tried: u64,
}

impl Seen {
    /// One in this many states is kept.
    fn add(
        &mut self,
        sample: u64,
        key: u64,
        parent: Result<(usize, SlotEvent), usize>,
        pair: &Comparison,
    ) -> (usize, bool) {
        let may_pass = !matches!(parent, Ok((_, SlotEvent::Pass(_))));
        let next = self.parents.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number < next {
            self.may_pass[number] |= may_pass;
            return (number, false);
        }
        self.parents.push(parent);
        self.may_pass.push(may_pass);
        if key.is_multiple_of(sample)
            && let Entry::Vacant(sample) = self.samples.entry(key)
        {
            sample.insert(pair.clone());
        }
        (number, true)
    }

    /// The start, and the events from there to a state.
    fn trail(&self, mut number: usize) -> (usize, Vec<SlotEvent>) {
        let mut trail = Vec::new();
        loop {
            match self.parents[number] {
                Ok((parent, event)) => {
                    trail.push(event);
                    number = parent;
                }
                Err(start) => {
                    trail.reverse();
                    return (start, trail);
                }
            }
        }
    }
}

/// Where two ways lead to one state, whatever happens next must lead to one state again.
fn try_merge(scenario: &Scenario, one: &Comparison, other: &Comparison) -> Result<(), String> {
    let (left, right) = (scenario.choices(one, true), scenario.choices(other, true));
    if left.len() != right.len() {
        return Err("a merged state has other choices".to_owned());
    }
    for (left, right) in left.into_iter().zip(right) {
        let (mut one, mut other) = (one.clone(), other.clone());
        one.apply(left)?;
        other.apply(right)?;
        if one.key() != other.key() {
            return Err(format!("merged states part by {left:?}"));
        }
    }
    Ok(())
}

/// The result of some visits: the new states, and the transition of each event.
#[derive(Default)]
struct Round {
    next: Vec<Visit>,
    steps: Vec<(usize, Vec<usize>)>,
}

fn visit(
    scenario: &Scenario,
    visits: &[Visit],
    seen: &Mutex<Seen>,
    is_last: bool,
) -> Result<Round, Fault> {
    let mut round = Round::default();
    for visit in visits {
        let mut ends = Vec::new();
        for event in scenario.choices(&visit.pair, visit.may_pass) {
            let fault = |says| Fault {
                visit: visit.number,
                event,
                says,
            };
            let mut pair = visit.pair.clone();
            pair.apply(event).map_err(fault)?;
            if is_last {
                ends.push(0);
                continue;
            }
            let key = pair.key();
            let mut seen = seen.lock().unwrap();
            let (number, is_new) = seen.add(scenario.sample, key, Ok((visit.number, event)), &pair);
            ends.push(number);
            if is_new {
                drop(seen);
                round.next.push(Visit {
                    number,
                    pair,
                    may_pass: false,
                });
            } else if let Some(sample) = seen.samples.get(&key).cloned() {
                seen.merges_tried += 1;
                drop(seen);
                try_merge(scenario, &sample, &pair).map_err(fault)?;
            }
        }
        round.steps.push((visit.number, ends));
    }
    Ok(round)
}

/// How many sequences the states that were visited stand for.
fn sequences(starts: &[usize], steps: &HashMap<usize, Vec<usize>>, length: usize) -> u128 {
    let mut ways: HashMap<usize, u128> = HashMap::new();
    for start in starts {
        *ways.entry(*start).or_default() += 1;
    }
    for _ in 1..length {
        let mut next: HashMap<usize, u128> = HashMap::new();
        for (number, count) in ways {
            for end in &steps[&number] {
                *next.entry(*end).or_default() += count;
            }
        }
        ways = next;
    }
    ways.into_iter()
        .map(|(number, count)| count * steps[&number].len() as u128)
        .sum()
}

#[expect(clippy::print_stdout, reason = "what was covered")]
fn explore(scenario: &Scenario, length: usize) {
    let mut seen = Seen::default();
    let mut frontier = Vec::new();
    let starts = (scenario.starts)();
    for (index, start) in starts.iter().enumerate() {
        let mut pair = Comparison::new(scenario.in_background, scenario.buffer);
        for event in start {
            if let Err(fault) = pair.apply(*event) {
                panic!("{}: {fault}, on the way to start {start:#?}", scenario.name);
            }
        }
        let (number, is_new) = seen.add(scenario.sample, pair.key(), Err(index), &pair);
        assert!(is_new, "{}: its own start", scenario.name);
        frontier.push(Visit {
            number,
            pair,
            may_pass: true,
        });
    }
    let roots: Vec<_> = frontier.iter().map(|visit| visit.number).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut steps = HashMap::new();
    let seen = &Mutex::new(seen);
    for depth in 1..=length {
        let chunk = frontier.len().div_ceil(threads * 8).max(1);
        let rounds: Vec<_> = std::thread::scope(|scope| {
            let is_last = depth == length;
            let tasks: Vec<_> = frontier
                .chunks(chunk)
                .map(|visits| scope.spawn(move || visit(scenario, visits, seen, is_last)))
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).collect()
        });
        frontier.clear();
        let seen = seen.lock().unwrap();
        for round in rounds {
            match round {
                Ok(round) => {
                    frontier.extend(round.next);
                    steps.extend(round.steps);
                }
                Err(Fault { visit, event, says }) => {
                    let (start, mut trail) = seen.trail(visit);
                    trail.push(event);
                    let start = &starts[start];
                    panic!("{}: {says}\nfrom {start:#?}\nby {trail:#?}", scenario.name);
                }
            }
        }
        for visit in &mut frontier {
            visit.may_pass = seen.may_pass[visit.number];
        }
    }
    let seen = seen.lock().unwrap();
    println!(
        "{}: {} sequences of {length} events from {} starts: {} states, {} steps, {} merges tried",
        scenario.name,
        sequences(&roots, &steps, length),
        roots.len(),
        seen.parents.len(),
        steps.values().map(Vec::len).sum::<usize>(),
        seen.merges_tried,
    );
    assert!(seen.merges_tried > 0, "{}: merging was tried", scenario.name);
}

#[test]
fn the_slot_does_what_its_model_does_in_every_sequence_of_events() {
    let deeper = std::env::var(DEEPER).map_or(0, |more| more.parse().unwrap());
    for scenario in &SCENARIOS {
        explore(scenario, scenario.length + deeper);
    }
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
            for event in [SlotEvent::Pass(40 * SECOND), SlotEvent::Call(Ask::Any), fails] {
                assert_eq!(pair.apply(event), Ok(()), "{kind:?} number {flight}");
            }
        }
    }
}
