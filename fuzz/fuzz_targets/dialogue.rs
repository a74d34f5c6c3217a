#![no_main]
//! A dialogue in good order, however it is cut.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::model::fuzz::dialogue(bytes));
