use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use v4l::v4l_sys::{v4l2_input, v4l2_query_ext_ctrl, v4l2_queryctrl, v4l2_querymenu};

use super::list::{MAX_CONTROLS, MAX_MENU, normalised};
use super::*;
use crate::v4l2::Driver;
use crate::v4l2::driver::Plain;

const QUERYCTRL_NR: u8 = 36;
const QUERYMENU_NR: u8 = 37;
const QUERY_EXT_NR: u8 = 103;
const ENUMINPUT_NR: u8 = 26;

/// Answers requests as the function does, and keeps numbers that are set.
struct Fake<F>(F, Mutex<BTreeMap<u32, i64>>);

fn fake<F: Fn(u8, &mut [u8]) -> io::Result<()> + Send + Sync>(answer: F) -> Fake<F> {
    Fake(answer, Mutex::default())
}

impl<F: Fn(u8, &mut [u8]) -> io::Result<()> + Send + Sync> Driver for Fake<F> {
    fn ioctl(&self, request: u32, structure: &mut [u8]) -> io::Result<()> {
        assert_eq!(structure.len(), (request >> 16) as usize & 0x3fff);
        (self.0)(request as u8, structure)
    }

    fn control(&self, access: Access, id: u32, payload: &mut Payload<'_>) -> io::Result<()> {
        let mut all = self.1.lock().unwrap();
        match (access, payload) {
            (Access::Set, Payload::Number(n)) => drop(all.insert(id, (*n).into())),
            (Access::Set, Payload::Wide(n)) => drop(all.insert(id, *n)),
            (Access::Set, Payload::Bytes(bytes)) => drop(all.insert(id, bytes.len() as i64)),
            (Access::Get, Payload::Number(n)) => *n = all.get(&id).map_or(0, |n| *n as i32),
            (Access::Get, Payload::Wide(n)) => *n = all.get(&id).copied().unwrap_or(0),
            (Access::Get, Payload::Bytes(bytes)) => bytes.fill(b'\x1b'),
        }
        Ok(())
    }
}

fn errno(number: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(number))
}

fn end() -> io::Result<()> {
    errno(nix::libc::EINVAL)
}

fn edit<T: Plain>(bytes: &mut [u8], change: impl FnOnce(&mut T) -> io::Result<()>) -> io::Result<()> {
    assert_eq!(bytes.len(), size_of::<T>());
    #[expect(unsafe_code, reason = "every pattern of bits is a value of it, and the length is right")]
    unsafe {
        let mut value: T = std::ptr::read_unaligned(bytes.as_ptr().cast());
        let done = change(&mut value);
        std::ptr::write_unaligned(bytes.as_mut_ptr().cast(), value);
        done
    }
}

