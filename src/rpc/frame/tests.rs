use proptest::prelude::*;

use super::*;

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(0x80 | n as u8),
        n @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

/// Feeds `bytes` in reads of at most `step` and collects what comes out.
fn feed(bytes: &[u8], step: usize) -> Result<Vec<String>, Fault> {
    let mut reader = Reader::new(&[]);
    let mut out = Vec::new();
    let mut rest = bytes;
    loop {
        while let Some(message) = reader.next()? {
            out.push(match message {
                Message::Text(t) => {
                    format!("text {} {}", t.len(), String::from_utf8_lossy(&t[..t.len().min(20)]))
                }
                other => format!("{other:?}"),
            });
        }
        if rest.is_empty() {
            return Ok(out);
        }
        let space = reader.space();
        let n = space.len().min(step).min(rest.len());
        assert!(n > 0);
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        reader.filled(n);
    }
}

#[test]
fn messages_come_out_whole_however_they_come_in() {
    let mut bytes = frame(0x81, b"hello");
    bytes.extend(frame(0x01, b"a"));
    bytes.extend(frame(0x89, b"are you there"));
    bytes.extend(frame(0x80, b"b"));
    bytes.extend(frame(0x82, &[0; 300]));
    bytes.extend(frame(0x81, &[b'x'; 70_000]));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x88, &1000u16.to_be_bytes()));
    let want = [
        "text 5 hello".to_owned(),
        format!("Ping({:?})", b"are you there"),
        "text 2 ab".to_owned(),
        "Binary".to_owned(),
        format!("text 70000 {}", "x".repeat(20)),
        "Pong".to_owned(),
        "Close(Normal)".to_owned(),
    ];
    for step in [1, 7, 4096, 1 << 20] {
        assert_eq!(feed(&bytes, step).unwrap(), want, "{step}");
    }
}

#[test]
fn the_largest_message_is_taken_and_its_memory_given_back() {
    let mut bytes = frame(0x81, &vec![b'x'; MESSAGE_MAX]);
    let mut reader = Reader::new(&[]);
    bytes.extend(frame(0x81, b"next"));
    let mut rest = &bytes[..];
    let mut lengths = Vec::new();
    while lengths.len() < 2 {
        let space = reader.space();
        let n = space.len().min(rest.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        reader.filled(n);
        while let Some(message) = reader.next().unwrap() {
            if let Message::Text(t) = message {
                lengths.push(t.len());
            }
        }
    }
    assert_eq!(lengths, [MESSAGE_MAX, 4]);
    reader.space();
    assert!(reader.buffer.len() <= BUSY_BUFFER);
    reader.rest();
    assert_eq!(reader.buffer.len(), QUIET_BUFFER);
}

#[test]
fn an_announced_size_takes_no_memory() {
    let mut reader = Reader::new(&[]);
    let head = &frame(0x81, &vec![0; MESSAGE_MAX])[..14];
    reader.space()[..14].copy_from_slice(head);
    reader.filled(14);
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.is_amid());
    reader.space();
    assert_eq!(reader.buffer.len(), QUIET_BUFFER);
}

#[test]
fn what_the_protocol_forbids_closes() {
    let code = |bytes: &[u8]| feed(bytes, 4096).unwrap_err().code;
    assert_eq!(code(&[0x81, 0x01, b'a']), CloseCode::Protocol, "no mask");
    assert_eq!(code(&frame(0xc1, b"a")), CloseCode::Protocol, "reserved bit");
    assert_eq!(code(&frame(0x83, b"a")), CloseCode::Protocol, "unknown opcode");
    assert_eq!(code(&frame(0x80, b"a")), CloseCode::Protocol, "nothing to continue");
    assert_eq!(code(&[frame(0x01, b"a"), frame(0x81, b"a")].concat()), CloseCode::Protocol);
    assert_eq!(code(&frame(0x09, b"a")), CloseCode::Protocol, "ping in pieces");
    assert_eq!(code(&frame(0x89, &[0; 126])), CloseCode::Protocol, "long ping");
    assert_eq!(code(&frame(0x88, &[3])), CloseCode::Protocol, "half a close code");
    assert_eq!(code(&frame(0x88, &1005u16.to_be_bytes())), CloseCode::Protocol);
    let big = [0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(code(&big), CloseCode::Size, "16 MiB and a byte, at its header");
    let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(code(&huge), CloseCode::Size);
    let half = frame(0x01, &vec![0; MESSAGE_MAX / 2]);
    let more = frame(0x00, &vec![0; MESSAGE_MAX / 2]);
    assert_eq!(code(&[&half[..], &more, &frame(0x80, b"a")].concat()), CloseCode::Size, "in pieces");
}

#[test]
fn frames_out_have_the_shortest_header() {
    for (length, head) in [(5, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let mut writer = Writer::default();
        writer.text(|out| out.extend(std::iter::repeat_n(b'x', length)));
        writer.text(|out| out.extend_from_slice(b"end"));
        assert_eq!(writer.pending().len(), head + length + 5);
        assert!(writer.pending().ends_with(b"\x81\x03end"));
        let all = writer.pending().len();
        writer.wrote(all - 1);
        assert_eq!(writer.pending(), b"d");
        writer.wrote(1);
        assert!(writer.bytes.capacity() <= BUSY_BUFFER);
    }
}

#[test]
fn a_peer_that_is_always_behind_does_not_make_the_buffer_grow() {
    let mut writer = Writer::default();
    for n in 0..10_000 {
        writer.text(|out| out.extend(std::iter::repeat_n(b'x', 900 + n % 7)));
        let pending = writer.pending().len();
        writer.wrote(pending.saturating_sub(1500));
        assert!(writer.bytes.len() < 64 << 10, "{} after {n}", writer.bytes.len());
    }
}

proptest! {
    #[test]
    fn what_was_not_begun_can_be_taken_back(
        lengths in proptest::collection::vec(0usize..70_000, 1..6),
        steps in proptest::collection::vec(1usize..90_000, 0..6),
    ) {
        let (mut writer, mut whole, mut ends) = (Writer::default(), Writer::default(), vec![0]);
        for length in lengths {
            for writer in [&mut writer, &mut whole] {
                writer.text(|out| out.extend(std::iter::repeat_n(b'x', length)));
            }
            ends.push(whole.pending().len());
        }
        let mut sent = 0;
        for step in steps {
            let step = step.min(writer.pending().len());
            writer.wrote(step);
            sent += step;
            prop_assert_eq!(writer.pending(), &whole.pending()[sent..]);
        }
        writer.cut();
        let end = *ends.iter().find(|end| **end >= sent).unwrap();
        prop_assert_eq!(writer.pending(), &whole.pending()[sent..end]);
        prop_assert_eq!(writer.taken(), sent as u64);
        writer.close(CloseCode::Policy, "why");
        prop_assert!(writer.pending().ends_with(b"\x88\x05\x03\xf0why"));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), step in 1usize..3000) {
        let _ = feed(&bytes, step);
    }

    #[test]
    fn any_cut_gives_the_same_messages(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 1..6),
        step in 1usize..9000,
    ) {
        let bytes: Vec<u8> = payloads.iter().flat_map(|p| frame(0x81, p)).collect();
        let got = feed(&bytes, step).unwrap();
        prop_assert_eq!(got, feed(&bytes, usize::MAX).unwrap());
    }
}
