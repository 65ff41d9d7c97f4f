//! Beginning anew in the same process.

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::unistd::execv;

use crate::base::Error;

/// Runs `program` with our own arguments in place of this process, which keeps its number: whoever
/// supervises us sees no end. Descriptors close by themselves, all being close-on-exec. Nothing may run
/// any more; what was not waited for is lost.
///
/// Comes back only when it fails.
pub fn start_again(program: &Path) -> Error {
    let words = std::iter::once(program.as_os_str().to_owned()).chain(env::args_os().skip(1));
    let words: Result<Vec<_>, _> = words.map(|word| CString::new(word.into_vec())).collect();
    match words.map_err(Error::internal).map(|words| words.first().map(|path| execv(path, &words))) {
        Ok(Some(Err(errno))) => Error::internal(errno),
        Ok(None) => Error::internal("no program to start again"),
        Err(error) => error,
    }
}
