use super::*;
use proptest::prelude::*;

const OPTIONS: &str = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP\r\n\r\n";
const DESCRIBE: &str = "RTSP/1.0 200 OK\r\nCSeq: 2\r\ncontent-length:   12\r\n\r\nv=0\r\n\r\nRTSP/";
const ASKS: &str = "OPTIONS rtsp://box/ RTSP/1.0\r\nCSeq: 9\r\n\r\n";
const MOVED: &str = "RTSP/1.0 302 Found\r\nCSeq: 3\r\nLocation: rtsp://127.0.0.1/\r\n\r\n";

/// Looks at it in pieces of `size` bytes; how many bytes passed, and the verdict.
fn pieces(bytes: &[u8], size: usize) -> (usize, Verdict) {
    let mut framing = Framing::default();
    let mut passed = 0;
    for piece in bytes.chunks(size) {
        match framing.look(piece) {
            Verdict::Pass => passed += piece.len(),
            verdict => return (passed, verdict),
        }
    }
    (passed, Verdict::Pass)
}

#[test]
fn a_conversation_passes_whole_however_it_is_cut() {
    let mut all = format!("{OPTIONS}{DESCRIBE}").into_bytes();
    all.extend(b"$\x00\x00\x05RTSP/$\x01\x00\x00");
    all.extend(ASKS.as_bytes());
    // Left over from a frame, as some cameras do.
    all.extend(b"\x00\xffR\r\n");
    all.extend(OPTIONS.as_bytes());
    for size in 1..=all.len() {
        assert_eq!(pieces(&all, size), (all.len(), Verdict::Pass), "pieces of {size}");
    }
}

#[test]
fn a_redirect_never_passes_whole() {
    // What the client passes over, it may stand behind.
    for before in [OPTIONS, DESCRIBE, ASKS, "", "x", "R", "RR", "\r\n", "$\0\0\u{1}R", "RTS\0"] {
        for code in ["300", "301", "302", "305", "399", "0302", "+302"] {
            let all = format!("{before}{}", MOVED.replace("302", code));
            for size in 1..=all.len() {
                let (passed, verdict) = pieces(all.as_bytes(), size);
                assert_ne!(verdict, Verdict::Pass, "{before:?} {code} in pieces of {size}");
                assert!(passed < all.len());
            }
        }
    }
    assert_eq!(pieces(MOVED.as_bytes(), 9).1, Verdict::Moved);
}

#[test]
fn what_could_hide_a_redirect_is_refused() {
    let after = |first: &str| format!("{first}\r\n\r\n{MOVED}");
    let length = |line: &str| after(&format!("RTSP/1.0 200 OK\r\n{line}"));
    for bad in [
        length("Content-Length: 5\r\nContent-Length: 0"),
        length("Content-Length: 5\r\ncontent-length: 5"),
        length("Content-Length : 99"),
        length("Content-Length: 9 9"),
        length("Content-Length: +99"),
        length("Content-Length: -1"),
        length("Content-Length: 0x20"),
        length("Content-Length:"),
        length("Content-Length: 131073"),
        length("Content-Length: 99999999999999999999"),
        length("no colon"),
        length(" folded: 1"),
        length("a\n: b"),
        length("a: b\rc"),
        after("RTSP/2.0 200 OK"),
        after("RTSP/1.0  302 OK"),
        after("RTxP"),
        after("OPTIONS"),
        after("OPTIONS rtsp://x/ RTSP/1.0 x"),
        after("OPTIONS  RTSP/1.0"),
        after("OPTIONS rtsp://x/\rRTSP/1.0"),
        after("options rtsp://x/ RTSP/1.0\r\nSE"),
        format!("RTSP/1.0 200 OK\r\nX: {}", "x".repeat(HEAD_MAX)),
    ] {
        let (_, verdict) = pieces(bad.as_bytes(), 7);
        assert_ne!(verdict, Verdict::Pass, "{bad:.80}");
    }
}

/// The status of every answer that gortsplib 5.6.4 reads from `bytes` (`conn.go`, `response.go`,
/// `request.go`, `header.go`, `body.go`), until it has enough. Its limits on lengths are left out: they end
/// its reading earlier, never otherwise.
fn as_the_client_reads(mut bytes: &[u8]) -> Vec<u16> {
    let mut all = Vec::new();
    while bytes.len() >= 2 {
        let read = match (bytes[0], [bytes[0], bytes[1]]) {
            (b'$', _) => (|| {
                let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
                bytes = bytes.get(4 + length..)?;
                Some(None)
            })(),
            (_, two) if &two == b"RT" => answer(&mut bytes).map(Some),
            (_, two) if BEGINNINGS.contains(&&two) => request(&mut bytes).map(|()| None),
            _ => {
                bytes = &bytes[1..];
                continue;
            }
        };
        match read {
            Some(status) => all.extend(status),
            None => break,
        }
    }
    all
}

