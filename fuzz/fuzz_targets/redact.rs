#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/manager/tests/fuzzing/redact.rs"]
mod redact;

fuzz_target!(|data: &[u8]| redact::run(data));
