//! Reads the black and white squares of a synthetic camera back from decoded pictures.
//!
//! The layout is the writer's (room `capture`): cells of a fortieth of the width, two rows of 40.
//! Row 0: white, black, the frame number (32 bits), then 1,0,1,0,1,0. Row 1: capture time, unix
//! milliseconds modulo 2^40.

use std::io::Read;
use std::process::{Command, Stdio};

use super::ffmpeg;

/// What one picture carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Squares {
    /// Number of the frame at its source.
    pub frame: u32,
    /// Capture time, unix milliseconds modulo 2^40.
    pub time_ms: u64,
    /// Presentation time in its file or stream, seconds.
    pub pts: f64,
}

/// Decodes a file or an `rtsp://` URL: at most `limit` pictures, all with 0.
#[track_caller]
pub fn read(source: &str, limit: usize) -> Vec<Squares> {
    try_read(source, limit).unwrap_or_else(|e| panic!("{source}: {e}"))
}

/// As [`read`]; `Err` says why a source could not be read or which picture cannot be made out.
pub fn try_read(source: &str, limit: usize) -> Result<Vec<Squares>, String> {
    pictures(source, limit)?.into_iter().collect()
}

/// As [`read`] for a whole file, without the pictures that cannot be made out: behind a hole those up to
/// the next keyframe are drawn over a picture that is gone.
#[track_caller]
pub fn legible(source: &str) -> Vec<Squares> {
    let all = pictures(source, 0).unwrap_or_else(|e| panic!("{source}: {e}"));
    all.into_iter().filter_map(Result::ok).collect()
}