/// Takes everything before the first of `ends`, and that; answers with both.
fn until<'a>(bytes: &mut &'a [u8], ends: &[u8]) -> Option<(&'a [u8], u8)> {
    let at = bytes.iter().position(|b| ends.contains(b))?;
    let (found, end) = (&bytes[..at], bytes[at]);
    *bytes = &bytes[at + 1..];
    Some((found, end))
}

fn newline(bytes: &mut &[u8]) -> Option<()> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    (*first == b'\n').then_some(())
}

fn answer(bytes: &mut &[u8]) -> Option<u16> {
    (until(bytes, b" ")?.0 == b"RTSP/1.0").then_some(())?;
    let (code, end) = until(bytes, b" \r")?;
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    if end == b' ' {
        until(bytes, b"\r")?;
    }
    newline(bytes)?;
    headers_and_body(bytes)?;
    Some(code)
}

fn request(bytes: &mut &[u8]) -> Option<()> {
    until(bytes, b" ")?;
    until(bytes, b" ")?;
    (until(bytes, b"\r")?.0 == b"RTSP/1.0").then_some(())?;
    newline(bytes)?;
    headers_and_body(bytes)
}

fn headers_and_body(bytes: &mut &[u8]) -> Option<()> {
    let mut lengths = Vec::new();
    loop {
        let first = *bytes.first()?;
        if first == b'\r' {
            *bytes = &bytes[1..];
            newline(bytes)?;
            break;
        }
        *bytes = &bytes[1..];
        let (rest, _) = until(bytes, b":")?;
        let key = [&[first], rest].concat();
        while bytes.first() == Some(&b' ') {
            *bytes = &bytes[1..];
        }
        let (value, _) = until(bytes, b"\r")?;
        newline(bytes)?;
        if key.eq_ignore_ascii_case(b"content-length") {
            lengths.push(value);
        }
    }
    if let [length] = lengths[..] {
        let length: usize = std::str::from_utf8(length).ok().filter(|l| !l.starts_with('+'))?.parse().ok()?;
        *bytes = bytes.get(length..)?;
    }
    Some(())
}

/// Pieces of conversations, whole and torn.
const PARTS: [&str; 26] = [
    OPTIONS,
    DESCRIBE,
    ASKS,
    MOVED,
    "RTSP/1.0 200 OK\r\n",
    "RTSP/1.0 302 Found\r\n",
    "RTSP/1.0 302\r\n",
    "RTSP/1.0 ",
    "Content-Length: 12\r\n",
    "Content-Length:3\r\n",
    "content-length : 3\r\n",
    "X: y\r\n",
    "X: RTSP/1.0 302 Found\r\n",
    "\r\n",
    "\r",
    "\n",
    ":",
    " ",
    "x",
    "R",
    "RT",
    "TE",
    "$\0\0\u{3}abc",
    "$\0\0\u{9}",
    "OPTIONS ",
    "SET_PARAMETER * RTSP/1.0\r\n",
];

#[test]
fn the_client_reads_what_we_think_it_reads() {
    let all = format!("junk{OPTIONS}$\0\0\u{3}RTS{ASKS}{DESCRIBE}\r\n{MOVED}{OPTIONS}");
    assert_eq!(as_the_client_reads(all.as_bytes()), [200, 200, 302, 200]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_client_never_reads_a_redirect_from_what_passed(
        parts in proptest::collection::vec(0..PARTS.len(), 0..16),
        size in 1usize..64,
    ) {
        let all: String = parts.iter().map(|n| PARTS[*n]).collect();
        let (passed, verdict) = pieces(all.as_bytes(), size);
        let read = as_the_client_reads(&all.as_bytes()[..passed]);
        prop_assert!(!read.iter().any(|code| (300..=399).contains(code)), "{read:?} of {all:?}");
        prop_assert_eq!(verdict, pieces(all.as_bytes(), 1).1, "the cut makes no difference");
    }

    #[test]
    fn any_bytes_are_looked_at_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..64) {
        let _ = pieces(&bytes, size);
    }
}
