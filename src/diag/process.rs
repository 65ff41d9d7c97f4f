//! The daemon and its children as `/proc` shows them. No command lines: they hold addresses.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

/// USER_HZ is 100 on every Linux we run on.
const TICKS: f64 = 100.0;

/// What the kernel counts for one process.
#[derive(Debug, PartialEq)]
struct Counted {
    pid: u32,
    parent: u32,
    name: String,
    state: char,
    cpu_s: f64,
    threads: u32,
    age_s: f64,
}

/// A table of the process and all that descend from it.
pub(super) fn table(daemon: u32) -> String {
    let uptime = first_number(&fs::read_to_string("/proc/uptime").unwrap_or_default());
    let all: Vec<Counted> = pids()
        .filter_map(|pid| stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, uptime))
        .collect();
    let mut family = BTreeSet::from([daemon]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|p| family.contains(&p.parent) && !family.contains(&p.pid))
            .map(|p| p.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        family.extend(more);
    }
    let mut out = String::from(
        "    pid  parent name             state   rss_kib  peak_kib threads   fds     cpu_s     age_s\n",
    );
    for p in all.iter().filter(|p| family.contains(&p.pid)) {
        let status = fs::read_to_string(format!("/proc/{}/status", p.pid)).unwrap_or_default();
        let kib = |name: &str| kib_of(&status, name).map_or_else(|| "-".into(), |n| n.to_string());
        let fds = fs::read_dir(format!("/proc/{}/fd", p.pid))
            .map_or_else(|_| "-".into(), |d| d.count().to_string());
        let _ = writeln!(
            out,
            "{:>7} {:>7} {:<16} {:<5} {:>9} {:>9} {:>7} {:>5} {:>9.2} {:>9.1}",
            p.pid,
            p.parent,
            p.name,
            p.state,
            kib("VmRSS:"),
            kib("VmHWM:"),
            p.threads,
            fds,
            p.cpu_s,
            p.age_s
        );
    }
    if !all.iter().any(|p| p.pid == daemon) {
        let _ = writeln!(out, "process {daemon} does not run");
    }
    out
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
}

/// The name stands in brackets and may hold anything, brackets too.
fn stat(pid: u32, text: &str, uptime: f64) -> Option<Counted> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<&str> = text.get(close + 1..)?.split_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some(Counted {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: text.get(open + 1..close)?.replace(char::is_control, "?"),
        state: fields.first()?.chars().next()?,
        cpu_s: (number(11)? + number(12)?) / TICKS,
        threads: fields.get(17)?.parse().ok()?,
        age_s: uptime - number(19)? / TICKS,
    })
}

fn kib_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn first_number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_process_finds_itself() {
        let us = std::process::id();
        let text = table(us);
        assert!(text.lines().any(|l| l.trim_start().starts_with(&us.to_string())), "{text}");
        assert!(table(0x7fff_fff0).contains("does not run"));
    }

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let rest = "S 7 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1000 0 0";
        let found = stat(9, &format!("9 (a) (b c)) {rest}"), 100.0).unwrap();
        assert_eq!((found.name.as_str(), found.parent, found.threads), ("a) (b c)", 7, 3));
        assert_eq!((found.cpu_s, found.age_s), (2.0, 90.0));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = stat(1, &text, 1.0);
            let _ = kib_of(&text, "VmRSS:");
        }
    }
}
