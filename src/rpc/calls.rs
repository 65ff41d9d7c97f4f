//! The calls of one socket that have to wait: each runs beside the socket's other requests, and gives its
//! answer also when the box stops meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::dispatch::{self, Slow};
use super::frame::Writer;
use super::reply;
use super::table::Work;
use crate::base::{Error, ErrorKind, Mono, Result};

/// Calls that one socket may have in work.
const MOST: usize = 64;
/// What calls under way get when the box stops. With the goodbye it is half of what all of the stop may
/// take: cameras, media server and recordings, which stop after the sockets, have the rest.
pub(super) const LAST_TIME: Duration = Duration::from_secs(3);

/// One socket's calls in work.
pub(super) struct Calls {
    slots: Arc<Semaphore>,
    done: mpsc::UnboundedSender<Vec<u8>>,
    finished: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Calls {
    pub(super) fn new() -> Self {
        let (done, finished) = mpsc::unbounded_channel();
        Self { slots: Arc::new(Semaphore::new(MOST)), done, finished }
    }

    /// Starts a call; one too many is answered at once.
    pub(super) fn begin(&self, shared: &Shared, slow: Slow, writer: &mut Writer) {
        let Slow { id, method, work } = slow;
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let error =
                Error::new(ErrorKind::RateLimited, "Rate limited: too many calls at once on this socket")
                    .with("retry_after_ms", 100)
                    .with("hint", "wait for answers before sending more");
            if let Some(id) = id {
                writer.text(|out| reply::error(out, &id, method, &error));
            }
            return;
        };
        let done = self.done.clone();
        let traffic = shared.services.health.traffic().clone();
        shared.group.spawn(method, async move {
            let start = Mono::now();
            let result = work.await;
            let mut out = Vec::new();
            let failed = reply::answer(&mut out, id.as_deref().unwrap_or("null"), method, |out| {
                out.append(&mut result?);
                Ok(())
            });
            let refused = failed == Some(ErrorKind::AuthFailed);
            // Such an answer may have waited on purpose.
            let took = if refused { Duration::ZERO } else { Mono::now().since(start) };
            traffic.answered(1, dispatch::is_fault(failed).into(), took);
            if id.is_some() {
                // A closed socket wants no answer any more.
                let _ = done.send(out);
            }
            drop(slot);
        });
    }

    /// The next answer; none after [`Calls::last`], once there is no call in work any more.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.finished.recv().await
    }

    /// Nothing is begun after this.
    pub(super) fn last(&mut self) {
        // Only the calls in work hold the way to us now.
        self.done = mpsc::unbounded_channel().0;
    }
}

/// `work`, given up when it takes longer than `time` once the box stops: what it waits for may have stopped
/// too. Fails with `DependencyFailed` then.
pub(super) async fn in_time(stop: CancellationToken, time: Duration, work: Work) -> Result<Vec<u8>> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(time).await;
    };
    tokio::select! {
        biased;
        result = work => result,
        () = late => Err(Error::dependency("box", "it stops, and this was not done in time")
            .with("reason", "stopping")
            .with("suggestion", "look whether it was carried out once the box is back, and call again if not")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(600);

    fn after(event: CancellationToken) -> Work {
        Box::pin(async move {
            event.cancelled().await;
            Ok(b"7".to_vec())
        })
    }

    #[tokio::test]
    async fn a_call_under_way_has_its_time_once_the_box_stops() {
        let (stop, event) = (CancellationToken::new(), CancellationToken::new());
        stop.cancel();
        let call = in_time(stop, LONG, after(event.clone()));
        let (done, ()) = tokio::join!(call, async { event.cancel() });
        assert_eq!(done.unwrap(), b"7");
    }

    #[tokio::test]
    async fn what_is_done_when_its_time_is_over_is_not_lost() {
        let (stop, event) = (CancellationToken::new(), CancellationToken::new());
        stop.cancel();
        event.cancel();
        assert_eq!(in_time(stop, Duration::ZERO, after(event)).await.unwrap(), b"7");
    }

    #[tokio::test]
    async fn a_call_is_given_up_in_time_and_only_when_the_box_stops() {
        let stop = CancellationToken::new();
        let call = in_time(stop.clone(), SHORT, Box::pin(std::future::pending()));
        tokio::pin!(call);
        assert!(tokio::time::timeout(10 * SHORT, &mut call).await.is_err(), "the box does not stop");
        stop.cancel();
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DependencyFailed);
        assert_eq!(error.data()["reason"], "stopping");
    }

    #[tokio::test]
    async fn the_last_answers_are_all_that_comes() {
        let mut calls = Calls::new();
        let (one, other) = (calls.done.clone(), calls.done.clone());
        calls.last();
        one.send(vec![1]).unwrap();
        drop(one);
        assert_eq!(calls.next().await, Some(vec![1]));
        other.send(vec![2]).unwrap();
        drop(other);
        assert_eq!((calls.next().await, calls.next().await), (Some(vec![2]), None));
    }
}
