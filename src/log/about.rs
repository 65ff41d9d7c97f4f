//! Which camera an event is about, so that journald can keep it as a field (`journalctl CAMERA=camera0`).

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

thread_local! {
    /// Of the event that this thread is writing.
    static CAMERA: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Stands before the layer that formats lines, on the same thread and for the same events.
pub(super) struct About;

/// The camera of the event that is being written.
pub(super) fn take() -> Option<String> {
    CAMERA.take()
}

impl<S: Subscriber> Layer<S> for About {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut found = Camera(None);
        event.record(&mut found);
        CAMERA.set(found.0.filter(|text| is_id(text)));
    }
}

/// A field of its own is for ids alone; anything else stays in the text, which is redacted.
fn is_id(text: &str) -> bool {
    text.parse::<crate::base::CameraId>().is_ok()
}

struct Camera(Option<String>);

impl Visit for Camera {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "camera" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "camera" {
            let mut text = String::new();
            let _ = write!(text, "{value:?}");
            self.0 = Some(text);
        }
    }
}
