use super::*;
use crate::recording::folder;
use crate::recording::mp4::build;

const CAMERA: CameraId = CameraId(0);

fn recording(wanted: bool) -> Facts {
    let mut facts = card_reader::unknown(CAMERA, &"camera0_a".parse().unwrap());
    facts.row.wanted = wanted;
    facts.row.ended = (!wanted).then(|| "stopped".into());
    facts
}

fn whole(facts: &Facts) -> WholeRecording {
    let Facts { row, segments, gaps, notes } = facts.clone();
    WholeRecording { row, segments, gaps, notes }
}

#[test]
fn a_card_that_was_not_told_the_end_is_not_believed_and_is_brought_up_to_date() {
    for merging in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let known = recording(false);
        let dir = places.recording(CAMERA, &known.row.name);
        folder::make(&dir).unwrap();
        fs::write(dir.join("2023-11-14_22-13-00-000000.mp4"), build::segment(2, 0, 7)).unwrap();
        recording(true).write(&dir).unwrap();
        let at = (CAMERA, known.row.name.clone());
        let how = How { merging, newest: true, now_us: 9 };
        let found = look_at(&places, &at, Some(whole(&known)), how).unwrap();
        let Some(Settle::Change(_, change)) = found.settle else { panic!("the segment is entered") };
        assert!(change.row.is_some_and(|r| !r.wanted && r.ended.as_deref() == Some("stopped")));
        let card = card_reader::read(&dir, CAMERA, &known.row.name).unwrap().unwrap();
        assert_eq!((card.row.wanted, card.segments.len()), (false, 1));
    }
}

#[test]
fn the_two_newest_folders_of_each_camera_are_known_by_name() {
    let item = |camera: u32, name: &str| (Some(CameraId(camera)), name.parse().unwrap());
    let items = [item(0, "a1"), item(0, "a2"), item(0, "a3"), item(1, "b1"), (None, "c".parse().unwrap())];
    let names: Vec<_> = newest(&items).into_iter().map(|n| n.as_str().to_owned()).collect();
    assert_eq!(names, ["a2", "a3", "b1"]);
}
