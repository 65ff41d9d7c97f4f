//! The real box against `docs/api/openrpc.json`: every method, in every role and without one, with
//! parameters as they should be and in every way that they should not. Each answer is held against the
//! document, which takes nothing from the code.

mod cases;
mod coverage;
mod notifications;
mod paths;
mod roles;

use std::collections::BTreeMap;

use cases::{Case, Want};
use coverage::Coverage;
use roles::{ROLES, may, table};
use serde_json::{Map, Value, json};

use crate::common::document::{document, is_planned};
use crate::common::rtsp_camera::{H264, RtspCamera};
use crate::common::{Client, Setup, TestBox, turn, wait_for};

#[test]
fn the_document_has_the_contracts_methods_and_roles() {
    let mut written: Vec<_> =
        document().methods().map(|(name, m)| (name, m["x-role"].as_str().unwrap())).collect();
    let mut table = table();
    written.sort_unstable();
    table.sort_unstable();
    assert_eq!(written, table);
}

/// One caller on one box, and what came of the calls.
struct Caller<'a> {
    testbox: &'a TestBox,
    role: &'static str,
    client: Client,
    token: Option<String>,
    calls: usize,
    /// How often each method answered with a result (0), and with each error.
    outcomes: BTreeMap<(String, i64), usize>,
    seen: Coverage,
    /// What was wrong: all of it, so that one run shows every deviation.
    faults: Vec<String>,
}

impl<'a> Caller<'a> {
    fn new(testbox: &'a TestBox, role: &'static str) -> Self {
        let token = (role != "none").then(|| testbox.token(role));
        let mut caller = Self {
            testbox,
            role,
            client: testbox.connect(),
            token,
            calls: 0,
            outcomes: BTreeMap::new(),
            seen: Coverage::default(),
            faults: Vec::new(),
        };
        caller.log_in();
        caller
    }

    fn log_in(&mut self) {
        if let Some(token) = &self.token {
            self.client.authenticate(token);
        }
    }

    /// Makes a call, holds the answer against the document, and gives it back.
    #[track_caller]
    fn call(&mut self, method: &str, params: Option<&Value>) -> Value {
        self.calls += 1;
        // Ids of both kinds, one of them beyond what a double holds.
        let id = if self.calls.is_multiple_of(2) {
            json!(u64::MAX - self.calls as u64)
        } else {
            json!(format!("é{}", self.calls))
        };
        let mut request = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if let Some(params) = params {
            request["params"] = params.clone();
        }
        self.client.send(&request.to_string());
        let reply = self.client.reply();
        assert_eq!(reply["id"], id, "{reply}");
        let shown: String = request.to_string().chars().take(300).collect();
        let code = reply["error"]["code"].as_i64().unwrap_or(0);
        let fault = document().fault_in_reply(Some(method), &reply);
        let fault = fault.or_else(|| (code == -32603).then(|| "a fault of the box".into()));
        if let Some(fault) = fault.or_else(|| self.leak(method, &reply)) {
            self.faults.push(format!("{} sent {shown}\n  and got {reply}\n  but {fault}", self.role));
        }
        self.seen.note(method, &reply["result"]);
        *self.outcomes.entry((method.to_owned(), code)).or_default() += 1;
        reply
    }

    /// A path of the box's disk, a device or a secret that goes out.
    fn leak(&self, method: &str, reply: &Value) -> Option<String> {
        if method == "rpc.discover" {
            return None;
        }
        // What came in as an id comes back in the error that names it.
        let mut reply = reply.clone();
        if let Some(id) = reply.pointer_mut("/error/data/id") {
            id.take();
        }
        let text = reply.to_string();
        let data = self.testbox.data().to_string_lossy();
        let secrets = ["/dev/", &*data, "/proc/", "secrets/", "SELECT ", ".rs:"];
        let token = self.token.as_deref();
        secrets.into_iter().chain(token).find(|s| text.contains(s)).map(|secret| format!("{secret} goes out"))
    }

    /// Parameters of this moment that `method` takes.
    fn good(&mut self, method: &str, written: &Value, files: &Files) -> Map<String, Value> {
        let mut params = cases::example(written);
        let file = match method {
            "get_recording_info" | "protect_recording" => Some(files.recording.clone()),
            "get_snapshot_info" => Some(files.snapshot.clone()),
            "delete_recording" => Some(files.other_recording.clone()),
            "delete_snapshot" => Some(files.other_snapshot.clone()),
            "take_snapshot" => Some(format!("{}{}.jpg", self.role, self.calls)),
            _ => None,
        };
        params.extend(file.map(|file| ("filename".to_owned(), file.into())));
        match method {
            "rotate_api_key" => drop(params.insert("id".into(), files.key.clone().into())),
            "revoke_api_key" => drop(params.insert("id".into(), files.other_key.clone().into())),
            _ => {}
        }
        if method == "authenticate" {
            let token = self.token.clone().unwrap_or_else(|| self.testbox.token("viewer"));
            params.insert("auth_token".into(), token.into());
        }
        params
    }

