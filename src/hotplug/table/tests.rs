use proptest::prelude::*;

use self::world::{World, devpath, node};
use super::*;

mod world;

#[test]
fn the_table_of_what_people_do() {
    // `+DEVICE` plugs in, `-PORT` pulls out, `.` waits, `~` nobody hears the kernel until then, `R` the program
    // starts anew, `PN` pins camera N.
    let cases = [
        ("a camera moves", "+a#S1@1 . -1 . +a#S1@2 .", "2=0"),
        ("one without a serial number moves", "+b@1 . -1 . +b@2 .", "2=0"),
        ("it moves while the program is off", "+b@1 . R -1 +b@2 .", "2=0"),
        ("two at once have two numbers", "+b@1 +b@2 .", "1=0 2=1"),
        ("two with serial numbers swap", "+a#S1@1 +a#S2@2 . -1 -2 . +a#S2@1 +a#S1@2 .", "1=1 2=0"),
        ("two without swap: told by the port", "+b@1 +b@2 . -1 -2 . +b@1 +b@2 .", "1=0 2=1"),
        ("one of them moves, the other stays", "+b@1 +b@2 . -2 . +b@3 .", "1=0 3=1"),
        ("a hub is out for a moment", "+b@2.1 +b@2.4 . -2.1 -2.4 +b@2.4 . +b@2.1 .", "2.1=0 2.4=1"),
        ("a hub comes back with one more, which is first", "+b@2.4 . -2.4 . +b@2.1 +b@2.4 .", "2.1=1 2.4=0"),
        ("the same while the program is off", "+b@2.4 . R -2.4 +b@2.1 +b@2.4 .", "2.1=1 2.4=0"),
        (
            "a hub moves with two alike: nobody can tell",
            "+b@2.1 +b@2.4 . -2.1 -2.4 +b@3.1 +b@3.4 .",
            "3.1=2 3.4=3",
        ),
        (
            "a hub moves with two that tell",
            "+a#S1@2.1 +a#S2@2.4 . -2.1 -2.4 +a#S1@3.4 +a#S2@3.1 .",
            "3.1=1 3.4=0",
        ),
        ("two share a serial number", "+a#S1@1 +a#S1@2 . -1 -2 . +a#S1@2 . +a#S1@1 .", "1=0 2=1"),
        ("one that shares its number moves", "+a#S1@1 +a#S1@2 . -1 . +a#S1@3 .", "2=1 3=0"),
        ("a pinned one stays", "+b@1 . P0 -1 . +b@2 .", "2=1"),
        ("a pinned place has what is plugged in", "+a#S1@1 . P0 -1 . +a#S2@1 .", "1=0"),
        ("it is pinned after a restart too", "+a#S1@1 . P0 R -1 +a#S2@1 .", "1=0"),
        ("gone and back at once", "+b@1 . -1 +b@1 .", "1=0"),
        ("gone, another kind there, and back", "+b@1 . -1 +c@1 . -1 +b@1 .", "1=0"),
        ("events are lost", "+b@1 . ~ -1 +b@1 .", "1=0"),
        ("a swap is lost", "+a#S1@1 +a#S2@2 . ~ -1 -2 +a#S2@1 +a#S1@2 .", "1=1 2=0"),
        ("a removal is lost", "+b@1 +c@2 . ~ -1 .", "2=1"),
        ("a move is lost", "+a#S1@1 . ~ -1 +a#S1@2 .", "2=0"),
    ];
    for (what, steps, expected) in cases {
        let mut world = World::new();
        for step in steps.split(' ') {
            match step.split_at(1) {
                ("+", device) => {
                    world.plug(device);
                    world.list();
                    world.place();
                }
                ("-", port) => world.unplug(port),
                (".", _) => world.settle(),
                ("~", _) => world.deaf = true,
                ("R", _) => world.restart(),
                ("P", id) => world.table.changed(CameraId(id.parse().unwrap()), Change::Pin(true)),
                _ => unreachable!("{step}"),
            }
        }
        assert_eq!(world.says(), expected, "{what}");
        assert!(world.table.plugs.complete);
    }
}

#[test]
fn a_camera_that_comes_is_told_without_any_wait() {
    let mut world = World::new();
    world.plug("b@1");
    world.settle();
    // Known at its port, new of its kind, moved with a serial number of its own: nobody waits for others.
    for (gone, back) in [("1", "b@1"), ("9", "a#S1@2"), ("2", "a#S1@3"), ("9", "c@4")] {
        world.unplug(gone);
        world.plug(back);
        let before = world.now;
        world.list();
        while !world.work.is_empty() {
            world.work(0);
        }
        assert_eq!(world.table.plugs.present.len(), world.plugged.len(), "{back}");
        assert!(world.now.since(before) < Duration::from_micros(1));
        world.settle();
    }
}

