//! What everything else needs.
//!
//! | module | what it holds |
//! |---|---|
//! | [`process`] | running a program to its end |
//! | [`parallel`] | a worker pool for cases |
//! | [`wait`] | waiting with a deadline |
//! | [`mod@file`] | files to transfer, and where to put them |
//! | [`tools`] | programs and files of this repository |

pub mod file;
pub mod parallel;
pub mod process;
pub mod tools;
pub mod wait;
