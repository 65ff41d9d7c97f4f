//! What only root may do, and what the bootloader knows: asked of the box's helper.

use std::time::Duration;

use super::UpdateOptions;
use super::slots::BootState;
use crate::base::{Error, Result};
use crate::helper::{self, Errand};

/// The helper may have to be started, and runs RAUC's program.
const HELP: Duration = Duration::from_secs(60);
/// A mark comes after all of the root file system was read, from a slow card too.
const MARK: Duration = Duration::from_secs(180);
/// How often, and how many times more, the bootloader is asked at the start of a program that cannot use the data.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_AGAIN: usize = 5;

/// What the bootloader knows; none where there is no helper, or no such bootloader.
pub(super) async fn boot_state(options: &UpdateOptions) -> Option<BootState> {
    match ask(options, Errand::BootState).await {
        Ok(line) => Some(BootState::parse(&line)),
        Err(e) => {
            tracing::debug!("the bootloader's state is not known: {}", e.chain());
            None
        }
    }
}

/// [`boot_state`] at the start of the program. A version that cannot use the data asks again for a while, for it rests on
/// the answer whether that version is kept.
pub(super) async fn first_boot_state(options: &UpdateOptions) -> Option<BootState> {
    for _ in 0..ASK_AGAIN {
        match boot_state(options).await {
            None if options.here.data.is_some() && helper::is_there(&options.helper) => {
                tracing::warn!("the bootloader did not say which slot is good; it is asked again");
                tokio::time::sleep(ASK_EVERY).await;
            }
            known => return known,
        }
    }
    boot_state(options).await
}

/// Has the box's helper do an errand. Fails with `Unsupported` where there is none.
pub(super) async fn ask(options: &UpdateOptions, errand: Errand) -> Result<String> {
    if !helper::is_there(&options.helper) {
        let reason = "this machine has no helper that may do it (fieldcam-box.socket)";
        return Err(Error::unsupported("box_helper", reason)
            .with("suggestion", "do it on the machine itself, or install Fieldcam's image"));
    }
    let limit = if matches!(errand, Errand::Commit { .. }) { MARK } else { HELP };
    helper::ask(&options.helper, &errand, limit).await.map_err(|why| {
        Error::dependency("box helper", "it did not do what it was asked for")
            .with("suggestion", "try again; `fieldcam ctl diag` tells more")
            .caused_by(std::io::Error::other(why))
    })
}