/// Number, type, name, least, most, step, default, flags.
type Said = (u32, u32, &'static [u8], i64, i64, u64, i64, u32);

/// Lists these as the kernel does; menus have every second item.
fn lists(all: &'static [Said]) -> impl Fn(u8, &mut [u8]) -> io::Result<()> + Send + Sync {
    move |nr, bytes| match nr {
        QUERY_EXT_NR => edit(bytes, |it: &mut v4l2_query_ext_ctrl| {
            let after = it.id & 0x0fff_ffff;
            let Some(said) = all.iter().find(|said| said.0 > after) else { return end() };
            (it.id, it.type_, it.minimum, it.maximum) = (said.0, said.1, said.3, said.4);
            (it.step, it.default_value, it.flags) = (said.5, said.6, said.7);
            (it.elems, it.elem_size) = (1, if said.1 == 7 { said.4 as u32 + 1 } else { 4 });
            if said.1 == 5 {
                it.elem_size = 8;
            }
            for (to, from) in it.name.iter_mut().zip(said.2) {
                *to = i8::from_ne_bytes([*from]) as _;
            }
            Ok(())
        }),
        QUERYMENU_NR => edit(bytes, |it: &mut v4l2_querymenu| {
            let index = it.index;
            if index % 2 == 1 {
                return end();
            }
            let mut name = [0; 32];
            let text = format!("At {index}");
            name[..text.len()].copy_from_slice(text.as_bytes());
            it.__bindgen_anon_1.name = name;
            Ok(())
        }),
        _ => errno(nix::libc::ENOTTY),
    }
}

const CAMERA: &[Said] = &[
    (0x98_0001, 6, b"User Controls", 0, 0, 0, 0, 4),
    (0x98_0900, 1, b"Brightness", 0, 255, 5, 128, 0x20),
    (0x98_090c, 2, b"White Balance, Automatic", 0, 1, 1, 1, 8),
    (0x98_0913, 1, b"Gain", 9, -9, 0, 400, 0),
    (0x98_0918, 3, b"Power Line Frequency", 0, 4, 1, 2, 0),
    (0x98_091a, 1, b"White Balance Temperature", 2800, 6500, 10, 4000, 0x10),
    (0x98_091b, 1, b"\x1b[31mSharp\xff\x07ness", 0, 9, 1, 3, 4),
    (0x98_f903, 5, b"Wide", i64::MIN, i64::MAX, 1, 0, 0),
    (0x98_f904, 4, b"Press", 0, 0, 0, 0, 0x240),
    (0x98_f905, 7, b"Text", 2, 4, 1, 0, 0x100),
    (0x98_f906, 8, b"Bits", 0, -0x7fbf_dff0, 0, 0, 0),
    (0x98_f907, 1, b"Brightness", 0, 1, 1, 0, 0),
    (0x98_f908, 0x110, b"", 0, 0, 0, 0, 0),
];

fn of<'a>(listing: &'a Listing, name: &str) -> &'a Control {
    listing.find(name).unwrap_or_else(|| panic!("{name} of {listing:#?}"))
}

#[test]
fn controls_have_plain_names_groups_and_ranges_that_can_be() {
    let listing = controls(&fake(lists(CAMERA)));
    let names: Vec<_> = listing.controls.iter().map(|c| c.name.as_str()).collect();
    let expected = [
        "brightness",
        "white_balance_automatic",
        "gain",
        "power_line_frequency",
        "white_balance_temperature",
        "31msharp_ness",
        "wide",
        "press",
        "text",
        "bits",
        "brightness_0098f907",
        "control_0098f908",
    ];
    assert_eq!(names, expected);
    assert!(listing.controls.iter().all(|c| c.group == "User Controls" && !c.label.is_empty()));
    assert!(listing.controls.iter().all(|c| c.label.bytes().all(|b| (0x20..0x7f).contains(&b))));
    let range = of(&listing, "gain").range.unwrap();
    assert_eq!((range.minimum, range.maximum, range.step, range.default), (-9, 9, 1, 9));
    assert_eq!(of(&listing, "bits").range.unwrap().maximum, 0x8040_2010);
    let menu: Vec<_> = of(&listing, "power_line_frequency").menu.iter().map(|(at, _)| *at).collect();
    assert_eq!(menu, [0, 2, 4], "holes are left out");
    assert_eq!(of(&listing, "0x98091b").flags, [Flag::ReadOnly]);
    assert_eq!(of(&listing, "9963776").name, "brightness");
    assert_eq!(of(&listing, "control_0098f908").kind, Kind::Compound);
    assert_eq!(listing.oddities.len(), 3, "{:?}", listing.oddities);
}

