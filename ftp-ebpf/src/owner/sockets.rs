//! What sockets do: the kernel asks at each of these moments (`BPF_PROG_TYPE_SOCK_OPS`).

use core::hint::black_box;
use core::ptr;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_ANY, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock_ops};
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_sk_storage_get};
use aya_ebpf::macros::{btf_map, map, sock_ops};
use aya_ebpf::maps::{Array, HashMap};
use aya_ebpf::programs::SockOpsContext;
use ftp_common::address::Address;
use ftp_common::keys::ConnectionKey;
use ftp_common::owner::{Listener, Served, id};
use ftp_common::policy::class;

use super::{kernel, learned, processes, roots};
use crate::servers;

/// Connections that masters' listeners have accepted.
#[btf_map]
static SERVED: SkStorage<Served> = SkStorage::new();
/// Who listens where, on the whole machine: a master may serve sessions by ports that nobody guards.
#[map]
static LISTENERS: HashMap<Listener, u32> = HashMap::with_max_entries(16_384, 1);
/// The process that loads this, and listens once, so that its network namespace is known: the guarded one.
#[unsafe(no_mangle)]
static LOADER: Global<u32> = Global::new(0);
/// That namespace, by its address in the kernel.
#[map]
static HERE: Array<u64> = Array::with_max_entries(1, 0);

/// Several processes listen there.
const SEVERAL: u32 = u32::MAX;

/// Operations and flags of linux/bpf.h.
const TCP_CONNECT: u32 = 3;
const PASSIVE_ESTABLISHED: u32 = 5;
const STATE: u32 = 10;
const LISTEN: u32 = 11;
const OPTION_LENGTH: u32 = 14;
const STATE_FLAG: u32 = 4;
const WRITE_OPTION_FLAG: u32 = 64;
/// States of linux/bpf.h.
const FIN_WAIT1: u32 = 4;
const CLOSE: u32 = 7;
const LAST_ACK: u32 = 9;
const IN_LISTEN: u32 = 10;

/// Others set some, too.
#[inline(always)]
fn ask_for(context: &SockOpsContext, flags: u32) {
    let _refused = context.set_cb_flags((context.cb_flags() | flags) as i32);
}

/// What is kept with a socket, made if it is not there. None for a socket that is not a whole one yet.
#[inline(always)]
fn kept(context: &SockOpsContext, make: bool) -> Option<&'static mut Served> {
    let operation: *mut bpf_sock_ops = context.ops;
    // SAFETY: the context is valid for the whole run.
    let socket = unsafe { (*operation).__bindgen_anon_2.sk };
    if socket.is_null() {
        return None;
    }
    let flags = if make { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
    // SAFETY: a map and a socket, checked by the verifier.
    let kept = unsafe { bpf_sk_storage_get((&raw const SERVED).cast_mut().cast(), socket.cast(), ptr::null_mut(), flags) };
    if kept.is_null() {
        return None;
    }
    // SAFETY: lives as long as the socket, which lives as long as the run.
    let kept = unsafe { &mut *kept.cast::<Served>() };
    if make {
        // Through its own memory: the verifier forgets that it is a socket, and lets it be computed with.
        // SAFETY: as above.
        unsafe { (&raw mut kept.socket).write_volatile(socket as u64) };
    }
    Some(kept)
}

#[inline(always)]
fn socket(kept: &Served) -> u64 {
    // SAFETY: an ordinary number.
    unsafe { (&raw const kept.socket).read_volatile() }
}

/// The two addresses, the socket's own first. All words are read, in front of the question which of them count: LLVM would
/// compute where to read, which the verifier lets nobody do with a context.
#[inline(always)]
fn addresses(context: &SockOpsContext) -> [Address; 2] {
    const V6: u32 = 10;
    let at = context.ops;
    // SAFETY: the context is valid for the whole run.
    let v6 = unsafe { [(&raw const (*at).local_ip6).read_volatile(), (&raw const (*at).remote_ip6).read_volatile()] };
    // SAFETY: as above.
    let v4 = unsafe { [(&raw const (*at).local_ip4).read_volatile(), (&raw const (*at).remote_ip4).read_volatile()] };
    if context.family() == V6 { v6.map(Address) } else { v4.map(Address::from_v4_word) }
}

