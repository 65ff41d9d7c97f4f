//! The box's HTTP server: WebSocket upgrade, downloads, health, and a page that says what this is.
//!
//! Owns accepted connections and downloads by signed link. Promises: every request passes the Host
//! and Origin checks first; no path, no query and no secret reaches a log or an answer; a file is
//! read off the async threads, one piece of 256 KiB in memory. Costs one task a connection.

mod access;
mod answer;
mod cors;
mod diagnosis;
mod downloads;
mod file_body;
mod files;
mod followers;
mod frame_query;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod handshake;
mod health_pages;
mod hosts;
mod index;
mod mjpeg;
mod range;
mod reached;
mod seats;
mod server;
mod socket;
mod upload;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::base::{Error, ErrorKind, Result, peer};
use crate::config;
use crate::health::Health;
use crate::live::Live;
use crate::rpc::{Rpc, Services};
use crate::supervise::Group;
use crate::tls::Tls;

/// `[server]`, as far as this room is concerned.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections served at the same time.
    pub max_connections: usize,
    /// Of these, how many one address may have; the box itself may have all.
    pub max_per_address: usize,
    /// A socket silent for this long in spite of pings is dropped.
    pub idle_timeout: Duration,
    /// Pages of these origins may talk to us.
    pub allowed_origins: Vec<String>,
    /// The certificate, where TLS is on.
    pub tls: Option<Tls>,
    /// With TLS on: other machines may log in without it.
    pub allow_plain: bool,
}

impl ServerOptions {
    /// What the settings say; `tls` is the certificate that they name.
    pub fn of(s: &config::Server, tls: Option<Tls>) -> Self {
        Self {
            listen: s.listen,
            max_connections: s.max_connections as usize,
            max_per_address: s
                .max_connections_per_address
                .unwrap_or_else(|| s.max_connections.saturating_mul(3).div_ceil(4))
                as usize,
            idle_timeout: s.idle_timeout,
            allowed_origins: s.allowed_origins.clone(),
            tls,
            allow_plain: s.allow_plain,
        }
    }
}

/// Serves JSON-RPC and files in `group`; answers with the address it listens on.
pub async fn serve(options: ServerOptions, services: Services, group: &Group) -> Result<SocketAddr> {
    let (listener, address) = bind("server.listen", options.listen).await?;
    let services = Arc::new(services);
    let rpc = Rpc::new(services.clone(), group.clone(), options.idle_timeout);
    let Services { auth, cameras, mediamtx, .. } = &*services;
    let live = Live::new(auth.clone(), cameras.clone(), mediamtx.clone(), group);
    let main = server::Main::new(services, rpc, live, &options);
    server::accept(listener, group, server::Port::Main(Arc::new(main)));
    Ok(address)
}

/// Serves `/health*` in `group`; answers with the address it listens on.
pub async fn serve_health(listen: SocketAddr, health: Health, group: &Group) -> Result<SocketAddr> {
    let (listener, address) = bind("health.listen", listen).await?;
    server::accept(listener, group, server::Port::Health(health));
    Ok(address)
}

/// Opens a listener; the error names the setting and what to do.
async fn bind(setting: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let opened = async {
        let listener = match TcpListener::bind(address).await {
            Err(e) => TcpListener::bind(peer::without_ipv6(address, &e).ok_or(e)?).await?,
            Ok(listener) => listener,
        };
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    opened.await.map_err(|e: std::io::Error| {
        let (what, next) = match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                ("the port is taken", "stop the other program or choose another port (0 takes a free one)")
            }
            std::io::ErrorKind::PermissionDenied => {
                ("this user may not open that port", "choose a port above 1023")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                ("this machine does not have that address", "use 0.0.0.0 for every address")
            }
            _ => ("it cannot be opened", "choose another address"),
        };
        Error::new(ErrorKind::Config, format!("{setting} = \"{address}\": {what}; {next}")).caused_by(e)
    })
}
