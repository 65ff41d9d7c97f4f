//! Messages and parameters as a fuzzer makes them.

use std::sync::OnceLock;

use super::envelope;
use super::methods;
use super::params::Fields;
use super::table::Method;

fn table() -> &'static [Method] {
    static TABLE: OnceLock<Vec<Method>> = OnceLock::new();
    TABLE.get_or_init(methods::all)
}

/// One message of a socket, down to the parameters of the method it names.
pub fn message(data: &[u8]) {
    let Ok(request) = envelope::parse(data) else { return };
    let Ok(fields) = Fields::parse(request.params) else { return };
    if let Some(method) = table().iter().find(|m| *m.name == *request.method) {
        let _ = (method.reads)(&fields);
    }
}

/// Parameters, as each method would read them.
pub fn params(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(fields) = Fields::parse(Some(text)) else { return };
    for method in table() {
        let _ = (method.reads)(&fields);
    }
}
