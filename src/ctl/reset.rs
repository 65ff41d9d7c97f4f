//! `fieldcam ctl factory-reset`: a box forgets its owner, and its owner forgets the box.

use serde_json::{Value, json};

use super::box_keys::BoxKeys;
use super::known::Known;
use super::link::{Link, read};
use super::screen;
use crate::base::{Error, ErrorKind, Result};

/// Has the box reset itself; `confirm` is its host name, asked for where it is not given.
pub(super) async fn reset(link: &mut Link, confirm: Option<String>, keep: bool, json: bool) -> Result<()> {
    let confirm = match confirm {
        Some(name) => name,
        None => asked(link, keep).await?,
    };
    let raw =
        link.call("factory_reset", Some(json!({ "confirm": confirm, "keep_recordings": keep }))).await?;
    // It comes back as another one: with another certificate, and without this key.
    BoxKeys::open().forget(link)?;
    Known::open().forget(link.host())?;
    if json {
        screen::line(raw.get());
    } else {
        let answer: Value = read(&raw)?;
        screen::line(answer["message"].as_str().unwrap_or_default());
        screen::remark("claim it again with the code that it shows then: fieldcam ctl claim");
    }
    Ok(())
}

async fn asked(link: &Link, keep: bool) -> Result<String> {
    let what =
        if keep { "everything but its recordings and snapshots" } else { "everything, its recordings too" };
    screen::remark(&format!("{} will forget {what}.", link.host()));
    let typed = tokio::task::spawn_blocking(|| {
        screen::prompt("Its host name, to go on: ");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line.trim().to_owned())
    });
    let typed = typed.await.map_err(Error::internal)?.unwrap_or_default();
    if typed.is_empty() {
        return Err(Error::new(ErrorKind::InvalidParams, "Nothing was reset")
            .with("suggestion", "type the box's host name when asked, or give --confirm NAME"));
    }
    Ok(typed)
}
