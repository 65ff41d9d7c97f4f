//! Every change reaches each entitled subscriber once and in order; who does not read delays nobody.

use std::collections::BTreeMap;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::bystander::SECRET;
use crate::common::{Client, Setup, TestBox, process, token, turn, wait_for};

const CAMERAS: usize = 8;

/// Cameras whose names tell which change of them this is.
fn lineup(change: usize) -> String {
    let camera = |n: usize| {
        let source = format!("test:testsrc2?lose={}", n + 100);
        format!("[[camera]]\nsource = \"{source}\"\nname = \"Gate of the northern yard, change {change}\"\n")
    };
    (0..CAMERAS).map(camera).collect()
}

/// A box, and an admin who can change every camera at once.
struct Yard {
    testbox: TestBox,
    admin: Client,
    change: usize,
}

impl Yard {
    fn start(setup: Setup) -> Yard {
        let testbox = setup.cameras(0).env("CAMERAS__RESOLUTION", "160x120").toml(&lineup(0)).start();
        let admin = testbox.login("admin");
        Yard { testbox, admin, change: 0 }
    }

    /// Every camera gets another name.
    fn rename(&mut self) {
        self.change += 1;
        std::fs::write(self.testbox.scratch().join("fieldcam.toml"), lineup(self.change)).unwrap();
        self.admin.ok("reload_config", json!({}));
    }
}

/// A camera's row: its id and which change of it this is.
fn row(note: &Value) -> (String, usize) {
    assert_eq!(note["method"], "camera_status_update", "{note}");
    let name = note["params"]["name"].as_str().unwrap();
    let change = name.rsplit(' ').next().unwrap().parse().unwrap();
    (note["params"]["device"].as_str().unwrap().to_owned(), change)
}

/// Reads rows until each camera has come to this change.
fn rows_until(client: &mut Client, change: usize) -> Vec<(String, usize)> {
    let (mut rows, mut last) = (Vec::new(), BTreeMap::new());
    while last.len() < CAMERAS || last.values().any(|c| *c < change) {
        let row = row(&client.notification(|_| true));
        last.insert(row.0.clone(), row.1);
        rows.push(row);
    }
    rows
}

fn by_camera(rows: &[(String, usize)]) -> BTreeMap<&str, Vec<usize>> {
    let mut all: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    rows.iter().for_each(|(camera, change)| all.entry(camera).or_default().push(*change));
    all
}

/// Nothing more waits for this client: what is ready is written before the next request is read.
#[track_caller]
fn assert_nothing_more(client: &mut Client) {
    client.assert_alive();
    assert_eq!(client.heard(), Vec::<Value>::new());
}

const EVERY_NAME: [&str; 4] =
    ["camera.connected", "camera.disconnected", "camera.status_change", "camera_status_update"];

#[test]
fn each_change_comes_once_in_order_however_it_is_subscribed_to_and_only_of_the_wanted_camera() {
    let _turn = turn::take();
    let mut yard = Yard::start(Setup::new());
    let [mut all, mut one, mut none] = [(); 3].map(|()| yard.testbox.login("viewer"));
    all.ok("subscribe_events", json!({ "topics": EVERY_NAME }));
    one.ok("subscribe_events", json!({ "topics": EVERY_NAME, "filters": { "device": "camera3" } }));
    none.ok("subscribe_events", json!({ "topics": ["recording.start", "camera.connected"] }));
    const CHANGES: usize = 30;
    (0..CHANGES).for_each(|_| yard.rename());
    let wanted: Vec<usize> = (1..=CHANGES).collect();
    let rows = rows_until(&mut all, CHANGES);
    let heard = by_camera(&rows);
    assert_eq!(heard.len(), CAMERAS);
    assert!(heard.values().all(|changes| *changes == wanted), "{heard:?}");
    for change in wanted {
        assert_eq!(row(&one.notification(|_| true)), ("camera3".to_owned(), change));
    }
    for client in [&mut all, &mut one, &mut none] {
        assert_nothing_more(client);
    }
}

