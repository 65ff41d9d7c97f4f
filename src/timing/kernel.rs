//! Whether a time server keeps the clock, and what the system knew of the time before us.

use std::path::Path;
use std::time::SystemTime;

use nix::libc;

/// systemd-timesyncd touches it whenever it has set the clock by a server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Two of its longest pauses between questions.
const FRESH_MS: i64 = 2 * 2_048_000;
/// systemd never lets the clock start before the times of these: the image's, and timesyncd's own note.
const EPOCHS: [&str; 2] = ["/usr/lib/clock-epoch", "/var/lib/systemd/timesync/clock"];

/// Whether the clock, which says `now_ms` (milliseconds since 1970), is in step with a time server. The kernel tells; where the sandbox does not let us ask it, the
/// trace of systemd-timesyncd does.
pub(super) fn in_step(now_ms: i64) -> bool {
    kernel().unwrap_or_else(|| modified_ms(Path::new(SYNCHRONISED)).is_some_and(|at| is_fresh(at, now_ms)))
}

/// A trace of the server's last word counts for so long; one from the future tells of a clock that was set back since.
fn is_fresh(at_ms: i64, now_ms: i64) -> bool {
    (0..FRESH_MS).contains(&now_ms.saturating_sub(at_ms))
}

/// The kernel's word; none where it may not be asked.
#[expect(unsafe_code, reason = "no crate here has this call; it only reads")]
fn kernel() -> Option<bool> {
    // SAFETY: all of it is numbers, for which zeros are good; `modes` 0 changes nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes into a structure of its own layout, which lives on.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    (answer >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

/// The latest time that the system and this program vouch for, in milliseconds since 1970.
pub(super) fn epoch_ms() -> i64 {
    let built = env!("FIELDCAM_BUILD_DATE").parse::<jiff::Timestamp>().map_or(0, |t| t.as_millisecond());
    let modified = EPOCHS.iter().filter_map(|file| modified_ms(Path::new(file)));
    modified.chain([built]).max().unwrap_or(built)
}

fn modified_ms(file: &Path) -> Option<i64> {
    let at = std::fs::metadata(file).ok()?.modified().ok()?;
    i64::try_from(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_time_server_counts_for_a_while() {
        let at = 1_795_000_000_000;
        for (later, fresh) in [(0, true), (FRESH_MS - 1, true), (FRESH_MS, false), (-1, false)] {
            assert_eq!(is_fresh(at, at + later), fresh, "{later}");
        }
    }

    #[test]
    fn this_machine_can_be_asked_and_is_later_than_the_build() {
        // Either answer is right; that there is one shows the call.
        assert!(kernel().is_some());
        assert!(epoch_ms() > 1_735_689_600_000);
    }
}
