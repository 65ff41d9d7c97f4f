//! Lists of a box that has recorded for years: 10,000 recordings, the first page and one deep within.

use serde_json::json;

use super::figure::{Figure, Unit, percentile};
use super::ping::calls;
use super::subject::Subject;
use crate::base::clock::name_stamp;
use crate::base::{CameraId, Result};
use crate::store::{RecordingRow, Store};

const RECORDINGS: u32 = 10_000;
/// 2025-01-01; one every five minutes from then on.
const FIRST_US: i64 = 1_735_689_600_000_000;

/// Fills the box's index and asks for pages of it.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let mut link = subject.link().await?;
    if let Some(data) = subject.data_dir() {
        let store = Store::open(&data.join("fieldcam.db"))?;
        store.add_recordings((0..RECORDINGS).map(row).collect::<Result<_>>()?).await?;
    }
    let mut figures = Vec::new();
    for (what, offset) in [("first page", 0), ("page at 9,900", 9_900)] {
        let params = json!({ "limit": 50, "offset": offset });
        calls(&mut link, "list_recordings", &params, 20).await?;
        let mut samples = calls(&mut link, "list_recordings", &params, 500).await?;
        for (percent, goal, source) in [(50.0, 2.0, "issue 4"), (95.0, 200.0, "P01")] {
            let name = format!("list_recordings of {RECORDINGS}, {what}, p{percent}");
            figures.push(Figure::new(name, percentile(&mut samples, percent), Unit::Ms).goal(goal, source));
        }
    }
    Ok(figures)
}

fn row(n: u32) -> Result<RecordingRow> {
    let camera = CameraId(n % 8);
    let start_us = FIRST_US + i64::from(n) * 300_000_000;
    Ok(RecordingRow {
        id: 0,
        name: format!("{camera}_{}", name_stamp(start_us)).parse()?,
        camera,
        identity: format!("bench:{camera}"),
        camera_name: "Bench".into(),
        format: "mp4".into(),
        requested_us: start_us,
        start_us,
        limit_ms: None,
        until_us: None,
        wanted: false,
        end_us: Some(start_us + 290_000_000),
        duration_ms: 290_000,
        size: 72_500_000,
        codec: Some("h264".into()),
        width: 1280,
        height: 720,
        // As large as an H.264 description of MediaMTX is.
        stsd: Some(vec![7; 173]),
        ended: Some("stopped".into()),
        continues: None,
        protected: false,
    })
}
