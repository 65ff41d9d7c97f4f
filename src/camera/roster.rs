//! Settings → cameras with numbers.

use crate::base::{CameraId, Result};
use crate::config::{
    CameraFormat, CameraSection, Settings, SourceSpec, Synthetic, TestPattern, VideoEncoder,
};
use crate::log;
use crate::store::{DeviceRow, ExternalRow, Store};

/// How many synthetic cameras stand in when there is no other (product.md, cameras.synthetic).
const STAND_INS: u32 = 2;
/// Identities of synthetic cameras that the box adds by itself start with this.
const AUTOMATIC: &str = "test:auto/";

/// A camera of this box.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDef {
    /// Its lasting number.
    pub id: CameraId,
    /// What makes it the same camera again; holds no credentials.
    pub identity: String,
    /// Name for people.
    pub name: String,
    /// Where its pictures come from.
    pub source: SourceSpec,
    /// Width in pixels that a synthetic camera makes.
    pub width: u32,
    /// Height in pixels that a synthetic camera makes.
    pub height: u32,
    /// Frames a second that a synthetic camera makes.
    pub fps: u32,
    /// What encodes its pictures.
    pub encoder: VideoEncoder,
    /// What it is to deliver, of a plugged-in camera.
    pub format: CameraFormat,
    /// Its encoder runs without anybody asking.
    pub keep_warm: bool,
    /// Its sound is kept.
    pub audio: bool,
    /// It is known to send sound it should not.
    pub strip_audio: bool,
    /// It was added over the API: where it may lead is judged at each connect.
    pub guarded: bool,
}

/// A camera that was here once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its number.
    pub id: CameraId,
    /// Its name, as last known.
    pub name: String,
}

/// All cameras.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Configured ones, by number.
    pub cameras: Vec<CameraDef>,
    /// Known ones that are not configured now, by number. Synthetic stand-ins are not missed.
    pub gone: Vec<Gone>,
}

/// Gives each configured camera its number, new ones the next free one.
///
/// `stand_in`: synthetic cameras go on that stand in for others. Fails when the database does, or when a
/// section's `id` belongs to another camera already.
pub async fn roster(settings: &Settings, store: &Store, stand_in: bool) -> Result<Roster> {
    let mut cameras = Vec::new();
    let added = store.external_streams().await?;
    let devices = store.devices().await?;
    for want in wanted(settings, &added, &devices, stand_in) {
        if let SourceSpec::Rtsp(url) = &want.section.source {
            url.secrets().iter().for_each(log::hide);
        }
        let id = store.camera_number(&want.identity, want.section.id).await?;
        let def = want.define(id, false);
        store.set_camera_name(id, &def.name).await?;
        cameras.push(def);
    }
    let mut gone = Vec::new();
    for row in store.cameras().await? {
        match cameras.iter_mut().find(|c| c.id == row.id) {
            Some(camera) => camera.strip_audio = row.strip_audio,
            None if row.identity.starts_with(AUTOMATIC) => {}
            None => gone.push(Gone { id: row.id, name: row.name }),
        }
    }
    cameras.sort_by_key(|c| c.id);
    gone.sort_by_key(|g| g.id);
    Ok(Roster { cameras, gone })
}

/// A camera that there should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What makes it the same camera again.
    pub identity: String,
    /// Its settings.
    pub section: CameraSection,
    /// It was added over the API.
    pub added: bool,
}

impl Wanted {
    /// The camera, once its number is known.
    pub fn define(&self, id: CameraId, strip_audio: bool) -> CameraDef {
        let section = self.section.clone();
        CameraDef {
            id,
            identity: self.identity.clone(),
            name: section.name.unwrap_or_else(|| default_name(&section.source, id)),
            source: section.source,
            width: section.resolution.width,
            height: section.resolution.height,
            fps: section.fps,
            encoder: section.encoder,
            keep_warm: section.keep_warm,
            format: section.format,
            audio: section.audio,
            strip_audio,
            guarded: self.added,
        }
    }
}

