//! Why an update was not taken, in words that say what to do.

use serde::{Deserialize, Serialize};

use crate::base::{Error, ErrorKind};

/// One reason, as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A word for programs.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub suggestion: String,
}

impl Fault {
    /// As said.
    pub(super) fn new(reason: &str, message: impl Into<String>, suggestion: &str) -> Self {
        Self { reason: reason.into(), message: message.into(), suggestion: suggestion.into() }
    }

    /// The bundle is for another kind of box.
    pub(super) fn wrong_board(bundle: &str, ours: &str) -> Self {
        let message = format!("the bundle is for {bundle}, and this box is a {ours}");
        Self::new("wrong_board", message, "use the bundle that was made for this board")
    }

    /// The bundle's version is not one to go to.
    pub(super) fn older(bundle: &str, ours: &str) -> Self {
        let message =
            format!("the bundle is version {bundle}, which is not known to be as new as {ours}, which runs");
        let suggestion = "an administrator may install it all the same with allow_downgrade";
        Self::new("older_version", message, suggestion)
    }

    /// The bundle is not the one that was meant.
    pub(super) fn wrong_sum(ours: &str) -> Self {
        let message = format!("the bundle's SHA-256 is {ours}, and another one was named");
        Self::new("wrong_checksum", message, "fetch the bundle again and compare its checksum")
    }

    /// RAUC did not answer or is gone.
    pub(super) fn no_rauc(detail: &str) -> Self {
        let message = format!("the installer of this box does not answer ({detail})");
        Self::new("installer_failed", message, "try again; `fieldcam ctl diag` tells more")
    }

    /// What RAUC said of a bundle or an installation. Paths are left out.
    pub(super) fn of_rauc(text: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        let damaged = || {
            Self::new(
                "damaged_bundle",
                "the bundle is damaged or not whole",
                "fetch it again, and compare its checksum with the one it was published with",
            )
        };
        if has(&["ompatible mismatch", "does not match"]) {
            let mut quoted = text.split('\'').skip(1).step_by(2);
            let (ours, bundle) =
                (quoted.next().unwrap_or("another"), quoted.next().unwrap_or("another board"));
            return Self::wrong_board(bundle, ours);
        }
        if text.contains("signature verification failed") {
            // A certificate that leads nowhere is a foreign signer; anything else is a signature that does not fit.
            return if text.contains("Verify error") {
                Self::new(
                    "bad_signature",
                    "the bundle was not signed by one whom this box trusts",
                    "use a bundle of the maker of this box's image",
                )
            } else {
                damaged()
            };
        }
        if has(&["No such file", "cannot be found"]) {
            return Self::new("no_bundle", "there is no such bundle", "upload it first");
        }
        if has(&[
            "Invalid bundle",
            "ignature size",
            "erity",
            "Input/output error",
            "quashfs",
            "asn1",
            "too small",
            "exceeds",
        ]) {
            if has(&["Bundle format", "bundle format '"]) && has(&["not allowed", "unsupported"]) {
                return Self::new(
                    "wrong_format",
                    "the bundle has a format that this box does not take",
                    "make the bundle in the verity format",
                );
            }
            return damaged();
        }
        if has(&["not allowed", "unsupported bundle format"]) {
            return Self::new(
                "wrong_format",
                "the bundle has a format that this box does not take",
                "make the bundle in the verity format",
            );
        }
        if has(&["No space left", "too large", "not enough space"]) {
            return Self::new(
                "too_large",
                "the bundle does not fit into this box's slots",
                "use a smaller image",
            );
        }
        if has(&["lready processing", "lready installing"]) {
            return Self::new("busy", "an installation is under way already", "wait for its end");
        }
        let message = format!("the installer refused: {}", without_paths(text));
        Self::new("install_failed", message, "try again; `fieldcam ctl diag` tells more")
    }

    /// As the answer of a call that named `param`.
    pub(super) fn error(&self, param: &str) -> Error {
        let error = Error::new(ErrorKind::InvalidParams, format!("Invalid params: {}", self.message));
        let error = error.with("param", param).with("rule", self.message.as_str());
        error
            .with("hint", self.suggestion.as_str())
            .with("suggestion", self.suggestion.as_str())
            .with("reason", self.reason.as_str())
    }
}

/// At most 200 characters on one line, words with a slash replaced.
pub(super) fn without_paths(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('/') { "…" } else { word });
    let line: String = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RAUC said of real bundles: 1.13, and 1.15 in the same words.
    #[test]
    fn each_way_to_be_wrong_has_its_own_word() {
        for (text, reason) in [
            (
                "Compatible mismatch: Expected 'fieldcam-test' but bundle manifest has 'fieldcam-other'",
                "wrong_board",
            ),
            ("signature verification failed: Verify error: self-signed certificate", "bad_signature"),
            (
                "signature verification failed: Verify error: unable to get local issuer certificate",
                "bad_signature",
            ),
            (
                "signature verification failed: error:1700009E:CMS routines::verification failure",
                "damaged_bundle",
            ),
            (
                "Invalid bundle format: Signature size (13784835285739348131) exceeds bundle size",
                "damaged_bundle",
            ),
            (
                "Invalid bundle format: Failed to open bundle for reading: Error opening file /x/y: No such file or directory",
                "no_bundle",
            ),
            ("Installation error: Failed updating slot rootfs.1: Input/output error", "damaged_bundle"),
            ("Bundle format 'plain' not allowed", "wrong_format"),
            ("Already processing a different method", "busy"),
            ("Failed to frobnicate /dev/sda1 badly", "install_failed"),
        ] {
            let fault = Fault::of_rauc(text);
            assert_eq!(fault.reason, reason, "{text}");
            assert!(!fault.message.contains('/') && !fault.suggestion.is_empty(), "{fault:?}");
        }
        let board = Fault::of_rauc(
            "Compatible mismatch: Expected 'fieldcam-rpi' but bundle manifest has 'fieldcam-orin'",
        );
        assert_eq!(board.message, "the bundle is for fieldcam-orin, and this box is a fieldcam-rpi");
    }
}
