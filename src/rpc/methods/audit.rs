//! get_audit_log: who did what, for administrators. Ours.

use serde::Serialize;

use super::shared::Page;
use crate::base::Result;
use crate::base::clock::iso8601;
use crate::rpc::session::Call;

#[derive(Serialize)]
struct Entry {
    timestamp: String,
    user: Option<String>,
    address: Option<String>,
    action: String,
    target: Option<String>,
    result: String,
}

#[derive(Serialize)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    total: u64,
    limit: u32,
    offset: u64,
}

/// A page of the log, with everything that was answered before.
pub(super) async fn log(call: Call, page: Page) -> Result<Entries> {
    let (rows, total) = call.services.auth.audit_log(page.limit, page.skip()).await?;
    let entries = rows.into_iter().map(|row| Entry {
        timestamp: iso8601(row.at_us),
        user: row.user,
        address: row.address,
        action: row.action,
        target: row.target,
        result: row.result,
    });
    Ok(Entries { entries: entries.collect(), total, limit: page.limit, offset: page.offset })
}
