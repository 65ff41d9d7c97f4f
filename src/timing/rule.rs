//! What may be done with the clock: pure.

use crate::base::{Error, Result};

/// The last time that the clock is set to: the end of the year 2099. Milliseconds since 1970.
const LAST_MS: i64 = 4_102_444_799_000;

/// Whether the clock may be set by hand at all.
///
/// Fails with `InvalidState` when a time server keeps it.
pub(super) fn may(in_step: bool) -> Result<()> {
    if in_step {
        let text = "a time server keeps the clock, and would set it again";
        return Err(Error::state(text, "ntp", &["set", "kept", "unknown"]));
    }
    Ok(())
}

/// Whether it may be set to `asked`. Both in milliseconds since 1970 UTC; `floor` is the last time known when the box
/// started.
///
/// Fails with `InvalidParams` (param `time`) when the time cannot be.
pub(super) fn judge(asked: i64, floor: i64) -> Result<()> {
    if asked < floor {
        let rule = "must not be before the last time that the box knew, or was built";
        return Err(Error::param("time", rule, "check the laptop's own clock"));
    }
    if asked > LAST_MS {
        return Err(Error::param("time", "must be before the year 2100", "check the laptop's own clock"));
    }
    Ok(())
}

/// What is to be kept as the last time known, of what is kept and what the clock says. A time server may take it
/// back; nothing else does.
pub(super) fn keep(kept: i64, now: i64, in_step: bool) -> i64 {
    if in_step { now } else { now.max(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn the_clock_is_never_set_below_what_was_known_and_never_against_a_time_server() {
        let now = 1_795_000_000_000;
        assert!(judge(now, now).is_ok() && judge(now + 1, now).is_ok() && may(false).is_ok());
        assert_eq!(may(true).unwrap_err().kind(), ErrorKind::InvalidState);
        for bad in [now - 1, 0, -1, i64::MIN, LAST_MS + 1, i64::MAX] {
            assert_eq!(judge(bad, now).unwrap_err().kind(), ErrorKind::InvalidParams, "{bad}");
        }
    }

    #[test]
    fn what_is_kept_goes_back_for_a_time_server_only() {
        assert_eq!(keep(100, 200, false), 200);
        assert_eq!(keep(200, 100, false), 200);
        assert_eq!(keep(200, 100, true), 100);
    }
}
