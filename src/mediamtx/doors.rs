//! Who may do what at MediaMTX, decided without I/O: the credentials we made ourselves.
//!
//! Three doors of ours (the API, one publisher, our own reader) open from this machine only; every
//! other reader is the gate's. MediaMTX asks once for a publisher (ANNOUNCE, with its session's id;
//! RECORD is not asked again) and twice for an RTSP reader (DESCRIBE with the connection's id, SETUP
//! with the session's).

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::base::{Mono, Secret};

/// User name of our own API calls.
pub(super) const API_USER: &str = "fieldcam-api";
/// A publisher's credential stands in the query: user and password are sent only when asked for,
/// which costs another ANNOUNCE, and that one waits 44 ms for a delayed acknowledgement (measured).
pub(super) const TICKET: &str = "ticket=";
/// User name of our own readers.
pub(super) const READER_USER: &str = "fieldcam-reader";

/// How long the session that used a publishing credential may be asked about again.
const AGAIN: Duration = Duration::from_secs(10);
/// Unused publishing credentials kept for one path; the oldest go first. An encoder that dies before
/// it publishes leaves one behind.
const UNUSED_KEPT: usize = 8;

/// MediaMTX's question. Every field may be missing: another version may ask with fewer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    pub ip: String,
    pub user: String,
    pub password: String,
    pub action: String,
    pub path: String,
    pub protocol: String,
    pub query: String,
    pub id: Option<String>,
}

/// The answer as far as our own credentials go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Refuse,
    /// A reader who is not ours.
    AskGate,
}

#[derive(Debug)]
struct Ticket {
    path: String,
    password: Secret,
    used: Option<(Mono, Option<String>)>,
}

/// The credentials in force.
#[derive(Debug)]
pub(super) struct Doors {
    api: Secret,
    reader: Secret,
    tickets: Vec<Ticket>,
    /// Our own address as MediaMTX sees it when RTSP or the API listens elsewhere than on loopback.
    own: Vec<IpAddr>,
}

impl Doors {
    pub(super) fn new(own: Vec<IpAddr>) -> Self {
        Self { api: Secret::random(16), reader: Secret::random(16), tickets: Vec::new(), own }
    }

    /// A new credential for our API calls; the old one ends. To be called before each start.
    pub(super) fn renew_api(&mut self) -> Secret {
        self.api = Secret::random(16);
        self.api.clone()
    }

    /// The credential of our own readers.
    pub(super) fn reader(&self) -> &Secret {
        &self.reader
    }

    /// A credential that one session may publish `path` with.
    pub(super) fn ticket(&mut self, path: &str, now: Mono) -> Secret {
        self.forget(now);
        let unused = |t: &Ticket| t.used.is_none() && t.path == path;
        if self.tickets.iter().filter(|t| unused(t)).count() >= UNUSED_KEPT
            && let Some(oldest) = self.tickets.iter().position(unused)
        {
            self.tickets.remove(oldest);
        }
        let password = Secret::random(16);
        self.tickets.push(Ticket { path: path.to_owned(), password: password.clone(), used: None });
        password
    }

    /// Decides, and uses a publishing credential up.
    pub(super) fn decide(&mut self, ask: &Ask, now: Mono) -> Verdict {
        let granted = match ask.action.as_str() {
            "api" => self.is_local(ask) && ask.user == API_USER && same(&ask.password, self.api.expose()),
            "publish" => {
                self.is_local(ask) && ask.protocol == "rtsp" && {
                    self.forget(now);
                    self.use_ticket(ask, now)
                }
            }
            "read" if ask.user == READER_USER => {
                self.is_local(ask) && same(&ask.password, self.reader.expose())
            }
            // The first request of an RTSP client never has credentials; no need to trouble the gate.
            "read" if ask.user.is_empty() => false,
            "read" => return Verdict::AskGate,
            _ => false,
        };
        if granted { Verdict::Allow } else { Verdict::Refuse }
    }

    fn use_ticket(&mut self, ask: &Ask, now: Mono) -> bool {
        let given = ask.query.strip_prefix(TICKET).unwrap_or_default();
        let found = |t: &&mut Ticket| t.path == ask.path && same(given, t.password.expose());
        let Some(ticket) = self.tickets.iter_mut().find(found) else {
            return false;
        };
        match &ticket.used {
            None => {
                ticket.used = Some((now, ask.id.clone()));
                true
            }
            Some((_, id)) => id.is_some() && *id == ask.id,
        }
    }

    fn forget(&mut self, now: Mono) {
        self.tickets.retain(|t| t.used.as_ref().is_none_or(|(since, _)| now.since(*since) < AGAIN));
    }

