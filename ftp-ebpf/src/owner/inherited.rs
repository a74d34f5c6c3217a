//! Storage of a listening socket, of which each socket that it accepts gets a copy (`BPF_F_CLONE`). aya's own has no flags.

use core::ptr;

use aya_ebpf::bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, bpf_map_type};

/// The map's definition, as its BTF is read: the numbers are lengths of arrays.
#[repr(C)]
pub(super) struct Inherited<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the loader reads the types; nobody reads the pointers.
unsafe impl<T> Sync for Inherited<T> {}

impl<T> Inherited<T> {
    pub(super) const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }
}
