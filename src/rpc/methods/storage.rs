//! The disk, and what goes from it by itself.

use serde::Serialize;

use crate::base::{Error, Result};
use crate::retention::{Kind, Wish};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;

#[derive(Serialize)]
pub(super) struct Info {
    total_space: u64,
    used_space: u64,
    available_space: u64,
    usage_percentage: f64,
    recordings_size: u64,
    snapshots_size: u64,
    low_space_warning: bool,
    /// Where nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary: Option<TemporaryJson>,
}

#[derive(Serialize)]
pub(super) struct TemporaryJson {
    reason: &'static str,
    message: &'static str,
    suggestion: &'static str,
}

pub(super) async fn info(call: Call, _: Nothing) -> Result<Info> {
    let kept = call.services.retention.kept().await?;
    let disk = call.services.recordings.storage();
    Ok(Info {
        total_space: disk.total,
        used_space: disk.used,
        available_space: disk.available,
        usage_percentage: disk.used_percent,
        recordings_size: kept.recordings,
        snapshots_size: kept.snapshots,
        low_space_warning: disk.low,
        temporary: call.services.update.here().data.map(|why| TemporaryJson {
            reason: why.word(),
            message: why.message(),
            suggestion: why.suggestion(),
        }),
    })
}

impl Params for Wish {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let words = [Kind::Age, Kind::Size, Kind::Manual].map(|kind| (kind.word(), kind));
        let required = |name: &str, hint: &str| Error::param(name, "is required", hint);
        Ok(Self {
            kind: fields
                .optional_word("policy_type", &words)?
                .ok_or_else(|| required("policy_type", "one of age, size, manual"))?,
            enabled: fields.switch("enabled")?,
            max_age_days: fields.optional_positive("max_age_days")?,
            max_size_gb: fields.optional_positive("max_size_gb")?,
        })
    }
}

#[derive(Serialize)]
pub(super) struct PolicyJson {
    policy_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_days: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size_gb: Option<f64>,
    enabled: bool,
    message: String,
}

pub(super) async fn set_policy(call: Call, wish: Wish) -> Result<PolicyJson> {
    let policy = call.services.reloader.set_retention(&wish).await?;
    Ok(PolicyJson {
        policy_type: policy.kind.word(),
        max_age_days: policy.max_age_days.filter(|_| policy.kind == Kind::Age),
        max_size_gb: policy.max_size_gb.filter(|_| policy.kind == Kind::Size),
        enabled: policy.enabled,
        message: policy.message(),
    })
}

#[derive(Serialize)]
pub(super) struct Cleanup {
    cleanup_executed: bool,
    files_deleted: u64,
    space_freed: u64,
    message: String,
}

pub(super) async fn cleanup(call: Call, _: Nothing) -> Result<Cleanup> {
    let cleaned = call.services.retention.cleanup().await?;
    Ok(Cleanup {
        cleanup_executed: cleaned.executed,
        files_deleted: cleaned.files,
        space_freed: cleaned.bytes,
        message: cleaned.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_its_type_and_takes_fractions() {
        let wish = |text| Wish::read(&Fields::parse(Some(text)).unwrap());
        let both = r#"{"policy_type":"age","enabled":true,"max_age_days":0.5,"max_size_gb":3}"#;
        let want = Wish { kind: Kind::Age, enabled: true, max_age_days: Some(0.5), max_size_gb: Some(3.0) };
        assert_eq!(wish(both).unwrap(), want);
        let param = |text| wish(text).unwrap_err().data()["param"].clone();
        for (text, name) in [
            (r#"{"enabled":true}"#, "policy_type"),
            (r#"{"policy_type":"old","enabled":true}"#, "policy_type"),
            (r#"{"policy_type":"age"}"#, "enabled"),
            (r#"{"policy_type":"age","enabled":1}"#, "enabled"),
            (r#"{"policy_type":"age","enabled":true,"max_age_days":0}"#, "max_age_days"),
            (r#"{"policy_type":"age","enabled":true,"max_age_days":"7"}"#, "max_age_days"),
            (r#"{"policy_type":"size","enabled":true,"max_size_gb":1e999}"#, "max_size_gb"),
        ] {
            assert_eq!(param(text), name, "{text}");
        }
    }
}
