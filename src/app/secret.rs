//! `fieldcam secret`: another secret for the box, made on the box itself.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::base::clock::iso8601;
use crate::base::{Result, units};
use crate::config::Settings;

use super::on_box::OnBox;

/// What to do.
#[derive(Subcommand)]
pub enum SecretCommand {
    /// Make a new secret; tokens of the former one still work for a while
    Rotate {
        /// How long they do; a running box takes a minute at least
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = units::parse_duration)]
        grace: Duration,
    },
}

/// Does it; answers with what to print.
pub async fn run(settings: &Settings, work: SecretCommand) -> Result<String> {
    let SecretCommand::Rotate { grace } = work;
    let until = match OnBox::find(settings).await? {
        OnBox::Running(mut link) => {
            let done: Value = link.ask("rotate_secret", json!({ "grace": grace.as_secs() })).await?;
            done["former_until"].as_str().unwrap_or_default().to_owned()
        }
        OnBox::Stopped(the_box) => {
            let done = the_box.auth.rotate_secret(grace).await;
            iso8601(the_box.tell("rotate_secret", None, done).await?)
        }
    };
    Ok(format!("the box has a new secret; what the former one signed works until {until}"))
}
