//! `docs/configuration.md` is what the code says. `FIELDCAM_WRITE_DOCS=1` writes it anew.

use std::path::Path;

#[test]
fn the_configuration_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let wanted = fieldcam::config::reference();
    if std::env::var_os("FIELDCAM_WRITE_DOCS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let at = written.lines().zip(wanted.lines()).position(|(a, b)| a != b);
    assert!(
        written == wanted,
        "docs/configuration.md is stale (first at line {:?}); run \
         FIELDCAM_WRITE_DOCS=1 cargo test --test source",
        at.map(|line| line + 1)
    );
}
