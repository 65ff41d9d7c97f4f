//! A network setting tried, and kept or taken back.
//!
//! Whatever dies on the way, the setting of before comes back: what ends the trial is armed before there is one, and
//! knows nothing of this process. What is kept is on the disk before the trial's end is called off.

use std::fs;
use std::io;

use super::{Carrier, QUICK};
use crate::addressing::Setting;
use crate::base::Mono;
use crate::durable;
use crate::helper::trial::{Trial, kept, kept_name};

/// Ends a trial by itself (images/common).
const TIMER: &str = "fieldcam-network-revert.timer";
/// networkd's manager, for busctl. networkctl asks the kernel too, which this process may not.
const MANAGER: [&str; 3] =
    ["org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager"];

type Done = Result<(), String>;

impl Carrier {
    /// Notes a setting as on trial. networkd is not told of it yet, so that its asker can still be answered.
    pub(super) fn network_try(&self, setting: Setting) -> Done {
        if self.trial()?.is_some_and(|trial| trial.holds(Mono::now())) {
            return Err("another setting is on trial".into());
        }
        self.networkd("GetLinkByName", &["s", setting.port.name()])?;
        self.run("systemctl", &["restart", TIMER], QUICK)?;
        self.put(&Trial::begin(setting, Mono::now()))
    }

    /// Has networkd take it. What networkd does not take is no trial any more.
    pub(super) fn network_apply(&self) -> Done {
        let trial = self.running()?;
        let applied = self.put(&trial.applied(Mono::now())).and_then(|()| self.networkd("Reload", &[]));
        applied.inspect_err(|why| {
            if let Err(also) = self.network_revert() {
                tracing::error!(why, also, "a setting that cannot be tried could not be taken back at once");
            }
        })
    }

    /// Keeps it. networkd has it already and is not told: it would take the addresses away for a moment.
    pub(super) fn network_confirm(&self) -> Done {
        let trial = self.running()?;
        if trial.applied.is_none() {
            return Err("it does not hold yet".into());
        }
        let text = kept(&trial.setting);
        let failed = |e: io::Error| format!("it cannot be kept: {e}");
        durable::replace_for_all(&self.places.network(&kept_name(&trial.setting)), text.as_bytes())
            .map_err(failed)?;
        // From here on the end of the trial leads to this very setting.
        if let Err(why) = self.run("systemctl", &["stop", TIMER], QUICK) {
            tracing::warn!(why, "the end of a trial that was confirmed could not be called off");
        }
        durable::replace_for_all(&self.places.trial(), text.as_bytes()).map_err(failed)
    }

    /// Ends it: the port is set as before.
    fn network_revert(&self) -> Done {
        if self.trial()?.is_none() {
            return Err("nothing is on trial".into());
        }
        fs::remove_file(self.places.trial()).map_err(|e| format!("the trial cannot be ended: {e}"))?;
        self.networkd("Reload", &[])?;
        self.run("systemctl", &["stop", TIMER], QUICK).map(drop)
    }

    /// What is on trial and has not ended.
    fn running(&self) -> Result<Trial, String> {
        self.trial()?.filter(|trial| trial.holds(Mono::now())).ok_or_else(|| "nothing is on trial".into())
    }

    fn trial(&self) -> Result<Option<Trial>, String> {
        match fs::read_to_string(self.places.trial()) {
            Ok(text) => Ok(Trial::parse(&text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("what is on trial cannot be read: {e}")),
        }
    }

    fn put(&self, trial: &Trial) -> Done {
        let put = durable::replace_for_all(&self.places.trial(), trial.text().as_bytes());
        put.map_err(|e| format!("the trial cannot be noted: {e}"))
    }

    fn networkd(&self, method: &str, args: &[&str]) -> Done {
        let call = [&["--quiet", "call"], &MANAGER[..], &[method], args].concat();
        self.run("busctl", &call, QUICK).map(drop)
    }
}
