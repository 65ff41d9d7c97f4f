//! Makes the room that takes new versions in.

use crate::base::Result;
use crate::config::Settings;
use crate::notice::Notices;
use crate::pipeline::Cameras;
use crate::reach::Reach;
use crate::supervise::Group;
use crate::update::{Here, Update, UpdateOptions};

use super::data_dir::DataDir;

/// As the settings say, for the data directory and the cameras of this box.
pub(super) async fn start(
    settings: &Settings,
    data: &DataDir,
    cameras: &Cameras,
    reach: Reach,
    notices: Notices,
    group: &Group,
) -> Result<Update> {
    let here = Here::read(&settings.update.boot_facts);
    if let Some(why) = here.data {
        data.disk().only_for_now(why);
        tracing::error!("{}: {}", why.message(), why.suggestion());
    }
    let options = UpdateOptions {
        data: data.root().to_owned(),
        held: data.disk().held().to_owned(),
        here,
        helper: settings.update.helper.clone(),
        deadline: settings.update.commit_deadline,
        cameras: cameras.clone(),
        reach,
        notices,
    };
    Update::start(options, group).await
}
