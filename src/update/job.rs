//! One installation, from the wish to the slot that waits for its first start: pure.

use super::fault::Fault;
use super::version::compare;

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where the bundle is.
    pub source: Source,
    /// What the bundle's SHA-256 has to be: 64 hexadecimal digits, lower case.
    pub sha256: Option<String>,
    /// A version below the running one is taken too.
    pub allow_downgrade: bool,
}

/// Where a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `http://` or `https://`.
    Url(String),
    /// The name of one that was uploaded.
    File(String),
}

/// What is to be known of a bundle before it is installed. RAUC has verified its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    pub compatible: String,
    pub version: String,
}

/// What the box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ours {
    pub compatible: String,
    pub version: String,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Nothing is asked for.
    Idle,
    /// The bundle comes from the network.
    Downloading { wish: Wish, got: u64, total: u64 },
    /// RAUC looks at it.
    Checking { wish: Wish, file: String },
    /// RAUC writes the other slot.
    Installing { version: String, file: String, percent: u32, message: String },
    /// The next start takes it.
    Installed { version: String },
    /// It was not taken.
    Failed(Fault),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// So much of the bundle is there, in bytes; `total` 0 while nobody knows.
    Fetching { got: u64, total: u64 },
    /// The bundle is there under this name.
    Fetched { file: String, sha256: String },
    /// RAUC has looked.
    Checked(Bundle),
    /// RAUC's word.
    Progress { percent: u32, message: String },
    /// RAUC is done.
    Done,
    /// Whatever was under way did not work.
    Failed(Fault),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Fetch the bundle from this address.
    Fetch(String),
    /// Work out an uploaded file's checksum.
    Sum(String),
    /// Have RAUC look at it.
    Inspect(String),
    /// Have RAUC install it.
    Install(String),
    /// Note durably that the other slot has this version.
    Note { version: String },
    /// The bundle is of no use any more.
    Remove(String),
}

impl Job {
    /// Something is under way that a restart would tear. What was only fetched is fetched again.
    pub fn would_be_torn(&self) -> bool {
        matches!(self, Job::Checking { .. } | Job::Installing { .. })
    }

    /// Something is under way, and another installation waits for its end.
    pub fn is_busy(&self) -> bool {
        matches!(self, Job::Downloading { .. } | Job::Checking { .. } | Job::Installing { .. })
    }

    /// Begins. The caller has seen that nothing is under way.
    pub fn begin(&mut self, wish: Wish) -> Action {
        match wish.source.clone() {
            Source::Url(url) => {
                *self = Job::Downloading { wish, got: 0, total: 0 };
                Action::Fetch(url)
            }
            Source::File(file) => {
                let first = if wish.sha256.is_some() { Action::Sum } else { Action::Inspect };
                *self = Job::Checking { wish, file: file.clone() };
                first(file)
            }
        }
    }

    /// Goes on. What does not belong to where it is, is left alone.
    pub fn step(&mut self, event: Event, ours: &Ours) -> Vec<Action> {
        let (next, actions) = match (std::mem::replace(self, Job::Idle), event) {
            (Job::Downloading { wish, .. }, Event::Fetching { got, total }) => {
                (Job::Downloading { wish, got, total }, Vec::new())
            }
            (Job::Downloading { wish, .. } | Job::Checking { wish, .. }, Event::Fetched { file, sha256 }) => {
                let meant = wish.sha256.as_ref().is_none_or(|wanted| *wanted == sha256);
                if meant {
                    (Job::Checking { wish, file: file.clone() }, vec![Action::Inspect(file)])
                } else {
                    // One that was uploaded stays: somebody may have mistyped the sum.
                    let fetched = matches!(wish.source, Source::Url(_));
                    let gone = fetched.then_some(Action::Remove(file));
                    (Job::Failed(Fault::wrong_sum(&sha256)), gone.into_iter().collect())
                }
            }
            (Job::Checking { wish, file }, Event::Checked(bundle)) => match judge(&bundle, ours, &wish) {
                Ok(()) => {
                    let next = Job::Installing {
                        version: bundle.version,
                        file: file.clone(),
                        percent: 0,
                        message: "Installing".into(),
                    };
                    (next, vec![Action::Install(file)])
                }
                Err(fault) => (Job::Failed(fault), left_over(&wish, file)),
            },
            (Job::Installing { version, file, .. }, Event::Progress { percent, message }) => {
                (Job::Installing { version, file, percent, message }, Vec::new())
            }
            (Job::Installing { version, file, .. }, Event::Done) => {
                let note = Action::Note { version: version.clone() };
                (Job::Installed { version }, vec![note, Action::Remove(file)])
            }
            (Job::Checking { wish, file }, Event::Failed(fault)) => {
                (Job::Failed(fault), left_over(&wish, file))
            }
            (Job::Downloading { .. } | Job::Installing { .. }, Event::Failed(fault)) => {
                (Job::Failed(fault), Vec::new())
            }
            (other, _) => (other, Vec::new()),
        };
        *self = next;
        actions
    }
}

/// What was fetched for a wish that came to nothing is not kept; what was uploaded is.
fn left_over(wish: &Wish, file: String) -> Vec<Action> {
    match wish.source {
        Source::Url(_) => vec![Action::Remove(file)],
        Source::File(_) => Vec::new(),
    }
}

fn judge(bundle: &Bundle, ours: &Ours, wish: &Wish) -> Result<(), Fault> {
    if bundle.compatible != ours.compatible {
        return Err(Fault::wrong_board(&bundle.compatible, &ours.compatible));
    }
    let as_new = compare(&bundle.version, &ours.version).is_some_and(std::cmp::Ordering::is_ge);
    if as_new || wish.allow_downgrade { Ok(()) } else { Err(Fault::older(&bundle.version, &ours.version)) }
}

#[cfg(test)]
mod tests;
