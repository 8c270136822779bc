//! Fuzzes what must hold of a page of a listing.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birdkeep_fuzz::page::check(input));
