//! WebSocket frames by hand: the load generator must cost less than what it measures.

/// One masked text frame. The mask is zero: the server works as hard, we need not.
pub fn push_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(0x81);
    match text.len() {
        n if n < 126 => buffer.push(0x80 | n as u8),
        n => {
            debug_assert!(n < 65_536, "requests of the benchmark are short");
            buffer.push(0x80 | 126);
            buffer.extend((n as u16).to_be_bytes());
        }
    }
    buffer.extend([0; 4]);
    buffer.extend(text.as_bytes());
}

/// Takes whole frames off the front of `buffer`; hands each payload on. Answers with how many bytes
/// they took, or none when something else than a text frame came.
pub fn take_texts(buffer: &[u8], mut each: impl FnMut(&[u8])) -> Option<usize> {
    let mut at = 0;
    while let [first, second, rest @ ..] = &buffer[at..] {
        if *first != 0x81 {
            return None;
        }
        let (length, head) = match (second, rest) {
            (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            (126, _) => break,
            (n, _) if *n < 126 => (usize::from(*n), 2),
            // No answer of the benchmark is longer than 64 KiB, and a server does not mask.
            _ => return None,
        };
        let Some(payload) = buffer.get(at + head..at + head + length) else { break };
        each(payload);
        at += head + length;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_frames_are_taken() {
        let mut stream = vec![0x81, 2, b'a', b'b', 0x81, 126, 0, 200];
        stream.extend([b'x'; 200]);
        stream.extend([0x81, 5, b'1']);
        let mut seen = Vec::new();
        assert_eq!(take_texts(&stream, |p| seen.push(p.len())), Some(208));
        assert_eq!(seen, [2, 200]);
        assert_eq!(take_texts(&[0x88, 0], |_| ()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(taken) = take_texts(&bytes, |_| ()) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
