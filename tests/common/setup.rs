//! What box a test starts.

use std::path::PathBuf;

use super::mediaserver;
use super::testbox::{Failure, TestBox};

/// What kind of box to start. By default: two synthetic cameras, 640x360 at 30 fps, all ports free ones.
#[derive(Clone)]
pub struct Setup {
    pub(super) toml: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) data: Option<PathBuf>,
    pub(super) prefix: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}

impl Setup {
    /// Two small synthetic cameras.
    pub fn new() -> Setup {
        let mut setup = Setup { toml: String::new(), env: Vec::new(), data: None, prefix: Vec::new() };
        for key in ["SERVER__LISTEN", "HEALTH__LISTEN"] {
            setup = setup.env(key, "127.0.0.1:0");
        }
        for key in ["RTSP_LISTEN", "RTSPS_LISTEN", "HLS_LISTEN", "WEBRTC_LISTEN", "WEBRTC_UDP", "API_LISTEN"]
        {
            setup = setup.env(&format!("MEDIAMTX__{key}"), "127.0.0.1:0");
        }
        setup
            .env("MEDIAMTX__BINARY", &mediaserver::binary().to_string_lossy())
            .env("CAMERAS__RESOLUTION", "640x360")
            // A developer's own camera is left alone.
            .env("CAMERAS__V4L2", "false")
            // Nor is his machine restarted or updated.
            .env("UPDATE__HELPER", "/nonexistent/box.sock")
            .plain_env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("AUTH__RATE_LIMIT_PER_MINUTE", "1000000")
            .cameras(2)
    }

    /// This many synthetic cameras.
    pub fn cameras(self, count: u32) -> Setup {
        self.env("CAMERAS__SYNTHETIC", &count.to_string())
    }

    /// Adds to the configuration file.
    pub fn toml(mut self, text: &str) -> Setup {
        self.toml.push_str(text);
        self.toml.push('\n');
        self
    }

    /// Sets `FIELDCAM_<key>`, which wins over the file; a later value replaces an earlier one.
    pub fn env(mut self, key: &str, value: &str) -> Setup {
        let key = format!("FIELDCAM_{key}");
        self.env.retain(|(k, _)| *k != key);
        self.env.push((key, value.to_owned()));
        self
    }

    /// Sets an environment variable of any name.
    pub fn plain_env(mut self, key: &str, value: &str) -> Setup {
        self.env.retain(|(k, _)| k != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Takes `FIELDCAM_<key>` away, so that the file or the default decides.
    pub fn without(mut self, key: &str) -> Setup {
        self.env.retain(|(k, _)| k.strip_prefix("FIELDCAM_") != Some(key));
        self
    }

    /// Starts the daemon through a program that replaces itself with it.
    pub fn through(mut self, prefix: &[String]) -> Setup {
        self.prefix = prefix.to_vec();
        self
    }

    /// Uses a data directory that exists already; it is left alone at the end.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Setup {
        self.data = Some(path.into());
        self
    }

    /// Starts the box and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> TestBox {
        self.try_start().unwrap_or_else(|f| panic!("the box did not start ({}):\n{}", f.status, f.output))
    }

    /// As [`Setup::start`]; `Err` when the daemon ends instead of becoming ready.
    pub fn try_start(self) -> Result<TestBox, Failure> {
        TestBox::of(self)
    }
}
