//! `ctl network`: a box's ports, and another setting for one of them.

use std::time::Duration;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::host::Host;
use super::link::{Link, read};
use super::screen;
use super::table::render;
use crate::base::{Error, ErrorKind, Result};

/// Between two attempts to reach the box by its new address.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do with a box's network.
#[derive(Clone, Debug, Subcommand)]
pub enum NetworkCommand {
    /// Try another setting, reach the box through it and keep it; a box that cannot be reached takes it back
    Set {
        /// The port, such as eth0
        port: String,
        /// Its address with the length of its network, such as 192.168.5.10/24, or dhcp
        #[arg(value_name = "dhcp|ADDRESS/LENGTH")]
        address: String,
        /// The router's address
        #[arg(long, value_name = "ADDRESS")]
        gateway: Option<String>,
        /// A name server; may be given up to three times
        #[arg(long, value_name = "ADDRESS")]
        dns: Vec<String>,
    },
    /// Keep what is on trial; --host has to be the new address
    Confirm,
}

#[derive(Debug, Deserialize)]
struct Status {
    host_name: String,
    ports: Vec<Port>,
    trial: Option<Trial>,
}

#[derive(Debug, Deserialize)]
struct Port {
    port: String,
    kind: String,
    mac: Option<String>,
    carrier: bool,
    method: Option<String>,
    addresses: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Trial {
    port: String,
    method: String,
    address: Option<String>,
    until: String,
    seconds_left: u64,
    confirm_at: Vec<String>,
}

impl Trial {
    fn what(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.method)
    }
}

/// Does what is asked; without anything it lists the ports.
pub async fn network(link: &mut Link, command: Option<NetworkCommand>, json: bool) -> Result<()> {
    match command {
        None => list(link, json).await,
        Some(NetworkCommand::Confirm) => {
            let raw = link.call("confirm_network", None).await?;
            kept(&raw, json)
        }
        Some(NetworkCommand::Set { port, address, gateway, dns }) => {
            let mut wish = json!({ "port": port, "method": "dhcp", "gateway": gateway, "dns": dns });
            if address != "dhcp" {
                wish["method"] = "static".into();
                wish["address"] = address.into();
            }
            let begun: Status = link.ask("set_network", wish).await?;
            let Some(trial) = begun.trial else {
                return Err(Error::new(ErrorKind::DependencyFailed, "The box answered in an unknown form"));
            };
            let raw = follow(link, &trial).await?;
            kept(&raw, json)
        }
    }
}

/// Reaches the box by the new way, as soon as there is one, and has it keep the setting.
async fn follow(link: &Link, trial: &Trial) -> Result<Box<RawValue>> {
    let until = Instant::now() + Duration::from_secs(trial.seconds_left);
    let mut hosts = hosts(link.host(), trial);
    let names = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    screen::remark(&format!(
        "{} of {} is {} for {} s; to keep it the box has to be reached at {names}",
        trial.port,
        link.host(),
        trial.what(),
        trial.seconds_left
    ));
    let mut last = None;
    loop {
        for host in hosts.clone() {
            match timeout_at(until, confirm(link, &host)).await {
                Ok(Ok(raw)) => {
                    screen::remark(&format!("reached at {host}"));
                    return Ok(raw);
                }
                Ok(Err((error, _))) if is_over(&error) => return Err(error),
                Ok(Err((error, better))) => {
                    last = Some(error);
                    for host in better.iter().map(|name| link.host().named(name)) {
                        if !hosts.contains(&host) {
                            hosts.push(host);
                        }
                    }
                }
                Err(_) => {}
            }
        }
        if timeout_at(until, sleep(PAUSE)).await.is_err() {
            return Err(unconfirmed(trial, &names, last));
        }
    }
}

/// Where to look for the box: where it says, and for DHCP, whose address is not known before, where it was too.
fn hosts(now: &Host, trial: &Trial) -> Vec<Host> {
    let mut hosts: Vec<_> = trial.confirm_at.iter().map(|name| now.named(name)).collect();
    if trial.address.is_none() && !hosts.contains(now) {
        hosts.push(now.clone());
    }
    hosts
}

