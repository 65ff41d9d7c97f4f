//! One WebSocket connection from its first frame to its last.
//!
//! Everything that can be answered from memory is answered in the order it came, a whole read at a
//! time, with one write for all answers. What has to wait runs beside ([`Calls`]).

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::Shared;
use super::budget::Claim;
use super::calls::Calls;
use super::carrier::Carrier;
use super::dispatch::{self, Outcome};
use super::events::{self, Client};
use super::frame::{Fault, Message, Reader, Writer};
use super::pulse::Pulse;
use super::session::Session;
use crate::auth::Login;
use crate::base::Mono;

/// Requests wait while this much is not yet taken by the peer.
const OUT_HIGH: usize = 256 << 10;
/// Notifications wait in their queue while this much is not yet taken: what they say is read when they are
/// written, and what is written holds memory of this socket alone.
const NEWS_HIGH: usize = 32 << 10;
/// Bytes that the kernel takes of us before it can send them.
const UNSENT: u32 = 64 << 10;
/// A message that needs memory of the common budget has this long to be complete.
const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// A peer that is asked whether it lives, because others wait, has this long to say so.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a peer has to take our goodbye.
const FAREWELL_TIME: Duration = Duration::from_secs(2);

struct Socket<S> {
    io: S,
    reader: Reader,
    writer: Writer,
    session: Session,
    claim: Claim,
    calls: Calls,
}

enum Turn {
    Read,
    Wrote,
    End,
}

/// Serves one connection until either side ends it.
pub(super) async fn run<S>(shared: &Arc<Shared>, io: S, early: Bytes, session: Session, pulse: &Pulse)
where
    S: Carrier,
{
    io.bound_unsent(Some(UNSENT));
    let mut socket = Socket {
        io,
        reader: Reader::new(&early),
        writer: Writer::default(),
        session,
        claim: Claim::default(),
        calls: Calls::new(),
    };
    // Empty or not, it holds hyper's buffer of 8 KiB.
    drop(early);
    let quiet = shared.idle_timeout / 4;
    let mut heard = Mono::now();
    // Since when the peer has taken nothing of what waits.
    let (mut stuck, mut taken) = (None, 0);
    let mut began: Option<Mono> = None;
    let mut completed = 0;
    let alarm = tokio::time::sleep(quiet);
    tokio::pin!(alarm);
    loop {
        if let ControlFlow::Break(fault) = socket.answer(shared) {
            if fault.is_some() {
                shared.services.health.traffic().dropped();
            }
            return socket.farewell(fault).await;
        }
        let need = socket.reader.held_after_growth();
        if !socket.reader.is_amid() || socket.reader.completed() != completed {
            // Whatever is unfinished now is another message.
            completed = socket.reader.completed();
            socket.claim.clear();
            began = None;
        }
        let covered = socket.claim.covers(need);
        if began.is_none() && (!covered || !socket.claim.is_empty()) {
            let now = Mono::now();
            began = Some(now);
            alarm.as_mut().reset(instant_in(MESSAGE_TIME));
        }
        let pending = socket.writer.pending().len();
        if std::mem::replace(&mut taken, socket.writer.taken()) != taken || pending == 0 {
            stuck = None;
        }
        if pending > 0 {
            stuck.get_or_insert_with(Mono::now);
        }
        let (blocked, full) = (pending >= OUT_HIGH, pending >= NEWS_HIGH);
        let client = socket.session.client().cloned();
        let login = socket.session.login();
        let Socket { io, reader, writer, session, claim, calls } = &mut socket;
        tokio::select! {
            biased;
            () = shared.group.stop().cancelled() => {
                if socket.last_answers().await.is_err() {
                    return;
                }
                if let Some(client) = &client {
                    events::farewell(client, &socket.session.call, &mut socket.writer);
                }
                return socket.farewell(Some(Fault { code: CloseCode::Away, reason: "the box stops" })).await;
            }
            Some(text) = calls.next() => writer.text(|out| out.extend_from_slice(&text)),
            () = revoked(login.as_deref()), if client.is_some() => session.unsubscribe(),
            () = ready(client.as_deref()), if !full => {
                let client = client.as_deref().expect("only a client is ready");
                events::deliver(client, session.hub(), &session.call, writer, NEWS_HIGH);
            }
            () = shared.budget.grow(claim, need, session.is_known()), if !covered => {}
            turn = std::future::poll_fn(|cx| turn(cx, io, reader, writer, covered && !blocked)) => match turn {
                Ok(Turn::Read) => {
                    heard = Mono::now();
                    pulse.heard(heard);
                }
                Ok(Turn::Wrote) => {}
                Ok(Turn::End) | Err(_) => return,
            },
            () = pulse.is_asked() => {
                if writer.pending().is_empty() {
                    writer.ping();
                }
                let left = began.map_or(ANSWER_TIME, |t| MESSAGE_TIME.saturating_sub(Mono::now().since(t)));
                alarm.as_mut().reset(instant_in(left.min(ANSWER_TIME)));
            }
            () = &mut alarm => {
                let now = Mono::now();
                let dropped = || shared.services.health.traffic().dropped();
                if pulse.doubted_since().is_some_and(|t| now.since(t) >= ANSWER_TIME) {
                    dropped();
                    let reason = "it did not answer, and others wait for its place";
                    return socket.farewell(Some(Fault { code: CloseCode::Again, reason })).await;
                }
                if began.is_some_and(|t| now.since(t) >= MESSAGE_TIME) {
                    dropped();
                    let reason = "a large message was not complete within 10 s";
                    return socket.farewell(Some(Fault { code: CloseCode::Policy, reason })).await;
                }
                let long = |since: Mono| now.since(since) >= shared.idle_timeout;
                if long(heard) || stuck.is_some_and(long) {
                    dropped();
                    let reason = match stuck {
                        Some(_) => "it took nothing of what was sent to it for too long",
                        None => "it did not answer for too long",
                    };
                    return socket.farewell(Some(Fault { code: CloseCode::Policy, reason })).await;
                }
                if now.since(heard) >= quiet {
                    reader.rest();
                    writer.rest();
                    if writer.pending().is_empty() {
                        writer.ping();
                    }
                }
                let next = began.map_or(quiet, |t| MESSAGE_TIME.saturating_sub(now.since(t)));
                let asked = pulse.doubted_since().map_or(next, |t| ANSWER_TIME.saturating_sub(now.since(t)));
                alarm.as_mut().reset(instant_in(next.min(asked)));
            }
        }
    }
}

