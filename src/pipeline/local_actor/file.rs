//! The file of a camera that plays one.

use std::time::Duration;

use super::LocalActor;

/// How often it is looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

impl LocalActor {
    /// Whether the file came or went since it was last looked for.
    pub(super) async fn look_for_file(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let absent = !tokio::fs::metadata(file).await.is_ok_and(|meta| meta.is_file());
        let is_news = absent != self.children.absent;
        self.children.absent = absent;
        if is_news {
            tracing::info!(camera = %self.def.id, "its file is {}", if absent { "not there" } else { "there" });
        }
        is_news
    }
}
