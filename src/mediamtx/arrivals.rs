//! Publishers between their ANNOUNCE and their RECORD.
//!
//! MediaMTX refuses a publisher whose path's configuration changed between the two ("configuration
//! has changed"), recording included; FFmpeg then ends, which costs a live camera 300 ms. So a
//! change of that path waits: the listener sees the ANNOUNCE, MediaMTX's log tells of the RECORD 2 to
//! 5 ms later. A change that MediaMTX is just carrying out when the ANNOUNCE comes cannot be held
//! any more; whoever starts a publisher should change its path before.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::Mono;

/// A publisher that has not recorded by then is not waited for any more.
const PATIENCE: Duration = Duration::from_millis(300);

/// The paths a publisher is just coming to.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    coming: Mutex<BTreeMap<String, Mono>>,
    settled: Notify,
}

impl Arrivals {
    /// A publisher was let in.
    pub(super) fn begin(&self, path: &str, now: Mono) {
        self.lock().insert(path.to_owned(), now);
    }

    /// It publishes.
    pub(super) fn end(&self, path: &str) {
        self.lock().remove(path);
        self.settled.notify_waiters();
    }

    /// Returns when no publisher is just coming to `path`, or none has come in time.
    pub(super) async fn settle(&self, path: &str) {
        let deadline = Mono::now() + PATIENCE;
        loop {
            let settled = self.settled.notified();
            let left = {
                let mut coming = self.lock();
                let until = coming.get(path).map_or(Mono(0), |at| deadline.min(*at + PATIENCE));
                if until.from_now().is_zero() {
                    coming.remove(path);
                    return;
                }
                until.from_now()
            };
            let _ = tokio::time::timeout(left, settled).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Mono>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
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
        arrivals.begin("camera0", Mono::now() + Duration::from_secs(3600));
        arrivals.settle("camera1").await;
        let waiting = arrivals.settle("camera0");
        tokio::pin!(waiting);
        assert!(poll!(&mut waiting).is_pending());
        arrivals.end("camera0");
        waiting.await;
    }

    #[tokio::test]
    async fn a_publisher_that_never_records_is_not_waited_for() {
        let arrivals = Arrivals::default();
        arrivals.begin("camera0", Mono::now());
        arrivals.settle("camera0").await;
        assert!(arrivals.lock().is_empty());
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
