#![no_main]
//! The captures that replay reads.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::fuzzing::capture::capture(bytes));
