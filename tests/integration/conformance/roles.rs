//! The role matrix, copied by hand from contract.md; nothing here comes from the code or the document.

/// Roles from the least to the most.
pub const ROLES: [&str; 3] = ["viewer", "operator", "admin"];

/// Methods that need no log-in.
const OPEN: [&str; 2] = ["ping", "authenticate"];

const VIEWER: [&str; 16] = [
    "get_camera_list",
    "get_camera_status",
    "get_camera_capabilities",
    "list_recordings",
    "list_snapshots",
    "get_recording_info",
    "get_snapshot_info",
    "get_stream_url",
    "get_stream_status",
    "get_streams",
    "get_system_status",
    "get_server_info",
    "subscribe_events",
    "unsubscribe_events",
    "get_subscription_stats",
    "get_external_streams",
];

const OPERATOR: [&str; 8] = [
    "take_snapshot",
    "start_recording",
    "stop_recording",
    "start_streaming",
    "stop_streaming",
    "discover_external_streams",
    "add_external_stream",
    "remove_external_stream",
];

const ADMIN: [&str; 8] = [
    "delete_recording",
    "delete_snapshot",
    "get_metrics",
    "get_status",
    "get_storage_info",
    "set_retention_policy",
    "cleanup_old_files",
    "set_discovery_interval",
];

/// Fieldcam's own.
const OURS: [(&str, &str); 25] = [
    ("factory_reset", "admin"),
    ("claim_challenge", "none"),
    ("claim", "none"),
    ("get_camera_controls", "viewer"),
    ("set_camera_control", "operator"),
    ("rpc.discover", "viewer"),
    ("list_devices", "viewer"),
    ("rename_device", "operator"),
    ("pin_device", "operator"),
    ("forget_device", "admin"),
    ("reload_config", "admin"),
    ("update_status", "viewer"),
    ("install_update", "admin"),
    ("reboot", "admin"),
    ("set_time", "admin"),
    ("get_network", "viewer"),
    ("set_network", "admin"),
    ("confirm_network", "admin"),
    ("protect_recording", "admin"),
    ("get_audit_log", "admin"),
    ("create_api_key", "admin"),
    ("list_api_keys", "admin"),
    ("rotate_api_key", "admin"),
    ("revoke_api_key", "admin"),
    ("rotate_secret", "admin"),
];

/// Each method with the least role that may call it, "none" for those without log-in.
pub fn table() -> Vec<(&'static str, &'static str)> {
    let with = |role: &'static str| move |name: &&'static str| (*name, role);
    let contract = OPEN.iter().map(with("none")).chain(VIEWER.iter().map(with("viewer")));
    let contract =
        contract.chain(OPERATOR.iter().map(with("operator"))).chain(ADMIN.iter().map(with("admin")));
    let table: Vec<_> = contract.collect();
    assert_eq!(table.len(), 34, "the contract has 34 methods");
    table.into_iter().chain(OURS).collect()
}

/// Whether `role` ("none" for a stranger) may call what needs `needed`.
pub fn may(role: &str, needed: &str) -> bool {
    let level = |role: &str| ROLES.iter().position(|r| *r == role).map_or(0, |at| at + 1);
    level(role) >= level(needed)
}
