#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gelato_fuzz::wire::session(data));
