//! What a provisioning file turns into on the box's own disk.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::wanted::{Ethernet, Wanted, Wifi};
use crate::base::hex;
use crate::{addressing, durable};

/// The configuration's place, below the root.
pub(super) const CONFIG: &str = "etc/fieldcam/conf.d/50-provisioned.toml";
const IWD: &str = "etc/iwd/main.conf";
const HEAD: &str = "# From the provisioning file.\n";

/// Where it goes.
pub struct Place {
    /// `/`, or where a box's tree lies.
    pub root: PathBuf,
    /// Who may read the configuration besides root, where that can be said.
    pub group: Option<u32>,
}

/// Where `[config]` goes below `root`.
pub fn place(root: &Path) -> PathBuf {
    root.join(CONFIG)
}

/// A file below the root.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    path: String,
    text: String,
    /// Its service reads it too.
    shared: bool,
    secret: bool,
}

impl Wanted {
    /// Writes everything that is a file, each whole; twice is as good as once.
    pub fn write(&self, place: &Place) -> io::Result<()> {
        let main = match std::fs::read_to_string(place.root.join(IWD)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        for Made { path, text, shared, secret } in self.files(&main) {
            let path = place.root.join(path);
            let folder = path.parent().expect("a file in a folder");
            let private = secret && !shared;
            make(folder, if private { 0o700 } else { 0o755 })?;
            if !secret {
                durable::replace(&path, text.as_bytes())?;
                set_permissions(&path, Permissions::from_mode(0o644))?;
                continue;
            }
            durable::replace_private(&path, text.as_bytes())?;
            if let Some(group) = place.group.filter(|_| shared) {
                chown(&path, None, Some(group))?;
                set_permissions(&path, Permissions::from_mode(0o640))?;
            }
        }
        Ok(())
    }

    /// `main`: what iwd's own file says now.
    fn files(&self, main: &str) -> Vec<Made> {
        let open = |path: &str, text: String| Made { path: path.into(), text, shared: false, secret: false };
        let mut all = Vec::new();
        all.extend(self.host_name.iter().map(|name| open("etc/hostname", format!("{name}\n"))));
        all.extend(self.country.iter().map(|country| open(IWD, with_country(main, country))));
        all.extend(self.wifi.iter().map(|wifi| Made {
            path: format!("var/lib/iwd/{}", file_of(&wifi.ssid)),
            text: network(wifi),
            shared: false,
            secret: true,
        }));
        let wired = self.ethernet.iter();
        all.extend(wired.map(|it| open("etc/systemd/network/10-provisioned.network", wired_text(it))));
        all.extend(self.config.iter().map(|text| Made {
            path: CONFIG.into(),
            text: format!("{HEAD}{text}"),
            shared: true,
            secret: true,
        }));
        all
    }
}

/// Makes a folder, and those it is in, with this mode whatever the unit's umask is; one that is there stays as it is.
fn make(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make(above, 0o755)?;
    }
    DirBuilder::new().mode(mode).create(folder)?;
    set_permissions(folder, Permissions::from_mode(mode))
}

/// iwd's name for a network's file.
fn file_of(ssid: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b" _-".contains(&b);
    if ssid.bytes().all(plain) { format!("{ssid}.psk") } else { format!("={}.psk", hex(ssid.as_bytes())) }
}

fn network(wifi: &Wifi) -> String {
    let psk = wifi.psk.expose();
    // A passphrase is shorter than the key itself.
    let secret = if psk.len() == 64 {
        format!("PreSharedKey={}", psk.to_ascii_lowercase())
    } else {
        let escaped = psk.replace('\\', "\\\\");
        let escaped = escaped.strip_prefix(' ').map_or(escaped.clone(), |rest| format!("\\s{rest}"));
        format!("Passphrase={escaped}")
    };
    let hidden = if wifi.hidden { "\n[Settings]\nHidden=true\n" } else { "" };
    format!("{HEAD}[Security]\n{secret}\n{hidden}")
}

/// iwd's own file with this country in the place of another.
fn with_country(main: &str, country: &str) -> String {
    let line = format!("Country={country}");
    let others: Vec<_> = main.lines().filter(|l| !l.trim_start().starts_with("Country=")).collect();
    let mut all = Vec::new();
    let mut put = false;
    for other in others {
        all.push(other);
        if other.trim() == "[General]" && !put {
            all.push(&line);
            put = true;
        }
    }
    if !put {
        all.extend(["[General]", &line]);
    }
    all.join("\n") + "\n"
}

