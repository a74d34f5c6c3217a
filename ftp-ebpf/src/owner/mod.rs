//! Who serves an encrypted control connection, and what it opens (`ftps = learn`): see [`ftp_common::owner`].
//!
//! - [`processes`]: masters, their children, their ends;
//! - [`sockets`]: connections that are accepted and served, and sockets that begin to listen or to connect;
//! - [`roots`]: who serves what;
//! - [`learned`]: the expectation that follows;
//! - [`kernel`]: what is read of the kernel's own structures; [`inherited`]: a kind of map.
//!
//! These programs run in process context as well, where others interrupt them on their CPU: what a value of a CPU holds may
//! change at any time, so all lies on the stack or with the socket.

mod inherited;
mod kernel;
mod learned;
mod processes;
mod roots;
mod sockets;
