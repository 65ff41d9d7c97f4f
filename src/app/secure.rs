//! What TLS means for the rooms that are put together: the certificate, and where MediaMTX listens.

use std::path::PathBuf;

use super::compose::own_program;
use super::data_dir::DataDir;
use crate::auth::Auth;
use crate::base::{Clock, Error, Result};
use crate::config::{self, Settings};
use crate::mediamtx::{Listens, MediaMtxOptions, PathSpec};
use crate::store::Store;
use crate::supervise::Group;
use crate::tls::Tls;

/// Who is let in, and the care for what lets them in.
pub(super) async fn doors(
    settings: &Settings,
    secrets: PathBuf,
    store: &Store,
    clock: &Clock,
    background: &Group,
) -> Result<Auth> {
    let config::Auth { jwt_secret, claim, rate_limit_per_minute } = &settings.auth;
    let auth = Auth::open(&secrets, jwt_secret.as_ref(), clock.clone(), *rate_limit_per_minute)?;
    auth.keep_keys_in(store.clone()).await?;
    if *claim {
        auth.close_until_claimed().await?;
        if auth.is_unclaimed() && settings.server.tls == "off" {
            tracing::warn!("server.tls is off: this box can be claimed on itself alone");
        }
    }
    background.spawn("API keys", auth.clone().look_after_keys(background.stop().clone()));
    background.spawn("audit log", auth.clone().keep_audit(background.stop().clone()));
    Ok(auth)
}

/// The certificate that the settings want, if any.
pub(super) async fn certificate(settings: &Settings, secrets: PathBuf, clock: &Clock) -> Result<Option<Tls>> {
    let (server, now) = (settings.server.clone(), clock.wall_us());
    let tls = tokio::task::spawn_blocking(move || Tls::open(&server, &secrets, now)).await;
    let tls = tls.map_err(Error::internal)??;
    if let Some(tls) = &tls {
        tracing::info!(fingerprint = %tls.fingerprint(), "TLS is on");
    }
    Ok(tls)
}

/// What MediaMTX is started with.
pub(super) fn media_options(
    settings: &Settings,
    data: &DataDir,
    tls: Option<&Tls>,
    paths: Vec<PathSpec>,
) -> Result<MediaMtxOptions> {
    let media = &settings.mediamtx;
    let mut rtsp = media.rtsp_listen;
    if tls.is_some() && !settings.server.allow_plain {
        // Its log-ins would cross the network in the clear, and MediaMTX cannot tell them apart.
        rtsp.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(MediaMtxOptions {
        binary: media.binary.clone(),
        listens: Listens {
            rtsp,
            rtsps: tls.map(|_| media.rtsps_listen),
            hls: media.hls_listen,
            webrtc: media.webrtc_listen,
            webrtc_udp: media.webrtc_udp,
            api: media.api_listen,
        },
        webrtc_hosts: media.webrtc_hosts.clone(),
        run_dir: data.run().join("mediamtx"),
        segment_duration: settings.recording.segment_duration,
        exe: own_program()?,
        tls: tls.cloned(),
        paths,
    })
}
