//! The certificate read again: first judged, then used, both or neither.

use super::stays;
use crate::base::{Clock, Error, ErrorKind, Result};
use crate::config::Server;
use crate::tls::{Pair, Tls};

/// The setting that a report names when the certificate is another one.
pub(super) const SETTING: &str = "server.tls_cert";

/// What the new settings name, unless they want TLS in another way: that takes a restart.
pub(super) async fn read(tls: Option<&Tls>, running: &Server, new: &Server) -> Result<Option<Pair>> {
    let Some(tls) = tls.filter(|_| running.tls == new.tls).cloned() else { return Ok(None) };
    let (new, now) = (new.clone(), Clock::new().wall_us());
    let read = tokio::task::spawn_blocking(move || tls.read(&new, now)).await.map_err(Error::internal)?;
    read.map_err(|e| {
        tracing::error!("the configuration is not read again, the old certificate stays: {}", e.chain());
        if e.kind() == ErrorKind::Config { stays(vec![e.message().to_owned()]) } else { e }
    })
}

/// Serves connections from now on with `pair`; answers whether it is another one.
pub(super) fn put(tls: Option<&Tls>, pair: Option<Pair>) -> bool {
    let (Some(tls), Some(pair)) = (tls, pair) else { return false };
    let changed = tls.put(pair);
    if changed {
        tracing::info!(fingerprint = %tls.fingerprint(), "new connections are shown another certificate");
    }
    changed
}
