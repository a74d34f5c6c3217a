//! Bodies of the fuzz targets whose input comes into user space: what people write, what tcpdump writes and what other
//! programs print. Any bytes may come; what doesn't hold panics. Those of the packet path are [`super::model::fuzz`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`config_file`] | the configuration file |
//! | [`capture`] | the captures that `ftptrack replay` reads |
//! | [`doctor_answers`] | what `ftptrack doctor` is told of the firewall and of FTP servers |
//! | [`corpus`] | the kept inputs of every target, as ordinary tests play and change them |

pub mod capture;
pub mod config_file;
pub mod corpus;
pub mod doctor_answers;