#[test]
fn a_plug_says_which_event_brought_it_and_which_took_it() {
    let mut world = World::new();
    let plugged = world.now;
    world.plug("b@1");
    world.settle();
    let first = world.table.plugs.present[&CameraId(0)].clone();
    assert_eq!((first.event, first.since), (Some(1), plugged));
    world.unplug("1");
    assert_eq!(world.table.plugs.left[&CameraId(0)], Left { at: world.now, event: Some(2) });
    assert!(world.table.news().unwrap().present.is_empty());
    world.deaf = true;
    world.plug("b@1");
    world.settle();
    let second = &world.table.plugs.present[&CameraId(0)];
    assert_eq!(second.event, None);
    assert!(world.table.plugs.left.is_empty());
}

#[test]
fn a_folder_that_outlives_its_device_is_no_device() {
    let mut world = World::new();
    world.plug("b@1");
    world.settle();
    world.table.event(Event { what: What::Removed, devpath: devpath("1"), number: 9 }, world.now, 0);
    world.list();
    assert!(world.table.entries.is_empty());
    // Another in its place has another folder; and should it be the same, the kernel says that it is new.
    world.tell(What::Added, "1");
    world.settle();
    assert_eq!(world.says(), "1=0");
}

#[test]
fn news_of_two_sockets_may_come_in_any_order() {
    let mut world = World::new();
    world.plug("b@1");
    world.settle();
    let (instance, node) = world.plugged[&devpath("1")].clone();
    world.plugged.insert(devpath("1"), (instance + 100, node));
    let event = |what, number| Event { what, devpath: devpath("1"), number };
    world.table.event(event(What::Added, 12), world.now, 0);
    world.list();
    world.table.event(event(What::Removed, 11), world.now, 0);
    world.settle();
    assert_eq!(world.says(), "1=0");
}

#[test]
fn what_cannot_be_opened_is_tried_again_and_what_is_no_camera_is_not() {
    let mut world = World::new();
    world.plug("b@1");
    world.list();
    world.work(0);
    let Some(Work::Judge(ticket, ..)) = world.work.pop() else { panic!() };
    for _ in 0..5 {
        world.table.judged(ticket, Err(io::ErrorKind::PermissionDenied.into()), world.now);
        assert_eq!(world.table.place(world.now, 0), []);
        world.now = world.table.deadline(world.now).unwrap();
        assert!(matches!(world.table.place(world.now, 0)[..], [Work::Judge(..)]));
    }
    world.table.judged(ticket, Ok(false), world.now);
    world.settle();
    assert_eq!(world.says(), "");
    assert_eq!(world.table.deadline(world.now), None);
    // Until the kernel says that it is another.
    world.tell(What::Changed, "1");
    world.settle();
    assert_eq!(world.says(), "1=0");
}

#[test]
fn without_a_database_the_known_are_themselves_and_the_new_wait() {
    let mut world = World::new();
    world.plug("b@1");
    world.settle();
    world.unplug("1");
    world.plug("b@1");
    world.plug("c@2");
    world.list();
    let mut tries = 0;
    for _ in 0..1000 {
        let enter = world.work.iter().position(|w| matches!(w, Work::Enter(..)));
        if let Some(at) = enter {
            let Work::Enter(ticket, _) = world.work.remove(at) else { unreachable!() };
            let away = crate::base::Error::dependency("database", "away");
            world.table.entered(ticket, Err(away), world.now, 0);
            assert_eq!(world.says(), "1=0");
            world.now = world.table.deadline(world.now).unwrap().max(world.now);
            tries += 1;
        } else if !world.work.is_empty() {
            world.work(0);
        }
        world.place();
    }
    assert!(tries >= 5, "it gave up");
    world.settle();
    assert_eq!(world.says(), "1=0 2=1");
}

#[test]
fn one_that_goes_and_comes_while_it_is_given_a_number_has_one() {
    let mut world = World::new();
    world.plug("a#S1@1");
    world.list();
    while !matches!(world.work[..], [Work::Enter(..)]) {
        world.work(0);
    }
    let enter = world.work.pop().unwrap();
    world.unplug("1");
    world.plug("a#S1@2");
    world.list();
    while !world.work.is_empty() {
        world.work(0);
    }
    assert_eq!(world.says(), "");
    world.work.push(enter);
    world.settle();
    assert_eq!((world.says().as_str(), world.rows.len()), ("2=0", 1));
}

