//! Tokens made on the box itself: whoever may read the data directory needs no other log-in.

use std::time::Duration;

use crate::auth::{Auth, Role};
use crate::base::{Clock, Error, ErrorKind, Result, Secret};
use crate::config::{self, Settings, Sources};
use crate::ctl::Local;

use super::compose::endpoints_file;

/// How long a token that `ctl` makes for itself lasts: one command, however long its recording.
const LOCAL_TTL: Duration = Duration::from_secs(24 * 3600);

/// A token made with the secret of the box that `settings` describe.
pub fn mint(settings: &Settings, role: Role, user: &str, ttl: Duration) -> Result<Secret> {
    let secrets = settings.storage.data_dir.join("secrets");
    if settings.auth.jwt_secret.is_none() && !secrets.is_dir() {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "{} is not the data directory of a box that ran; start it once, or set FIELDCAM_STORAGE__DATA_DIR",
                settings.storage.data_dir.display()
            ),
        ));
    }
    let auth = Auth::open(
        &secrets,
        settings.auth.jwt_secret.as_ref(),
        Clock::new(),
        settings.auth.rate_limit_per_minute,
    )?;
    auth.mint(role, user, ttl)
}

/// The way into the box whose data directory this process may read: a token, and the address from
/// `run/endpoints.json`. None when there is no such box, or it may not be read.
pub fn local_door() -> Option<Local> {
    let loaded = config::load(&Sources::of_process(None)).ok()?;
    let settings = loaded.settings;
    let token = mint(&settings, Role::Admin, "local", LOCAL_TTL).ok();
    Some(Local { token, port: Some(port(&settings)) })
}

/// The API's port as the box of `settings` wrote it down, or as it is configured.
pub fn port(settings: &Settings) -> u16 {
    let text = std::fs::read_to_string(endpoints_file(&settings.storage.data_dir)).ok();
    text.and_then(|t| port_of(&t)).unwrap_or(settings.server.listen.port())
}

/// The API's port in the text of `endpoints.json`.
fn port_of(text: &str) -> Option<u16> {
    let endpoints: serde_json::Value = serde_json::from_str(text).ok()?;
    url::Url::parse(endpoints["http"].as_str()?).ok()?.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_endpoints() {
        assert_eq!(port_of(r#"{"http":"http://127.0.0.1:41234"}"#), Some(41234));
        for torn in ["", "{", "{}", r#"{"http":1}"#, r#"{"http":"nonsense"}"#] {
            assert_eq!(port_of(torn), None, "{torn}");
        }
    }
}
