//! Bad requests must be answered as the contract says, and nothing else may notice them.

use serde_json::Value;

use super::{Client, Setup, TestBox};

/// The box's secret where tests forge tokens.
pub const SECRET: &str = "a secret of the tests, longer than thirty-two bytes";

/// A box whose secret the test knows.
#[track_caller]
pub fn start() -> TestBox {
    Setup::new().env("AUTH__JWT_SECRET", SECRET).start()
}

/// A connection that was there before the bad request, and must not notice it.
pub struct Bystander<'a> {
    testbox: &'a TestBox,
    client: Client,
    pid: u32,
}

impl<'a> Bystander<'a> {
    pub fn new(testbox: &'a TestBox) -> Bystander<'a> {
        Bystander { testbox, client: testbox.login("viewer"), pid: testbox.pid() }
    }

    #[track_caller]
    pub fn noticed_nothing(&mut self) {
        assert_eq!(self.client.ok("get_camera_list", Value::Null)["total"], 2);
        self.testbox.connect().assert_alive();
        assert_eq!(self.testbox.pid(), self.pid);
        assert!(!self.testbox.log().contains("panicked"), "{}", self.testbox.log());
    }
}

/// Every error carries what the contract promises for its code, and nothing about the inside.
#[track_caller]
pub fn check_error(testbox: &TestBox, case: &str, code: i64, data: &Value, reply: &str) {
    let members: &[&str] = match code {
        -32600 | -32601 => &["hint"],
        -32602 => &["param", "rule", "hint"],
        -32603 => &["request_id"],
        -32001 => &["reason"],
        -32002 => &["required_role", "have_role"],
        -32010 => &["resource", "id"],
        -32020 => &["state", "allowed_states"],
        -32030 => &["feature", "reason"],
        -32040 => &["retry_after_ms"],
        -32050 => &["dependency", "detail"],
        other => panic!("{case}: unknown code {other}: {reply}"),
    };
    for member in members {
        assert!(data.get(member).is_some(), "{case}: data has no {member}: {reply}");
    }
    let inside = testbox.data().to_string_lossy().into_owned();
    for leak in [&inside, SECRET, "/dev/", "SELECT ", "panicked", ".rs:", "backtrace"] {
        // What the client itself sent may come back as the id of what was not found.
        assert!(!reply.contains(leak) || case.contains(leak), "{case}: {leak:?} leaks: {reply}");
    }
}
