//! Who takes part in FTP: servers, clients, and those who have no business there.
//!
//! | module | what it holds |
//! |---|---|
//! | [`vsftpd`] | the real server |
//! | [`curl`] | the real client |
//! | [`server`] | a server that says exactly what a test tells it to |
//! | [`client`] | a client that does the same |
//! | [`told_server`] | a server whose sessions do what their clients tell them to, in processes of their own or not |
//! | [`ftp_server`] | a small server of our own |
//! | [`transfer`] | whole transfers of the scripted client |
//! | [`probe`] | does a TCP connection begin |
//! | [`knock`] | is a port shut at every moment |
//! | [`echo`] | does a datagram or a ping pass |
//! | [`tmux`] | a real terminal |

pub mod client;
pub mod curl;
pub mod echo;
pub mod ftp_server;
pub mod knock;
pub mod probe;
pub mod server;
pub mod tmux;
pub mod told_server;
pub mod transfer;
pub mod vsftpd;
