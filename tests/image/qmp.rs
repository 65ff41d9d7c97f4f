//! QEMU's own control socket: keys and cables.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::PATIENCE;

/// Has QEMU carry out one command, in a connection of its own.
#[track_caller]
pub fn execute(socket: &Path, command: &str, arguments: &Value) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    // The greeting.
    lines.next().unwrap().unwrap();
    let mut ask = |command: &str, arguments: &Value| {
        let wish = json!({ "execute": command, "arguments": arguments });
        stream.write_all(format!("{wish}\n").as_bytes()).unwrap();
        // What happens meanwhile is told in between.
        let mut answers = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let answer = answers.find(|line| !line["event"].is_string());
        let answer = answer.unwrap_or_else(|| panic!("{command}: QEMU ended"));
        assert!(answer["return"].is_object(), "{command}: {answer}");
        answer["return"].clone()
    };
    ask("qmp_capabilities", &json!({}));
    ask(command, arguments)
}
