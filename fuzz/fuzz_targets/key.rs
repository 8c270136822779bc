//! Fuzzes what must hold of a place of a recording.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birdkeep_fuzz::key::check(input));
