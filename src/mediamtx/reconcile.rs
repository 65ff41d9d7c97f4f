//! Bringing a running MediaMTX to the desired state, whatever it has.

use super::api::{Api, Fault};
use super::handle::{Inner, outward};
use super::pulse::Pulse;
use super::reply;

/// Makes MediaMTX's paths those desired: what is too many goes, all others are told again, which
/// changes nothing where nothing differs. To be called under the writer's lock. Fails when MediaMTX
/// stops answering; a path it refuses is told to the log and passed over.
pub(super) async fn reconcile(inner: &Inner, api: &Api) -> Result<(), Fault> {
    let limit = Pulse::TIME_OUT;
    let mut present = Vec::new();
    api.list("config/paths", limit, |page| present.extend(reply::names(page))).await?;
    let wanted: Vec<String> = inner.desired().0.keys().cloned().collect();
    let extra: Vec<String> = present.into_iter().filter(|name| !wanted.contains(name)).collect();
    for name in wanted.iter().chain(&extra) {
        let told = match inner.body(name) {
            Some(body) => api.replace_path(name, &body, limit).await,
            None => api.delete_path(name, limit).await,
        };
        match told {
            Ok(()) => {}
            Err(fault @ Fault::Refused(..)) => {
                tracing::error!(path = name, "MediaMTX refused a path: {}", outward(fault).chain());
            }
            Err(down @ Fault::Down(_)) => return Err(down),
        }
    }
    Ok(())
}
