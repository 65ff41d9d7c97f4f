//! The command line and what each subcommand does with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::auth::Role;
use crate::base::{Error, units};
use crate::{bench, config, ctl, diag, helper, mediamtx, store, tls};

use super::{claim_code, compose, key, provision, secret, token};

/// Firmware for camera boxes: records, streams and answers JSON-RPC.
#[derive(Parser)]
#[command(name = "fieldcam", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the box in the foreground
    Run(ConfigArg),
    /// Check the configuration and list every mistake
    CheckConfig(ConfigArg),
    /// Show the effective settings, each with where it came from
    Config(ConfigArg),
    /// Print a token made with the box's own secret
    Token {
        #[command(flatten)]
        config: ConfigArg,
        /// viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// Name that shows up in logs
        #[arg(long, default_value = "local")]
        user: String,
        /// How long it is valid, such as 24h
        #[arg(long, default_value = "24h", value_parser = units::parse_duration)]
        ttl: Duration,
    },
    /// Make, list, replace and revoke API keys
    Key {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        work: key::KeyCommand,
    },
    /// Change the secret that tokens are made with
    Secret {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        work: secret::SecretCommand,
    },
    /// Show the code that a box without an owner is claimed with (systemd does, at its start)
    ClaimCode {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        args: claim_code::ClaimCodeArgs,
    },
    /// Take what an operator left for this box on its boot partition (systemd does, at its start)
    Provision {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        args: provision::ProvisionArgs,
    },
    /// Drive a box from a laptop
    Ctl(ctl::CtlArgs),
    /// Measure this build beside the required figures
    Bench(bench::BenchArgs),
    /// Collect what tells how this box is into one archive, without secrets
    Diag {
        #[command(flatten)]
        config: ConfigArg,
        /// File or folder to save it in, - for standard output [default: fieldcam-diag-HOST-TIME.tar.gz here]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The daemon says on standard input what only it knows
        #[arg(long, hide = true)]
        heard: bool,
    },
    /// Tell the daemon that somebody wants to watch PATH (MediaMTX's hook)
    #[command(hide = true)]
    Wake {
        /// The path's name
        path: String,
    },
    /// Bind drivers and authorize USB devices anew for the daemon (systemd starts it)
    #[command(hide = true)]
    Helper(helper::HelperArgs),
    /// Watch a board's button for the factory reset (systemd starts it)
    #[command(hide = true)]
    ResetButton(helper::ButtonArgs),
    /// Print the version
    Version,
}

