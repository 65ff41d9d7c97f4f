//! A MediaMTX without a daemon: the other end of an encoder, or a network camera.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::turn::{self, Turn};

/// The pinned MediaMTX.
#[track_caller]
pub fn binary() -> PathBuf {
    let binary = std::env::var_os("FIELDCAM_TEST_MEDIAMTX").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mediamtx/v1.20.1/amd64/mediamtx"),
        PathBuf::from,
    );
    assert!(binary.exists(), "no MediaMTX; scripts/get-mediamtx gets it");
    binary
}

/// A MediaMTX whose paths are open to all and recorded.
pub struct Server {
    pub child: Child,
    dir: tempfile::TempDir,
    rtsp: u16,
    _turn: Turn,
}

impl Server {
    pub fn start(paths: &[&str]) -> Server {
        let turn = turn::take();
        let dir = tempfile::tempdir().unwrap();
        let rtsp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.path().join("mediamtx.yml");
        let records = dir.path().join("%path/%Y-%m-%d_%H-%M-%S-%f");
        let mut text = format!(
            "logLevel: warn\nrtspAddress: 127.0.0.1:{rtsp}\nrtspTransports: [tcp]\nrtmp: no\nhls: no\n\
             webrtc: no\nsrt: no\nmoq: no\npathDefaults:\n  record: yes\n  recordPath: {}\n  \
             recordPartDuration: 500ms\npaths:\n",
            records.display()
        );
        for path in paths {
            text.push_str(&format!("  {path}:\n"));
        }
        std::fs::write(&config, text).unwrap();
        let child = Command::new(binary()).arg(&config).stdout(Stdio::null()).spawn().unwrap();
        super::wait_for("MediaMTX listens", || TcpStream::connect(("127.0.0.1", rtsp)).ok());
        Server { child, dir, rtsp, _turn: turn }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.rtsp)
    }

    /// Whether somebody publishes `path`.
    pub fn is_online(&self, path: &str) -> bool {
        let mut socket = TcpStream::connect(("127.0.0.1", self.rtsp)).unwrap();
        write!(socket, "DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", self.url(path)).unwrap();
        let mut reply = [0; 12];
        socket.read_exact(&mut reply).is_ok() && &reply == b"RTSP/1.0 200"
    }

    /// Ends MediaMTX cleanly and answers with the one file it made for `path`.
    pub fn recorded(mut self, path: &str) -> (PathBuf, tempfile::TempDir) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
        let files: Vec<_> = std::fs::read_dir(self.dir.path().join(path))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (files[0].clone(), dir)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
