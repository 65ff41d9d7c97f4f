//! The API document: `docs/api/openrpc.json`, written by hand from the contract.
//!
//! It is the source of truth and takes nothing from the code; tests hold the code against it. It goes
//! out as it stands in the file: 110 KiB of the program's read-only pages, read when somebody asks.

mod reference;
mod words;

#[cfg(test)]
mod agreement;

use std::sync::LazyLock;

use serde_json::value::RawValue;

pub use reference::reference;

/// OpenRPC 1.3, as JSON.
const TEXT: &str = include_str!("../../../docs/api/openrpc.json");

/// What `rpc.discover` answers.
pub(super) fn served() -> &'static RawValue {
    static DOCUMENT: LazyLock<&RawValue> =
        LazyLock::new(|| serde_json::from_str(TEXT).expect("a test reads the document"));
    *DOCUMENT
}
