//! `resonance simulate`.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use resonance_simulate::cnc::{
    CncError, CncMachine, CncOptions, ExportError, ExportPlan, Movement, export_csv,
};
use resonance_simulate::coating::{self, CoatingPhysics};
use resonance_simulate::load::{LoadError, LoadOptions, start_load};
use resonance_simulate::machine::{
    Endpoint, MachineSpec, NAMESPACE_URI, Pace, PaceError, Physics, Running, StartError, Summary,
    User, start_paced,
};
use resonance_simulate::molding::{self, MoldingPhysics};
use resonance_simulate::mtconnect::{
    CncAgentOptions, StartError as AgentStartError, start_cnc as start_agent,
};
use resonance_simulate::replay::{Recording, ReplayError, ReplayOptions};
use resonance_wire::mtconnect::Version;

use super::{CliError, Exit, Format, output, signal};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a simulated CNC machine that speaks OPC UA.
    ///
    /// Its tools wear, its spindle warms up, its axes move by stated physical relations: nothing
    /// was measured on a real machine. Structured like UA/MachineTool and UA/CNC, not an
    /// implementation of them. Node ids: `ns=2;s=CNC.<component>.<channel>`.
    #[command(after_help = CNC_EXAMPLES)]
    Cnc(CncArgs),
    /// Run the same simulated CNC machine behind an MTConnect agent.
    ///
    /// Answers /probe, /current and /sample over HTTP, streaming with interval and heartbeat, in
    /// the versions 1.8 to 2.7. Observations are in MTConnect's units: power in WATT, feed rate in
    /// MILLIMETER/SECOND. Nothing was measured on a real machine.
    #[command(after_help = MTCONNECT_EXAMPLES)]
    Mtconnect(MtconnectArgs),
    /// Run a simulated injection molding machine that speaks OPC UA.
    ///
    /// Parts come out in cycles of about twenty seconds; heaters fail, a valve wears, batches of
    /// material differ, by stated relations: nothing was measured. The temperatures along the
    /// barrel are one profile (YArrayItemType). Named like UA/PlasticsRubber, not an implementation
    /// of it. Node ids: `ns=2;s=IMM.<component>.<channel>`.
    #[command(after_help = MOLDING_EXAMPLES)]
    InjectionMolding(PacedArgs),
    /// Run a simulated spray coating line that speaks OPC UA.
    ///
    /// Viscosity, temperature, spray pressure and film thickness follow from each other by stated
    /// relations; now and then something breaks: nothing was measured. Node ids:
    /// `ns=2;s=Coating.<component>.<channel>`.
    #[command(after_help = COATING_EXAMPLES)]
    CoatingLine(PacedArgs),
    /// Serve a recording as a live machine that speaks OPC UA.
    ///
    /// A sidecar file (FILE.toml, or replay.toml beside FILE) says what the columns are: names,
    /// types, units, semantic ids. Without one, columns are taken as numbers or texts, or as a
    /// Parquet file declares them, its first time column as the time. Source times are those of the
    /// replay, not of the recording.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Run many counters that change at a fixed rate, to measure receivers.
    ///
    /// Every value counts its own changes, so that a receiver can prove that it saw each of them.
    /// Node ids: `ns=2;s=Load.Counters.P00000` onwards.
    #[command(after_help = LOAD_EXAMPLES)]
    Load(LoadArgs),
}

const CNC_EXAMPLES: &str = "\
Examples:
  resonance simulate cnc
  resonance simulate cnc --listen opc.tcp://127.0.0.1:0 --format json   on a free port
  resonance simulate cnc --speed 60 --seed 7            an hour a minute, another machine
  resonance simulate cnc --connect-to 127.0.0.1:4843    a machine that cannot be reached
  resonance simulate cnc --start-cutting --flank-wear-mm 0.25           a tool near its end
  resonance simulate cnc --export shift.csv --hours 8   a table of a shift, without waiting";

const MOLDING_EXAMPLES: &str = "\
Examples:
  resonance simulate injection-molding
  resonance simulate injection-molding --speed 60       three parts a second
  resonance simulate injection-molding --listen opc.tcp://127.0.0.1:0 --format json --seed 7";

const COATING_EXAMPLES: &str = "\
Examples:
  resonance simulate coating-line
  resonance simulate coating-line --speed 60            an hour a minute: a fault every two minutes
  resonance simulate coating-line --listen opc.tcp://127.0.0.1:0 --format json --seed 7";

