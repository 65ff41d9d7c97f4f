//! Tasks in named phases, stopped in order within one time budget.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::Mono;

/// The phases of a program, in the order in which they are stopped.
#[derive(Default)]
pub struct Phases {
    groups: Vec<Group>,
}

/// One phase's tasks and their stop token. Clones are the same phase.
#[derive(Clone)]
pub struct Group {
    name: &'static str,
    stop: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<u64, String>>>,
}

/// A task that did not stop in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The phase.
    pub phase: &'static str,
    /// The task.
    pub task: String,
}

impl Phases {
    /// Adds a phase that is stopped after those added before.
    pub fn add(&mut self, name: &'static str) -> Group {
        let group = Group {
            name,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
            running: Arc::default(),
        };
        self.groups.push(group.clone());
        group
    }

    /// Stops each phase in turn, `budget` in all, and answers with what is still running.
    pub async fn shutdown(self, budget: Duration) -> Vec<Survivor> {
        let deadline = Mono::now() + budget;
        let mut survivors = Vec::new();
        for group in &self.groups {
            let started = Mono::now();
            group.stop.cancel();
            group.tracker.close();
            let left = deadline.from_now();
            if tokio::time::timeout(left, group.tracker.wait()).await.is_err() {
                for task in group.names() {
                    tracing::error!(phase = group.name, task, "did not stop in time");
                    survivors.push(Survivor { phase: group.name, task });
                }
            } else {
                tracing::info!(phase = group.name, "stopped in {:?}", Mono::now().since(started));
            }
        }
        survivors
    }
}

impl Group {
    /// A part of this phase that can also be stopped by itself: its tasks belong to the phase, its stop
    /// token is a child of the phase's.
    pub fn part(&self) -> Group {
        Group { stop: self.stop.child_token(), ..self.clone() }
    }

    /// Cancelled when the phase is to stop; tasks hold a clone or a child of it.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a named task in this phase. The task watches [`Group::stop`] itself.
    pub fn spawn<F>(&self, name: impl Into<String>, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let entry = Entry::new(self.running.clone(), name.into());
        self.tracker.spawn(async move {
            let _entry = entry;
            task.await
        })
    }

    fn names(&self) -> Vec<String> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Keeps a task's name in the list for as long as the task exists, panic included.
struct Entry {
    list: Arc<Mutex<BTreeMap<u64, String>>>,
    key: u64,
}

impl Entry {
    fn new(list: Arc<Mutex<BTreeMap<u64, String>>>, name: String) -> Self {
        let key = {
            let mut names = list.lock().unwrap_or_else(PoisonError::into_inner);
            let key = names.last_key_value().map_or(0, |(k, _)| k + 1);
            names.insert(key, name);
            key
        };
        Self { list, key }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_stop_in_order() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut phases = Phases::default();
        for name in ["first", "second"] {
            let group = phases.add(name);
            let (stop, log) = (group.stop().clone(), log.clone());
            group.spawn("waiter", async move {
                stop.cancelled().await;
                log.lock().unwrap().push(name);
            });
        }
        assert!(phases.shutdown(Duration::from_secs(5)).await.is_empty());
        assert_eq!(*log.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn survivors_are_named_and_the_budget_kept() {
        let mut phases = Phases::default();
        phases.add("stuck").spawn("deaf task", std::future::pending::<()>());
        let after = phases.add("after");
        let stop = after.stop().clone();
        after.spawn("fine", async move { stop.cancelled().await });
        let left = phases.shutdown(Duration::from_millis(50)).await;
        assert!(left.contains(&Survivor { phase: "stuck", task: "deaf task".into() }), "{left:?}");
    }
}
