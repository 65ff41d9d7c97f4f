//! RAUC's backend on a Jetson, against a slot tool that keeps its state in files: whatever is cut, a slot boots.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{LAYER, MACHINES, at, command, files, machine, read, value};

pub(super) const BACKEND: &str =
    "yocto/meta-fieldcam/dynamic-layers/tegra/recipes-bsp/fieldcam-nvbootctrl/files/rauc-nvbootctrl";

/// A Jetson whose slot A runs.
pub(super) struct Board {
    pub(super) folder: TempDir,
}

impl Board {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for (name, value) in [("current", "0"), ("active", "0"), ("retry-0", "3"), ("retry-1", "3")] {
            fs::write(folder.path().join(name), value).unwrap();
        }
        Self { folder }
    }

    /// What RAUC asks of the backend; what it answers, or None where it refuses.
    fn ask(&self, words: &[&str]) -> Option<String> {
        let output = command(at(BACKEND))
            .args(words)
            .env("FIELDCAM_NVBOOTCTRL", at("tests/fakes/nvbootctrl"))
            .env("FIELDCAM_SLOT_MARKS", self.folder.path().join("marks"))
            .env("FAKE_NVBOOTCTRL", self.folder.path())
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap().trim().to_owned()
    }

    fn write(&self, name: &str, value: &str) {
        fs::write(self.folder.path().join(name), value).unwrap();
    }

    /// What UEFI does at a start: a try of the active slot, or the other when it has none.
    pub(super) fn start(&self) -> String {
        let mut slot = self.read("active");
        if self.read(&format!("retry-{slot}")) == "0" {
            slot = if slot == "0" { "1" } else { "0" }.to_owned();
            self.write("active", &slot);
        }
        let left: u32 = self.read(&format!("retry-{slot}")).parse().unwrap();
        self.write(&format!("retry-{slot}"), &left.saturating_sub(1).to_string());
        self.write("current", &slot);
        if slot == "0" { "A" } else { "B" }.to_owned()
    }
}

#[test]
fn rauc_learns_which_slot_runs_and_which_is_next() {
    let board = Board::new();
    assert_eq!(board.ask(&["get-current"]).as_deref(), Some("A"));
    assert_eq!(board.ask(&["get-primary"]).as_deref(), Some("A"));
    assert_eq!(board.ask(&["get-state", "A"]).as_deref(), Some("good"));
    board.write("retry-1", "0");
    assert_eq!(board.ask(&["get-state", "B"]).as_deref(), Some("bad"));
    for wrong in [&["get-state", "C"][..], &["set-state", "A", "fine"], &["set-primary", ""], &["what"], &[]]
    {
        assert_eq!(board.ask(wrong), None, "{wrong:?}");
    }
}

/// What RAUC asks for an update of B, in its order; W is the writing itself.
const INSTALL: [&[&str]; 3] = [&["set-state", "B", "bad"], &["W"], &["set-primary", "B"]];

#[test]
fn an_update_that_is_cut_leaves_the_old_slot_to_boot() {
    for cut in 0..INSTALL.len() {
        let board = Board::new();
        for step in &INSTALL[..cut] {
            assert!(step == &["W"] || board.ask(step).is_some(), "{step:?}");
        }
        assert_eq!(board.ask(&["get-primary"]).as_deref(), Some("A"), "cut before step {cut}");
        assert_eq!(board.start(), "A", "cut before step {cut}");
        if cut > 0 {
            assert_eq!(board.ask(&["get-state", "B"]).as_deref(), Some("bad"), "half written is not good");
        }
    }
}

#[test]
fn a_new_slot_is_tried_and_kept_when_it_is_marked_good() {
    let board = Board::new();
    for step in INSTALL.iter().filter(|s| **s != ["W"]) {
        board.ask(step).unwrap();
    }
    assert_eq!(board.start(), "B");
    assert_eq!(board.ask(&["get-current"]).as_deref(), Some("B"));
    board.ask(&["set-state", "B", "good"]).unwrap();
    // Its tries are full again, however often it starts.
    for _ in 0..5 {
        assert_eq!(board.start(), "B");
        board.ask(&["set-state", "B", "good"]).unwrap();
    }
}