/// Milliseconds from asking for a change until its last row is heard.
fn delays(yard: &mut Yard, client: &mut Client, changes: usize) -> Vec<u128> {
    let delay = |_| {
        let begun = Instant::now();
        yard.rename();
        rows_until(client, yard.change);
        begun.elapsed().as_millis()
    };
    let mut delays: Vec<_> = (0..changes).map(delay).collect();
    delays.sort_unstable();
    delays
}

#[test]
fn who_does_not_read_delays_nobody_and_is_told_once_how_everything_is() {
    let _turn = turn::take();
    let mut yard = Yard::start(Setup::new());
    let mut lively = yard.testbox.login("viewer");
    lively.ok("subscribe_events", json!({ "topics": EVERY_NAME }));
    let alone = delays(&mut yard, &mut lively, 20);
    let mut deaf = Client::narrow(yard.testbox.endpoints().url("ws"));
    deaf.authenticate(&yard.testbox.token("viewer"));
    deaf.ok("subscribe_events", json!({ "topics": EVERY_NAME }));
    let (first, before) = (yard.change + 1, process::rss_kib(yard.testbox.pid()));
    let beside = delays(&mut yard, &mut lively, 150);
    let grown = process::rss_kib(yard.testbox.pid()).saturating_sub(before);
    println!("{} notifications unread: {grown} KiB", 150 * CAMERAS);
    println!("all told, ms: alone {} (median), beside {}", alone[10], beside[75]);
    // In the middle of the run the deaf one has long been stuck.
    assert!(beside[75] <= 3 * alone[10].max(10), "{} ms, alone {} ms", beside[75], alone[10]);
    assert!(grown < 8 << 10, "{grown} KiB");

    let last = yard.change;
    let rows = rows_until(&mut deaf, last);
    assert_nothing_more(&mut deaf);
    // It hears them in order, misses some once, and hears the last of each camera exactly once.
    let heard = by_camera(&rows);
    let jumps = |changes: &[usize]| changes.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    for (camera, changes) in &heard {
        assert!(changes.is_sorted_by(|a, b| a < b), "{camera}: {changes:?}");
        assert_eq!((changes[0], *changes.last().unwrap()), (first, last), "{camera}: {changes:?}");
        assert_eq!(jumps(changes), 1, "one look at the state, {camera}: {changes:?}");
    }
    // And then it goes on.
    yard.rename();
    let rows = rows_until(&mut deaf, yard.change);
    assert_eq!(rows.len(), CAMERAS);
}

#[test]
fn who_never_reads_is_dropped_with_a_reason() {
    let _turn = turn::take();
    let mut yard = Yard::start(Setup::new().env("SERVER__IDLE_TIMEOUT", "3s"));
    let mut deaf = Client::narrow(yard.testbox.endpoints().url("ws"));
    deaf.authenticate(&yard.testbox.token("viewer"));
    deaf.ok("subscribe_events", json!({ "topics": EVERY_NAME }));
    wait_for("it is given up", || {
        yard.rename();
        let metrics = yard.admin.ok("get_metrics", Value::Null);
        (metrics["connection_metrics"]["dropped"] == 1).then_some(())
    });
    let (code, reason) = deaf.goodbye();
    assert_eq!((code, reason.contains("took nothing")), (1008, true), "{reason}");
    let told = deaf.heard();
    assert!(!told.is_empty(), "what it was told before is still there");
    yard.admin.assert_alive();
    wait_for("its place is free", || {
        let stats = yard.admin.ok("get_subscription_stats", Value::Null);
        (stats["global_stats"]["active_clients"] == 0).then_some(())
    });
}

