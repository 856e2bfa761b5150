//! Engineering units by UNECE code, and what may be converted into what.

use std::fmt;

/// What is measured. Two kinds with the same dimension are still two kinds: a temperature is not
/// a temperature difference and gauge pressure is not absolute pressure.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum QuantityKind {
    Dimensionless,
    Ratio,
    Count,
    Length,
    Area,
    Volume,
    Angle,
    Time,
    Frequency,
    RotationalSpeed,
    Velocity,
    AngularVelocity,
    Acceleration,
    Mass,
    MassFlow,
    VolumeFlow,
    Density,
    Force,
    Torque,
    AbsolutePressure,
    GaugePressure,
    PressureDifference,
    Energy,
    Power,
    ApparentPower,
    ReactivePower,
    Temperature,
    TemperatureDifference,
    ElectricCurrent,
    ElectricVoltage,
    ElectricResistance,
    ElectricCharge,
    DynamicViscosity,
    KinematicViscosity,
    SurfaceRoughness,
    SoundPressureLevel,
    RelativeHumidity,
    Illuminance,
    DataSize,
    Concentration,
}

impl QuantityKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Dimensionless,
        Self::Ratio,
        Self::Count,
        Self::Length,
        Self::Area,
        Self::Volume,
        Self::Angle,
        Self::Time,
        Self::Frequency,
        Self::RotationalSpeed,
        Self::Velocity,
        Self::AngularVelocity,
        Self::Acceleration,
        Self::Mass,
        Self::MassFlow,
        Self::VolumeFlow,
        Self::Density,
        Self::Force,
        Self::Torque,
        Self::AbsolutePressure,
        Self::GaugePressure,
        Self::PressureDifference,
        Self::Energy,
        Self::Power,
        Self::ApparentPower,
        Self::ReactivePower,
        Self::Temperature,
        Self::TemperatureDifference,
        Self::ElectricCurrent,
        Self::ElectricVoltage,
        Self::ElectricResistance,
        Self::ElectricCharge,
        Self::DynamicViscosity,
        Self::KinematicViscosity,
        Self::SurfaceRoughness,
        Self::SoundPressureLevel,
        Self::RelativeHumidity,
        Self::Illuminance,
        Self::DataSize,
        Self::Concentration,
    ];

    /// The name in plant files and manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dimensionless => "dimensionless",
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::Length => "length",
            Self::Area => "area",
            Self::Volume => "volume",
            Self::Angle => "angle",
            Self::Time => "time",
            Self::Frequency => "frequency",
            Self::RotationalSpeed => "rotational_speed",
            Self::Velocity => "velocity",
            Self::AngularVelocity => "angular_velocity",
            Self::Acceleration => "acceleration",
            Self::Mass => "mass",
            Self::MassFlow => "mass_flow",
            Self::VolumeFlow => "volume_flow",
            Self::Density => "density",
            Self::Force => "force",
            Self::Torque => "torque",
            Self::AbsolutePressure => "absolute_pressure",
            Self::GaugePressure => "gauge_pressure",
            Self::PressureDifference => "pressure_difference",
            Self::Energy => "energy",
            Self::Power => "power",
            Self::ApparentPower => "apparent_power",
            Self::ReactivePower => "reactive_power",
            Self::Temperature => "temperature",
            Self::TemperatureDifference => "temperature_difference",
            Self::ElectricCurrent => "electric_current",
            Self::ElectricVoltage => "electric_voltage",
            Self::ElectricResistance => "electric_resistance",
            Self::ElectricCharge => "electric_charge",
            Self::DynamicViscosity => "dynamic_viscosity",
            Self::KinematicViscosity => "kinematic_viscosity",
            Self::SurfaceRoughness => "surface_roughness",
            Self::SoundPressureLevel => "sound_pressure_level",
            Self::RelativeHumidity => "relative_humidity",
            Self::Illuminance => "illuminance",
            Self::DataSize => "data_size",
            Self::Concentration => "concentration",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind whose units measure this one: both pressures and their difference share units,
    /// and so do temperature and its difference (where only the factor counts).
    const fn measured_as(self) -> Self {
        match self {
            Self::GaugePressure | Self::PressureDifference => Self::AbsolutePressure,
            Self::TemperatureDifference => Self::Temperature,
            Self::SurfaceRoughness => Self::Length,
            Self::RelativeHumidity => Self::Ratio,
            Self::RotationalSpeed => Self::Frequency,
            Self::ReactivePower | Self::ApparentPower => Self::Power,
            other => other,
        }
    }
}

