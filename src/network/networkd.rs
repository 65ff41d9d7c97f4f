//! systemd-networkd, over the system's D-Bus.

use std::io::Read;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use zbus::{Connection, Proxy};

use super::ports::{self, Link};
use crate::base::{Error, Result};

const NAME: &str = "org.freedesktop.network1";
const PATH: &str = "/org/freedesktop/network1";
const MANAGER: &str = "org.freedesktop.network1.Manager";
const ANSWER: Duration = Duration::from_secs(10);
/// A file of networkd is no longer.
const FILE_MAX: u64 = 64 << 10;

/// The way to it.
#[derive(Default)]
pub(super) struct Networkd(Mutex<Option<Connection>>);

impl Networkd {
    /// Every port that a cable or a radio has.
    ///
    /// Fails with `Unsupported` where networkd does not run.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let text = match timeout(ANSWER, self.describe()).await {
            Ok(Ok(text)) => text,
            Ok(Err(e)) => {
                // The next call connects anew.
                *self.0.lock().await = None;
                return Err(missing().caused_by(e));
            }
            Err(_) => return Err(Error::dependency("systemd-networkd", "it does not answer")),
        };
        let unclear = || Error::dependency("systemd-networkd", "its answer was not understood");
        let mut links = ports::parse(&text).ok_or_else(unclear)?;
        let read = tokio::task::spawn_blocking(move || {
            for link in &mut links {
                link.method = link.file.as_deref().and_then(text_of).and_then(|text| ports::method(&text));
            }
            links
        });
        read.await.map_err(Error::internal)
    }

    async fn describe(&self) -> zbus::Result<String> {
        let mut connection = self.0.lock().await;
        let found = match &*connection {
            Some(found) => found.clone(),
            None => connection.insert(Connection::system().await?).clone(),
        };
        drop(connection);
        Proxy::new(&found, NAME, PATH, MANAGER).await?.call("Describe", &()).await
    }
}

fn missing() -> Error {
    let reason = "this machine's network is not run by systemd-networkd";
    Error::unsupported("network", reason)
        .with("suggestion", "that is for boxes with an image of Fieldcam; set others as their system does")
}

fn text_of(file: &str) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}
