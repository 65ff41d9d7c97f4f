//! What a new configuration means for the cameras that run, as pure code.

use std::collections::BTreeSet;

use crate::base::CameraId;
use crate::camera::{CameraDef, Wanted};

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Identities of cameras that are new here, or were gone.
    pub added: Vec<String>,
    /// Cameras that have to start again.
    pub restarted: Vec<CameraId>,
    /// Cameras that take a new name or habit without a gap.
    pub settled: Vec<CameraId>,
    /// Cameras that are no longer configured.
    pub removed: Vec<CameraId>,
    /// Cameras that nothing happens to.
    pub unchanged: Vec<CameraId>,
}

/// Why it is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// These are being recorded and would be interrupted or end.
    Recording(Vec<CameraId>),
    /// A section asks for an id that it cannot have.
    Id(CameraId),
}

/// Compares the cameras that run with those that are wanted. `known` holds every camera ever seen,
/// `recording` those that are being recorded.
pub fn plan(
    now: &[CameraDef],
    wanted: &[Wanted],
    known: &[(CameraId, String)],
    recording: &BTreeSet<CameraId>,
    force: bool,
) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    for want in wanted {
        let id = known.iter().find(|(_, identity)| *identity == want.identity).map(|(id, _)| *id);
        if let Some(asked) = want.section.id {
            let owner = known.iter().find(|(id, _)| *id == asked).map(|(_, identity)| identity);
            if id.is_some_and(|id| id != asked) || owner.is_some_and(|owner| *owner != want.identity) {
                return Err(Refusal::Id(asked));
            }
        }
        match now.iter().find(|def| def.identity == want.identity) {
            None => plan.added.push(want.identity.clone()),
            Some(def) => {
                let new = want.define(def.id, def.strip_audio);
                if new == *def {
                    plan.unchanged.push(def.id);
                } else if new.needs_restart_from(def) {
                    plan.restarted.push(def.id);
                } else {
                    plan.settled.push(def.id);
                }
            }
        }
    }
    let is_wanted = |def: &&CameraDef| wanted.iter().any(|want| want.identity == def.identity);
    plan.removed = now.iter().filter(|def| !is_wanted(def)).map(|def| def.id).collect();
    let mut hurt: Vec<_> = plan.removed.iter().chain(&plan.restarted).copied().collect();
    hurt.retain(|id| recording.contains(id));
    if hurt.is_empty() || force { Ok(plan) } else { Err(Refusal::Recording(hurt)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::wanted;
    use crate::config::Loaded;

    const GATE: &str = "[[camera]]\nsource = \"rtsp://a:first@gate/1\"\nname = \"Gate\"\n";
    const TEST: &str = "[[camera]]\nsource = \"test:testsrc2\"\nresolution = \"640x360\"\n";

    fn want(text: &str) -> Vec<Wanted> {
        wanted(
            &Loaded::from_text(&format!("[cameras]\nsynthetic = 0\n{text}")).unwrap().settings,
            &[],
            &[],
            false,
        )
    }

    fn running(text: &str) -> Vec<CameraDef> {
        want(text).iter().zip(0..).map(|(w, n)| w.define(CameraId(n), false)).collect()
    }

    /// The plan from one text to another; camera0 is recorded when `recorded`.
    fn from_to(old: &str, new: &str, recorded: bool, force: bool) -> Result<Plan, Refusal> {
        let now = running(old);
        let known: Vec<_> = now.iter().map(|def| (def.id, def.identity.clone())).collect();
        let recording = if recorded { [CameraId(0)].into() } else { BTreeSet::new() };
        plan(&now, &want(new), &known, &recording, force)
    }

    #[test]
    fn what_did_not_change_is_not_touched_whatever_its_place() {
        let both = format!("{GATE}{TEST}");
        let swapped = format!("{TEST}{GATE}");
        let plan = from_to(&both, &swapped, true, false).unwrap();
        let mut unchanged = plan.unchanged.clone();
        unchanged.sort();
        assert_eq!(unchanged, [CameraId(0), CameraId(1)]);
        assert_eq!(Plan { unchanged: Vec::new(), ..plan }, Plan::default());
    }

    #[test]
    fn each_kind_of_change_has_its_kind_of_action() {
        let id = vec![CameraId(0)];
        let none = Plan::default();
        for (old, new, expected) in [
            ("", TEST, Plan { added: vec!["test:testsrc2".into()], ..none.clone() }),
            (TEST, "", Plan { removed: id.clone(), ..none.clone() }),
            (TEST, &TEST.replace("640x360", "320x180"), Plan { restarted: id.clone(), ..none.clone() }),
            (TEST, &format!("{TEST}fps = 5\n"), Plan { restarted: id.clone(), ..none.clone() }),
            (TEST, &format!("{TEST}name = \"x\"\n"), Plan { settled: id.clone(), ..none.clone() }),
            (TEST, &format!("{TEST}keep_warm = true\n"), Plan { settled: id.clone(), ..none.clone() }),
            (GATE, &GATE.replace("first", "second"), Plan { restarted: id.clone(), ..none.clone() }),
            (GATE, &format!("{GATE}audio = true\n"), Plan { restarted: id.clone(), ..none.clone() }),
            (
                GATE,
                &GATE.replace("gate/1", "gate/2"),
                Plan { added: vec!["rtsp://gate:554/2".into()], removed: id.clone(), ..none.clone() },
            ),
        ] {
            assert_eq!(from_to(old, new, false, false).unwrap(), expected, "{old} → {new}");
        }
    }

    #[test]
    fn a_recording_is_interrupted_by_force_alone() {
        let smaller = TEST.replace("640x360", "320x180");
        for new in ["", GATE, &smaller] {
            assert_eq!(from_to(TEST, new, true, false), Err(Refusal::Recording(vec![CameraId(0)])), "{new}");
            assert!(from_to(TEST, new, true, true).is_ok(), "{new}");
        }
        assert!(from_to(TEST, &format!("{TEST}name = \"x\"\n"), true, false).is_ok());
    }

    #[test]
    fn an_id_that_belongs_to_another_camera_is_refused_before_anything_happens() {
        let taken = GATE.replace("name", "id = \"camera0\"\nname");
        assert_eq!(from_to(TEST, &taken, false, true), Err(Refusal::Id(CameraId(0))));
        let moved = format!("{TEST}id = \"camera4\"\n");
        assert_eq!(from_to(TEST, &moved, false, true), Err(Refusal::Id(CameraId(4))));
        assert!(from_to(TEST, &format!("{TEST}id = \"camera0\"\n"), false, false).is_ok());
    }
}
