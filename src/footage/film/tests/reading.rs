//! Ranges of a film: the same bytes however they are asked for, and what that costs the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::footage::cut::Point;

static READ: AtomicU64 = AtomicU64::new(0);

struct Counted(File);

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn fill_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        READ.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.fill_at(buffer, offset)
    }
}

#[test]
fn a_part_of_a_film_costs_the_disk_that_part_only() {
    let shelf = three();
    let film = shelf.film(Cut::WHOLE).opened_by(|path| Ok(Arc::new(Counted(File::open(path)?))));
    let reading = Reading::default();
    let read = |offset: u64, length: usize| {
        let before = READ.load(Ordering::Relaxed);
        film.read(&reading, offset, length).unwrap();
        READ.load(Ordering::Relaxed) - before
    };
    let (size, front) = (film.size(), film.plan.front_len);
    let fill = film.plan.spans.last().unwrap().at;
    assert_eq!(read(size / 2, 1000), 1000);
    assert_eq!(read(front, 1), 1);
    assert_eq!(read(front + 500, size as usize), fill - front - 500);
    assert_eq!(read(fill, 1000), 0);
    // The first bytes cost the first header, once.
    let header = film.plan.pieces[0].part.index.header_len;
    assert_eq!(read(0, 10), header);
    assert_eq!(read(0, front as usize), 0);
}

#[test]
fn a_file_that_is_gone_breaks_off_where_it_is_missing() {
    let shelf = three();
    let film = shelf.film(Cut::WHOLE);
    std::fs::remove_file(&shelf.parts[1].path).unwrap();
    let second = |s: &&crate::footage::plan::Span| matches!(s.source, Source::File { piece: 1, .. });
    let end_of_first = film.plan.spans.iter().find(second).unwrap().at;
    assert!(film.read(&Reading::default(), 0, end_of_first as usize).is_ok());
    assert!(film.read(&Reading::default(), end_of_first - 5, 10).is_err());
}

proptest! {
    #[test]
    fn any_partition_of_ranges_is_the_whole(
        cuts in proptest::collection::vec(0usize..20_000, 0..12),
        from in proptest::option::of(0u64..10_000_000),
    ) {
        let cut = Cut { from: from.map(Point::Position), to: None };
        let mut shelf = three();
        shelf.add_drifting(9);
        let bytes = whole(&shelf.film(cut));
        let mut edges: Vec<usize> = cuts.into_iter().map(|c| c % bytes.len()).collect();
        edges.extend([0, bytes.len()]);
        edges.sort_unstable();
        let fresh = shelf.film(cut);
        let mut joined = Vec::new();
        for pair in edges.windows(2) {
            joined.extend(fresh.read(&Reading::default(), pair[0] as u64, pair[1] - pair[0]).unwrap());
        }
        prop_assert!(joined == bytes);
    }
}
