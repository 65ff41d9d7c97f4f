//! Memory for messages that are not finished yet, bounded over all sockets (contract.md).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) const CHUNK: usize = 64 << 10;
pub(super) const ALL: usize = (64 << 20) / CHUNK;
pub(super) const NOT_LOGGED_IN: usize = (20 << 20) / CHUNK;
/// Every socket may hold this much beside; the number of sockets bounds it.
const FREE: usize = 32 << 10;

/// The memory of all sockets.
pub(super) struct Budget {
    all: Arc<Semaphore>,
    not_logged_in: Arc<Semaphore>,
}

/// What one socket has of it.
#[derive(Default)]
pub(super) struct Claim {
    permits: Vec<OwnedSemaphorePermit>,
    chunks: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), not_logged_in: Arc::new(Semaphore::new(NOT_LOGGED_IN)) }
    }

    /// Waits until `claim` may hold `bytes`.
    pub(super) async fn grow(&self, claim: &mut Claim, bytes: usize, logged_in: bool) {
        let missing = chunks(bytes).saturating_sub(claim.chunks);
        let count = u32::try_from(missing).expect("a message has 16 MiB at most");
        let take = async |from: &Arc<Semaphore>| {
            from.clone().acquire_many_owned(count).await.expect("the budget is never closed")
        };
        let stranger = if logged_in { None } else { Some(take(&self.not_logged_in).await) };
        let permit = take(&self.all).await;
        claim.permits.extend(stranger);
        claim.permits.push(permit);
        claim.chunks += missing;
    }
}

impl Claim {
    /// Whether `bytes` are covered.
    pub(super) fn covers(&self, bytes: usize) -> bool {
        chunks(bytes) <= self.chunks
    }

    /// Whether there is anything to give back.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn chunks(bytes: usize) -> usize {
    bytes.saturating_sub(FREE).div_ceil(CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_leave_room_for_those_logged_in() {
        let budget = Budget::new();
        let mut first = Claim::default();
        assert!(first.covers(FREE));
        assert!(!first.covers(FREE + 1));
        budget.grow(&mut first, 16 << 20, false).await;
        let mut second = Claim::default();
        let waiting = budget.grow(&mut second, 16 << 20, false);
        assert!(futures_util::FutureExt::now_or_never(waiting).is_none(), "20 MiB for strangers");
        let mut users = [Claim::default(), Claim::default()];
        for user in &mut users {
            budget.grow(user, 16 << 20, true).await;
            assert!(user.covers(16 << 20));
        }
        first.clear();
        budget.grow(&mut second, 16 << 20, false).await;
        assert!(second.covers(16 << 20));
    }
}
