//! The program under test: the command, what it reports, and what the kernel has.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ftptrack`] | the command |
//! | [`guarded`] | what most tests begin with: network, server, ftptrack and a session |
//! | [`report`] | what it answers with `--json` |
//! | [`hooks`] | programs and maps in the kernel |
//! | [`test_run`] | the compiled program, run on single frames without an interface |
//! | [`interpret`] | how long its paths are |
//! | [`verifier`] | what it costs the verifier |
//! | [`doctor`] | `ftptrack doctor`, and running what it says |
//! | [`replay`] | `ftptrack replay` |
//! | [`service`] | the systemd unit and what a service manager is told |
//! | [`journal`] | what the journal is told |
//! | [`conntrack`] | the baseline: nf_conntrack_ftp |

pub mod conntrack;
pub mod doctor;
pub mod ftptrack;
pub mod guarded;
pub mod hooks;
pub mod interpret;
pub mod journal;
pub mod replay;
pub mod report;
pub mod service;
pub mod test_run;
pub mod verifier;
