#![no_main]
//! A story of attack

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites:: what the server accepts was negotiated.:model::fuzz::flow_machine(bytes));
