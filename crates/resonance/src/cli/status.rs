//! `resonance status`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::http::GatewayArgs;
use super::{CliError, Exit, Format, output, signal};
use crate::render::status::tables;

/// Say how a running gateway is: sources, deployments, sinks, servers, spool.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Tables, or JSON as the gateway gives it.
    #[arg(long, default_value = "text")]
    format: Format,
    /// Asks again every two seconds, until ended.
    #[arg(long)]
    watch: bool,
}

const EXAMPLES: &str = "\
Examples:
  resonance status
  resonance status --watch
  resonance status --url https://gateway:8443 --user anna --ca gateway.pem
  resonance status --format json | jq '.deployments[].state'";

const WATCH_EVERY: Duration = Duration::from_secs(2);

pub(crate) fn run(args: StatusArgs) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the asynchronous runtime: {error}")))?;
    runtime.block_on(ask(args))
}

async fn ask(args: StatusArgs) -> Result<ExitCode, CliError> {
    let StatusArgs { gateway, format, watch } = args;
    let gateway = gateway.gateway()?;
    let mut every = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            asked = signal::asked_to_end() => {
                asked.map_err(|error| CliError::Failed(format!("signals: {error}")))?;
                return Ok(Exit::Done.into());
            }
        }
        let status = gateway.get("/api/v1/status").await?;
        match format {
            Format::Json if watch => output::print(&format!("{status}\n"))?,
            Format::Json => output::print_json(&status)?,
            Format::Text => {
                let clear = watch && std::io::stdout().is_terminal();
                let before = if clear { "\x1b[2J\x1b[H" } else { "" };
                output::print(&format!("{before}{}", tables(&status)))?;
            }
        }
        if !watch {
            return Ok(Exit::Done.into());
        }
    }
}
