//! `fieldcam ctl factory-reset`: a box forgets its owner, and its owner forgets the box.

use serde_json::{Value, json};

use super::box_keys::BoxKeys;
use super::known::Known;
use super::link::{Link, read};
use super::screen;
use crate::base::{Error, ErrorKind, Result};

/// Has the box reset itself; `confirm` is its host name, asked for where it is not given.
pub(super) async fn reset(link: &mut Link, confirm: Option<String>, keep: bool, json: bool) -> Result<()> {
    let confirm = match confirm {
        Some(name) => name,
        None => asked(link, keep).await?,
    };
    let answer = ask(link, &confirm, keep).await?;
    // It comes back as another one: with another certificate, and without this key.
    BoxKeys::open().forget(link)?;
    Known::open().forget(link.host())?;
    if json {
        screen::line(&answer.to_string());
    } else {
        screen::line(answer["message"].as_str().unwrap_or_default());
        screen::remark("claim it again with the code that it shows then: fieldcam ctl claim");
    }
    Ok(())
}

/// Asks for it. Answers with what the box says; what it did not say it may not have done, and its key may be needed still.
async fn ask(link: &mut Link, confirm: &str, keep: bool) -> Result<Value> {
    match link.call("factory_reset", Some(json!({ "confirm": confirm, "keep_recordings": keep }))).await {
        Err(_) if link.is_stopped() => {
            Err(Error::new(ErrorKind::DependencyFailed, "The box stopped before it had answered").with(
                "suggestion",
                "wait until it is back: when it shows a claim code it was reset, and fieldcam ctl claim takes it; else \
                 ask once more",
            ))
        }
        raw => read(&raw?),
    }
}

async fn asked(link: &Link, keep: bool) -> Result<String> {
    let what =
        if keep { "everything but its recordings and snapshots" } else { "everything, its recordings too" };
    screen::remark(&format!("{} will forget {what}.", link.host()));
    let typed = tokio::task::spawn_blocking(|| {
        screen::prompt("Its host name, to go on: ");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line.trim().to_owned())
    });
    let typed = typed.await.map_err(Error::internal)?.unwrap_or_default();
    if typed.is_empty() {
        return Err(Error::new(ErrorKind::InvalidParams, "Nothing was reset")
            .with("suggestion", "type the box's host name when asked, or give --confirm NAME"));
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    use super::super::host::Host;
    use super::*;

    /// What `ask` makes of a box that says this to it, or stops before it has.
    async fn asks(says: Option<&str>, code: CloseCode) -> Result<Value> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host: Host = listener.local_addr().unwrap().to_string().parse().unwrap();
        let the_box = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let call = socket.next().await.unwrap().unwrap().into_text().unwrap();
            let call: Value = serde_json::from_str(&call).unwrap();
            assert_eq!(
                (&call["method"], &call["params"]["confirm"]),
                (&json!("factory_reset"), &json!("gate"))
            );
            if let Some(says) = says {
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{},{says}}}"#, call["id"]);
                socket.send(Message::text(answer)).await.unwrap();
            }
            socket.close(Some(CloseFrame { code, reason: "any words".into() })).await.unwrap();
        };
        let laptop = async { ask(&mut Link::open(&host).await.unwrap(), "gate", false).await };
        tokio::join!(the_box, laptop).1
    }

    #[tokio::test]
    async fn only_a_box_that_says_so_is_reset() {
        let answered = asks(Some(r#""result":{"accepted":true,"message":"yes"}"#), CloseCode::Away).await;
        assert_eq!(answered.unwrap()["message"], "yes");
        let stopped = asks(None, CloseCode::Away).await.unwrap_err();
        assert!(stopped.message().contains("before it had answered"), "{stopped:?}");
        let refused = r#""error":{"code":-32030,"message":"no","data":{}}"#;
        assert!(asks(Some(refused), CloseCode::Away).await.is_err(), "its word counts");
        assert!(asks(None, CloseCode::Policy).await.is_err(), "hung up on");
    }
}
