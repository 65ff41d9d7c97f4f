//! A network camera: a MediaMTX of its own with a user and a password, and FFmpeg publishing to it.
//!
//! The box reads it from 127.0.0.2, the publisher feeds it over 127.0.0.1: so the box's packets alone
//! can be dropped. Its pictures carry the same squares as a synthetic camera's. Gone when dropped.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::footage::now_ms;
use super::spawn::spawn;
use super::{ffmpeg, http, mediaserver, wait_for};

/// Whoever knows it may watch the camera; it must not be seen anywhere.
pub const PASSWORD: &str = "kept-to-ourselves-4711";
const USER: &str = "watcher";

/// What a camera sends.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub h265: bool,
    pub audio: bool,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

/// Small, H.264, silent.
pub const H264: Kind = Kind { h265: false, audio: false, width: 320, height: 180, fps: 15 };
/// Small, H.265 with AAC.
pub const H265_AAC: Kind = Kind { h265: true, audio: true, ..H264 };

/// A running camera.
pub struct RtspCamera {
    dir: tempfile::TempDir,
    kind: Kind,
    port: u16,
    api: u16,
    /// Nobody needs a password; further paths, as MediaMTX's file has them.
    open: Option<String>,
    server: Option<Child>,
    publisher: Option<Child>,
}

impl RtspCamera {
    /// Starts one and waits until it delivers.
    #[track_caller]
    pub fn start(kind: Kind) -> RtspCamera {
        Self::begin(kind, None)
    }

    /// One without a password, which serves its stream at `/subject` too, as a drone does.
    #[track_caller]
    pub fn start_open(kind: Kind) -> RtspCamera {
        Self::start_with_paths(kind, "")
    }

    /// As [`RtspCamera::start_open`], with further paths, such as `gone: {source: publisher}`.
    #[track_caller]
    pub fn start_with_paths(kind: Kind, paths: &str) -> RtspCamera {
        Self::begin(kind, Some(paths.to_owned()))
    }

    #[track_caller]
    fn begin(kind: Kind, open: Option<String>) -> RtspCamera {
        let dir = tempfile::Builder::new().prefix("rtsp-camera-").tempdir().unwrap();
        let (port, api) = (free_port(), free_port());
        let mut camera = RtspCamera { dir, kind, port, api, open, server: None, publisher: None };
        std::fs::write(camera.file("mediamtx.yml"), camera.config()).unwrap();
        camera.start_server();
        camera.start_publisher();
        camera
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> String {
        let (port, api) = (self.port, self.api);
        let (reader, paths) = if let Some(more) = &self.open {
            let drone = format!("subject: {{source: 'rtsp://127.0.0.1:{port}/live', sourceOnDemand: yes}}");
            ("any".to_owned(), format!("live: {{}}, {drone}, {more}"))
        } else {
            (format!("{USER}, pass: {PASSWORD}"), "live: {}".to_owned())
        };
        format!(
            "logStructured: yes\n\
             authInternalUsers:\n\
             - {{user: any, ips: [127.0.0.1], permissions: [{{action: publish}}, {{action: api}}]}}\n\
             - {{user: {reader}, permissions: [{{action: read}}]}}\n\
             api: yes\napiAddress: 127.0.0.1:{api}\n\
             rtspAddress: 0.0.0.0:{port}\nrtspTransports: [tcp]\n\
             hls: no\nwebrtc: no\nrtmp: no\nsrt: no\nmoq: no\n\
             paths: {{{paths}}}\n"
        )
    }

    /// Its URL with a password.
    pub fn url(&self, password: &str) -> String {
        format!("rtsp://{USER}:{password}@127.0.0.2:{}/live", self.port)
    }

    /// Its URL without one.
    pub fn open_url(&self) -> String {
        format!("rtsp://{}/live", self.address())
    }

    /// Where the box reaches it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 2], self.port))
    }

    /// A `[[camera]]` section for it; `more` are further lines.
    pub fn section(&self, more: &str) -> String {
        format!("[[camera]]\nsource = \"{}\"\n{more}\n", self.url(PASSWORD))
    }

