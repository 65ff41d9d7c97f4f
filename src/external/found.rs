//! Streams that were found, and a bounded memory of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::family::Family;
use crate::config::{SourceSpec, hide_pairs, rtsp_port};

/// Streams that are remembered; the one that was not seen for longest goes first.
const MOST: usize = 256;

/// A stream on the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// What it is recognised by, however its address is written: `rtsp://h/a` is `rtsp://h:554/a`.
    pub(super) identity: String,
    /// Its address, without credentials.
    pub url: String,
    /// Such as `generic_rtsp` or `skydio_stanag4609`.
    pub kind: String,
    /// For people.
    pub name: String,
    /// It answered when it was last asked, and can be read as it is.
    pub works: bool,
    /// When it was first found or added, microseconds since 1970.
    pub found_us: i64,
    /// When it last answered.
    pub seen_us: i64,
    /// What is known of it.
    pub capabilities: Capabilities,
}

/// What is known of a stream; a text is empty where nothing is.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// `rtsp` or `rtsps`.
    pub protocol: String,
    /// Such as `stanag4609`.
    pub format: String,
    /// Who sends it, such as `skydio_uav`.
    pub source: String,
    /// `eo`, `ir` or `main`.
    pub stream_type: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Such as `h264`.
    pub codec: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
}

impl Stream {
    /// One that a search found just now.
    pub(super) fn new(
        family: &Family,
        url: &Url,
        name: String,
        works: bool,
        capabilities: Capabilities,
    ) -> Self {
        let url = url.to_string();
        let identity = url.parse().map_or_else(|_| url.clone(), |source: SourceSpec| source.identity());
        let kind = family.kind.to_owned();
        Self { identity, url, kind, name, works, found_us: 0, seen_us: 0, capabilities }
    }

    /// Whether it is a drone's.
    pub fn is_skydio(&self) -> bool {
        self.kind.starts_with("skydio")
    }
}

impl Capabilities {
    /// Of a stream at `url`.
    pub(super) fn of(family: &Family, url: &Url, codec: String, metadata: Map<String, Value>) -> Self {
        let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
        let path = hide_pairs(&format!("{}{query}", url.path()));
        Self {
            protocol: url.scheme().to_owned(),
            format: family.format.into(),
            source: family.source.into(),
            stream_type: family.stream_type(&path).into(),
            port: rtsp_port(url),
            path,
            codec,
            metadata,
        }
    }
}

/// Every stream that searches found, by identity.
#[derive(Debug, Default)]
pub(super) struct Catalogue(BTreeMap<String, Stream>);

impl Catalogue {
    /// Takes what a search found at `now_us`; answers with the same, first seen when it really was.
    pub(super) fn note(&mut self, streams: Vec<Stream>, now_us: i64) -> Vec<Stream> {
        let mut noted = Vec::new();
        for mut stream in streams {
            let known = self.0.get(&stream.identity);
            stream.found_us = known.map_or(now_us, |known| known.found_us);
            stream.seen_us = now_us;
            self.0.insert(stream.identity.clone(), stream.clone());
            noted.push(stream);
        }
        while self.0.len() > MOST {
            let oldest = self.0.iter().min_by_key(|(_, s)| s.seen_us).map(|(identity, _)| identity.clone());
            oldest.map(|identity| self.0.remove(&identity));
        }
        noted
    }

    pub(super) fn all(&self) -> Vec<Stream> {
        self.0.values().cloned().collect()
    }
}
