//! What sockets do: the kernel asks at each of these moments (`BPF_PROG_TYPE_SOCK_OPS`).

use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock};
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_get_socket_cookie, bpf_sk_storage_get};
use aya_ebpf::macros::{btf_map, sock_ops};
use aya_ebpf::programs::SockOpsContext;
use ftp_common::address::Address;
use ftp_common::keys::ConnectionKey;
use ftp_common::owner::{Connection, Joint, Listener, Served, learning, role};
use ftp_common::policy::class;

use super::inherited::Inherited;
use super::{kernel, learned, processes, roots};
use crate::clock::now;
use crate::maps::JOINABLE;
use crate::servers;

/// Connections that masters' listeners have accepted.
#[btf_map]
static SERVED: SkStorage<Served> = SkStorage::new();
/// Listeners, and what they have accepted.
#[btf_map]
static LISTENER: Inherited<Listener> = Inherited::new();

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

/// A field of a context, read where this stands and nowhere else.
macro_rules! field {
    ($context:expr, $name:ident) => {{
        let operation = $context.ops;
        // SAFETY: the context is valid for the whole run.
        let field = unsafe { &raw const (*operation).$name };
        // SAFETY: as above.
        unsafe { field.read_volatile() }
    }};
}

/// Others set some, too.
#[inline(always)]
fn ask_for(context: &SockOpsContext, flags: u32) {
    let _refused = context.set_cb_flags((context.cb_flags() | flags) as i32);
}

/// The socket; null where there is no whole one yet.
#[inline(always)]
fn socket_of(context: &SockOpsContext) -> *mut bpf_sock {
    // SAFETY: the context is valid for the whole run.
    let socket = unsafe { &raw const (*context.ops).__bindgen_anon_2 };
    // SAFETY: as above; both members of the union are the same address.
    unsafe { socket.cast::<*mut bpf_sock>().read() }
}