async fn ready(client: Option<&Client>) {
    match client {
        Some(client) => client.ready().await,
        None => std::future::pending().await,
    }
}

/// Waits until the log-in is withdrawn; its expiry is looked at in every call.
async fn revoked(login: Option<&Login>) {
    match login {
        Some(login) => login.standing.revoked().await,
        None => std::future::pending().await,
    }
}

fn instant_in(time: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + time
}

/// Writes what there is, then reads if it may; ready as soon as either made progress.
fn turn<S: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    io: &mut S,
    reader: &mut Reader,
    writer: &mut Writer,
    may_read: bool,
) -> Poll<io::Result<Turn>> {
    let mut wrote = false;
    while !writer.pending().is_empty() {
        match Pin::new(&mut *io).poll_write(cx, writer.pending()) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(Turn::End)),
            Poll::Ready(Ok(n)) => {
                writer.wrote(n);
                wrote = true;
            }
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => break,
        }
    }
    if wrote {
        // Nothing is buffered below us for TCP; TLS later needs the flush.
        let _ = Pin::new(&mut *io).poll_flush(cx)?;
    }
    if may_read {
        let mut space = ReadBuf::new(reader.space());
        match Pin::new(io).poll_read(cx, &mut space) {
            Poll::Ready(Ok(())) => {
                let count = space.filled().len();
                reader.filled(count);
                return Poll::Ready(Ok(if count == 0 { Turn::End } else { Turn::Read }));
            }
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => {}
        }
    }
    if wrote { Poll::Ready(Ok(Turn::Wrote)) } else { Poll::Pending }
}

impl<S: Carrier> Socket<S> {
    /// Answers every whole message that is here, as far as the answers find room. Breaks with our
    /// reason to close, or with none when the peer has said goodbye.
    fn answer(&mut self, shared: &Arc<Shared>) -> ControlFlow<Option<Fault>> {
        let (mut calls, mut faults, mut start) = (0, 0, None);
        let flow = loop {
            if self.writer.pending().len() >= OUT_HIGH {
                break ControlFlow::Continue(());
            }
            let message = match self.reader.next() {
                Ok(Some(message)) => message,
                Ok(None) => break ControlFlow::Continue(()),
                Err(fault) => break ControlFlow::Break(Some(fault)),
            };
            start.get_or_insert_with(Mono::now);
            match message {
                Message::Text(text) => {
                    calls += 1;
                    match dispatch::text(&shared.table, &mut self.session, text, &mut self.writer) {
                        Outcome::Done => {}
                        Outcome::Fault => faults += 1,
                        Outcome::Slow(slow) => {
                            calls -= 1;
                            self.calls.begin(shared, slow, &mut self.writer);
                        }
                    }
                }
                Message::Binary => {
                    calls += 1;
                    dispatch::binary(&mut self.writer);
                }
                Message::Ping(payload) => self.writer.pong(payload),
                Message::Pong => {}
                Message::Close(code) => {
                    self.writer.close(code, "");
                    break ControlFlow::Break(None);
                }
            }
        };
        if let Some(start) = start {
            shared.services.health.traffic().answered(calls, faults, Mono::now().since(start));
        }
        flow
    }

    /// Gives the answers of the calls under way, each as it comes; reads nothing more, so nothing is begun.
    /// Takes no longer than these calls may ([`super::calls::LAST_TIME`]).
    async fn last_answers(&mut self) -> io::Result<()> {
        self.calls.last();
        loop {
            let Socket { io, reader, writer, calls, .. } = self;
            tokio::select! {
                biased;
                answer = calls.next() => match answer {
                    Some(text) => writer.text(|out| out.extend_from_slice(&text)),
                    None => return Ok(()),
                },
                turn = std::future::poll_fn(|cx| turn(cx, io, reader, writer, false)) => {
                    if matches!(turn?, Turn::End) {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
            }
        }
    }

    /// Says goodbye, and waits a moment for the peer to have heard it: closing a socket with unread
    /// bytes would throw our last answers away.
    async fn farewell(mut self, fault: Option<Fault>) {
        if let Some(Fault { code, reason }) = fault {
            if code == CloseCode::Policy || code == CloseCode::Again {
                // It is given up: what it did not take stands between it and the reason.
                self.writer.cut();
            }
            self.writer.close(code, reason);
        }
        // It need not read now to know later.
        self.io.bound_unsent(None);
        let last_words = async {
            self.io.write_all(self.writer.pending()).await?;
            self.io.shutdown().await?;
            let mut sink = [0; 1024];
            while self.io.read(&mut sink).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(FAREWELL_TIME, last_words).await;
    }
}