const MTCONNECT_EXAMPLES: &str = "\
Examples:
  resonance simulate mtconnect
  resonance simulate mtconnect --listen 127.0.0.1:0 --format json       on a free port
  resonance simulate mtconnect --start-cutting --schema-version 1.8     an older agent
  curl http://127.0.0.1:5000/probe
  curl 'http://127.0.0.1:5000/sample?interval=500&heartbeat=1000'";

const REPLAY_EXAMPLES: &str = "\
Examples:
  resonance simulate replay experiment_01.csv
  resonance simulate replay experiment_01.csv --speed 10 --loop
  resonance simulate replay shift.parquet       columns and types as the file declares them
  resonance simulate replay train_FD001.txt --describe replay.toml --group 7

A sidecar:
  machine = \"Mill\"
  period_ms = 100             # or time_column = \"t\"
  separator = \"comma\"         # semicolon, tab, whitespace
  header = true               # false: [[column]] entries in the columns' order
  [[column]]
  name = \"X1_ActualPosition\"
  point = \"AxisX.ActualPosition\"
  type = \"float64\"
  unit = \"MMT\"                # UNECE code
  range = [0, 200]
  semantic_id = \"urn:example:axis:position\"
  qualifier = \"X\"";

const LOAD_EXAMPLES: &str = "\
Examples:
  resonance simulate load
  resonance simulate load --points 10000 --hz 30 --listen opc.tcp://127.0.0.1:0 --format json";

