//! The simulated CNC as an MTConnect device: the same physics as over OPC UA, in MTConnect's
//! components, types and units.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use resonance_plant::{Clock, SystemClock, Value};
use resonance_wire::mtconnect::{
    Category, Component, Composition, Constraints, DataItem, Description, Device, Devices, Header,
    Level, Version,
};
use tokio::time::MissedTickBehavior;

use super::agent::Said;
use super::http::{AgentOptions, Serving, serve};
use crate::cnc::{CncError, CncPhysics, Movement, position};

/// How the CNC runs behind an agent.
#[derive(Clone, Debug)]
pub struct CncAgentOptions {
    /// Where the agent listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The version of its documents.
    pub version: Version,
    /// Observations it keeps.
    pub buffer_size: u64,
    /// How the machine moves.
    pub movement: Movement,
}

impl Default for CncAgentOptions {
    fn default() -> Self {
        Self {
            listen: AgentOptions::default().listen,
            version: Version { major: 2, minor: 7 },
            buffer_size: 131_072,
            movement: Movement::default(),
        }
    }
}

/// Starts the machine and its agent; it moves from then on. Needs a running tokio runtime.
///
/// # Errors
/// Where an option is out of bounds or the address cannot be bound.
pub async fn start_cnc(options: CncAgentOptions) -> Result<Serving, StartError> {
    let (mut physics, step_s) = options.movement.begin()?;
    let model = cnc_model(options.version, options.buffer_size, options.movement.seed);
    let mut serving = serve(model, AgentOptions { listen: options.listen })
        .await
        .map_err(|error| StartError::Listen { listen: options.listen, error })?;
    let shared = std::sync::Arc::clone(serving.shared());
    let period = options.movement.period;
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            physics.step(step_s);
            shared.observe(&said(&physics), SystemClock.now());
        }
    });
    serving.keep(task.abort_handle());
    Ok(serving)
}

/// Why the machine or its agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option is out of bounds.
    #[error(transparent)]
    Movement(#[from] CncError),
    /// The address cannot be bound.
    #[error("cannot listen at {listen}: {error}; take another port, or 0 for a free one")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
}

/// A data item that shows a channel of the machine.
struct Shown {
    /// Its component's id.
    component: &'static str,
    id: &'static str,
    kind: &'static str,
    sub_type: &'static str,
    units: &'static str,
    /// The composition it is about.
    composition: &'static str,
    channel: &'static str,
    /// The channel's unit times this is `units`.
    factor: f64,
    /// Whether its definition is the channel's semantic id, since its type does not say it all.
    is_defined: bool,
}

const fn sample(
    component: &'static str,
    id: &'static str,
    (kind, sub_type): (&'static str, &'static str),
    units: &'static str,
    channel: &'static str,
    factor: f64,
) -> Shown {
    let composition = "";
    Shown { component, id, kind, sub_type, units, composition, channel, factor, is_defined: false }
}

impl Shown {
    const fn of(self, composition: &'static str) -> Self {
        Self { composition, ..self }
    }

    const fn defined(self) -> Self {
        Self { is_defined: true, ..self }
    }
}

const PER_MINUTE: f64 = 1.0 / 60.0;

const SAMPLES: &[Shown] = &[
    sample("x", "x_pos", ("POSITION", "ACTUAL"), "MILLIMETER", "PositionX", 1.0),
    sample("x", "x_load", ("LOAD", ""), "PERCENT", "LoadX", 1.0),
    sample("y", "y_pos", ("POSITION", "ACTUAL"), "MILLIMETER", "PositionY", 1.0),
    sample("y", "y_load", ("LOAD", ""), "PERCENT", "LoadY", 1.0),
    sample("z", "z_pos", ("POSITION", "ACTUAL"), "MILLIMETER", "PositionZ", 1.0),
    sample("z", "z_load", ("LOAD", ""), "PERCENT", "LoadZ", 1.0),
    sample("c", "s_speed", ("ROTARY_VELOCITY", "ACTUAL"), "REVOLUTION/MINUTE", "SpindleSpeed", 1.0),
    sample(
        "c",
        "s_speed_cmd",
        ("ROTARY_VELOCITY", "COMMANDED"),
        "REVOLUTION/MINUTE",
        "SpindleSpeedCommand",
        1.0,
    ),
    sample("c", "s_torque", ("TORQUE", ""), "NEWTON_METER", "SpindleTorque", 1.0),
    sample("c", "s_power", ("WATTAGE", ""), "WATT", "SpindlePower", 1_000.0),
    sample("c", "s_load", ("LOAD", ""), "PERCENT", "SpindleLoad", 1.0),
    sample("c", "s_energy", ("ELECTRICAL_ENERGY", ""), "WATT_SECOND", "SpindleEnergy", 3.6e6),
    sample("c", "s_vib", ("VELOCITY", ""), "MILLIMETER/SECOND", "SpindleVibration", 1.0).defined(),
    sample("c", "s_bearing_temp", ("TEMPERATURE", ""), "CELSIUS", "SpindleBearingTemperature", 1.0)
        .of("c_bearing")
        .defined(),
    sample("c", "s_motor_temp", ("TEMPERATURE", ""), "CELSIUS", "SpindleMotorTemperature", 1.0)
        .of("c_motor")
        .defined(),
    sample(
        "path",
        "p_feed",
        ("PATH_FEEDRATE", "ACTUAL"),
        "MILLIMETER/SECOND",
        "FeedRate",
        PER_MINUTE,
    ),
    sample(
        "path",
        "p_feed_prog",
        ("PATH_FEEDRATE", "PROGRAMMED"),
        "MILLIMETER/SECOND",
        "FeedRateCommand",
        PER_MINUTE,
    ),
    sample(
        "path",
        "p_cutting_speed",
        ("CUTTING_SPEED", "ACTUAL"),
        "MILLIMETER/SECOND",
        "CuttingSpeed",
        1_000.0 * PER_MINUTE,
    ),
    // MTConnect has no type for the depth and width of a cut; these are the nearest.
    sample("path", "p_depth", ("DISPLACEMENT", ""), "MILLIMETER", "DepthOfCut", 1.0).defined(),
    sample("path", "p_width", ("DISPLACEMENT", ""), "MILLIMETER", "WidthOfCut", 1.0).defined(),
    sample("coolant", "cool_flow", ("FLOW", ""), "LITER/SECOND", "CoolantFlow", PER_MINUTE),
    sample("coolant", "cool_press", ("PRESSURE", ""), "PASCAL", "CoolantPressure", 1e5),
    sample("coolant", "cool_temp", ("TEMPERATURE", ""), "CELSIUS", "CoolantTemperature", 1.0),
    sample("env", "env_temp", ("TEMPERATURE", ""), "CELSIUS", "AmbientTemperature", 1.0),
];

