//! What the keys of a provisioning file accept. No complaint quotes what may be a secret.

use std::net::IpAddr;
use std::str::FromStr;

use crate::addressing::{Address, Mistake, Port};
use crate::auth::{ApiKey, ClaimCode, Role};
use crate::base::Secret;
use crate::config::{Rule, Shape};

fn text<T: 'static>(
    expects: &str,
    parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
) -> Rule<T> {
    Rule::text(Shape::Text, expects, parse)
}

/// One label, as it stands before `.local`.
pub(super) fn host_name() -> Rule<String> {
    text("1 to 63 lower-case letters, digits and dashes, such as \"gate-north\"", |text| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = (1..=63).contains(&text.len()) && text.bytes().all(fits);
        if good && !text.starts_with('-') && !text.ends_with('-') {
            Ok(text.to_owned())
        } else {
            Err("is no host name".into())
        }
    })
}

pub(super) fn claim_code() -> Rule<ClaimCode> {
    text("twelve letters and digits made by chance, such as \"7Q2M-X0KV-94RD\"", |text| {
        let code = ClaimCode::parse(text).ok_or("is no claim code")?;
        if code.is_varied() { Ok(code) } else { Err("is too easy to guess".into()) }
    })
}

pub(super) fn ssid() -> Rule<String> {
    text("the network's name, 1 to 32 bytes", |text| {
        if (1..=32).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(text.to_owned())
        } else {
            Err("is no network's name".into())
        }
    })
}

/// WPA's own rule.
pub(super) fn psk() -> Rule<Secret> {
    text("the network's passphrase, 8 to 63 characters of ASCII, or 64 hexadecimal digits", |text| {
        let printed = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        let passphrase = (8..=63).contains(&text.len()) && printed;
        let key = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if passphrase || key { Ok(Secret::new(text)) } else { Err("is no WPA passphrase".into()) }
    })
}

pub(super) fn country() -> Rule<String> {
    text("two capitals, such as \"DE\"", |text| {
        let good = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        if good { Ok(text.to_owned()) } else { Err("is no country's code".into()) }
    })
}

pub(super) fn port() -> Rule<Port> {
    text("a network port's name, such as \"eth0\"", |text| Port::parse(text).map_err(rule_of))
}

/// An address with the length of its network.
pub(super) fn address() -> Rule<Address> {
    text("an address of the box's own with the length of its network, such as \"192.0.2.10/24\"", |text| {
        Address::parse(text).map_err(rule_of)
    })
}

fn rule_of(mistake: Mistake) -> String {
    mistake.rule.into()
}

pub(super) fn ip() -> Rule<IpAddr> {
    text("an address, such as \"192.0.2.1\"", |text| text.parse().map_err(|_| "is no address".into()))
}

pub(super) fn role() -> Rule<Role> {
    text("\"viewer\", \"operator\" or \"admin\"", |text| {
        Role::from_str(text).map_err(|_| "is no role".into())
    })
}

pub(super) fn key_name() -> Rule<String> {
    text("what the key is for, up to 64 bytes on one line", |text| match ApiKey::check_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err("is no name for a key".into()),
    })
}

pub(super) fn key() -> Rule<Secret> {
    let form = "fk_, ten hexadecimal digits, an underscore and 64 more, such as `fieldcam key create` prints";
    text(form, |text| if ApiKey::is_key(text) { Ok(Secret::new(text)) } else { Err("is no key".into()) })
}

pub(super) fn key_id() -> Rule<String> {
    text("the ten hexadecimal digits behind the key's fk_", |text| {
        if ApiKey::is_id(text) { Ok(text.to_owned()) } else { Err("is no key's id".into()) }
    })
}

/// SHA-256.
pub(super) fn hash() -> Rule<[u8; 32]> {
    text("64 hexadecimal digits in lower case: a SHA-256", |text| {
        crate::auth::from_hex(text).ok_or_else(|| "is no SHA-256".into())
    })
}
