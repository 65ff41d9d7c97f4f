//! The gate at work: looks once a second until the slot that runs is marked good, or is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::Update;
use super::gate::{Do, Seen, Stand};
use crate::base::Mono;
use crate::helper::Errand;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer of our own API may take.
const ANSWER: Duration = Duration::from_secs(5);

impl Update {
    /// The daemon is ready: the slot that runs may prove good. `api` is where its API listens.
    pub fn on_trial(&self, api: SocketAddr) {
        if self.state().gate.as_ref().is_none_or(|gate| gate.stand() != Stand::Waiting) {
            return;
        }
        let (update, stop) = (self.clone(), self.0.group.stop().clone());
        self.0.group.spawn("commit gate", async move {
            stop.run_until_cancelled(update.judge(api)).await;
        });
    }

    async fn judge(&self, api: SocketAddr) {
        let mut look = interval(EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            look.tick().await;
            let seen = self.seen(answers(api).await);
            let (decision, missing, is_new) = {
                let mut state = self.state();
                let Some(gate) = state.gate.as_mut() else { return };
                let decision = gate.step(Mono::now(), &seen);
                let found = (decision, gate.missing(&seen), gate.is_new());
                state.answers = seen.answers;
                state.missing = found.1.iter().copied().collect();
                found
            };
            if is_new && told.as_ref() != Some(&(seen.answers, missing.clone())) {
                told = Some((seen.answers, missing));
                self.tell();
            }
            match decision {
                Do::Wait => {}
                Do::Commit { fell_back } => {
                    if self.commit(fell_back).await {
                        return;
                    }
                }
                Do::Restart => return self.go_back(&seen).await,
                Do::Leave => {
                    tracing::error!(
                        "the slot that runs could not be marked good; the bootloader tries it again"
                    );
                    return self.tell();
                }
            }
        }
    }

    /// Has the helper mark the slot. Answers with whether that is settled.
    async fn commit(&self, fell_back: bool) -> bool {
        let asked = self.ask(Errand::Commit { fell_back }).await;
        let done = asked.is_ok();
        if let Err(error) = asked {
            tracing::error!("the slot that runs could not be marked good: {}", error.chain());
        }
        {
            let mut state = self.state();
            if let Some(gate) = state.gate.as_mut() {
                gate.asked(done);
            }
            if done {
                let here = &self.0.options.here;
                state.record.committed = Some(here.boot_id.clone());
                // One that was installed in this very start waits for the next.
                if let Some(kept) = state.record.pending.take_if(|p| p.boot_id != here.boot_id) {
                    tracing::info!("version {} is kept", kept.version);
                    state.record.kept = Some(kept.version);
                    state.kept_now = true;
                }
                state.look_again();
            }
        }
        if done {
            self.keep().await;
            self.tell();
        }
        done
    }

    /// The new version did not prove good in time: the reason is kept, and the box restarts without the mark.
    async fn go_back(&self, seen: &Seen) {
        let reason = {
            let mut state = self.state();
            let missing = state.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let lacks_data = state.lacks_data();
            let reason = match (seen.answers, missing.as_str()) {
                (false, _) => "its API did not answer".to_owned(),
                (true, _) if lacks_data => "it could not use the data partition".to_owned(),
                (true, "") => "the slot could not be marked good".to_owned(),
                (true, missing) => format!("not live again in time: {missing}"),
            };
            if let Some(pending) = state.record.pending.as_mut() {
                pending.reason = Some(reason.clone());
            }
            reason
        };
        tracing::error!("this version did not prove good ({reason}): the box restarts");
        self.keep().await;
        self.tell();
        if let Err(error) = self.ask(Errand::Reboot).await {
            tracing::error!("the box cannot be restarted: {}", error.chain());
        }
    }
}

/// What is looked at in an answer.
#[derive(Deserialize)]
struct Answer {
    jsonrpc: String,
    id: u64,
}

/// Whether our own API answers a ping over its own listener.
async fn answers(api: SocketAddr) -> bool {
    // A machine may lack one of the two.
    let ways: &[IpAddr] = match api.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]
        }
        ip => &[ip],
    };
    let ways: Vec<_> = ways.iter().map(|ip| SocketAddr::new(*ip, api.port())).collect();
    let asked = timeout(ANSWER, async {
        let stream = TcpStream::connect(&ways[..]).await.ok()?;
        let to = stream.peer_addr().ok()?;
        let (mut socket, _) = client_async(format!("ws://{to}/ws"), stream).await.ok()?;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        socket.send(Message::text(ping)).await.ok()?;
        let answer = socket.next().await?.ok()?.into_text().ok()?;
        // A box that nobody owns yet refuses even this, and that is an answer too.
        let answer: Answer = serde_json::from_str(&answer).ok()?;
        Some(answer.jsonrpc == "2.0" && answer.id == 1)
    });
    asked.await.ok().flatten() == Some(true)
}
