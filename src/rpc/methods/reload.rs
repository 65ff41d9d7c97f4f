//! reload_config: ours, for whoever administers the box on the box itself.

use crate::base::{Error, ErrorKind, Result};
use crate::reload::Report;
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

pub(super) struct Reload {
    force: bool,
}

impl Params for Reload {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { force: fields.optional_switch("force")?.unwrap_or(false) })
    }
}

/// Reads the configuration again.
pub(super) async fn reload(call: Call, p: Reload) -> Result<Report> {
    if !call.reached.near {
        // Mistakes in files are told to those who can see the files.
        return Err(Error::new(ErrorKind::PermissionDenied, "Permission denied: only on the box itself")
            .with("required_role", "admin")
            .with("have_role", call.login().role.word())
            .with("reason", "local_only")
            .with("suggestion", "run `fieldcam ctl reload` on the box"));
    }
    call.services.reloader.reload(p.force).await
}
