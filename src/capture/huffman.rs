//! JPEGs that leave their Huffman tables out, as many USB cameras' MJPEG does: FFmpeg knows the usual ones by
//! heart, a browser does not.

use std::sync::OnceLock;

use jpeg_encoder::{ColorType, Encoder};

/// Markers (ITU-T T.81, table B.1).
const SOI: [u8; 2] = [0xff, 0xd8];
const DHT: u8 = 0xc4;
const SOS: u8 = 0xda;

/// The picture with the usual tables before its scan, when it has none; `None` = it has, or is no JPEG. Costs a
/// walk over the head's dozen segments.
pub fn with_tables(jpeg: &[u8]) -> Option<Vec<u8>> {
    let (scan, _) =
        segments(jpeg).take_while(|(_, marker)| *marker != DHT).find(|(_, marker)| *marker == SOS)?;
    let tables = usual_tables();
    let mut whole = Vec::with_capacity(jpeg.len() + tables.len());
    whole.extend_from_slice(&jpeg[..scan]);
    whole.extend_from_slice(tables);
    whole.extend_from_slice(&jpeg[scan..]);
    Some(whole)
}

/// Where each segment of a JPEG's head begins, and its marker; the last is the scan's.
fn segments(jpeg: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut at = if jpeg.starts_with(&SOI) { 2 } else { jpeg.len() };
    std::iter::from_fn(move || {
        // Any number of 0xff may stand before a marker.
        while jpeg.get(at) == Some(&0xff) && jpeg.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let &[0xff, marker, high, low] = jpeg.get(at..at + 4)? else { return None };
        let began = at;
        let length = usize::from(u16::from_be_bytes([high, low]));
        at = if marker == SOS || length < 2 { jpeg.len() } else { at + 2 + length };
        Some((began, marker))
    })
}

/// The tables of ITU-T T.81, annex K.3, which our own encoder uses too: those of a picture of its.
fn usual_tables() -> &'static [u8] {
    static TABLES: OnceLock<Vec<u8>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut jpeg = Vec::new();
        let made = Encoder::new(&mut jpeg, 50).encode(&[128; 3], 1, 1, ColorType::Ycbcr);
        made.expect("a picture of one pixel is encoded into memory");
        let tables = segments(&jpeg).filter(|(_, marker)| *marker == DHT).map(|(at, _)| {
            let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            jpeg[at..at + 2 + length].to_vec()
        });
        tables.collect::<Vec<_>>().concat()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;

    use super::*;

    fn picture() -> Vec<u8> {
        let pixels: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let mut jpeg = Vec::new();
        Encoder::new(&mut jpeg, 80).encode(&pixels, 64, 48, ColorType::Rgb).unwrap();
        jpeg
    }

    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let starts: Vec<_> = segments(jpeg).collect();
        let mut bare = SOI.to_vec();
        for (n, (at, marker)) in starts.iter().enumerate() {
            let end = starts.get(n + 1).map_or(jpeg.len(), |next| next.0);
            if *marker != DHT {
                bare.extend_from_slice(&jpeg[*at..end]);
            }
        }
        bare
    }

    fn pixels(jpeg: &[u8]) -> Result<Vec<u8>, String> {
        JpegDecoder::new(ZCursor::new(jpeg)).decode().map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn a_picture_without_tables_gets_the_usual_ones_and_is_the_same() {
        let jpeg = picture();
        assert_eq!(with_tables(&jpeg), None);
        let bare = without_tables(&jpeg);
        assert!(bare.len() < jpeg.len() - 400);
        assert_eq!(pixels(&with_tables(&bare).unwrap()).unwrap(), pixels(&jpeg).unwrap());
        // The tables of the annex are 420 bytes: 2 × (2 + 17 + 12) and 2 × (2 + 17 + 162), in one segment or four.
        assert!((418..=432).contains(&usual_tables().len()), "{}", usual_tables().len());
    }

    proptest! {
        #[test]
        fn torn_and_foreign_bytes_are_left_alone_or_grow_by_the_tables(
            cut in 0usize..2000,
            at in 0usize..2000,
            byte in any::<u8>(),
            foreign in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut jpeg = without_tables(&picture());
            jpeg.truncate(cut);
            if let Some(b) = jpeg.get_mut(at) {
                *b = byte;
            }
            for bytes in [jpeg, foreign] {
                if let Some(whole) = with_tables(&bytes) {
                    prop_assert_eq!(whole.len(), bytes.len() + usual_tables().len());
                }
            }
        }
    }
}
