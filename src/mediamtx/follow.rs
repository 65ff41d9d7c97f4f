//! What goes on in MediaMTX, followed in the background: the path list, and readers whose login ended.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::callback::Admission;
use super::handle::{CALL, Inner};
use super::reply;
use crate::base::Mono;

const RTSP: &str = "rtspsessions";
const RTSPS: &str = "rtspssessions";
/// How old the path list may become.
const EVERY: Duration = Duration::from_millis(500);
/// Two lists follow each other no faster, however much happens.
const APART: Duration = Duration::from_millis(20);
/// How long a login that ended is still looked for: a session let in just before may not be listed yet.
const LINGER: Duration = Duration::from_secs(15);

/// Keeps the path list fresh: twice a second, and at once when MediaMTX says that something changed.
pub(super) async fn paths(inner: Arc<Inner>, api: Api, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = inner.nudge.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        let generation = {
            let server = inner.server.borrow();
            if !server.running {
                continue;
            }
            server.generation
        };
        let mut all = BTreeMap::new();
        if api.list("paths", CALL, |page| all.extend(reply::paths(page))).await.is_ok() {
            inner.paths.send_if_modified(|known| {
                // A list that was under way while MediaMTX died tells of the dead one.
                let server = inner.server.borrow();
                let news = server.running && server.generation == generation && **known != all;
                if news {
                    *known = Arc::new(all);
                }
                news
            });
        }
        tokio::time::sleep(APART).await;
    }
}

/// Ends sessions whose login ended or was revoked; MediaMTX itself asks only when they begin.
pub(super) async fn logins(inner: Arc<Inner>, api: Api, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ending: BTreeMap<String, (Admission, Mono)> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = Mono::now();
        for (user, admission) in take_ended(&inner, now) {
            tracing::info!(user, "a stream login ended");
            ending.insert(user, (admission, now));
        }
        ending.retain(|_, (_, since)| now.since(*since) < LINGER);
        if ending.is_empty() || !inner.server.borrow().running {
            continue;
        }
        let lists = [("rtsp", RTSP), ("rtsp", RTSPS), ("webrtc", "webrtcsessions"), ("hls", "hlssessions")];
        for (protocol, list) in lists {
            // MediaMTX has the same word for both, and no list of a server that is off.
            let off = list == RTSPS && inner.endpoints.rtsps.is_none();
            if off || !ending.values().any(|(a, _)| a.protocols.contains(protocol)) {
                continue;
            }
            let mut ids = Vec::new();
            let listed = api
                .list(list, CALL, |page| {
                    let theirs = |s: &reply::Session| ending.contains_key(&s.user);
                    ids.extend(reply::sessions(page).into_iter().filter(theirs).map(|s| s.id));
                })
                .await;
            if let Err(fault) = listed {
                tracing::warn!(?fault, list, "sessions could not be listed");
            }
            for id in ids {
                if let Err(fault) = api.kick(list, &id, CALL).await {
                    tracing::warn!(?fault, list, "a session whose login ended could not be ended");
                }
            }
        }
    }
}

fn take_ended(inner: &Inner, now: Mono) -> BTreeMap<String, Admission> {
    let users: Vec<(String, Mono)> = {
        let admitted = inner.desk.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        admitted.iter().map(|(user, a)| (user.clone(), a.deadline)).collect()
    };
    // The gate is asked outside the lock, which the callback takes too.
    let ended = users
        .into_iter()
        .filter(|(user, deadline)| now >= *deadline || !inner.desk.gate.still_valid(user))
        .map(|(user, _)| user);
    let ended: Vec<String> = ended.collect();
    let mut admitted = inner.desk.admitted.lock().unwrap_or_else(PoisonError::into_inner);
    ended.into_iter().filter_map(|user| admitted.remove(&user).map(|a| (user, a))).collect()
}
