//! Real FFmpeg as the judge of what the box made.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs a program to its end.
pub fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program} cannot be started: {e}"))
}

/// Options that FFmpeg needs before `-i` for this source.
pub fn input_options(source: &str) -> &'static [&'static str] {
    if source.starts_with("rtsp") { &["-rtsp_transport", "tcp", "-timeout", "10000000"] } else { &[] }
}

/// `ffprobe` of streams and format as JSON; `Err` is what it complained about.
pub fn try_probe(source: &str) -> Result<Value, String> {
    let mut args = vec!["-v", "error", "-of", "json", "-show_streams", "-show_format"];
    args.extend(input_options(source));
    args.push(source);
    let out = run("ffprobe", &args);
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())
}

/// As [`try_probe`], which must work.
#[track_caller]
pub fn probe(source: &str) -> Value {
    try_probe(source).unwrap_or_else(|e| panic!("ffprobe {source}: {e}"))
}

/// The first video stream.
#[track_caller]
pub fn video_stream(source: &str) -> Value {
    let found = probe(source);
    let streams = found["streams"].as_array().cloned().unwrap_or_default();
    let video = streams.into_iter().find(|s| s["codec_type"] == "video");
    video.unwrap_or_else(|| panic!("no video in {source}: {found}"))
}

/// Width and height of the first video stream.
#[track_caller]
pub fn size(source: &str) -> (usize, usize) {
    let video = video_stream(source);
    let number = |key: &str| video[key].as_u64().unwrap_or_else(|| panic!("no {key}: {video}")) as usize;
    (number("width"), number("height"))
}

/// Seconds a file says it lasts.
#[track_caller]
pub fn duration(file: &Path) -> f64 {
    let found = probe(&file.to_string_lossy());
    found["format"]["duration"].as_str().and_then(|d| d.parse().ok()).unwrap_or_else(|| panic!("{found}"))
}

/// Decodes everything, strictly; `Err` is every complaint.
pub fn decode_all(file: &Path) -> Result<(), String> {
    let file = file.to_string_lossy();
    // Without these two FFmpeg rounds times to a constant rate and complains of its own rounding.
    let own_times = ["-fps_mode", "passthrough", "-enc_time_base", "1:90000"];
    let mut args = vec!["-v", "warning", "-xerror", "-i", &file];
    args.extend(own_times);
    args.extend(["-f", "null", "-"]);
    let out = run("ffmpeg", &args);
    let words = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if out.status.success() && words.is_empty() { Ok(()) } else { Err(format!("{}: {words}", out.status)) }
}

/// Width, height and frame count of a JPEG that decodes completely.
#[track_caller]
pub fn jpeg_size(file: &Path) -> (usize, usize) {
    let bytes = std::fs::read(file).unwrap();
    assert!(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]), "not a whole JPEG");
    decode_all(file).unwrap_or_else(|e| panic!("{e}"));
    size(&file.to_string_lossy())
}
