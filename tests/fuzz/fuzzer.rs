//! The program that `scripts/fuzz` builds: libFuzzer on the target that FIELDCAM_FUZZ names.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("FIELDCAM_FUZZ").unwrap_or_default();
        let found = fieldcam::fuzz::TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("FIELDCAM_FUZZ={name} is no target")).1
    })
}

fuzz_target!(|data: &[u8]| target()(data));
