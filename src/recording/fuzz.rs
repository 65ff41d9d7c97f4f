//! Segment files as a fuzzer makes them: torn, bit by bit wrong, or made to hurt.

use super::mp4::{Index, sound_parts};

/// Finds the sound parts of a file, bridges what is not, reads the index of what stays and its lead.
///
/// Panics when the end lies outside of the file, or when a mended file is not sound.
pub fn segment(data: &[u8]) {
    let read = "a slice can be read";
    let found = sound_parts(data, 0).expect(read);
    assert!(found.scan.end() <= data.len() as u64);
    let mut mended = data.to_vec();
    for hole in &found.holes {
        let (at, head) = (hole.from as usize, hole.head());
        mended[at..at + head.len()].copy_from_slice(&head);
    }
    mended.truncate(found.scan.end() as usize);
    if found.scan.header().is_some() {
        let again = sound_parts(&mended[..], 0).expect(read);
        assert!(again.holes.is_empty() && !again.scan.is_torn(), "{:?}", again.scan.damage());
        assert_eq!(again.scan.media_us(), found.scan.media_us());
    }
    if let Ok(Ok(index)) = Index::of_file(&mended[..], mended.len() as u64) {
        let again = Index::parse(index.blob().to_vec()).expect("what we wrote can be read");
        let mut entries = again.entries();
        while entries.next().is_some() {}
    }
    let _ = Index::parse(data.to_vec());
}
