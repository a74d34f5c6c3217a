#![no_main]
//! A story of attack: what the server accepts was negotiated.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::model::fuzz::flow_machine(bytes));
