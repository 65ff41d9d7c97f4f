//! Why footage is missing, why a recording ended, what it is written as: closed lists with one text each.

use std::str::FromStr;

use crate::base::{Error, Result};
use crate::disk::Condition;

/// Why there is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The camera is there and sends nothing.
    CameraSilent,
    /// The camera is gone.
    CameraDisconnected,
    /// The camera does not let us in.
    CameraRefused,
    /// FFmpeg ended or was ended.
    EncoderExited,
    /// MediaMTX ended or was ended.
    MediamtxExited,
    /// Fieldcam itself was not running.
    DaemonDown,
    /// The recorder was closed and opened again, which waits for a keyframe.
    RecorderReopened,
    /// The disk did not take it.
    Storage,
    /// Something filled the disk.
    DiskFull,
    /// The disk became read-only.
    DiskReadOnly,
    /// The disk was unmounted or pulled out, or another one was in its place.
    DiskGone,
    /// The disk failed to read or write.
    IoError,
    /// A part of its file was damaged.
    FileDamaged,
    /// The wall clock was set.
    ClockStep,
    /// Nobody said.
    Unknown,
}

impl GapCause {
    /// Every cause once.
    pub const ALL: [GapCause; 15] = [
        GapCause::CameraSilent,
        GapCause::CameraDisconnected,
        GapCause::CameraRefused,
        GapCause::EncoderExited,
        GapCause::MediamtxExited,
        GapCause::DaemonDown,
        GapCause::RecorderReopened,
        GapCause::Storage,
        GapCause::DiskFull,
        GapCause::DiskReadOnly,
        GapCause::DiskGone,
        GapCause::IoError,
        GapCause::FileDamaged,
        GapCause::ClockStep,
        GapCause::Unknown,
    ];

    /// What the data disk's condition makes of footage; none when it is fine.
    pub const fn of_disk(condition: Condition) -> Option<GapCause> {
        match condition {
            Condition::Fine => None,
            Condition::Full => Some(GapCause::DiskFull),
            Condition::ReadOnly => Some(GapCause::DiskReadOnly),
            Condition::Failing => Some(GapCause::IoError),
            Condition::Gone | Condition::Foreign | Condition::Taken => Some(GapCause::DiskGone),
        }
    }

    /// As the index and `recording.json` say it.
    pub const fn text(self) -> &'static str {
        match self {
            GapCause::CameraSilent => "camera_silent",
            GapCause::CameraDisconnected => "camera_disconnected",
            GapCause::CameraRefused => "camera_refused",
            GapCause::EncoderExited => "encoder_exited",
            GapCause::MediamtxExited => "mediamtx_exited",
            GapCause::DaemonDown => "daemon_down",
            GapCause::RecorderReopened => "recorder_reopened",
            GapCause::Storage => "storage",
            GapCause::DiskFull => "disk_full",
            GapCause::DiskReadOnly => "disk_read_only",
            GapCause::DiskGone => "disk_gone",
            GapCause::IoError => "io_error",
            GapCause::FileDamaged => "file_damaged",
            GapCause::ClockStep => "clock_step",
            GapCause::Unknown => "unknown",
        }
    }
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Someone stopped it.
    Stopped,
    /// It has the length that was asked for.
    DurationReached,
    /// Its end passed while Fieldcam was not running.
    EndedWhileDown,
    /// The storage guard ended it.
    StorageFull,
    /// The camera came back with another picture format; the next recording continues it.
    ParametersChanged,
    /// Fieldcam started too often in a short time to go on with it.
    RestartLoop,
}

impl EndReason {
    /// As the index and `recording.json` say it.
    pub const fn text(self) -> &'static str {
        match self {
            EndReason::Stopped => "stopped",
            EndReason::DurationReached => "duration_reached",
            EndReason::EndedWhileDown => "ended_while_down",
            EndReason::StorageFull => "storage_full",
            EndReason::ParametersChanged => "parameters_changed",
            EndReason::RestartLoop => "restart_loop",
        }
    }
}

/// What a client asked the recording to be; both are fragmented MP4 on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `mp4`
    #[default]
    Mp4,
    /// `fmp4`
    Fmp4,
}

impl Format {
    /// As clients say it.
    pub const fn text(self) -> &'static str {
        match self {
            Format::Mp4 => "mp4",
            Format::Fmp4 => "fmp4",
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mp4" => Ok(Format::Mp4),
            "fmp4" => Ok(Format::Fmp4),
            "mkv" => Err(Error::unsupported("mkv", "recordings are fragmented MP4; use format mp4")
                .with("suggestion", "mp4")),
            _ => Err(Error::param("format", "must be fmp4, mp4 or mkv", "leave it out for mp4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn mkv_is_unsupported_and_names_what_works() {
        assert_eq!("fmp4".parse::<Format>().unwrap(), Format::Fmp4);
        let e = "mkv".parse::<Format>().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("mp4"));
        assert_eq!("avi".parse::<Format>().unwrap_err().kind(), ErrorKind::InvalidParams);
    }
}
