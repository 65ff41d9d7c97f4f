//! What the image builder keeps from one run to the next is taken again by a clone in another place.

use std::fs;

use tempfile::TempDir;

use super::{at, command};

/// What FFmpeg is called in a clone whose builder's file says `file`, of the source that is locked so, built in the tree with
/// this hash.
fn ffmpeg_key(file: &str, lock: Option<&str>, tree: &str) -> String {
    let clone = TempDir::new().unwrap();
    if let Some(lock) = lock {
        fs::write(clone.path().join("ffmpeg-source.lock"), lock).unwrap();
    }
    fs::write(clone.path().join("ffmpeg.sh"), file).unwrap();
    let script = "suite=trixie lock_dir=$1; source \"$1/ffmpeg.sh\"; key_of_ffmpeg \"$1/target/images/trees/ffmpeg-$2\"";
    let out = command("bash").args(["-euc", script, "key"]).arg(clone.path()).arg(tree).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn ffmpeg_is_kept_by_what_goes_into_it_and_not_by_where_it_was_built() {
    let file = fs::read_to_string(at("images/lib/ffmpeg.sh")).unwrap();
    let key = ffmpeg_key(&file, None, "0123456789ab");
    assert!(super::is_hex(key.trim_end(), 12), "{key:?}");
    assert_eq!(ffmpeg_key(&file, None, "0123456789ab"), key, "another folder");
    assert_ne!(ffmpeg_key(&file, Some("ffmpeg_1.dsc source 1 00"), "0123456789ab"), key, "another source");
    assert_ne!(ffmpeg_key(&file, None, "ba9876543210"), key, "other packages");
    let other = file.replacen("--disable-debug", "--enable-debug", 1);
    assert_ne!(other, file);
    assert_ne!(ffmpeg_key(&other, None, "0123456789ab"), key, "other options");
}
