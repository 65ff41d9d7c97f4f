//! The guest's second disk: what a run lays over the Debian system, made in a second, so that a change of the box
//! or of a unit needs no new system.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::mediaserver;
use crate::common::said::AGENT;
use crate::common::testbox::PROGRAM;

/// Units and module options, as they lie in the guest.
const SYSTEM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/v4l2/system");
/// What every image of a box holds: of that the daemon's own, for the guest is set up in its own way.
const COMMON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/common");
const OF_COMMON: [&str; 2] = ["usr/lib/systemd/system", "usr/lib/sysusers.d"];

/// Puts the daemon that runs in the guest to its place: `FIELDCAM_TEST_PROGRAM` (a static one, say), or the one of
/// this build, without what only a debugger reads: half of the size.
fn put_program(place: &Path) {
    match std::env::var_os("FIELDCAM_TEST_PROGRAM") {
        Some(program) => drop(std::fs::copy(program, place).unwrap()),
        None => done(Command::new("strip").arg("-o").arg(place).arg(PROGRAM)),
    }
}

/// Puts this test program beside it, for what is to be seen from within a process.
fn put_tests(place: &Path) {
    done(Command::new("strip").arg("-o").arg(place).arg(std::env::current_exe().unwrap()));
}

/// Makes the disk.
pub fn pack(folder: &Path, image: &Path) {
    for part in OF_COMMON {
        let place = folder.join(part);
        std::fs::create_dir_all(&place).unwrap();
        done(Command::new("cp").args(["-r", "-T"]).arg(Path::new(COMMON).join(part)).arg(place));
    }
    done(Command::new("cp").args(["-r", "-T", SYSTEM]).arg(folder));
    let tests = folder.join("usr/lib/test");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::copy(AGENT, tests.join("agent")).unwrap();
    std::fs::set_permissions(tests.join("agent"), PermissionsExt::from_mode(0o755)).unwrap();
    let programs = folder.join("usr/bin");
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::copy(mediaserver::binary(), programs.join("mediamtx")).unwrap();
    put_program(&programs.join("fieldcam"));
    put_tests(&tests.join("tests"));
    let options = ["-all-root", "-comp", "lz4", "-quiet", "-no-progress", "-noappend"];
    done(Command::new("mksquashfs").arg(folder).arg(image).args(options));
}

#[track_caller]
fn done(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}
