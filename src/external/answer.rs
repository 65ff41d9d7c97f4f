//! What an RTSP server says to OPTIONS and DESCRIBE, as pure code over untrusted bytes.

/// The head of an answer; longer ones are none.
pub(super) const HEAD_MAX: usize = 8 << 10;
/// A description; longer ones are none.
pub(super) const BODY_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    /// Scheme of the log-in that is asked for, such as `Digest`.
    pub login: Option<String>,
    /// What the server calls itself, in printable ASCII.
    pub server: Option<String>,
    /// The description, when there is one.
    pub body: Vec<u8>,
}

/// What bytes are so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// More are to come.
    More,
    /// No RTSP answer, or a larger one than any camera gives.
    Bad,
    /// An answer, and how many bytes it took.
    Whole(Answer, usize),
}

/// Reads an answer from the beginning of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read {
    let window = &bytes[..bytes.len().min(HEAD_MAX)];
    let start = b"RTSP/1.";
    if !window.starts_with(&start[..start.len().min(window.len())]) {
        return Read::Bad;
    }
    let Some(end) = window.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if window.len() == HEAD_MAX { Read::Bad } else { Read::More };
    };
    let head = String::from_utf8_lossy(&window[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let Some(status) = status.filter(|s| (100..600).contains(s)) else { return Read::Bad };
    let mut answer = Answer { status, ..Answer::default() };
    let mut length = 0;
    for (i, line) in lines.enumerate() {
        let Some((name, value)) = line.split_once(':').filter(|_| i < HEADERS_MAX) else { return Read::Bad };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-length" => match value.parse() {
                Ok(n) if n <= BODY_MAX => length = n,
                _ => return Read::Bad,
            },
            "www-authenticate" => {
                let scheme: String = value.chars().take_while(char::is_ascii_alphabetic).take(16).collect();
                answer.login.get_or_insert(scheme);
            }
            "server" => answer.server = Some(printable(value, 64)),
            _ => {}
        }
    }
    let body = end + 4;
    match bytes.get(body..body + length) {
        Some(text) => {
            answer.body = text.to_vec();
            Read::Whole(answer, body + length)
        }
        None => Read::More,
    }
}

/// Printable ASCII of `text`, at most `most` characters.
pub(super) fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(most).collect()
}

/// The codec of the first video in a session description, in lower case: `h264`; none without video.
pub(super) fn video_codec(description: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(description);
    let mut video: Option<&str> = None;
    for line in text.lines().take(1000) {
        if let Some(media) = line.strip_prefix("m=") {
            if video.is_some() {
                break;
            }
            // m=video PORT PROTOCOL TYPE
            video = media.strip_prefix("video ").and_then(|rest| rest.split_whitespace().nth(2));
        } else if let Some(kind) = video
            && let Some(map) = line.strip_prefix("a=rtpmap:")
            && let Some((number, codec)) = map.split_once(' ')
            && number == kind
        {
            let name = printable(codec.split('/').next().unwrap_or_default(), 16);
            return Some(name.to_ascii_lowercase());
        }
    }
    // 26 and 32 to 34 have names without a map (RFC 3551).
    video.map(|kind| match kind {
        "26" => "jpeg".to_owned(),
        "32" => "mpv".to_owned(),
        "33" => "mp2t".to_owned(),
        "34" => "h263".to_owned(),
        _ => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SDP: &str = "v=0\r\ns=x\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n\
        m=video 0 RTP/AVP 96\r\na=control:0\r\na=rtpmap:96 H264/90000\r\n";

    #[test]
    fn a_description_is_read_to_its_end() {
        let text = format!(
            "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: cam\x07\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
        for cut in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..cut]), Read::More, "{cut}");
        }
        let Read::Whole(answer, taken) = read(format!("{text}$more").as_bytes()) else { panic!() };
        assert_eq!((answer.status, taken, answer.server.as_deref()), (200, text.len(), Some("cam")));
        assert_eq!(video_codec(&answer.body).as_deref(), Some("h264"));
    }

    #[test]
    fn what_is_no_answer_of_a_camera_is_refused() {
        let long = format!("RTSP/1.0 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD_MAX));
        let many = format!("RTSP/1.0 200 OK\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX + 1));
        for bad in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "$\0\0\0",
            "RTSP/1.0 9999 x\r\n\r\n",
            "RTSP/1.0\r\n\r\n",
            "RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "RTSP/1.0 200 OK\r\nContent-Length: 40000\r\n\r\n",
            "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
            "RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
            &long,
            &many,
        ] {
            assert_eq!(read(bad.as_bytes()), Read::Bad, "{bad:.60}");
        }
    }

    #[test]
    fn a_log_in_and_descriptions_without_map() {
        let Read::Whole(answer, _) = read(b"RTSP/1.0 401 x\r\nWWW-Authenticate: Digest realm=\"a\"\r\n\r\n")
        else {
            panic!()
        };
        assert_eq!((answer.status, answer.login.as_deref()), (401, Some("Digest")));
        assert_eq!(video_codec(b"m=video 0 RTP/AVP 26\r\n").as_deref(), Some("jpeg"));
        assert_eq!(video_codec(b"m=audio 0 RTP/AVP 0\r\n"), None);
        assert_eq!(video_codec(b"m=video\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "(RTSP/1.0 [0-9]{3} [^\r]{0,9}\r\n)?([A-Za-z-]{1,16}: ?[^\r]{0,20}\r\n){0,9}(\r\n)?.{0,60}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                if let Read::Whole(answer, taken) = read(bytes) {
                    prop_assert!(taken <= bytes.len() && answer.body.len() <= BODY_MAX);
                }
                let _ = video_codec(bytes);
            }
        }

        #[test]
        fn any_description_is_read(text in "(m=(video|audio) [0-9]{1,3} [A-Z/]{0,8} [0-9]{0,3}\r\n|a=rtpmap:[0-9]{0,3} ?[ -~]{0,9}\r\n|.{0,12}\n){0,12}") {
            let _ = video_codec(text.as_bytes());
        }
    }
}
