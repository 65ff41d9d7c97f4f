//! The configuration: layers → checked [`Settings`], every mistake at once, and where each value
//! comes from.
//!
//! Layers, later wins: built-in defaults → the file → `conf.d/*.toml` beside it in name order → the
//! environment. `[[camera]]` is a list: those of all files add up, `FIELDCAM_CAMERA` replaces them.
//! Promises that whoever holds [`Settings`] holds checked ones, that every accepted key does
//! something, and that no secret gets into a mistake or a print-out. Reads a few small files once at
//! start; owns no task.

mod across;
mod check;
mod data_dir;
mod encoder;
mod format;
mod grammar;
mod host_entry;
mod key;
mod layer;
mod load;
mod mistake;
mod reference;
mod report;
mod resolution;
mod rule;
mod settings;
mod source;
mod strict;

pub use data_dir::check_data_dir;
pub use encoder::{H264Encoder, VideoEncoder};
pub use format::CameraFormat;
pub use host_entry::{HostEntry, Range};
pub use key::{Entry, Key};
pub use load::{Loaded, Sources, load};
pub use mistake::{Mistake, Mistakes, Origin};
pub use reference::reference;
pub use report::{report_effective, report_mistakes};
pub use resolution::Resolution;
pub(crate) use rule::{Rule, Shape, optional, switch};
pub use settings::{
    Auth, CameraSection, Cameras, Discovery, Ffmpeg, Health, Log, MediaMtx, Recording, Server, Settings,
    Storage, Synthetic, keys,
};
pub(crate) use strict::{StrictFile, Table};

pub use source::{
    FilePath, PATTERNS, RtspUrl, SourceSpec, TestPattern, hide_credentials, hide_pairs, rtsp_port,
};

#[cfg(test)]
mod tests;
