//! Attaching filters to interfaces, keeping them attached, and detaching them.

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
