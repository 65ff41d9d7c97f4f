//! Segments as MediaMTX writes them, for tests.

/// Writes one box.
pub(crate) fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(body);
    out
}

/// `ftyp` and `moov` of one H.264 track with a time scale of 90,000.
pub(crate) fn header(width: u16, height: u16, number: u64, start_us: i64) -> Vec<u8> {
    let mut mvhd = vec![0; 12];
    mvhd.extend(1000u32.to_be_bytes());
    mvhd.extend([0; 84]);
    let mut tkhd = vec![0; 12];
    tkhd.extend(1u32.to_be_bytes());
    tkhd.extend([0; 68]);
    let mut mdhd = vec![0; 12];
    mdhd.extend(90_000u32.to_be_bytes());
    mdhd.extend([0; 8]);
    let mut hdlr = vec![0; 8];
    hdlr.extend(b"vide");
    hdlr.extend([0; 13]);
    let mut entry = vec![0; 24];
    entry.extend(width.to_be_bytes());
    entry.extend(height.to_be_bytes());
    entry.extend([0; 50]);
    let mut stsd = vec![0, 0, 0, 0, 0, 0, 0, 1];
    stsd.extend(mp4_box(b"avc1", &entry));
    let stbl = mp4_box(b"stbl", &mp4_box(b"stsd", &stsd));
    let mdia = [mp4_box(b"mdhd", &mdhd), mp4_box(b"hdlr", &hdlr), mp4_box(b"minf", &stbl)].concat();
    let trak = [mp4_box(b"tkhd", &tkhd), mp4_box(b"mdia", &mdia)].concat();
    let mut mtxi = vec![0; 4];
    mtxi.extend([9; 16]);
    mtxi.extend(number.to_be_bytes());
    mtxi.extend(0i64.to_be_bytes());
    mtxi.extend((start_us * 1000).to_be_bytes());
    let udta = mp4_box(b"udta", &mp4_box(b"mtxi", &mtxi));
    let mut trex = vec![0; 4];
    trex.extend([1u32, 1, 0, 0, 0].map(u32::to_be_bytes).concat());
    let mvex = mp4_box(b"mvex", &mp4_box(b"trex", &trex));
    let moov = [mp4_box(b"mvhd", &mvhd), mp4_box(b"trak", &trak), mvex, udta].concat();
    [mp4_box(b"ftyp", b"mp42\0\0\0\x01mp41"), mp4_box(b"moov", &moov)].concat()
}

/// `moof` and `mdat` of `frames` frames of `ticks` each, the first a keyframe.
pub(crate) fn fragment(base: u64, frames: u32, ticks: u32, frame_size: u32) -> Vec<u8> {
    let keys: Vec<bool> = (0..frames).map(|n| n == 0).collect();
    frames_of(base, &keys, ticks, frame_size)
}

/// As [`fragment`], with a frame for each of `keys`, which says whether it is a keyframe.
pub(crate) fn frames_of(base: u64, keys: &[bool], ticks: u32, frame_size: u32) -> Vec<u8> {
    let frames = keys.len() as u32;
    let mut tfhd = vec![0, 2, 0, 0];
    tfhd.extend(1u32.to_be_bytes());
    let mut tfdt = vec![1, 0, 0, 0];
    tfdt.extend(base.to_be_bytes());
    let entries: Vec<u8> = keys
        .iter()
        .flat_map(|key| [ticks, frame_size + 4, if *key { 0 } else { 1 << 16 }])
        .flat_map(u32::to_be_bytes)
        .collect();
    let build = |offset: u32| {
        let mut trun = vec![1, 0, 7, 1];
        trun.extend(frames.to_be_bytes());
        trun.extend(offset.to_be_bytes());
        trun.extend(&entries);
        let traf = [mp4_box(b"tfhd", &tfhd), mp4_box(b"tfdt", &tfdt), mp4_box(b"trun", &trun)].concat();
        mp4_box(b"moof", &[mp4_box(b"mfhd", &[0; 8]), mp4_box(b"traf", &traf)].concat())
    };
    let offset = build(0).len() as u32 + 8;
    let mut data = Vec::new();
    for n in 0..frames {
        data.extend(frame_size.to_be_bytes());
        // Each frame is another one.
        data.extend((0..frame_size).map(|i| (base / 3000 + u64::from(n * 7 + i)) as u8 | 1));
    }
    [build(offset), mp4_box(b"mdat", &data)].concat()
}

/// A segment of `parts` fragments of half a second at 30 frames a second.
pub(crate) fn segment(parts: u64, number: u64, start_us: i64) -> Vec<u8> {
    let mut out = header(1280, 720, number, start_us);
    for n in 0..parts {
        out.extend(fragment(n * 45_000, 15, 3000, 40));
    }
    out
}

/// Patches the duration in, as the recorder does when it closes the file.
pub(crate) fn close(file: &mut [u8], duration_ms: u32) {
    let at = file.windows(4).position(|w| w == b"mvhd").expect("a header") + 4 + 16;
    file[at..at + 4].copy_from_slice(&duration_ms.to_be_bytes());
}

/// A segment with a keyframe every 30 frames and fragments of 16, as they drift against each other in
/// real ones.
pub(crate) fn drifting(fragments: u64, number: u64, start_us: i64) -> Vec<u8> {
    let mut out = header(1280, 720, number, start_us);
    for n in 0..fragments {
        let keys: Vec<bool> = (n * 16..n * 16 + 16).map(|frame| frame % 30 == 0).collect();
        out.extend(frames_of(n * 48_000, &keys, 3000, 40));
    }
    out
}
