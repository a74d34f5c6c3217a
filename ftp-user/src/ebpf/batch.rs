//! Reading a whole hash map: hundreds of entries in each call, where walking it key by key takes
//! two calls for each and starts over when a key vanishes under it.

use std::io;
use std::os::fd::AsFd as _;

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};

use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::sys::bpf;

/// Entries asked for at a time, at first: a session is over a kilobyte.
const CHUNK: usize = 256;
/// And later, where there are very many.
const LARGEST: usize = 8192;

/// All entries of a map.
///
/// # Errors
///
/// It can't be read.
pub fn read<K, V>(map: &MapData) -> Result<Vec<(K, V)>, Failure>
where
    K: Pod + Default,
    V: Pod + Default,
{
    entries(map).or_fail("pinned map", "run as root")
}

/// Removes the entries of a table of least recently used ones that are wanted; how many there were.
///
/// # Errors
///
/// It can't be read or changed.
pub fn remove<K, V>(map: MapData, wanted: impl Fn(&K, &V) -> bool) -> Result<usize, Failure>
where
    AsPod<K>: Pod + Default,
    AsPod<V>: Pod + Default,
{
    let entries: Vec<(AsPod<K>, AsPod<V>)> = read(&map)?;
    let mut map: HashMap<_, AsPod<K>, AsPod<V>> =
        HashMap::try_from(Map::LruHashMap(map)).or_fail("pinned map", "run ftptrack detach --all")?;
    let mut count = 0;
    for (key, _) in entries.iter().filter(|(key, value)| wanted(&key.0, &value.0)) {
        match map.remove(key) {
            Ok(()) => count += 1,
            // It ended by itself meanwhile.
            Err(MapError::KeyNotFound) => {}
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).or_fail("pinned map", "run as root"),
        }
    }
    Ok(count)
}

/// All entries of a hash map. Entries that come and go meanwhile may or may not be among them; the
/// others are, once.
///
/// # Errors
///
/// The kernel's refusal, or an `InvalidInput` where the sizes of `K` and `V` aren't the map's.
fn entries<K: Pod + Default, V: Pod + Default>(map: &MapData) -> io::Result<Vec<(K, V)>> {
    check_sizes::<K, V>(map)?;
    let mut keys = vec![K::default(); CHUNK];
    let mut values = vec![V::default(); CHUNK];
    let mut all = Vec::new();
    let mut from = None;
    loop {
        let mut count = 0;
        // SAFETY: the sizes were compared above, and `Pod` types take any bytes.
        let next = unsafe { bpf::lookup_batch(map.fd().as_fd(), from, &mut keys, &mut values, &mut count) };
        let count = usize::try_from(count).map_err(io::Error::other)?;
        match next {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                keys.resize(keys.len() * 2, K::default());
                values.resize(values.len() * 2, V::default());
                continue;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        all.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
        match next {
            Ok(position) => from = Some(position),
            Err(_) => return Ok(all),
        }
        if keys.len() < LARGEST && all.len() >= 4 * keys.len() {
            keys.resize(keys.len() * 2, K::default());
            values.resize(values.len() * 2, V::default());
        }
    }
}

fn check_sizes<K, V>(map: &MapData) -> io::Result<()> {
    let info = map.info().map_err(|error: MapError| io::Error::other(error))?;
    let sizes = (info.key_size() as usize, info.value_size() as usize);
    if sizes == (size_of::<K>(), size_of::<V>()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("keys and values of {sizes:?} bytes")))
}
