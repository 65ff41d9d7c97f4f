use super::*;
use crate::supervise::Phases;

#[tokio::test]
async fn the_last_time_known_is_kept_at_the_end_and_read_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new();
    let mut phases = Phases::default();
    let group = phases.add("test");
    let start =
        || Timing::start(dir.path().to_owned(), "/nonexistent/box.sock".into(), clock.clone(), &group);
    let first = start().await;
    assert!(!first.0.was_kept);
    assert!(phases.shutdown(Duration::from_secs(10)).await.is_empty());
    let kept: i64 = std::fs::read_to_string(dir.path().join("clock")).unwrap().trim().parse().unwrap();
    assert!((kept - clock.wall().as_millisecond()).abs() < 60_000, "{kept}");

    let mut phases = Phases::default();
    let group = phases.add("test");
    let later = kept + 3_600_000;
    std::fs::write(dir.path().join("clock"), later.to_string()).unwrap();
    let second =
        Timing::start(dir.path().to_owned(), "/nonexistent/box.sock".into(), clock.clone(), &group).await;
    assert!(second.0.was_kept);
    assert_eq!(second.0.floor_ms, later);
    if !second.in_step() {
        assert_eq!(clock.trust(), Trust::Kept);
        let unhelped = second.set(later).await.unwrap_err();
        assert_eq!(unhelped.kind(), crate::base::ErrorKind::Unsupported);
    }
    assert!(phases.shutdown(Duration::from_secs(10)).await.is_empty());
}