#[sock_ops]
pub(crate) fn ftptrack_sockets(context: SockOpsContext) -> u32 {
    match context.op() {
        OPTION_LENGTH => sends(&context),
        PASSIVE_ESTABLISHED => is_accepted(&context),
        STATE => changes(&context),
        LISTEN => listens(&context),
        TCP_CONNECT => connects(&context),
        _ => {}
    }
    1
}

/// A connection was accepted: if a master's listener did it, each of its sends is of interest.
#[inline(always)]
fn is_accepted(context: &SockOpsContext) {
    let Some(served) = kept(context, true) else { return };
    let listener = Listener { namespace: kernel::namespace(socket(served)), port: u64::from(context.local_port()) };
    // SAFETY: copied at once.
    let Some(process) = (unsafe { LISTENERS.get(&listener).copied() }) else { return };
    if process != SEVERAL && processes::get(process).master == 0 {
        return;
    }
    let [local, remote] = addresses(context);
    let key = ConnectionKey {
        client: remote,
        server: local,
        client_port: (context.remote_port() >> 16) as u16,
        server_port: context.local_port() as u16,
        scope: 0,
    };
    // SAFETY: a helper without arguments.
    let id = id(unsafe { bpf_get_prandom_u32() });
    served.id = if roots::enter(id, &key) { id } else { 0 };
    ask_for(context, STATE_FLAG | WRITE_OPTION_FLAG);
}

/// A segment is about to be put together: in `sendmsg`, where a process owns the socket, that process serves the
/// connection. Elsewhere the current process is anybody.
#[inline(always)]
fn sends(context: &SockOpsContext) {
    let Some(served) = kept(context, false) else { return };
    if !kernel::is_owned(socket(served)) {
        return;
    }
    let root = processes::get(kernel::current_process()).root;
    if root != 0 {
        roots::join(served, root);
    }
}

#[inline(always)]
fn changes(context: &SockOpsContext) {
    let (old, new) = (context.arg(0), context.arg(1));
    let Some(served) = kept(context, false) else { return };
    if old == IN_LISTEN {
        learned::withdraw(context);
    } else if matches!(new, FIN_WAIT1 | LAST_ACK | CLOSE) && served.ended == 0 {
        // Nothing more can be said on it.
        roots::leave(served);
    }
}

#[inline(always)]
fn listens(context: &SockOpsContext) {
    let Some(kept) = kept(context, true) else { return };
    let namespace = kernel::namespace(socket(kept));
    let port = context.local_port();
    let process = kernel::current_process();
    if process == LOADER.load()
        && let Some(here) = HERE.get_ptr_mut(0)
    {
        // SAFETY: a value of an array map lives as long as the program.
        unsafe { *here = namespace };
    }
    // The black box makes LLVM bound the number again after the swap: before 6.19 the verifier can't.
    let network = black_box((port as u16).to_be());
    let class = servers::config().map_or(0, |config| servers::classes(config.generation, 0, network)) as u8;
    let is_here = HERE.get(0).is_some_and(|here| *here == namespace && namespace != 0);
    if is_here && class & class::PASSIVE != 0 {
        let [address, _] = addresses(context);
        let root = processes::get(process).root;
        if learned::passive(context, root, &address, port as u16) {
            ask_for(context, STATE_FLAG);
        }
        return;
    }
    let listener = Listener { namespace, port: u64::from(port) };
    // SAFETY: copied at once.
    let before = unsafe { LISTENERS.get(&listener).copied() };
    let who = if before.is_some_and(|before| before != process) { SEVERAL } else { process };
    let _full = LISTENERS.insert(&listener, &who, u64::from(BPF_ANY));
    if is_here && class & class::CONTROL != 0 {
        processes::note_master(process);
    }
}

#[inline(always)]
fn connects(context: &SockOpsContext) {
    let process = processes::get(kernel::current_process());
    if process.root == 0 {
        return;
    }
    let [_, remote] = addresses(context);
    learned::active(process.root, &remote, (context.remote_port() >> 16) as u16, context.local_port() as u16);
}
