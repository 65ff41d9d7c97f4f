//! Fieldcam: the daemon of an edge camera box, and the tools around it.
//!
//! The rooms in import order: each may import only from rooms above it (`tests/source/layering.rs`).
//!
//! | room | what it owns |
//! |---|---|
//! | `base` | error kinds, ids, clock, backoff, secrets, units |
//! | `machine` | what the kernel counts: the machine, our control groups, processes |
//! | `durable` | files that survive a power cut; quarantine |
//! | `config` | configuration layers → checked settings; every mistake at once |
//! | `log` | where the log goes, and what never reaches it |
//! | `notice` | facts that clients may hear |
//! | `supervise` | tasks in phases, child processes, systemd |
//! | `reach` | which hosts the API may have the box connect to, and the way there |
//! | `disk` | the data disk: whether it is there, the right one, and takes what is written |
//! | `store` | the SQLite connection, schema, queries |
//! | `tls` | the certificate of the box, its fingerprint |
//! | `auth` | tokens, API keys, roles, signed links, stream passwords, call rates, the audit log |
//! | `addressing` | how a port gets its addresses: the rule for what a box may be given, and networkd's file |
//! | `provision` | what an operator left for a new box on its boot partition, taken once |
//! | `device` | which V4L2 devices are plugged in, and what makes each the same again |
//! | `helper` | what needs root, for cameras and for the box: processes of their own, and the way to them; the reset button |
//! | `network` | the network ports of the box, and their settings made over the API |
//! | `timing` | the wall clock: the last time known, how far it can be trusted, setting it by hand |
//! | `v4l2` | the kernel's V4L2 calls: what a device can, its modes, its buffers |
//! | `usb` | what USB cameras reserve of their bus, and who has how much of it |
//! | `camera` | which cameras there are, each with its lasting number |
//! | `hotplug` | V4L2 cameras as they are plugged in and out, each as itself |
//! | `capture` | frames from a camera into the process |
//! | `encoder` | FFmpeg as encoder: arguments, process, progress |
//! | `mediamtx` | MediaMTX: file, process, paths, who may publish and read |
//! | `recording` | segments, gaps, recovery, storage guard |
//! | `snapshot` | stills |
//! | `preview` | the newest picture as JPEG, for pollers and followers |
//! | `footage` | recordings as one film: joined, cut, indexed; thumbnails |
//! | `retention` | which old footage goes by itself, and its going |
//! | `pipeline` | one camera's state machine and the actor that runs it |
//! | `health` | probes and the verdict |
//! | `live` | live video for browsers: HLS, WebRTC signalling, the page |
//! | `reload` | the configuration read again while the box runs |
//! | `external` | streams on the network: looked for, and added as cameras |
//! | `update` | a new version into the other slot, its trial, and the commit |
//! | `diag` | one archive that says what a box is and does |
//! | `rpc` | JSON-RPC methods and sockets |
//! | `http` | listeners, files, health pages |
//! | `ctl` | the laptop's tool |
//! | `bench` | this build beside the required figures |
//! | `app` | subcommands, composition, signals |
//! | `fuzz` | what a fuzzer is let loose on; not in a shipped binary |

pub mod addressing;
pub mod app;
pub mod auth;
pub mod base;
pub mod bench;
pub mod camera;
pub mod capture;
pub mod config;
pub mod ctl;
pub mod device;
pub mod diag;
pub mod disk;
pub mod durable;
pub mod encoder;
pub mod external;
pub mod footage;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod health;
pub mod helper;
pub mod hotplug;
pub mod http;
pub mod live;
pub mod log;
pub mod machine;
pub mod mediamtx;
pub mod network;
pub mod notice;
pub mod pipeline;
pub mod preview;
pub mod provision;
pub mod reach;
pub mod recording;
pub mod reload;
pub mod retention;
pub mod rpc;
pub mod snapshot;
pub mod store;
pub mod supervise;
pub mod timing;
pub mod tls;
pub mod update;
pub mod usb;
pub mod v4l2;
