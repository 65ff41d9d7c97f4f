//! The boot state after a power cut: whatever one sector of it holds, U-Boot takes the slot that it should.

use crate::common::bytes::{checksum, noise};
use crate::common::wait_within;
use crate::disk::Disk;
use crate::machine::{Machine, PATIENCE};

/// Where the copies lie in the partition, and how long each is.
const AT: [u64; 2] = [0, 0x10_0000];
const SIZE: usize = 512;

/// What one copy says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    flag: u8,
    order: &'static str,
    a_left: u8,
    b_left: u8,
    good: char,
}

impl State {
    fn text(&self) -> Vec<u8> {
        let State { order, a_left, b_left, good, .. } = self;
        let text =
            format!("BOOT_A_LEFT={a_left}\0BOOT_B_LEFT={b_left}\0BOOT_GOOD={good}\0BOOT_ORDER={order}\0\0");
        // In the order of U-Boot's own.
        let mut text = text.into_bytes();
        text.resize(SIZE - 5, 0);
        text
    }

    /// As U-Boot's redundant environments are: checksum, flag, text.
    fn bytes(&self) -> Vec<u8> {
        let text = self.text();
        [&checksum(&text)[..], &[self.flag], &text].concat()
    }
}

/// A write over the older copy: what was there, what stands in the other copy, and what was to be written.
struct Write {
    older: State,
    stands: State,
    new: State,
}

impl Write {
    /// The box runs A and makes B the next, which changes each of the variables; `flag` is the one of the new copy.
    fn to_b(flag: u8) -> Write {
        let state = |back, order, a_left, b_left| State {
            flag: flag.wrapping_sub(back),
            order,
            a_left,
            b_left,
            good: 'A',
        };
        Write { older: state(2, "A", 2, 0), stands: state(1, "A", 3, 0), new: state(0, "B A", 3, 3) }
    }
}

/// What a cut leaves of a sector that is being written.
#[derive(Clone, Copy, Debug)]
enum Torn {
    /// Nothing was written yet.
    Older,
    Zeros,
    Ones,
    Garbage,
    /// So many bytes of the new one, and the rest of the older one.
    First(usize),
    /// The other way round.
    Last(usize),
    /// All was written.
    New,
}

impl Torn {
    fn bytes(self, write: &Write) -> Vec<u8> {
        let (older, new) = (write.older.bytes(), write.new.bytes());
        match self {
            Torn::Older => older,
            Torn::Zeros => vec![0; SIZE],
            Torn::Ones => vec![0xff; SIZE],
            Torn::Garbage => noise(3, SIZE),
            Torn::First(n) => [&new[..n], &older[n..]].concat(),
            Torn::Last(n) => [&older[..SIZE - n], &new[SIZE - n..]].concat(),
            Torn::New => new,
        }
    }

    /// The slot that has to be booted.
    fn slot(self) -> char {
        if matches!(self, Torn::New) { 'B' } else { 'A' }
    }
}

/// A disk whose other slot can be booted too, as far as U-Boot goes.
fn both_slots() -> Disk {
    let disk = Disk::flashed();
    disk.copy("boot_a", "boot_b");
    disk
}

/// Powers the machine on with these two copies, and off when U-Boot has chosen. Answers with the disk, and with what
/// U-Boot said.
#[track_caller]
fn choose(disk: Disk, copies: &[Vec<u8>; 2]) -> (Disk, String) {
    for (at, bytes) in AT.iter().zip(copies) {
        disk.write("bootstate", *at, bytes);
    }
    let _ = std::fs::remove_file(disk.beside("console.log"));
    let machine = Machine::start(disk);
    let said = wait_within(PATIENCE, "U-Boot has chosen", || {
        let said = machine.console();
        ["AB: booting ", "nothing boots"].iter().any(|line| said.contains(line)).then_some(said)
    });
    // It goes on after each of them.
    for wrong in ["syntax error", "Unknown command", "Usage:", "cannot be booted", "checksum wrong"] {
        assert!(!said.contains(wrong), "{wrong:?} in\n{said}");
    }
    (machine.cut(), said)
}

