//! libFuzzer against a whole `perilune-engine`.
#![no_main]

#[path = "../engine.rs"]
mod engine;

libfuzzer_sys::fuzz_target!(|data: &[u8]| engine::run(data));
