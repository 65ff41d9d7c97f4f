//! What a damaged database means for the program as a whole.

use std::time::Duration;

use crate::base::Result;
use crate::config::{self, Settings, Sources};
use crate::store::{Opened, Store};

/// A disk that damages the database again so soon will do so once more; what can be recorded meanwhile
/// is worth more than the next start.
const AFTER_DAMAGE: Duration = Duration::from_secs(600);

/// How long after such a start damage found in use is left as it is.
pub(super) fn patience(opened: &Opened) -> Duration {
    match opened {
        Opened::Sound | Opened::New => Duration::ZERO,
        Opened::Suspected | Opened::Rebuilt { .. } => AFTER_DAMAGE,
    }
}

/// Ends when the database is damaged and a new start may help.
///
/// Without it nothing new would be recorded until somebody looks; a start costs running recordings a
/// second or two.
pub(super) async fn worth_a_start(store: &Store, patience: Duration) {
    let mut damaged = store.damaged();
    let found = async { damaged.wait_for(|damaged| *damaged).await.is_ok() };
    let (found, ()) = tokio::join!(found, tokio::time::sleep(patience));
    if !found {
        std::future::pending::<()>().await;
    }
}

/// The settings with those made over the API as a database has them that was made again: they were read
/// from the one that could not be used. `None`: the ones that were read hold.
pub(super) async fn settings_again(
    opened: &Opened,
    sources: &mut Sources,
    store: &Store,
) -> Result<Option<Settings>> {
    let Opened::Rebuilt { why, copy } = opened else { return Ok(None) };
    let from = copy.map_or("an empty one".into(), |n| format!("copy {n}"));
    tracing::error!(why, "the database was made again from {from} and the recordings' own files");
    let with = Sources { api: store.api_settings().await?, ..sources.clone() };
    Ok(match config::load(&with) {
        Ok(loaded) => {
            *sources = with;
            Some(loaded.settings)
        }
        Err(_) => {
            tracing::error!("settings made over the API do not go with the files and are ignored");
            None
        }
    })
}
