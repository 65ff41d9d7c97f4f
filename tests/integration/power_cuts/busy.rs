//! What goes on while the power fails: recordings begin and end, are read and deleted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, TestBox, http, wait_for};

pub const CAMERAS: [&str; 2] = ["camera0", "camera1"];
/// So many ended recordings are kept.
const KEPT: usize = 3;

/// A box and its busy clients.
pub struct Busy {
    testbox: Option<TestBox>,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What one client does until it is over.
type Work = Box<dyn FnOnce(&Shared, Client) + Send>;

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// Of each camera: the recording that has been running for a while.
    steady: Mutex<[Option<String>; 2]>,
    ended: Mutex<VecDeque<String>>,
}

impl Shared {
    /// Waits in small steps, so that the end is heard.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Busy {
    /// Starts everything; returns when both cameras have recorded for some seconds.
    pub fn start(testbox: TestBox) -> Busy {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        let mut run = |work: Work| {
            let (shared, client) = (shared.clone(), testbox.login("admin"));
            clients.push(std::thread::spawn(move || work(&shared, client)));
        };
        for n in 0..CAMERAS.len() {
            run(Box::new(move |shared, client| record(shared, client, n)));
        }
        run(Box::new(delete));
        run(Box::new(download));
        let busy = Busy { testbox: Some(testbox), shared, clients };
        wait_for("both cameras record", || busy.steady().iter().all(Option::is_some).then_some(()));
        busy
    }

    /// The recording of each camera that ran for seconds before now and still runs.
    pub fn steady(&self) -> [Option<String>; 2] {
        self.shared.steady.lock().unwrap().clone()
    }

    /// Ends the clients and the box.
    pub fn end(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client of the busy box failed");
        }
        self.testbox = None;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
        // Before the disk is unmounted.
        self.testbox = None;
    }
}

fn record(shared: &Shared, mut client: Client, n: usize) {
    while !shared.over.load(Ordering::Relaxed) {
        let started = client.ok("start_recording", json!({ "device": CAMERAS[n] }));
        let name = started["filename"].as_str().unwrap().to_owned();
        wait_for("it records", || {
            let info = client.ok("get_recording_info", json!({ "filename": name }));
            (info["duration"].as_u64().unwrap() >= 2).then_some(())
        });
        shared.steady.lock().unwrap()[n] = Some(name.clone());
        shared.pause(Duration::from_millis(rand::random_range(4_000..26_000)));
        shared.steady.lock().unwrap()[n] = None;
        client.ok("stop_recording", json!({ "device": CAMERAS[n] }));
        shared.ended.lock().unwrap().push_back(name);
    }
}

fn delete(shared: &Shared, mut client: Client) {
    while !shared.over.load(Ordering::Relaxed) {
        shared.pause(Duration::from_millis(rand::random_range(300..1500)));
        let oldest = {
            let mut ended = shared.ended.lock().unwrap();
            if ended.len() > KEPT { ended.pop_front() } else { None }
        };
        if let Some(name) = oldest
            && client.call("delete_recording", json!({ "filename": name })).is_err()
        {
            // Somebody is reading it.
            shared.ended.lock().unwrap().push_back(name);
        }
    }
}

fn download(shared: &Shared, mut client: Client) {
    while !shared.over.load(Ordering::Relaxed) {
        let list = client.ok("list_recordings", Value::Null);
        let files = list["files"].as_array().unwrap();
        if !files.is_empty() {
            let file = &files[rand::random_range(0..files.len())];
            let range = format!("bytes={}-", rand::random_range(0..20_000));
            let headers = [("Range", range.as_str())];
            let headers = if rand::random() { &headers[..] } else { &[] };
            // It may be deleted by now, and one that has just begun has nothing yet.
            let answer = http::get(file["download_url"].as_str().unwrap(), headers);
            assert!(answer.status < 500, "{}: {}", answer.status, answer.text());
        }
        shared.pause(Duration::from_millis(rand::random_range(50..600)));
    }
}