/// The slot after `AB: booting`.
#[track_caller]
fn chosen(said: &str) -> char {
    said.split("AB: booting ").nth(1).and_then(|rest| rest.chars().next()).expect("a slot is booted")
}

/// Tears a write over each of the two copies in turn, and looks at what is booted.
#[track_caller]
fn boots(disk: Disk, flag: u8, torn: Torn) -> Disk {
    let write = Write::to_b(flag);
    let mut disk = disk;
    for over in 0..AT.len() {
        let place = format!("{torn:?} over copy {over} with flag {flag}");
        let mut copies = [write.stands.bytes(), write.stands.bytes()];
        copies[over] = torn.bytes(&write);
        let (after, said) = choose(disk, &copies);
        disk = after;
        assert_eq!(chosen(&said), torn.slot(), "{place}: {said}");
        // It went by the whole copy, and counted the try in the other one; the whole one was not touched.
        let (valid, other) = if torn.slot() == 'B' { (over, 1 - over) } else { (1 - over, over) };
        let from = if torn.slot() == 'B' { &write.new } else { &write.stands };
        let State { order, a_left, b_left, good, .. } = from;
        let line = format!("AB: copy {valid} ");
        assert!(said.contains(&line), "{place}: {line:?} is missing in\n{said}");
        let line = format!("order {order} left A={a_left} B={b_left} good {good}");
        assert!(said.contains(&line), "{place}: {line:?} is missing in\n{said}");
        let counted = State {
            flag: from.flag.wrapping_add(1),
            a_left: a_left - u8::from(torn.slot() == 'A'),
            b_left: b_left - u8::from(torn.slot() == 'B'),
            ..from.clone()
        };
        assert!(
            disk.read("bootstate", AT[valid], SIZE) == copies[valid],
            "{place}: the whole copy was written"
        );
        let found = disk.read("bootstate", AT[other], SIZE);
        let text = String::from_utf8_lossy(&found);
        assert!(found == counted.bytes(), "{place}: not {counted:?} but {text:?}");
    }
    disk
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn a_torn_write_of_the_boot_state_boots_the_slot_before_it() {
    let mut disk = both_slots();
    for (flag, torn) in [(7, Torn::Zeros), (7, Torn::First(40)), (0, Torn::New)] {
        disk = boots(disk, flag, torn);
    }
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image"]
fn without_any_boot_state_the_first_slot_is_booted() {
    for lost in [vec![0; SIZE], noise(3, SIZE)] {
        let (_, said) = choose(both_slots(), &[lost.clone(), lost]);
        assert!(said.contains("AB: no valid state, defaults"), "{said}");
        assert!(said.contains("order A B left A=3 B=3 good A"), "{said}");
        assert_eq!(chosen(&said), 'A', "{said}");
    }
}

#[test]
#[ignore = "needs root and QEMU: scripts/test image-full"]
fn full_each_one_sector_state_of_the_boot_state_boots() {
    let mut disk = both_slots();
    let write = Write::to_b(7);
    let (older, new) = (write.older.bytes(), write.new.bytes());
    // From the first byte that changes to the one before the last that does.
    let differ = |n: &usize| older[*n] != new[*n];
    let (first, last) =
        ((0..SIZE).find(differ).expect("they differ"), (0..SIZE).rfind(differ).expect("they differ"));
    let firsts = (first + 1..=last).map(Torn::First);
    let lasts = (SIZE - last..SIZE - first).map(Torn::Last);
    let whole = [Torn::Older, Torn::Zeros, Torn::Ones, Torn::Garbage, Torn::New].into_iter();
    let kinds: Vec<Torn> = whole.chain(firsts).chain(lasts).collect();
    assert!(kinds.len() > 100, "{}", kinds.len());
    for torn in kinds {
        disk = boots(disk, 7, torn);
    }
    // The number of the copy goes round.
    for flag in [0, 1, 128, 255] {
        for torn in [Torn::Older, Torn::Garbage, Torn::New] {
            disk = boots(disk, flag, torn);
        }
    }
}
