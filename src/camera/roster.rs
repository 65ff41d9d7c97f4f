//! Settings → cameras with numbers.

use crate::base::{CameraId, Result};
use crate::config::{CameraSection, Settings, SourceSpec, Synthetic, TestPattern, VideoEncoder};
use crate::store::Store;

/// How many synthetic cameras stand in when there is no other (product.md, cameras.synthetic).
const STAND_INS: u32 = 2;
/// Identities of synthetic cameras that the box adds by itself start with this.
const AUTOMATIC: &str = "test:auto/";

/// A camera of this box.
#[derive(Clone, Debug)]
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
    /// Its encoder runs without anybody asking.
    pub keep_warm: bool,
    /// Its sound is kept.
    pub audio: bool,
    /// It is known to send sound it should not.
    pub strip_audio: bool,
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
/// Fails when the database does, or when a section's `id` belongs to another camera already.
pub async fn roster(settings: &Settings, store: &Store) -> Result<Roster> {
    let mut cameras = Vec::new();
    for (identity, section) in wanted(settings) {
        let id = store.camera_number(&identity, section.id).await?;
        let name = section.name.clone().unwrap_or_else(|| default_name(&section.source, id));
        store.set_camera_name(id, &name).await?;
        cameras.push(CameraDef {
            id,
            name,
            source: section.source,
            width: section.resolution.width,
            height: section.resolution.height,
            fps: section.fps,
            encoder: section.encoder,
            keep_warm: section.keep_warm,
            audio: section.audio,
            strip_audio: false,
            identity,
        });
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

/// Identity and section of every camera there should be, configured ones first.
fn wanted(settings: &Settings) -> Vec<(String, CameraSection)> {
    let mut all: Vec<_> = settings.camera.iter().map(|s| (s.source.identity(), s.clone())).collect();
    let synthetic = match settings.cameras.synthetic {
        Synthetic::Count(n) => n,
        Synthetic::Auto if all.is_empty() => STAND_INS,
        Synthetic::Auto => 0,
    };
    for slot in 0..synthetic {
        let section = CameraSection {
            id: None,
            name: None,
            source: SourceSpec::Test(TestPattern { pattern: "testsrc2".into(), deliver: None, lose: None }),
            resolution: settings.cameras.resolution,
            fps: settings.cameras.fps,
            encoder: settings.cameras.encoder,
            keep_warm: settings.cameras.keep_warm,
            audio: false,
        };
        all.push((format!("{AUTOMATIC}{slot}"), section));
    }
    all
}

fn default_name(source: &SourceSpec, id: CameraId) -> String {
    match source {
        SourceSpec::Test(_) => format!("Test camera {}", id.0),
        SourceSpec::Rtsp(url) => format!("Network camera {}", url.host()),
    }
}
