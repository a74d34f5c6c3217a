//! What the integration tests are made of: hosts in network namespaces, a real FTP server and
//! client, scripted ones, probes, forged packets, and `ftptrack` itself.
//!
//! | module | what it holds |
//! |---|---|
//! | [`namespace`], [`network`], [`links`] | hosts that only this test can see, joined by a bridge |
//! | [`ftptrack`], [`report`], [`hooks`] | the command under test, what it answers, what the kernel has |
//! | [`verifier`], [`interpret`] | what the programs cost the kernel's verifier; how long their paths are |
//! | [`tmux`] | a real terminal |
//! | [`doctor`] | `ftptrack doctor`, and running what it says |
//! | [`vsftpd`], [`curl`], [`mod@file`] | the real server and the real client, and what they transfer |
//! | [`client`], [`server`] | scripted ones, for saying exactly what is said when |
//! | [`mod@ftp_server`], [`transfer`] | a small server of our own, and its client's transfers |
//! | [`service`], [`journal`], [`tools`] | what a service manager is told and forbids, and what the journal; other programs |
//! | [`guest`], [`systemd`] | a machine for the tests alone, with another kernel; systemd in it |
//! | [`probe`], [`echo`] | does a connection begin, does a datagram pass |
//! | [`knock`] | is a port shut at every moment |
//! | [`packet`], [`segment`], [`wire`] | packets as bytes: forged, and seen on the wire |
//! | [`pcap`], [`replay`] | captures, made by tcpdump and edited; what `ftptrack replay` shows of them |
//! | [`tcp_peer`], [`flood`] | a client that breaks TCP's rules; packets by the hundred thousand |
//! | [`run`] | the compiled program, run on single frames without an interface |
//! | [`model`] | the same packet path in user space, and scripts that both must agree on |
//! | [`dialogue`], [`conntrack`] | what is said and what it opens, as data; the kernel's own FTP helper |
//! | [`games`], [`trials`] | what is played with TCP's rules, with many at once, and two at a time |
//! | [`compat`] | every server with every client, as data |
//! | [`security_page`] | the part of `docs/security.md` that is generated |
//! | [`process`], [`wait`] | everything ends by a deadline |
//!
//! Nothing in a test has a fixed name that another test could meet, and nothing stays behind:
//! namespaces and mounts have no other owner than the test, so they go even when it is killed.

pub mod client;
pub mod compat;
pub mod conntrack;
pub mod curl;
pub mod dialogue;
pub mod doctor;
pub mod echo;
pub mod file;
pub mod flood;
pub mod ftp_server;
pub mod ftptrack;
pub mod games;
pub mod guest;
pub mod hooks;
pub mod interpret;
pub mod journal;
pub mod knock;
pub mod links;
pub mod model;
pub mod namespace;
pub mod network;
pub mod packet;
pub mod pcap;
pub mod probe;
pub mod process;
pub mod replay;
pub mod report;
pub mod run;
pub mod security_page;
pub mod segment;
pub mod server;
pub mod service;
pub mod systemd;
pub mod tagged;
pub mod tcp_peer;
pub mod tmux;
pub mod tools;
pub mod transfer;
pub mod trials;
pub mod verifier;
pub mod vsftpd;
pub mod wait;
pub mod wire;

/// The passive range of all servers in these tests.
pub const PASSIVE_RANGE: std::ops::RangeInclusive<u16> = 10240..=20480;
/// A port inside [`PASSIVE_RANGE`], for tests that need just one.
pub const INSIDE: u16 = 15000;