    /// Starts the camera's server.
    #[track_caller]
    pub fn start_server(&mut self) {
        assert!(self.server.is_none(), "the camera's server runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("log")).unwrap();
        let mut command = Command::new(mediaserver::binary());
        command.arg(self.file("mediamtx.yml")).env_clear().stdin(Stdio::null());
        command.stderr(log.try_clone().unwrap()).stdout(log);
        self.server = Some(spawn(command));
        wait_for("the camera's server answers", || {
            std::net::TcpStream::connect(("127.0.0.1", self.api)).is_ok().then_some(())
        });
    }

    /// Kills the camera's server, as if its power were cut; the publisher goes with it.
    pub fn kill_server(&mut self) {
        end(&mut self.server);
        end(&mut self.publisher);
    }

    /// Starts the publisher; answers with the time at which the camera delivers.
    #[track_caller]
    pub fn start_publisher(&mut self) -> u64 {
        assert!(self.publisher.is_none(), "the camera publishes already");
        let mut command = Command::new("ffmpeg");
        command.args(self.publisher_args()).stdin(Stdio::null()).stdout(Stdio::null());
        self.publisher = Some(spawn(command));
        wait_for("the camera delivers", || (self.state()["online"] == true).then_some(()));
        now_ms()
    }

    fn publisher_args(&self) -> Vec<String> {
        let Kind { fps, .. } = self.kind;
        let url = format!("rtsp://127.0.0.1:{}/live", self.port);
        let mut args = format!("-v error -nostdin -filter_complex {} -map [out]", self.graph());
        if self.kind.audio {
            args.push_str(" -re -f lavfi -i sine=frequency=440:sample_rate=48000 -map 0:a -c:a aac -b:a 64k");
        }
        let codec = if self.kind.h265 {
            format!("libx265 -x265-params log-level=error:keyint={fps}:min-keyint={fps}:scenecut=0:bframes=0")
        } else {
            // A slice for each thread: MediaMTX hands on packets, so a reader that comes in between two
            // would see the lower part of a picture, torn until the next keyframe.
            format!("libx264 -g {fps} -bf 0 -threads 1")
        };
        args.push_str(&format!(" -c:v {codec} -preset ultrafast -tune zerolatency -crf 20 -pkt_size 1300"));
        args.push_str(&format!(" -f rtsp -rtsp_transport tcp {url}"));
        // Options for an input must come before the graph that needs none.
        let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        if let Some(at) = args.iter().position(|a| a == "-re") {
            let input: Vec<_> = args.drain(at..at + 5).collect();
            args.splice(3..3, input);
        }
        args
    }

    /// A test pattern with the squares of `squares.rs`: the strip that carries them has the wall clock
    /// as its timestamps while it is drawn.
    fn graph(&self) -> String {
        let Kind { width, height, fps, .. } = self.kind;
        let bits = "if(Y\\,mod(floor(mod(floor(T*1000)\\,pow(2\\,40))/pow(2\\,39-X))\\,2)\\,\
            if(lt(X\\,2)\\,1-X\\,if(lt(X\\,34)\\,mod(floor(N/pow(2\\,33-X))\\,2)\\,mod(X+1\\,2))))";
        format!(
            "testsrc2=size={width}x{height}:rate={fps},format=yuv420p,realtime=limit=0.5,split[a][b];\
             [b]crop=40:2:0:0,settb=1/1000000,setpts=RTCTIME,geq=lum=255*{bits}:cb=128:cr=128,\
             setpts=N*1000000/{fps},settb=1/{fps},scale={}:{}:flags=neighbor[c];\
             [a][c]overlay=x=0:y=0:format=yuv420[out]",
            width / 40 * 40,
            width / 40 * 2,
        )
    }

    /// Kills the publisher: the camera's server stays and has nothing to send.
    pub fn stop_publisher(&mut self) {
        end(&mut self.publisher);
    }

    /// Freezes the publisher (or lets it go on): the camera is there, silent.
    pub fn freeze_publisher(&self, frozen: bool) {
        let pid = self.publisher.as_ref().expect("the camera publishes").id();
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        kill(Pid::from_raw(pid as i32), signal).unwrap();
    }

    /// What the camera's own server knows of its stream; null while it does not run.
    fn state(&self) -> Value {
        if std::net::TcpStream::connect(("127.0.0.1", self.api)).is_err() {
            return Value::Null;
        }
        http::get(&format!("http://127.0.0.1:{}/v3/paths/get/live", self.api), &[]).json()
    }

    /// How many read it now.
    pub fn readers(&self) -> usize {
        self.state()["readers"].as_array().map_or(0, Vec::len)
    }

    /// When somebody tried to log in with a wrong password, in seconds.
    pub fn failed_logins(&self) -> Vec<f64> {
        let log = std::fs::read_to_string(self.file("log")).unwrap();
        let refused = log.lines().filter(|l| l.contains("failed to authenticate") && l.contains("\"WAR\""));
        let time = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let at: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
            at.as_microsecond() as f64 / 1e6
        };
        refused.map(time).collect()
    }

    /// Drops every packet between box and camera until the answer is dropped; `Err` says why it cannot.
    pub fn cut_network(&self) -> Result<NetworkCut, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("dropping packets needs root".into());
        }
        let rule = |from_camera: bool| {
            let (address, port) = if from_camera { ("-s", "--sport") } else { ("-d", "--dport") };
            format!("INPUT -i lo {address} 127.0.0.2 -p tcp {port} {} -j DROP", self.port)
        };
        let mut cut = NetworkCut { rules: Vec::new() };
        for rule in [rule(true), rule(false)] {
            iptables("-I", &rule)?;
            cut.rules.push(rule);
        }
        Ok(cut)
    }
}

impl Drop for RtspCamera {
    fn drop(&mut self) {
        self.kill_server();
    }
}

/// While it lives, no packet passes between the box and the camera.
pub struct NetworkCut {
    rules: Vec<String>,
}

impl Drop for NetworkCut {
    fn drop(&mut self) {
        for rule in &self.rules {
            if let Err(e) = iptables("-D", rule) {
                eprintln!("{e}");
            }
        }
    }
}

fn iptables(action: &str, rule: &str) -> Result<(), String> {
    let mut command = Command::new("iptables");
    let out = command.args(["-w", action]).args(rule.split(' ')).output();
    let out = out.map_err(|e| format!("iptables: {e}"))?;
    let words = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(format!("iptables {action} {rule}: {}", words.trim())) }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Below the range from which the kernel takes ports for connections: a box that keeps knocking at a
/// camera that is off must not find itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() % 60) as u16 * 200 + step % 200;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Whether this FFmpeg can be such a camera.
pub fn encodes(encoder: &str) -> bool {
    let out = ffmpeg::run("ffmpeg", &["-v", "error", "-encoders"]);
    String::from_utf8_lossy(&out.stdout).contains(encoder)
}
