//! How a network camera is reached: the pull in MediaMTX, and the TCP connect that looks for it.

use std::time::Duration;

use tokio::net::TcpStream;

use super::NetworkActor;
use crate::base::Secret;
use crate::mediamtx::{PathSource, PathSpec};

/// A host that does not answer a TCP connect in this time is taken for absent.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

impl NetworkActor {
    /// The path that MediaMTX pulls the camera into.
    pub(super) fn pulled_path(&self) -> String {
        if self.machine.strips_sound() { format!("source_{}", self.def.id) } else { self.def.id.to_string() }
    }

    /// Makes MediaMTX connect to the camera now.
    pub(super) async fn pull(&mut self) {
        let pulled = self.pulled_path();
        let public = self.def.id.to_string();
        let source = PathSource::Pull { url: Secret::new(self.url.expose().as_str()) };
        let media = &self.parts.mediamtx;
        let stands = self.pulling.as_ref() == Some(&pulled);
        let outcome = async {
            if stands {
                // Unchanged it would wait for its pause to end. A pull that is new connects by
                // itself; replacing it too would be a second log-in at the camera.
                return media.replace_path(&pulled).await;
            }
            if pulled == public {
                media.set_source(&public, source).await
            } else {
                media.set_source(&public, PathSource::Publisher).await?;
                media.put_path(PathSpec { name: pulled.clone(), source, record: None }).await
            }
        };
        match outcome.await {
            Ok(()) => self.pulling = Some(pulled),
            Err(error) => {
                tracing::error!(camera = public, "cannot be pulled: {}", error.chain());
                self.problem = Some(error.message().to_owned());
            }
        }
    }

    /// Leaves the camera alone; its path stays and holds readers back.
    pub(super) async fn park(&mut self) {
        self.pulling = None;
        let pulled = self.pulled_path();
        let media = &self.parts.mediamtx;
        let outcome = if pulled == self.def.id.to_string() {
            media.set_source(&pulled, PathSource::Publisher).await
        } else {
            media.remove_path(&pulled).await
        };
        if let Err(error) = outcome {
            tracing::error!(camera = %self.def.id, "cannot be parked: {}", error.chain());
        }
    }

    /// Finds out whether the camera takes a TCP connection.
    pub(super) fn probe(&self) {
        let (host, port) = (self.url.host().trim_matches(['[', ']']).to_owned(), self.url.port());
        let (answer, stop) = (self.probes.0.clone(), self.parts.group.stop().clone());
        self.parts.group.spawn(format!("probe {}", self.def.id), async move {
            let connect = tokio::time::timeout(PROBE_LIMIT, TcpStream::connect((host, port)));
            if let Some(outcome) = stop.run_until_cancelled(connect).await {
                let _ = answer.send(matches!(outcome, Ok(Ok(_)))).await;
            }
        });
    }
}
