//! The file MediaMTX starts from: JSON, which is YAML, so that no string needs a quoting rule of ours.
//!
//! It is written whole (temporary file, rename) and only while MediaMTX is stopped: MediaMTX watches
//! it, reads it 10 ms after a change, ends on a mistake and forgets everything set by the API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::path::PathSpec;
use super::{Listens, certificate};
use crate::base::Secret;
use crate::durable::publish;

/// Name of the generated file in the run directory.
pub(super) const FILE_NAME: &str = "mediamtx.yml";

/// The whole configuration. `webrtc_hosts` are names and addresses of this box that its network cards
/// do not know of; `callback` is the URL of our listener; in `folder` the file will be.
pub(super) fn generate(
    listens: &Listens,
    webrtc_hosts: &[String],
    callback: &Secret,
    segment_duration: Duration,
    paths: &BTreeMap<String, (PathSpec, u32)>,
    folder: &Path,
) -> String {
    let loopback = json!(["127.0.0.1/32", "::1/128"]);
    let paths: Map<String, Value> =
        paths.iter().map(|(name, (spec, bump))| (name.clone(), spec.to_json(*bump))).collect();
    let mut all = json!({
        "logLevel": "info",
        "logDestinations": ["stdout"],
        "logStructured": true,

        "authMethod": "http",
        "authHTTPAddress": callback.expose(),
        "authHTTPExclude": [],

        "api": true,
        "apiAddress": address(listens.api),
        "apiAllowOrigins": [],

        "rtsp": true,
        // UDP would need a port range opened to viewers and loses packets on a busy network.
        "rtspTransports": ["tcp"],
        // Our own encoders and readers on loopback need none.
        "rtspEncryption": if listens.rtsps.is_some() { "optional" } else { "no" },
        // MediaMTX takes 10 bytes off for SRTP then; FFmpeg's packets are to fit as before.
        "udpMaxPayloadSize": if listens.rtsps.is_some() { 1462 } else { 1452 },
        "rtspAddress": address(listens.rtsp),
        // Digest would need the password in clear on our side of the callback.
        "rtspAuthMethods": ["basic"],

        "hls": true,
        "hlsAddress": address(listens.hls),
        "hlsAllowOrigins": [],
        // Our own port is in front; without this every viewer would seem to be 127.0.0.1.
        "hlsTrustedProxies": loopback,
        // At the least; a segment ends at a keyframe, so ours are a second long all the same. Nothing is
        // sent before the first one is whole. Shorter ones would be rounded to a target duration of 0,
        // and seven of them are less than a player wants that takes whole segments.
        "hlsSegmentDuration": "500ms",

        "webrtc": true,
        "webrtcAddress": address(listens.webrtc),
        "webrtcAllowOrigins": [],
        "webrtcTrustedProxies": loopback,
        "webrtcLocalUDPAddress": address(listens.webrtc_udp),
        // For viewers whose network lets no UDP through.
        "webrtcLocalTCPAddress": address(listens.webrtc_udp),
        // The box's own addresses suffice: there is no internet to ask a STUN server in.
        "webrtcICEServers2": [],
        "webrtcAdditionalHosts": webrtc_hosts,

        "rtmp": false,
        "srt": false,
        "moq": false,
        "playback": false,
        "metrics": false,
        "pprof": false,

        "pathDefaults": {
            "recordFormat": "fmp4",
            "recordPartDuration": "500ms",
            "recordSegmentDuration": format!("{}ms", segment_duration.as_millis()),
            // Never: MediaMTX deletes by the time in file names, which one clock step makes wrong.
            "recordDeleteAfter": "0s",
        },
        "paths": paths,
    });
    if let Some(rtsps) = listens.rtsps {
        all["rtspsAddress"] = address(rtsps).into();
        all["rtspServerCert"] = folder.join(certificate::FILE_NAME).to_string_lossy().into();
        all["rtspServerKey"] = all["rtspServerCert"].clone();
    }
    let mut text = serde_json::to_string_pretty(&all).expect("maps with string keys serialise");
    text.push('\n');
    text
}

/// Go's way to say "all interfaces, IPv4 and IPv6" is an empty host.
fn address(a: SocketAddr) -> String {
    if a.is_ipv6() && a.ip().is_unspecified() { format!(":{}", a.port()) } else { a.to_string() }
}

/// Writes the file, readable by us alone. Never synced: it is made anew before each start.
pub(super) fn write(run_dir: &Path, text: &str) -> std::io::Result<()> {
    publish(&run_dir.join(FILE_NAME), text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mediamtx::PathSource;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    fn listens() -> Listens {
        let at = |s: &str| s.parse().unwrap();
        Listens {
            rtsp: at("[::]:8554"),
            rtsps: None,
            hls: at("127.0.0.1:8888"),
            webrtc: at("127.0.0.1:8889"),
            webrtc_udp: at("[::]:8189"),
            api: at("127.0.0.1:9997"),
        }
    }

    fn with_path(url: &str, folder: &str) -> Value {
        let spec = PathSpec {
            name: "camera0".into(),
            source: PathSource::Pull { url: Secret::new(url) },
            record: Some(folder.into()),
        };
        let paths = BTreeMap::from([("camera0".to_owned(), (spec, 0))]);
        let text = generate(
            &listens(),
            &["box.example".into()],
            &Secret::new("http://x/y"),
            Duration::from_secs(900),
            &paths,
            Path::new("/run/x"),
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn only_what_we_use_is_on_and_inner_servers_stay_on_loopback() {
        let all = with_path("rtsp://h/", "/r/camera0/x");
        for off in ["rtmp", "srt", "moq", "playback", "metrics", "pprof"] {
            assert_eq!(all[off], json!(false), "{off}");
        }
        assert_eq!(all["rtspAddress"], ":8554");
        assert_eq!(all["apiAddress"], "127.0.0.1:9997");
        assert_eq!(all["webrtcLocalUDPAddress"], ":8189");
        assert_eq!(all["webrtcLocalTCPAddress"], ":8189");
        assert_eq!(all["webrtcAdditionalHosts"], json!(["box.example"]));
        assert_eq!(all["authHTTPExclude"], json!([]));
        assert_eq!(all["pathDefaults"]["recordSegmentDuration"], "900000ms");
        assert_eq!(all["pathDefaults"]["recordDeleteAfter"], "0s");
    }

    #[test]
    fn the_file_is_private_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "one").unwrap();
        write(dir.path(), "two").unwrap();
        let file = dir.path().join(FILE_NAME);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn no_string_can_leave_its_place(url in "rtsp://[!-~]{1,40}", folder in ".*") {
            let all = with_path(&url, &folder);
            prop_assert_eq!(all["paths"].as_object().unwrap().len(), 1);
            prop_assert_eq!(&all["srt"], &json!(false));
        }
    }
}
