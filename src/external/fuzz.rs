//! What servers and devices of the network answer, as a fuzzer makes it.

use super::{answer, xml};

/// An answer of an RTSP server, a description of a stream, a document of an ONVIF device.
///
/// Panics when more is taken than came.
pub fn answered(data: &[u8]) {
    if let answer::Read::Whole(_, taken) = answer::read(data) {
        assert!(taken <= data.len());
    }
    let _ = answer::video_codec(data);
    if let Ok(text) = std::str::from_utf8(data) {
        for name in ["XAddrs", "Uri", "Profiles"] {
            let _ = xml::elements(text, name);
        }
    }
}
