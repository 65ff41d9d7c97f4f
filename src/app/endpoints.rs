//! `run/endpoints.json`: where this box really listens, ports of 0 resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::{Error, Result};
use crate::durable::publish;
use crate::mediamtx;
use crate::tls::{Fingerprint, Tls};

/// The addresses, as a program on the box itself would use them.
#[derive(Clone, Serialize)]
pub struct EndpointsFile {
    ws: String,
    http: String,
    health: String,
    rtsp: String,
    hls: String,
    webrtc: String,
    /// With TLS, what the others reach.
    #[serde(flatten)]
    secure: Option<Secure>,
}

#[derive(Clone, Serialize)]
struct Secure {
    wss: String,
    https: String,
    rtsps: Option<String>,
    fingerprint: Fingerprint,
}

impl EndpointsFile {
    /// From the sockets that were bound.
    pub fn new(
        server: SocketAddr,
        health: SocketAddr,
        media: &mediamtx::Endpoints,
        tls: Option<&Tls>,
    ) -> Self {
        let at = |scheme: &str, address: SocketAddr, path: &str| {
            format!("{scheme}://{}{path}", reachable(address))
        };
        Self {
            ws: at("ws", server, "/ws"),
            http: at("http", server, ""),
            health: at("http", health, ""),
            rtsp: at("rtsp", media.rtsp, ""),
            hls: at("http", media.hls, ""),
            webrtc: at("http", media.webrtc, ""),
            secure: tls.map(|tls| Secure {
                wss: at("wss", server, "/ws"),
                https: at("https", server, ""),
                rtsps: media.rtsps.map(|rtsps| at("rtsps", rtsps, "")),
                fingerprint: tls.fingerprint(),
            }),
        }
    }

    /// Writes the file.
    pub fn write(&self, run_dir: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(Error::internal)?;
        publish(&run_dir.join("endpoints.json"), text.as_bytes(), 0o644)
            .map_err(|e| Error::dependency("storage", "endpoints.json cannot be written").caused_by(e))
    }

    /// Writes it again whenever the certificate is another one.
    pub async fn keep(mut self, tls: Tls, run_dir: PathBuf) {
        let mut changes = tls.follow();
        while changes.changed().await.is_ok() {
            let fingerprint = changes.borrow_and_update().fingerprint();
            if let Some(secure) = &mut self.secure {
                secure.fingerprint = fingerprint;
            }
            if let Err(error) = self.write(&run_dir) {
                tracing::warn!("{}", error.chain());
            }
        }
    }

    /// The tail of the ready line.
    pub fn summary(&self) -> String {
        let plain = format!("ws={} health={} rtsp={}", self.ws, self.health, self.rtsp);
        match &self.secure {
            Some(Secure { wss, fingerprint, .. }) => format!("{plain} wss={wss} sha256={fingerprint}"),
            None => plain,
        }
    }
}

/// All interfaces are reached from the box itself through loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_become_loopback() {
        assert_eq!(reachable("0.0.0.0:8002".parse().unwrap()).to_string(), "127.0.0.1:8002");
        assert_eq!(reachable("[::]:8002".parse().unwrap()).to_string(), "[::1]:8002");
        assert_eq!(reachable("192.0.2.1:1".parse().unwrap()).to_string(), "192.0.2.1:1");
    }
}