#[test]
fn a_new_slot_that_never_comes_up_gives_way() {
    let board = Board::new();
    for step in INSTALL.iter().filter(|s| **s != ["W"]) {
        board.ask(step).unwrap();
    }
    let starts: Vec<String> = (0..4).map(|_| board.start()).collect();
    assert_eq!(starts, ["B", "B", "B", "A"]);
    // The old one marks the other bad: it is not tried again by itself.
    board.ask(&["set-state", "B", "bad"]).unwrap();
    board.ask(&["set-state", "A", "good"]).unwrap();
    assert_eq!(board.ask(&["get-state", "B"]).as_deref(), Some("bad"));
    assert_eq!(board.ask(&["get-primary"]).as_deref(), Some("A"));
    assert_eq!(board.start(), "A");
}

#[test]
fn a_slot_that_is_next_and_found_bad_is_next_no_more() {
    let board = Board::new();
    board.ask(&["set-primary", "B"]).unwrap();
    board.ask(&["set-state", "B", "bad"]).unwrap();
    assert_eq!(board.ask(&["get-primary"]).as_deref(), Some("A"));
    // Whoever names it again means it.
    board.ask(&["set-primary", "B"]).unwrap();
    assert_eq!(board.ask(&["get-state", "B"]).as_deref(), Some("good"));
    assert!(!Path::new(&board.folder.path().join("marks/bad-B")).exists());
}

#[test]
fn the_initrd_learns_slot_and_names_from_the_boot_chain() {
    let board = at(&format!("{LAYER}/dynamic-layers/tegra/initrd-board"));
    for (arguments, slot) in
        [("quiet boot.slot_suffix=_b ro", "B"), ("boot.slot_suffix=", "A"), ("boot.slot_suffix=_a", "A")]
    {
        let script = "cat() { echo \"$FAKE\"; }; . \"$1\"; echo $slot $(board_partition root_a) $(board_partition root_b) \
            $(board_partition data) $(board_partition other)";
        let output = command("sh")
            .args(["-euc", script, "sh", board.to_str().unwrap()])
            .env("FAKE", arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.trim(), format!("{slot} APP APP_b UDA other"), "{arguments}");
    }
}

#[test]
fn no_machine_without_the_partition_that_a_laptop_reads_waits_for_it() {
    const CARD: &str = "run-fieldcam-card.mount";
    let unit = read(&format!("images/common/usr/lib/systemd/system/{CARD}"));
    assert!(unit.contains("What=/dev/disk/by-partlabel/boot\n"), "{unit}");
    // systemd.bbclass would enable a unit that says how, and fail at one that is masked.
    assert!(!unit.contains("[Install]"), "{unit}");
    let mask = format!("ln -s /dev/null ${{D}}${{sysconfdir}}/systemd/system/{CARD}\n");
    for name in MACHINES {
        let text = machine(name);
        let has_partition = text.contains("WKS_FILE = \"fieldcam.wks.in\"");
        let packages: Vec<String> = files(LAYER)
            .into_iter()
            .filter(|file| {
                let package = file.rsplit('/').next().unwrap().split('_').next().unwrap();
                file.ends_with(".bb") && value(&text, "FIELDCAM_BOARD_INSTALL").contains(package)
            })
            .collect();
        let masked = packages.iter().any(|recipe| read(&format!("{LAYER}/{recipe}")).contains(&mask));
        assert_eq!(masked, !has_partition, "{name}, with {packages:?}");
    }
}

#[test]
fn the_builder_of_debian_names_the_way_to_a_jetson() {
    let said = command("images/build").arg("jetson-orin").output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && said.stdout.is_empty(), "{said:?}");
    let file = words
        .split_whitespace()
        .skip_while(|word| *word != "build")
        .nth(1)
        .unwrap_or_else(|| panic!("{words}"));
    assert!(file.ends_with(".yml") && at(file).is_file(), "{words}");
    assert!(words.contains("docs/jetson.md") && at("docs/jetson.md").is_file(), "{words}");
}
