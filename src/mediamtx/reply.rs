//! What the control API answers, read tolerantly: every field may be missing, and the names of
//! versions before 1.16 and 1.17 are understood too.

use std::collections::BTreeMap;

use serde_json::Value;

/// One path as MediaMTX sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathState {
    /// A publisher or a pulled source delivers.
    pub ready: bool,
    /// MediaMTX's word for the source: `rtspSession` is one of our publishers, `rtspSource` a pull.
    pub source_kind: Option<String>,
    /// Readers, ours included; the recorder and the HLS muxer are not counted.
    pub readers: u32,
    /// The tracks of a ready path.
    pub tracks: Vec<Track>,
    /// Bytes in since the path became ready.
    pub inbound_bytes: u64,
    /// Bytes out since the path became ready.
    pub outbound_bytes: u64,
    /// Since when it is ready: microseconds since 1970.
    pub available_us: Option<i64>,
}

/// One track of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// MediaMTX's name of the codec, such as `H264` or `MPEG-4 Audio`.
    pub codec: String,
    /// Picture width, when the parameter sets told it.
    pub width: Option<u32>,
    /// Picture height.
    pub height: Option<u32>,
}

impl PathState {
    /// Whether MediaMTX pulls the media itself.
    pub fn is_pulled(&self) -> bool {
        self.source_kind.as_deref().is_some_and(|kind| kind.starts_with("rtsp") && kind.ends_with("Source"))
    }
}

impl Track {
    /// Whether it is a picture; what MediaMTX names otherwise is sound or data.
    pub fn is_video(&self) -> bool {
        matches!(
            self.codec.as_str(),
            "H264" | "H265" | "AV1" | "VP8" | "VP9" | "M-JPEG" | "MPEG-4 Video" | "MPEG-1/2 Video"
        )
    }
}

/// `/v3/info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub version: String,
    pub started: String,
}

/// One session of a reader or publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    pub id: String,
    pub user: String,
}

pub(super) fn info(v: &Value) -> Info {
    Info { version: text(&v["version"]), started: text(&v["started"]) }
}

pub(super) fn path_state(v: &Value) -> PathState {
    let flag = |new: &str, old: &str| v[new].as_bool().or_else(|| v[old].as_bool()).unwrap_or_default();
    let count = |new: &str, old: &str| v[new].as_u64().or_else(|| v[old].as_u64()).unwrap_or_default();
    let since = v["availableTime"].as_str().or_else(|| v["readyTime"].as_str());
    PathState {
        ready: flag("available", "ready"),
        source_kind: v["source"]["type"].as_str().map(str::to_owned),
        readers: v["readers"].as_array().map_or(0, |r| u32::try_from(r.len()).unwrap_or(u32::MAX)),
        tracks: tracks(v),
        inbound_bytes: count("inboundBytes", "bytesReceived"),
        outbound_bytes: count("outboundBytes", "bytesSent"),
        available_us: since
            .and_then(|t| t.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_microsecond),
    }
}

fn tracks(v: &Value) -> Vec<Track> {
    if let Some(list) = v["tracks2"].as_array() {
        let size = |p: &Value| p.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        return list
            .iter()
            .map(|t| Track {
                codec: text(&t["codec"]),
                width: size(&t["codecProps"]["width"]),
                height: size(&t["codecProps"]["height"]),
            })
            .collect();
    }
    let old = v["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
    old.iter().map(|t| Track { codec: text(t), ..Track::default() }).collect()
}

/// The named members of a list's page.
pub(super) fn paths(page: &Value) -> BTreeMap<String, PathState> {
    items(page).iter().map(|v| (text(&v["name"]), path_state(v))).filter(|(n, _)| !n.is_empty()).collect()
}

/// The names of a list's page.
pub(super) fn names(page: &Value) -> Vec<String> {
    items(page).iter().map(|v| text(&v["name"])).filter(|n| !n.is_empty()).collect()
}

/// The sessions of a list's page.
pub(super) fn sessions(page: &Value) -> Vec<Session> {
    items(page)
        .iter()
        .map(|v| Session { id: text(&v["id"]), user: text(&v["user"]) })
        .filter(|s| !s.id.is_empty() && s.id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
        .collect()
}

/// How many pages a list has.
pub(super) fn page_count(page: &Value) -> u64 {
    page["pageCount"].as_u64().unwrap_or(1)
}

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(v: &Value) -> String {
    v.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_pinned_version() {
        let state = path_state(&json!({
            "name": "camera0", "available": true, "availableTime": "2026-08-22T10:00:00.25Z",
            "source": {"type": "rtspSession", "id": "x"}, "readers": [{"type": "rtspSession", "id": "y"}],
            "tracks2": [{"codec": "H264", "codecProps": {"width": 1280, "height": 720, "profile": "Main"}}],
            "inboundBytes": 10, "outboundBytes": 20, "bytesReceived": 10,
        }));
        assert!(state.ready);
        assert_eq!(state.source_kind.as_deref(), Some("rtspSession"));
        assert_eq!((state.readers, state.inbound_bytes, state.outbound_bytes), (1, 10, 20));
        assert_eq!(state.tracks, [Track { codec: "H264".into(), width: Some(1280), height: Some(720) }]);
        assert_eq!(state.available_us, Some(1_787_392_800_250_000));
    }

    #[test]
    fn versions_before_1_16() {
        let state = path_state(&json!({
            "name": "camera0", "ready": true, "readyTime": "2026-08-22T10:00:00Z", "source": null,
            "tracks": ["H265", "Opus"], "bytesReceived": 7, "bytesSent": 8, "readers": [],
        }));
        assert!(state.ready);
        assert_eq!((state.inbound_bytes, state.outbound_bytes), (7, 8));
        assert_eq!(state.tracks[1].codec, "Opus");
        assert!(state.available_us.is_some());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("items".to_owned()),
            Just("tracks2".to_owned()),
            Just("codecProps".to_owned()),
            Just("readers".to_owned()),
            Just("availableTime".to_owned()),
            Just("width".to_owned()),
            Just("name".to_owned()),
            Just("id".to_owned()),
            ".*",
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..8)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(v in any_json()) {
            let _ = (info(&v), path_state(&v), paths(&v), names(&v), sessions(&v), page_count(&v));
        }
    }
}
