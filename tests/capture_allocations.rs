//! No allocation per frame: from FFmpeg's bytes through pool, fan-out and consumers to the bytes
//! before each frame at the encoder.
#![allow(clippy::unwrap_used, reason = "see common")]

use std::sync::atomic::Ordering;

use fieldcam::base::Mono;
use fieldcam::capture::{Fanout, Frame, FrameFormat, FramePool, MpjpegParser};
use fieldcam::config::H264Encoder;
use fieldcam::encoder::EncodePlan;

#[path = "common/counting.rs"]
mod counting;

use counting::{CALLS, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn frames_cost_no_allocation_once_the_pool_is_warm() {
    let size = 50_000;
    let mut part = b"Content-type: image/jpeg\r\nContent-length: 50000\r\n\r\n".to_vec();
    let body = part.len();
    part.resize(body + size, 7);
    part[body..body + 3].copy_from_slice(&[0xff, 0xd8, 0xff]);
    part[body + size - 2..].copy_from_slice(&[0xff, 0xd9]);
    part.extend(b"\r\n--ffmpeg\r\n");

    let fanout = Fanout::new();
    let mut encoder = fanout.subscribe("encoder", 4);
    let mut slow = fanout.subscribe("slow", 6);
    let mut parser = MpjpegParser::new(FramePool::new(24));
    parser.push(b"--ffmpeg\r\n", Mono(0), |_| {}).unwrap();
    let mut stream = EncodePlan {
        encoder: H264Encoder::Libx264,
        width: 1280,
        height: 720,
        fps: 30,
        format: FrameFormat::Mjpeg,
    }
    .stream();
    let mut head = Vec::with_capacity(64);
    let mut sequence = 0;
    let mut one_frame = || {
        for chunk in part.chunks(4096) {
            parser
                .push(chunk, Mono(sequence * 33_000_000), |part| {
                    let captured = part.arrived;
                    let (data, format) = (part.data, FrameFormat::Mjpeg);
                    fanout.publish(Frame {
                        data,
                        format,
                        key: None,
                        captured,
                        sequence,
                        width: 1280,
                        height: 720,
                    });
                    sequence += 1;
                })
                .unwrap();
        }
        let frame = encoder.try_next().unwrap();
        assert!(stream.frame_head(frame.captured, frame.data.len(), true, &mut head));
        if frame.sequence.is_multiple_of(5) {
            slow.try_next();
        }
    };
    // Beyond the pool's first look at what it really needs.
    (0..2000).for_each(|_| one_frame());
    let before = CALLS.load(Ordering::Relaxed);
    (0..3000).for_each(|_| one_frame());
    assert_eq!(CALLS.load(Ordering::Relaxed) - before, 0);
}