    /// All cases of one method.
    fn try_method(&mut self, method: &str, needed: &str, written: &Value, files: &Files) {
        let good = self.good(method, written, files);
        for case in cases::cases(written, &good) {
            let reply = self.call(method, case.params.as_ref());
            self.judge(method, needed, &case, &reply);
            if method == "authenticate" && self.role == "none" && reply["result"].is_object() {
                // It is logged in now; a stranger stays one.
                self.client = self.testbox.connect();
            }
        }
    }

    fn judge(&mut self, method: &str, needed: &str, case: &Case, reply: &Value) {
        let code = reply["error"]["code"].as_i64().unwrap_or(0);
        let data = &reply["error"]["data"];
        let is_right = match &case.want {
            _ if self.role == "none" && needed != "none" => code == -32001,
            _ if !may(self.role, needed) => {
                code == -32002 && data["required_role"] == needed && data["have_role"] == self.role
            }
            Want::Taken => ![-32001, -32002, -32602].contains(&code),
            Want::Absent(resource, id) => {
                code == -32010 && data["resource"] == *resource && data["id"] == *id
            }
            // "Missing or non-string token -> -32001" (contract.md).
            Want::Refused(param) if method == "authenticate" && param != "params" => code == -32001,
            Want::Refused(param) => code == -32602 && data["param"] == *param,
        };
        if !is_right {
            let Case { what, want, .. } = case;
            self.faults.push(format!("{} calls {method}, {what}: wanted {want:?}, got {reply}", self.role));
        }
    }
}

/// What there is on the box to ask for and to delete.
struct Files {
    recording: String,
    other_recording: String,
    snapshot: String,
    other_snapshot: String,
    key: String,
    other_key: String,
}

impl Files {
    fn make(testbox: &TestBox) -> Self {
        let mut client = testbox.login("operator");
        let mut record = || {
            let device = json!({ "device": "camera1" });
            let started = client.ok("start_recording", device.clone());
            let name = json!({ "filename": started["filename"] });
            wait_for("something is recorded", || {
                (client.ok("get_recording_info", name.clone())["file_size"].as_u64() > Some(0)).then_some(())
            });
            client.ok("stop_recording", device)["filename"].as_str().unwrap().to_owned()
        };
        let [recording, other_recording] = [(); 2].map(|()| record());
        let mut take = || {
            let taken = client.ok("take_snapshot", json!({ "device": "camera1" }));
            taken["filename"].as_str().unwrap().to_owned()
        };
        let [snapshot, other_snapshot] = [(); 2].map(|()| take());
        let mut admin = testbox.login("admin");
        let mut make = || {
            let made = admin.ok("create_api_key", json!({ "name": "hall", "role": "viewer" }));
            made["id"].as_str().unwrap().to_owned()
        };
        let [key, other_key] = [(); 2].map(|()| make());
        Self { recording, other_recording, snapshot, other_snapshot, key, other_key }
    }
}

#[test]
fn every_method_answers_every_role_as_the_document_says() {
    let _turn = turn::take();
    let drone = RtspCamera::start_open(H264);
    // The document's own example, and a server that is there.
    let discovery = format!(
        "[discovery]\nexternal_enabled = true\nallowed_hosts = [\"192.0.2.20:554\", \"{}\"]",
        drone.address()
    );
    // With a certificate, for the member that says which.
    let setup = Setup::new().env("CAMERAS__RESOLUTION", "320x180").env("SERVER__TLS", "auto");
    let testbox = setup.toml(&discovery).start();
    let files = Files::make(&testbox);
    let mut notes = notifications::Ears::open(&testbox);
    let served: Vec<_> = document().methods().filter(|(_, m)| !is_planned(m)).collect();
    let needed: BTreeMap<_, _> = table().into_iter().collect();
    let (mut calls, mut faults, mut seen) = (0, Vec::new(), Coverage::default());
    let mut outcomes: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for role in ["none", "viewer", "operator", "admin"] {
        let mut caller = Caller::new(&testbox, role);
        for (method, written) in &served {
            caller.try_method(method, needed[method], written, &files);
        }
        // Methods that are not there yet are unknown, whoever asks.
        for (method, _) in document().methods().filter(|(_, m)| is_planned(m)) {
            assert_eq!(caller.call_unknown(method)["error"]["code"], -32601, "{method}");
        }
        caller.client.assert_alive();
        faults.append(&mut caller.faults);
        seen.merge(caller.seen);
        calls += caller.calls;
        for (outcome, n) in caller.outcomes {
            *outcomes.entry(outcome).or_default() += n;
        }
    }
    let heard = notes.listen();
    let silent: Vec<_> = served
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !outcomes.contains_key(&((*name).to_owned(), 0)))
        .filter(|name| {
            let elsewhere = [&coverage::OF_DEVICES[..], &coverage::OF_CLAIMS, &coverage::OF_IMAGES].concat();
            !elsewhere.contains(&format!("{name}.").as_str())
        })
        .collect();
    assert!(silent.is_empty(), "no result was ever seen of {silent:?}");
    let codes: BTreeMap<i64, usize> = outcomes.iter().fold(BTreeMap::new(), |mut all, ((_, code), n)| {
        *all.entry(*code).or_default() += n;
        all
    });
    println!(
        "conformance: {calls} calls to {} methods in 4 roles, {} notifications",
        served.len(),
        notes.heard()
    );
    println!("conformance: answers by code (0 = result): {codes:?}");
    println!("conformance: {} notifications meanwhile: {heard:?}", notes.heard());
    assert!(seen.unseen().is_empty(), "documented, but in no result: {:#?}", seen.unseen());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

