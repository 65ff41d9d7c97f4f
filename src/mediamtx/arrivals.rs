//! Publishers between their first word and their RECORD.
//!
//! MediaMTX refuses a publisher whose path's configuration changed since its ANNOUNCE
//! ("configuration has changed"), recording included; FFmpeg then ends, which costs a live camera
//! 300 ms. So the two take turns: a change of the path waits until the publisher is there (FFmpeg's
//! first ANNOUNCE is without credentials, which tells of it early; MediaMTX's log tells of the
//! RECORD 2 to 5 ms later), and that first ANNOUNCE is answered when a change under way is done.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::Mono;

/// A publisher that has not recorded by then is not waited for any more.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the answer to an ANNOUNCE is held back: MediaMTX's path goroutine waits with it.
const HOLD: Duration = Duration::from_millis(50);
/// From MediaMTX's answer to a change until it has carried it out, measured below 1 ms.
const APPLY: Duration = Duration::from_millis(3);

/// Who is coming and what is being changed.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    coming: BTreeMap<String, Mono>,
    /// Changes are made one at a time.
    changing: Option<String>,
}

/// A change under way; ends when dropped.
pub(super) struct Change<'a>(&'a Arrivals);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.lock().changing = None;
        self.0.moved.notify_waiters();
    }
}

impl Arrivals {
    /// A publisher announced itself. Returns when no change of its path is under way.
    pub(super) async fn begin(&self, path: &str) {
        let held = async {
            let mut waited = false;
            loop {
                let moved = self.moved.notified();
                {
                    let mut state = self.lock();
                    state.coming.insert(path.to_owned(), Mono::now());
                    if state.changing.as_deref() != Some(path) {
                        break;
                    }
                }
                waited = true;
                moved.await;
            }
            if waited {
                tokio::time::sleep(APPLY).await;
            }
        };
        let _ = tokio::time::timeout(HOLD, held).await;
    }

    /// It publishes.
    pub(super) fn end(&self, path: &str) {
        self.lock().coming.remove(path);
        self.moved.notify_waiters();
    }

    /// Returns when no publisher is just coming to `path`, or none has come in time.
    pub(super) async fn change(&self, path: &str) -> Change<'_> {
        let deadline = Mono::now() + PATIENCE;
        loop {
            let moved = self.moved.notified();
            let left = {
                let mut state = self.lock();
                let until = state.coming.get(path).map_or(Mono(0), |at| deadline.min(*at + PATIENCE));
                let left = until.from_now();
                if left.is_zero() {
                    state.coming.remove(path);
                    state.changing = Some(path.to_owned());
                    return Change(self);
                }
                left
            };
            let _ = tokio::time::timeout(left, moved).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path in MediaMTX's line about a publisher that began.
pub(super) fn publishing(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("is publishing to path '")?;
    rest.split_once('\'').map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_change_waits_for_the_publisher_of_its_path_alone() {
        let arrivals = Arrivals::default();
        arrivals.begin("camera0").await;
        drop(arrivals.change("camera1").await);
        let waiting = arrivals.change("camera0");
        tokio::pin!(waiting);
        assert!(poll!(&mut waiting).is_pending());
        arrivals.end("camera0");
        assert!(poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn a_publisher_waits_for_a_change_of_its_path_alone() {
        let arrivals = Arrivals::default();
        let change = arrivals.change("camera0").await;
        arrivals.begin("camera1").await;
        let coming = arrivals.begin("camera0");
        tokio::pin!(coming);
        assert!(poll!(&mut coming).is_pending());
        drop(change);
        coming.await;
    }

    #[tokio::test]
    async fn neither_waits_for_ever() {
        let arrivals = Arrivals::default();
        let change = arrivals.change("camera0").await;
        arrivals.begin("camera0").await;
        drop(change);
        drop(arrivals.change("camera0").await);
        assert!(arrivals.lock().coming.is_empty());
    }

    #[test]
    fn the_line_of_the_pinned_version() {
        assert_eq!(publishing("[RTSP] [session 1a2b] is publishing to path 'camera0'"), Some("camera0"));
        assert_eq!(publishing("[path camera0] stream is available"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            let _ = publishing(&line);
            let _ = publishing(&format!("is publishing to path '{line}"));
        }
    }
}
