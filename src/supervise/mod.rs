//! Everything that runs beside the caller: tasks in named phases, child processes, systemd.
//!
//! Promises: no child outlives the daemon (each is in its own process group and dies with it, even
//! after `kill -9`); stopping is bounded and names what would not stop. Costs one thread for the
//! life of the program. This is the only room that may start a process or a detached task.

mod beside;
mod child;
mod output;
mod phases;
mod program;
mod restart;
pub mod systemd;

pub use beside::beside;
pub use child::{Child, ChildSpec, Exit, Spawner, Stdio};
pub use output::{FirstWords, LogRate, drain_lines};
pub use phases::{Group, Phases, Survivor};
pub use program::Program;
pub use restart::start_again;
