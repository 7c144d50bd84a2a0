#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/manager/tests/fuzzing/entry.rs"]
mod entry;

fuzz_target!(|data: &[u8]| entry::run(data));
