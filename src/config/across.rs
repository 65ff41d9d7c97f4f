//! Checks across keys: what is right alone but not together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::mistake::{Mistake, Origin};
use super::settings::{Server, Settings, Storage};
use super::source::SourceSpec;

/// Keys of `[[camera]]` that do nothing for its source.
pub(super) fn idle_keys(source: &SourceSpec) -> &'static [&'static str] {
    match source {
        SourceSpec::Test(_) => &["audio", "format"],
        // It comes at its own rate.
        SourceSpec::File(_) => &["audio", "fps", "format"],
        SourceSpec::V4l2(_) => &["audio"],
        // The camera decides its own picture, and stays connected anyway.
        SourceSpec::Rtsp(_) => &["resolution", "fps", "format", "encoder", "keep_warm"],
    }
}

/// `origin` tells where a key was written; `cameras` holds each camera's place, such as `camera[1]`.
pub(super) fn check(
    settings: &Settings,
    cameras: &[String],
    origin: &dyn Fn(&str) -> Origin,
    camera_origin: &dyn Fn(usize, &str) -> Origin,
) -> Vec<Mistake> {
    let mut found = Vec::new();
    ports(settings, origin, &mut found);
    found.extend(tls(&settings.server, origin));
    let storage = &settings.storage;
    if storage.warn_percent >= storage.refuse_percent {
        found.push(Mistake {
            origin: origin("storage.warn_percent"),
            key: "storage.warn_percent".into(),
            what: format!(
                "is {}, not below storage.refuse_percent ({})",
                storage.warn_percent, storage.refuse_percent
            ),
            hint: "write a smaller number, or raise storage.refuse_percent".into(),
        });
    }
    found.extend(retention(storage, origin));
    let (mut ids, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for (i, camera) in settings.camera.iter().enumerate() {
        let mut twice = |key: &str, first: Option<usize>, hint: &str| {
            let Some(first) = first else { return };
            found.push(Mistake {
                origin: camera_origin(i, key),
                key: format!("{}.{key}", cameras[i]),
                what: format!("is the same as that of {} ({})", cameras[first], camera_origin(first, key)),
                hint: hint.into(),
            });
        };
        if let Some(id) = camera.id {
            twice("id", ids.insert(id, i), "give each camera its own id");
        }
        let hint = "remove one of the two, or make them differ";
        twice("source", sources.insert(camera.source.identity(), i), hint);
    }
    found
}

/// Files without `"files"` would leave a box in plain text whose owner believes that it is not.
fn tls(server: &Server, origin: &dyn Fn(&str) -> Origin) -> Vec<Mistake> {
    let files = server.tls == "files";
    let pair = [("server.tls_cert", &server.tls_cert), ("server.tls_key", &server.tls_key)];
    let wrong = pair.into_iter().filter(|(_, path)| path.is_some() != files);
    let mistake = |key: &str| {
        let (at, what, hint) = if files {
            ("server.tls", format!("is \"files\", and {key} is not set"), format!("set {key} as well"))
        } else {
            let what = format!("does nothing with server.tls = {:?}", server.tls);
            (key, what, "set server.tls = \"files\", or remove it".to_owned())
        };
        Mistake { origin: origin(at), key: at.into(), what, hint }
    };
    wrong.map(|(key, _)| mistake(key)).collect()
}

/// A policy without its limit does nothing, and a floor that comes too late does nothing either.
fn retention(storage: &Storage, origin: &dyn Fn(&str) -> Origin) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mistake =
        |key: &str, what: String, hint: String| Mistake { origin: origin(key), key: key.into(), what, hint };
    let size = storage.retention_max_size_gb.or(storage.retention_camera_max_size_gb);
    let (limit, key) = match storage.retention.as_str() {
        "age" => (storage.retention_max_age_days, "storage.retention_max_age_days"),
        "size" => (size, "storage.retention_max_size_gb"),
        _ => (Some(0.0), ""),
    };
    // A limit that the files gave to a policy made over the API may go without stopping the box.
    if limit.is_none() && origin("storage.retention") != Origin::Api {
        let what = format!("is {:?}, and {key} is not set", storage.retention);
        found.push(mistake("storage.retention", what, format!("set {key} as well")));
    }
    if let Some(floor) = storage.retention_floor_percent
        && floor >= storage.refuse_percent
    {
        let what = format!("is {floor}, not below storage.refuse_percent ({})", storage.refuse_percent);
        let hint = "write a smaller number, or raise storage.refuse_percent";
        found.push(mistake("storage.retention_floor_percent", what, hint.into()));
    }
    found
}

fn ports(settings: &Settings, origin: &dyn Fn(&str) -> Origin, found: &mut Vec<Mistake>) {
    let mtx = &settings.mediamtx;
    let mut tcp: Vec<(&str, SocketAddr)> = vec![
        ("server.listen", settings.server.listen),
        ("health.listen", settings.health.listen),
        ("mediamtx.rtsp_listen", mtx.rtsp_listen),
        ("mediamtx.hls_listen", mtx.hls_listen),
        ("mediamtx.webrtc_listen", mtx.webrtc_listen),
        ("mediamtx.api_listen", mtx.api_listen),
        // Listens on TCP too.
        ("mediamtx.webrtc_udp", mtx.webrtc_udp),
    ];
    if settings.server.tls != "off" {
        tcp.push(("mediamtx.rtsps_listen", mtx.rtsps_listen));
    }
    for (i, (key, address)) in tcp.iter().enumerate() {
        for (other, taken) in &tcp[..i] {
            if overlap(*address, *taken) {
                // The one that somebody wrote is the one to change.
                let (key, other) = if origin(key) == Origin::Default { (other, key) } else { (key, other) };
                found.push(Mistake {
                    origin: origin(key),
                    key: (*key).into(),
                    what: format!("takes port {}, as {other} does ({})", address.port(), origin(other)),
                    hint: "give each its own port".into(),
                });
            }
        }
    }
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let all = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (all || a.ip() == b.ip())
}
