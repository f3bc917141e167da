//! What the fuzzer found interesting, each time the tests run; a crash it finds becomes a file there.
#![allow(clippy::expect_used, reason = "a failed check is a failed test")]

#[path = "../../fuzz/src/engine.rs"]
mod engine;

#[test]
fn saved_inputs_break_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/engine");
    let files = std::fs::read_dir(folder).expect("the corpus is part of the repository");
    let mut runs = 0;
    for file in files {
        let path = file.expect("it can be listed").path();
        engine::run(&std::fs::read(path).expect("it can be read"));
        runs += 1;
    }
    assert!(runs > 0);
}