fn pictures(source: &str, limit: usize) -> Result<Vec<Result<Squares, String>>, String> {
    let probed = ffmpeg::try_probe(source)?;
    let video = probed["streams"].as_array().and_then(|s| s.iter().find(|s| s["codec_type"] == "video"));
    let width = video.and_then(|v| v["width"].as_u64()).ok_or("no video stream")? as usize;
    let cell = width / 40;
    // A stream of which no keyframe came while it was probed has a width of 0.
    if cell == 0 {
        return Err(format!("no cells in a width of {width}"));
    }
    let times = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let filter = format!("format=gray,crop={width}:{}:0:0:exact=1", 2 * cell);
    let limit = limit.to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(ffmpeg::input_options(source)).args(["-i", source]);
    for (format, target) in [("rawvideo", "pipe:1"), ("framecrc", &*times.path().to_string_lossy())] {
        command
            .args(["-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough"])
            .args(["-enc_time_base", "1:90000"]);
        if limit != "0" {
            command.args(["-frames:v", &limit]);
        }
        command.args(["-c:v", "rawvideo", "-f", format, target]);
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    let mut stderr = child.stderr.take().expect("piped");
    let complaints = std::thread::spawn(move || {
        let mut words = String::new();
        let _ = stderr.read_to_string(&mut words);
        words
    });
    let mut pixels = child.stdout.take().expect("piped");
    let mut picture = vec![0u8; width * 2 * cell];
    let mut codes = Vec::new();
    while pixels.read_exact(&mut picture).is_ok() {
        codes.push(decode(&picture, width));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let words = complaints.join().unwrap_or_default();
    if !status.success() {
        return Err(format!("ffmpeg: {status}: {words}"));
    }
    let pts = presentation_times(&std::fs::read_to_string(times.path()).map_err(|e| e.to_string())?)?;
    if pts.len() != codes.len() {
        return Err(format!("{} pictures but {} times", codes.len(), pts.len()));
    }
    let shown = codes.into_iter().zip(pts).enumerate().map(|(n, (code, pts))| {
        let (frame, time_ms) = code.map_err(|e| format!("picture {n}: {e}: {words}"))?;
        Ok(Squares { frame, time_ms, pts })
    });
    Ok(shown.collect())
}

/// Frame number and time of one gray picture of the two top rows.
pub fn decode(picture: &[u8], width: usize) -> Result<(u32, u64), String> {
    let cell = width / 40;
    let bit = |row: usize, column: usize| -> Result<u64, String> {
        // The middle half of a cell: its edges bleed into the neighbours.
        let span = |n: usize| n * cell + cell / 4..n * cell + (3 * cell).div_ceil(4).max(cell / 4 + 1);
        let mut sum = 0usize;
        let mut count = 0;
        for y in span(row) {
            for x in span(column) {
                sum += usize::from(picture[y * width + x]);
                count += 1;
            }
        }
        match sum / count {
            luma if luma >= 160 => Ok(1),
            luma if luma <= 96 => Ok(0),
            luma => Err(format!("cell {row}/{column} is neither black nor white ({luma})")),
        }
    };
    let number = |row: usize, columns: std::ops::Range<usize>| {
        columns.map(|c| bit(row, c)).try_fold(0u64, |n, b| b.map(|b| n << 1 | b))
    };
    if number(0, 0..2)? != 0b10 || number(0, 34..40)? != 0b10_1010 {
        return Err("the marks beside the frame number are missing".into());
    }
    Ok((number(0, 2..34)? as u32, number(1, 0..40)?))
}

/// The times in FFmpeg's `framecrc` output.
fn presentation_times(text: &str) -> Result<Vec<f64>, String> {
    let mut base = None;
    let mut times = Vec::new();
    for line in text.lines() {
        if let Some(fraction) = line.strip_prefix("#tb 0: ") {
            let (n, d) = fraction.split_once('/').ok_or("bad time base")?;
            base = Some((
                n.parse::<f64>().map_err(|e| e.to_string())?,
                d.parse::<f64>().map_err(|e| e.to_string())?,
            ));
        } else if !line.starts_with('#') {
            let pts = line
                .split(',')
                .nth(2)
                .and_then(|p| p.trim().parse::<f64>().ok())
                .ok_or("bad framecrc line")?;
            let (n, d) = base.ok_or("framecrc without a time base")?;
            times.push(pts * n / d);
        }
    }
    Ok(times)
}

/// A hole in a run of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hole {
    pub after: Squares,
    pub before: Squares,
}

impl Hole {
    /// Seconds between the capture of the pictures on both sides.
    pub fn seconds(&self) -> f64 {
        self.before.time_ms.saturating_sub(self.after.time_ms) as f64 / 1000.0
    }
}

/// Every place where a frame number is missing (or repeated, or goes back).
pub fn holes(run: &[Squares]) -> Vec<Hole> {
    let pairs = run.windows(2).filter(|w| w[1].frame != w[0].frame.wrapping_add(1));
    pairs.map(|w| Hole { after: w[0], before: w[1] }).collect()
}

/// How far one picture may stray: it is stamped when it arrives, and a busy machine may hold it up.
const STALL: f64 = 1.0;

/// Asserts that no frame is missing and that the file's times follow the burnt-in ones within
/// `tolerance` seconds over the whole run; answers with the seconds from first to last capture.
#[track_caller]
pub fn assert_gapless(run: &[Squares], tolerance: f64) -> f64 {
    let holes = holes(run);
    assert!(holes.is_empty(), "frames are missing: {holes:?}");
    assert_times_agree(run, tolerance)
}

/// As [`assert_gapless`] for sources that lose frames: only the times must agree.
///
/// Both ends are judged by the median of their third (at most 15 pictures), so that a wrong speed shows
/// and a machine that stood still for the moment of one picture does not.
#[track_caller]
pub fn assert_times_agree(run: &[Squares], tolerance: f64) -> f64 {
    let (first, last) = (run.first().expect("pictures"), run.last().expect("pictures"));
    for w in run.windows(2) {
        assert!(w[1].pts > w[0].pts, "times in the file do not rise: {w:?}");
    }
    let late = |s: &Squares| s.pts - first.pts - (s.time_ms as f64 - first.time_ms as f64) / 1000.0;
    let median = |part: &[Squares]| {
        let mut all: Vec<f64> = part.iter().map(late).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let end = (run.len() / 3).clamp(1, 15);
    let (start, finish) = (median(&run[..end]), median(&run[run.len() - end..]));
    let drift = finish - start;
    assert!(drift.abs() <= tolerance, "plays {drift:+.3} s against its capture from {first:?} to {last:?}");
    for s in run {
        let strayed = late(s) - start;
        assert!(strayed.abs() <= tolerance + STALL, "{s:?} plays {strayed:+.3} s against {first:?}");
    }
    (last.time_ms as f64 - first.time_ms as f64) / 1000.0
}