#[test]
fn only_what_fits_is_set_and_each_refusal_says_why() {
    let driver = fake(lists(CAMERA));
    let listing = controls(&driver);
    let check = |name: &str, value: Json| check(&listing, of(&listing, name), &value);
    for (name, value, number) in [
        ("brightness", json!(255), 255),
        ("brightness", json!(10.0), 10),
        ("brightness", Json::Null, 128),
        ("white_balance_automatic", json!(false), 0),
        ("power_line_frequency", json!("At 4"), 4),
        ("power_line_frequency", json!(2), 2),
        ("wide", json!("9223372036854775807"), i64::MAX),
        ("wide", json!(i64::MIN), i64::MIN),
        ("press", json!(true), 1),
        ("bits", json!(0x8000_0010u32), 0x8000_0010),
    ] {
        let checked = check(name, value.clone());
        assert_eq!(checked, Ok(Value::Number(number)), "{name} {value}");
        settle(&driver, of(&listing, name), &checked.unwrap()).unwrap();
        if name != "press" {
            assert_eq!(of(&listing, name).read(&driver), Some(Value::Number(number)), "{name}");
        }
    }
    assert_eq!(check("text", json!("a b")), Ok(Value::Text("a b".into())));
    for (name, value) in [
        ("brightness", json!(256)),
        ("brightness", json!(-1)),
        ("brightness", json!(1.5)),
        ("brightness", json!(1e300)),
        ("brightness", json!(u64::MAX)),
        ("brightness", json!([1])),
        ("brightness", json!({})),
        ("brightness", json!("bright")),
        ("white_balance_automatic", json!(2)),
        ("power_line_frequency", json!(1)),
        ("power_line_frequency", json!("At 1")),
        ("press", json!(false)),
        ("text", json!("a")),
        ("text", json!("abcde")),
        ("text", json!("a\u{7}b")),
        ("bits", json!(1)),
    ] {
        let refused = check(name, value.clone()).unwrap_err();
        assert!(matches!(refused, Refused::Value(_)), "{name} {value}: {refused:?}");
    }
    assert!(matches!(check("31msharp_ness", json!(1)), Err(Refused::Never(_))));
    assert!(matches!(check("control_0098f908", json!(1)), Err(Refused::Never(_))));
    let inactive = Refused::Inactive(Some("white_balance_automatic".into()));
    assert_eq!(check("white_balance_temperature", json!(4000)), Err(inactive));
}

#[test]
fn what_decides_on_others_is_set_before_them() {
    let listing = controls(&fake(lists(CAMERA)));
    let mut all: Vec<_> = ["white_balance_temperature", "gain", "brightness", "white_balance_automatic"]
        .map(|name| of(&listing, name))
        .into();
    let input = Control::chosen(INPUT, "input", "Input", Vec::new());
    all.push(&input);
    all.sort_by_cached_key(|control| apply_order(control));
    let names: Vec<_> = all.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names[..2], ["input", "white_balance_automatic"]);
    assert!(names.iter().position(|n| *n == "white_balance_temperature") > Some(1), "{names:?}");
}

#[test]
fn lists_that_never_end_are_cut() {
    // The same control again and again, and ever new ones.
    for grows in [0, 1] {
        let endless = fake(move |nr, bytes: &mut [u8]| match nr {
            QUERY_EXT_NR => edit(bytes, |it: &mut v4l2_query_ext_ctrl| {
                it.id = (it.id & 0x0fff_ffff).max(7) + grows;
                (it.type_, it.maximum, it.elem_size, it.elems) = (1, 9, 4, 1);
                Ok(())
            }),
            ENUMINPUT_NR => edit(bytes, |_: &mut v4l2_input| Ok(())),
            _ => Ok(()),
        });
        let listing = controls(&endless);
        assert_eq!(listing.oddities.first(), Some(&"a list of controls that does not end"));
        assert!(listing.controls.len() <= MAX_CONTROLS + 2);
    }
    let menu = fake(lists(&[(9, 3, b"Endless", i64::MIN, i64::MAX, 1, 0, 0)]));
    let listing = controls(&menu);
    assert_eq!(listing.controls[0].menu.len() as i64, MAX_MENU / 2);
    assert!(listing.oddities.contains(&"a menu that does not end"));
}

