//! The maps of an object that is pinned nowhere.

use aya::Ebpf;
use aya::maps::{Map, MapError};

use crate::error::{Failure, OrFail as _};

/// A map, by its name; the object no longer has it.
///
/// # Errors
///
/// There is none, or it is of another kind.
pub(super) fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<T, Failure> {
    let map = ebpf.take_map(name);
    let map = map.ok_or_else(|| Failure::failed(name, "the kernel object has no such map", "rebuild ftptrack"))?;
    T::try_from(map).or_fail(name, "rebuild ftptrack")
}
