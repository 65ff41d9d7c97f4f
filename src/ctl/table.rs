//! Aligned columns for people.

/// A heading and rows; the last column is not padded.
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain([heading[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..heading.len()).map(width).collect();
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![row(&mut heading.iter().copied())];
    lines.extend(rows.iter().map(|r| row(&mut r.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned_also_beyond_ascii() {
        let rows = vec![vec!["Küche".into(), "1".into()], vec!["x".into(), "22".into()]];
        assert_eq!(super::render(&["NAME", "N"], &rows), "NAME   N\nKüche  1\nx      22");
    }
}