#[test]
fn a_driver_from_before_extended_controls_is_asked_the_old_way() {
    let old = |knows_next: bool| {
        fake(move |nr, bytes: &mut [u8]| match nr {
            QUERYCTRL_NR => edit(bytes, |it: &mut v4l2_queryctrl| {
                let (asked, next) = (it.id & 0x0fff_ffff, it.id >> 31 == 1);
                if (next && (!knows_next || asked >= 0x98_0900)) || (!next && asked != 0x98_0900) {
                    return end();
                }
                (it.id, it.type_, it.minimum, it.maximum, it.step) = (0x98_0900, 1, -5, 5, 1);
                it.name[..4].copy_from_slice(b"Tone");
                Ok(())
            }),
            _ => errno(nix::libc::ENOTTY),
        })
    };
    for knows_next in [true, false] {
        let listing = controls(&old(knows_next));
        let names: Vec<_> =
            listing.controls.iter().map(|c| (c.name.as_str(), c.range.unwrap().minimum)).collect();
        assert_eq!(names, [("tone", -5)]);
    }
    assert_eq!(controls(&fake(|_, _: &mut [u8]| errno(nix::libc::ENODEV))), Listing::default());
}

#[test]
fn names_are_what_v4l2_ctl_makes_of_them() {
    for (label, name) in [
        ("White Balance, Automatic", "white_balance_automatic"),
        ("  Zoom, Absolute ", "zoom_absolute"),
        ("LED1 Mode", "led1_mode"),
        ("--", ""),
    ] {
        assert_eq!(normalised(label), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_in_every_answer_is_survived(seed: u64, fails in 1u64..20, number: i64, text: String) {
        let state = AtomicU64::new(seed | 1);
        let next = || {
            let step = |mut x: u64| { x ^= x >> 12; x ^= x << 25; x ^= x >> 27; x };
            let x = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x))).unwrap();
            step(x).wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let garbage = fake(|nr, bytes: &mut [u8]| {
            if next() % 20 < fails {
                return errno([nix::libc::EINVAL, nix::libc::ENOTTY, nix::libc::EIO][(next() % 3) as usize]);
            }
            let before = bytes.to_vec();
            bytes.iter_mut().for_each(|byte| *byte = next() as u8);
            match nr {
                // Otherwise the number is nearly always before the last one, and the type unknown.
                QUERY_EXT_NR => edit(bytes, |it: &mut v4l2_query_ext_ctrl| {
                    let asked = u32::from_ne_bytes([before[0], before[1], before[2], before[3]]);
                    it.id = (asked & 0x0fff_ffff) + it.id % 3;
                    it.type_ = if it.type_.is_multiple_of(2) { it.type_ % 12 } else { 0x100 + it.type_ % 5 };
                    it.elem_size %= 10;
                    it.elems %= 300;
                    it.nr_of_dims %= 6;
                    Ok(())
                }),
                _ => Ok(()),
            }
        });
        let listing = controls(&garbage);
        let names: std::collections::BTreeSet<_> = listing.controls.iter().map(|c| &c.name).collect();
        prop_assert_eq!(names.len(), listing.controls.len(), "two have one name");
        for control in &listing.controls {
            prop_assert!(control.label.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert!(control.menu.len() as i64 <= MAX_MENU);
            if let Some(range) = control.range {
                prop_assert!(range.minimum <= range.maximum && range.step > 0);
                prop_assert!((range.minimum..=range.maximum).contains(&range.default));
            }
            let value = control.read(&garbage);
            let escapes = matches!(&value, Some(Value::Text(text)) if text.contains(char::is_control));
            prop_assert!(!escapes, "{:?}", value);
            for wanted in [json!(number), json!(text), Json::Null, json!([number, 1]), json!(true)] {
                if let Ok(value) = check(&listing, control, &wanted) {
                    let _ = settle(&garbage, control, &value);
                }
            }
        }
        let _ = (crate::v4l2::signal(&garbage), crate::v4l2::detected(&garbage), event::changed(&garbage));
    }
}
