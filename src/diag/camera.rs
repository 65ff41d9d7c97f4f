//! A camera in words: what it is, how it does, and what the ladder did for it.

use std::fmt::Write as _;

use crate::pipeline::{CameraView, RecoveryView, Rung};

/// A line, and a few below it for what there is to say besides.
pub(super) fn lines(view: &CameraView) -> String {
    let CameraView { id, name, status, width, height, fps, driver, stream, .. } = view;
    let mut out =
        format!("{id} {} {name:?}: {driver}, {width}x{height}, {fps} fps, {:?}", status.word(), stream.phase);
    let mut more = |what: &str, text: String| {
        let _ = write!(out, "\n  {what}: {text}");
    };
    if let Some(hardware) = &view.hardware {
        more("device", format!("{} by {} at {}", hardware.card, hardware.driver, hardware.bus));
    }
    if !view.formats.is_empty() {
        more("formats", view.formats.join(" "));
    }
    if let Some((way, reason)) = &stream.chosen {
        more("encoder", format!("{} ({reason})", way.name()));
    }
    if let Some(meter) = &stream.captured {
        more("pictures", format!("{:?}", meter.counters()));
    }
    if let Some(recovery) = &view.recovery {
        more("recovery", recovered(recovery));
    }
    if let Some(problem) = &view.problem {
        more("problem", problem.clone());
    }
    out.push('\n');
    out
}

/// What each rung was tried and cured, and which one is tried now.
fn recovered(recovery: &RecoveryView) -> String {
    let counts = Rung::ALL.iter().zip(&recovery.counts);
    let each =
        counts.map(|(rung, count)| format!("{} cured {} of {}", rung.word(), count.cured, count.tried));
    let now = recovery.rung.map_or("nothing is tried", Rung::word);
    format!("{}; now: {now}", each.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Tries;

    #[test]
    fn each_rung_is_told_with_its_tries_and_cures() {
        let mut counts = [Tries::default(); 5];
        counts[Rung::Reopen as usize] = Tries { tried: 3, cured: 2 };
        let told = recovered(&RecoveryView { rung: Some(Rung::Rebind), counts });
        assert!(told.contains("RESTREAM cured 0 of 0, REOPEN cured 2 of 3"), "{told}");
        assert!(told.ends_with("; now: REBIND"), "{told}");
        let told = recovered(&RecoveryView { rung: None, counts });
        assert!(told.ends_with("; now: nothing is tried"), "{told}");
    }
}
