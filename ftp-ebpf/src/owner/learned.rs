//! What a root's socket says: an expectation of the only connection that it serves.

use ftp_common::address::Address;

use super::roots;

#[inline(always)]
pub(super) fn passive(root: u64, _address: &Address, _port: u16) -> bool {
    roots::only_one(root).is_some()
}

#[inline(always)]
pub(super) fn active(root: u64, _client: &Address, _client_port: u16, _server_port: u16) {
    let _ = roots::only_one(root);
}

#[inline(always)]
pub(super) fn withdraw(_port: u64, _socket: u64) {}