/// As a new connection to the same box, known by its certificate. A box that was reached and refuses tells where it
/// wants to be asked: by then it may have a lease.
async fn confirm(link: &Link, host: &Host) -> Result<Box<RawValue>, (Error, Vec<String>)> {
    let mut there = link.elsewhere(host).await.map_err(|e| (e, Vec::new()))?;
    match there.call("confirm_network", None).await {
        Ok(raw) => Ok(raw),
        Err(error) => {
            let status = there.ask::<Status>("get_network", Value::Null).await;
            let trial = status.ok().and_then(|status| status.trial);
            Err((error, trial.map(|trial| trial.confirm_at).unwrap_or_default()))
        }
    }
}

/// Nothing is on trial any more.
fn is_over(error: &Error) -> bool {
    error.data().get("state").and_then(Value::as_str) == Some("NO_TRIAL")
}

fn unconfirmed(trial: &Trial, names: &str, last: Option<Error>) -> Error {
    let what = format!("{} is set as before: the box was not reached at {names} in time", trial.port);
    let error = Error::new(ErrorKind::DependencyFailed, what)
        .with("suggestion", "is this machine in that network too, and is the cable in that port?");
    match last {
        Some(last) => error.with("detail", last.message()),
        None => error,
    }
}

fn kept(raw: &RawValue, json: bool) -> Result<()> {
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let answer: Value = read(raw)?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    screen::line(&format!("{}: {}", text("port"), text("message")));
    Ok(())
}

async fn list(link: &mut Link, json: bool) -> Result<()> {
    let raw = link.call("get_network", None).await?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let status: Status = read(&raw)?;
    screen::line(&format!("host name  {}.local", status.host_name));
    if let Some(trial) = &status.trial {
        let (what, left) = (trial.what(), trial.seconds_left);
        screen::line(&format!("on trial   {}: {what}, until {} ({left} s)", trial.port, trial.until));
        screen::line(&format!("           confirm it at {}", trial.confirm_at.join(", ")));
    }
    let row = |port: &Port| {
        vec![
            port.port.clone(),
            port.kind.clone(),
            port.mac.clone().unwrap_or_else(|| "-".into()),
            if port.carrier { "yes" } else { "-" }.to_owned(),
            port.method.clone().unwrap_or_else(|| "-".into()),
            if port.addresses.is_empty() { "-".into() } else { port.addresses.join(", ") },
        ]
    };
    let rows: Vec<_> = status.ports.iter().map(row).collect();
    screen::line(&render(&["PORT", "KIND", "MAC", "LINK", "METHOD", "ADDRESSES"], &rows));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(address: Option<&str>, confirm_at: &str) -> Trial {
        Trial {
            port: "eth1".into(),
            method: if address.is_some() { "static" } else { "dhcp" }.into(),
            address: address.map(str::to_owned),
            until: String::new(),
            seconds_left: 60,
            confirm_at: vec![confirm_at.into()],
        }
    }

    #[test]
    fn the_box_is_looked_for_where_it_will_be_on_the_same_port() {
        let now: Host = "https://192.0.2.10:9002".parse().unwrap();
        let shown = |trial: &Trial| hosts(&now, trial).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&trial(Some("192.168.5.10/24"), "192.168.5.10")), ["192.168.5.10:9002"]);
        assert_eq!(shown(&trial(Some("2001:db8::10/64"), "2001:db8::10")), ["[2001:db8::10]:9002"]);
        let dhcp = trial(None, "fieldcam-ab12.local");
        assert_eq!(shown(&dhcp), ["fieldcam-ab12.local:9002", "192.0.2.10:9002"]);
    }

    #[test]
    fn a_trial_that_is_over_is_not_waited_for() {
        let over = Error::state("no network setting is on trial", "NO_TRIAL", &["ON_TRIAL"]);
        assert!(is_over(&over));
        assert!(!is_over(&Error::state("it does not hold yet", "ON_TRIAL", &["CONFIRMED"])));
    }
}
