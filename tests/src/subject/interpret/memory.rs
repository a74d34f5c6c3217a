//! All that a program can point to.

/// Pieces of memory, far enough from each other that none runs into the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pieces: Vec<Vec<u8>>,
}

/// From one piece to the next.
const DISTANCE: usize = 1 << 20;

impl Memory {
    /// Adds a piece; its address.
    pub(super) fn add(&mut self, bytes: Vec<u8>) -> u64 {
        assert!(bytes.len() <= DISTANCE, "{} bytes", bytes.len());
        self.pieces.push(bytes);
        // None is at 0, which is no address.
        (self.pieces.len() * DISTANCE) as u64
    }

    /// Bytes at an address.
    #[track_caller]
    pub(super) fn bytes(&self, address: u64, length: usize) -> &[u8] {
        let (piece, offset) = place(address);
        self.pieces.get(piece).and_then(|piece| piece.get(offset..offset + length)).unwrap_or_else(|| beyond(address))
    }

    /// Bytes at an address, to be changed.
    #[track_caller]
    pub(super) fn bytes_mut(&mut self, address: u64, length: usize) -> &mut [u8] {
        let (piece, offset) = place(address);
        let piece = self.pieces.get_mut(piece);
        piece.and_then(|piece| piece.get_mut(offset..offset + length)).unwrap_or_else(|| beyond(address))
    }

    /// A number of that many bytes, in this machine's order.
    pub(super) fn read(&self, address: u64, size: usize) -> u64 {
        let bytes = self.bytes(address, size);
        let mut whole = [0; 8];
        if cfg!(target_endian = "big") {
            whole[8 - size..].copy_from_slice(bytes);
        } else {
            whole[..size].copy_from_slice(bytes);
        }
        u64::from_ne_bytes(whole)
    }

    /// Sets such a number; what doesn't fit is cut off.
    pub(super) fn write(&mut self, address: u64, size: usize, value: u64) {
        let whole = value.to_ne_bytes();
        let bytes = if cfg!(target_endian = "big") { &whole[8 - size..] } else { &whole[..size] };
        self.bytes_mut(address, size).copy_from_slice(bytes);
    }
}

fn place(address: u64) -> (usize, usize) {
    let address = usize::try_from(address).expect("64 bits");
    ((address / DISTANCE).wrapping_sub(1), address % DISTANCE)
}

#[track_caller]
fn beyond(address: u64) -> ! {
    panic!("{address:#x}: nothing is there")
}