impl fmt::Display for QuantityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A unit of UNECE Recommendation 20.
#[derive(Debug)]
pub struct UnitEntry {
    /// The common code, such as `CEL`.
    pub code: &'static str,
    /// For people, such as `°C`.
    pub symbol: &'static str,
    /// The name, such as `degree Celsius`.
    pub name: &'static str,
    /// What it measures first of all.
    pub quantity: QuantityKind,
    /// Coherent SI value = value * factor + offset.
    factor: f64,
    offset: f64,
}

/// A unit of UNECE Recommendation 20; cheap to copy and compare.
#[derive(Clone, Copy)]
pub struct Unit(&'static UnitEntry);

/// `y = x * scale + offset`, from one unit to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conversion {
    /// Multiplied first.
    pub scale: f64,
    /// Added then.
    pub offset: f64,
}

impl Conversion {
    /// Leaves values as they are.
    pub const IDENTITY: Self = Self { scale: 1.0, offset: 0.0 };

    /// The converted value.
    pub fn apply(self, value: f64) -> f64 {
        value * self.scale + self.offset
    }
}

impl Unit {
    /// The unit with this UNECE common code.
    pub fn from_code(code: &str) -> Option<Self> {
        UNITS.iter().find(|entry| entry.code == code).map(Self)
    }

    /// The unit with this OPC UA EUInformation unitId (OPC 10000-8, 5.6.3.3): the code's
    /// characters as a big-endian number.
    pub fn from_ua_unit_id(id: i32) -> Option<Self> {
        UNITS.iter().map(Self).find(|unit| unit.ua_unit_id() == id)
    }

    /// All known units.
    pub fn all() -> impl Iterator<Item = Self> {
        UNITS.iter().map(Self)
    }

    /// The UNECE common code.
    pub const fn code(self) -> &'static str {
        self.0.code
    }

    /// The symbol for people.
    pub const fn symbol(self) -> &'static str {
        self.0.symbol
    }

    /// The unit's name.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// What the unit measures first of all.
    pub const fn quantity(self) -> QuantityKind {
        self.0.quantity
    }

    /// The OPC UA EUInformation unitId.
    pub fn ua_unit_id(self) -> i32 {
        self.0.code.bytes().fold(0, |id, byte| (id << 8) | i32::from(byte))
    }

    /// Whether the unit can measure this kind of quantity.
    pub fn measures(self, kind: QuantityKind) -> bool {
        self.0.quantity.measured_as() == kind.measured_as()
            || (kind == QuantityKind::Dimensionless && self.0.quantity == QuantityKind::Ratio)
    }

    /// How a value of `kind` in this unit becomes one in `target`. `None` where either unit does
    /// not measure it. Differences convert by the factor alone.
    pub fn conversion(self, target: Self, kind: QuantityKind) -> Option<Conversion> {
        if !self.measures(kind) || !target.measures(kind) {
            return None;
        }
        if self == target {
            return Some(Conversion::IDENTITY);
        }
        let scale = self.0.factor / target.0.factor;
        let offset = match kind {
            QuantityKind::TemperatureDifference => 0.0,
            _ => (self.0.offset - target.0.offset) / target.0.factor,
        };
        Some(Conversion { scale, offset })
    }
}

impl PartialEq for Unit {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}

impl Eq for Unit {}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.code, self.0.symbol)
    }
}

impl serde::Serialize for Unit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code)
    }
}

impl<'de> serde::Deserialize<'de> for Unit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown UNECE unit code {code:?}")))
    }
}

