//! Notifications: facts of the box on their way to the clients that asked for them.
//!
//! Owns the list of subscribers and a queue for each, and the present state as they were told it. Promises:
//! a client hears each fact once and the facts of one camera in order; whoever does not take theirs in time
//! delays nobody, and gets the present state once instead of what its queue could not hold: every camera's
//! row, what is recorded, and what of it ended since the first fact that was lost. Costs one task, and a
//! subscriber up to [`client::QUEUE`] shared facts.

mod client;
mod hub;
mod say;
mod topic;

pub(super) use client::Client;
pub(super) use hub::{Hub, Sources, Subscriber};
pub(super) use say::{deliver, farewell};
pub(super) use topic::Topic;