impl Caller<'_> {
    /// A call to a method that does not exist.
    #[track_caller]
    fn call_unknown(&mut self, method: &str) -> Value {
        self.client.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": [] }).to_string());
        let reply = self.client.reply();
        if let Some(fault) = document().fault_in_reply(None, &reply) {
            panic!("{method}: {reply}: {fault}");
        }
        reply
    }
}

#[test]
fn what_is_no_method_is_unknown_to_strangers_too() {
    let testbox = TestBox::start();
    let mut caller = Caller::new(&testbox, "none");
    let root = document().root();
    let topics = root["components"]["schemas"]["Topic"]["enum"].as_array().unwrap().iter();
    let notes = root["x-notifications"].as_array().unwrap().iter().map(|n| &n["name"]);
    for name in topics.chain(notes).map(|n| n.as_str().unwrap()).chain(["", "PING", "ping ", "rpc.x", "\0"]) {
        assert_eq!(caller.call_unknown(name)["error"]["code"], -32601, "{name:?}");
    }
}

#[test]
fn a_request_without_id_is_never_answered() {
    let testbox = TestBox::start();
    for role in ["none", "viewer"] {
        let mut caller = Caller::new(&testbox, role);
        for (method, written) in document().methods() {
            for params in [Value::from(cases::example(written)), json!([]), json!({ "device": 7 })] {
                let request = json!({ "jsonrpc": "2.0", "method": method, "params": params });
                caller.client.send(&request.to_string());
            }
        }
        // Whatever came in between would be taken for the answer.
        caller.client.assert_alive();
    }
    assert_eq!(ROLES.len(), 3);
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let fault = |reply: Value| document().fault_in_reply(Some("delete_snapshot"), &reply).unwrap_or_default();
    let result = json!({ "filename": "a.jpg", "deleted": true, "message": "gone" });
    let changed = |member: &str, value: Value| {
        let mut changed = result.clone();
        match value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(member)),
            value => changed[member] = value,
        }
        json!({ "jsonrpc": "2.0", "id": 1, "result": changed })
    };
    assert_eq!(fault(changed("message", json!("gone"))), "");
    for (member, value) in [
        ("message", Value::Null),
        ("message", json!("")),
        ("deleted", json!("true")),
        ("filename", json!("../a.jpg")),
        ("more", json!(1)),
    ] {
        assert!(fault(changed(member, value.clone())).contains("delete_snapshot"), "{member} {value}");
    }
    let data =
        json!({ "resource": "snapshot", "id": "a.jpg", "reason": "r", "details": "d", "suggestion": "s" });
    let error = |code: i64, message: &str, data: &Value| {
        fault(
            json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": code, "message": message, "data": data } }),
        )
    };
    assert_eq!(error(-32010, "Snapshot not found", &data), "");
    assert!(error(-32010, "File not found", &data).contains("message of NotFound"));
    assert!(error(-32010, "Snapshot not found", &json!({})).contains("data of NotFound"));
    assert!(error(-32030, "Unsupported", &data).contains("not among the errors"));
    assert!(error(-32099, "Snapshot not found", &data).contains("no error has the code"));
    let both = json!({ "jsonrpc": "2.0", "id": 1, "result": result, "error": null });
    assert!(fault(both).contains("Reply"));
    let note =
        json!({ "jsonrpc": "2.0", "method": "system.startup", "params": { "timestamp": "yesterday" } });
    assert!(document().fault_in_notification(&note).is_some());
}
