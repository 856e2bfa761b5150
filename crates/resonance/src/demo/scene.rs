//! The demo's machines and its MES, running.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use resonance_simulate::cnc::{CncMachine, CncOptions, Movement};
use resonance_simulate::machine::{Endpoint, Running};
use resonance_simulate::mes::Mes;
use resonance_simulate::replay::{Recording, ReplayOptions};

use super::packages::{CNC_MILL, CUTTING, TOOL_WEAR, TURBOFAN_RUL};
use super::plant::{Judge, Machine, text};
use crate::config::PlantText;

/// The demo's world: everything but the gateway.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The plant file, as written into the working folder.
    pub(crate) plant: PlantText,
    machines: Vec<Running>,
    mes: Mes,
}

/// Recorded data that the demo replays beside the simulation.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The run-to-failure table.
    turbofan: PathBuf,
    /// A milling run: one of those that the package holds out.
    milling: PathBuf,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SceneError {
    /// The folder with recorded data is not what it should be.
    #[error("--data {}: there is no {missing}", folder.display())]
    NoData {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
    /// The working folder cannot be written.
    #[error("{}: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A machine or the MES does not start.
    #[error("the {what} does not start: {problem}")]
    Start {
        /// Which.
        what: &'static str,
        /// Why.
        problem: String,
    },
}

/// The unit of the run-to-failure table that is replayed: one of those that the package holds out,
/// so that the model never saw it.
pub(super) const TURBOFAN_UNIT: &str = "92";

/// Flight cycles a second.
const TURBOFAN_SPEED: f64 = 5.0;

/// The wear of the first tool, so that every condition is seen within minutes.
const FIRST_TOOL_WEAR_MM: f64 = 0.12;

/// How much faster than real the tool wears.
const WEAR_ACCELERATION: f64 = 20.0;

impl Recorded {
    /// The recordings below a folder.
    pub(crate) fn find(folder: &Path) -> Result<Self, SceneError> {
        let file = |name: &'static str| {
            let path = folder.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                Err(SceneError::NoData { folder: folder.to_owned(), missing: name })
            }
        };
        Ok(Self {
            turbofan: file("turbofan/train_FD001.txt")?,
            milling: file("cnc-mill/experiment_03.csv")?,
        })
    }
}

impl Scene {
    /// Starts machines and MES, and writes packages and plant file into `folder`.
    pub(crate) async fn start(
        folder: &Path,
        recorded: Option<&Recorded>,
    ) -> Result<Self, SceneError> {
        let wrong = |error| SceneError::Folder { folder: folder.to_owned(), error };
        let models = folder.join("models");
        let tool_wear = TOOL_WEAR.write(&models).map_err(wrong)?;
        let mes = Mes::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .map_err(|error| start("simulated MES", &error))?;
        let cnc = CncMachine::start(CncOptions {
            endpoint: endpoint(),
            movement: Movement {
                wear_acceleration: WEAR_ACCELERATION,
                flank_wear_mm: Some(FIRST_TOOL_WEAR_MM),
                start_cutting: true,
                ..Movement::default()
            },
        });
        let cnc = cnc.await.map_err(|error| start("simulated CNC", &error))?;
        let mut machines = vec![("mill", "cnc_machine_tool", cnc)];
        let mut judges = vec![Judge {
            id: "wear",
            asset: "mill",
            package: &tool_wear,
            keys: "trigger = { on = \"change\" }\n\
                   gate = { point = \"execution\", one_of = [\"cutting\"], settle_ms = 3200 }",
        }];
        let (turbofan, cutting);
        if let Some(recorded) = recorded {
            turbofan = TURBOFAN_RUL.write(&models).map_err(wrong)?;
            cutting = CUTTING.write(&models).map_err(wrong)?;
            let mill = CNC_MILL.write(&models).map_err(wrong)?;
            let engine = replay(&recorded.turbofan, &turbofan, Some(TURBOFAN_UNIT), TURBOFAN_SPEED);
            machines.push(("engine", "smart_sensor", engine.await?));
            let milling = replay(&recorded.milling, &mill, None, 1.0);
            machines.push(("recorded-mill", "cnc_machine_tool", milling.await?));
            for (id, asset, package) in
                [("rul", "engine", &turbofan), ("cutting", "recorded-mill", &cutting)]
            {
                judges.push(Judge { id, asset, package, keys: "trigger = { on = \"change\" }" });
            }
        }
        let described: Vec<Machine<'_>> = machines
            .iter()
            .map(|(asset, class, running)| Machine {
                asset,
                class,
                url: running.url(),
                spec: running.spec(),
            })
            .collect();
        let text = text(&described, &judges, &mes.url());
        let path = folder.join("plant.toml");
        std::fs::write(&path, &text).map_err(wrong)?;
        let machines = machines.into_iter().map(|(_, _, running)| running).collect();
        Ok(Self { plant: PlantText::from_memory(&path, text), machines, mes })
    }

    /// Where the machines listen.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(Running::url)
    }

    /// Messages that the MES took.
    pub(crate) fn taken(&self) -> u64 {
        self.mes.taken()
    }

    /// Stops machines and MES.
    pub(crate) async fn stop(self) {
        for machine in self.machines {
            machine.stop().await;
        }
        self.mes.stop().await;
    }
}

async fn replay(
    file: &Path,
    package: &Path,
    group: Option<&str>,
    speed: f64,
) -> Result<Running, SceneError> {
    let options = ReplayOptions {
        describe: Some(package.join("replay.toml")),
        group: group.map(str::to_owned),
        speed,
        repeat: true,
        ..ReplayOptions::new(file)
    };
    let recording = Recording::open(options).map_err(|error| start("replayed machine", &error))?;
    recording.start(endpoint()).await.map_err(|error| start("replayed machine", &error))
}

fn endpoint() -> Endpoint {
    Endpoint { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Endpoint::default() }
}

fn start(what: &'static str, error: &impl ToString) -> SceneError {
    SceneError::Start { what, problem: error.to_string() }
}
