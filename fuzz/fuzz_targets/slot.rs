#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/manager/tests/fuzzing/slot.rs"]
mod slot;

fuzz_target!(|data: &[u8]| slot::run(data));
