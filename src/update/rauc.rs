//! RAUC over the system's D-Bus.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zbus::proxy::Builder;
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, Proxy};

use super::fault::Fault;
use super::job::Bundle;
use super::slots::Row;
use crate::base::Error;

const NAME: &str = "de.pengutronix.rauc";
const INTERFACE: &str = "de.pengutronix.rauc.Installer";
/// RAUC may be started for the question, and runs the bootloader's tool for each slot.
const ANSWER: Duration = Duration::from_secs(30);
/// A bundle in the plain format is read whole.
const LOOK: Duration = Duration::from_secs(300);
/// The longest that an installation says nothing: a slot of a gigabyte on a slow card.
const SILENCE: Duration = Duration::from_secs(1800);

/// The way to RAUC. Clones share one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Rauc {
    connection: std::sync::Arc<Mutex<Option<Connection>>>,
}

/// Why RAUC did not do something.
#[derive(Debug)]
pub(super) enum Why {
    /// There is none on this machine; the text is for the log.
    Missing(String),
    /// It refused, or failed.
    Fault(Fault),
}

impl Why {
    /// As the answer of a call.
    pub fn error(self) -> Error {
        match self {
            Why::Missing(cause) => {
                let reason =
                    "this machine is not updated by RAUC: it runs no image of Fieldcam with two slots";
                Error::unsupported("update", reason)
                    .with("suggestion", "update it as it was installed")
                    .caused_by(std::io::Error::other(cause))
            }
            Why::Fault(fault) => Error::dependency("installer", fault.message.clone())
                .with("reason", fault.reason)
                .with("suggestion", fault.suggestion),
        }
    }

    /// As what became of an installation.
    pub fn fault(self) -> Fault {
        match self {
            Why::Missing(_) => Fault::no_rauc("it is not there"),
            Why::Fault(fault) => fault,
        }
    }

    /// A failed call: RAUC's own words, or there is none.
    fn of(error: &zbus::Error) -> Why {
        use zbus::Error as E;
        match error {
            E::MethodError(name, text, _) => match name.as_str() {
                "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.AccessDenied"
                | "org.freedesktop.DBus.Error.UnknownObject"
                | "org.freedesktop.DBus.Error.UnknownInterface"
                | "org.freedesktop.systemd1.NoSuchUnit" => Why::Missing(error.to_string()),
                _ => Why::Fault(Fault::of_rauc(text.as_deref().unwrap_or("it did not say why"))),
            },
            E::FDO(inner) => match &**inner {
                zbus::fdo::Error::ZBus(inner) => Why::of(inner),
                zbus::fdo::Error::ServiceUnknown(_) | zbus::fdo::Error::NameHasNoOwner(_) => {
                    Why::Missing(error.to_string())
                }
                other => Why::Fault(Fault::no_rauc(&super::fault::without_paths(&other.to_string()))),
            },
            other => Why::Fault(Fault::no_rauc(&super::fault::without_paths(&other.to_string()))),
        }
    }
}

type Dict = HashMap<String, OwnedValue>;