#[derive(clap::Args)]
struct ConfigArg {
    /// Configuration file instead of /etc/fieldcam/fieldcam.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The whole program.
pub fn main() -> ExitCode {
    // The hook runs while a viewer waits, so it is told apart before anything else is set up.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "wake") {
        return wake(args.next());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match cli.command {
        Command::Run(arg) => run(&arg),
        Command::CheckConfig(arg) => check_config(&arg),
        Command::Config(arg) => show_config(&arg),
        Command::Token { config, role, user, ttl } => print_token(&config, role, &user, ttl),
        Command::Key { config, work } => keys(&config, work),
        Command::Secret { config, work } => change_secret(&config, work),
        Command::ClaimCode { config, args } => show_claim_code(&config, &args),
        Command::Provision { config, args } => take_provisioning(&config, &args),
        Command::Ctl(args) => ctl_main(args),
        Command::Bench(args) => bench_main(args),
        Command::Diag { config, output, heard } => {
            collect(&config, output, if heard { diag::Daemon::Heard } else { diag::Daemon::Asked })
        }
        Command::Wake { path } => wake(Some(path.into())),
        Command::Helper(args) => help(&args),
        Command::ResetButton(args) => {
            helper::watch_button(&args).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
        }
        Command::Version => {
            say(&format!("fieldcam {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

fn load(arg: &ConfigArg) -> Result<config::Loaded, ExitCode> {
    load_with(&mut sources(arg))
}

fn sources(arg: &ConfigArg) -> config::Sources {
    config::Sources::of_process(arg.config.clone())
}

/// Loads twice where settings were made over the API: the first time tells where they are kept.
fn load_with(sources: &mut config::Sources) -> Result<config::Loaded, ExitCode> {
    let files = load_files(sources)?;
    sources.api = store::api_settings_of(&files.settings.storage.data_dir.join("fieldcam.db"));
    if sources.api.is_empty() {
        return Ok(files);
    }
    match config::load(sources) {
        Ok(all) => {
            for path in &all.ignored {
                complain(&format!(
                    "{path}: what was set over the API does not fit this version and is ignored"
                ));
            }
            Ok(all)
        }
        Err(_) => {
            // Right alone but not with the files, which somebody can correct and which win then.
            complain("settings made over the API do not go with the files and are ignored");
            sources.api.clear();
            Ok(files)
        }
    }
}

fn load_files(sources: &config::Sources) -> Result<config::Loaded, ExitCode> {
    config::load(sources).map_err(|mistakes| {
        complain(&config::report_mistakes(&mistakes));
        ExitCode::FAILURE
    })
}

fn run(arg: &ConfigArg) -> ExitCode {
    let mut sources = sources(arg);
    let loaded = match load_with(&mut sources) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    with_runtime(compose::run(loaded.settings, sources))
}

fn check_config(arg: &ConfigArg) -> ExitCode {
    let loaded = match load(arg) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    // What it names has to be there, too, where a start would end without it.
    match tls::check(&loaded.settings.server) {
        Ok(()) => {
            say("the configuration is good");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn show_config(arg: &ConfigArg) -> ExitCode {
    match load(arg) {
        Ok(loaded) => {
            say(config::report_effective(&loaded).trim_end());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn print_token(arg: &ConfigArg, role: Role, user: &str, ttl: Duration) -> ExitCode {
    let loaded = match load(arg) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match token::mint(&loaded.settings, role, user, ttl) {
        Ok(token) => {
            say(token.expose());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn keys(arg: &ConfigArg, work: key::KeyCommand) -> ExitCode {
    match load(arg) {
        Ok(loaded) => with_runtime(async { key::run(&loaded.settings, work).await.map(|text| say(&text)) }),
        Err(code) => code,
    }
}

fn change_secret(arg: &ConfigArg, work: secret::SecretCommand) -> ExitCode {
    match load(arg) {
        Ok(loaded) => {
            with_runtime(async { secret::run(&loaded.settings, work).await.map(|text| say(&text)) })
        }
        Err(code) => code,
    }
}

fn show_claim_code(arg: &ConfigArg, args: &claim_code::ClaimCodeArgs) -> ExitCode {
    // Without what was set over the API: root must not open the service's database.
    match load_files(&sources(arg)) {
        Ok(loaded) => answer(claim_code::run(&loaded.settings, args)),
        Err(code) => code,
    }
}

fn take_provisioning(arg: &ConfigArg, args: &provision::ProvisionArgs) -> ExitCode {
    let mut sources = sources(arg);
    sources.usual_file = Some(args.root.join("etc/fieldcam/fieldcam.toml"));
    match load_files(&sources) {
        Ok(loaded) => answer(provision::run(&loaded.settings, &sources, args)),
        Err(code) => code,
    }
}

fn answer(done: crate::base::Result<String>) -> ExitCode {
    match done {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn collect(arg: &ConfigArg, output: Option<PathBuf>, daemon: diag::Daemon) -> ExitCode {
    // A box whose configuration is broken is one of those that need looking at.
    let loaded = config::load(&config::Sources::of_process(arg.config.clone()));
    let variable = || std::env::var_os("FIELDCAM_STORAGE__DATA_DIR").map(PathBuf::from);
    with_runtime(async {
        if output.as_deref() == Some(Path::new("-")) {
            let archive = diag::gather(loaded, variable(), daemon).await?;
            // What a failed write leaves over is lost without a word when the program ends.
            let mut out = std::io::stdout().lock();
            return out.write_all(&archive.bytes).and_then(|()| out.flush()).map_err(|e| {
                Error::dependency("storage", format!("the archive cannot be written ({})", e.kind()))
                    .caused_by(e)
                    .with("suggestion", "is there room where it goes? Choose another place")
            });
        }
        let archive = diag::collect(loaded, variable(), output).await?;
        say(&archive.display().to_string());
        Ok(())
    })
}

fn wake(path: Option<std::ffi::OsString>) -> ExitCode {
    let Some(path) = path.and_then(|p| p.into_string().ok()) else {
        complain("wake wants the name of a path");
        return ExitCode::from(2);
    };
    let Some(socket) = std::env::var_os(mediamtx::WAKE_SOCKET) else {
        complain("wake is MediaMTX's hook; it is of no use by hand");
        return ExitCode::from(2);
    };
    match mediamtx::wake(std::path::Path::new(&socket), &path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn help(args: &helper::HelperArgs) -> ExitCode {
    // Nothing of the box: no configuration, no data directory, no runtime.
    match helper::run(args) {
        Ok(answer) => {
            answer.as_deref().inspect(|answer| say(answer));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn ctl_main(args: ctl::CtlArgs) -> ExitCode {
    with_runtime_code(ctl::run(args, token::local_door))
}

fn bench_main(args: bench::BenchArgs) -> ExitCode {
    with_runtime_code(bench::run(args, token::local_door))
}

/// Runs one future on a runtime of its own; an error ends the program with the code of its kind.
fn with_runtime(work: impl Future<Output = crate::base::Result<()>>) -> ExitCode {
    with_runtime_code(async { work.await.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS) })
}

/// As [`with_runtime`] for work that reports by itself.
fn with_runtime_code(work: impl Future<Output = ExitCode>) -> ExitCode {
    // Work here is short and the disk's goes to the blocking pool: more threads only cost memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        .max_blocking_threads(16)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&crate::base::Error::internal(error)),
    };
    let code = runtime.block_on(work);
    // Whatever still blocks was named by the shutdown already.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

fn failed(error: &crate::base::Error) -> ExitCode {
    complain(&format!("fieldcam: {}", error.message()));
    for key in ["suggestion", "hint"] {
        if let Some(text) = error.data().get(key).and_then(|v| v.as_str()) {
            complain(&format!("  {text}"));
        }
    }
    ExitCode::from(error.kind().exit_code())
}

#[expect(clippy::print_stdout, reason = "the answer of a subcommand")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a subcommand's complaint, before or without a log")]
fn complain(text: &str) {
    eprintln!("{text}");
}
