//! What the integration tests are made of: hosts in network namespaces, a real FTP server and
//! client, scripted ones, probes, forged packets, and `ftptrack` itself.
//!
//! | room | what it holds |
//! |---|---|
//! | [`hosts`] | network namespaces and what joins them; a virtual machine with another kernel |
//! | [`actors`] | FTP servers and clients, real and scripted; probes; a terminal |
//! | [`packets`] | packets as bytes: forged, seen on the wire, captured, by the hundred thousand |
//! | [`subject`] | the program under test, what it reports, what the kernel has; nf_conntrack_ftp as the baseline |
//! | [`suites`] | test cases as data, and what plays them |
//! | [`support`] | processes, files and waiting: everything ends by a deadline |
//!
//! Nothing in a test has a fixed name that another test could meet, and nothing stays behind:
//! namespaces and mounts have no other owner than the test, so they go even when it is killed.

pub mod actors;
pub mod hosts;
pub mod packets;
pub mod subject;
#[cfg(feature = "suites")]
pub mod suites;
pub mod support;

/// The passive range of all servers in these tests.
pub const PASSIVE_RANGE: std::ops::RangeInclusive<u16> = 10240..=20480;
/// A port inside [`PASSIVE_RANGE`], for tests that need just one.
pub const INSIDE: u16 = 15000;
