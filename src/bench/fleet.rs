//! Connections that send many calls before they read the first answer.

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{push_text, take_texts};
use crate::base::{Error, ErrorKind, Mono, Result};
use crate::ctl::{Host, connect};

/// Open connections, not logged in: `ping` needs no login.
pub struct Fleet {
    streams: Vec<TcpStream>,
}

/// What a run of pings showed.
pub struct Run {
    /// Answered calls.
    pub calls: u64,
    /// Milliseconds from sending a call's batch to its answer.
    pub latencies: Vec<f64>,
}

impl Fleet {
    /// Connects `count` times.
    pub async fn open(host: &Host, count: usize) -> Result<Fleet> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = connect(host).await?;
            let shaken = tokio_tungstenite::client_async(format!("ws://{host}/ws"), stream).await;
            let (socket, _) = shaken.map_err(|e| broken(&e))?;
            // Nothing is sent to us unasked, so nothing is lost in the layer taken away here.
            streams.push(socket.into_inner());
        }
        Ok(Fleet { streams })
    }

    /// At least `calls` pings in all, `depth` at a time on each connection.
    pub async fn ping(&mut self, calls: u64, depth: u64) -> Result<Run> {
        let rounds = calls.div_ceil(depth * self.streams.len() as u64);
        let runs = try_join_all(self.streams.iter_mut().map(|s| ping_one(s, rounds, depth))).await?;
        let mut all = Run { calls: 0, latencies: Vec::new() };
        for run in runs {
            all.calls += run.calls;
            all.latencies.extend(run.latencies);
        }
        Ok(all)
    }
}

async fn ping_one(stream: &mut TcpStream, rounds: u64, depth: u64) -> Result<Run> {
    let mut run = Run { calls: 0, latencies: Vec::with_capacity((rounds * depth) as usize) };
    let mut request = Vec::new();
    let mut input = vec![0u8; 64 << 10];
    let mut held = 0;
    for round in 0..rounds {
        request.clear();
        for n in 0..depth {
            push_text(
                &mut request,
                &format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, round * depth + n),
            );
        }
        let sent = Mono::now();
        stream.write_all(&request).await.map_err(|e| broken(&e))?;
        let mut missing = depth;
        while missing > 0 {
            let got = stream.read(&mut input[held..]).await.map_err(|e| broken(&e))?;
            if got == 0 {
                return Err(broken(&"the box closed the connection"));
            }
            held += got;
            let took = Mono::now().since(sent).as_secs_f64() * 1000.0;
            let mut wrong = false;
            let used = take_texts(&input[..held], |payload| {
                wrong |= !is_pong(payload);
                missing = missing.saturating_sub(1);
                run.latencies.push(took);
            });
            let used =
                used.filter(|_| !wrong).ok_or_else(|| broken(&"an answer to ping was not \"pong\""))?;
            input.copy_within(used..held, 0);
            held -= used;
        }
        run.calls += depth;
    }
    Ok(run)
}

fn is_pong(payload: &[u8]) -> bool {
    std::str::from_utf8(payload).is_ok_and(|text| text.contains(r#""result":"pong""#))
}

fn broken(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::DependencyFailed, "The load could not be put on the box")
        .with("detail", cause.to_string())
}
