//! Where members of the kernel's own structures lie, by its type information (BTF, Documentation/bpf/btf.rst): aya reads
//! it and keeps it to itself, and the crates that do are LGPL or kept no longer.

use std::fs;
use std::str;

/// The running kernel's.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Sizes of the headers of the file and of a type.
const TYPE: usize = 12;
const MEMBER: usize = 12;

/// Kinds of types.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNCTION_TYPE: u32 = 13;
    pub(super) const VARIABLE: u32 = 14;
    pub(super) const SECTION: u32 = 15;
    pub(super) const DECLARATION_TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// Type information of a kernel.
pub struct Btf {
    data: Vec<u8>,
    /// Where each type begins, by its id; of the first one, `void`, nowhere.
    types: Vec<usize>,
    strings: usize,
}

impl Btf {
    /// The running kernel's; none if it has none, or of another form.
    #[must_use]
    pub fn of_the_kernel() -> Option<Self> {
        Self::parse(fs::read(VMLINUX).ok()?)
    }

    fn parse(data: Vec<u8>) -> Option<Self> {
        let mut btf = Self { data, types: vec![0], strings: 0 };
        let magic = u16::from_ne_bytes(btf.data.get(..2)?.try_into().ok()?);
        let [header, types, length, strings] = [4, 8, 12, 16].map(|at| btf.word(at));
        let (header, strings) = (header? as usize, strings? as usize);
        if magic != MAGIC {
            return None;
        }
        btf.strings = header + strings;
        let mut at = header + types? as usize;
        let end = at + length? as usize;
        while at < end {
            btf.types.push(at);
            at += TYPE + btf.rest(at)?;
        }
        Some(btf)
    }

    /// Byte offset of a member, and of a member of that, and so on.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let has_members = |at: &usize| self.kind(*at) == Some(kind::STRUCT) && self.count(*at) != Some(0);
        let is_it = |at: &usize| has_members(at) && self.name(*at) == Some(structure);
        let mut at = *self.types.iter().skip(1).find(|at| is_it(at))?;
        let mut offset = 0;
        for name in path {
            let (inside, of) = self.member(self.without_qualifiers(at)?, name)?;
            offset += inside;
            at = *self.types.get(of)?;
        }
        Some(offset)
    }

    /// Byte offset and type of a member, also one of an unnamed structure inside.
    fn member(&self, at: usize, name: &str) -> Option<(u32, usize)> {
        let has_bit_fields = self.word(at + 4)? >> 31 == 1;
        for index in 0..self.count(at)? {
            let member = at + TYPE + MEMBER * index;
            let offset = self.word(member + 8)?;
            let offset = if has_bit_fields { offset & 0xff_ffff } else { offset } / 8;
            let of = self.word(member + 4)? as usize;
            match self.name(member)? {
                this if this == name => return Some((offset, of)),
                "" => {
                    let inner = *self.types.get(of)?;
                    let is_nested = matches!(self.kind(inner)?, kind::STRUCT | kind::UNION);
                    if let Some((inside, of)) = is_nested.then(|| self.member(inner, name)).flatten() {
                        return Some((offset + inside, of));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn without_qualifiers(&self, mut at: usize) -> Option<usize> {
        while matches!(self.kind(at)?, kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT) {
            at = *self.types.get(self.word(at + 8)? as usize)?;
        }
        Some(at)
    }

    /// How much follows a type's header.
    fn rest(&self, at: usize) -> Option<usize> {
        let count = self.count(at)?;
        Some(match self.kind(at)? {
            kind::INT | kind::VARIABLE | kind::DECLARATION_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => 12 * count,
            kind::ENUM | kind::FUNCTION_TYPE => 8 * count,
            _ => 0,
        })
    }

    fn kind(&self, at: usize) -> Option<u32> {
        Some(self.word(at + 4)? >> 24 & 31)
    }

    fn count(&self, at: usize) -> Option<usize> {
        Some((self.word(at + 4)? & 0xffff) as usize)
    }

    /// Of a type or a member: it stands first in both.
    fn name(&self, at: usize) -> Option<&str> {
        let from = self.data.get(self.strings + self.word(at)? as usize..)?;
        str::from_utf8(from.split(|byte| *byte == 0).next()?).ok()
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.data.get(at..at + 4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct a { unsigned x : 1; const b y; struct { int z; }; }; typedef struct { int w; int v; } b;`
    fn btf() -> Vec<u8> {
        let strings = b"\0int\0a\0x\0y\0z\0b\0w\0v\0";
        let (int, a, x, y, z, b, w, v) = (1, 5, 7, 9, 11, 13, 15, 17);
        let (has_bit_fields, of) = (1 << 31, |kind: u32, count: u32| kind << 24 | count);
        let types = [
            vec![int, of(kind::INT, 0), 4, 32],
            vec![a, of(kind::STRUCT, 3) | has_bit_fields, 16, x, 1, 1 << 24, y, 3, 32, 0, 6, 96],
            vec![0, of(kind::CONST, 0), 4],
            vec![b, of(kind::TYPEDEF, 0), 5],
            vec![0, of(kind::STRUCT, 2), 8, w, 1, 0, v, 1, 32],
            vec![0, of(kind::STRUCT, 1), 4, z, 1, 0],
        ];
        let types: Vec<u8> = types.concat().into_iter().flat_map(u32::to_ne_bytes).collect();
        let header = [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
        let version = [MAGIC.to_ne_bytes(), [1, 0]].concat();
        [version, header.into_iter().flat_map(u32::to_ne_bytes).collect(), types, strings.to_vec()].concat()
    }

    #[test]
    fn members_are_found_behind_names_qualifiers_and_in_unnamed_structures() {
        let btf = Btf::parse(btf()).expect("well formed");
        assert_eq!(btf.offset("a", &["x"]), Some(0));
        assert_eq!(btf.offset("a", &["y"]), Some(4));
        assert_eq!(btf.offset("a", &["y", "v"]), Some(8));
        assert_eq!(btf.offset("a", &["z"]), Some(12));
        assert_eq!(btf.offset("a", &["w"]), None);
        assert_eq!(btf.offset("b", &["w"]), None, "no structure of that name");
    }

    #[test]
    fn what_is_cut_is_no_type_information() {
        let whole = btf();
        for length in 0..whole.len() - 24 {
            // Without its strings it may be read; nothing is found then.
            let found = Btf::parse(whole[..length].to_vec()).and_then(|btf| btf.offset("a", &["y", "v"]));
            assert_eq!(found, None, "{length}");
        }
        assert!(Btf::parse([b"\x7fELF".to_vec(), vec![0; 64]].concat()).is_none());
    }
}
