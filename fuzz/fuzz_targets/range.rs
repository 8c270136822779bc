//! Fuzzes what must hold of a media host's refusal.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birdkeep_fuzz::range::check(input));
