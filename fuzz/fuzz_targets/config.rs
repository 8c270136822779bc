//! Fuzzes what must hold of the configuration.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birdkeep_fuzz::config::check(input));
