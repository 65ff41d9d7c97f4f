//! The laptop's tool, `fieldcam ctl`: a client of the public API and of nothing else.
//!
//! Owns no state on the box; on the laptop only the files it downloads. Promises: whatever fails is
//! said with the next step and as an exit code (0 done, 1 refused or failed, 2 wrong usage); a file
//! has its name only when it is complete, and an interrupted download goes on where it stopped. Costs
//! one connection.

mod args;
mod box_keys;
mod cameras;
mod claim;
mod commands;
mod control;
mod diag;
mod dial;
mod download;
mod failure;
mod find;
mod found;
mod host;
mod known;
mod lines;
mod link;
mod network;
mod progress;
mod range;
mod record;
mod reply;
mod reset;
mod screen;
mod table;
mod update;
mod watch;
mod web;

use std::process::ExitCode;

pub use args::{CtlArgs, CtlCommand};
pub use failure::{describe, exit_code};
pub use host::{Host, Local, no_token, token_for};
pub use link::{Link, Note, connect, read};
pub use table::render;

use crate::base::{Error, Result, Secret};
use box_keys::BoxKeys;

/// Runs one command and reports a failure on standard error. `local` is asked only when the command
/// goes to this machine without a token or a port of its own: it reads the box's data directory.
pub async fn run(args: CtlArgs, local: impl FnOnce() -> Option<Local>) -> ExitCode {
    let json = args.json;
    match commands::run(args, local).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, json);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn report(error: &Error, json: bool) {
    if json {
        screen::error_line(&failure::as_json(error).to_string());
    } else {
        screen::error_line(&describe(error));
    }
}

/// Opens a logged-in connection the way every command does; for the benchmark as well.
pub async fn log_in(
    host: Option<&Host>,
    token_file: Option<&std::path::Path>,
    local: impl FnOnce() -> Option<Local>,
) -> Result<(Link, Host)> {
    let (host, token) = token_for(host, token_file, local)?;
    let link = entered(&host, token).await?;
    let host = link.host().clone();
    Ok((link, host))
}

/// Logs in with `token`, else with the key that this user was given when they claimed the box.
async fn entered(host: &Host, token: Option<Secret>) -> Result<Link> {
    let keys = BoxKeys::open();
    if token.is_none() && keys.is_empty()? {
        return Err(no_token(host));
    }
    let mut link = Link::open(host).await?;
    let token = match token {
        Some(token) => token,
        None => keys.get(&link)?.ok_or_else(|| no_token(host))?,
    };
    link.log_in(token).await?;
    Ok(link)
}
