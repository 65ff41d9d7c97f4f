//! Commands for the guest: the other end of `system/usr/lib/test/agent`, over a forwarded port.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

/// What a command in the guest said, and its exit status.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// The connections to the guest; each runs one command at a time.
pub struct Agent {
    address: SocketAddr,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Agent {
    pub fn new(port: u16) -> Agent {
        Agent { address: SocketAddr::from(([127, 0, 0, 1], port)), idle: Mutex::default() }
    }

    /// Runs a shell command as root. `Err` = no answer within `limit`, or no guest.
    pub fn run(&self, command: &str, limit: Duration) -> io::Result<Said> {
        assert!(!command.contains('\0'), "a zero byte ends a command");
        let free = self.idle.lock().unwrap().pop();
        let mut line = match free {
            Some(line) => line,
            None => BufReader::new(TcpStream::connect(self.address)?),
        };
        line.get_ref().set_nodelay(true)?;
        line.get_ref().set_read_timeout(Some(limit))?;
        line.get_mut().write_all(format!("{command}\0").as_bytes())?;
        let said = answer(&mut line)?;
        self.idle.lock().unwrap().push(line);
        Ok(said)
    }
}

/// `STATUS BYTES BYTES`, then what was said on standard output and on standard error.
fn answer(line: &mut impl BufRead) -> io::Result<Said> {
    let mut head = String::new();
    line.read_line(&mut head)?;
    let numbers: Vec<usize> = head.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [status, out, err] = numbers[..] else {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("answered {head:?}")));
    };
    let mut text = |size: usize| -> io::Result<String> {
        let mut bytes = vec![0; size];
        line.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Said { status: status as i32, out: text(out)?, err: text(err)? })
}