/// Events: component, id, type, sub-type.
const EVENTS: &[(&str, &str, &str, &str)] = &[
    ("d", "avail", "AVAILABILITY", ""),
    ("ctrl", "estop", "EMERGENCY_STOP", ""),
    ("path", "mode", "CONTROLLER_MODE", ""),
    ("path", "exec", "EXECUTION", ""),
    ("path", "program", "PROGRAM", ""),
    ("path", "block", "BLOCK", ""),
    ("path", "parts", "PART_COUNT", "ALL"),
    ("path", "tool", "TOOL_NUMBER", ""),
    ("path", "p_feed_ovr", "PATH_FEEDRATE_OVERRIDE", "PROGRAMMED"),
    ("c", "s_speed_ovr", "ROTARY_VELOCITY_OVERRIDE", ""),
    ("door", "door_state", "DOOR_STATE", ""),
];

/// Conditions: component, id, type.
const CONDITIONS: &[(&str, &str, &str)] = &[
    ("ctrl", "system", "SYSTEM"),
    ("c", "s_temp_cond", "TEMPERATURE"),
    ("c", "s_load_cond", "LOAD"),
];

/// The data item that says whether the agent itself is there.
const AGENT_AVAILABLE: &str = "agent_avail";

/// Components: id, kind, name, the id of that above. Parents come first.
const COMPONENTS: &[(&str, &str, &str, &str)] = &[
    ("d", "Device", "CNC", ""),
    ("axes", "Axes", "base", "d"),
    ("x", "Linear", "X", "axes"),
    ("y", "Linear", "Y", "axes"),
    ("z", "Linear", "Z", "axes"),
    ("c", "Rotary", "C", "axes"),
    ("ctrl", "Controller", "controller", "d"),
    ("path", "Path", "path", "ctrl"),
    ("door", "Door", "door", "d"),
    ("systems", "Systems", "systems", "d"),
    ("coolant", "Coolant", "coolant", "systems"),
    ("aux", "Auxiliaries", "auxiliaries", "d"),
    ("env", "Environmental", "environment", "aux"),
];

/// The bearing's temperature in °C, and the spindle's load in %, from which on it is a warning
/// and a fault.
const BEARING: (f64, f64) = (60.0, 75.0);
const LOAD: (f64, f64) = (100.0, 150.0);

