//! The box's button for a factory reset: a key of the board itself, held for ten seconds.

mod hold;
mod keys;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::hold::Button;
use self::keys::{Heard, Keys};
use super::BOX_SOCKET;
use super::ask::{judge, say};
use super::errand::Errand;
use crate::base::{Error, Mono, Result};

/// For the helper to start and to write, each errand.
const ANSWERED: Duration = Duration::from_secs(30);

/// What it is started with.
#[derive(clap::Args, Debug)]
pub struct ButtonArgs {
    /// The input device, such as /dev/input/event0
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// The key's number, as in linux/input-event-codes.h
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=0x2ff))]
    key: u16,
    /// Where the box's helper listens
    #[arg(long, value_name = "FILE", hide = true, default_value = BOX_SOCKET)]
    socket: PathBuf,
}

/// Watches a device until the button was held, or the device is gone; one without that key is left alone at once.
/// Then asks the box's helper for the factory reset of everything, and for a restart. Blocks.
///
/// Fails when the device cannot be read.
pub fn watch(args: &ButtonArgs) -> Result<()> {
    // To the journal and the console, by way of systemd.
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().finish();
    tracing::subscriber::set_global_default(log).map_err(Error::internal)?;
    let Some(mut keys) = Keys::open(&args.device, args.key).map_err(Error::internal)? else { return Ok(()) };
    let mut button = Button::default();
    button.step(Mono::now(), keys.is_down().map_err(Error::internal)?);
    loop {
        let heard = keys.hear(button.due().map(Mono::from_now)).map_err(Error::internal)?;
        let now = Mono::now();
        match heard {
            Heard::Gone => return Ok(()),
            Heard::Steps(steps) => steps.into_iter().for_each(|down| button.step(now, down)),
            // Some of what happened was lost: only how it stands now is known.
            Heard::Lost => button.step(now, keys.is_down().map_err(Error::internal)?),
            Heard::Nothing => {
                // Once more, from the driver itself: after this there is no way back.
                button.step(now, keys.is_down().map_err(Error::internal)?);
                if button.is_held(now) {
                    match reset(&args.socket) {
                        Ok(()) => return Ok(()),
                        Err(Failed::Wish(why)) => tracing::error!("no factory reset: {why}"),
                        Err(Failed::Restart(why)) => tracing::error!(
                            "the factory reset comes with the next start, but the box does not restart ({why}): switch it \
                             off and on"
                        ),
                    }
                    button.forget();
                }
            }
        }
    }
}

/// How far it did not come, and why.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    /// Nothing is reset.
    Wish(String),
    /// The next start resets, whenever it is.
    Restart(String),
}

/// The wish first, the restart only when it stands.
fn reset(socket: &Path) -> std::result::Result<(), Failed> {
    tracing::warn!("the button was held: factory reset; the box restarts and forgets everything");
    order(socket, &Errand::FactoryReset { keep_recordings: false }).map_err(Failed::Wish)?;
    order(socket, &Errand::Reboot).map_err(Failed::Restart)
}

fn order(socket: &Path, errand: &Errand) -> std::result::Result<(), String> {
    let answer = say(socket, &errand.to_string(), ANSWERED);
    judge(&answer.map_err(|e| format!("the box's helper cannot be asked ({e})"))?).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A helper that answers with these, one after the other. Gives what it was asked.
    fn asked(answers: &[&str]) -> (std::result::Result<(), Failed>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("box.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let mut heard = Vec::new();
                for answer in answers {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut line = String::new();
                    BufReader::new(&stream).read_line(&mut line).unwrap();
                    stream.write_all(answer.as_bytes()).unwrap();
                    heard.push(line.trim_end().to_owned());
                }
                heard
            });
            (reset(&socket), helper.join().unwrap())
        })
    }

    #[test]
    fn nothing_restarts_before_the_wish_stands() {
        let (done, heard) = asked(&["ok\n", "ok\n"]);
        assert_eq!((done, heard), (Ok(()), vec!["FACTORY-RESET all".into(), "REBOOT".into()]));
        let (done, heard) = asked(&["no: there is no data partition of an image here\n"]);
        assert_eq!(done, Err(Failed::Wish("there is no data partition of an image here".into())));
        assert_eq!(heard, ["FACTORY-RESET all"]);
        let nobody = reset(Path::new("/nowhere"));
        assert!(matches!(nobody, Err(Failed::Wish(why)) if why.contains("cannot be asked")));
    }

    #[test]
    fn a_wish_that_stands_is_not_denied() {
        let (done, heard) = asked(&["ok\n", "no: systemctl failed (exit code 1): busy\n"]);
        assert_eq!(done, Err(Failed::Restart("systemctl failed (exit code 1): busy".into())));
        assert_eq!(heard, ["FACTORY-RESET all", "REBOOT"]);
    }
}
