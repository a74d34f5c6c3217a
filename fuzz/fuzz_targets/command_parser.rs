#![no_main]
//! The client's stream against a reading line by line.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::model::fuzz::command_parser(bytes));
