#![no_main]
//! What doctor is told by other programs.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::fuzzing::doctor_answers::doctor_answers(bytes));
