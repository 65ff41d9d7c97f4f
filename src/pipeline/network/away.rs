//! Why a network camera is not live: the reason, what clients read, and what stands with a recording's gap.

use crate::pipeline::view::CameraStatus;
use crate::recording::GapCause;

/// Why a network camera is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// Nobody has tried it yet.
    Untried,
    /// Its host does not answer.
    Unreachable,
    /// Its stream ended.
    Ended,
    /// It answers and sends nothing.
    Silent,
    /// It refuses the user name or password.
    LoginRefused,
    /// It has no stream at this path.
    NoStream,
    /// It answers with something else than a stream.
    Failing,
    /// Nothing vouches for who it says it is (`rtsps`).
    Untrusted,
    /// It sends to another address, which is not followed.
    Moved,
    /// Its host may not be connected to.
    HostRefused,
    /// MediaMTX, which pulls it, is not there.
    ServerDown,
}

impl Away {
    /// Every reason once, for tests.
    #[cfg(test)]
    pub const ALL: [Away; 11] = [
        Away::Untried,
        Away::Unreachable,
        Away::Ended,
        Away::Silent,
        Away::LoginRefused,
        Away::NoStream,
        Away::Failing,
        Away::Untrusted,
        Away::Moved,
        Away::HostRefused,
        Away::ServerDown,
    ];

    /// Reads MediaMTX's words about a pull that failed, such as `bad status code: 401 (Unauthorized)`
    /// or `dial tcp 10.0.0.7:554: connect: no route to host`.
    pub fn from_failure(why: &str) -> Self {
        let status = |code: &str| why.contains(&format!("status code: {code}"));
        if status("401") || status("403") {
            Away::LoginRefused
        } else if status("404") {
            Away::NoStream
        } else if why.contains("x509: ") || why.contains("tls: ") {
            Away::Untrusted
        } else if why.contains("dial ") {
            Away::Unreachable
        } else if why.contains("timeout") || why.contains("timed out") {
            Away::Silent
        } else {
            Away::Failing
        }
    }

    /// What clients are told: a camera that is there and does not work is in error.
    pub const fn status(self) -> CameraStatus {
        match self {
            Away::Untried | Away::Unreachable | Away::Ended => CameraStatus::Disconnected,
            Away::Silent
            | Away::LoginRefused
            | Away::NoStream
            | Away::Failing
            | Away::Untrusted
            | Away::Moved
            | Away::HostRefused
            | Away::ServerDown => CameraStatus::Error,
        }
    }

    /// For a person.
    pub const fn problem(self) -> &'static str {
        match self {
            Away::Untried => "it has not answered yet",
            Away::Unreachable => "the camera does not answer",
            Away::Ended => "the camera ended its stream",
            Away::Silent => "the camera answers and sends no picture",
            Away::LoginRefused => "the camera refuses the user name or password; correct camera.source",
            Away::NoStream => {
                "the camera answers, but has no stream at this path; correct camera.source or start its stream"
            }
            Away::Failing => "the camera does not deliver its stream",
            Away::Untrusted => {
                "the camera's certificate is not one that this box trusts for its address; use rtsp:// or another certificate"
            }
            Away::Moved => {
                "the camera sends elsewhere, which is not followed; add the address where it really is"
            }
            Away::HostRefused => "the host may not be connected to; see discovery.allowed_hosts",
            Away::ServerDown => "the media server is being started again",
        }
    }

    /// What a recording's gap is put down to; none when it is not the camera's fault.
    pub const fn gap(self) -> Option<GapCause> {
        match self {
            Away::Unreachable | Away::Ended => Some(GapCause::CameraDisconnected),
            Away::Silent | Away::NoStream | Away::Failing | Away::Moved => Some(GapCause::CameraSilent),
            Away::LoginRefused | Away::Untrusted => Some(GapCause::CameraRefused),
            Away::HostRefused => Some(GapCause::CameraDisconnected),
            Away::Untried | Away::ServerDown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_of_the_pinned_mediamtx() {
        for (why, away) in [
            ("bad status code: 401 (Unauthorized)", Away::LoginRefused),
            ("bad status code: 403 (Forbidden)", Away::LoginRefused),
            ("bad status code: 404 (Not Found)", Away::NoStream),
            ("bad status code: 500 (Internal Server Error)", Away::Failing),
            ("dial tcp 10.0.4.3:4030: connect: connection refused", Away::Unreachable),
            ("dial tcp 10.0.4.3:554: i/o timeout", Away::Unreachable),
            ("dial tcp: lookup camera.lan: no such host", Away::Unreachable),
            ("read tcp 127.0.0.1:40100->127.0.0.1:4010: i/o timeout", Away::Silent),
            ("EOF", Away::Failing),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                Away::Untrusted,
            ),
        ] {
            assert_eq!(Away::from_failure(why), away, "{why}");
        }
    }

    #[test]
    fn a_camera_that_is_away_is_never_listed_as_connected_and_says_why() {
        for away in Away::ALL {
            assert_ne!(away.status(), CameraStatus::Connected, "{away:?}");
            assert!(!away.problem().is_empty(), "{away:?}");
        }
    }

    #[test]
    fn a_gap_is_put_down_to_what_the_camera_did() {
        assert_eq!(Away::Silent.gap(), Some(GapCause::CameraSilent));
        assert_eq!(Away::Unreachable.gap(), Some(GapCause::CameraDisconnected));
        assert_eq!(Away::Ended.gap(), Some(GapCause::CameraDisconnected));
        assert_eq!(Away::LoginRefused.gap(), Some(GapCause::CameraRefused));
        assert_eq!(Away::ServerDown.gap(), None);
    }

    proptest! {
        #[test]
        fn any_words_are_read_without_panic(why in ".*") {
            let _ = Away::from_failure(&why);
        }
    }
}
