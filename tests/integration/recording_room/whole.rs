//! Recordings in which nothing breaks: their length, their segments, their continuation.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_timed_recording_has_its_length_from_the_first_frame() {
    const LENGTH: Duration = Duration::from_secs(2);
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let mut heard = rig.notices.subscribe();
    // Recording first, the camera later: the timer must wait for it.
    let started = rig.record(Some(LENGTH)).await;
    let _camera = rig.camera("640x360").await;
    until("it ended by itself", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    let mut lengths = vec![details.info.duration_ms];
    for _ in 0..2 {
        let next = rig.record(Some(LENGTH)).await;
        until("the next ended by itself", async || rig.recordings.active(CAM).is_none()).await;
        lengths.push(rig.details(&next).await.info.duration_ms);
    }
    println!("{LENGTH:?} asked, {lengths:?} ms recorded");
    // A machine that stands still for a moment lengthens one of them.
    lengths.sort_unstable();
    assert!((1800..=2200).contains(&lengths[1]), "{lengths:?} ms");
    assert_eq!(details.info.ended.as_deref(), Some("duration_reached"));
    assert!(details.gaps.is_empty(), "{:?}", details.gaps);
    assert!(details.info.start_us > started.start_us);
    assert_eq!((details.info.width, details.info.codec.as_deref()), (640, Some("h264")));
    let mut facts = Vec::new();
    while let Ok(fact) = heard.try_recv() {
        facts.push(fact);
    }
    assert!(facts.iter().any(|f| matches!(f, Fact::RecordingStopped { reason: "duration_reached", .. })));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_returns_with_another_size_continues_in_the_next_recording() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let camera = rig.camera("640x360").await;
    let started = rig.record(None).await;
    rig.recorded(1500).await;
    drop(camera);
    rig.recordings.fault(CAM, GapCause::CameraDisconnected);
    let _camera = rig.camera("320x240").await;
    until("the next recording runs", async || {
        rig.recordings.active(CAM).is_some_and(|a| a.name != started.name && a.duration_ms > 2500)
    })
    .await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    let (first, next) = (rig.details(&started).await, rig.recordings.details(&finished.name).await.unwrap());
    println!("{first:#?}\n{next:#?}");
    assert_eq!(first.info.ended.as_deref(), Some("parameters_changed"));
    assert_eq!(next.info.continues.as_ref(), Some(&started.name));
    assert_eq!((first.info.width, next.info.width), (640, 320));
    assert_eq!(next.gaps[0].cause, "camera_disconnected");
    rig.frames(&first).await;
    rig.frames(&next).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_is_noted_and_the_timer_keeps_its_time() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("640x360").await;
    let started = rig.record(Some(Duration::from_secs(6))).await;
    rig.recorded(2000).await;
    rig.clock.step_wall(-86_400_000_000);
    until("it ended by itself", async || rig.recordings.active(CAM).is_none()).await;
    let details = rig.details(&started).await;
    println!("{details:#?}");
    let kinds: Vec<_> = details.notes.iter().map(|(_, kind, _)| kind.as_str()).collect();
    // How far it could be trusted at the start, then its step.
    assert_eq!(kinds, ["clock", "clock_step"]);
    let gaps: u64 = details.gaps.iter().map(|g| g.duration_ms).sum();
    let whole = details.info.duration_ms + gaps;
    // A timer on the wall clock would end at once or a day later.
    assert_eq!(details.info.ended.as_deref(), Some("duration_reached"));
    assert!((4500..=12_000).contains(&whole), "{whole} ms");
    assert_eq!(details.segments.len(), 2);
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_follow_each_other_without_a_gap() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start_with(data.path(), Duration::from_secs(2)).await;
    let _camera = rig.camera("320x240").await;
    let started = rig.record(None).await;
    rig.recorded(7000).await;
    rig.recordings.stop(CAM).await.unwrap();
    let details = rig.details(&started).await;
    assert!(details.segments.len() >= 3, "{details:#?}");
    assert!(details.gaps.is_empty(), "{:?}", details.gaps);
    let numbers: Vec<_> = details.segments.iter().map(|s| s.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    rig.frames(&details).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_and_stopping_on_a_live_camera_is_quick() {
    let data = tempfile::tempdir().unwrap();
    let (rig, _) = Rig::start(data.path()).await;
    let _camera = rig.camera("640x360").await;
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let at = Instant::now();
        let started = rig.record(None).await;
        starts.push(at.elapsed());
        assert!(names.insert(started.name.clone()));
        rig.recorded(400).await;
        let at = Instant::now();
        rig.recordings.stop(CAM).await.unwrap();
        stops.push(at.elapsed());
    }
    starts.sort();
    stops.sort();
    println!("start p50 {:?} max {:?}; stop p50 {:?} max {:?}", starts[5], starts[9], stops[5], stops[9]);
    assert!(starts[5] < Duration::from_millis(500) && stops[5] < Duration::from_millis(500));
    // One of a moment holds what came in that moment, or nothing; it never fails.
    rig.record(None).await;
    let finished = rig.recordings.stop(CAM).await.unwrap();
    assert!(finished.duration_ms < 2000);
    rig.end().await;
}
