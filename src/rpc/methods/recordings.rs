//! Recordings.

use std::time::Duration;

use serde::Serialize;

use super::shared::{Deleted, Device, FileRow, Files, OfRecording, Page, seconds};
use crate::base::clock::iso8601;
use crate::base::{CameraId, RecordingName, Result};
use crate::footage;
use crate::recording::Format;
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// `{device, duration?, format?}`.
pub(super) struct Start {
    device: CameraId,
    duration: Option<Duration>,
    format: Format,
}

impl Params for Start {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let format = fields.optional_string("format", "one of fmp4, mp4, mkv")?;
        Ok(Self {
            device: fields.device()?,
            duration: fields.optional_integer("duration", 1..=86_400)?.map(Duration::from_secs),
            format: format.map_or(Ok(Format::Fmp4), |f| f.parse())?,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Started {
    device: CameraId,
    filename: RecordingName,
    status: &'static str,
    start_time: String,
    format: &'static str,
}

pub(super) async fn start(call: Call, p: Start) -> Result<Started> {
    let started = call.services.cameras.start_recording(p.device, p.duration, p.format).await?;
    Ok(Started {
        device: p.device,
        filename: started.name,
        status: "RECORDING",
        start_time: iso8601(started.start_us),
        format: started.format.text(),
    })
}

#[derive(Serialize)]
pub(super) struct Stopped {
    device: CameraId,
    filename: RecordingName,
    status: &'static str,
    start_time: String,
    end_time: String,
    duration: u64,
    file_size: u64,
    format: String,
}

pub(super) async fn stop(call: Call, Device(id): Device) -> Result<Stopped> {
    let finished = call.services.cameras.stop_recording(id).await?;
    Ok(Stopped {
        device: id,
        filename: finished.name,
        status: "STOPPED",
        start_time: iso8601(finished.start_us),
        end_time: iso8601(finished.end_us),
        duration: seconds(finished.duration_ms),
        file_size: footage::size_of(finished.size, finished.duration_ms),
        format: finished.format,
    })
}

pub(super) async fn list(call: Call, p: Page) -> Result<Files> {
    let found = call.services.recordings.list(p.limit, p.skip()).await?;
    Ok(p.answer(found, |r| FileRow {
        file_size: footage::film_size(&r),
        modified_time: iso8601(r.modified_us),
        download_url: call.recording_url(&r.name, None),
        duration: Some(seconds(r.duration_ms)),
        protected: Some(r.protected),
        filename: r.name.to_string(),
    }))
}

/// The contract's members first; from `state` on our additions.
#[derive(Serialize)]
pub(super) struct Info {
    filename: RecordingName,
    file_size: u64,
    duration: u64,
    created_time: String,
    download_url: String,
    state: &'static str,
    /// Null while it runs.
    end_time: Option<String>,
    /// Why it ended.
    reason: Option<String>,
    continues: Option<RecordingName>,
    thumbnail_url: String,
    protected: bool,
    /// How far the clock could be trusted when it began.
    clock: &'static str,
    segments: Vec<Segment>,
    gaps: Vec<Gap>,
}

#[derive(Serialize)]
pub(super) struct Segment {
    number: u32,
    file_size: u64,
    duration: u64,
    start_time: String,
    download_url: String,
    /// Its file is gone from the disk; only then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
}

#[derive(Serialize)]
pub(super) struct Gap {
    start_time: String,
    end_time: String,
    /// Seconds with fractions: most gaps are shorter than one.
    duration: f64,
    /// Where it is in the downloaded file, which closes it: seconds from the start.
    position: f64,
    cause: String,
}

pub(super) async fn info(call: Call, OfRecording(name): OfRecording) -> Result<Info> {
    let details = call.services.recordings.details(&name).await?;
    let clock = details.clock().word();
    let info = details.info;
    let segments = details.segments.iter().map(|s| Segment {
        number: s.number,
        file_size: s.size,
        duration: seconds(s.duration_us / 1000),
        start_time: iso8601(s.start_us),
        download_url: call.recording_url(&name, Some(s.number)),
        lost: s.lost,
    });
    let gaps = details.gaps.into_iter().map(|g| Gap {
        start_time: iso8601(g.start_us),
        end_time: iso8601(g.start_us.saturating_add_unsigned(g.duration_ms.saturating_mul(1000))),
        duration: g.duration_ms as f64 / 1000.0,
        position: footage::position_of_gap(&details.segments, &g) as f64 / 1e6,
        cause: g.cause,
    });
    Ok(Info {
        file_size: footage::film_size(&info),
        duration: seconds(info.duration_ms),
        created_time: iso8601(info.start_us),
        download_url: call.recording_url(&name, None),
        state: if info.recording { "RECORDING" } else { "STOPPED" },
        end_time: info.end_us.map(iso8601),
        reason: info.ended,
        continues: info.continues,
        thumbnail_url: call.thumbnail_url(&name),
        protected: info.protected,
        clock,
        segments: segments.collect(),
        gaps: gaps.collect(),
        filename: name,
    })
}

pub(super) async fn delete(call: Call, OfRecording(name): OfRecording) -> Result<Deleted> {
    call.services.recordings.delete(&name).await?;
    Ok(Deleted { filename: name.to_string(), deleted: true, message: "the recording is deleted" })
}

/// `{filename, protected}`.
pub(super) struct Protect {
    name: RecordingName,
    protected: bool,
}

impl Params for Protect {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let OfRecording(name) = OfRecording::read(fields)?;
        Ok(Self { name, protected: fields.switch("protected")? })
    }
}

#[derive(Serialize)]
pub(super) struct Protected {
    filename: RecordingName,
    protected: bool,
    message: &'static str,
}

pub(super) async fn protect(call: Call, p: Protect) -> Result<Protected> {
    call.services.retention.protect(&p.name, p.protected).await?;
    let message =
        if p.protected { "retention leaves it alone" } else { "retention may delete it when its time comes" };
    Ok(Protected { filename: p.name, protected: p.protected, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn durations_and_formats_have_their_rules() {
        let start = |text| Start::read(&Fields::parse(Some(text)).unwrap());
        let plain = start(r#"{"device":"camera0"}"#).unwrap();
        assert_eq!((plain.duration, plain.format), (None, Format::Fmp4));
        let day = start(r#"{"device":"camera0","duration":86400,"format":"mp4"}"#).unwrap();
        assert_eq!((day.duration, day.format), (Some(Duration::from_secs(86_400)), Format::Mp4));
        for bad in ["0", "86401", "-1", "1.5", "\"10\"", "[]", "1e99"] {
            let text = format!(r#"{{"device":"camera0","duration":{bad}}}"#);
            let e = Start::read(&Fields::parse(Some(&text)).unwrap()).err().unwrap();
            assert_eq!(e.data()["param"], "duration", "{bad}");
        }
        let kind = |text| start(text).err().unwrap().kind();
        assert_eq!(kind(r#"{"device":"camera0","format":"avi"}"#), ErrorKind::InvalidParams);
        assert_eq!(kind(r#"{"device":"camera0","format":"mkv"}"#), ErrorKind::Unsupported);
    }
}
