//! Packets as bytes: made, read, sent and captured.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ip`] | IP packets, with fragments and extension headers |
//! | [`segment`] | a TCP segment in an IP packet |
//! | [`wire`] | the link of a host, below IP |
//! | [`tagged`] | Ethernet frames with VLAN tags |
//! | [`tcp_peer`] | a TCP client made of raw segments |
//! | [`flood`] | packets by the hundred thousand |
//! | [`pcap`] | captures |

pub mod flood;
pub mod ip;
pub mod pcap;
pub mod segment;
pub mod tagged;
pub mod tcp_peer;
pub mod wire;
