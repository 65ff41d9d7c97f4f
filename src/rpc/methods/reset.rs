//! factory_reset: the box forgets its owner and what it was told. Ours.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::shared::line;
use crate::base::{Error, Result};
use crate::disk::Temporary;
use crate::helper::{self, BOX_SOCKET, Errand};
use crate::machine;
use crate::rpc::params::{Fields, Params};
use crate::rpc::session::Call;

/// The helper writes a line to the disk, or starts a program that waits for nothing.
const LIMIT: Duration = Duration::from_secs(30);
/// The kernel's own limit.
const NAME_MAX: usize = 64;

pub(super) struct Reset {
    confirm: String,
    keep_recordings: bool,
}

impl Params for Reset {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "write the box's host name, so that no other box is reset by mistake";
        Ok(Self {
            confirm: line("confirm", fields.string("confirm", hint)?, NAME_MAX, hint)?,
            keep_recordings: fields.optional_switch("keep_recordings")?.unwrap_or(false),
        })
    }
}

#[derive(Serialize)]
pub(super) struct Accepted {
    accepted: bool,
    keep_recordings: bool,
    message: &'static str,
}

/// Asks the next start for it, and for that start.
pub(super) async fn reset(call: Call, p: Reset) -> Result<Accepted> {
    let name = machine::host_name();
    if !p.confirm.eq_ignore_ascii_case(&name) {
        let hint = format!("this box is called {name}: confirm with that if it is the one that is meant");
        return Err(Error::state("another box is meant", "OTHER_BOX", &["THIS_BOX"]).with("suggestion", hint));
    }
    let update = &call.services.update;
    possible(update.here().data, update.lacks_data(), p.keep_recordings)?;
    order(Path::new(BOX_SOCKET), p.keep_recordings, &call.stop).await?;
    tracing::warn!(by = call.login().user, keep_recordings = p.keep_recordings, "factory reset: restarting");
    let message = "the box restarts and forgets its owner, its settings and its secrets";
    Ok(Accepted { accepted: true, keep_recordings: p.keep_recordings, message })
}

/// A data partition that cannot be used is made anew, when there is one and nothing of it is to stay; not by a version
/// that is `leaving` for the one before, which may be able to use it.
fn possible(data: Option<Temporary>, leaving: bool, keep_recordings: bool) -> Result<()> {
    let (why, hint) = match data {
        Some(why @ Temporary::Missing) => (why, "put the card or disk back and restart the box"),
        Some(why) if leaving => (
            why,
            "this version is on trial: wait until the box is back with the one before, which may have its data",
        ),
        Some(why) if keep_recordings => {
            (why, "save what is needed from the card elsewhere, then ask without keep_recordings")
        }
        _ => return Ok(()),
    };
    let state = format!("DATA_{}", why.word().to_uppercase());
    Err(Error::state(why.message(), &state, &["DATA_USABLE"]).with("suggestion", hint))
}

/// Has the helper note the wish, and then restart the box.
async fn order(socket: &Path, keep_recordings: bool, stop: &CancellationToken) -> Result<()> {
    if !helper::is_there(socket) {
        let hint = "that is for boxes with an image of Fieldcam; on others remove the data directory";
        return Err(Error::unsupported("factory_reset", "this machine has nothing that could reset it")
            .with("suggestion", hint));
    }
    for errand in [Errand::FactoryReset { keep_recordings }, Errand::Reboot] {
        let asking = helper::ask(socket, &errand, LIMIT);
        let asked = match errand {
            Errand::Reboot => helper::or_stopped(asking, stop).await,
            _ => asking.await,
        };
        asked.map_err(|why| {
            tracing::error!(%errand, why, "the box's helper did not do it");
            let what = match errand {
                Errand::Reboot => "the factory reset comes with the next start; the box does not restart",
                _ => "the factory reset was refused",
            };
            Error::dependency("helper", what)
                .with("suggestion", "switch the box off and on, and look at its log")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::base::ErrorKind;

    /// Answers as many requests as there are answers; tells what was asked.
    fn helper(socket: &Path, answers: &'static [&'static str]) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            let answer = |text: &&str| {
                let mut stream = listener.accept().unwrap().0;
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                stream.write_all(text.as_bytes()).unwrap();
                line.trim_end().to_owned()
            };
            answers.iter().map(answer).collect()
        })
    }

    #[test]
    fn what_cannot_be_reset_says_what_to_do() {
        for keep in [false, true] {
            possible(None, false, keep).unwrap();
            let refused = possible(Some(Temporary::Missing), false, keep).unwrap_err();
            assert_eq!(
                (refused.kind(), &refused.data()["state"]),
                (ErrorKind::InvalidState, &"DATA_MISSING".into())
            );
        }
        for why in [Temporary::Foreign, Temporary::Broken] {
            possible(Some(why), false, false).unwrap();
            possible(Some(why), true, false).unwrap_err();
            let refused = possible(Some(why), false, true).unwrap_err();
            assert!(refused.data()["suggestion"].as_str().unwrap().contains("keep_recordings"));
        }
    }

    #[tokio::test]
    async fn the_wish_stands_before_the_box_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("box.sock");
        let stop = CancellationToken::new();
        assert_eq!(order(&socket, true, &stop).await.unwrap_err().kind(), ErrorKind::Unsupported);
        let asked = helper(&socket, &["ok\n", "ok\n"]);
        order(&socket, true, &stop).await.unwrap();
        assert_eq!(asked.join().unwrap(), ["FACTORY-RESET keep-recordings", "REBOOT"]);
        std::fs::remove_file(&socket).unwrap();
        let asked = helper(&socket, &["no: there is no data partition of an image here\n"]);
        let refused = order(&socket, false, &stop).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DependencyFailed);
        assert_eq!(asked.join().unwrap(), ["FACTORY-RESET all"], "and the box goes on");
    }

    #[tokio::test]
    async fn a_box_that_stops_before_its_helper_has_answered_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("box.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asked = std::thread::spawn(move || {
            let heard = || {
                let stream = listener.accept().unwrap().0;
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                (line, stream)
            };
            heard().1.write_all(b"ok\n").unwrap();
            let restart = heard();
            stopped.cancel();
            // It is busy until the connection ends.
            restart
        });
        order(&socket, false, &stop).await.unwrap();
        assert_eq!(asked.join().unwrap().0.trim_end(), "REBOOT");
    }
}
