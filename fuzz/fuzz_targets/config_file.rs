#![no_main]
//! The configuration file.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ftptrack_tests::suites::fuzzing::config_file::config_file(bytes));
