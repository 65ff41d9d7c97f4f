//! The box's certificate: made by itself or read from files, known by its fingerprint, changed while
//! connections go on.
//!
//! Owns `secrets/tls.pem` (certificate and key in one file, so that they cannot part; 0600). Promises:
//! TLS 1.2 and 1.3 only; a pair is judged whole before it is used and a bad one changes nothing; what it
//! complains about names the configuration's key, never a path or what a file holds. A certificate that
//! has expired is served with a warning: a box without a clock cannot tell, and its recordings matter more.
//! Costs what rustls keeps: see `http`. Reading and making block.

mod client;
mod fingerprint;
mod made;
mod names;
mod pair;
mod read;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use client::{Shown, greet, is_other_talk, shown_by};
pub use fingerprint::Fingerprint;
pub use pair::Pair;

use crate::base::Result;
use crate::config;

/// The certificate in force. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    secrets: PathBuf,
    current: watch::Sender<Arc<Pair>>,
}

impl Tls {
    /// What the settings want: a certificate of the box's own, that of two files, or none. The box's own is
    /// made below `secrets` when there is none that can be used. Blocks.
    pub fn open(server: &config::Server, secrets: &Path, now_us: i64) -> Result<Option<Self>> {
        let Some(pair) = obtain(server, secrets)? else { return Ok(None) };
        if pair.has_ended(now_us) {
            tracing::warn!(
                "server.tls_cert: the certificate ended on {} by this box's clock; most clients will refuse it",
                pair.ends()
            );
        }
        let current = watch::Sender::new(Arc::new(pair));
        Ok(Some(Self(Arc::new(Inner { secrets: secrets.to_owned(), current }))))
    }

    /// Reads what new settings want, without using it yet; fails with what is wrong about it. One that has
    /// expired is wrong unless the present one has too. Blocks.
    pub fn read(&self, server: &config::Server, now_us: i64) -> Result<Option<Pair>> {
        let pair = obtain(server, &self.0.secrets)?;
        if let Some(pair) = &pair
            && pair.has_ended(now_us)
            && !self.current().has_ended(now_us)
        {
            return Err(read::expired(pair));
        }
        Ok(pair)
    }

    /// Connections from now on are served with `pair`; answers whether that is another than before.
    pub fn put(&self, pair: Pair) -> bool {
        self.0.current.send_if_modified(|now| {
            let differs = !now.is_same(&pair);
            if differs {
                *now = Arc::new(pair);
            }
            differs
        })
    }

    /// The pair in force.
    pub fn current(&self) -> Arc<Pair> {
        self.0.current.borrow().clone()
    }

    /// Told of each change.
    pub fn follow(&self) -> watch::Receiver<Arc<Pair>> {
        self.0.current.subscribe()
    }

    /// What greets the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.0.current.borrow().acceptor()
    }

    /// What tells the certificate in force from every other.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.current.borrow().fingerprint()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.fingerprint())
    }
}

/// Judges what the settings name, without making anything. Blocks.
pub fn check(server: &config::Server) -> Result<()> {
    if server.tls == "files" { read::files(server).map(drop) } else { Ok(()) }
}

fn obtain(server: &config::Server, secrets: &Path) -> Result<Option<Pair>> {
    match server.tls.as_str() {
        "auto" => made::read_or_make(secrets).map(Some),
        "files" => read::files(server).map(Some),
        _ => Ok(None),
    }
}
