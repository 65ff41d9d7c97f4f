//! Makes the indexes of segments as they close, away from the recording's own work.

use super::Footage;
use crate::recording::Closed;
use crate::supervise::Group;

pub(super) fn start(footage: &Footage, group: &Group) {
    let Some(mut closed) = footage.inner.recordings.closed() else { return };
    let (footage, stop) = (footage.clone(), group.stop().clone());
    group.spawn("fragment indexes", async move {
        while let Some(Some(Closed { recording, file })) = stop.run_until_cancelled(closed.recv()).await {
            // Without it the first download makes it.
            if let Err(error) = footage.keep_index(recording, &file).await {
                tracing::debug!(error = %error.chain(), "a segment's fragments were not indexed");
            }
        }
    });
}
