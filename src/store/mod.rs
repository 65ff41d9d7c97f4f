//! The SQLite database: connection threads, schema, migrations, typed queries by subject.
//!
//! Promises: a call that answered `Ok` survives a power cut (WAL, `synchronous=FULL`); calls run one
//! after another, each a transaction where it changes more than one row; reads never wait behind a
//! commit's fsync (they have a connection of their own). Costs two threads and about 1 MiB.

mod alarm;
mod api_keys;
mod audit;
mod camera_card;
mod cameras;
mod check;
mod claim;
mod connection;
mod controls;
mod copies;
mod devices;
mod external;
mod fragments;
mod inspect;
mod keeper;
mod open;
mod places;
mod recording_change;
mod recording_parts;
mod recordings;
mod retention;
mod schema;
mod settings;
mod snapshots;
mod suspend;
mod whole;

pub use api_keys::ApiKeyRow;
pub use audit::AuditRow;
pub use cameras::CameraRow;
pub use claim::ClaimState;
pub use connection::Store;
pub use controls::ControlRow;
pub use devices::{DeviceRow, NewDevice, Sighting};
pub use external::ExternalRow;
pub use fragments::FragmentsRow;
pub use inspect::{api_settings_of, inspect, is_claimed};
pub use open::Opened;
pub use places::StorePlaces;
pub use recording_change::RecordingChange;
pub use recording_parts::{GapRow, NoteRow, SegmentRow};
pub use recordings::RecordingRow;
pub use retention::{Outline, Sizes};
pub use snapshots::SnapshotRow;
pub use whole::{Settle, WholeRecording};
