//! The command line of `fieldcam ctl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::host::Host;
use super::network::NetworkCommand;
use crate::auth::ClaimCode;
use crate::base::units::parse_duration;
use crate::tls::Fingerprint;

/// Talk to a camera box over the network.
#[derive(Args, Clone, Debug)]
pub struct CtlArgs {
    /// The box [default: this machine]
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub host: Option<Host>,
    /// SHA-256 of the certificate that the box has to show, as its ready line has it; remembered from then on
    #[arg(long, global = true, value_name = "AB:CD:…")]
    pub fingerprint: Option<Fingerprint>,
    /// File that holds a log-in token (made on the box by `fieldcam token`); FIELDCAM_TOKEN works too
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the result as JSON, for scripts
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum CtlCommand {
    /// Become the owner of a new box: it shows a code on its screen and console and in FIELDCAM.txt on its card
    Claim {
        /// The code, which never leaves this machine [default: asked for]
        #[arg(long, value_name = "XXXX-XXXX-XXXX", value_parser = claim_code)]
        code: Option<ClaimCode>,
    },
    /// List the boxes on this network
    Find {
        /// How long to wait for answers
        #[arg(long = "for", value_name = "TIME", default_value = "3s", value_parser = short_time)]
        time: Duration,
    },
    /// Is the box well?
    Status,
    /// List the cameras
    Cameras,
    /// Give a camera that is plugged in a name that it keeps
    Name {
        /// Id or name of a camera
        camera: String,
        /// Its new name [default: what it says it is]
        name: Option<String>,
    },
    /// Make a camera whatever of its kind is plugged in at its port
    Pin {
        /// Id or name of a camera
        camera: String,
        /// It is itself again, wherever it is plugged in
        #[arg(long)]
        off: bool,
    },
    /// Forget a camera that is not coming back and has no footage
    Forget {
        /// Id or name of a camera
        camera: String,
    },
    /// Print what happens, one line for each event, until Ctrl-C
    Watch {
        /// Id or name of the only camera to hear of
        camera: Option<String>,
    },
    /// Take a picture and download it
    Snapshot {
        /// Id or name of a camera
        camera: String,
        /// File or folder to save it in [default: its name on the box]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Record, then download the recording
    Record {
        /// Id or name of a camera
        camera: String,
        /// How long, such as 30s or 5m [default: until Ctrl-C]
        #[arg(long = "for", value_name = "TIME", value_parser = whole_seconds)]
        duration: Option<Duration>,
        /// File or folder to save it in [default: its name on the box]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the recordings, newest first
    Recordings {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// How many of the newest to pass over
        #[arg(long, default_value_t = 0)]
        offset: u64,
    },
    /// Download a recording, or a snapshot (NAME.jpg); goes on where an interrupted download stopped
    Get {
        /// Name from `recordings`
        name: String,
        /// File or folder to save it in [default: its name on the box]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print a camera's live URLs and until when they are valid
    Stream {
        /// Id or name of a camera
        camera: String,
    },
    /// List what can be set on a camera (brightness, exposure, …), show one of these, or set it for good
    Control {
        /// Id or name of a camera
        camera: String,
        /// Name of a control
        name: Option<String>,
        /// A number, on or off, text, the name of a menu's item, or `default`
        #[arg(allow_negative_numbers = true)]
        value: Option<String>,
    },
    /// Install a new version of the box's system, or tell which versions it has
    Update {
        /// A bundle here, or an http:// address that the box fetches it from [default: only tell how it stands]
        #[arg(value_name = "FILE|URL")]
        bundle: Option<String>,
        /// Restart the box when it is installed
        #[arg(long)]
        reboot: bool,
        /// Take a version that is older than the one that runs, too
        #[arg(long, requires = "bundle")]
        allow_downgrade: bool,
    },
    /// List the box's network ports, or set one of them; nothing is kept that would lock you out
    Network {
        /// What to do [default: list]
        #[command(subcommand)]
        command: Option<NetworkCommand>,
    },
    /// Download what tells how the box is, without secrets, for whoever helps (administrators)
    Diag {
        /// File or folder to save it in [default: its name on the box]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Read the box's configuration again (on the box itself)
    Reload {
        /// Interrupt recordings where the new configuration asks for it
        #[arg(long)]
        force: bool,
    },
    /// Have the box forget its owner, its settings, its secrets and its footage
    FactoryReset {
        /// The box's host name [default: asked for]
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Recordings and snapshots stay
        #[arg(long)]
        keep_recordings: bool,
    },
    /// Call any method of the API
    Call {
        /// Method name, such as get_camera_list
        method: String,
        /// Its parameters as JSON
        #[arg(value_name = "JSON", value_parser = json_object)]
        params: Option<serde_json::Value>,
    },
}

fn claim_code(text: &str) -> Result<ClaimCode, String> {
    // The text itself is not said again: it may be a code with one wrong letter.
    ClaimCode::parse(text).ok_or_else(|| "a code is twelve letters and digits".into())
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.subsec_nanos() != 0 || !(1..=86_400).contains(&duration.as_secs()) {
        return Err(format!("{text:?} must be whole seconds, from 1s to 24h"));
    }
    Ok(duration)
}

fn short_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    let fits = (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time);
    if fits { Ok(time) } else { Err(format!("{text:?} must be from 100ms to 1m")) }
}

/// Whether the parameters fit is for the box to say; that they are JSON is for us.
fn json_object(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        ctl: CtlArgs,
    }

    fn parse(line: &str) -> Result<CtlArgs, clap::Error> {
        let words = std::iter::once("ctl").chain(line.split_whitespace());
        Program::try_parse_from(words).map(|p| p.ctl)
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_command() {
        assert!(parse("--json cameras").unwrap().json);
        assert_eq!(parse("cameras --host box:8000").unwrap().host.unwrap().port(), 8000);
    }

    #[test]
    fn durations_are_whole_seconds_within_a_day() {
        let for_ = |t: &str| parse(&format!("record camera0 --for {t}"));
        assert!(matches!(for_("5m").unwrap().command,
            CtlCommand::Record { duration: Some(d), .. } if d.as_secs() == 300));
        for bad in ["0s", "500ms", "25h", "10", "soon"] {
            assert_eq!(for_(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn a_search_has_an_end() {
        let time = |line: &str| match parse(line).unwrap().command {
            CtlCommand::Find { time } => time.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!((time("find"), time("find --for 500ms"), time("find --for 1m")), (3000, 500, 60_000));
        for bad in ["0s", "2m", "soon"] {
            assert!(parse(&format!("find --for {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_setting_is_a_port_with_dhcp_or_an_address() {
        assert!(matches!(parse("network").unwrap().command, CtlCommand::Network { command: None }));
        let set = parse("network set eth1 192.168.5.10/24 --gateway 192.168.5.1 --dns 1.1.1.1 --dns 1.1.1.2");
        assert!(matches!(set.unwrap().command, CtlCommand::Network {
            command: Some(NetworkCommand::Set { port, dns, .. })
        } if port == "eth1" && dns.len() == 2));
        assert_eq!(parse("network set eth1").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn parameters_that_are_not_json_are_wrong_usage() {
        assert!(parse("call ping {").is_err());
        assert!(parse("call ping {}").is_ok());
    }
}
