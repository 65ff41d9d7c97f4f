//! How a network camera is reached: the pull in MediaMTX, and the TCP connect that looks for it.

use std::time::Duration;

use tokio::net::TcpStream;

use super::{NetworkActor, Probe};
use crate::base::{Result, Secret};
use crate::mediamtx::{PathSource, PathSpec};
use crate::reach::{Relay, in_words};

/// A host that does not answer a TCP connect in this time is taken for absent.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

impl NetworkActor {
    /// The path that MediaMTX pulls the camera into.
    pub(super) fn pulled_path(&self) -> String {
        if self.machine.strips_sound() { format!("source_{}", self.def.id) } else { self.def.id.to_string() }
    }

    /// Makes MediaMTX connect to the camera now.
    ///
    /// Fails with the reason when an added camera's host may not be connected to.
    pub(super) async fn pull(&mut self) -> std::result::Result<(), String> {
        let url = if self.def.guarded {
            self.judged_url().await.map_err(|error| in_words(&error))?
        } else {
            Secret::new(self.url.expose().as_str())
        };
        let pulled = self.pulled_path();
        let public = self.def.id.to_string();
        let same = self.pulled_from.as_ref() == Some(&url);
        self.pulled_from = Some(url.clone());
        let source = PathSource::Pull { url };
        let media = &self.parts.mediamtx;
        let stands = same && self.pulling.as_ref() == Some(&pulled);
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
        Ok(())
    }

    /// Where MediaMTX is to find an added camera. It never asks a name server itself, whose second answer
    /// might be another, and gets no redirect to follow: over RTSP it is given our own way there. What is
    /// encrypted cannot be looked into; there it gets the address that was judged.
    async fn judged_url(&mut self) -> Result<Secret> {
        let direct = self.parts.reach.address_of(&self.url).await?;
        if direct.scheme() != "rtsp" {
            return Ok(Secret::new(direct.as_str()));
        }
        let relay = match self.relay.take() {
            Some(relay) => relay,
            None => {
                let name = self.def.id.to_string();
                Relay::start(self.parts.reach.clone(), &self.url, &name, &self.parts.group).await?
            }
        };
        let url = relay.url(&self.url);
        self.relay = Some(relay);
        Ok(Secret::new(url?.as_str()))
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
        let reach = self.def.guarded.then(|| self.parts.reach.clone());
        self.parts.group.spawn(format!("probe {}", self.def.id), async move {
            let connect = async {
                let Some(reach) = reach else { return Ok(TcpStream::connect((host, port)).await.is_ok()) };
                let judged = reach.resolve(&host, port).await.map_err(|error| in_words(&error))?;
                Ok(TcpStream::connect(judged.as_slice()).await.is_ok())
            };
            if let Some(outcome) = stop.run_until_cancelled(tokio::time::timeout(PROBE_LIMIT, connect)).await
            {
                let found = match outcome {
                    Ok(Ok(true)) => Probe::Reached,
                    Ok(Err(refused)) => Probe::Refused(refused),
                    Ok(Ok(false)) | Err(_) => Probe::Absent,
                };
                let _ = answer.send(found).await;
            }
        });
    }
}
