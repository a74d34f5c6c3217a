//! How long the compiled program's paths are: an interpreter that counts the instructions that a packet takes.
//!
//! A time says little on a machine that does something else as well, virtual machines often have no counter of
//! instructions, and what the verifier goes through is no path. So the object's own instructions are carried out here,
//! with maps and helpers as the kernel has them, but simple ones. What comes out (verdicts, entries) is checked by
//! those who count, so a path is known to be the one that was meant. Instructions that the kernel adds or leaves out
//! when it loads a program are not seen.

mod maps;
mod memory;

use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use ftp_user::ebpf::object::{EGRESS, INGRESS, OBJECT};

use crate::subject::test_run::{Hook, INTERFACE};
use maps::Maps;
use memory::Memory;

/// The way of one packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Path {
    /// What the program returned.
    pub verdict: i32,
    /// Instructions carried out.
    pub instructions: u64,
    /// Calls of the kernel's functions. Looking into an array is none: the kernel puts that in line.
    pub calls: u64,
}

/// Bytes of a stack frame.
const STACK: usize = 512;
/// Most packet bytes.
const PACKET: usize = 4096;
/// `struct __sk_buff` of the kernel's `linux/bpf.h`, and where its members lie that are set here.
const CONTEXT: usize = 192;
const LENGTH: u64 = 0;
const PROTOCOL: u64 = 16;
const INTERFACE_INDEX: u64 = 40;
const DATA: u64 = 76;
const DATA_END: u64 = 80;
const SEGMENTS: u64 = 164;

/// The object, and its maps.
pub struct Interpreter {
    memory: Memory,
    maps: Maps,
    ingress: Vec<bpf_insn>,
    egress: Vec<bpf_insn>,
    packet: u64,
    context: u64,
}

impl Interpreter {
    /// With empty maps.
    ///
    /// # Panics
    ///
    /// If the object can't be read.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "reading the object takes its time")]
    pub fn new() -> Self {
        let mut object = Object::parse(OBJECT).expect("the object is good");
        let mut memory = Memory::default();
        // Their addresses must fit into 32 bits.
        let (packet, context) = (memory.add(vec![0; PACKET]), memory.add(vec![0; CONTEXT]));
        let all: Vec<_> = object.maps.drain().collect();
        let maps = Maps::new(&mut memory, &all);
        // What takes the place of a descriptor is its number among the maps.
        let numbers = all.iter().enumerate();
        let numbered = numbers.map(|(number, (name, map))| (name.as_str(), i32::try_from(number).expect("few"), map));
        let sections = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(numbered, &sections).expect("the object is good");
        object.relocate_calls(&sections).expect("the object is good");
        let [ingress, egress] = [INGRESS, EGRESS].map(|name| {
            let function = &object.functions[&object.programs[name].function_key()];
            function.instructions.clone()
        });
        Self { memory, maps, ingress, egress, packet, context }
    }

    /// Sets an entry of an array, or of a hash map.
    ///
    /// # Panics
    ///
    /// If there is no such map.
    pub fn set(&mut self, map: &str, key: &[u8], value: &[u8]) {
        let number = self.maps.number(map);
        self.maps.update(&mut self.memory, number, key, value);
    }

    /// How many entries a hash map has.
    ///
    /// # Panics
    ///
    /// If there is no such map.
    #[must_use]
    pub fn entries(&self, map: &str) -> usize {
        self.maps.entries(map)
    }

    /// Runs the program of a hook on a frame.
    ///
    /// # Panics
    ///
    /// If the program does what the verifier wouldn't let it, or what isn't known here.
    pub fn run(&mut self, hook: Hook, frame: &[u8]) -> Path {
        self.memory.bytes_mut(self.packet, frame.len()).copy_from_slice(frame);
        let end = self.packet + frame.len() as u64;
        let protocol = u16::from_ne_bytes([frame[12], frame[13]]);
        for (at, value) in [
            (LENGTH, frame.len() as u64),
            (PROTOCOL, protocol.into()),
            (INTERFACE_INDEX, INTERFACE.into()),
            (DATA, self.packet),
            (DATA_END, end),
            (SEGMENTS, 1),
        ] {
            self.memory.write(self.context + at, 4, value);
        }
        let program = if hook == Hook::Ingress { self.ingress.clone() } else { self.egress.clone() };
        let frame = end - self.packet;
        let mut run = Run { machine: self, frame, registers: [0; 11], instructions: 0, calls: 0 };
        run.registers[1] = run.machine.context;
        let stack = run.machine.memory.add(vec![0; STACK]);
        run.registers[10] = stack + STACK as u64;
        run.function(&program, 0);
        // The last 32 bits are the verdict.
        let verdict = (run.registers[0] as u32).cast_signed();
        Path { verdict, instructions: run.instructions, calls: run.calls }
    }
}

