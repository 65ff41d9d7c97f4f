//! Paths and offers as a fuzzer makes them.

use super::place;

/// The path of a request.
///
/// Panics when a file of a stream has more than a plain name.
pub fn path(path: &str) {
    if let Some(place::Place::Hls { file, .. }) = place::read(path) {
        assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
    }
}
