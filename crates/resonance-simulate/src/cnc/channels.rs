//! The channels of the simulated CNC: what a gateway may read from it.
//!
//! Semantic ids are our own. `also` names where public models speak of the same thing: BrowseNames
//! of UA/CNC (OPC 40502) and UA/MachineTool (OPC 40501-1), types of MTConnect 2.7. No public model
//! names spindle torque as measured, thermal sensors or vibration the way we need them, hence
//! ours first.

use resonance_plant::{DataType, Interpolation, QuantityKind, Range, Unit, Value};

use super::motion::Execution;
use super::physics::Reading;

/// One channel of the machine.
#[derive(Clone, Copy, Debug)]
pub struct ChannelDef {
    /// The name, unique within the machine.
    pub name: &'static str,
    /// The component the channel belongs to: the folder it is served in.
    pub component: &'static str,
    /// The type of its values.
    pub data_type: DataType,
    /// What is measured; `None` for states, counters without unit and texts.
    pub quantity: Option<QuantityKind>,
    /// UNECE common code of its unit.
    pub unit_code: Option<&'static str>,
    /// Where its values are expected.
    pub range: Option<Range>,
    /// How it holds between two observations.
    pub interpolation: Interpolation,
    /// What it means.
    pub semantic_id: &'static str,
    /// Which of several like components.
    pub qualifier: &'static str,
    /// The names of its states, by number.
    pub labels: &'static [&'static str],
    /// For people.
    pub description: &'static str,
    /// Where public models speak of the same.
    pub also: &'static str,
    pub(super) read: fn(&Reading) -> Value,
}

impl ChannelDef {
    /// Its unit.
    pub fn unit(&self) -> Option<Unit> {
        self.unit_code.and_then(Unit::from_code)
    }
}

/// The place of the channel with this name.
pub fn position(name: &str) -> Option<usize> {
    CHANNELS.iter().position(|channel| channel.name == name)
}

