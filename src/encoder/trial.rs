//! Tries each encoder once on this box: its name says nothing, and neither does a device that is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::base::Result;
use crate::config::H264Encoder;
use crate::supervise::{Child, ChildSpec, Group, Program, Spawner, Stdio};
use crate::v4l2::{Role, role_at};

use super::select::{Trial, Trials};

/// A second of video; whoever needs longer than this for it is of no use live.
const LIMIT: Duration = Duration::from_secs(10);
/// Pictures that go in.
const PICTURES: usize = 30;
/// Of which so many come out: an encoder may hold some back at the end.
const ENOUGH: usize = PICTURES / 2;
/// More than a second of 720p ever has.
const MOST: u64 = 8 << 20;
/// Of what FFmpeg says when it fails.
const WORDS: u64 = 4 << 10;

/// What was tried, as far as it is known. Clones are the same.
#[derive(Clone, Debug)]
pub struct Encoders(watch::Receiver<Arc<Trials>>);

impl Encoders {
    /// Tries them in the background, when there is something to try and FFmpeg is there. Libx264 is not tried: it
    /// is what remains.
    pub fn try_out(ffmpeg: Program, spawner: Spawner, group: &Group) -> Self {
        let (sender, results) = watch::channel(Arc::new(without_hardware(Path::new("/dev"))));
        let stop = group.stop().clone();
        group.spawn("encoder trials", async move {
            stop.run_until_cancelled(run(ffmpeg, spawner, sender)).await;
        });
        Self(results)
    }

    /// What is known so far. Never waits.
    pub fn trials(&self) -> Arc<Trials> {
        self.0.borrow().clone()
    }
}

/// The encoders that cannot work for want of a device, by what stands in `dev`: nothing has to be started to know.
fn without_hardware(dev: &Path) -> Trials {
    let has = |start: &str| {
        let names = std::fs::read_dir(dev).into_iter().flatten().flatten();
        names.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(start))
    };
    let mut known = BTreeMap::new();
    if !has("video") {
        known.insert(H264Encoder::V4l2M2m, Err("there is no V4L2 device".to_owned()));
    }
    if !has("nvmap") {
        known.insert(H264Encoder::Nvmpi, Err("this is no Jetson".to_owned()));
    }
    Trials(known)
}

async fn run(mut ffmpeg: Program, spawner: Spawner, results: watch::Sender<Arc<Trials>>) {
    let mut known = Trials::clone(&results.borrow());
    if !known.0.contains_key(&H264Encoder::V4l2M2m) && !has_codec(Path::new("/dev")).await {
        // FFmpeg would open every camera to look for one.
        known.0.insert(H264Encoder::V4l2M2m, Err("no V4L2 device is a codec".into()));
        results.send_replace(Arc::new(known.clone()));
    }
    let open = |known: &Trials| {
        H264Encoder::BEST_FIRST
            .into_iter()
            .filter(|e| *e != H264Encoder::Libx264 && !known.0.contains_key(e))
            .collect::<Vec<_>>()
    };
    if open(&known).is_empty() {
        return;
    }
    while !ffmpeg.is_there() {
        ffmpeg.changed().await;
    }
    for encoder in open(&known) {
        let trial = try_one(encoder, ffmpeg.path(), &spawner).await;
        match &trial {
            Ok(()) => tracing::info!("the encoder {} works on this box", encoder.name()),
            Err(why) => tracing::info!(why, "the encoder {} does not work on this box", encoder.name()),
        }
        known.0.insert(encoder, trial);
        results.send_replace(Arc::new(known.clone()));
    }
}

