#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzzing/response.rs"]
mod response;
#[path = "../../tests/fuzzing/spelled.rs"]
mod spelled;

fuzz_target!(|data: &[u8]| response::run(data));