/// A run of a program.
struct Run<'a> {
    machine: &'a mut Interpreter,
    /// Bytes of the packet.
    frame: u64,
    registers: [u64; 11],
    instructions: u64,
    calls: u64,
}

/// Instruction classes, and what else an operation code consists of: Documentation/bpf/standardization in Linux.
mod code {
    pub(super) const LD: u8 = 0;
    pub(super) const LDX: u8 = 1;
    pub(super) const ST: u8 = 2;
    pub(super) const STX: u8 = 3;
    pub(super) const ALU: u8 = 4;
    pub(super) const JMP: u8 = 5;
    pub(super) const JMP32: u8 = 6;
    pub(super) const ALU64: u8 = 7;
    pub(super) const FROM_REGISTER: u8 = 8;
    pub(super) const CALL: u8 = 0x85;
    pub(super) const EXIT: u8 = 0x95;
    pub(super) const ATOMIC: u8 = 0xc0;
}

impl Run<'_> {
    /// Carries out the function that begins at `at`, up to its end.
    fn function(&mut self, program: &[bpf_insn], mut at: usize) {
        loop {
            let instruction = &program[at];
            let class = instruction.code & 7;
            self.instructions += 1;
            at += 1;
            match (class, instruction.code) {
                (_, code::EXIT) => return,
                // Of a function of the program's own, or of the kernel.
                (_, code::CALL) if instruction.src_reg() == 1 => self.call(program, jump(at, instruction.imm)),
                (_, code::CALL) => self.kernel(instruction.imm),
                (code::LD, _) => {
                    self.registers[usize::from(instruction.dst_reg())] = self.wide(instruction, &program[at]);
                    at += 1;
                }
                (code::LDX, _) => {
                    let address = self.address(instruction.src_reg(), instruction.off);
                    let value = self.machine.memory.read(address, size(instruction.code));
                    self.registers[usize::from(instruction.dst_reg())] = value;
                }
                (code::ST, _) => self.store(instruction, i64::from(instruction.imm).cast_unsigned()),
                (code::STX, _) if instruction.code & 0xe0 == code::ATOMIC => self.atomic(instruction),
                (code::STX, _) => self.store(instruction, self.registers[usize::from(instruction.src_reg())]),
                (code::ALU | code::ALU64, _) => self.compute(instruction),
                (code::JMP | code::JMP32, _) => {
                    if self.jumps(instruction) {
                        at = jump(at, instruction.off.into());
                    }
                }
                _ => unreachable!("three bits"),
            }
        }
    }

    fn call(&mut self, program: &[bpf_insn], to: usize) {
        let saved = self.registers;
        self.registers[10] = self.machine.memory.add(vec![0; STACK]) + STACK as u64;
        self.function(program, to);
        // What the caller keeps.
        self.registers[6..].copy_from_slice(&saved[6..]);
    }

    /// A number of 64 bits, a map, or a place in the value of one.
    fn wide(&self, low: &bpf_insn, high: &bpf_insn) -> u64 {
        match low.src_reg() {
            0 => u64::from(low.imm.cast_unsigned()) | u64::from(high.imm.cast_unsigned()) << 32,
            1 => maps::reference(low.imm),
            2 => self.machine.maps.value(low.imm) + u64::from(high.imm.cast_unsigned()),
            other => panic!("a 64-bit load of kind {other}"),
        }
    }

    fn address(&self, register: u8, offset: i16) -> u64 {
        self.registers[usize::from(register)].wrapping_add_signed(offset.into())
    }

    fn store(&mut self, instruction: &bpf_insn, value: u64) {
        let address = self.address(instruction.dst_reg(), instruction.off);
        self.machine.memory.write(address, size(instruction.code), value);
    }

    fn atomic(&mut self, instruction: &bpf_insn) {
        const FETCH: i32 = 1;
        const EXCHANGE: i32 = 0xe1;
        const COMPARE: i32 = 0xf1;
        let (address, size) = (self.address(instruction.dst_reg(), instruction.off), size(instruction.code));
        let old = self.machine.memory.read(address, size);
        let source = usize::from(instruction.src_reg());
        let given = self.registers[source];
        let new = match instruction.imm {
            EXCHANGE => given,
            COMPARE if old == self.registers[0] => given,
            COMPARE => old,
            other => match other & !FETCH {
                0x00 => old.wrapping_add(given),
                0x40 => old | given,
                0x50 => old & given,
                0xa0 => old ^ given,
                _ => panic!("atomic operation {other:#x}"),
            },
        };
        self.machine.memory.write(address, size, new);
        if instruction.imm == COMPARE {
            self.registers[0] = old;
        } else if instruction.imm & FETCH != 0 {
            self.registers[source] = old;
        }
    }

    /// The second operand.
    fn operand(&self, instruction: &bpf_insn) -> u64 {
        if instruction.code & code::FROM_REGISTER != 0 {
            self.registers[usize::from(instruction.src_reg())]
        } else {
            i64::from(instruction.imm).cast_unsigned()
        }
    }

    fn compute(&mut self, instruction: &bpf_insn) {
        let target = usize::from(instruction.dst_reg());
        let (a, operation) = (self.registers[target], instruction.code & 0xf0);
        let result = if operation == 0xd0 {
            swap(a, instruction)
        } else if instruction.code & 7 == code::ALU64 {
            arithmetic(operation, a, self.operand(instruction), 64)
        } else {
            let cut = |value: u64| value & 0xffff_ffff;
            cut(arithmetic(operation, cut(a), cut(self.operand(instruction)), 32))
        };
        self.registers[target] = result;
    }

    fn jumps(&self, instruction: &bpf_insn) -> bool {
        let (mut a, mut b) = (self.registers[usize::from(instruction.dst_reg())], self.operand(instruction));
        let (mut signed_a, mut signed_b) = (a.cast_signed(), b.cast_signed());
        if instruction.code & 7 == code::JMP32 {
            (a, b) = (a & 0xffff_ffff, b & 0xffff_ffff);
            (signed_a, signed_b) = ((a as u32).cast_signed().into(), (b as u32).cast_signed().into());
        }
        match instruction.code & 0xf0 {
            0x00 => true,
            0x10 => a == b,
            0x20 => a > b,
            0x30 => a >= b,
            0x40 => a & b != 0,
            0x50 => a != b,
            0x60 => signed_a > signed_b,
            0x70 => signed_a >= signed_b,
            0xa0 => a < b,
            0xb0 => a <= b,
            0xc0 => signed_a < signed_b,
            0xd0 => signed_a <= signed_b,
            other => panic!("jump {other:#x}"),
        }
    }
}

