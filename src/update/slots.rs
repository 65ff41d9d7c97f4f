//! The slots, put together from what RAUC and the bootloader say: pure.

use std::collections::HashMap;

use serde::Serialize;

use crate::helper::Slot;

/// One slot of RAUC's list: what it says of it, as text.
pub(super) type Row = HashMap<String, String>;

/// One of the two systems, as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotView {
    /// `A` or `B`.
    pub name: String,
    /// It runs.
    pub booted: bool,
    /// The next start takes it.
    pub next: bool,
    /// The bootloader would start it.
    pub bootable: bool,
    /// What is in it; none while nobody knows.
    pub version: Option<String>,
    /// When it was installed over the air, ISO 8601.
    pub installed_at: Option<String>,
    /// How often the bootloader still tries it; none where it does not say.
    pub tries_left: Option<u32>,
}

/// What the bootloader knows, from the helper's answer `order=B,A a=3 b=2 good=A`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BootState {
    pub order: Vec<String>,
    /// The slot that was marked good last.
    pub good: Option<Slot>,
    left: HashMap<String, u32>,
}

impl BootState {
    /// Reads the helper's answer; what is missing or strange is left out.
    pub fn parse(line: &str) -> BootState {
        let mut state = BootState::default();
        for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
            match name {
                "order" => {
                    state.order = value.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
                }
                "good" => state.good = Slot::parse(value),
                // RAUC and the boot script write hexadecimal.
                "a" | "b" => {
                    let left = u32::from_str_radix(value, 16).ok();
                    state.left.extend(left.map(|left| (name.to_uppercase(), left)));
                }
                _ => {}
            }
        }
        state
    }

    /// Whether another slot than `running` comes first.
    pub fn other_first(&self, running: Slot) -> Option<bool> {
        self.order.first().map(|first| first != running.word())
    }
}

/// The two systems: slots with a boot name, in its order. `primary`: RAUC's name of the one to start next. `running`:
/// the slot and version that run.
pub(super) fn views(
    rows: &[(String, Row)],
    primary: Option<&str>,
    boot: Option<&BootState>,
    running: Option<(Slot, &str)>,
) -> Vec<SlotView> {
    let mut views: Vec<_> = rows
        .iter()
        .filter_map(|(name, row)| {
            let get = |key: &str| row.get(key).cloned();
            let bootname = get("bootname")?;
            let booted = match running {
                Some((slot, _)) => slot.word() == bootname,
                None => get("state").as_deref() == Some("booted"),
            };
            let known = running.filter(|_| booted).map(|(_, version)| version.to_owned());
            Some(SlotView {
                booted,
                next: primary == Some(name),
                bootable: get("boot-status").as_deref() == Some("good"),
                version: known.or_else(|| get("bundle.version")),
                installed_at: get("installed.timestamp"),
                tries_left: boot.and_then(|boot| boot.left.get(&bootname).copied()),
                name: bootname,
            })
        })
        .collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    views
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> Row {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_bootloaders_line_is_read_as_far_as_it_goes() {
        let state = BootState::parse("order=B,A a=3 b=2 good=A");
        assert_eq!(
            (state.order.as_slice(), state.left["A"], state.left["B"]),
            (&["B".into(), "A".into()][..], 3, 2)
        );
        assert_eq!(state.good, Some(Slot::A));
        assert_eq!(state.other_first(Slot::A), Some(true));
        assert_eq!(state.other_first(Slot::B), Some(false));
        for odd in ["", "order= a= b= good=", "a=x order good", "order=,, good=C"] {
            let state = BootState::parse(odd);
            assert_eq!((state.other_first(Slot::A), state.good), (None, None), "{odd:?}");
        }
    }

    /// RAUC 1.13's answer after an installation into B, booted from A.
    #[test]
    fn the_systems_are_the_slots_with_a_boot_name() {
        let rows = [
            (
                "rootfs.1".to_owned(),
                row(&[
                    ("class", "rootfs"),
                    ("bootname", "B"),
                    ("boot-status", "good"),
                    ("state", "inactive"),
                    ("bundle.version", "2.0.0"),
                    ("installed.timestamp", "2026-11-22T16:31:06Z"),
                ]),
            ),
            ("boot.0".to_owned(), row(&[("class", "boot"), ("parent", "rootfs.0"), ("state", "active")])),
            (
                "rootfs.0".to_owned(),
                row(&[("class", "rootfs"), ("bootname", "A"), ("boot-status", "good"), ("state", "booted")]),
            ),
        ];
        let boot = BootState::parse("order=B,A a=3 b=2 good=A");
        let views = views(&rows, Some("rootfs.1"), Some(&boot), Some((Slot::A, "1.0.0")));
        let a = SlotView {
            name: "A".into(),
            booted: true,
            next: false,
            bootable: true,
            version: Some("1.0.0".into()),
            installed_at: None,
            tries_left: Some(3),
        };
        let b = SlotView {
            name: "B".into(),
            booted: false,
            next: true,
            version: Some("2.0.0".into()),
            installed_at: Some("2026-11-22T16:31:06Z".into()),
            tries_left: Some(2),
            ..a.clone()
        };
        assert_eq!(views, [a, b]);
    }
}
