//! ftptrack's user space: it resolves a policy, loads and attaches the kernel program, and shows
//! what the kernel learns. The command `ftptrack` is a thin shell around this library.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | options and the configuration file become one checked configuration |
//! | [`policy`], [`servers`], [`addresses`] | what holds for which servers; in the kernel and out of it again |
//! | [`import`] | an FTP server's own configuration as a policy |
//! | [`plan`], [`features`], [`listeners`], [`interface`] | what the machine must have and allow |
//! | [`pins`], [`hold`], [`bpffs`] | the pin directory: what outlives the process, and who holds it |
//! | [`install`], [`load`], [`attach`], [`apply`], [`detach`] | into the kernel and out of it again |
//! | [`survey`], [`follow`], [`watch`] | is all guarded that is to be; seeing to it that it stays so |
//! | [`doctor`] | what stands in the way, and what mends it |
//! | [`manage`] | the policy in force, shown and changed |
//! | [`run`], [`stop`], [`events`], [`diagnostics`], [`service`] | the running command |
//! | [`outlets`], [`metrics`], [`journal`] | what else it tells, and to whom |
//! | [`top`] | what goes on, live and full-screen |
//! | [`query`], [`batch`], [`rows`], [`show`] | the pinned maps, for people and for programs |
//! | [`replay`] | a capture through the kernel program |

pub mod addresses;
pub mod adopt;
pub mod apply;
pub mod attach;
pub mod batch;
mod bpf;
pub mod bpffs;
pub mod capability;
pub mod cli;
pub mod clock;
pub mod config;
pub mod detach;
pub mod diagnostics;
pub mod doctor;
pub mod events;
pub mod failure;
pub mod features;
pub mod flush;
pub mod follow;
pub mod hold;
pub mod import;
pub mod install;
pub mod interface;
pub mod journal;
pub mod listeners;
pub mod load;
pub mod manage;
pub mod metrics;
pub mod netlink;
pub mod object;
pub mod outlets;
pub mod pins;
pub mod plan;
pub mod policy;
pub mod query;
pub mod replay;
pub mod rows;
pub mod run;
pub mod servers;
pub mod service;
pub mod show;
pub mod sockets;
pub mod stop;
pub mod survey;
pub mod tables;
pub mod top;
pub mod waiting;
pub mod watch;
pub mod wire;
