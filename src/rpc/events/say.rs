//! From an event to the notification that one client gets: its addresses, its rights, its words.

use serde::Serialize;
use serde_json::json;

use super::client::{Client, Next};
use super::hub::{Event, Hub};
use super::topic::Topic;
use crate::auth::Role;
use crate::base::clock::iso8601;
use crate::base::{CameraId, Mono, RecordingName};
use crate::notice::Fact;
use crate::rpc::frame::Writer;
use crate::rpc::methods::{CameraRowJson, HealthJson};
use crate::rpc::reply;
use crate::rpc::session::Call;

#[derive(Serialize)]
struct RecordingStatus<'a> {
    device: CameraId,
    status: &'static str,
    filename: &'a RecordingName,
    duration: u64,
}

/// Writes what waits for the client, as far as `most` bytes to send allow.
pub fn deliver(client: &Client, hub: &Hub, call: &Call, out: &mut Writer, most: usize) {
    while out.pending().len() < most {
        let Some(next) = client.next() else { return };
        // A log-in that has expired entitles to nothing; what would have been told is lost.
        if !call.is_admitted(Role::Viewer, Mono::now()) {
            continue;
        }
        match next {
            Next::Event(event) => say(client, call, &event, out),
            Next::State => state(client, hub, call, out),
        }
    }
}

/// The last words of a box that stops.
pub fn farewell(client: &Client, call: &Call, out: &mut Writer) {
    if client.wants(&[Topic::SystemShutdown], None) && call.is_admitted(Role::Viewer, Mono::now()) {
        let at = iso8601(call.services.clock.wall_us());
        send(out, "system.shutdown", &json!({ "timestamp": at }));
    }
}

/// Everything that this client asked for, as it is now.
fn state(client: &Client, hub: &Hub, call: &Call, out: &mut Writer) {
    for view in call.services.cameras.list() {
        if client.wants(&[Topic::CameraStatusChange, Topic::CameraStatusUpdate], Some(view.id))
            || client.wants(&[Topic::CameraConnected, Topic::CameraDisconnected], Some(view.id))
        {
            send(out, "camera_status_update", &CameraRowJson::of_view(call, view));
        }
    }
    for event in hub.recordings() {
        let topics = [Topic::RecordingStart, Topic::RecordingStop, Topic::RecordingError];
        let camera = event.camera();
        if client.wants(&topics, camera) || client.wants(&[Topic::RecordingStatusUpdate], camera) {
            say(client, call, &event, out);
        }
    }
    if client.wants(&[Topic::SystemHealth, Topic::SystemHealthUpdate], None) {
        say(client, call, &Event::Health(Box::new(call.services.health.report())), out);
    }
}

fn say(client: &Client, call: &Call, event: &Event, out: &mut Writer) {
    match event {
        Event::Fact(Fact::Camera { id, row, .. }) => {
            send(out, "camera_status_update", &CameraRowJson::of_row(call, *id, row));
        }
        Event::Fact(Fact::RecordingStarted { camera, name }) => {
            // Clients of the older names know another word for it (contract.md, "Notifications").
            let legacy = client.wants(&[Topic::RecordingStatusUpdate], Some(*camera));
            recording(out, *camera, if legacy { "RECORDING" } else { "STARTED" }, name, 0);
        }
        Event::Fact(Fact::RecordingStopped { camera, name, duration_ms, .. }) => {
            recording(out, *camera, "STOPPED", name, (duration_ms + 500) / 1000);
        }
        Event::Fact(Fact::RecordingError { camera, name, .. }) => recording(out, *camera, "ERROR", name, 0),
        Event::Fact(Fact::SnapshotTaken { camera, name }) => {
            let at = iso8601(call.services.clock.wall_us());
            send(out, "snapshot.taken", &json!({ "device": camera, "filename": name, "timestamp": at }));
        }
        Event::Fact(Fact::Startup) => {
            let at = iso8601(call.services.clock.wall_us());
            send(out, "system.startup", &json!({ "timestamp": at }));
        }
        Event::Health(report) => {
            if call.is_admitted(Role::Admin, Mono::now()) {
                send(out, "system_health_update", &HealthJson::of(report));
            }
        }
        Event::Fact(Fact::StorageWarning { .. } | Fact::Health) => {}
    }
}

fn recording(
    out: &mut Writer,
    device: CameraId,
    status: &'static str,
    filename: &RecordingName,
    duration: u64,
) {
    send(out, "recording_status_update", &RecordingStatus { device, status, filename, duration });
}

fn send(out: &mut Writer, method: &str, params: &impl Serialize) {
    out.text(|out| {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","method":""#);
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(br#"","params":"#);
        reply::json(out, params).expect("rows made of strings and numbers have a text");
        out.push(b'}');
    });
}