/// The machine's device model.
pub fn cnc_model(version: Version, buffer_size: u64, seed: u64) -> Devices {
    let mut device = Device::default();
    for (id, kind, name, above) in COMPONENTS {
        device.components.push(Component {
            parent: COMPONENTS.iter().position(|(id, ..)| id == above),
            kind: (*kind).into(),
            id: (*id).into(),
            name: (*name).into(),
            ..Component::default()
        });
    }
    device.components[0].uuid = format!("resonance-simulated-cnc-{seed}");
    device.components[0].description = Description {
        manufacturer: "Resonance".into(),
        model: "Simulated milling machine".into(),
        serial_number: format!("SIMULATED-{seed}"),
        station: String::new(),
        text: "A SIMULATED three-axis milling machine: nothing here was measured.".into(),
    };
    // The standard knows no bearing; a prefix marks what is the maker's own.
    let compositions = [("c_bearing", "x:BEARING"), ("c_motor", "MOTOR")];
    device.components[component("c")].compositions = compositions
        .map(|(id, kind)| Composition { id: id.into(), kind: kind.into(), name: String::new() })
        .into();
    for (at, id, kind, sub_type) in EVENTS {
        device.data_items.push(item(at, id, kind, sub_type, Category::Event));
    }
    for shown in SAMPLES {
        let known = position(shown.channel).and_then(|at| crate::cnc::CHANNELS.get(at));
        let range = known.and_then(|channel| channel.range);
        device.data_items.push(DataItem {
            name: shown.channel.into(),
            units: shown.units.into(),
            composition_id: shown.composition.into(),
            definition: known
                .filter(|_| shown.is_defined)
                .map(|channel| channel.semantic_id.to_owned())
                .unwrap_or_default(),
            coordinate_system: if shown.kind == "POSITION" {
                "MACHINE".into()
            } else {
                String::new()
            },
            constraints: Constraints {
                minimum: range.map(|range| range.low * shown.factor),
                maximum: range.map(|range| range.high * shown.factor),
                ..Constraints::default()
            },
            ..item(shown.component, shown.id, shown.kind, shown.sub_type, Category::Sample)
        });
    }
    for (at, id, kind) in CONDITIONS {
        device.data_items.push(item(at, id, kind, "", Category::Condition));
    }
    // The agent's own form: by component.
    device.data_items.sort_by_key(|item| item.component);
    let started = SystemClock.now().millis() / 1_000;
    Devices {
        header: Header {
            version,
            agent_version: format!("{version}.0.0"),
            sender: "resonance-simulate".into(),
            instance_id: u64::try_from(started).unwrap_or(1),
            creation_time: None,
            buffer_size,
            is_test: true,
            sequences: None,
        },
        devices: vec![agent(seed), device],
    }
}

/// The agent as a device of its own, which agents are since 1.7.
fn agent(seed: u64) -> Device {
    let id = AGENT_AVAILABLE;
    Device {
        components: vec![Component {
            kind: "Agent".into(),
            id: "agent".into(),
            name: "Agent".into(),
            uuid: format!("resonance-simulated-agent-{seed}"),
            ..Component::default()
        }],
        data_items: vec![item("d", id, "AVAILABILITY", "", Category::Event)],
    }
}

fn component(id: &str) -> usize {
    COMPONENTS.iter().position(|(known, ..)| *known == id).unwrap_or(0)
}

fn item(at: &str, id: &str, kind: &str, sub_type: &str, category: Category) -> DataItem {
    DataItem {
        id: id.into(),
        category,
        kind: kind.into(),
        sub_type: sub_type.into(),
        component: component(at),
        ..DataItem::default()
    }
}

/// What the machine says now.
fn said(physics: &CncPhysics) -> Vec<(&'static str, Said)> {
    let value = |channel: &str| position(channel).map_or(Value::Empty, |at| physics.value(at));
    let number = |channel: &str| value(channel).as_f64().unwrap_or(0.0);
    let text = |text: &str| Said::Text(text.to_owned());
    let mut said: Vec<(&'static str, Said)> = SAMPLES
        .iter()
        .map(|shown| (shown.id, text(&(number(shown.channel) * shown.factor).to_string())))
        .collect();
    let execution = match physics.execution() {
        crate::cnc::Execution::Idle => "READY",
        crate::cnc::Execution::Stopped => "STOPPED",
        _ => "ACTIVE",
    };
    said.extend([
        (AGENT_AVAILABLE, text("AVAILABLE")),
        ("avail", text("AVAILABLE")),
        ("estop", text("ARMED")),
        ("mode", text("AUTOMATIC")),
        ("exec", text(execution)),
        (
            "door_state",
            text(if value("DoorClosed") == Value::Boolean(true) { "CLOSED" } else { "OPEN" }),
        ),
    ]);
    for (id, channel) in [
        ("program", "Program"),
        ("block", "Block"),
        ("parts", "PartCount"),
        ("tool", "ToolNumber"),
        ("p_feed_ovr", "FeedOverride"),
        ("s_speed_ovr", "SpindleOverride"),
    ] {
        said.push((id, text(&value(channel).to_string())));
    }
    said.push(("system", normal("")));
    let bearing = number("SpindleBearingTemperature");
    watch(&mut said, "s_temp_cond", ("2001", "2002"), bearing, BEARING, "spindle bearing in °C");
    watch(
        &mut said,
        "s_load_cond",
        ("3001", "3002"),
        number("SpindleLoad"),
        LOAD,
        "spindle load in %",
    );
    said
}

fn normal(code: &str) -> Said {
    Said::Condition { level: Level::Normal, code: code.into(), message: String::new() }
}

/// A warning from one threshold on, and a fault besides from another.
fn watch(
    said: &mut Vec<(&'static str, Said)>,
    id: &'static str,
    (warning, fault): (&str, &str),
    value: f64,
    (warns, faults): (f64, f64),
    what: &str,
) {
    for (level, code, from) in [(Level::Warning, warning, warns), (Level::Fault, fault, faults)] {
        if value >= from {
            let message = format!("{what}: {from} and more");
            said.push((id, Said::Condition { level, code: code.into(), message }));
        } else {
            said.push((id, normal(code)));
        }
    }
}
