//! An interface that is to be attached to.

use crate::ebpf::interface::Interface;
use crate::error::Failure;
use crate::pins::Record;
use crate::policy::attachment::{Hook, SideName};
use crate::sys::netlink::Link;
use crate::sys::netns::network_namespace;

/// An interface that is to be attached to.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its name in records and pins.
    pub name: String,
    /// The interface.
    pub interface: Interface,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How to attach to it.
    pub hook: Hook,
    /// What is remembered under its name.
    pub before: Option<Record>,
}

impl Attachment {
    /// One that was remembered, where it is now.
    ///
    /// # Errors
    ///
    /// Packets of the interface can't be read.
    pub fn again(record: Record, link: &Link) -> Result<Self, Failure> {
        let interface = Interface::of(link)?;
        let side = interface.side(record.side.into());
        Ok(Self { name: record.name.clone(), side, hook: record.hook, interface, before: Some(record) })
    }

    /// What is to be remembered of it.
    ///
    /// # Errors
    ///
    /// `/proc` isn't there.
    pub fn record(&self) -> Result<Record, Failure> {
        Ok(Record {
            name: self.name.clone(),
            index: self.interface.index,
            side: self.side,
            hook: self.hook,
            made_qdisc: false,
            namespace: network_namespace()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}
