//! The kernel program and its maps.

pub mod batch;
pub mod features;
pub mod interface;
pub mod log;
pub mod maps;
pub mod object;
pub mod owner_maps;
pub mod pod;
pub mod policy_change;
pub mod policy_maps;
pub mod program;
pub mod ring;
pub mod server_keys;
