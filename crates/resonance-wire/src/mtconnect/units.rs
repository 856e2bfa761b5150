//! Units: the names MTConnect uses, by UNECE code.

use resonance_plant::Unit;

/// What agents publish values in, and what machines have natively (Part 2, units and
/// nativeUnits), with the code of UNECE Recommendation 20. Units without a code there, such as
/// `MILLIMETER/REVOLUTION`, and vectors such as `MILLIMETER_3D` are absent.
const UNITS: &[(&str, &str)] = &[
    ("AMPERE", "AMP"),
    ("AMPERE_HOUR", "AMH"),
    ("BAR", "BAR"),
    ("CELSIUS", "CEL"),
    ("CENTIPOISE", "C7"),
    ("COULOMB", "COU"),
    ("COUNT", "H87"),
    ("CUBIC_METER", "MTQ"),
    ("CUBIC_MILLIMETER", "MMQ"),
    ("DECIBEL", "2N"),
    ("DEGREE", "DD"),
    ("DEGREE/SECOND", "E96"),
    ("FAHRENHEIT", "FAH"),
    ("FOOT", "FOT"),
    ("GRAM", "GRM"),
    ("GRAVITATIONAL_ACCELERATION", "K40"),
    ("HERTZ", "HTZ"),
    ("HOUR", "HUR"),
    ("INCH", "INH"),
    ("JOULE", "JOU"),
    ("KELVIN", "KEL"),
    ("KILOGRAM", "KGM"),
    ("KILOWATT", "KWT"),
    ("KILOWATT_HOUR", "KWH"),
    ("LITER", "LTR"),
    ("LITER/MINUTE", "L2"),
    ("LITER/SECOND", "G51"),
    ("METER/SECOND^2", "MSK"),
    ("MICROMETER", "4H"),
    ("MILLIGRAM", "MGM"),
    ("MILLIGRAM/LITER", "M1"),
    ("MILLILITER", "MLT"),
    ("MILLIMETER", "MMT"),
    ("MILLIMETER/MINUTE", "H81"),
    ("MILLIMETER/SECOND", "C16"),
    ("MILLIMETER/SECOND^2", "C41"),
    ("MINUTE", "MIN"),
    ("NEWTON", "NEW"),
    ("NEWTON_METER", "NU"),
    ("OHM", "OHM"),
    ("PASCAL", "PAL"),
    ("PASCAL_SECOND", "C65"),
    ("PERCENT", "P1"),
    ("POUND/INCH^2", "PS"),
    ("RADIAN", "C81"),
    ("RADIAN/SECOND", "2A"),
    ("RANKINE", "A48"),
    ("REVOLUTION/MINUTE", "RPM"),
    ("REVOLUTION/SECOND", "RPS"),
    ("SECOND", "SEC"),
    ("SQUARE_MILLIMETER", "MMK"),
    ("VOLT", "VLT"),
    ("VOLT_AMPERE", "D46"),
    ("VOLT_AMPERE_REACTIVE", "D44"),
    ("WATT", "WTT"),
    // A watt second is a joule.
    ("WATT_SECOND", "JOU"),
];

/// The unit with this MTConnect name. Values of observations are in `units`, whatever
/// `nativeUnits` and `nativeScale` say of the machine: the agent has converted them.
pub fn unit(name: &str) -> Option<Unit> {
    let at = UNITS.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
    UNITS.get(at).and_then(|(_, code)| Unit::from_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_has_a_unit() {
        assert!(UNITS.is_sorted(), "the search needs it");
        for (name, code) in UNITS {
            assert_eq!(unit(name).map(Unit::code), Some(*code), "{name}");
        }
        assert_eq!(unit("MILLIMETER_3D"), None);
    }
}
