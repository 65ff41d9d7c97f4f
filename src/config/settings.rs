//! The settings, and for each key the one line that makes it: name, type, default, rule, meaning.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::encoder::VideoEncoder;
use super::format::CameraFormat;
use super::host_entry::{HostEntry, host_entries};
use super::key::{Key, Preset, Scope};
use super::resolution::Resolution;
use super::rule::{
    Fault, Rule, Shape, Show, address, duration, file, folder, hosts, line, one_of, optional, origins,
    parsed, percent, positive, program, secret, switch, unknown, whole, wrong_type,
};
use super::source::{self, SourceSpec};
use crate::base::{CameraId, Secret};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A section's struct, its rows in the table of keys, and the function that reads it. A row that
/// ends in `live` takes effect on reload, one without needs a restart.
macro_rules! section {
    ($(#[$doc:meta])* $name:literal => $type:ident {
        $( $key:ident: $t:ty = $default:expr, $rule:expr, $about:literal $(, $live:ident)?; )*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type {
            $( #[doc = $about] pub $key: $t, )*
        }

        impl $type {
            pub(super) fn keys() -> Vec<Key> {
                vec![ $(
                    Key::new($name, stringify!($key), Preset::from($default), $rule, $about)
                        .live(section!(@live $($live)?))
                ),* ]
            }

            /// Names of the keys whose values differ.
            pub fn differing(&self, other: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $( if self.$key != other.$key { names.push(stringify!($key)); } )*
                names
            }

            /// Takes the keys that a reload puts into force.
            #[allow(clippy::allow_attributes, unused_variables, reason = "sections without a live key")]
            pub fn take_live(&mut self, new: &Self) {
                $( section!(@take $($live)? self, new, $key); )*
            }

            /// Reads every key, so that every mistake is found, before giving up.
            pub(super) fn read(scope: &mut Scope<'_>) -> Option<Self> {
                $( let $key = scope.take::<$t>(stringify!($key), &$rule, $about); )*
                Some(Self { $( $key: $key?, )* })
            }
        }
    };
    (@take live $old:ident, $new:ident, $key:ident) => { $old.$key = $new.$key.clone(); };
    (@take $old:ident, $new:ident, $key:ident) => {};
    (@live live) => { true };
    (@live) => { false };
}

section! {
    /// `[server]`: the API, files and streams' port.
    "server" => Server {
        listen: SocketAddr = "0.0.0.0:8002", address(),
            "Address of the API (WebSocket, files, live view)";
        max_connections: u32 = 1000_i64, whole(1, 100_000),
            "Connections served at a time; a few more wait, the others are refused";
        max_connections_per_address: Option<u32> = Preset::Absent, optional(whole(1, 100_000)),
            "Connections from one address at a time, the box itself excepted; when not set, three quarters of max_connections";
        idle_timeout: Duration = "300s", duration(SECOND, DAY, false),
            "A connection that answers no WebSocket ping for this long is closed";
        allowed_origins: Vec<String> = no_items(), origins(),
            "Web pages of other origins that may use the API from a browser";
        tls: String = "off", one_of(&["off", "auto", "files"]),
            "Speaks TLS on the same port as well, with a certificate that the box makes for itself or with that of tls_cert and tls_key";
        tls_cert: Option<PathBuf> = Preset::Absent, optional(file()),
            "With tls = \"files\": the certificate and those that signed it (PEM); read again on reload", live;
        tls_key: Option<PathBuf> = Preset::Absent, optional(file()),
            "With tls = \"files\": the certificate's key (PEM, without a passphrase); read again on reload", live;
        allow_plain: bool = false, switch(),
            "With TLS on: takes log-ins, tokens and links without TLS from other machines too";
    }
}

section! {
    /// `[health]`: the port that tells whether the box works.
    "health" => Health {
        listen: SocketAddr = "0.0.0.0:8003", address(),
            "Address of the health pages";
    }
}

section! {
    /// `[auth]`: who may call.
    "auth" => Auth {
        jwt_secret: Option<Secret> = Preset::Absent, optional(secret(32)),
            "Signs log-ins; when not set, a random one is made at first start and kept below storage.data_dir";
        claim: bool = false, switch(),
            "Lets nobody in until somebody has claimed the box with the code that it shows (`fieldcam ctl claim`)";
        rate_limit_per_minute: u32 = 1200_i64, whole(1, 1_000_000_000),
            "Calls a minute that one user may make over all of their connections, and messages that one address may send before it has logged in";
    }
}

section! {
    /// `[storage]`: where data is kept, and when the disk counts as full.
    "storage" => Storage {
        data_dir: PathBuf = "/data/fieldcam", folder(),
            "Folder of recordings, snapshots, database and secrets; a Linux file system on this box";
        warn_percent: f64 = 70.0, percent(),
            "Share of the disk in use from which the box warns";
        refuse_percent: f64 = 85.0, percent(),
            "Share of the disk in use from which no new recording is started";
        retention: String = "manual", one_of(&["manual", "age", "size"]),
            "What deletes old footage by itself: nothing, its age, or the size of all of it", live;
        retention_enabled: bool = true, switch(),
            "Switches what deletes by itself off without forgetting it", live;
        retention_max_age_days: Option<f64> = Preset::Absent, optional(positive()),
            "With \"age\": recordings and snapshots older than this are deleted", live;
        retention_max_size_gb: Option<f64> = Preset::Absent, optional(positive()),
            "With \"size\": the oldest recordings are deleted when all have more than this (10^9 bytes)", live;
        retention_camera_max_size_gb: Option<f64> = Preset::Absent, optional(positive()),
            "With \"size\": the same for the recordings of each camera", live;
        retention_floor_percent: Option<f64> = Preset::Absent, optional(percent()),
            "Share of the disk in use from which the oldest recordings are deleted so that recording goes on", live;
    }
}

section! {
    /// `[cameras]`: what holds for every camera that does not say otherwise.
    "cameras" => Cameras {
        synthetic: Synthetic = "auto", synthetic(),
            "Number of test cameras; \"auto\" is two when there is no other camera", live;
        v4l2: bool = true, switch(),
            "Every camera that is plugged in is taken; when not, those with a section of their own", live;
        resolution: Resolution = "1280x720", parsed(Resolution::EXPECTS, str::parse::<Resolution>),
            "Picture size", live;
        fps: u32 = 30_i64, whole(1, 120),
            "Pictures a second", live;
        encoder: VideoEncoder = VideoEncoder::Auto.name(), VideoEncoder::rule(),
            "Video encoder; \"auto\" is the best that works on this box", live;
        keep_warm: bool = false, switch(),
            "Keeps the encoder running when nobody watches, so that a stream starts at once", live;
    }
}

section! {
    /// One `[[camera]]`, with what it does not say filled in from `[cameras]`.
    "camera" => CameraSection {
        source: SourceSpec = Preset::Absent,
            Rule::text(Shape::Text, source::EXPECTS, str::parse::<SourceSpec>).shown(Show::Source),
            "Where the pictures come from", live;
        id: Option<CameraId> = Preset::Absent, optional(camera_id()),
            "Id to give it when it is first seen; when not set, the next free one", live;
        name: Option<String> = Preset::Absent, optional(line(1, 64)),
            "Name for people", live;
        resolution: Resolution = Preset::Inherited, parsed(Resolution::EXPECTS, str::parse::<Resolution>),
            "Picture size (test and plugged-in cameras)", live;
        fps: u32 = Preset::Inherited, whole(1, 120),
            "Pictures a second (test and plugged-in cameras)", live;
        encoder: VideoEncoder = Preset::Inherited, VideoEncoder::rule(),
            "Video encoder (test and plugged-in cameras)", live;
        format: CameraFormat = "auto", CameraFormat::rule(),
            "Format that the camera is to deliver; \"auto\" is what serves best (plugged-in cameras)", live;
        keep_warm: bool = Preset::Inherited, switch(),
            "Keeps the encoder running when nobody watches (test and plugged-in cameras)", live;
        audio: bool = false, switch(),
            "Takes the camera's sound too (network cameras)", live;
    }
}

section! {
    /// `[recording]`.
    "recording" => Recording {
        segment_duration: Duration = "15m", duration(SECOND, DAY, false),
            "Length of one file of a recording";
        sync_interval: Duration = "500ms", duration(Duration::from_millis(50), SECOND.saturating_mul(10), true),
            "How often open files are forced to the disk; what is newer is lost in a power cut";
        format: String = "fmp4", one_of(&["fmp4", "mp4"]),
            "Format that a recording is started with when the caller names none; the files are the same";
    }
}

section! {
    /// `[mediamtx]`: the media server that Fieldcam starts.
    "mediamtx" => MediaMtx {
        binary: PathBuf = "mediamtx", program(),
            "MediaMTX's program";
        rtsp_listen: SocketAddr = ":8554", address(),
            "Address of RTSP; with server.tls on and server.allow_plain off, this box itself alone is served there";
        rtsps_listen: SocketAddr = ":8322", address(),
            "Address of RTSP over TLS, with server.tls on";
        hls_listen: SocketAddr = "127.0.0.1:8888", address(),
            "Address of HLS, for Fieldcam itself";
        webrtc_listen: SocketAddr = "127.0.0.1:8889", address(),
            "Address of WebRTC's set-up, for Fieldcam itself";
        webrtc_udp: SocketAddr = ":8189", address(),
            "Address of WebRTC's media, over UDP and, where a network lets none through, over TCP";
        webrtc_hosts: Vec<String> = no_items(), hosts(),
            "Names or addresses by which WebRTC viewers reach the box besides its own, such as its router's";
        api_listen: SocketAddr = "127.0.0.1:9997", address(),
            "Address of MediaMTX's control API, for Fieldcam itself";
    }
}

section! {
    /// `[ffmpeg]`.
    "ffmpeg" => Ffmpeg {
        binary: PathBuf = "ffmpeg", program(),
            "FFmpeg's program";
    }
}

section! {
    /// `[discovery]`: streams on the network, found or added over the API.
    "discovery" => Discovery {
        external_enabled: bool = false, switch(),
            "Lets the API look for network streams and make them cameras", live;
        interval: Duration = "0", duration(Duration::from_secs(10), DAY.saturating_mul(365), true),
            "How often the box looks for streams by itself", live;
        allowed_hosts: Vec<HostEntry> = no_items(), host_entries(),
            "Hosts that are looked at and that the API may add; when empty, any host may be added but the box itself, loopback and metadata services, which have to be named", live;
    }
}

section! {
    /// `[update]`: new versions of the box's system.
    "update" => Update {
        commit_deadline: Duration = "300s", duration(SECOND, DAY, false),
            "How long a new version may take until the box answers and its cameras are live again; then it goes back";
        helper: PathBuf = "/run/fieldcam/box.sock", file(),
            "Socket of what may restart the box and mark a version as good";
        boot_facts: PathBuf = "/run/fieldcam-boot", folder(),
            "Folder in which the start of the system says which slot runs and whether the data is only for now";
    }
}

section! {
    /// `[log]`.
    "log" => Log {
        level: String = "info", level(),
            "What is logged", live;
        target: String = "auto", one_of(&["auto", "journald", "console"]),
            "Where the log goes; \"auto\" is journald when systemd started the program, else the console";
    }
}

/// The sections that are no list, in the order they are shown.
macro_rules! settings {
    ($( $section:ident: $type:ident, $about:literal; )*) => {
        /// Every setting, checked. Only [`super::load`] makes one.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $( #[doc = $about] pub $section: $type, )*
            /// `[[camera]]`, those of all files.
            pub camera: Vec<CameraSection>,
            /// Keeps other rooms from making one that nobody checked.
            _checked: Checked,
        }

        #[derive(Clone, Copy, Debug, PartialEq)]
        struct Checked;

        /// Names of the sections that are no list.
        pub(super) const SECTIONS: &[&str] = &[ $( stringify!($section) ),* ];

        /// The table of keys, in the order it is shown.
        pub fn keys() -> Vec<Key> {
            let mut keys = CameraSection::keys();
            $( keys.extend($type::keys()); )*
            keys
        }

        impl Settings {
            /// Takes from `new` what a reload puts into force.
            pub fn take_live(&mut self, new: &Self) {
                $( self.$section.take_live(&new.$section); )*
                self.camera = new.camera.clone();
            }

            /// Path of each key whose value differs from that in `other`, cameras left out.
            pub fn differing(&self, other: &Self) -> Vec<String> {
                let mut paths = Vec::new();
                $( paths.extend(
                    self.$section.differing(&other.$section).into_iter()
                        .map(|key| format!("{}.{key}", stringify!($section))),
                ); )*
                paths
            }

            /// Reads every section; `scoped` lends each its values.
            pub(super) fn read(
                camera: Vec<Option<CameraSection>>,
                mut scoped: impl FnMut(&'static str, &mut dyn FnMut(&mut Scope<'_>)),
            ) -> Option<Self> {
                $(
                    let mut $section = None;
                    scoped(stringify!($section), &mut |scope| $section = $type::read(scope));
                )*
                let camera = camera.into_iter().collect::<Option<Vec<_>>>();
                Some(Self { $( $section: $section?, )* camera: camera?, _checked: Checked })
            }
        }
    };
}

