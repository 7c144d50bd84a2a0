#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/manager/tests/fuzzing/options.rs"]
mod options;

fuzz_target!(|data: &[u8]| options::run(data));