impl CameraDef {
    /// Whether it is a synthetic camera that the box added by itself.
    pub fn is_stand_in(&self) -> bool {
        self.identity.starts_with(AUTOMATIC)
    }

    /// Whether what runs as `old` has to start again to be this; a name and a habit do without.
    pub fn needs_restart_from(&self, old: &CameraDef) -> bool {
        let like_old = CameraDef { name: old.name.clone(), keep_warm: old.keep_warm, ..self.clone() };
        like_old != *old
    }
}

/// Every camera there should be, configured ones first. A stream in `added` that is configured too is the
/// configured one. Neither added streams nor devices that are plugged in end the stand-ins that run
/// (`stand_in`): they may be recorded at that moment.
pub fn wanted(
    settings: &Settings,
    added: &[ExternalRow],
    devices: &[DeviceRow],
    stand_in: bool,
) -> Vec<Wanted> {
    let configured = |s: &CameraSection| {
        let identity = s.source.identity();
        let device = devices.iter().find(|row| row.identity == identity);
        let name = s.name.clone().or_else(|| device.and_then(name_of));
        Wanted { section: CameraSection { name, ..s.clone() }, identity, added: false }
    };
    let mut all: Vec<_> = settings.camera.iter().map(configured).collect();
    let devices = if settings.cameras.v4l2 { devices } else { &[] };
    let synthetic = match settings.cameras.synthetic {
        Synthetic::Count(n) => n,
        Synthetic::Auto if all.is_empty() && (stand_in || devices.is_empty()) => STAND_INS,
        Synthetic::Auto => 0,
    };
    for slot in 0..synthetic {
        let source = SourceSpec::Test(TestPattern { pattern: "testsrc2".into(), deliver: None, lose: None });
        let section = usual(settings, source, None);
        all.push(Wanted { identity: format!("{AUTOMATIC}{slot}"), section, added: false });
    }
    for row in added {
        let Ok(source @ SourceSpec::Rtsp(_)) = row.url.expose().parse() else {
            tracing::error!(
                name = row.name,
                "an added stream has an address that this version does not take"
            );
            continue;
        };
        if all.iter().any(|want| want.identity == row.identity) {
            continue;
        }
        let section = usual(settings, source, Some(row.name.clone()));
        all.push(Wanted { identity: row.identity.clone(), section, added: true });
    }
    for row in
        devices.iter().filter(|row| !settings.camera.iter().any(|c| c.source.identity() == row.identity))
    {
        let Ok(source @ SourceSpec::V4l2(_)) = row.identity.parse() else {
            tracing::error!(camera = %row.camera, "has an identity that this version does not take");
            continue;
        };
        all.push(Wanted {
            identity: row.identity.clone(),
            section: usual(settings, source, name_of(row)),
            added: false,
        });
    }
    all
}

/// What an operator calls a device, or else what it says it is.
fn name_of(row: &DeviceRow) -> Option<String> {
    row.name.clone().or_else(|| Some(row.model.clone()).filter(|model| !model.is_empty()))
}

/// A camera without a section of its own.
fn usual(settings: &Settings, source: SourceSpec, name: Option<String>) -> CameraSection {
    CameraSection {
        id: None,
        name,
        source,
        resolution: settings.cameras.resolution,
        fps: settings.cameras.fps,
        encoder: settings.cameras.encoder,
        keep_warm: settings.cameras.keep_warm,
        format: CameraFormat::Auto,
        audio: false,
    }
}

fn default_name(source: &SourceSpec, id: CameraId) -> String {
    match source {
        SourceSpec::Test(_) => format!("Test camera {}", id.0),
        SourceSpec::Rtsp(url) => format!("Network camera {}", url.host()),
        SourceSpec::File(file) => format!("File {}", file.stem()),
        SourceSpec::V4l2(_) => format!("Camera {}", id.0),
    }
}
