//! Programs that a test starts from outside of the box, and what they say.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use nix::sys::signal::Signal;

use super::PATIENCE;

/// What a program has said so far.
pub type Lines = Arc<Mutex<Vec<String>>>;

/// The lines of a stream as they come; at its end nobody but the caller holds them.
pub fn collect(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            sink.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    lines
}

/// Starts a child that dies with this test program, however that ends. The kernel ties it to the
/// spawning *thread*, so one thread of the whole program starts them all.
#[expect(unsafe_code, reason = "one system call between fork and exec")]
pub fn spawn(mut command: Command) -> Child {
    type Job = (Command, mpsc::Sender<Child>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    // SAFETY: prctl is async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
    }
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in jobs {
                let child = command.spawn().unwrap_or_else(|e| panic!("cannot start the daemon: {e}"));
                let _ = reply.send(child);
            }
        });
        sender
    });
    let (reply, child) = mpsc::channel();
    spawner.send((command, reply)).unwrap();
    child.recv_timeout(PATIENCE).expect("the daemon can be started")
}
