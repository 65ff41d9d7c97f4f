use super::*;
use crate::recording::mp4::build;
use proptest::prelude::*;

fn of(bytes: &[u8]) -> Index {
    Index::of_file(bytes, bytes.len() as u64).unwrap().unwrap()
}

#[test]
fn an_index_tells_where_every_fragment_and_its_times_are() {
    let bytes = build::segment(4, 3, 0);
    let index = of(&bytes);
    assert_eq!((index.count, index.end, index.tracks[0].end), (4, bytes.len() as u64, 180_000));
    let mut entries = index.entries();
    let mut n = 0;
    while let Some(e) = entries.next() {
        let at = |offset: u64| (e.offset + offset) as usize;
        assert_eq!(&bytes[at(4)..at(8)], b"moof");
        assert_eq!(&bytes[at(e.sequence_at - 8)..at(e.sequence_at - 4)], b"mfhd");
        let [traf] = e.trafs[..] else { panic!("one track") };
        let written = bytes[at(traf.base_at)..at(traf.base_at + 8)].try_into().unwrap();
        assert_eq!((u64::from_be_bytes(written), traf.base), (n * 45_000, n * 45_000));
        assert!(e.keyframe);
        n += 1;
    }
    assert_eq!(n, 4);
    assert!(index.blob().len() < 120, "{} bytes", index.blob().len());
}

#[test]
fn an_index_is_kept_and_read_again() {
    let index = of(&build::segment(7, 0, 0));
    assert_eq!(Index::parse(index.blob()).unwrap(), index);
}

#[test]
fn another_picture_size_is_another_form() {
    let small = [build::header(64, 64, 0, 0), build::fragment(0, 1, 3000, 9)].concat();
    assert_ne!(of(&small).form, of(&build::segment(1, 0, 0)).form);
    assert_eq!(of(&build::segment(2, 5, 77)).form, of(&build::segment(1, 0, 0)).form);
}

proptest! {
    #[test]
    fn any_blob_is_survived(blob in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Index::parse(blob);
    }

    #[test]
    fn a_changed_blob_is_survived(at in 0usize..200, value: u8) {
        let mut blob = of(&build::segment(5, 0, 0)).blob().to_vec();
        let at = at % blob.len();
        blob[at] = value;
        if let Ok(index) = Index::parse(blob) {
            let mut entries = index.entries();
            while let Some(e) = entries.next() {
                prop_assert!(e.offset + e.size <= index.end);
            }
        }
    }

    #[test]
    fn a_changed_file_is_survived(at in 0usize..4000, value: u8) {
        let mut bytes = build::drifting(4, 0, 0);
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = Index::of_file(&bytes[..], bytes.len() as u64).unwrap();
    }

    #[test]
    fn an_index_of_a_growing_file_is_that_of_the_whole(cut in 0usize..4000) {
        let bytes = build::segment(4, 0, 0);
        let mut builder = IndexBuilder::default();
        builder.advance(&bytes[..cut % bytes.len()], u64::MAX).unwrap();
        builder.advance(&bytes[..], u64::MAX).unwrap();
        prop_assert_eq!(builder.finish().unwrap(), of(&bytes));
    }
}
