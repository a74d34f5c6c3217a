//! Filters onto interfaces, kept there, and taken off again.

pub mod addresses;
pub mod adopt;
pub mod attachment;
pub mod clsact;
pub mod hook;
pub mod listeners;
pub mod observe;
pub mod plan;
pub mod reconcile;
pub mod setup;
mod tcx;
pub mod teardown;