fn wired_text(wired: &Ethernet) -> String {
    format!("{HEAD}{}", addressing::file(wired.port.as_ref(), Some(&wired.fixed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addressing::{Address, Port, Static};
    use crate::base::Secret;

    fn nothing() -> Wanted {
        let keys = Vec::new();
        Wanted {
            host_name: None,
            claim_code: None,
            keys,
            config: None,
            wifi: vec![],
            country: None,
            ethernet: None,
        }
    }

    fn wifi(ssid: &str, psk: &str, hidden: bool) -> Wifi {
        Wifi { ssid: ssid.into(), psk: Secret::new(psk), hidden }
    }

    #[test]
    fn networks_have_the_names_and_the_escapes_of_iwd() {
        for (ssid, file) in
            [("Yard 2_a-b", "Yard 2_a-b.psk"), ("Café", "=436166c3a9.psk"), ("a/b", "=612f62.psk")]
        {
            assert_eq!(file_of(ssid), file);
        }
        let text = network(&wifi("a", " back\\slash ", false));
        assert!(text.ends_with("[Security]\nPassphrase=\\sback\\\\slash \n"), "{text}");
        let text = network(&wifi("a", &"AB".repeat(32), true));
        assert!(
            text.contains(&format!("PreSharedKey={}\n\n[Settings]\nHidden=true", "ab".repeat(32))),
            "{text}"
        );
    }

    #[test]
    fn the_country_comes_into_what_iwd_has() {
        assert_eq!(with_country("", "DE"), "[General]\nCountry=DE\n");
        let before = "[Scan]\nx=1\n[General]\nCountry=FR\ny=2\n";
        assert_eq!(with_country(before, "DE"), "[Scan]\nx=1\n[General]\nCountry=DE\ny=2\n");
        assert_eq!(with_country(&with_country(before, "DE"), "DE"), with_country(before, "DE"));
        assert_eq!(with_country("[Scan]\n", "DE"), "[Scan]\n[General]\nCountry=DE\n");
    }

    #[test]
    fn a_wired_address_is_for_one_port_or_all() {
        let address = Address::parse("192.0.2.10/24").unwrap();
        let fixed = Static::new(address, Some("192.0.2.1".parse().unwrap()), vec![]).unwrap();
        let mut wired = Ethernet { port: None, fixed };
        assert_eq!(
            wired_text(&wired),
            "# From the provisioning file.\n[Match]\nType=ether\nKind=!*\n\n[Link]\nRequiredForOnline=no\n\n[Network]\n\
             Address=192.0.2.10/24\nGateway=192.0.2.1\nLinkLocalAddressing=yes\nIPv6AcceptRA=yes\nMulticastDNS=yes\n\
             LLMNR=no\n"
        );
        wired.port = Some(Port::parse("eth1").unwrap());
        assert!(wired_text(&wired).contains("[Match]\nName=eth1\n"));
    }

    #[test]
    fn files_are_written_whole_for_whom_they_are_meant_and_twice_alike() {
        let root = tempfile::tempdir().unwrap();
        let place = Place { root: root.path().to_owned(), group: Some(nix::unistd::getgid().as_raw()) };
        let wanted = Wanted {
            host_name: Some("gate".into()),
            config: Some("[log]\nlevel = \"warn\"\n".into()),
            wifi: vec![wifi("Yard", "correct horse", false)],
            country: Some("DE".into()),
            ..nothing()
        };
        for _ in 0..2 {
            wanted.write(&place).unwrap();
            let mode =
                |path: &str| std::fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(
                (mode("etc/hostname"), mode("var/lib/iwd"), mode("var/lib/iwd/Yard.psk")),
                (0o644, 0o700, 0o600)
            );
            assert_eq!((mode(CONFIG), mode("etc/fieldcam/conf.d")), (0o640, 0o755));
            assert_eq!(std::fs::read_to_string(root.path().join(IWD)).unwrap(), "[General]\nCountry=DE\n");
        }
        assert!(nothing().files("").is_empty());
    }
}
