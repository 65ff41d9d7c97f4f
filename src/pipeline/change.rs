//! The cameras of a box that runs become others: what ends, what starts, what only takes a new name.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::cameras::{Cameras, Member, Order};
use super::start_member;
use crate::base::{CameraId, Result};
use crate::camera::{CameraDef, Roster};
use crate::mediamtx::{PathSource, PathSpec};
use crate::notice::{CameraRow, Fact};

/// Longer than a camera's children take to end in order.
const END_LIMIT: Duration = Duration::from_secs(10);

impl Cameras {
    /// The cameras that run, as configured.
    pub fn defs(&self) -> Vec<CameraDef> {
        self.lineup().members.values().map(|member| member.def()).collect()
    }

    /// Makes the cameras those of `roster`: the ones that it does not hold end, those that are new start,
    /// `restarted` do both, `settled` take their new name; no other is touched.
    pub async fn apply(&self, roster: Roster, restarted: &[CameraId], settled: &[CameraId]) -> Result<()> {
        let running = self.lineup().members.clone();
        for (id, member) in &running {
            if !roster.cameras.iter().any(|def| def.id == *id) {
                self.change(|lineup| drop(lineup.members.remove(id)));
                end(member).await;
                self.drop_paths(*id).await;
            }
        }
        for def in roster.cameras {
            let id = def.id;
            match running.get(&id) {
                None => {
                    let path = PathSpec { name: id.to_string(), source: PathSource::Publisher, record: None };
                    if let Err(error) = self.inner.mediamtx.put_path(path).await {
                        tracing::error!(camera = %id, "has no path yet: {}", error.chain());
                    }
                    self.begin(def, "")?;
                }
                Some(member) if restarted.contains(&id) => {
                    let was = member.view.borrow().status.word();
                    end(member).await;
                    self.begin(def, was)?;
                }
                Some(member) if settled.contains(&id) => {
                    let order = Order::Settle(def.name.as_str().into(), def.keep_warm);
                    *member.def.lock().unwrap_or_else(PoisonError::into_inner) = def;
                    self.order(member, order).await?;
                }
                Some(_) => {}
            }
        }
        let gone = roster.gone;
        for (id, member) in running.iter().filter(|(id, _)| gone.iter().any(|g| g.id == **id)) {
            let before = member.view.borrow().clone();
            let now = CameraRow { status: "DISCONNECTED", ..before.row() };
            self.inner.parts.notices.send(Fact::Camera { id: *id, was: before.status.word(), row: now });
        }
        self.change(|lineup| lineup.gone = gone);
        Ok(())
    }

    /// A camera that is gone is not listed any more.
    pub fn forget(&self, id: CameraId) {
        self.change(|lineup| lineup.gone.retain(|gone| gone.id != id));
    }

    fn begin(&self, def: CameraDef, was: &'static str) -> Result<()> {
        let id = def.id;
        let member = Arc::new(start_member(def, &self.inner.parts)?);
        let row = member.view.borrow().row();
        self.change(|lineup| {
            lineup.gone.retain(|gone| gone.id != id);
            lineup.members.insert(id, member);
        });
        self.inner.parts.notices.send(Fact::Camera { id, was, row });
        Ok(())
    }

    /// A camera that is no longer configured has nothing to watch.
    async fn drop_paths(&self, id: CameraId) {
        for name in [id.to_string(), format!("source_{id}")] {
            if let Err(error) = self.inner.mediamtx.remove_path(&name).await {
                tracing::debug!(path = name, "{}", error.chain());
            }
        }
    }
}

/// Stops all that runs for a camera and waits for its actor.
async fn end(member: &Member) {
    member.group.stop().cancel();
    let task = member.task.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(task) = task
        && tokio::time::timeout(END_LIMIT, task).await.is_err()
    {
        tracing::error!(camera = %member.def().id, "did not end in {END_LIMIT:?}");
    }
}
