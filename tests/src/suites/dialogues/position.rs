//! Where a TCP connection's streams are: the kernel says so to who may repair connections.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

/// linux/tcp.h: end repairing without a word to the peer.
const TCP_REPAIR_OFF_NO_WP: i32 = -1;
const TCP_RECV_QUEUE: i32 = 1;
const TCP_SEND_QUEUE: i32 = 2;

/// The sequence numbers of the next byte that `stream` sends, and of the next that it gets.
pub(super) fn next(stream: &TcpStream) -> (u32, u32) {
    let positions = || {
        set(stream, libc::TCP_REPAIR, 1)?;
        set(stream, libc::TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)?;
        let sent = get(stream, libc::TCP_QUEUE_SEQ)?;
        set(stream, libc::TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)?;
        let got = get(stream, libc::TCP_QUEUE_SEQ)?;
        set(stream, libc::TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)?;
        io::Result::Ok((sent.cast_unsigned(), got.cast_unsigned()))
    };
    positions().expect("root may, on a connection")
}

fn set(stream: &TcpStream, option: i32, value: i32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<i32>()).expect("four");
    let at = (&raw const value).cast();
    // SAFETY: `at` points to `length` bytes, which the kernel only reads.
    let done = unsafe { libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, option, at, length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(stream: &TcpStream, option: i32) -> io::Result<i32> {
    let mut value = 0;
    let mut length = libc::socklen_t::try_from(size_of::<i32>()).expect("four");
    let at = (&raw mut value).cast();
    // SAFETY: `at` points to `length` bytes, and the kernel writes no more.
    let done = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, option, at, &raw mut length) };
    if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}
