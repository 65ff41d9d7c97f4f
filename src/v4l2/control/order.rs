//! Which controls depend on which: an automatic one keeps its manual ones from having any effect.

use super::{Control, Flag};

/// Manual controls and what makes them automatic, by their numbers in `v4l2-controls.h`.
const PAIRS: [(u32, u32); 13] = [
    // brightness, hue, gain, chroma_gain
    (0x0098_0900, 0x0098_0920),
    (0x0098_0903, 0x0098_0919),
    (0x0098_0913, 0x0098_0912),
    (0x0098_0924, 0x0098_091d),
    // do_white_balance, red_balance, blue_balance, white_balance_temperature
    (0x0098_090d, 0x0098_090c),
    (0x0098_090e, 0x0098_090c),
    (0x0098_090f, 0x0098_090c),
    (0x0098_091a, 0x0098_090c),
    // exposure, exposure_time_absolute, iris_absolute
    (0x0098_0911, 0x009a_0901),
    (0x009a_0902, 0x009a_0901),
    (0x009a_0911, 0x009a_0901),
    // focus_absolute, iso_sensitivity
    (0x009a_090a, 0x009a_090c),
    (0x009a_0917, 0x009a_0918),
];

/// The control that is automatic instead of this one; `None` = none, or nobody knows.
pub fn automatic_of(id: u32) -> Option<u32> {
    PAIRS.iter().find(|(manual, _)| *manual == id).map(|(_, automatic)| *automatic)
}

/// When a control is set among others; less is earlier. What decides on the rest comes first: the input, the
/// standard, then what is automatic or changes others.
pub fn apply_order(control: &Control) -> impl Ord + use<> {
    let decides = PAIRS.iter().any(|(_, automatic)| *automatic == control.id)
        || control.has(Flag::Update)
        || control.has(Flag::ModifyLayout);
    let follows = automatic_of(control.id).is_some();
    (!control.is_source(), follows, !decides, control.id)
}