impl Rauc {
    async fn proxy(&self) -> Result<Proxy<'static>, Why> {
        let mut connection = self.connection.lock().await;
        let found = match &*connection {
            Some(found) => found.clone(),
            None => {
                let made = timeout(ANSWER, Connection::system()).await;
                let made = made.map_err(|_| Why::Missing("the system's D-Bus does not answer".into()))?;
                // Where there is no bus, there is no RAUC.
                connection.insert(made.map_err(|e| Why::Missing(e.to_string()))?).clone()
            }
        };
        // RAUC says that it has ended before it says that LastError changed: a value kept here is that of before.
        let named = Builder::<Proxy<'_>>::new(&found).destination(NAME).and_then(|p| p.path("/"));
        let named = named.and_then(|p| p.interface(INTERFACE)).map_err(|e| Why::of(&e))?;
        named.uncached_properties(&["LastError"]).build().await.map_err(|e| Why::of(&e))
    }

    /// One call. A connection that broke is made anew for the next one.
    async fn ask<T, F>(&self, limit: Duration, call: impl FnOnce(Proxy<'static>) -> F) -> Result<T, Why>
    where
        F: Future<Output = zbus::Result<T>>,
    {
        let proxy = self.proxy().await?;
        let answer = timeout(limit, call(proxy)).await;
        let answer = answer.map_err(|_| Why::Fault(Fault::no_rauc("no answer in time")))?;
        if let Err(zbus::Error::InputOutput(_)) = &answer {
            *self.connection.lock().await = None;
        }
        answer.map_err(|e| Why::of(&e))
    }

    /// What this box is, for bundles.
    pub async fn compatible(&self) -> Result<String, Why> {
        self.ask(ANSWER, |proxy| async move { proxy.get_property("Compatible").await }).await
    }

    /// Every slot with what RAUC says of it, and the name of the one to be started next.
    pub async fn slots(&self) -> Result<(Vec<(String, Row)>, Option<String>), Why> {
        self.ask(ANSWER, |proxy| async move {
            let slots: Vec<(String, Dict)> = proxy.call("GetSlotStatus", &()).await?;
            // It fails where no slot can be started any more.
            let primary = proxy.call::<_, _, String>("GetPrimary", &()).await.ok();
            let rows = slots.into_iter().map(|(name, row)| (name, texts(row))).collect();
            Ok((rows, primary))
        })
        .await
    }

    /// Whether it installs something, whoever asked for it.
    pub async fn is_installing(&self) -> Result<bool, Why> {
        let operation: String =
            self.ask(ANSWER, |proxy| async move { proxy.get_property("Operation").await }).await?;
        Ok(operation == "installing")
    }

    /// Verifies a bundle's signature and tells what it is.
    pub async fn inspect(&self, file: &Path) -> Result<Bundle, Why> {
        let none: HashMap<&str, Value<'_>> = HashMap::new();
        let asked = (file.to_string_lossy().into_owned(), none);
        let info: Dict =
            self.ask(LOOK, |proxy| async move { proxy.call("InspectBundle", &asked).await }).await?;
        let unclear = || Why::Fault(Fault::no_rauc("its answer was not understood"));
        let update = info.get("update").and_then(|value| dictionary(value));
        let text_of = |from: &Dict, key: &str| from.get(key).and_then(|value| text(value));
        let update = update.ok_or_else(unclear)?;
        Ok(Bundle {
            compatible: text_of(&update, "compatible").ok_or_else(unclear)?,
            version: text_of(&update, "version").unwrap_or_default(),
        })
    }

    /// Installs a bundle and tells how far it is (0–100). Ends when RAUC does.
    pub async fn install(&self, file: &Path, mut tell: impl FnMut(u32, String)) -> Result<(), Why> {
        let failed = |e: zbus::Error| Why::of(&e);
        let proxy = self.proxy().await?;
        // Before it begins, or the end of a short one is missed.
        let mut completed = proxy.receive_signal("Completed").await.map_err(failed)?;
        let mut progress = proxy.receive_property_changed::<(i32, String, i32)>("Progress").await;
        let mut owner = proxy.receive_owner_changed().await.map_err(failed)?;
        let args: HashMap<&str, Value<'_>> = HashMap::new();
        let wish = (file.to_string_lossy().into_owned(), args);
        let begin = proxy.call::<_, _, ()>("InstallBundle", &wish);
        timeout(ANSWER, begin)
            .await
            .map_err(|_| Why::Fault(Fault::no_rauc("no answer in time")))?
            .map_err(failed)?;
        let gone = || Why::Fault(Fault::no_rauc("it ended while it installed"));
        loop {
            let news = timeout(SILENCE, async {
                tokio::select! {
                    done = completed.next() => News::Done(done),
                    Some(step) = progress.next() => News::Step(step.get().await.ok()),
                    // The first word is who has the name now.
                    Some(owner) = owner.next() => News::Owner(owner.is_some()),
                }
            });
            match news.await {
                Err(_) => return Err(Why::Fault(Fault::no_rauc("it says nothing any more"))),
                Ok(News::Step(Some((percent, message, _)))) => {
                    tell(u32::try_from(percent).unwrap_or(0).min(100), message);
                }
                Ok(News::Step(None) | News::Owner(true)) => {}
                Ok(News::Owner(false) | News::Done(None)) => return Err(gone()),
                Ok(News::Done(Some(message))) => {
                    let code: i32 = message.body().deserialize().unwrap_or(-1);
                    if code == 0 {
                        return Ok(());
                    }
                    let error: String = proxy.get_property("LastError").await.unwrap_or_default();
                    return Err(Why::Fault(Fault::of_rauc(&error)));
                }
            }
        }
    }
}

enum News {
    Done(Option<zbus::Message>),
    Step(Option<(i32, String, i32)>),
    Owner(bool),
}

/// A dictionary, however many variants it is wrapped in.
fn dictionary(value: &Value<'_>) -> Option<Dict> {
    match value {
        Value::Value(inner) => dictionary(inner),
        Value::Dict(dict) => dict
            .iter()
            .map(|(key, value)| Some((<&str>::try_from(key).ok()?.to_owned(), value.try_to_owned().ok()?)))
            .collect(),
        _ => None,
    }
}

/// A text, however many variants it is wrapped in.
fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Value(inner) => text(inner),
        Value::Str(text) => Some(text.to_string()),
        _ => None,
    }
}

/// What is text in a dictionary.
fn texts(row: Dict) -> Row {
    row.into_iter().filter_map(|(key, value)| Some((key, text(&value)?))).collect()
}