#[derive(Debug, Args)]
struct ListenArgs {
    /// Where the machine listens; port 0 takes a free one and says which.
    #[arg(long, value_name = "URL", default_value = "opc.tcp://127.0.0.1:4840")]
    listen: String,
    /// Makes the connections to this client (reverse connect), which a source with `listen` is.
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect_to: Option<SocketAddr>,
    /// Offers encrypted endpoints too, with a certificate kept in this folder. Admits every
    /// client certificate: it is a simulation.
    #[arg(long, value_name = "FOLDER")]
    pki: Option<PathBuf>,
    /// Does not offer SecurityPolicy None.
    #[arg(long, requires = "pki")]
    encrypted_only: bool,
    /// The one user the machine admits; the password is read from RESONANCE_SIMULATE_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The shortest sampling and publishing interval, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    tick_ms: u64,
    /// How the URL is said on standard output: a sentence, or one line of JSON.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct CncArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    movement: MovementArgs,
    /// Writes a table of the machine's channels instead of serving them.
    #[arg(long, value_name = "FILE.csv", requires = "hours")]
    export: Option<PathBuf>,
    /// Simulated hours to export.
    #[arg(long, value_name = "N", requires = "export")]
    hours: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct PacedArgs {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    course: CourseArgs,
}

#[derive(Debug, Args)]
struct CourseArgs {
    /// Simulated seconds per real second. Source times stay real.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Which machine: scatter, faults and noise follow from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Real time between two changes of the channels, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    period_ms: u64,
}

#[derive(Debug, Args)]
struct MovementArgs {
    #[command(flatten)]
    course: CourseArgs,
    /// How many times as fast tools wear.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    wear_acceleration: f64,
    /// The flank wear of the first tool at the start, millimetres.
    #[arg(long, value_name = "MM")]
    flank_wear_mm: Option<f64>,
    /// Begins with the spindle cutting instead of at its cold start.
    #[arg(long)]
    start_cutting: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MtconnectArgs {
    /// Where the agent listens; port 0 takes a free one and says which.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// The version of the agent's documents, 1.8 to 2.7.
    #[arg(long, value_name = "VERSION", default_value = "2.7", value_parser = version)]
    schema_version: Version,
    /// Observations the agent keeps.
    #[arg(long, value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u64).range(1..))]
    buffer_size: u64,
    #[command(flatten)]
    movement: MovementArgs,
    /// What goes to standard output: a sentence, or one line of JSON.
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The recording: a text table, or a Parquet file (not compressed, or with Snappy).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    listen: ListenArgs,
    /// How many times faster than recorded.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Begins anew at the end.
    #[arg(long)]
    r#loop: bool,
    /// The sidecar file.
    #[arg(long, value_name = "FILE.toml")]
    describe: Option<PathBuf>,
    /// Only the rows whose group column has this text.
    #[arg(long, value_name = "TEXT")]
    group: Option<String>,
    /// Ends the command after the last row, instead of serving the last values on.
    #[arg(long, conflicts_with = "loop")]
    exit_at_end: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// How many points.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    points: usize,
    /// How often each changes, 1/s.
    #[arg(long, value_name = "HZ", default_value_t = 10.0)]
    hz: f64,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, CliError> {
    if let Command::Cnc(args) = &command
        && let (Some(file), Some(hours)) = (&args.export, args.hours)
    {
        return export(args, file, hours);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the asynchronous runtime: {error}")))?;
    runtime.block_on(async {
        let (machine, listen, exit_at_end) = match command {
            Command::Mtconnect(args) => return serve_agent(&args).await,
            Command::Cnc(args) => (start_cnc(&args).await?, args.listen, false),
            Command::InjectionMolding(args) => {
                let (spec, physics) =
                    (molding::spec(args.course.seed), MoldingPhysics::new(args.course.seed));
                (args.start(spec, physics).await?, args.listen, false)
            }
            Command::CoatingLine(args) => {
                let (spec, physics) =
                    (coating::spec(args.course.seed), CoatingPhysics::new(args.course.seed));
                (args.start(spec, physics).await?, args.listen, false)
            }
            Command::Replay(args) => (start_replay(&args).await?, args.listen, args.exit_at_end),
            Command::Load(args) => (counters(&args).await?, args.listen, false),
        };
        serve(machine, &listen, exit_at_end).await
    })
}

fn export(args: &CncArgs, file: &PathBuf, hours: f64) -> Result<ExitCode, CliError> {
    let failed = |error: std::io::Error| {
        CliError::Failed(format!("{} cannot be written: {error}", file.display()))
    };
    let plan = ExportPlan {
        hours,
        period_s: args.movement.course.period_ms as f64 / 1e3,
        seed: args.movement.course.seed,
        wear_acceleration: args.movement.wear_acceleration,
    };
    let out = BufWriter::new(File::create(file).map_err(failed)?);
    let rows = export_csv(out, &plan).map_err(|error| match error {
        ExportError::Plan { .. } => CliError::Refused(error.to_string()),
        _ => CliError::Failed(format!("{}: {error}", file.display())),
    })?;
    output::print(&format!(
        "{}: {rows} rows of a simulated machine, one every {} ms\n",
        file.display(),
        args.movement.course.period_ms
    ))?;
    Ok(Exit::Done.into())
}

async fn start_cnc(args: &CncArgs) -> Result<Running, CliError> {
    let options =
        CncOptions { endpoint: args.listen.endpoint()?, movement: args.movement.movement() };
    CncMachine::start(options).await.map_err(|error| match error {
        CncError::Start(error) => not_started(&error),
        CncError::Option { .. } => CliError::Refused(error.to_string()),
    })
}

impl PacedArgs {
    async fn start(
        &self,
        spec: MachineSpec,
        physics: impl Physics + 'static,
    ) -> Result<Running, CliError> {
        let pace =
            Pace { speed: self.course.speed, period: Duration::from_millis(self.course.period_ms) };
        let started = start_paced(spec, physics, self.listen.endpoint()?, &pace).await;
        started.map_err(|error| match error {
            PaceError::Start(error) => not_started(&error),
            PaceError::Option { .. } => CliError::Refused(error.to_string()),
        })
    }
}

impl MovementArgs {
    fn movement(&self) -> Movement {
        Movement {
            seed: self.course.seed,
            speed: self.course.speed,
            period: Duration::from_millis(self.course.period_ms),
            wear_acceleration: self.wear_acceleration,
            flank_wear_mm: self.flank_wear_mm,
            start_cutting: self.start_cutting,
        }
    }
}

fn version(text: &str) -> Result<Version, String> {
    let known = Version::parse(text).filter(|version| version.is_tested());
    known.ok_or_else(|| "write a version from 1.8 to 2.7".into())
}

async fn serve_agent(args: &MtconnectArgs) -> Result<ExitCode, CliError> {
    let options = CncAgentOptions {
        listen: args.listen,
        version: args.schema_version,
        buffer_size: args.buffer_size,
        movement: args.movement.movement(),
    };
    let agent = start_agent(options).await.map_err(|error| match error {
        AgentStartError::Movement(_) => CliError::Refused(error.to_string()),
        AgentStartError::Listen { .. } => CliError::Failed(error.to_string()),
    })?;
    if !args.listen.ip().is_loopback() {
        output::say("anyone on the network may read this simulated machine");
    }
    let (url, items) = (agent.url(), agent.data_items());
    output::print(&match args.format {
        Format::Json => {
            let version = args.schema_version.to_string();
            let line = serde_json::json!({"url": url, "version": version, "data_items": items});
            format!("{line}\n")
        }
        Format::Text => format!(
            "A SIMULATED milling machine behind an MTConnect {} agent: {items} data items at \
             {url}/probe. Ctrl-C ends it.\n",
            args.schema_version
        ),
    })?;
    signal::asked_to_end().await.map_err(|error| CliError::Failed(format!("signals: {error}")))?;
    output::say(&format!("stopped: {} documents", agent.documents()));
    Ok(Exit::Done.into())
}

async fn start_replay(args: &ReplayArgs) -> Result<Running, CliError> {
    let refused = |error: ReplayError| match error {
        ReplayError::Start(error) => not_started(&error),
        other => CliError::Refused(other.to_string()),
    };
    let recording = Recording::open(ReplayOptions {
        describe: args.describe.clone(),
        speed: args.speed,
        repeat: args.r#loop,
        group: args.group.clone(),
        ..ReplayOptions::new(&args.file)
    })
    .map_err(refused)?;
    for notice in recording.notices() {
        output::say(&notice.to_string());
    }
    recording.start(args.listen.endpoint()?).await.map_err(refused)
}

async fn counters(args: &LoadArgs) -> Result<Running, CliError> {
    let endpoint = args.listen.endpoint()?;
    let options = LoadOptions { endpoint, points: args.points, hz: args.hz };
    start_load(options).await.map_err(|error| match error {
        LoadError::Start(error) => not_started(&error),
        LoadError::Option { .. } => CliError::Refused(error.to_string()),
    })
}

fn not_started(error: &StartError) -> CliError {
    match error {
        StartError::Url { .. } | StartError::Spec(_) => CliError::Refused(error.to_string()),
        StartError::Server(_) | StartError::Thread(_) => CliError::Failed(error.to_string()),
    }
}

impl ListenArgs {
    fn endpoint(&self) -> Result<Endpoint, CliError> {
        let endpoint = Endpoint::parse(&self.listen).map_err(|error| not_started(&error))?;
        let user = self.user.clone().map(|name| {
            let password = std::env::var(PASSWORD).map_err(|_| {
                CliError::Refused(format!("--user needs a password in the environment: {PASSWORD}"))
            })?;
            Ok::<_, CliError>(User { name, password })
        });
        let user = user.transpose()?;
        let mut addresses = std::iter::once(&endpoint.listen).chain(&self.connect_to);
        if addresses.any(|address| !address.ip().is_loopback()) && user.is_none() {
            output::say("anyone on the network may read this simulated machine; see --user");
        }
        Ok(Endpoint {
            connect_to: self.connect_to,
            pki: self.pki.clone(),
            allow_none: !self.encrypted_only,
            user,
            tick: Duration::from_millis(self.tick_ms),
            ..endpoint
        })
    }
}

const PASSWORD: &str = "RESONANCE_SIMULATE_PASSWORD";

async fn serve(
    machine: Running,
    listen: &ListenArgs,
    exit_at_end: bool,
) -> Result<ExitCode, CliError> {
    output::print(&announcement(&machine, listen.format))?;
    let watched = std::io::stderr().is_terminal();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut has_ended = false;
    loop {
        tokio::select! {
            asked = signal::asked_to_end() => {
                asked.map_err(|error| CliError::Failed(format!("signals: {error}")))?;
                break;
            }
            () = machine.ended(), if !has_ended => {
                has_ended = true;
                if exit_at_end {
                    break;
                }
                say(watched, "the recording is over; its last values are served on\n");
            }
            _ = every.tick(), if watched => say(true, &progress(machine.summary())),
        }
    }
    let summary = machine.stop().await;
    say(watched, &format!("stopped: {}\n", progress(summary)));
    Ok(Exit::Done.into())
}

fn announcement(machine: &Running, format: Format) -> String {
    let spec = machine.spec();
    match format {
        Format::Json => {
            let line = serde_json::json!({
                "url": machine.url(),
                "machine": &*spec.name,
                "description": &*spec.description,
                "namespace_uri": NAMESPACE_URI,
                "points": spec.channels.len(),
            });
            format!("{line}\n")
        }
        Format::Text => format!(
            "{}\n{} points at {}; node ids ns=2;s={}.<component>.<channel> ({NAMESPACE_URI}). \
             Ctrl-C ends it.\n",
            spec.description,
            spec.channels.len(),
            machine.url(),
            spec.name,
        ),
    }
}

fn progress(summary: Summary) -> String {
    let Summary { steps, values, late, bad_rows, notifications, sessions } = summary;
    let mut text = format!(
        "{steps} steps, {values} values, {notifications} notifications, {sessions} sessions"
    );
    for (count, what) in [(late, "late steps"), (bad_rows, "bad rows")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// Writes to standard error; on a terminal, over the line before.
fn say(over: bool, text: &str) {
    let begin = if over { "\r\x1b[K" } else { "" };
    // Nobody may be there to read it.
    let _ = write!(std::io::stderr().lock(), "{begin}{text}");
}