/// Whether one of the nodes takes pictures and gives them back changed, as its driver says.
async fn has_codec(dev: &'static Path) -> bool {
    let look = move || {
        let nodes = std::fs::read_dir(dev).into_iter().flatten().flatten();
        let mut videos = nodes.filter(|node| node.file_name().to_string_lossy().starts_with("video"));
        videos.any(|node| role_at(&node.path()).is_ok_and(|role| role == Role::Codec))
    };
    // A driver may take its time.
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

async fn try_one(encoder: H264Encoder, ffmpeg: &Path, spawner: &Spawner) -> Trial {
    let mut spec = ChildSpec::new(format!("trial of {}", encoder.name()), ffmpeg).args(args(encoder));
    (spec.stdout, spec.stderr) = (Stdio::Pipe, Stdio::Pipe);
    let heard = async {
        let mut child = spawner.spawn(spec).await?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (video, words) = tokio::join!(read(stdout, MOST), read(stderr, WORDS));
        Result::<(Child, Vec<u8>, Vec<u8>)>::Ok((child, video, words))
    };
    match tokio::time::timeout(LIMIT, heard).await {
        Err(_) => Err(format!("a second of video takes it longer than {} s", LIMIT.as_secs())),
        Ok(Err(error)) => Err(error.message().to_owned()),
        // What it writes tells, not how it ends: some complain while they close.
        Ok(Ok((_child, video, words))) => judge(&video, &String::from_utf8_lossy(&words)),
    }
}

/// A second of a moving picture as a bare H.264 stream.
fn args(encoder: H264Encoder) -> Vec<String> {
    let fixed = format!(
        "-hide_banner -nostdin -loglevel error -f lavfi -i testsrc2=size=1280x720:rate=30 -frames:v {PICTURES} \
         -pix_fmt yuv420p -c:v {} -b:v 2M -g 15 -bf 0 -f h264 pipe:1",
        encoder.name()
    );
    fixed.split_whitespace().map(str::to_owned).collect()
}

async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What came before a fault is what there is.
        let _ = stream.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

/// Whether that is H.264 that somebody can play (ITU-T H.264, 7.3.1 and Annex B), else FFmpeg's first words.
fn judge(video: &[u8], words: &str) -> Trial {
    /// Types of NAL units.
    const SLICE: u8 = 1;
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    const PPS: u8 = 8;
    let (mut seen, mut pictures) = ([false; 32], 0);
    let starts = video.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]);
    for (at, _) in starts {
        let Some(head) = video.get(at + 3) else { break };
        let kind = head & 0x1f;
        seen[usize::from(kind)] = true;
        // The first slice of a picture begins with first_mb_in_slice = 0, one set bit.
        if [SLICE, IDR].contains(&kind) && video.get(at + 4).is_some_and(|b| b & 0x80 != 0) {
            pictures += 1;
        }
    }
    if [SPS, PPS, IDR].iter().all(|kind| seen[usize::from(*kind)]) && pictures >= ENOUGH {
        return Ok(());
    }
    if words.contains("Unknown encoder") {
        return Err("FFmpeg is built without it".into());
    }
    // Its complaints name the program's part and an address: `[h264_v4l2m2m @ 0x55…] Could not find…`.
    let said = words.lines().find_map(|line| {
        let plain = line.rsplit(']').next().unwrap_or(line).trim();
        (!plain.is_empty()).then(|| crate::log::scrub(plain).chars().take(120).collect::<String>())
    });
    match said {
        Some(said) => Err(format!("it fails: {said}")),
        None => Err(format!("it made {pictures} of {PICTURES} pictures")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervise::Phases;

    #[test]
    fn ffmpegs_words_become_a_reason_without_addresses() {
        let unknown =
            "[vost#0:0 @ 0x1] Unknown encoder 'h264_nvmpi'\n[vost#0:0 @ 0x1] Error selecting an encoder\n";
        assert_eq!(judge(&[], unknown), Err("FFmpeg is built without it".into()));
        let none = "[h264_v4l2m2m @ 0x55aa] Could not find a valid device\n[h264_v4l2m2m @ 0x55aa] can't configure encoder\n";
        assert_eq!(judge(&[], none), Err("it fails: Could not find a valid device".into()));
        assert_eq!(judge(&[0, 0, 1, 0x65, 0x80], ""), Err("it made 1 of 30 pictures".into()));
    }

    #[test]
    fn without_its_device_nothing_is_tried() {
        let dev = tempfile::tempdir().unwrap();
        assert_eq!(without_hardware(dev.path()).0.len(), 2);
        std::fs::write(dev.path().join("video11"), "").unwrap();
        let known = without_hardware(dev.path()).0;
        assert_eq!(known.keys().copied().collect::<Vec<_>>(), [H264Encoder::Nvmpi]);
    }

    /// FFmpeg itself, with the one encoder that every machine has, and one that a machine without devices has not.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_encoder_that_works_is_told_from_one_that_does_not() {
        let mut phases = Phases::default();
        let _group = phases.add("test");
        let spawner = Spawner::start().unwrap();
        let ffmpeg = Path::new("ffmpeg");
        assert_eq!(try_one(H264Encoder::Libx264, ffmpeg, &spawner).await, Ok(()));
        let nvmpi = try_one(H264Encoder::Nvmpi, ffmpeg, &spawner).await;
        assert_eq!(nvmpi, Err("FFmpeg is built without it".into()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(video in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..400), words in ".{0,80}") {
            let _ = judge(&video, &words);
        }
    }
}
