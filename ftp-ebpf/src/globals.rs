//! What the loader sets before the program is verified: about the interface that it is attached to.

use aya_ebpf::Global;

/// `Side::number` of the interface that this program is attached to.
#[unsafe(no_mangle)]
pub(crate) static SIDE: Global<u8> = Global::new(1);
/// Bytes of link header in front of the network header: 14 on ethernet, 0 where there is none.
#[unsafe(no_mangle)]
pub(crate) static LINK_HEADER: Global<u8> = Global::new(14);
