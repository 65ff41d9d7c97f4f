//! The box itself in the guest, with cameras that need no kernel.

use serde_json::json;

use crate::common::{squares, wait_within};
use crate::guest::Guest;
use crate::machine::PATIENCE;

/// Small and slow: the processor is emulated.
const CONFIG: &str =
    "[cameras]\nsynthetic = 1\nresolution = \"320x180\"\nfps = 5\n[auth]\nrate_limit_per_minute = 1000000\n";

#[test]
#[ignore = "needs root and QEMU: scripts/test v4l2"]
fn the_box_runs_in_the_guest_and_is_reached_from_outside() {
    let guest = Guest::take();
    let _without = guest.without_vivid();
    let daemon = guest.fieldcam(CONFIG);
    let health = daemon.health("/health");
    assert_eq!(health.status, 200, "{}", health.text());

    let mut client = daemon.login("viewer");
    wait_within(PATIENCE, "the camera is connected", || {
        (client.ok("get_camera_list", json!({}))["connected"] == 1).then_some(())
    });
    let stream = client.ok("get_stream_url", json!({ "device": "camera0" }));
    let url = daemon.outside(stream["stream_url"].as_str().unwrap());
    // The encoder starts when somebody asks, which can take longer here than one reader waits.
    let seen = wait_within(PATIENCE, "the stream is read", || {
        squares::try_read(&url, 10).inspect_err(|e| eprintln!("{e}")).ok()
    });
    assert_eq!(seen.len(), 10);
    assert!(squares::holes(&seen).is_empty(), "{seen:?}");
}