const fn entry(
    code: &'static str,
    symbol: &'static str,
    name: &'static str,
    quantity: QuantityKind,
    factor: f64,
) -> UnitEntry {
    UnitEntry { code, symbol, name, quantity, factor, offset: 0.0 }
}

use QuantityKind as Q;
use std::f64::consts::PI;

/// Units by UNECE Recommendation 20 common code. Factors are to the coherent SI unit of the
/// quantity; frequencies and rotational speeds to 1/s.
static UNITS: &[UnitEntry] = &[
    entry("C62", "1", "one", Q::Dimensionless, 1.0),
    entry("P1", "%", "percent", Q::Ratio, 0.01),
    entry("59", "ppm", "part per million", Q::Ratio, 1e-6),
    entry("H87", "pc", "piece", Q::Count, 1.0),
    entry("B7", "cycle", "cycle", Q::Count, 1.0),
    entry("MTR", "m", "metre", Q::Length, 1.0),
    entry("DMT", "dm", "decimetre", Q::Length, 0.1),
    entry("CMT", "cm", "centimetre", Q::Length, 0.01),
    entry("MMT", "mm", "millimetre", Q::Length, 1e-3),
    entry("4H", "µm", "micrometre", Q::Length, 1e-6),
    entry("C45", "nm", "nanometre", Q::Length, 1e-9),
    entry("KMT", "km", "kilometre", Q::Length, 1e3),
    entry("INH", "in", "inch", Q::Length, 0.0254),
    entry("FOT", "ft", "foot", Q::Length, 0.3048),
    entry("MTK", "m²", "square metre", Q::Area, 1.0),
    entry("MMK", "mm²", "square millimetre", Q::Area, 1e-6),
    entry("CMK", "cm²", "square centimetre", Q::Area, 1e-4),
    entry("MTQ", "m³", "cubic metre", Q::Volume, 1.0),
    entry("LTR", "l", "litre", Q::Volume, 1e-3),
    entry("MLT", "ml", "millilitre", Q::Volume, 1e-6),
    entry("CMQ", "cm³", "cubic centimetre", Q::Volume, 1e-6),
    entry("MMQ", "mm³", "cubic millimetre", Q::Volume, 1e-9),
    entry("C81", "rad", "radian", Q::Angle, 1.0),
    entry("DD", "°", "degree", Q::Angle, PI / 180.0),
    entry("SEC", "s", "second", Q::Time, 1.0),
    entry("C26", "ms", "millisecond", Q::Time, 1e-3),
    entry("B98", "µs", "microsecond", Q::Time, 1e-6),
    entry("C47", "ns", "nanosecond", Q::Time, 1e-9),
    entry("MIN", "min", "minute", Q::Time, 60.0),
    entry("HUR", "h", "hour", Q::Time, 3600.0),
    entry("DAY", "d", "day", Q::Time, 86_400.0),
    entry("HTZ", "Hz", "hertz", Q::Frequency, 1.0),
    entry("KHZ", "kHz", "kilohertz", Q::Frequency, 1e3),
    entry("MHZ", "MHz", "megahertz", Q::Frequency, 1e6),
    entry("RPM", "r/min", "revolutions per minute", Q::RotationalSpeed, 1.0 / 60.0),
    entry("RPS", "r/s", "revolutions per second", Q::RotationalSpeed, 1.0),
    entry("MTS", "m/s", "metre per second", Q::Velocity, 1.0),
    entry("C16", "mm/s", "millimetre per second", Q::Velocity, 1e-3),
    entry("H81", "mm/min", "millimetre per minute", Q::Velocity, 1e-3 / 60.0),
    entry("2X", "m/min", "metre per minute", Q::Velocity, 1.0 / 60.0),
    entry("KMH", "km/h", "kilometre per hour", Q::Velocity, 1.0 / 3.6),
    entry("2A", "rad/s", "radian per second", Q::AngularVelocity, 1.0),
    entry("E96", "°/s", "degree per second", Q::AngularVelocity, PI / 180.0),
    entry("MSK", "m/s²", "metre per second squared", Q::Acceleration, 1.0),
    entry("C41", "mm/s²", "millimetre per second squared", Q::Acceleration, 1e-3),
    entry("K40", "gn", "standard acceleration of free fall", Q::Acceleration, 9.806_65),
    entry("KGM", "kg", "kilogram", Q::Mass, 1.0),
    entry("GRM", "g", "gram", Q::Mass, 1e-3),
    entry("MGM", "mg", "milligram", Q::Mass, 1e-6),
    entry("TNE", "t", "tonne", Q::Mass, 1e3),
    entry("KGS", "kg/s", "kilogram per second", Q::MassFlow, 1.0),
    entry("E93", "kg/h", "kilogram per hour", Q::MassFlow, 1.0 / 3600.0),
    entry("K81", "lb/s", "pound per second", Q::MassFlow, 0.453_592_37),
    entry("MQS", "m³/s", "cubic metre per second", Q::VolumeFlow, 1.0),
    entry("MQH", "m³/h", "cubic metre per hour", Q::VolumeFlow, 1.0 / 3600.0),
    entry("G51", "l/s", "litre per second", Q::VolumeFlow, 1e-3),
    entry("L2", "l/min", "litre per minute", Q::VolumeFlow, 1e-3 / 60.0),
    entry("41", "ml/min", "millilitre per minute", Q::VolumeFlow, 1e-6 / 60.0),
    entry("KMQ", "kg/m³", "kilogram per cubic metre", Q::Density, 1.0),
    entry("23", "g/cm³", "gram per cubic centimetre", Q::Density, 1e3),
    entry("NEW", "N", "newton", Q::Force, 1.0),
    entry("B47", "kN", "kilonewton", Q::Force, 1e3),
    entry("NU", "N·m", "newton metre", Q::Torque, 1.0),
    entry("D83", "mN·m", "millinewton metre", Q::Torque, 1e-3),
    entry("PAL", "Pa", "pascal", Q::AbsolutePressure, 1.0),
    entry("A97", "hPa", "hectopascal", Q::AbsolutePressure, 1e2),
    entry("KPA", "kPa", "kilopascal", Q::AbsolutePressure, 1e3),
    entry("MPA", "MPa", "megapascal", Q::AbsolutePressure, 1e6),
    entry("BAR", "bar", "bar", Q::AbsolutePressure, 1e5),
    entry("MBR", "mbar", "millibar", Q::AbsolutePressure, 1e2),
    entry("PS", "lbf/in²", "pound-force per square inch", Q::AbsolutePressure, 6_894.757_293_168),
    entry("JOU", "J", "joule", Q::Energy, 1.0),
    entry("KJO", "kJ", "kilojoule", Q::Energy, 1e3),
    entry("WHR", "W·h", "watt hour", Q::Energy, 3.6e3),
    entry("KWH", "kW·h", "kilowatt hour", Q::Energy, 3.6e6),
    entry("MWH", "MW·h", "megawatt hour", Q::Energy, 3.6e9),
    entry("WTT", "W", "watt", Q::Power, 1.0),
    entry("C31", "mW", "milliwatt", Q::Power, 1e-3),
    entry("KWT", "kW", "kilowatt", Q::Power, 1e3),
    entry("MAW", "MW", "megawatt", Q::Power, 1e6),
    entry("D46", "VA", "volt ampere", Q::ApparentPower, 1.0),
    entry("KVA", "kVA", "kilovolt ampere", Q::ApparentPower, 1e3),
    entry("D44", "var", "var", Q::ReactivePower, 1.0),
    entry("KVR", "kvar", "kilovar", Q::ReactivePower, 1e3),
    entry("KEL", "K", "kelvin", Q::Temperature, 1.0),
    UnitEntry {
        code: "CEL",
        symbol: "°C",
        name: "degree Celsius",
        quantity: Q::Temperature,
        factor: 1.0,
        offset: 273.15,
    },
    UnitEntry {
        code: "FAH",
        symbol: "°F",
        name: "degree Fahrenheit",
        quantity: Q::Temperature,
        factor: 5.0 / 9.0,
        offset: 459.67 * 5.0 / 9.0,
    },
    UnitEntry {
        code: "A48",
        symbol: "°R",
        name: "degree Rankine",
        quantity: Q::Temperature,
        factor: 5.0 / 9.0,
        offset: 0.0,
    },
    entry("AMP", "A", "ampere", Q::ElectricCurrent, 1.0),
    entry("4K", "mA", "milliampere", Q::ElectricCurrent, 1e-3),
    entry("B84", "µA", "microampere", Q::ElectricCurrent, 1e-6),
    entry("VLT", "V", "volt", Q::ElectricVoltage, 1.0),
    entry("2Z", "mV", "millivolt", Q::ElectricVoltage, 1e-3),
    entry("KVT", "kV", "kilovolt", Q::ElectricVoltage, 1e3),
    entry("OHM", "Ω", "ohm", Q::ElectricResistance, 1.0),
    entry("B49", "kΩ", "kiloohm", Q::ElectricResistance, 1e3),
    entry("COU", "C", "coulomb", Q::ElectricCharge, 1.0),
    entry("AMH", "A·h", "ampere hour", Q::ElectricCharge, 3600.0),
    entry("C65", "Pa·s", "pascal second", Q::DynamicViscosity, 1.0),
    entry("C24", "mPa·s", "millipascal second", Q::DynamicViscosity, 1e-3),
    entry("C7", "cP", "centipoise", Q::DynamicViscosity, 1e-3),
    entry("S4", "m²/s", "square metre per second", Q::KinematicViscosity, 1.0),
    entry("C17", "mm²/s", "square millimetre per second", Q::KinematicViscosity, 1e-6),
    entry("2N", "dB", "decibel", Q::SoundPressureLevel, 1.0),
    entry("LUX", "lx", "lux", Q::Illuminance, 1.0),
    entry("AD", "B", "byte", Q::DataSize, 1.0),
    entry("2P", "kB", "kilobyte", Q::DataSize, 1e3),
    entry("4L", "MB", "megabyte", Q::DataSize, 1e6),
    entry("GL", "g/l", "gram per litre", Q::Concentration, 1.0),
    entry("M1", "mg/l", "milligram per litre", Q::Concentration, 1e-3),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, kind: Q, input: f64, expected: f64) {
        let (from, to) = (Unit::from_code(from).unwrap(), Unit::from_code(to).unwrap());
        let actual = from.conversion(to, kind).unwrap().apply(input);
        assert!((actual - expected).abs() < 1e-9 * expected.abs().max(1.0), "{actual} {expected}");
    }

    #[test]
    fn values_convert() {
        check("CEL", "FAH", Q::Temperature, 100.0, 212.0);
        check("FAH", "KEL", Q::Temperature, 32.0, 273.15);
        check("CEL", "FAH", Q::TemperatureDifference, 100.0, 180.0);
        check("BAR", "KPA", Q::GaugePressure, 1.5, 150.0);
        check("RPM", "RPS", Q::RotationalSpeed, 3000.0, 50.0);
        check("P1", "C62", Q::Dimensionless, 12.0, 0.12);
    }

    #[test]
    fn different_quantities_do_not_convert() {
        let (celsius, bar) = (Unit::from_code("CEL").unwrap(), Unit::from_code("BAR").unwrap());
        assert_eq!(celsius.conversion(bar, Q::Temperature), None);
        assert_eq!(celsius.conversion(bar, Q::AbsolutePressure), None);
    }

    /// Published examples of OPC 10000-8: the unitId of MMT is 5066068, of CEL 4408652.
    #[test]
    fn unit_ids_are_those_of_opc_ua() {
        assert_eq!(Unit::from_code("MMT").unwrap().ua_unit_id(), 5_066_068);
        assert_eq!(Unit::from_code("CEL").unwrap().ua_unit_id(), 4_408_652);
        assert_eq!(Unit::from_ua_unit_id(4_408_652).unwrap().code(), "CEL");
    }

    #[test]
    fn codes_are_unique() {
        for (i, unit) in UNITS.iter().enumerate() {
            assert!(UNITS[i + 1..].iter().all(|other| other.code != unit.code), "{}", unit.code);
        }
    }
}
