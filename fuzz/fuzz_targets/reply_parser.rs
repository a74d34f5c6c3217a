#![no_main]
//! The server's stream against a reading line by line.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::model::fuzz::reply_parser(bytes));
