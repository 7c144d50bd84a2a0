#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzzing/redact.rs"]
mod redact;

fuzz_target!(|data: &[u8]| redact::run(data));
