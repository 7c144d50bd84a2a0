#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/manager/tests/fuzzing/response.rs"]
mod response;
#[path = "../../crates/manager/tests/fuzzing/spelled.rs"]
mod spelled;

fuzz_target!(|data: &[u8]| response::run(data));