/// A real number with unit and range.
const fn measured(
    component: &'static str,
    name: &'static str,
    quantity: (QuantityKind, &'static str),
    range: (f64, f64),
    semantic_id: &'static str,
    read: fn(&Reading) -> Value,
) -> ChannelDef {
    ChannelDef {
        name,
        component,
        data_type: DataType::Float64,
        quantity: Some(quantity.0),
        unit_code: Some(quantity.1),
        range: Some(Range { low: range.0, high: range.1 }),
        interpolation: Interpolation::Linear,
        semantic_id,
        qualifier: "",
        labels: &[],
        description: "",
        also: "",
        read,
    }
}

/// A state, text, flag or number that no unit belongs to.
const fn stated(
    component: &'static str,
    name: &'static str,
    data_type: DataType,
    semantic_id: &'static str,
    read: fn(&Reading) -> Value,
) -> ChannelDef {
    ChannelDef {
        name,
        component,
        data_type,
        quantity: None,
        unit_code: None,
        range: None,
        interpolation: Interpolation::Category,
        semantic_id,
        qualifier: "",
        labels: &[],
        description: "",
        also: "",
        read,
    }
}

impl ChannelDef {
    const fn says(self, description: &'static str, also: &'static str) -> Self {
        Self { description, also, ..self }
    }

    const fn of(self, qualifier: &'static str) -> Self {
        Self { qualifier, ..self }
    }

    const fn holds(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    const fn labelled(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn counts(self, quantity: QuantityKind, unit_code: &'static str) -> Self {
        let interpolation = Interpolation::Counter;
        Self { quantity: Some(quantity), unit_code: Some(unit_code), interpolation, ..self }
    }
}

use Interpolation as I;
use QuantityKind as Q;

/// Every channel, in the order of its number.
pub static CHANNELS: &[ChannelDef] = &[
    stated("Controller", "Execution", DataType::Int32, "urn:resonance:cnc:execution", |r| {
        Value::Int(r.execution as i64)
    })
    .labelled(Execution::LABELS)
    .says("What the machine is doing", "UA/CNC ActProgramStatus; MTConnect EXECUTION"),
    stated("Controller", "Program", DataType::String, "urn:resonance:cnc:program:name", |r| {
        Value::Text(r.program.clone())
    })
    .says("Name of the active program", "UA/CNC ActProgramName; MTConnect PROGRAM"),
    stated("Controller", "Block", DataType::Uint32, "urn:resonance:cnc:program:block", |r| {
        Value::Uint(r.block.into())
    })
    .says("Number of the block under way; 0 between", "UA/CNC ActProgramBlock; MTConnect BLOCK"),
    stated("Controller", "PartCount", DataType::Uint32, "urn:resonance:cnc:part:count", |r| {
        Value::Uint(r.parts.into())
    })
    .counts(Q::Count, "H87")
    .says("Parts completed", "UA/MachineTool PartsProducedInLifetime; MTConnect PART_COUNT"),
    stated("Controller", "DoorClosed", DataType::Boolean, "urn:resonance:cnc:door:closed", |r| {
        Value::Boolean(r.door_closed)
    })
    .says("Whether the working space is closed", "MTConnect DOOR_STATE"),
    stated("Tool", "ToolNumber", DataType::Uint16, "urn:resonance:cnc:tool:number", |r| {
        Value::Uint(r.tool_number.into())
    })
    .says(
        "Place in the magazine of the tool in the spindle",
        "UA/CNC ToolId; MTConnect TOOL_NUMBER",
    ),
    stated("Tool", "ToolChanges", DataType::Uint32, "urn:resonance:cnc:tool:changes", |r| {
        Value::Uint(r.tool_changes.into())
    })
    .counts(Q::Count, "H87")
    .says("Tools exchanged because they were worn", ""),
    measured(
        "Tool",
        "ToolCuttingTime",
        (Q::Time, "MIN"),
        (0.0, 240.0),
        "urn:resonance:cnc:tool:cutting-time",
        |r| Value::Float(r.tool_cutting_min),
    )
    .holds(I::Counter)
    .says("How long this tool has cut", "UA/MachineTool ToolLife; MTConnect TOOL_LIFE"),
    measured(
        "Spindle",
        "SpindleSpeed",
        (Q::RotationalSpeed, "RPM"),
        (0.0, 12_000.0),
        "urn:resonance:cnc:spindle:speed",
        |r| Value::Float(r.speed_rpm),
    )
    .says("Actual speed", "UA/CNC ActSpeed; MTConnect ROTARY_VELOCITY ACTUAL"),
    measured(
        "Spindle",
        "SpindleSpeedCommand",
        (Q::RotationalSpeed, "RPM"),
        (0.0, 12_000.0),
        "urn:resonance:cnc:spindle:speed-command",
        |r| Value::Float(r.speed_command_rpm),
    )
    .holds(I::Step)
    .says("Commanded speed", "UA/CNC CmdSpeed; MTConnect ROTARY_VELOCITY COMMANDED"),
    measured(
        "Spindle",
        "SpindleOverride",
        (Q::Ratio, "P1"),
        (0.0, 150.0),
        "urn:resonance:cnc:spindle:override",
        |r| Value::Float(r.speed_override_percent),
    )
    .holds(I::Step)
    .says(
        "Speed override of the operator",
        "UA/CNC ActOverride; MTConnect ROTARY_VELOCITY_OVERRIDE",
    ),
    measured(
        "Spindle",
        "SpindleTorque",
        (Q::Torque, "NU"),
        (-30.0, 60.0),
        "urn:resonance:cnc:spindle:torque",
        |r| Value::Float(r.torque_nm),
    )
    .says(
        "Torque at the shaft: cutting, friction, acceleration",
        "UA/CNC ActTorque; MTConnect TORQUE",
    ),
    measured(
        "Spindle",
        "SpindlePower",
        (Q::Power, "KWT"),
        (-15.0, 30.0),
        "urn:resonance:cnc:spindle:power",
        |r| Value::Float(r.power_kw),
    )
    .says("Electrical power; negative while braking", "UA/CNC ActPower; MTConnect WATTAGE"),
    measured(
        "Spindle",
        "SpindleLoad",
        (Q::Ratio, "P1"),
        (0.0, 600.0),
        "urn:resonance:cnc:spindle:load",
        |r| Value::Float(r.load_percent),
    )
    .says("Power as a share of the rated power", "UA/CNC ActLoad; MTConnect LOAD"),
    measured(
        "Spindle",
        "SpindleEnergy",
        (Q::Energy, "KWH"),
        (0.0, 1e6),
        "urn:resonance:cnc:spindle:energy",
        |r| Value::Float(r.energy_kwh),
    )
    .holds(I::Counter)
    .says("Electrical energy since the start", "MTConnect ELECTRICAL_ENERGY"),
    measured(
        "Spindle",
        "SpindleVibration",
        (Q::Velocity, "C16"),
        (0.0, 40.0),
        "urn:resonance:cnc:spindle:vibration-rms",
        |r| Value::Float(r.vibration_mm_per_s),
    )
    .says("Vibration velocity at the spindle nose, RMS 10 Hz to 1 kHz", "MTConnect VELOCITY RMS"),
    measured(
        "Spindle",
        "SpindleBearingTemperature",
        (Q::Temperature, "CEL"),
        (0.0, 90.0),
        "urn:resonance:cnc:spindle:bearing-temperature",
        |r| Value::Float(r.bearing_deg_c),
    )
    .says("Front bearing", "MTConnect TEMPERATURE"),
    measured(
        "Spindle",
        "SpindleMotorTemperature",
        (Q::Temperature, "CEL"),
        (0.0, 150.0),
        "urn:resonance:cnc:spindle:motor-temperature",
        |r| Value::Float(r.motor_deg_c),
    )
    .says("Winding", "MTConnect TEMPERATURE"),
    measured(
        "Path",
        "FeedRate",
        (Q::Velocity, "H81"),
        (0.0, 20_000.0),
        "urn:resonance:cnc:path:feed-rate",
        |r| Value::Float(r.feed_mm_per_min),
    )
    .holds(I::Step)
    .says("Actual feed rate along the path", "UA/CNC ActFeedrate; MTConnect PATH_FEEDRATE ACTUAL"),
    measured(
        "Path",
        "FeedRateCommand",
        (Q::Velocity, "H81"),
        (0.0, 20_000.0),
        "urn:resonance:cnc:path:feed-rate-command",
        |r| Value::Float(r.feed_command_mm_per_min),
    )
    .holds(I::Step)
    .says("Programmed feed rate", "UA/CNC CmdFeedrate; MTConnect PATH_FEEDRATE PROGRAMMED"),
    measured(
        "Path",
        "FeedOverride",
        (Q::Ratio, "P1"),
        (0.0, 150.0),
        "urn:resonance:cnc:path:feed-override",
        |r| Value::Float(r.feed_override_percent),
    )
    .holds(I::Step)
    .says(
        "Feed override of the operator",
        "UA/MachineTool FeedOverride; MTConnect PATH_FEEDRATE_OVERRIDE",
    ),
    measured(
        "Path",
        "CuttingSpeed",
        (Q::Velocity, "2X"),
        (0.0, 460.0),
        "urn:resonance:cnc:process:cutting-speed",
        |r| Value::Float(r.cutting_speed_m_per_min),
    )
    .says("Speed of the cutting edge", "MTConnect CUTTING_SPEED"),
    measured(
        "Path",
        "DepthOfCut",
        (Q::Length, "MMT"),
        (0.0, 30.0),
        "urn:resonance:cnc:process:axial-depth",
        |r| Value::Float(r.depth_mm),
    )
    .holds(I::Step)
    .says("Axial depth of the cut under way, from the program's process data; 0 between", ""),
    measured(
        "Path",
        "WidthOfCut",
        (Q::Length, "MMT"),
        (0.0, 12.0),
        "urn:resonance:cnc:process:radial-width",
        |r| Value::Float(r.width_mm),
    )
    .holds(I::Step)
    .says("Radial width of the cut under way, from the program's process data; 0 between", ""),
    axis_position("PositionX", "X", |r| Value::Float(r.position_mm[0])),
    axis_position("PositionY", "Y", |r| Value::Float(r.position_mm[1])),
    axis_position("PositionZ", "Z", |r| Value::Float(r.position_mm[2])),
    axis_load("LoadX", "X", |r| Value::Float(r.axis_load_percent[0])),
    axis_load("LoadY", "Y", |r| Value::Float(r.axis_load_percent[1])),
    axis_load("LoadZ", "Z", |r| Value::Float(r.axis_load_percent[2])),
    measured(
        "Coolant",
        "CoolantFlow",
        (Q::VolumeFlow, "L2"),
        (0.0, 40.0),
        "urn:resonance:cnc:coolant:flow",
        |r| Value::Float(r.coolant_l_per_min),
    )
    .says("Flow to the tool", "MTConnect FLOW"),
    measured(
        "Coolant",
        "CoolantPressure",
        (Q::GaugePressure, "BAR"),
        (0.0, 12.0),
        "urn:resonance:cnc:coolant:pressure",
        |r| Value::Float(r.coolant_bar),
    )
    .says("Pressure before the nozzles", "MTConnect PRESSURE"),
    measured(
        "Coolant",
        "CoolantTemperature",
        (Q::Temperature, "CEL"),
        (0.0, 60.0),
        "urn:resonance:cnc:coolant:temperature",
        |r| Value::Float(r.coolant_deg_c),
    )
    .says("Tank", "MTConnect TEMPERATURE"),
    measured(
        "Environment",
        "AmbientTemperature",
        (Q::Temperature, "CEL"),
        (-10.0, 50.0),
        "urn:resonance:cnc:ambient:temperature",
        |r| Value::Float(r.ambient_deg_c),
    )
    .says("Air at the machine", "MTConnect TEMPERATURE"),
    measured(
        "Simulation",
        "TrueFlankWear",
        (Q::Length, "MMT"),
        (0.0, 0.6),
        "urn:resonance:simulation:tool:flank-wear",
        |r| Value::Float(r.flank_wear_mm),
    )
    .says("The flank wear the simulation computes with; no real machine reports it", ""),
];

const fn axis_position(
    name: &'static str,
    axis: &'static str,
    read: fn(&Reading) -> Value,
) -> ChannelDef {
    let quantity = (Q::Length, "MMT");
    measured("Axes", name, quantity, (-500.0, 800.0), "urn:resonance:cnc:axis:position", read)
        .of(axis)
        .says("Position, machine coordinates", "UA/CNC ActPos; MTConnect POSITION ACTUAL")
}

const fn axis_load(
    name: &'static str,
    axis: &'static str,
    read: fn(&Reading) -> Value,
) -> ChannelDef {
    measured("Axes", name, (Q::Ratio, "P1"), (0.0, 150.0), "urn:resonance:cnc:axis:load", read)
        .of(axis)
        .says("Load of the drive", "UA/CNC ActLoad; MTConnect LOAD")
}
