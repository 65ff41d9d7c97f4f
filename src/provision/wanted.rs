//! The provisioning file, read.

use std::path::Path;

use super::rules;
use crate::addressing::{Port, Static};
use crate::auth::{ApiKey, ClaimCode};
use crate::base::Secret;
use crate::config::{Mistakes, Sources, StrictFile, Table, optional, switch};
use crate::store::ApiKeyRow;

/// How mistakes name the file.
const NAME: &str = "fieldcam.toml";

/// What the operator wants of the box.
pub struct Wanted {
    /// The box's name.
    pub host_name: Option<String>,
    /// The code that it is claimed with.
    pub claim_code: Option<ClaimCode>,
    /// Keys; with any the box is claimed.
    pub keys: Vec<ApiKeyRow>,
    /// The text of a file of configuration.
    pub config: Option<String>,
    pub(super) wifi: Vec<Wifi>,
    pub(super) country: Option<String>,
    pub(super) ethernet: Option<Ethernet>,
}

pub(super) struct Wifi {
    pub ssid: String,
    pub psk: Secret,
    pub hidden: bool,
}

pub(super) struct Ethernet {
    /// None: every wired one.
    pub port: Option<Port>,
    pub fixed: Static,
}

impl Wanted {
    /// Reads the file's text; `[config]` is judged as the file `place` among those of `sources`.
    ///
    /// Fails with every mistake; none of them quotes a secret.
    pub fn read(text: &str, sources: &Sources, place: &Path) -> Result<Self, Mistakes> {
        // Windows' editors begin so.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut file, mut root) = StrictFile::parse(Path::new(NAME), text)?;
        let host_name = file.take(&mut root, "host_name", &optional(rules::host_name())).flatten();
        let claim_code = file.take(&mut root, "claim_code", &optional(rules::claim_code())).flatten();
        let (wifi, country) = wifi(&mut file, &mut root);
        let ethernet = file.table(&mut root, "ethernet").and_then(|table| ethernet(&mut file, table));
        let keys = keys(&mut file, &mut root);
        if claim_code.is_some() && !keys.is_empty() {
            let hint = "leave out the code, or the keys";
            file.mistake("claim_code", "does nothing beside [[api_key]]: a box with keys is claimed", hint);
        }
        let config = file.table(&mut root, "config");
        let config = config.map(|table| file.configuration(table, sources, place));
        file.done(root);
        file.finish()?;
        Ok(Self { host_name, claim_code, keys, config, wifi, country, ethernet })
    }
}

fn wifi(file: &mut StrictFile, root: &mut Table) -> (Vec<Wifi>, Option<String>) {
    let (mut all, mut country): (Vec<Wifi>, Option<String>) = (Vec::new(), None);
    for mut table in file.tables(root, "wifi") {
        let ssid = file.take(&mut table, "ssid", &rules::ssid());
        let psk = file.take(&mut table, "psk", &rules::psk());
        let hidden = file.take(&mut table, "hidden", &optional(switch())).flatten().unwrap_or_default();
        let here = file.take(&mut table, "country", &optional(rules::country())).flatten();
        if let (Some(before), Some(here)) = (&country, &here)
            && before != here
        {
            file.mistake(&table.at("country"), "is another one than before", "a box is in one country");
        }
        country = country.or(here);
        if ssid.as_ref().is_some_and(|ssid| all.iter().any(|other| other.ssid == *ssid)) {
            file.mistake(&table.at("ssid"), "is there twice", "remove one of the two");
        }
        file.done(table);
        if let (Some(ssid), Some(psk)) = (ssid, psk) {
            all.push(Wifi { ssid, psk, hidden });
        }
    }
    (all, country)
}

fn ethernet(file: &mut StrictFile, mut table: Table) -> Option<Ethernet> {
    let port = file.take(&mut table, "interface", &optional(rules::port())).flatten();
    let address = file.take(&mut table, "address", &rules::address());
    let gateway = file.take(&mut table, "gateway", &optional(rules::ip())).flatten();
    let dns = file.take(&mut table, "dns", &optional(rules::ip())).flatten();
    let fixed = address.and_then(|address| {
        let judged = Static::new(address, gateway, dns.into_iter().collect());
        judged.map_err(|wrong| file.mistake(&table.at(wrong.param), wrong.rule, wrong.hint)).ok()
    });
    file.done(table);
    Some(Ethernet { port, fixed: fixed? })
}

