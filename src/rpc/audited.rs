//! Which calls the audit log tells of: every one that changes something, log-ins, and refusals.

use super::dispatch::{Outcome, Slow};
use super::params::Fields;
use super::session::{Call, Session};
use crate::auth::Deed;
use crate::base::{Error, ErrorKind, Result};

/// Methods that change something, each with the parameter that names what.
const CHANGING: [(&str, Option<&str>); 31] = [
    ("authenticate", None),
    ("claim", None),
    ("set_camera_control", Some("device")),
    ("take_snapshot", Some("device")),
    ("start_recording", Some("device")),
    ("stop_recording", Some("device")),
    ("start_streaming", Some("device")),
    ("stop_streaming", Some("device")),
    // Its address may hold a password.
    ("add_external_stream", Some("stream_name")),
    ("remove_external_stream", None),
    ("discover_external_streams", None),
    ("delete_recording", Some("filename")),
    ("delete_snapshot", Some("filename")),
    ("protect_recording", Some("filename")),
    ("set_retention_policy", Some("policy_type")),
    ("cleanup_old_files", None),
    ("set_discovery_interval", None),
    ("reload_config", None),
    ("rename_device", Some("device")),
    ("pin_device", Some("device")),
    ("forget_device", Some("device")),
    ("create_api_key", Some("name")),
    ("rotate_api_key", Some("id")),
    ("revoke_api_key", Some("id")),
    ("rotate_secret", None),
    ("factory_reset", None),
    // Its address may tell more than a log should.
    ("install_update", Some("file")),
    ("reboot", None),
    ("set_time", Some("time")),
    ("set_network", Some("port")),
    ("confirm_network", None),
];

/// What is to be noted of a method's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audited {
    target: Option<&'static str>,
}

impl Audited {
    /// None: only refusals are.
    pub(super) fn of(method: &str) -> Option<Self> {
        CHANGING.iter().find(|(name, _)| *name == method).map(|(_, target)| Self { target: *target })
    }

    /// What a call is about, before it is carried out.
    pub(super) fn target(self, params: Option<&str>) -> Option<String> {
        let name = self.target?;
        Fields::parse(params).ok()?.optional_string(name, "").ok()?
    }
}

/// Notes how a call ended, now or once it has.
pub(super) fn settle(
    session: &Session,
    method: &'static str,
    audited: Option<Audited>,
    target: Option<String>,
    outcome: Result<Outcome>,
) -> Result<Outcome> {
    match outcome {
        Err(error) => {
            if audited.is_some() || is_refusal(&error) {
                note(&session.call, method, target, Some(&error));
            }
            Err(error)
        }
        Ok(Outcome::Slow(Slow { id, method, work })) if audited.is_some() => {
            let call = session.call.clone();
            let work = Box::pin(async move {
                let result = work.await;
                note(&call, method, target, result.as_ref().err());
                result
            });
            Ok(Outcome::Slow(Slow { id, method, work }))
        }
        Ok(outcome) => {
            if audited.is_some() {
                note(&session.call, method, target, None);
            }
            Ok(outcome)
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AuthFailed | ErrorKind::PermissionDenied)
}

fn note(call: &Call, method: &'static str, target: Option<String>, error: Option<&Error>) {
    let failed = error.map(Error::kind);
    let deed = Deed {
        user: call.caller().map(|login| login.user.clone()),
        address: (!call.reached.near).then_some(call.reached.peer),
        action: method,
        // A stranger's words are nobody's.
        target: target.filter(|_| failed != Some(ErrorKind::AuthFailed)),
        failed,
    };
    call.services.auth.audit(deed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use crate::rpc::methods;

    #[test]
    fn every_method_that_may_change_something_is_noted() {
        let only_reads = |name: &str| name.starts_with("get_") || name.starts_with("list_");
        for method in methods::all() {
            let may_change =
                method.role.is_some_and(|role| role >= Role::Operator) && !only_reads(method.name);
            assert!(!may_change || Audited::of(method.name).is_some(), "{}", method.name);
            assert!(!only_reads(method.name) || Audited::of(method.name).is_none(), "{}", method.name);
        }
    }

    #[test]
    fn the_target_is_the_parameter_whatever_else_is_wrong() {
        let of = |method: &str, params| Audited::of(method).unwrap().target(params);
        assert_eq!(of("delete_snapshot", Some(r#"{"filename":"a.jpg","x":7}"#)).as_deref(), Some("a.jpg"));
        for params in
            [None, Some("[]"), Some("{}"), Some(r#"{"filename":7}"#), Some(r#"{"device":"camera0"}"#)]
        {
            assert_eq!(of("delete_snapshot", params), None, "{params:?}");
        }
        assert_eq!(of("authenticate", Some(r#"{"auth_token":"x"}"#)), None);
        assert_eq!(of("remove_external_stream", Some(r#"{"stream_url":"rtsp://x"}"#)), None);
    }
}