/// What `map` keeps with the socket, made if it is not there. None for a socket that is not a whole one yet.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "it is the socket's, and the map only says which")]
pub(super) fn kept<M, T>(context: &SockOpsContext, map: &'static M, make: bool) -> Option<&'static mut T> {
    let socket = socket_of(context);
    if socket.is_null() {
        return None;
    }
    let flags = if make { u64::from(BPF_SK_STORAGE_GET_F_CREATE) } else { 0 };
    // SAFETY: a map and a socket, checked by the verifier.
    let kept =
        unsafe { bpf_sk_storage_get(ptr::from_ref(map).cast_mut().cast(), socket.cast(), ptr::null_mut(), flags) };
    // SAFETY: lives as long as the socket, which lives as long as the run.
    unsafe { kept.cast::<T>().as_mut() }
}

/// The socket's address in the kernel, by way of a place that is kept with it: the verifier forgets that it is a socket,
/// and lets it be computed with.
#[inline(always)]
fn address_of_socket(context: &SockOpsContext, place: &mut u64) -> u64 {
    let socket = socket_of(context);
    if socket.is_null() {
        return 0;
    }
    let place = ptr::from_mut(place);
    // SAFETY: an ordinary number, in a map's value.
    unsafe { place.write_volatile(socket as u64) };
    // SAFETY: as above.
    unsafe { place.read_volatile() }
}

/// The two addresses, the socket's own first. All words are read, in front of the question which of them count: LLVM would
/// compute where to read, which the verifier lets nobody do with a context.
#[inline(always)]
fn addresses(context: &SockOpsContext) -> [Address; 2] {
    const V6: u32 = 10;
    let v6 = [field!(context, local_ip6), field!(context, remote_ip6)];
    let v4 = [field!(context, local_ip4), field!(context, remote_ip4)];
    if context.family() == V6 { v6.map(Address) } else { v4.map(Address::from_v4_word) }
}

/// The other end's port. The kernel gives it in network byte order, as a word (`bpf_sock_ops.remote_port`).
#[inline(always)]
fn other_port(context: &SockOpsContext) -> u16 {
    u32::from_be(context.remote_port()) as u16
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

/// The socket's own port.
#[inline(always)]
fn own_port(context: &SockOpsContext) -> u16 {
    context.local_port() as u16
}

/// Whether a network namespace is the guarded one.
#[inline(always)]
pub(super) fn is_here(namespace: u64) -> bool {
    namespace != 0 && namespace == roots::learning(learning::NAMESPACE)
}

/// A connection of another network namespace (a container's), as the guarded interface saw it begin a moment ago: by the
/// client's end and both ends' first bytes, and never by less.
#[inline(always)]
fn seen_here(context: &SockOpsContext, client: Address) -> Option<&'static ConnectionKey> {
    let (client_next, server_next) = (field!(context, rcv_nxt), field!(context, snd_nxt));
    let joint = Joint { client, client_next, server_next, client_port: u32::from(other_port(context)) };
    // SAFETY: copied at once. An entry that is reused meanwhile is another session's, which is encrypted and no older than
    // this connection only if it has just begun, too.
    unsafe { JOINABLE.get(&joint) }
}

/// A connection was accepted: if a master's listener did it, guarded or not, each of its sends is of interest.
#[inline(always)]
fn is_accepted(context: &SockOpsContext) {
    let Some(listener) = kept::<_, Listener>(context, &LISTENER, false) else { return };
    let opener = processes::get(listener.process as u32);
    if opener.root != 0 && servers::class_of(own_port(context)) & class::PASSIVE == 0 {
        // No data connection: it may serve another session by a listener of its own.
        roots::doubt(opener.root);
    }
    if opener.role != role::MASTER {
        return;
    }
    let Some(served) = kept::<_, Served>(context, &SERVED, true) else {
        processes::note_unfit(listener.process as u32);
        return;
    };
    if served.socket != 0 {
        return; // another of these programs, on the way from one to the next, was first
    }
    let socket = address_of_socket(context, &mut served.socket);
    let [local, remote] = addresses(context);
    let namespace = kernel::namespace(socket);
    let mut connection = Connection { local, namespace, since: now(), ..Connection::default() };
    if is_here(namespace) {
        connection.key = ConnectionKey {
            client: remote,
            server: local,
            client_port: other_port(context),
            server_port: own_port(context),
            scope: 0,
        };
    } else if let Some(key) = seen_here(context, remote) {
        connection.key = *key;
    }
    // SAFETY: a helper without arguments.
    let id = u64::from(unsafe { bpf_get_prandom_u32() });
    served.id = if roots::enter(id, &connection) { id } else { 0 };
    ask_for(context, STATE_FLAG | WRITE_OPTION_FLAG);
}

/// A segment is about to be put together: in `sendmsg`, where a process owns the socket, that process serves the
/// connection. Elsewhere the current process is anybody.
#[inline(always)]
fn sends(context: &SockOpsContext) {
    let Some(served) = kept::<_, Served>(context, &SERVED, false) else { return };
    let socket = address_of_socket(context, &mut served.socket);
    if !kernel::is_owned(socket) {
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
    if old == IN_LISTEN {
        learned::withdraw(context);
        return;
    }
    let Some(served) = kept::<_, Served>(context, &SERVED, false) else { return };
    if matches!(new, FIN_WAIT1 | LAST_ACK | CLOSE) && served.ended == 0 {
        // Nothing more can be said on it.
        roots::leave(served);
    }
}

#[inline(always)]
fn listens(context: &SockOpsContext) {
    let process = kernel::current_process();
    let Some(listener) = kept::<_, Listener>(context, &LISTENER, true) else {
        processes::note_unfit(process);
        return;
    };
    let socket = address_of_socket(context, &mut listener.socket);
    listener.process = u64::from(process);
    let cookie = roots::learning(learning::COOKIE);
    // SAFETY: a helper that takes this context.
    if cookie != 0 && unsafe { bpf_get_socket_cookie(context.as_ptr()) } == cookie {
        roots::set_learning(learning::NAMESPACE, kernel::namespace(socket));
        roots::set_learning(learning::COOKIE, 0);
        return;
    }
    let class = servers::class_of(own_port(context));
    if class & class::CONTROL != 0 {
        processes::note_master(process);
    } else if class & class::PASSIVE != 0 {
        let [address, _] = addresses(context);
        if learned::passive(context, &processes::get(process), kernel::namespace(socket), &address, own_port(context)) {
            ask_for(context, STATE_FLAG);
        }
    }
}

#[inline(always)]
fn connects(context: &SockOpsContext) {
    let process = processes::get(kernel::current_process());
    if process.root == 0 {
        return;
    }
    // Only for the place that its address passes through.
    let Some(listener) = kept::<_, Listener>(context, &LISTENER, true) else { return };
    let namespace = kernel::namespace(address_of_socket(context, &mut listener.socket));
    learned::active(&process, namespace, addresses(context), other_port(context), own_port(context));
}