/// Keys as they are, or hashed.
fn keys(file: &mut StrictFile, root: &mut Table) -> Vec<ApiKeyRow> {
    let mut all: Vec<ApiKeyRow> = Vec::new();
    let mut has_admin = false;
    let mut count = 0;
    for mut table in file.tables(root, "api_key") {
        count += 1;
        let name = file.take(&mut table, "name", &rules::key_name());
        let role = file.take(&mut table, "role", &rules::role());
        let key = file.take(&mut table, "key", &optional(rules::key()));
        let id = file.take(&mut table, "id", &optional(rules::key_id()));
        let key_hash = file.take(&mut table, "key_hash", &optional(rules::hash()));
        let stream_hash = file.take(&mut table, "stream_hash", &optional(rules::hash())).flatten();
        has_admin |= role == Some(crate::auth::Role::Admin);
        let by = if matches!(key, Some(Some(_))) { "key" } else { "id" };
        let row = match (key, id, key_hash) {
            (Some(Some(key)), Some(None), Some(None)) if stream_hash.is_none() => {
                name.zip(role).and_then(|(name, role)| ApiKey::record(&key, &name, role))
            }
            (Some(None), Some(Some(id)), Some(Some(hash))) => {
                name.zip(role).map(|(name, role)| ApiKey::record_of_hash(&id, hash, stream_hash, &name, role))
            }
            // What is wrong with one of them was told.
            (None, ..) | (_, None, _) | (.., None) => None,
            _ => {
                let what = "needs either key, or id and key_hash (and stream_hash, to read streams by RTSP)";
                file.mistake(&table.place(), what, "write the one or the other");
                None
            }
        };
        if let Some(row) = &row
            && all.iter().any(|other| other.id == row.id)
        {
            file.mistake(&table.at(by), "is there twice", "remove one of the two");
        }
        file.done(table);
        all.extend(row);
    }
    if count > 0 && !has_admin {
        let hint = "give one of them role = \"admin\"";
        file.mistake("api_key", "has no administrator: nobody could do everything on this box", hint);
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "fk_0123456789_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<Wanted, String> {
        let place = Path::new("/nonexistent/conf.d/50-provisioned.toml");
        let sources = Sources { usual_file: Some("/nonexistent/fieldcam.toml".into()), ..Sources::default() };
        Wanted::read(text, &sources, place).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = format!(
            "\u{feff}host_name = \"gate-north\"\r\n[[wifi]]\r\nssid = \"Yard\"\r\npsk = \"correct horse\"\r\ncountry = \"DE\"\r\n\
             [ethernet]\ninterface = \"eth0\"\naddress = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"\ndns = \"192.0.2.1\"\n\
             [[api_key]]\nname = \"me\"\nrole = \"admin\"\nkey = \"{KEY}\"\n\
             [[api_key]]\nname = \"wall\"\nrole = \"viewer\"\nid = \"aaaaaaaaaa\"\nkey_hash = \"{}\"\n\
             [config.log]\nlevel = \"warn\"\n",
            "0f".repeat(32)
        );
        let wanted = read(&text).unwrap();
        assert_eq!(wanted.host_name.as_deref(), Some("gate-north"));
        assert_eq!((wanted.wifi.len(), wanted.country.as_deref()), (1, Some("DE")));
        assert_eq!(wanted.ethernet.unwrap().fixed.address.to_string(), "192.0.2.10/24");
        let keys: Vec<_> = wanted.keys.iter().map(|k| (k.id.as_str(), k.role.as_str())).collect();
        assert_eq!(keys, [("0123456789", "admin"), ("aaaaaaaaaa", "viewer")]);
        assert_eq!(wanted.keys[1].key_hash, [15; 32]);
        assert_eq!(wanted.config.as_deref(), Some("[log]\nlevel = \"warn\"\n"));
        let code = read("claim_code = \"7q2m x0kv-94rd\"").unwrap().claim_code.unwrap();
        assert_eq!(code.shown(), "7Q2M-X0KV-94RD");
        assert!(read("").unwrap().keys.is_empty());
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_no_secret_is() {
        let text = "host_name = \"Gate\"\nclaim_code = \"0000-0000-0000\"\nhostname = \"x\"\n\
                    [[wifi]]\nssid = \"Yard\"\npsk = \"hunter2\"\ncountry = \"de\"\n\
                    [[wifi]]\nssid = \"Yard\"\npassword = \"sesame-open\"\n\
                    [ethernet]\naddress = \"192.0.2.10\"\ngateway = \"::1\"\n\
                    [[api_key]]\nname = \"a\"\nrole = \"viewer\"\nkey = \"fk_hunter2\"\n\
                    [[api_key]]\nname = \"b\"\nrole = \"viewer\"\nid = \"aaaaaaaaaa\"\n\
                    [config.auth]\njwt_secret = \"hunter2\"\n[config.log]\nlevel = 7\n";
        let told = read(text).err().unwrap();
        for part in [
            "fieldcam.toml:1: host_name: is no host name",
            "fieldcam.toml:2: claim_code: is too easy to guess",
            "fieldcam.toml:3: hostname: unknown key; did you mean host_name?",
            "fieldcam.toml:6: wifi[0].psk: is no WPA passphrase",
            "fieldcam.toml:7: wifi[0].country: is no country's code",
            "fieldcam.toml:8: wifi[1].psk: is missing",
            "fieldcam.toml:10: wifi[1].password: unknown key",
            "fieldcam.toml:12: ethernet.address: must be an address with the length of its network; write an address",
            "api_key[0].key: is no key",
            "api_key[1]: needs either key, or id and key_hash",
            "api_key: has no administrator",
            "config.auth.jwt_secret: is too short",
            "config.log.level",
        ] {
            assert!(told.contains(part), "{part}\n{told}");
        }
        for secret in ["hunter2", "sesame", "0000-0000"] {
            assert!(!told.contains(secret), "{told}");
        }
        for (lines, complaint) in [
            (
                "interface = \"lo\"\naddress = \"192.0.2.10/24\"",
                "2: ethernet.interface: must be the name of a network port",
            ),
            (
                "address = \"192.0.2.0/24\"",
                "2: ethernet.address: must not be the first or the last of its network",
            ),
            ("address = \"127.0.0.1/8\"", "2: ethernet.address: must be one that a box may have"),
            ("address = \"224.0.0.1/24\"", "2: ethernet.address: must be one that a box may have"),
            (
                "address = \"192.0.2.10/24\"\ngateway = \"198.51.100.1\"",
                "3: ethernet.gateway: must be another address of the same network; the router's own",
            ),
            (
                "address = \"192.0.2.10/24\"\ngateway = \"::1\"",
                "3: ethernet.gateway: must be another address of the same network",
            ),
            ("address = \"192.0.2.10/24\"\ndns = \"127.0.0.53\"", "3: ethernet.dns: must be"),
        ] {
            let told = read(&format!("[ethernet]\n{lines}\n")).err().unwrap();
            assert!(told.contains(&format!("fieldcam.toml:{complaint}")), "{complaint}\n{told}");
        }
        let both = format!(
            "claim_code = \"7Q2M-X0KV-94RD\"\n[[api_key]]\nname = \"a\"\nrole = \"admin\"\nkey = \"{KEY}\""
        );
        assert!(read(&both).err().unwrap().contains("a box with keys is claimed"));
        let twice =
            format!("{0}{0}", format!("[[api_key]]\nname = \"a\"\nrole = \"admin\"\nkey = \"{KEY}\"\n"));
        assert!(read(&twice).err().unwrap().contains("is there twice"));
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in ".{0,200}",
            keys in "(\\[\\[?(wifi|ethernet|api_key|config|config.log)\\]?\\]\n|(ssid|psk|key|id|role|name|address|level) = [\"0-9a-z\\[{./]{0,12}\n){0,12}",
        ) {
            let _ = (read(&text), read(&keys));
        }
    }
}
