//! `fieldcam ctl find`: the boxes on the local network, by mDNS. Then each is asked who owns it.
//!
//! Anybody on the network may answer, with anything: texts are bounded and shown without control characters, only
//! addresses in a network of this machine are connected to, and a key of this user goes to the certificate that gave
//! it and to no other.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::future::select_ok;
use futures_util::{StreamExt, stream};
use mdns_sd::{ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::box_keys::BoxKeys;
use super::dial::Trust;
use super::found::{Address, Announced, Heard, lies_near, plain};
use super::host::{Host, Scheme};
use super::link::Link;
use super::reply::ServerInfo;
use super::screen;
use super::table::render;
use crate::base::{Error, ErrorKind, Result};

/// What the boxes announce (`images/common/usr/lib/systemd/dnssd/fieldcam.dnssd`).
const SERVICE: &str = "_fieldcam._tcp.local.";
/// For a box to say who owns it, all its addresses together.
const ASK_LIMIT: Duration = Duration::from_secs(3);
/// Boxes that are asked at once, at all of their addresses: laptops allow a program some hundred connections.
const MOST_AT_ONCE: usize = 16;
/// Characters of a version or fingerprint that a box tells of itself.
const MOST_WORD: usize = 40;

/// What a box says when it is asked.
#[derive(Debug, Default)]
struct Told {
    /// None: it did not say.
    claimed: Option<bool>,
    /// This user has its key.
    yours: bool,
    version: Option<String>,
    fingerprint: Option<String>,
}

/// Listens for `time`, asks those that were heard, and lists them.
pub(super) async fn find(time: Duration, json: bool) -> Result<()> {
    let heard = tokio::task::spawn_blocking(move || listen(time)).await.map_err(Error::internal)??;
    let (boxes, passed_over) = heard.into_boxes();
    let told = boxes.iter().map(|found| async { timeout(ASK_LIMIT, ask(found)).await.unwrap_or_default() });
    let told: Vec<_> = stream::iter(told).buffered(MOST_AT_ONCE).collect().await;
    let all: Vec<_> = boxes.iter().zip(&told).collect();
    if json {
        screen::line(
            &json!({ "boxes": all.iter().map(|(f, t)| as_json(f, t)).collect::<Vec<_>>() }).to_string(),
        );
    } else if all.is_empty() {
        screen::line("no box answered");
        screen::remark(
            "is it switched on, and on the same network? A cable to it straight from here does too; \
             some networks keep their devices apart",
        );
    } else {
        let rows: Vec<_> = all.iter().map(|(found, told)| row(found, told)).collect();
        screen::line(&render(&["HOST", "ADDRESS", "PORT", "OWNER", "VERSION"], &rows));
        screen::remark("go on with one of them: fieldcam ctl --host ADDRESS status (or claim)");
    }
    if passed_over > 0 {
        screen::remark(&format!("more than {} answered: the rest is not listed", boxes.len()));
    }
    Ok(())
}

/// Hears who answers, for `time`.
fn listen(time: Duration) -> Result<Heard> {
    let deadline = Instant::now() + time;
    let networks = networks();
    let near = |address| lies_near(address, &networks);
    let daemon = ServiceDaemon::new().map_err(|e| no_search(&e))?;
    let events = daemon.browse(SERVICE).map_err(|e| no_search(&e))?;
    let mut heard = Heard::default();
    while let Ok(event) = events.recv_deadline(deadline) {
        match event {
            ServiceEvent::ServiceResolved(found) => {
                heard.put(&found.fullname, announced(&found, near));
            }
            ServiceEvent::ServiceRemoved(_, name) => heard.remove(&name),
            _ => {}
        }
    }
    // It ends with this program in any case.
    let _ = daemon.shutdown();
    Ok(heard)
}

fn announced(found: &ResolvedService, near: impl Fn(IpAddr) -> bool) -> Announced {
    let tls = found.txt_properties.get_property_val_str("tls") == Some("1");
    let addresses = found.addresses.iter().map(|address| match address {
        ScopedIp::V6(v6) => Address::new(address.to_ip_addr(), Some(&v6.scope_id().name)),
        _ => Address::new(address.to_ip_addr(), None),
    });
    Announced::new(&found.host, addresses, found.port, tls, near)
}

fn no_search(cause: &mdns_sd::Error) -> Error {
    Error::new(ErrorKind::DependencyFailed, "The network cannot be searched")
        .with("detail", cause.to_string())
        .with("suggestion", "is there a network? Else give the box's address with --host")
}

/// This machine's addresses, each with its network's mask.
fn networks() -> Vec<(IpAddr, IpAddr)> {
    let ip = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
    };
    let all = getifaddrs().into_iter().flatten();
    all.filter_map(|of| Some((ip(of.address?)?, ip(of.netmask?)?))).collect()
}

/// Asks a box, by the first of the addresses that lie near to connect: a fresh one may lead nowhere yet.
async fn ask(found: &Announced) -> Told {
    let networks = networks();
    let ways =
        found.addresses.iter().filter(|address| lies_near(address.ip, &networks)).map(|address| async {
            let host = Host::at(&address.to_string(), found.port);
            let host = if found.tls { host.speaking(Scheme::Tls) } else { host };
            Link::open_as(&host, Trust::Nobody).await
        });
    let ways: Vec<_> = ways.map(Box::pin).collect();
    // `select_ok` takes no empty list.
    if ways.is_empty() {
        return Told::default();
    }
    match select_ok(ways).await {
        Ok((link, _)) => who(link).await,
        Err(_) => Told::default(),
    }
}

/// What a box says of itself, to the key that it gave this user if there is one.
async fn who(mut link: Link) -> Told {
    let fingerprint = link.fingerprint().map(|f| f.to_string());
    let key = link.fingerprint().and_then(|_| BoxKeys::open().get(&link).ok().flatten());
    let yours = match key {
        Some(key) => link.log_in(key).await.is_ok(),
        None => false,
    };
    let answer: Result<ServerInfo> = link.ask("get_server_info", Value::Null).await;
    match answer {
        Ok(info) => {
            Told { claimed: info.claimed, yours, version: Some(plain(&info.version, MOST_WORD)), fingerprint }
        }
        // It wants to know who asks: somebody is known to it.
        Err(e) if e.kind() == ErrorKind::AuthFailed => {
            Told { claimed: Some(true), yours, version: None, fingerprint }
        }
        Err(_) => Told { fingerprint, ..Told::default() },
    }
}

fn as_json(found: &Announced, told: &Told) -> Value {
    json!({
        "host": found.host, "addresses": found.addresses.iter().map(Address::to_string).collect::<Vec<_>>(),
        "port": found.port, "claimed": told.claimed, "yours": told.yours, "version": told.version,
        "tls_fingerprint": told.fingerprint,
    })
}

fn row(found: &Announced, told: &Told) -> Vec<String> {
    let owner = match told.claimed {
        _ if told.yours => "you",
        Some(true) => "somebody",
        Some(false) => "nobody",
        None => "-",
    };
    vec![
        found.host.clone(),
        found.addresses.first().map_or_else(|| "-".into(), Address::to_string),
        found.port.to_string(),
        owner.into(),
        told.version.clone().unwrap_or_else(|| "-".into()),
    ]
}