settings! {
    server: Server, "The API.";
    health: Health, "The health pages.";
    auth: Auth, "Who may call.";
    storage: Storage, "Where data is kept.";
    cameras: Cameras, "What holds for every camera.";
    recording: Recording, "Recording.";
    mediamtx: MediaMtx, "The media server.";
    ffmpeg: Ffmpeg, "FFmpeg.";
    discovery: Discovery, "Streams on the network.";
    update: Update, "New versions of the system.";
    log: Log, "The log.";
}

fn no_items() -> Vec<&'static str> {
    Vec::new()
}

/// How many synthetic cameras there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synthetic {
    /// Two when there is no other camera.
    Auto,
    /// As many.
    Count(u32),
}

fn synthetic() -> Rule<Synthetic> {
    let count = whole(0, 16);
    let wanted = "\"auto\" or a whole number from 0 to 16";
    Rule::new(Shape::Toml, wanted, move |value| match value.as_str() {
        Some("auto") => Ok(Synthetic::Auto),
        Some(text) => Err(Fault::new(unknown(text, &["auto"]), format!("write {wanted}"))),
        None if value.to_num_lossy().is_none() => Err(wrong_type(value, wanted)),
        None => count
            .read(Some(value))
            .map(Synthetic::Count)
            .map_err(|fault| Fault::new(fault.what, format!("write {wanted}"))),
    })
}

fn camera_id() -> Rule<CameraId> {
    parsed("an id in quotes such as \"camera3\"", |text| {
        text.parse::<CameraId>().map_err(|_| format!("is {text:?}, which is no camera id"))
    })
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, and levels by module. Checked here word by word: tracing-subscriber takes any bare word
/// as the name of a module, so that a mistyped level would switch the log off, and its 0.3.23 panics
/// on some text that is not ASCII.
fn level() -> Rule<String> {
    let wanted =
        "off, error, warn, info, debug or trace in quotes, also by module: \"info,fieldcam::rpc=debug\"";
    parsed(wanted, |text| {
        let is_module = |m: &str| {
            !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':'))
        };
        for directive in text.split(',') {
            let (module, level) = directive.split_once('=').map_or((None, directive), |(m, l)| (Some(m), l));
            if !LEVELS.contains(&level) {
                return Err(unknown(level, &LEVELS));
            }
            if let Some(module) = module.filter(|m| !is_module(m)) {
                return Err(format!("names {module:?}, which is no module"));
            }
        }
        Ok(text.to_owned())
    })
}
