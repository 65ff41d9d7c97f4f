//! journald as far as a sender sees it: a datagram socket, and a parser of its native protocol. None
//! runs where tests run.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

pub type Entry = BTreeMap<String, String>;

/// Receives until the test ends.
pub struct Journald {
    dir: tempfile::TempDir,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Journald {
    pub fn start() -> Journald {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        let entries: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let sink = entries.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(size) = socket.recv(&mut buffer) {
                // An empty datagram is how a sender asks whether we are there.
                if size > 0 {
                    sink.lock().unwrap().push(parse(&buffer[..size]));
                }
            }
        });
        Journald { dir, entries }
    }

    /// What came so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Runs a program with our socket where journald's is, seen by nobody else.
    pub fn prefix(&self) -> Vec<String> {
        let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
        let dir = self.dir.path().to_str().unwrap();
        ["unshare", "--mount", "sh", "-c", script, "sh", dir].map(str::to_owned).into()
    }
}

/// `NAME=value\n`, or `NAME\n`, eight bytes of length, the value and `\n`.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let line = bytes.iter().position(|b| *b == b'\n').expect("a field ends with its line");
        let head = String::from_utf8(bytes[..line].to_vec()).unwrap();
        bytes = &bytes[line + 1..];
        if let Some((name, value)) = head.split_once('=') {
            entry.insert(name.to_owned(), value.to_owned());
        } else {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let value = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
            bytes = &bytes[8 + length + 1..];
            entry.insert(head, value);
        }
    }
    entry
}
