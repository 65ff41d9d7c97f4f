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
        // A log-in that has expired entitles to nothing; the next one on this socket is told how it is then.
        if !call.is_admitted(Role::Viewer, Mono::now()) {
            return client.mute(hub.now());
        }
        match client.next() {
            None => return,
            Some(Next::News(news)) => say(client, call, &news.event, out),
            Some(Next::State) => state(client, hub, call, out),
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

/// Everything that this client asked for, as it is now. Whoever asked for any change of a camera gets its
/// row, connected or not.
fn state(client: &Client, hub: &Hub, call: &Call, out: &mut Writer) {
    use Topic::*;
    for news in hub.catch_up(client) {
        let topics: &[Topic] = match &news.event {
            Event::Fact(Fact::Camera { .. }) => {
                &[CameraStatusChange, CameraStatusUpdate, CameraConnected, CameraDisconnected]
            }
            Event::Fact(_) => &[RecordingStart, RecordingStop, RecordingError, RecordingStatusUpdate],
            Event::Health(_) => &[SystemHealth, SystemHealthUpdate],
        };
        if client.wants(topics, news.event.camera()) {
            say(client, call, &news.event, out);
        }
    }
}

fn say(client: &Client, call: &Call, event: &Event, out: &mut Writer) {
    match event {
        Event::Fact(Fact::Camera { id, row, .. }) => {
            send(out, "camera_status_update", &CameraRowJson::of_row(call, *id, row));
        }
        Event::Fact(Fact::Control { camera, control }) => {
            send(out, "camera_control_update", &json!({ "device": camera, "control": &**control }));
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
        Event::Fact(Fact::Update { status }) => send(out, "update_status_update", &**status),
        Event::Fact(Fact::Network { status }) => send(out, "network_update", &**status),
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
