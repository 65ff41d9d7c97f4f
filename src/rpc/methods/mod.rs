//! The contract's methods by subject; each file holds parameters, results and handlers of its own.

mod audit;
mod cameras;
mod claim;
mod controls;
mod devices;
mod events;
mod external;
mod keys;
mod login;
mod metrics;
mod network;
mod recordings;
mod reload;
mod reset;
mod secret;
mod shared;
mod snapshots;
mod status;
mod storage;
mod streams;
mod time;
mod update;

pub(super) use cameras::Camera as CameraRowJson;
pub use keys::{Created as NewKeyJson, Shown as KeyJson};
pub(super) use status::Status as HealthJson;

use super::document;
use super::params::Nothing;
use super::table::{Method, enter, enter_as, later, now, open_later, open_now};
use crate::auth::Role::{Admin, Operator, Viewer};

/// Every method. The roles are contract.md's.
pub(super) fn all() -> Vec<Method> {
    vec![
        open_now("ping", None, |_, Nothing| Ok("pong")),
        enter("authenticate", login::authenticate),
        enter("claim_challenge", claim::challenge),
        open_later("claim", claim::claim),
        now("rpc.discover", Viewer, |_, Nothing| Ok(document::served())),
        now("get_camera_list", Viewer, cameras::list),
        now("get_camera_status", Viewer, cameras::status),
        now("get_camera_capabilities", Viewer, cameras::capabilities),
        now("list_devices", Viewer, devices::list),
        later("rename_device", Operator, devices::rename),
        later("pin_device", Operator, devices::pin),
        later("forget_device", Admin, devices::forget),
        later("get_camera_controls", Viewer, controls::list),
        later("set_camera_control", Operator, controls::set),
        later("take_snapshot", Operator, snapshots::take),
        later("list_snapshots", Viewer, snapshots::list),
        later("get_snapshot_info", Viewer, snapshots::info),
        later("delete_snapshot", Admin, snapshots::delete),
        later("start_recording", Operator, recordings::start),
        later("stop_recording", Operator, recordings::stop),
        later("list_recordings", Viewer, recordings::list),
        later("get_recording_info", Viewer, recordings::info),
        later("delete_recording", Admin, recordings::delete),
        later("protect_recording", Admin, recordings::protect),
        later("start_streaming", Operator, streams::start),
        later("stop_streaming", Operator, streams::stop),
        now("get_stream_url", Viewer, streams::url),
        now("get_stream_status", Viewer, streams::status),
        now("get_streams", Viewer, streams::list),
        enter_as("subscribe_events", Viewer, events::subscribe),
        enter_as("unsubscribe_events", Viewer, events::unsubscribe),
        enter_as("get_subscription_stats", Viewer, events::stats),
        later("get_storage_info", Admin, storage::info),
        later("set_retention_policy", Admin, storage::set_policy),
        later("cleanup_old_files", Admin, storage::cleanup),
        later("discover_external_streams", Operator, external::discover),
        later("add_external_stream", Operator, external::add),
        later("remove_external_stream", Operator, external::remove),
        later("get_external_streams", Viewer, external::list),
        later("set_discovery_interval", Admin, external::set_interval),
        later("get_audit_log", Admin, audit::log),
        later("create_api_key", Admin, keys::create),
        now("list_api_keys", Admin, keys::list),
        later("rotate_api_key", Admin, keys::rotate),
        later("revoke_api_key", Admin, keys::revoke),
        later("rotate_secret", Admin, secret::rotate),
        later("update_status", Viewer, update::status),
        later("install_update", Admin, update::install),
        later("reboot", Admin, update::reboot),
        later("set_time", Admin, time::set),
        later("get_network", Viewer, network::get),
        later("set_network", Admin, network::set),
        later("confirm_network", Admin, network::confirm),
        later("reload_config", Admin, reload::reload),
        later("factory_reset", Admin, reset::reset),
        now("get_status", Admin, status::status),
        now("get_metrics", Admin, metrics::metrics),
        now("get_system_status", Viewer, status::progress),
        now("get_server_info", Viewer, status::server_info),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A copy of contract.md's lists, on purpose not taken from the table.
    #[test]
    fn every_method_of_the_contract_so_far_has_its_role() {
        let want = [
            ("", "ping authenticate claim_challenge claim"),
            (
                "viewer",
                "get_camera_list get_camera_status get_camera_capabilities list_recordings list_snapshots \
                 get_recording_info get_snapshot_info subscribe_events unsubscribe_events \
                 get_subscription_stats get_stream_url get_stream_status get_streams get_server_info get_system_status \
                 get_external_streams rpc.discover",
            ),
            (
                "operator",
                "take_snapshot start_recording stop_recording start_streaming stop_streaming \
                 discover_external_streams add_external_stream remove_external_stream",
            ),
            (
                "admin",
                "delete_recording delete_snapshot get_metrics get_status get_storage_info set_retention_policy \
                 cleanup_old_files set_discovery_interval",
            ),
            // These are ours, as is the last of the viewer's.
            ("viewer", "list_devices update_status get_network"),
            ("operator", "rename_device pin_device"),
            ("viewer", "get_camera_controls"),
            ("operator", "set_camera_control"),
            (
                "admin",
                "forget_device protect_recording reload_config create_api_key list_api_keys rotate_api_key revoke_api_key \
                 get_audit_log rotate_secret factory_reset install_update reboot set_time set_network confirm_network",
            ),
        ];
        let want: BTreeMap<&str, &str> = want
            .iter()
            .flat_map(|(role, names)| names.split_whitespace().map(move |name| (name, *role)))
            .collect();
        let have = all();
        let have: BTreeMap<&str, &str> =
            have.iter().map(|m| (m.name, m.role.map_or("", |r| r.word()))).collect();
        assert_eq!(have, want);
    }
}