fn jump(at: usize, by: i32) -> usize {
    at.checked_add_signed(by.try_into().expect("at least 32 bits")).expect("inside the program")
}

const fn size(code: u8) -> usize {
    match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

fn arithmetic(operation: u8, a: u64, b: u64, bits: u32) -> u64 {
    let by = (b & u64::from(bits - 1)) as u32;
    match operation {
        0x00 => a.wrapping_add(b),
        0x10 => a.wrapping_sub(b),
        0x20 => a.wrapping_mul(b),
        0x30 => a.checked_div(b).unwrap_or(0),
        0x40 => a | b,
        0x50 => a & b,
        0x60 => a << by,
        0x70 => a >> by,
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(b).unwrap_or(a),
        0xa0 => a ^ b,
        0xb0 => b,
        0xc0 if bits == 32 => ((a as u32).cast_signed() >> by).cast_unsigned().into(),
        0xc0 => (a.cast_signed() >> by).cast_unsigned(),
        other => panic!("operation {other:#x}"),
    }
}

/// To another byte order, from this machine's.
fn swap(value: u64, instruction: &bpf_insn) -> u64 {
    let to_big = instruction.code & code::FROM_REGISTER != 0;
    match (instruction.imm, to_big) {
        (16, true) => (value as u16).to_be().into(),
        (16, false) => (value as u16).to_le().into(),
        (32, true) => (value as u32).to_be().into(),
        (32, false) => (value as u32).to_le().into(),
        (64, true) => value.to_be(),
        (64, false) => value.to_le(),
        (other, _) => panic!("a swap of {other} bits"),
    }
}