#[test]
fn an_answer_of_the_database_that_was_lost_makes_no_second_camera() {
    let mut world = World::new();
    world.plug("b@1");
    world.list();
    while !matches!(world.work[..], [Work::Enter(..)]) {
        world.work(0);
    }
    let Some(Work::Enter(ticket, new)) = world.work.pop() else { unreachable!() };
    world.enter(new);
    let lost = crate::base::Error::dependency("database", "the disk does not answer");
    world.table.entered(ticket, Err(lost), world.now, 0);
    world.now = world.table.deadline(world.now).unwrap();
    world.place();
    let Some(Work::Enter(ticket, _)) = world.work.pop() else { panic!() };
    world.table.entered(ticket, Ok(Entered::Others(world.rows.clone())), world.now, 0);
    world.settle();
    assert_eq!((world.says().as_str(), world.rows.len()), ("1=0", 1));
}

#[test]
fn no_more_are_remembered_than_there_may_be() {
    let mut world = World::new();
    for n in 0..MOST_KNOWN {
        world.plug(&format!("a#S{n}@1"));
        world.settle();
    }
    world.plug("a#ONEMORE@1");
    world.list();
    while !world.work.is_empty() {
        world.work(0);
    }
    assert_eq!((world.says().as_str(), world.rows.len()), ("", MOST_KNOWN));
    world.plug("a#S7@1");
    world.list();
    while !world.work.is_empty() {
        world.work(0);
    }
    assert_eq!(world.says(), "1=7", "one that is known is itself all the same");
    assert!(!world.table.forget(CameraId(7)), "it is plugged in");
    assert!(world.table.forget(CameraId(8)));
    world.plug("a#ONEMORE@2");
    world.settle();
    assert_eq!(world.table.plugs.present.len(), 2);
}

#[derive(Clone, Debug)]
enum Act {
    Plug(u8, u8),
    Unplug(u8),
    List,
    Deaf,
    Work(usize),
    Pause(u64),
    Restart,
    Settle,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u8..6, 0u8..6).prop_map(|(d, p)| Act::Plug(d, p)),
        2 => (0u8..6).prop_map(Act::Unplug),
        3 => Just(Act::List),
        1 => Just(Act::Deaf),
        6 => any::<usize>().prop_map(Act::Work),
        2 => (0u64..2_000_000_000).prop_map(Act::Pause),
        1 => Just(Act::Restart),
        1 => Just(Act::Settle),
    ]
}

proptest! {
    /// Whatever is plugged where and when, heard or not: no number is given to two, none is made up, and a
    /// camera with a serial number of its own is always the same.
    #[test]
    fn whoever_has_a_serial_number_is_always_itself(
        acts in proptest::collection::vec(act(), 0..60),
        telling: bool,
    ) {
        let mut world = World::new();
        let mut whose: BTreeMap<String, CameraId> = BTreeMap::new();
        for act in acts.into_iter().chain([Act::Settle]) {
            match act {
                // One device is in one place.
                Act::Plug(device, port) => {
                    let name = if telling { format!("a#S{device}") } else { format!("{:x}", 10 + device / 3) };
                    let same = |(_, n): &&(u64, Node)| n.serial() == node(&format!("{name}@x")).serial();
                    let there = world.plugged.values().find(same).map(|(_, n)| n.port.clone());
                    if telling && let Some(port) = there {
                        world.unplug(&port);
                    }
                    world.plug(&format!("{name}@{port}"));
                }
                Act::Unplug(port) => world.unplug(&port.to_string()),
                Act::List => world.list(),
                Act::Deaf => world.deaf = true,
                Act::Work(pick) if !world.work.is_empty() => world.work(pick),
                Act::Work(_) => {}
                Act::Pause(ns) => world.now = Mono(world.now.0 + ns),
                Act::Restart => world.restart(),
                Act::Settle => {
                    world.settle();
                    prop_assert_eq!(world.table.plugs.present.len(), world.plugged.len());
                }
            }
            world.place();
            let mut places = std::collections::BTreeSet::new();
            for (id, plug) in &world.table.plugs.present {
                prop_assert!(places.insert(plug.node.devpath.clone()), "one node, two numbers");
                prop_assert!(world.rows.iter().any(|row| row.camera == *id && row.kind == plug.node.kind()));
                if let Some(serial) = plug.node.serial() {
                    let before = whose.entry(serial.to_owned()).or_insert(*id);
                    prop_assert_eq!(*before, *id);
                }
            }
        }
    }
}
