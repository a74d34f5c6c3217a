//! The kernel's routing socket: interfaces, their addresses and changes of both, and TC filters.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::programs::TcAttachType;
use aya::programs::tc::TcHandle;
use futures_util::FutureExt as _;
use futures_util::stream::{LocalBoxStream, Stream, StreamExt as _, TryStreamExt as _};
use ipnet::IpNet;
use rtnetlink::packet_core::{Nla as _, NlasIterator};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle as Parent, TcMessage, TcOption};
use rtnetlink::{Error, Handle, MulticastGroup};

use crate::error::{Failure, OrFail as _};

/// Attribute of a bpf filter's options: the program's ID (`TCA_BPF_ID`).
const BPF_ID: u16 = 11;

/// An open routing socket. It lives on the runtime it was opened on.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its `ARPHRD_` type.
    pub kind: u16,
    /// Whether it is up, as far as whoever administers it has a say.
    pub is_up: bool,
}

/// A bpf filter at a clsact hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Filter {
    /// Where it stands among the filters of its hook.
    pub priority: u16,
    /// Its handle within that priority.
    pub handle: TcHandle,
    /// ID of its program; none if it is not a bpf filter.
    pub program: Option<u32>,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn open() -> Result<Self, Failure> {
        let (connection, handle, _) = rtnetlink::new_connection().or_fail("routing socket", HINT)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All interfaces of this network namespace.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn links(&self) -> Result<Vec<Link>, Failure> {
        let mut links = Vec::new();
        let mut messages = self.handle.link().get().execute();
        while let Some(message) = messages.try_next().await.or_fail("list of interfaces", HINT)? {
            let name = message.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            let (index, kind) = (message.header.index, message.header.link_layer_type.into());
            let is_up = message.header.flags.contains(LinkFlags::Up);
            links.extend(name.map(|name| Link { index, name, kind, is_up }));
        }
        Ok(links)
    }

    /// All addresses of this network namespace, with the interface that each is on and the length of its prefix.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn addresses(&self) -> Result<Vec<(u32, IpNet)>, Failure> {
        let mut addresses = Vec::new();
        let mut messages = self.handle.address().get().execute();
        while let Some(message) = messages.try_next().await.or_fail("addresses of interfaces", HINT)? {
            addresses.extend(own_address(&message).map(|net| (message.header.index, net)));
        }
        Ok(addresses)
    }

    /// The same, without more.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn all_addresses(&self) -> Result<BTreeSet<IpAddr>, Failure> {
        Ok(self.addresses().await?.iter().map(|(_, net)| net.addr()).collect())
    }

    /// The filters at a clsact hook of an interface; none if there is no clsact.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn filters(&self, interface: u32, hook: TcAttachType) -> Result<Vec<Filter>, Failure> {
        let request = self.handle.traffic_filter(index(interface)).get();
        let request = if hook == TcAttachType::Ingress { request.ingress() } else { request.egress() };
        collect_filters(request.execute(), hook).await.or_fail("list of TC filters", HINT)
    }

    /// Removes the clsact qdisc of an interface, with all filters on it.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn remove_clsact(&self, interface: u32) -> Result<(), Failure> {
        let mut request = self.handle.qdisc().del(index(interface));
        request.message_mut().header.parent = Parent::CLSACT;
        request.execute().await.or_fail("clsact qdisc", HINT)
    }
}

const HINT: &str = "run as root, in the network namespace of the interface";

/// Something about interfaces, addresses or filters changed: time to observe again.
pub struct Changes(LocalBoxStream<'static, ()>);

impl Changes {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn listen() -> Result<Self, Failure> {
        // The last one tells when somebody removes a clsact qdisc or a filter.
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr, MulticastGroup::Tc];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).or_fail("changes of addresses", HINT)?;
        tokio::spawn(connection);
        // An overrun arrives as a message too: whatever was missed, the next observation finds it.
        Ok(Self(messages.map(drop).boxed_local()))
    }

    /// Waits for changes; many at once count as one. `None` when there will be none any more.
    pub async fn next(&mut self) -> Option<()> {
        self.0.next().await?;
        while let Some(Some(())) = self.0.next().now_or_never() {}
        Some(())
    }
}

/// On a point-to-point interface the address attribute is the peer's, and the local one ours.
fn own_address(message: &AddressMessage) -> Option<IpNet> {
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address: IpAddr = find(true).or_else(|| find(false))?;
    IpNet::new(address, message.header.prefix_len).ok()
}

async fn collect_filters(
    messages: impl Stream<Item = Result<TcMessage, Error>>,
    hook: TcAttachType,
) -> Result<Vec<Filter>, Error> {
    let minor = if hook == TcAttachType::Ingress { Parent::MIN_INGRESS } else { Parent::MIN_EGRESS };
    let mut messages = std::pin::pin!(messages);
    let mut filters = Vec::new();
    while let Some(message) = messages.try_next().await? {
        // Each priority has an entry of its own, whose handle is 0.
        let handle = message.header.handle;
        if message.header.parent.minor == minor && u32::from(handle) != 0 {
            filters.push(Filter {
                priority: (message.header.info >> 16) as u16,
                handle: TcHandle::new(handle.major, handle.minor),
                program: program_of(&message),
            });
        }
    }
    Ok(filters)
}

fn program_of(message: &TcMessage) -> Option<u32> {
    let is_bpf = message.attributes.contains(&TcAttribute::Kind("bpf".to_owned()));
    let options = message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) if is_bpf => Some(options),
        _ => None,
    })?;
    options.iter().find_map(|option| {
        let TcOption::Other(nested) = option else {
            return None;
        };
        let mut bytes = vec![0; nested.value_len()];
        nested.emit_value(&mut bytes);
        NlasIterator::new(bytes.as_slice())
            .flatten()
            .find(|attribute| attribute.kind() == BPF_ID)
            .and_then(|attribute| Some(u32::from_ne_bytes(attribute.value().try_into().ok()?)))
    })
}

const fn index(interface: u32) -> i32 {
    interface.cast_signed()
}
