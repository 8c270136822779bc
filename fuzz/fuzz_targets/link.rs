//! Fuzzes what must hold of a presigned link.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birdkeep_fuzz::link::check(input));
