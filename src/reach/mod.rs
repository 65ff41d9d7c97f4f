//! Which hosts the API may have the box connect to.
//!
//! Owns the host policy (pure, `policy`), how hosts are written (`address`), the look-up of names (`names`),
//! and the way to an added camera (`relay`). Promises: a name is resolved by us and every address of it is judged,
//! each time anew; whoever connects is handed the address that was judged or a way to it, never the name; no
//! redirect passes that way. Costs one look-up of at most two seconds for each connect to a name.

mod address;
mod framing;
mod names;
mod policy;
mod relay;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use url::Url;

use crate::base::{Error, Result};
use crate::config::{HostEntry, RtspUrl};

pub use address::{Host, read_host};
use names::Names;
pub use policy::{Policy, Refusal};
pub use relay::{Fault, Relay};

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// The policy in force, and who knows names. Clones share both.
#[derive(Clone)]
pub struct Reach {
    allowed: Arc<RwLock<Arc<[HostEntry]>>>,
    names: Names,
}

impl Reach {
    /// `allowed` is `discovery.allowed_hosts`.
    pub fn new(allowed: &[HostEntry]) -> Self {
        Self::asking(Names::of_system(), allowed)
    }

    fn asking(names: Names, allowed: &[HostEntry]) -> Self {
        Self { allowed: Arc::new(RwLock::new(allowed.into())), names }
    }

    /// The same policy for somebody who looks up many names: others don't wait for them.
    pub fn apart(&self) -> Self {
        Self { allowed: self.allowed.clone(), names: self.names.apart() }
    }

    /// What is allowed from now on. Connections that stand are left alone.
    pub fn allow(&self, allowed: &[HostEntry]) {
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = allowed.into();
    }

    /// The policy of this moment, for judging `candidates`.
    fn policy(&self, candidates: &[IpAddr]) -> Policy {
        let allowed = self.allowed.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut own = own_addresses();
        own.extend(candidates.iter().filter(|address| is_own(**address)));
        Policy::new(allowed, own)
    }

    /// The addresses of `host` that may be connected to, at least one. IPv4 first: cameras that have both
    /// and serve one serve that.
    ///
    /// Fails with `InvalidParams` (param `stream_url`) when one of them may not, and with
    /// `DependencyFailed` when the name has none.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let host = read_host(host).map_err(|refusal| refusal.error())?;
        let (name, found) = match &host {
            Host::Address(address) => (None, vec![*address]),
            Host::Name(name) => {
                self.policy(&[]).judge_name(name, port).map_err(|refusal| refusal.error())?;
                let unknown = || {
                    Error::dependency("name server", "the host's name has no address")
                        .with("suggestion", "check the name, or write the address in its place")
                };
                let found = self.names.look_up(name).await.map_err(|e| unknown().caused_by(e))?;
                if found.is_empty() {
                    return Err(unknown());
                }
                (Some(name.as_str()), found)
            }
        };
        // One bad address among good ones is how a name is turned: all have to pass.
        let found: Vec<_> = found.into_iter().take(ADDRESSES_MAX).map(address::plain).collect();
        let policy = self.policy(&found);
        let judge = |address| {
            let judged = policy.judge(name, address, port).map_err(|refusal| refusal.error());
            judged.map(|()| SocketAddr::new(address, port))
        };
        let mut judged = found.into_iter().map(judge).collect::<Result<Vec<_>>>()?;
        judged.sort_by_key(SocketAddr::is_ipv6);
        Ok(judged)
    }

    /// `url` with the address in place of the host, judged now.
    pub async fn address_of(&self, url: &RtspUrl) -> Result<Url> {
        let found = self.resolve(url.host(), url.port()).await?;
        let first = found.first().ok_or_else(|| Error::internal("no address was left"))?;
        with_host(url.expose(), first.ip()).ok_or_else(|| Error::internal("an address that no URL takes"))
    }
}

/// Why a host was not connected to, for a person who asked for nothing.
pub fn in_words(error: &Error) -> String {
    let member = |name: &str| error.data().get(name).and_then(|text| text.as_str());
    match (member("rule"), member("detail")) {
        (Some(rule), _) => format!("the address {rule}"),
        (None, Some(detail)) => detail.to_owned(),
        (None, None) => error.message().to_owned(),
    }
}

/// `url` with another host.
fn with_host(url: &Url, host: IpAddr) -> Option<Url> {
    let mut url = url.clone();
    let text = if host.is_ipv6() { format!("[{host}]") } else { host.to_string() };
    url.set_host(Some(&text)).ok()?;
    Some(url)
}

/// Whether packets to `address` would stay on this box, as the kernel's routes say: also where a sandbox
/// keeps us from the list of interfaces. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
        // Port 9 discards; any would do.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address)
}

/// Every address of this box's interfaces; read anew each time, they come and go.
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let ip = |a: nix::sys::socket::SockaddrStorage| {
        let four = a.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
        four.or_else(|| a.as_sockaddr_in6().map(|a| a.ip().into()))
    };
    all.filter_map(|interface| interface.address.and_then(ip)).map(address::plain).collect()
}

#[cfg(test)]
mod tests;
