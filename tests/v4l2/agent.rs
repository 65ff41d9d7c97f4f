//! Commands for the guest: the other end of `common/agent`, over a forwarded port.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

pub use crate::common::said::Said;

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
        let said = Said::read(&mut line)?;
        self.idle.lock().unwrap().push(line);
        Ok(said)
    }
}
