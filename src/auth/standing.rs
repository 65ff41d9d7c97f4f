//! Whether what a log-in rests on still stands. An API key may be withdrawn while its log-ins, links
//! and streams are in use; a token ends by its expiry alone.

use tokio_util::sync::CancellationToken;

/// Known to every log-in that rests on one key.
#[derive(Clone, Debug, Default)]
pub struct Standing(Option<CancellationToken>);

impl Standing {
    /// Ends with `withdrawn`.
    pub(super) fn until(withdrawn: CancellationToken) -> Self {
        Self(Some(withdrawn))
    }

    /// Whether it is over.
    pub fn is_revoked(&self) -> bool {
        self.0.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Waits until it is over; for a token, forever.
    pub async fn revoked(&self) {
        match &self.0 {
            Some(withdrawn) => withdrawn.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.is_revoked() == other.is_revoked()
    }
}

impl Eq for Standing {}