    fn is_local(&self, ask: &Ask) -> bool {
        ask.ip.parse::<IpAddr>().is_ok_and(|ip| {
            let ip = ip.to_canonical();
            ip.is_loopback() || self.own.contains(&ip)
        })
    }
}

/// Compares without telling by its time how much was right.
fn same(given: &str, wanted: &str) -> bool {
    given.len() == wanted.len() && given.bytes().zip(wanted.bytes()).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(password: &Secret, path: &str, id: &str) -> Ask {
        Ask {
            ip: "127.0.0.1".into(),
            query: format!("{TICKET}{}", password.expose()),
            action: "publish".into(),
            path: path.into(),
            protocol: "rtsp".into(),
            id: Some(id.into()),
            ..Ask::default()
        }
    }

    #[test]
    fn a_publishing_credential_serves_one_session_of_one_path() {
        let mut doors = Doors::new(Vec::new());
        let t = Mono(1_000_000_000);
        let ticket = doors.ticket("camera0", t);
        assert_eq!(doors.decide(&publish(&ticket, "camera1", "a"), t), Verdict::Refuse);
        assert_eq!(doors.decide(&publish(&ticket, "camera0", "a"), t), Verdict::Allow);
        assert_eq!(doors.decide(&publish(&ticket, "camera0", "a"), t), Verdict::Allow);
        assert_eq!(doors.decide(&publish(&ticket, "camera0", "b"), t), Verdict::Refuse);
        let later = t + AGAIN;
        assert_eq!(doors.decide(&publish(&ticket, "camera0", "a"), later), Verdict::Refuse);
    }

    #[test]
    fn our_credentials_open_from_this_machine_only() {
        let mut doors = Doors::new(vec!["192.168.1.5".parse().unwrap()]);
        let t = Mono(0);
        let ticket = doors.ticket("camera0", t);
        let mut ask = publish(&ticket, "camera0", "a");
        for (ip, verdict) in [
            ("192.168.1.6", Verdict::Refuse),
            ("", Verdict::Refuse),
            ("nonsense", Verdict::Refuse),
            ("192.168.1.5", Verdict::Allow),
        ] {
            ask.ip = ip.into();
            assert_eq!(doors.decide(&ask, t), verdict, "{ip}");
        }
        let mut api = Ask {
            ip: "::1".into(),
            user: API_USER.into(),
            password: doors.renew_api().expose().into(),
            action: "api".into(),
            ..Ask::default()
        };
        assert_eq!(doors.decide(&api, t), Verdict::Allow);
        api.ip = "10.0.0.1".into();
        assert_eq!(doors.decide(&api, t), Verdict::Refuse);
        api.ip = "::1".into();
        doors.renew_api();
        assert_eq!(doors.decide(&api, t), Verdict::Refuse, "a new start ends the old credential");
    }

    #[test]
    fn publishing_by_browser_is_refused() {
        let mut doors = Doors::new(Vec::new());
        let ticket = doors.ticket("camera0", Mono(0));
        let mut ask = publish(&ticket, "camera0", "a");
        ask.protocol = "webrtc".into();
        assert_eq!(doors.decide(&ask, Mono(0)), Verdict::Refuse);
    }

    #[test]
    fn readers_of_others_are_the_gates_business_unless_nameless() {
        let mut doors = Doors::new(Vec::new());
        let mut ask = Ask { action: "read".into(), path: "camera0".into(), ..Ask::default() };
        assert_eq!(doors.decide(&ask, Mono(0)), Verdict::Refuse);
        ask.user = "ann".into();
        assert_eq!(doors.decide(&ask, Mono(0)), Verdict::AskGate);
        ask.user = READER_USER.into();
        assert_eq!(doors.decide(&ask, Mono(0)), Verdict::Refuse);
    }

    #[test]
    fn unused_credentials_do_not_pile_up() {
        let mut doors = Doors::new(Vec::new());
        let first = doors.ticket("camera0", Mono(0));
        for _ in 0..1000 {
            doors.ticket("camera0", Mono(0));
        }
        assert_eq!(doors.tickets.len(), UNUSED_KEPT);
        assert_eq!(doors.decide(&publish(&first, "camera0", "a"), Mono(0)), Verdict::Refuse);
    }

    proptest! {
        #[test]
        fn no_guess_opens_a_door(
            action in "api|publish|read|playback|metrics|pprof|.*",
            user in "fieldcam-api|fieldcam-reader",
            password in ".*",
            query in "ticket=.*|.*",
        ) {
            let mut doors = Doors::new(Vec::new());
            doors.ticket("camera0", Mono(0));
            let ask = Ask {
                ip: "127.0.0.1".into(), user, password, action, query,
                path: "camera0".into(), protocol: "rtsp".into(), id: None,
            };
            prop_assert!(doors.decide(&ask, Mono(0)) != Verdict::Allow);
        }
    }
}
