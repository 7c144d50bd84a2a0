//! Runs the targets of `fuzz/` without a fuzzer: each with every input of its corpus, and with
//! 100,000 random or mutated inputs. `FUZZING_SEED` repeats a run.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![expect(clippy::string_slice, clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the seed and the input that failed"
)]
#![expect(unreachable_pub, reason = "the fuzz targets have the same modules")]

use std::{env, fs, panic, path::Path};

#[path = "fuzzing/entry.rs"]
mod entry;
#[path = "fuzzing/options.rs"]
mod options;
#[path = "fuzzing/redact.rs"]
mod redact;
#[path = "fuzzing/response.rs"]
mod response;
#[path = "fuzzing/slot.rs"]
mod slot;
#[path = "fuzzing/spelled.rs"]
mod spelled;

/// The number of random and mutated inputs for each target.
const EXECUTIONS: usize = 100_000;
/// The maximum length of a random input, in bytes. A mutated corpus input may be twice as long.
const LONGEST: usize = 256;

#[test]
fn answers_are_read_whatever_they_are() {
    attack("response", response::run);
}

#[test]
fn entries_are_read_whatever_they_are() {
    attack("entry", entry::run);
}

#[test]
fn texts_are_cleaned_whatever_they_are() {
    attack("redact", redact::run);
}

#[test]
fn options_are_parsed_whatever_they_are() {
    attack("options", options::run);
}

#[test]
fn slot_does_as_its_model_does_whatever_happens() {
    attack("slot", slot::run);
}

/// Runs the target on its corpus, then on mutated corpus inputs and on random bytes.
fn attack(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        execute(run, input, || format!("fuzz/corpus/{target}/{name}"));
    }
    let seed = seed();
    println!("FUZZING_SEED={seed}");
    let mut numbers = fastrand::Rng::with_seed(seed);
    for number in 0..EXECUTIONS {
        let input = input(&mut numbers, &corpus);
        execute(run, &input, || format!("number {number} of FUZZING_SEED={seed}"));
    }
}

fn seed() -> u64 {
    match env::var("FUZZING_SEED") {
        Ok(given) => given.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    }
}

/// Runs the target on one input, and names the input if it fails.
fn execute(run: fn(&[u8]), input: &[u8], name: impl Fn() -> String) {
    if let Err(failure) = panic::catch_unwind(|| run(input)) {
        eprintln!("failed at {}: \"{}\"", name(), input.escape_ascii());
        panic::resume_unwind(failure);
    }
}

/// Returns the files of the corpus, in the same order on every machine.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort_unstable();
    assert!(files.len() >= 10, "{target} has a corpus of {} files", files.len());
    files
}

fn input(numbers: &mut fastrand::Rng, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    if numbers.u8(..8) == 0 {
        let length = numbers.usize(..LONGEST);
        return (0..length).map(|_| numbers.u8(..)).collect();
    }
    let mut input = corpus[numbers.usize(..corpus.len())].1.clone();
    for _ in 0..=numbers.usize(..8) {
        let other = &corpus[numbers.usize(..corpus.len())].1;
        change(numbers, &mut input, other);
    }
    input.truncate(LONGEST.max(numbers.usize(..LONGEST * 2)));
    input
}

/// Mutates the input as a fuzzer would.
fn change(numbers: &mut fastrand::Rng, input: &mut Vec<u8>, other: &[u8]) {
    const MEANINGFUL: &[u8] = b"\0\n\r\t \"\\%+&=:;,{}[]()<>'eEqXu0129-./\x7f\x80\xc3\xff";
    let from = numbers.usize(..=input.len());
    let to = numbers.usize(from..=input.len().min(from + 16));
    let piece = {
        let from = numbers.usize(..=other.len());
        &other[from..numbers.usize(from..=other.len().min(from + 64))]
    };
    match numbers.u8(..6) {
        0 => drop(input.drain(from..to)),
        1 => drop(input.splice(from..to, piece.iter().copied())),
        2 => drop(input.splice(from..from, piece.iter().copied())),
        3 => input.insert(from, MEANINGFUL[numbers.usize(..MEANINGFUL.len())]),
        4 => input.extend_from_within(from..to),
        _ => {
            if let Some(byte) = input.get_mut(from) {
                *byte = if numbers.bool() {
                    numbers.u8(..)
                } else {
                    *byte ^ (1 << numbers.u8(..8))
                };
            }
        }
    }
}
