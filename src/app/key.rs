//! `fieldcam key`: API keys, made and withdrawn on the box itself.

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::{ApiKey, Role};
use crate::base::clock::iso8601;
use crate::base::{Error, Result, units};
use crate::config::Settings;
use crate::ctl::{Link, render};
use crate::rpc::{KeyJson, NewKeyJson};

use super::on_box::{OnBox, Stopped};

/// The most that list_api_keys answers with, which is all that there may be.
const ALL: u32 = 1000;

/// What to do.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is printed once and cannot be shown again
    Create {
        /// viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// What it is for
        #[arg(long)]
        name: String,
        /// How long it lasts, such as 720h [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
        expires: Option<Duration>,
    },
    /// List the keys
    List,
    /// Make a key in place of another one, which goes on for a while
    Rotate {
        /// The id that `key list` shows
        id: String,
        /// How long the former key still works
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = units::parse_duration)]
        overlap: Duration,
        /// How long the new one lasts [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
        expires: Option<Duration>,
    },
    /// End a key at once
    Revoke {
        /// The id that `key list` shows
        id: String,
    },
}

/// Does it; answers with what to print.
pub async fn run(settings: &Settings, work: KeyCommand) -> Result<String> {
    match OnBox::find(settings).await? {
        OnBox::Running(mut link) => over(&mut link, work).await,
        OnBox::Stopped(the_box) => alone(&the_box, work).await,
    }
}

/// By the running box.
async fn over(link: &mut Link, work: KeyCommand) -> Result<String> {
    let (method, params) = match work {
        KeyCommand::List => {
            let page: Value = link.ask("list_api_keys", json!({ "limit": ALL })).await?;
            return Ok(table(page["keys"].as_array().into_iter().flatten()));
        }
        KeyCommand::Create { role, name, expires } => {
            ("create_api_key", json!({ "role": role, "name": name, "expires_in": seconds(expires) }))
        }
        KeyCommand::Rotate { id, overlap, expires } => {
            let overlap = overlap.as_secs();
            ("rotate_api_key", json!({ "id": id, "overlap": overlap, "expires_in": seconds(expires) }))
        }
        KeyCommand::Revoke { id } => {
            link.call("revoke_api_key", Some(json!({ "id": id }))).await?;
            return Ok(revoked(&id));
        }
    };
    let made: Value = link.ask(method, params).await?;
    let text = |name: &str| made[name].as_str().map(str::to_owned);
    Ok(created(&made, text("replaces").zip(text("replaced_until"))))
}

/// Without one.
async fn alone(the_box: &Stopped, work: KeyCommand) -> Result<String> {
    let auth = &the_box.auth;
    match work {
        KeyCommand::List => {
            let rows = auth.api_keys().into_iter().map(|key| answer(KeyJson::from(key)));
            Ok(table(rows.collect::<Result<Vec<_>>>()?.iter()))
        }
        KeyCommand::Create { role, name, expires } => {
            let new = auth.create_api_key(role, &name, expires).await;
            let new = the_box.tell("create_api_key", Some(name), new).await?;
            Ok(created(&answer(NewKeyJson::from(new))?, None))
        }
        KeyCommand::Rotate { id, overlap, expires } => {
            let new = auth.rotate_api_key(checked(&id)?, overlap, expires).await;
            let (new, until_us) = the_box.tell("rotate_api_key", Some(id.clone()), new).await?;
            Ok(created(&answer(NewKeyJson::from(new))?, Some((id, iso8601(until_us)))))
        }
        KeyCommand::Revoke { id } => {
            let done = auth.revoke_api_key(checked(&id)?).await;
            the_box.tell("revoke_api_key", Some(id.clone()), done).await?;
            Ok(revoked(&id))
        }
    }
}

fn checked(id: &str) -> Result<&str> {
    if ApiKey::is_id(id) {
        Ok(id)
    } else {
        Err(Error::param("id", "must be an id", "`fieldcam key list` shows them"))
    }
}

fn seconds(time: Option<Duration>) -> Option<u64> {
    time.map(|t| t.as_secs())
}

/// As a running box would answer.
fn answer(of: impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(Error::internal)
}

fn created(key: &Value, replaces: Option<(String, String)>) -> String {
    let text = |name: &str, none: &'static str| key[name].as_str().unwrap_or(none).to_owned();
    let mut lines = vec![
        format!("key              {}", text("key", "")),
        format!("id               {}", text("id", "")),
        format!("expires          {}", text("expires_at", "never")),
        format!("stream user      {}", text("stream_user", "")),
        format!("stream password  {}", text("stream_password", "")),
        "The key and the password cannot be shown again. Over RTSP use the stream user, never the key."
            .into(),
    ];
    if let Some((id, until)) = replaces {
        lines.push(format!("The key {id} works until {until}."));
    }
    lines.join("\n")
}

fn revoked(id: &str) -> String {
    format!("{id} is revoked")
}

fn table<'a>(keys: impl Iterator<Item = &'a Value>) -> String {
    let text = |key: &Value, name: &str, none: &str| key[name].as_str().unwrap_or(none).to_owned();
    let row = |k: &Value| {
        let last = text(k, "last_used_at", "never");
        vec![
            text(k, "id", ""),
            text(k, "role", ""),
            text(k, "expires_at", "never"),
            last,
            text(k, "name", ""),
        ]
    };
    let rows: Vec<_> = keys.map(row).collect();
    render(&["ID", "ROLE", "EXPIRES", "LAST USED", "NAME"], &rows)
}
