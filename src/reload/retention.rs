//! The retention policy set over the API: kept, and in force at once.

use super::Reloader;
use crate::base::{Error, Result};
use crate::config;
use crate::retention::{Policy, Wish};

impl Reloader {
    /// Keeps the policy in the layer of the API's settings and puts it into force; answers with what is
    /// in force then.
    ///
    /// Fails with `InvalidParams` when the limit that decides is missing, and with `InvalidState` when
    /// an environment variable, which wins over the API, says something else for ever.
    pub async fn set_retention(&self, wish: &Wish) -> Result<Policy> {
        let inner = &*self.0;
        let mut running = inner.running.lock().await;
        let mut storage = running.storage.clone();
        wish.enter(&mut storage)?;
        let settings = wish.settings();
        self.must_be_free("the retention policy", settings.iter().map(|(path, _)| *path))?;
        inner.store.set_api_settings(settings).await?;
        running.storage = storage;
        let policy = Policy::of(&running.storage);
        inner.retention.set(policy.clone());
        Ok(policy)
    }

    /// Refuses to set keys that an environment variable sets for ever; `what` they are to people.
    pub(super) fn must_be_free(
        &self,
        what: &str,
        mut paths: impl Iterator<Item = &'static str>,
    ) -> Result<()> {
        let keys = config::keys();
        let is_set = |name: &String| self.0.sources.environment.iter().any(|(n, _)| n.to_str() == Some(name));
        let variable =
            |path: &'static str| keys.iter().find(|k| k.path() == path).map(|k| k.variable()).filter(is_set);
        match paths.find_map(variable) {
            None => Ok(()),
            Some(variable) => {
                let what = format!("{what} is fixed by the environment of the program");
                Err(Error::state(what, "FIXED", &["CONFIGURABLE"])
                    .with("reason", "environment")
                    .with("suggestion", format!("take {variable} out of the environment and start again")))
            }
        }
    }
}