#[test]
fn what_a_socket_hears_goes_by_the_role_it_has_then() {
    let _turn = turn::take();
    let testbox = Setup::new().cameras(1).start();
    let (viewer, admin) = (testbox.token("viewer"), testbox.token("admin"));
    let [mut watch, mut both] = [(); 2].map(|()| testbox.login("admin"));
    for client in [&mut watch, &mut both] {
        client.ok("subscribe_events", json!({ "topics": ["system.health", "system_health_update"] }));
    }
    let mut outage = |both: &mut Client| {
        testbox.child("mediamtx").signal(Signal::SIGKILL);
        watch.notification(|n| n["params"]["status"] == "UNHEALTHY");
        watch.notification(|n| n["params"]["status"] != "UNHEALTHY");
        both.assert_alive();
        both.heard().len()
    };
    assert_eq!(outage(&mut both), 2, "each verdict once, by either name");
    both.authenticate(&viewer);
    assert_eq!(outage(&mut both), 0, "not for viewers");
    both.authenticate(&admin);
    assert_eq!(outage(&mut both), 2);
}

#[test]
fn who_logs_in_again_after_the_log_in_expired_is_told_how_everything_is() {
    let _turn = turn::take();
    let mut yard = Yard::start(Setup::new().env("AUTH__JWT_SECRET", SECRET));
    let mut claims = token::claims("viewer");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 4);
    let short = token::sign(&token::hs256(), &claims, SECRET.as_bytes());
    let mut client = yard.testbox.connect();
    client.authenticate(&short);
    client.ok("subscribe_events", json!({ "topics": EVERY_NAME }));
    yard.rename();
    assert_eq!(rows_until(&mut client, 1).len(), CAMERAS);
    wait_for("its token expires", || client.call("get_camera_list", Value::Null).err());
    yard.rename();
    yard.rename();
    assert_nothing_more(&mut client);
    client.authenticate(&yard.testbox.token("viewer"));
    let rows = rows_until(&mut client, 3);
    assert_eq!(rows.len(), CAMERAS, "once as they are now: {rows:?}");
    assert_nothing_more(&mut client);
    yard.rename();
    assert_eq!(rows_until(&mut client, 4).len(), CAMERAS);
}

#[test]
fn a_recording_that_ended_unheard_is_told_with_the_state() {
    let _turn = turn::take();
    let mut yard = Yard::start(Setup::new());
    let mut deaf = Client::narrow(yard.testbox.endpoints().url("ws"));
    deaf.authenticate(&yard.testbox.token("viewer"));
    let topics = [&EVERY_NAME[..], &["recording_status_update"]].concat();
    deaf.ok("subscribe_events", json!({ "topics": topics }));
    let record = |admin: &mut Client, device: &str| {
        let started = admin.ok("start_recording", json!({ "device": device }));
        wait_for("something is recorded", || {
            let info = admin.ok("get_recording_info", json!({ "filename": started["filename"] }));
            (info["file_size"].as_u64() > Some(0)).then_some(())
        });
        started["filename"].clone()
    };
    let ended = record(&mut yard.admin, "camera1");
    (0..150).for_each(|_| yard.rename());
    // Both lie behind what was lost.
    yard.admin.ok("stop_recording", json!({ "device": "camera1" }));
    let running = record(&mut yard.admin, "camera2");
    let mut told = Vec::new();
    while told.iter().filter(|(_, status): &&(Value, Value)| *status == "RECORDING").count() < 2 {
        let note = deaf.notification(|n| n["method"] == "recording_status_update");
        told.push((note["params"]["filename"].clone(), note["params"]["status"].clone()));
    }
    deaf.assert_alive();
    let late = deaf.heard().into_iter().filter(|n| n["method"] == "recording_status_update").count();
    assert_eq!(late, 0);
    let words: Vec<_> = told.iter().map(|(name, status)| (name, status.as_str().unwrap())).collect();
    assert_eq!(words, [(&ended, "RECORDING"), (&ended, "STOPPED"), (&running, "RECORDING")]);
}
