//! The results this tool shows, as far as it reads them. Unknown members are left alone.

use serde::Deserialize;

/// A row of `get_camera_list`.
#[derive(Clone, Debug, Deserialize)]
pub struct Camera {
    pub device: String,
    pub status: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub resolution: String,
    #[serde(default)]
    pub fps: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CameraList {
    pub cameras: Vec<Camera>,
    #[serde(default)]
    pub total: u64,
    #[serde(default)]
    pub connected: u64,
}

/// A row of `list_devices`.
#[derive(Clone, Debug, Deserialize)]
pub struct Device {
    pub device: String,
    pub identity: String,
    pub model: String,
    pub port: String,
    pub pinned: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct DeviceList {
    pub devices: Vec<Device>,
}

/// A row of `list_recordings`.
#[derive(Clone, Debug, Deserialize)]
pub struct File {
    pub filename: String,
    pub file_size: u64,
    pub modified_time: String,
    /// Our addition.
    pub duration: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FileList {
    pub files: Vec<File>,
    pub total: u64,
}

/// `get_recording_info` and `get_snapshot_info`.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    pub filename: String,
    pub file_size: u64,
    #[serde(default)]
    pub duration: u64,
    pub download_url: String,
    /// Our additions.
    pub state: Option<String>,
    pub reason: Option<String>,
    #[serde(default)]
    pub gaps: Vec<Gap>,
    pub end_time: Option<String>,
}

/// Time that was not recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct Gap {
    pub start_time: String,
    pub duration: f64,
    pub cause: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    pub filename: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Started {
    pub filename: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct StreamUrl {
    pub stream_url: String,
    #[serde(default)]
    pub stream_status: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub architecture: String,
    /// Our addition, with TLS on.
    pub tls_fingerprint: Option<String>,
    /// Our addition, where boxes have owners.
    pub claimed: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub status: String,
    #[serde(default)]
    pub uptime: f64,
    #[serde(default)]
    pub components: std::collections::BTreeMap<String, serde_json::Value>,
}
