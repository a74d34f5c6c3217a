#![no_main]
//! Packets of all kinds through the model.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::model::fuzz::packet_path(bytes));
